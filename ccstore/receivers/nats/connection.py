"""One connection to a NATS server: introducing oneself, TLS, signs of life, and its end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from attrs import frozen
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import Deferred, TimeoutError, fail
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from ccstore import __version__
from ccstore.config.nkeys import Credentials
from ccstore.network.listening import openssl_says
from ccstore.receivers.nats import framing
from ccstore.receivers.nats.framing import Delivery, Framing, ProtocolError, Word, parse_info

#: Seconds for a connection to come about, and for an answer.
PATIENCE: Final = 10.0
#: Seconds between two looks whether the server is still there.
PING_EVERY: Final = 20.0
#: Looks without any sign of life, after which it is not.
_SILENT_LOOKS: Final = 2
#: Bytes that are read in a turn of the reactor.
_READ: Final = 1 << 17
#: Why a connection has ended that the server, or something on the way, has closed without a word.
CLOSED: Final = "the server has closed the connection"
_PUBLISHING = "permissions violation for publish"


class NatsError(Exception):
    """A connection has come to nothing, or to an end; the text says why, in a line."""


@frozen
class Introduction:
    """What is said to a server.

    :ivar credentials: gives those of now, since the file may be renewed.
    :ivar tls: gives the options of TLS for a client as the files have them now; None if the configuration
        does not ask for TLS, and ``default_tls`` is for a server that does.
    :ivar is_tls_first: TLS begins before the server has said anything.
    """

    name: str
    user: str | None
    password: str | None
    credentials: Callable[[], Credentials | None]
    tls: Callable[[], Any] | None
    default_tls: Callable[[], Any]
    is_tls_first: bool
    max_payload: int


class Connection(Protocol):
    """See the module.

    :param deliver: takes the messages of a read, in their order.
    :param complain: says something about the server to people.
    :ivar ready: fires when the server has let us in, or fails with :class:`NatsError`.
    :ivar closed: fires with the reason, in words, when the connection is lost.
    :ivar server: what the server is, for people.
    :ivar server_id: the name that it gave itself when it was started, if any.
    """

    def __init__(
        self,
        introduction: Introduction,
        clock: IReactorTime,
        deliver: Callable[[list[Delivery]], None],
        complain: Callable[[str], None],
    ) -> None:
        self._introduction = introduction
        self._clock = clock
        self._deliver = deliver
        self._complain = complain
        self._framing = Framing(introduction.max_payload)
        self._pongs: deque[Deferred[None] | None] = deque()  # who waits for an answer to a PING
        self._reason: str | None = None
        self._look: IDelayedCall | None = None
        self._silent = 0  # looks since the server was last heard of
        self._has_introduced = False
        self._is_encrypted = False
        self._is_paused = False
        self._is_lost = False
        self.server = "a NATS server"
        self.server_id: str | None = None
        self.ready: Deferred[None] = Deferred()
        self.closed: Deferred[str] = Deferred()

    # -- IProtocol

    def connectionMade(self) -> None:
        self.transport.bufferSize = _READ  # type: ignore[union-attr]
        if self._introduction.is_tls_first and self._introduction.tls is not None:
            self._start_tls(self._introduction.tls())
        self._look = self._clock.callLater(PATIENCE, self._too_late)

    def dataReceived(self, data: bytes) -> None:
        self._silent = 0
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
        if self._look is not None and self._look.active():
            self._look.cancel()
        why = self._reason or _why_lost(reason)
        pongs, self._pongs = self._pongs, deque()
        if not self.ready.called:
            self.ready.errback(NatsError(why))
        for waiter in pongs:
            if waiter is not None:
                waiter.errback(NatsError(why))
        self.closed.callback(why)

    # -- what the server says

    def _heard(self, word: Word, *, is_last: bool) -> None:
        if word.verb == "PING":
            self._write(framing.PONG)
        elif word.verb == "PONG":
            if self._pongs:
                waiter = self._pongs.popleft()
                if waiter is not None:
                    waiter.callback(None)
        elif word.verb == "-ERR":
            self._refused(word.argument.decode("utf-8", "replace").strip("' "))
        elif word.verb == "INFO":
            try:
                info = parse_info(word.argument)
                if not self._has_introduced:
                    self._introduce(info, is_last=is_last)
            except ProtocolError as error:
                self.fail(f"the server sends {error}")
            except Exception as error:  # options of TLS for a name that can have no certificate
                self.fail(why(error))

    def _introduce(self, info: Any, *, is_last: bool) -> None:
        introduction = self._introduction
        server_id = info.get("server_id")
        self.server_id = server_id if isinstance(server_id, str) else None
        self.server = f"nats-server {_shown(info.get('version'))}"
        wanted = info.get("tls_required") or (introduction.tls is not None and info.get("tls_available"))
        if wanted and not self._is_encrypted:
            # Whatever came with INFO could have been slipped in by somebody on the way.
            if not is_last:
                raise ProtocolError("something between INFO and the start of TLS")
            self._start_tls((introduction.tls or introduction.default_tls)())
        elif introduction.tls is not None and not self._is_encrypted:
            self.fail("the server has no TLS, and the configuration asks for it")
            return
        self._has_introduced = True
        self._write(
            framing.connect(
                info,
                name=introduction.name,
                version=__version__,
                user=introduction.user,
                password=introduction.password,
                credentials=introduction.credentials(),
                is_encrypted=self._is_encrypted,
            )
        )
        self.ping().addCallbacks(self._let_in, lambda failure: None)

    def _start_tls(self, options: Any) -> None:
        self._is_encrypted = True
        self.transport.startTLS(options)  # type: ignore[union-attr]

    def _let_in(self, result: None) -> None:
        if self._look is not None and self._look.active():
            self._look.cancel()
        self._look = self._clock.callLater(PING_EVERY, self._look_after)
        if not self.ready.called:
            self.ready.callback(None)

    def _refused(self, text: str) -> None:
        text = _shown(text)
        if text.lower().startswith(_PUBLISHING):
            # The server goes on all the same.
            self._complain(f"the server says: {text}")
        else:
            self.fail(f"the server says: {text}")

    # -- signs of life

    def _too_late(self) -> None:
        self.fail(f"the server has not let us in within {PATIENCE:g} s")

    def _look_after(self) -> None:
        self._look = self._clock.callLater(PING_EVERY, self._look_after)
        if self._is_paused:
            return
        self._silent += 1
        if self._silent > _SILENT_LOOKS:
            self.fail(f"nothing was heard of the server for {PING_EVERY * _SILENT_LOOKS:g} s")
        else:
            self._pongs.append(None)
            self._write(framing.PING)

    # -- what is said to the server

    def ping(self) -> Deferred[None]:
        """Fires when all that was said before has been done; fails with :class:`NatsError`."""
        if self._is_lost:
            return fail(NatsError(self._reason or "the connection is lost"))
        answered: Deferred[None] = Deferred()
        self._pongs.append(answered)
        self._write(framing.PING)
        return answered

    def subscribe(self, subject: str, sid: str, queue_group: str | None = None) -> None:
        self._write(framing.subscribe(subject, sid, queue_group))

    def unsubscribe(self, sid: str) -> None:
        self._write(framing.unsubscribe(sid))

    def publish(self, *messages: tuple[bytes, bytes, bytes]) -> None:
        """Send messages, each a subject, a payload, and the subject for an answer, which may be empty."""
        self._write(b"".join([framing.publish(*message) for message in messages]))

    def set_paused(self, is_paused: bool) -> None:
        """Read no further for the time being, or go on."""
        if is_paused == self._is_paused or self._is_lost:
            return
        self._is_paused = is_paused
        self._silent = 0
        if is_paused:
            self.transport.pauseProducing()  # type: ignore[union-attr]
        else:
            self.transport.resumeProducing()  # type: ignore[union-attr]

    def fail(self, reason: str) -> None:
        """Give up the connection, for this reason."""
        if self._reason is None:
            self._reason = reason
        if not self._is_lost:
            self.transport.abortConnection()  # type: ignore[union-attr]

    def close(self) -> None:
        """End the connection, after what was written has been sent."""
        if not self._is_lost:
            self._reason = self._reason or "closed"
            self.transport.loseConnection()  # type: ignore[union-attr]

    def _write(self, data: bytes) -> None:
        if not self._is_lost:
            self.transport.write(data)  # type: ignore[union-attr]


def _why_lost(reason: Failure) -> str:
    if reason.check(ConnectionClosed):
        return CLOSED
    return why(reason.value or ConnectionClosed())


def why(error: BaseException) -> str:
    """Why there is no connection, in a line."""
    if isinstance(error, VerificationError):
        return "the server's certificate is for another name"
    if isinstance(error, SSL.Error):
        said = openssl_says(error)
        if said == "certificate verify failed":
            return "the server's certificate is not signed by anybody we trust, or has expired"
        return f"no connection with TLS ({said})"
    if isinstance(error, TimeoutError):
        return f"no answer within {PATIENCE:g} s"
    return _shown(str(error) or type(error).__name__).rstrip(".")


def _shown(text: object) -> str:
    """What the server says, fit for a line of the log."""
    return "".join(char if char.isprintable() else "?" for char in str(text))[:200]
