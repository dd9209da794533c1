"""Line protocol over TCP: a stream of lines for each connection, and back-pressure instead of loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IDelayedCall, IListeningPort
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from ccstore.config import TcpReceiverConfig
from ccstore.intake import Intake
from ccstore.interfaces import IReceiver
from ccstore.lineprotocol import Decoded
from ccstore.listening import address_of, listen, where

#: At the end, a connection counts as read out when nothing came for so long, in seconds.
_QUIET = 0.1
#: How long to wait for that.
_READ_OUT = 1.0
_CLOSE = 2.0


class LineProtocol(Protocol, TimeoutMixin):
    """One connection of a node."""

    def __init__(self, receiver: TcpReceiver, sender: str) -> None:
        self._receiver = receiver
        self._sender = sender
        self._origin = receiver.intake.origin(sender)
        self._decoder = receiver.intake.decoder()
        self._is_cut_off = False
        self.has_been_read = False
        self._clock = receiver.intake.clock

    def connectionMade(self) -> None:
        self.setTimeout(self._receiver.idle_timeout)
        self._receiver.opened(self)

    def dataReceived(self, data: bytes) -> None:
        self.resetTimeout()
        self.has_been_read = True
        self._handle(self._decoder.feed(data, self._receiver.intake.now()), len(data))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.setTimeout(None)
        if reason.check(ConnectionDone) and not self._is_cut_off:
            self._handle(self._decoder.finish(self._receiver.intake.now()), 0)
        else:
            # What is left may be half a line, which could pass for a whole one.
            error = self._decoder.abandon("the connection ended in the middle of this line")
            if error is not None:
                self._receiver.intake.reject([error], self._sender)
        self._receiver.closed(self)

    def callLater(self, period: float, func: Callable[..., Any]) -> IDelayedCall:
        """For TimeoutMixin."""
        return self._clock.callLater(period, func)

    def timeoutConnection(self) -> None:
        self._receiver.intake.warn("idle", self._sender, "connection was idle for too long, and is closed")
        self.cut_off()

    def cut_off(self) -> None:
        """Close although the sender may be in the middle of a line."""
        self._is_cut_off = True
        self.close()

    def close(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()

    def abort(self) -> None:
        self.transport.abortConnection()  # type: ignore[union-attr]

    def pause(self) -> None:
        # Whoever is held back is not idle.
        self.setTimeout(None)
        self.transport.pauseProducing()  # type: ignore[union-attr]

    def resume(self) -> None:
        self.setTimeout(self._receiver.idle_timeout)
        self.transport.resumeProducing()  # type: ignore[union-attr]

    def _handle(self, decoded: Decoded, size: int) -> None:
        self._receiver.intake.reject(decoded.errors, self._sender)
        if decoded.messages:
            committed = self._receiver.intake.accept(decoded.messages, self._origin, urgent=False)
            self._receiver.wait_for(committed, size)


class _Refusing(Protocol):
    """A connection beyond the limit."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


class _LineFactory(ServerFactory[Protocol]):
    noisy = False

    def __init__(self, receiver: TcpReceiver) -> None:
        self._receiver = receiver

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return self._receiver.connect(address_of(addr))


@implementer(IReceiver)
class TcpReceiver(Service):
    """See the module.

    :param max_waiting: messages that may wait to be stored, above which all connections are paused.
    :param max_waiting_size: the same in bytes.
    """

    log = Logger()

    def __init__(
        self,
        config: TcpReceiverConfig,
        intake: Intake,
        reactor: Any,
        *,
        max_waiting: int,
        max_waiting_size: int,
    ) -> None:
        self.setName(config.name)
        self.intake = intake
        self.account = intake.account
        self.idle_timeout = config.idle_timeout or None
        self._config = config
        self._reactor = reactor
        self._max_waiting = max_waiting
        self._max_waiting_size = max_waiting_size
        self._waiting_size = 0
        self._connections: set[LineProtocol] = set()
        self._is_paused = False
        self._port: IListeningPort | None = None
        self._all_closed: Deferred[None] | None = None
        self._refused = 0
        self._pauses = 0

    # -- IReceiver

    def listen(self) -> str:
        """See :meth:`IReceiver.listen`."""
        config = self._config
        self._port = listen(
            self._reactor,
            _LineFactory(self),
            what=f"receiver {config.name!r}",
            endpoint=config.endpoint,
            address=config.address,
            port=config.port,
            tls=config.tls,
        )
        return f"line protocol over TCP on {where(self._port)}"

    async def stop_listening(self) -> None:
        """See :meth:`IReceiver.stop_listening`."""
        if self._port is not None:
            port, self._port = self._port, None
            await maybeDeferred(port.stopListening)

    async def drain(self) -> None:
        """See :meth:`IReceiver.drain`."""
        clock = self.intake.clock
        for _ in range(round(_READ_OUT / _QUIET)):
            for connection in self._connections:
                connection.has_been_read = False
            await deferLater(clock, _QUIET)
            if not self._is_paused and not any(connection.has_been_read for connection in self._connections):
                break
        for connection in list(self._connections):
            connection.cut_off()
        if self._connections:
            self._all_closed = Deferred()
            self._all_closed.addTimeout(_CLOSE, clock, onTimeoutCancel=lambda result, timeout: None)
            await self._all_closed
        for connection in list(self._connections):
            connection.abort()

    def figures(self) -> dict[str, object]:
        """See :meth:`IReceiver.figures`."""
        return {
            "connections": len(self._connections),
            "refused_connections": self._refused,
            "pauses": self._pauses,
        }

    # -- for the connections

    def connect(self, sender: str) -> Protocol:
        """The protocol for a new connection."""
        limit = self._config.max_connections
        if limit and len(self._connections) >= limit:
            self._refused += 1
            self.intake.warn("refused", sender, f"refused a connection, there are {limit} already")
            return _Refusing()
        return LineProtocol(self, sender)

    def opened(self, connection: LineProtocol) -> None:
        self._connections.add(connection)
        if self._is_paused:
            connection.pause()

    def closed(self, connection: LineProtocol) -> None:
        self._connections.discard(connection)
        if not self._connections and self._all_closed is not None:
            all_closed, self._all_closed = self._all_closed, None
            all_closed.callback(None)

    def wait_for(self, committed: Deferred[Sequence[Any]], size: int) -> None:
        """Keep count of what is not yet committed, and read no more when it is too much."""
        self._waiting_size += size
        committed.addErrback(self._not_stored)
        committed.addCallback(self._relieve, size)
        if not self._is_paused and self._has_too_much(1):
            self._is_paused = True
            self._pauses += 1
            for connection in self._connections:
                connection.pause()
            self.intake.flush()

    def _relieve(self, result: object, size: int) -> None:
        self._waiting_size -= size
        if self._is_paused and not self._has_too_much(2):
            self._is_paused = False
            for connection in self._connections:
                connection.resume()

    def _has_too_much(self, divisor: int) -> bool:
        return (
            self.account.waiting > self._max_waiting // divisor
            or self._waiting_size > self._max_waiting_size // divisor
        )

    def _not_stored(self, failure: Failure) -> None:
        self.intake.warn(
            "lost", self.account.name, f"messages could not be stored: {failure.getErrorMessage()}"
        )
