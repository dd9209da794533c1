"""Line protocol over TCP: a stream of lines for each connection, and back-pressure instead of loss."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from ccstore.accounting.figures import Figures, counter, gauge
from ccstore.config import TcpReceiverConfig
from ccstore.interfaces import IReceiver, Limits
from ccstore.network.listening import ServerPort, address_of, protection
from ccstore.network.open_files import OpenFiles
from ccstore.pipeline.backlog import Backlog
from ccstore.pipeline.intake import Intake
from ccstore.pipeline.joint import Joint
from ccstore.receivers.tcp_connection import LineProtocol
from ccstore.receivers.tcp_streams import LineStreams, Stream, StreamLimits

#: At the end, a connection counts as read out when nothing came for so long, in seconds.
_QUIET: Final = 0.1
#: How long to wait for that.
_READ_OUT: Final = 1.0
_CLOSE: Final = 2.0


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
    :param limits: of what connections send.
    :ivar lines: what they have sent, as it is decoded.
    :ivar backlog: what of it is not stored yet.
    :ivar idle_timeout: seconds after which a quiet connection is closed, or None.
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
        files: OpenFiles | None = None,
        limits: StreamLimits | None = None,
    ) -> None:
        self.setName(config.name)
        self.intake = intake
        self.account = intake.account
        self.idle_timeout = config.idle_timeout or None
        self._config = config
        self.lines = LineStreams(self, intake, limits or StreamLimits())
        self.backlog = Backlog(
            intake,
            max_waiting=max_waiting,
            max_waiting_size=max_waiting_size,
            changed=self._pace_changed,
        )
        self._connections: dict[Stream, LineProtocol] = {}
        self._port = ServerPort(
            reactor, _LineFactory(self), f"receiver {config.name!r}", files or OpenFiles(reactor)
        )
        self._all_closed: Deferred[None] | None = None
        self._refused = 0

    # -- IReceiver

    def listen(self) -> str:
        """See :meth:`IReceiver.listen`."""
        config = self._config
        place = f"{self._port.open(config)}{protection(config.endpoint, config.tls)}"
        assert self._port.port is not None
        most = f", at most {config.max_connections:,} connections" if config.max_connections else ""
        return f"line protocol over TCP on {place}{most}"

    def reconfigure(self, config: TcpReceiverConfig, limits: Limits) -> bool:
        """See :meth:`IReceiver.reconfigure`."""
        before, self._config = self._config, config
        self.backlog.limit(limits.messages, limits.size)
        if config != before:
            self.idle_timeout = config.idle_timeout or None
            self.lines.reconfigure()
            for connection in self._connections.values():
                connection.set_timeout()
        return self._port.stays(config)

    async def leave(self) -> None:
        """See :meth:`IReceiver.leave`."""
        await self._port.close_former()

    async def stop_listening(self) -> None:
        """See :meth:`IReceiver.stop_listening`."""
        await self._port.close()

    async def drain(self) -> None:
        """See :meth:`IReceiver.drain`."""
        clock = self.intake.clock
        for _ in range(round(_READ_OUT / _QUIET)):
            for connection in self._connections.values():
                connection.has_been_read = False
            await deferLater(clock, _QUIET)
            is_quiet = not any(connection.has_been_read for connection in self._connections.values())
            if is_quiet and not self.backlog.is_paused and not self.lines.has_unread:
                break
        for connection in list(self._connections.values()):
            connection.cut_off()
        if self._connections:
            self._all_closed = Deferred()
            self._all_closed.addTimeout(_CLOSE, clock, onTimeoutCancel=lambda result, timeout: None)
            await self._all_closed
        for connection in list(self._connections.values()):
            connection.abort()
        self.lines.hand_over(_CLOSE)

    def figures(self) -> Figures:
        """See :meth:`IReceiver.figures`."""
        return (
            Figures(
                connections=gauge(len(self._connections), "Connections that are open."),
                refused_connections=counter(
                    self._refused, "Connections that were refused, since there were too many already."
                ),
                hung_up_connections=counter(
                    self.lines.hung_up,
                    "Connections that were closed, since too much of what they sent was wrong.",
                ),
                pauses=counter(self.backlog.pauses, "Times when no more was read, since too much waited."),
            )
            | self._port.figures()
        )

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
        """See :class:`ccstore.receivers.tcp_connection.IListener`."""
        self._connections[connection.stream] = connection
        connection.set_pace()

    # -- for their lines

    @property
    def streams(self) -> Iterable[Stream]:
        """See :class:`ccstore.receivers.tcp_streams.IOwner`."""
        return self._connections

    def accept(self, joint: Joint) -> None:
        """See :class:`ccstore.receivers.tcp_streams.IOwner`."""
        origin = self.intake.origin("", senders=joint.hosts)
        self.backlog.wait_for(self.intake.accept(joint.messages, origin, urgent=False), joint.size)

    def ended(self, stream: Stream) -> None:
        """See :class:`ccstore.receivers.tcp_streams.IOwner`."""
        self._connections.pop(stream, None)
        if not self._connections and self._all_closed is not None:
            all_closed, self._all_closed = self._all_closed, None
            all_closed.callback(None)

    def _pace_changed(self) -> None:
        """Too much waits to be stored, or no longer: read on, or not."""
        for connection in self._connections.values():
            connection.set_pace()
