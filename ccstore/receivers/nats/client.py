"""One connection to a NATS server, from our side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from ccstore.receivers.nats import framing
from ccstore.receivers.nats.framing import Delivery, Framing, ProtocolError, Word
from ccstore.receivers.nats.handshake import Handshake, Introduction, ServerInfo
from ccstore.receivers.nats.liveness import Liveness
from ccstore.receivers.nats.reasons import NatsError, printable, why, why_lost

#: Bytes that are read in a turn of the reactor.
_READ: Final = 1 << 17
_PUBLISHING = "permissions violation for publish"


class Connection(Protocol):
    """See the module.

    :param deliver: takes the messages of a read, in their order.
    :param complain: says something about the server to people.
    :ivar ready: fires when the server has let us in, or fails with :class:`NatsError`.
    :ivar closed: fires with the reason, in words, when the connection is lost.
    :ivar server: what the server is, once it has said so.
    """

    transport: Any

    def __init__(
        self,
        introduction: Introduction,
        clock: IReactorTime,
        deliver: Callable[[list[Delivery]], None],
        complain: Callable[[str], None],
    ) -> None:
        self._deliver = deliver
        self._complain = complain
        self._framing = Framing(introduction.max_payload)
        self._handshake = Handshake(introduction)
        self._liveness = Liveness(clock, self._write, self.fail)
        self._reason: str | None = None
        self._is_paused = False
        self._is_lost = False
        self.server = ServerInfo()
        self.ready: Deferred[None] = Deferred()
        self.closed: Deferred[str] = Deferred()

    # -- IProtocol

    def connectionMade(self) -> None:
        self.transport.bufferSize = _READ
        self._handshake.begin(self.transport)
        self._liveness.expect_welcome()

    def dataReceived(self, data: bytes) -> None:
        self._liveness.heard()
        deliveries: list[Delivery] = []
        frames = self._framing.feed(data)
        for place, frame in enumerate(frames):
            if self._reason is not None:
                break
            if isinstance(frame, Delivery):
                deliveries.append(frame)
            else:
                self._heard(frame, is_last=place == len(frames) - 1 and not self._framing.held)
        if deliveries:
            self._deliver(deliveries)
        if self._framing.error is not None:
            self.fail(f"the server sends {self._framing.error}")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._is_lost = True
        said = self._reason or why_lost(reason)
        if not self.ready.called:
            self.ready.errback(NatsError(said))
        self._liveness.end(said)
        self.closed.callback(said)

    # -- what the server says

    def _heard(self, word: Word, *, is_last: bool) -> None:
        if word.verb == "PING":
            self._write(framing.PONG)
        elif word.verb == "PONG":
            self._liveness.pong()
        elif word.verb == "-ERR":
            self._refused(printable(word.argument.decode("utf-8", "replace").strip("' ")))
        elif word.verb == "INFO":
            try:
                server = self._handshake.answer(word.argument, is_last=is_last)
            except ProtocolError as error:
                self.fail(f"the server sends {error}")
            except Exception as error:  # options of TLS for a name that can have no certificate
                self.fail(why(error))
            else:
                if server is not None:
                    self.server = server
                    self.ping().addCallbacks(self._let_in, lambda failure: None)

    def _let_in(self, result: None) -> None:
        self._liveness.watch()
        if not self.ready.called:
            self.ready.callback(None)

    def _refused(self, text: str) -> None:
        if text.lower().startswith(_PUBLISHING):
            # The server goes on all the same.
            self._complain(f"the server says: {text}")
        else:
            self.fail(f"the server says: {text}")

    # -- what is said to the server

    def ping(self) -> Deferred[None]:
        """Fires when all that was said before has been done; fails with :class:`NatsError`."""
        if self._is_lost:
            return fail(NatsError(self._reason or "the connection is lost"))
        return self._liveness.ping()

    def subscribe(self, subject: str, sid: str, queue_group: str | None = None) -> None:
        """Ask for the messages of a subject, under a name for this subscription."""
        self._write(framing.subscribe(subject, sid, queue_group))

    def unsubscribe(self, sid: str) -> None:
        """End a subscription; what is on its way may still come."""
        self._write(framing.unsubscribe(sid))

    def publish(self, *messages: tuple[bytes, bytes, bytes]) -> None:
        """Send messages, each a subject, a payload, and the subject for an answer, which may be empty."""
        self._write(b"".join([framing.publish(*message) for message in messages]))

    def set_paused(self, is_paused: bool) -> None:
        """Read no further for the time being, or go on."""
        if is_paused == self._is_paused or self._is_lost:
            return
        self._is_paused = is_paused
        self._liveness.set_paused(is_paused)
        if is_paused:
            self.transport.pauseProducing()
        else:
            self.transport.resumeProducing()

    def fail(self, reason: str) -> None:
        """Give up the connection, for this reason."""
        if self._reason is None:
            self._reason = reason
        if not self._is_lost:
            self.transport.abortConnection()

    def close(self) -> None:
        """End the connection, after what was written has been sent."""
        if not self._is_lost:
            self._reason = self._reason or "closed"
            self.transport.loseConnection()

    def _write(self, data: bytes) -> None:
        if not self._is_lost:
            self.transport.write(data)
