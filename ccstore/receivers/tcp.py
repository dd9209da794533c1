"""Line protocol over TCP: a stream of lines for each connection, and back-pressure instead of loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from ccstore.accounting.figures import Figures, counter, gauge
from ccstore.accounting.samples import TEXT_LIMIT
from ccstore.batch import Batch
from ccstore.config import TcpReceiverConfig
from ccstore.interfaces import IReceiver, Limits
from ccstore.lineprotocol import Decoded, LineError
from ccstore.network.admission import Door
from ccstore.network.greetings import is_http, is_tls
from ccstore.network.listening import ServerPort, address_of, protection
from ccstore.network.open_files import OpenFiles
from ccstore.pipeline.backlog import Backlog
from ccstore.pipeline.intake import Intake
from ccstore.pipeline.joint import plain_together
from ccstore.pipeline.scheduler import LEAST_PIECE
from ccstore.web import WebError, without_secrets

#: At the end, a connection counts as read out when nothing came for so long, in seconds.
_QUIET = 0.1
#: How long to wait for that.
_READ_OUT = 1.0
_CLOSE = 2.0
#: Bytes of lines without an end that all connections of a receiver may hold.
MAX_HELD = 64 * 1024 * 1024
#: Bytes that are read before they are decoded, and bytes above which little is read of each connection. Those
#: whose bytes they are wait anyway, and the others must not wait for them.
_GATHERED_SIZE = 1 << 20
_MOST_UNREAD = 16 << 20
#: Connections of which something waits to be decoded, above which newcomers are let in slowly.
_CROWD = 512
#: The same of those whose last lines were wrong: there is no time for so many, and newcomers had to wait for
#: them all.
_MOST_WRONG = 512
#: Bytes of a connection that are read and decoded in one go: few after a mistake, which takes a hundred times
#: as long as what is right, and more and more as long as there is none.
_FIRST_PIECE, _LARGEST_PIECE = 1 << 12, 1 << 16


class LineProtocol(Protocol, TimeoutMixin):
    """One connection of a node."""

    def __init__(self, receiver: TcpReceiver, address: str) -> None:
        self._receiver = receiver
        self._is_cut_off = False
        self._clock = receiver.intake.clock
        self.address = address
        self.host = address.rpartition(":")[0] or address
        self.decoder = receiver.intake.decoder()
        self.pass_over = self.decoder.pass_over
        self.held = 0  # bytes of a line without an end, as the receiver knows of them
        self.piece = _FIRST_PIECE
        self.is_wrong = False  # there was a mistake in what was decoded last
        self.mistakes = 0
        self.is_behind = False  # what it has sent takes longer to decode than there is time
        self.is_over = False
        self.is_complete = False  # a last line without newline counts
        self._is_paused = False
        self.has_been_read = False
        self._has_begun = False
        self._is_refused = False  # what it has sent, and still may send, are no lines

    def connectionMade(self) -> None:
        self.setTimeout(self._receiver.idle_timeout)
        self.set_piece(_FIRST_PIECE)
        self._receiver.opened(self)

    def dataReceived(self, data: bytes) -> None:
        self.resetTimeout()
        self.has_been_read = True
        if not self._has_begun:
            self._has_begun = True
            if is_tls(data) or is_http(data):
                self._refuse(data)
        if not self._is_refused:
            self._receiver.take(data, self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.setTimeout(None)
        self.is_over = True
        # What is left may be half a line, which could pass for a whole one.
        self.is_complete = bool(reason.check(ConnectionDone)) and not self._is_cut_off
        self._receiver.take(b"", self)

    def callLater(self, period: float, func: Callable[..., Any]) -> IDelayedCall:
        """For TimeoutMixin."""
        return self._clock.callLater(period, func)

    def timeoutConnection(self) -> None:
        self._receiver.intake.warn("idle", self.address, "connection was idle for too long, and is closed")
        self.cut_off()

    def _refuse(self, data: bytes) -> None:
        """Tell at once who would wait for an answer to what are no lines."""
        self._is_refused = True
        lines = [data]
        reason = "TLS, and this port has no tls_certificate"
        if is_http(data):
            lines = data.split(b"\n")
            reason = "HTTP, and this port takes lines as they are: POST them to a receiver of type http"
            self.transport.write(WebError(400, f"this is {reason}").as_bytes())  # type: ignore[union-attr]
        errors = [
            LineError(number, 1, reason, without_secrets(line)[:TEXT_LIMIT].decode(errors="replace").rstrip())
            for number, line in enumerate(lines, 1)
            if line.strip()
        ]
        self._receiver.intake.reject(errors, self.address)
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

    def set_piece(self, size: int) -> None:
        """How many bytes are read and decoded in one go. TLS reads as much as it likes."""
        self.piece = size
        self.transport.bufferSize = size  # type: ignore[union-attr]

    def set_timeout(self) -> None:
        """Begin to wait anew, for as long as the receiver says by now."""
        if not (self.is_over or self._is_paused):
            self.setTimeout(self._receiver.idle_timeout)

    def set_pace(self) -> None:
        """Read on, or not for the time being."""
        if self.is_over:
            return
        if self._receiver.is_full and self.piece > _FIRST_PIECE:
            self.set_piece(_FIRST_PIECE)
        is_paused = self._receiver.is_paused or self.is_behind
        if is_paused and not self._is_paused:
            # Whoever is held back is not idle.
            self.setTimeout(None)
            self.transport.pauseProducing()  # type: ignore[union-attr]
        elif self._is_paused and not is_paused:
            self.setTimeout(self._receiver.idle_timeout)
            self.transport.resumeProducing()  # type: ignore[union-attr]
        self._is_paused = is_paused


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
        files: OpenFiles | None = None,
    ) -> None:
        self.setName(config.name)
        self.intake = intake
        self.account = intake.account
        self.idle_timeout = config.idle_timeout or None
        self._config = config
        self._backlog = Backlog(
            intake,
            max_waiting=max_waiting,
            max_waiting_size=max_waiting_size,
            changed=self._pace_changed,
        )
        self._decoder = intake.decoder()
        # What is to be decoded next, first come, first served: what has just been read, and what there was no
        # time for, of those whose lines were right the last time and of those with a mistake.
        self._fresh: dict[LineProtocol, bytes] = {}
        self._late: dict[LineProtocol, bytes] = {}
        self._wrong: dict[LineProtocol, bytes] = {}
        self._fresh_size = 0  # bytes of it
        self._unread_size = 0  # bytes of all
        self.is_full = False  # that is too much
        # What has been decoded of it, with the host of each message, and its size in bytes.
        self._messages = Batch()
        self._hosts: list[str] = []
        self._size = 0
        self._turn: IDelayedCall | None = None
        self._held = 0  # bytes of all lines that have no end yet
        self._connections: set[LineProtocol] = set()
        self._port = ServerPort(
            reactor, _LineFactory(self), f"receiver {config.name!r}", files or OpenFiles(reactor)
        )
        self._door: Door | None = None
        self._all_closed: Deferred[None] | None = None
        self._refused = 0
        self._hung_up = 0

    @property
    def is_paused(self) -> bool:
        """Too much waits to be stored."""
        return self._backlog.is_paused

    # -- IReceiver

    def listen(self) -> str:
        """See :meth:`IReceiver.listen`."""
        config = self._config
        place = f"{self._port.open(config)}{protection(config.endpoint, config.tls)}"
        assert self._port.port is not None
        self._remove_door()
        self._door = Door(self.intake.clock, self._port.port)
        most = f", at most {config.max_connections:,} connections" if config.max_connections else ""
        return f"line protocol over TCP on {place}{most}"

    def _remove_door(self) -> None:
        if self._door is not None:
            self._door.remove()
            self._door = None

    def reconfigure(self, config: TcpReceiverConfig, limits: Limits) -> bool:
        """See :meth:`IReceiver.reconfigure`."""
        before, self._config = self._config, config
        self._backlog.limit(limits.messages, limits.size)
        if config != before:
            self.idle_timeout = config.idle_timeout or None
            self.intake.set_decoder(self._decoder)
            for connection in self._connections:
                self.intake.set_decoder(connection.decoder)
                connection.set_timeout()
        return self._port.stays(config)

    async def leave(self) -> None:
        """See :meth:`IReceiver.leave`."""
        await self._port.close_former()

    async def stop_listening(self) -> None:
        """See :meth:`IReceiver.stop_listening`."""
        self._remove_door()
        await self._port.close()

    async def drain(self) -> None:
        """See :meth:`IReceiver.drain`."""
        clock = self.intake.clock
        for _ in range(round(_READ_OUT / _QUIET)):
            for connection in self._connections:
                connection.has_been_read = False
            await deferLater(clock, _QUIET)
            is_quiet = not any(connection.has_been_read for connection in self._connections)
            if is_quiet and not self.is_paused and not self._has_unread:
                break
        for connection in list(self._connections):
            connection.cut_off()
        if self._connections:
            self._all_closed = Deferred()
            self._all_closed.addTimeout(_CLOSE, clock, onTimeoutCancel=lambda result, timeout: None)
            await self._all_closed
        for connection in list(self._connections):
            connection.abort()
        self.hand_over(_CLOSE)

    def figures(self) -> Figures:
        """See :meth:`IReceiver.figures`."""
        return (
            Figures(
                connections=gauge(len(self._connections), "Connections that are open."),
                refused_connections=counter(
                    self._refused, "Connections that were refused, since there were too many already."
                ),
                hung_up_connections=counter(
                    self._hung_up, "Connections that were closed, since too much of what they sent was wrong."
                ),
                pauses=counter(self._backlog.pauses, "Times when no more was read, since too much waited."),
            )
            | self._port.figures()
        )

    # -- for the connections

    def connect(self, sender: str) -> Protocol:
        """The protocol for a new connection."""
        if self._door is not None:
            self._door.somebody_came()
        limit = self._config.max_connections
        if limit and len(self._connections) >= limit:
            self._refused += 1
            self.intake.warn("refused", sender, f"refused a connection, there are {limit} already")
            return _Refusing()
        return LineProtocol(self, sender)

    def opened(self, connection: LineProtocol) -> None:
        self._connections.add(connection)
        connection.set_pace()

    # -- lines

    def take(self, data: bytes, connection: LineProtocol) -> None:
        """Take in what a connection has read; it is decoded together with that of others in a moment."""
        self._unread_size += len(data)
        if connection.is_wrong or connection.is_behind:
            self._put_off(connection, data)
        else:
            self._fresh[connection] = self._fresh.get(connection, b"") + data
            self._fresh_size += len(data)
        if self._fresh_size >= _GATHERED_SIZE:
            self.hand_over()
        else:
            self._go_on()

    def _go_on(self) -> None:
        if self._turn is None:
            self._turn = self.intake.clock.callLater(0, self.hand_over)

    def hand_over(self, seconds: float | None = None) -> None:
        """Decode what the connections have read, as far as there is time, and pass it on.

        :param seconds: if it may take another time than usual.
        """
        if self._turn is not None:
            if self._turn.active():
                self._turn.cancel()
            self._turn = None
        self._read_together()
        if self._has_unread:
            self._read_one_by_one(self.intake.pace.share(self) if seconds is None else seconds)
        self._hold_back()
        messages, self._messages = self._messages, Batch()
        hosts, self._hosts = self._hosts, []
        size, self._size = self._size, 0
        if messages:
            committed = self.intake.accept(messages, self.intake.origin("", senders=hosts), urgent=False)
            self._backlog.wait_for(committed, size)
        if self._has_unread:
            self._go_on()

    def _read_one_by_one(self, seconds: float) -> None:
        end = self.intake.clock.seconds() + seconds
        while self._fresh and self.intake.clock.seconds() < end:
            self._read(self._fresh)
        for connection, data in self._fresh.items():
            self._put_off(connection, data)
        self._fresh.clear()
        self._fresh_size = 0
        for waiting in (self._late, self._wrong):
            # One of each in any case, or those with mistakes would never have a turn beside those without.
            if waiting:
                self._read(waiting)
            while waiting and self.intake.clock.seconds() < end:
                self._read(waiting)

    @property
    def _has_unread(self) -> bool:
        return bool(self._fresh or self._late or self._wrong)

    def _hold_back(self) -> None:
        """Let newcomers in, and read at all, as long as what is read can be decoded in good time."""
        behind = len(self._late) + len(self._wrong)
        if self._door is not None:
            if behind > _CROWD:
                self._door.close()
            elif behind <= _CROWD // 2:
                self._door.open()
        is_full = self._unread_size > (_MOST_UNREAD // 2 if self.is_full else _MOST_UNREAD)
        if is_full != self.is_full:
            self.is_full = is_full
            self._pace_changed()

    def _read_together(self) -> None:
        """Decode at once what has nothing out of the ordinary, from whomever it is."""
        parts = [
            (data, connection)
            for connection, data in self._fresh.items()
            if data.endswith(b"\n") and connection.decoder.is_between_lines and not connection.is_over
        ]
        together = plain_together(self._decoder, parts, self.intake.now()) if len(parts) > 1 else None
        if together is not None:
            self._messages.extend(together[0])
            self._hosts += together[1]
            for data, connection in parts:
                self._size += len(data)
                self._unread_size -= len(data)
                del self._fresh[connection]

    def _read(self, waiting: dict[LineProtocol, bytes]) -> None:
        """Decode some of what the first of these has sent; what is left waits until it is its turn again."""
        connection = next(iter(waiting))
        data = waiting.pop(connection)
        piece = data[: connection.piece]
        self._unread_size -= len(piece)
        self._size += len(piece)
        decoded = connection.decoder.feed(piece, self.intake.now())
        self._keep(decoded, connection)
        connection.is_wrong = bool(decoded.errors)
        connection.mistakes += len(decoded.errors)
        if decoded.errors:
            connection.set_piece(LEAST_PIECE)
        elif len(piece) == connection.piece < _LARGEST_PIECE and not self.is_full:
            connection.set_piece(2 * connection.piece)
        if len(piece) < len(data):
            self._put_off(connection, data[len(piece) :])
            return
        if connection.is_behind:
            connection.is_behind = False
            connection.set_pace()
        if connection.is_over:
            self._end(connection)

    def _put_off(self, connection: LineProtocol, data: bytes) -> None:
        """There is no time for this now: nothing more of the connection is read before it is decoded."""
        waiting = self._wrong if connection.is_wrong else self._late
        waiting[connection] = waiting.get(connection, b"") + data
        if not connection.is_behind:
            connection.is_behind = True
            connection.set_pace()
        if len(self._wrong) > _MOST_WRONG:
            self._hang_up(max(self._wrong, key=lambda each: each.mistakes / max(each.decoder.lines, 1)))

    def _hang_up(self, connection: LineProtocol) -> None:
        """Be done with a connection that has sent lines with mistakes: too many do."""
        data = self._wrong.pop(connection)
        self._unread_size -= len(data)
        lines = data.count(b"\n") + (not data.endswith(b"\n") if data else bool(connection.decoder.pending))
        connection.decoder.abandon("")
        self.account.reject("hung_up", lines)
        self._hung_up += 1
        self.intake.warn(
            "hung up",
            connection.address,
            f"connection closed: too many senders make mistakes, and this one has in {connection.mistakes} of"
            f" {connection.decoder.lines} lines",
        )
        connection.is_wrong = connection.is_behind = False
        if connection.is_over:
            self._end(connection)
        else:
            connection.abort()

    def _end(self, connection: LineProtocol) -> None:
        """A connection is lost, and all that it has sent is decoded."""
        if connection.is_complete:
            self._keep(connection.decoder.finish(self.intake.now()), connection)
        else:
            error = connection.decoder.abandon("the connection ended in the middle of this line")
            if error is not None:
                self.intake.reject([error], connection.address)
        self._held -= connection.held
        self._connections.discard(connection)
        if not self._connections and self._all_closed is not None:
            all_closed, self._all_closed = self._all_closed, None
            all_closed.callback(None)

    def _keep(self, decoded: Decoded, connection: LineProtocol) -> None:
        self.intake.reject(decoded.errors, connection.address)
        self._messages.extend(decoded.messages)
        self._hosts += [connection.host] * len(decoded.messages)
        self._hold(connection)

    def _hold(self, connection: LineProtocol) -> None:
        """Keep count of the lines that have no end yet, and give up the longest when they are too much."""
        self._held += connection.decoder.pending - connection.held
        connection.held = connection.decoder.pending
        while self._held > MAX_HELD:
            longest = max(self._connections, key=lambda connection: connection.held)
            error = longest.decoder.abandon("too many long lines at once", skip=True)
            if error is not None:
                self.intake.reject([error], longest.address)
            self._held -= longest.held
            longest.held = 0

    def _pace_changed(self) -> None:
        """Too much waits, or no longer: read on, or not."""
        for connection in self._connections:
            connection.set_pace()
