"""What the connections of a receiver over TCP have read: whose turn it is, and lines without an end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from attrs import define, field, frozen
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ccstore.lineprotocol import Decoded
from ccstore.pipeline.intake import Intake
from ccstore.pipeline.joint import Joint, plain_together
from ccstore.pipeline.piecewise import PieceSizes, Piecewise
from ccstore.pipeline.scheduler import serve


@frozen
class StreamLimits:
    """How much of what connections send is kept, all of them together.

    :ivar held: bytes of lines that have no end yet.
    :ivar gathered: bytes that are read before they are decoded.
    :ivar unread: bytes that wait to be decoded, above which little is read of each connection. Those whose
        bytes they are wait anyway, and the others must not wait for them.
    :ivar wrong: connections whose last lines were wrong and that wait, above which the worst is closed: there
        is no time for so many.
    :ivar pieces: bytes of a connection that are read and decoded in one go.
    """

    held: int = 64 << 20
    gathered: int = 1 << 20
    unread: int = 16 << 20
    wrong: int = 512
    pieces: PieceSizes = field(factory=PieceSizes)


class IConnection(Protocol):
    """What decoding asks of a connection."""

    def set_pace(self) -> None:
        """Read on, or not for the time being."""

    def read_at_most(self, size: int) -> None:
        """Read so many bytes in one go."""

    def abort(self) -> None:
        """Close at once."""


@define(eq=False)
class Stream:
    """The lines of one connection, as they are decoded.

    :ivar host: the address without its port, for people.
    :ivar pass_over: see :class:`ccstore.pipeline.joint.Sender`.
    :ivar held: bytes of a line without an end, as they are counted.
    :ivar is_behind: what it has sent takes longer to decode than there is time; no more is read meanwhile.
    :ivar is_over: nothing more comes.
    :ivar is_complete: then a last line without newline counts.
    """

    connection: IConnection
    address: str
    pieces: Piecewise
    host: str = field(init=False)
    pass_over: Callable[[bytes], None] = field(init=False)
    held: int = 0
    is_behind: bool = False
    is_over: bool = False
    is_complete: bool = False

    def __attrs_post_init__(self) -> None:
        self.host = self.address.rpartition(":")[0] or self.address
        self.pass_over = self.pieces.decoder.pass_over

    def set_behind(self, is_behind: bool) -> None:
        """Read no more of it, or go on."""
        if is_behind != self.is_behind:
            self.is_behind = is_behind
            self.connection.set_pace()


class Behind:
    """Streams for which there was not enough time, with what is left of them: each class in turn."""

    def __init__(self) -> None:
        self._right: dict[Stream, bytes] = {}
        self._wrong: dict[Stream, bytes] = {}  # those with a mistake in what was decoded last
        self.size = 0  # bytes of all

    def __len__(self) -> int:
        return len(self._right) + len(self._wrong)

    @property
    def wrong(self) -> int:
        """How many there are with a mistake."""
        return len(self._wrong)

    def put(self, stream: Stream, data: bytes) -> None:
        """Let a stream wait, behind the others of its class if it does not wait already."""
        waiting = self._wrong if stream.pieces.is_wrong else self._right
        waiting[stream] = waiting.get(stream, b"") + data
        self.size += len(data)

    def serve(self, clock: IReactorTime, end: float, decode: Callable[[Stream, bytes], None]) -> None:
        """Decode something of one after the other, as long as there is time."""

        def serve_next(waiting: dict[Stream, bytes]) -> None:
            stream = next(iter(waiting))
            data = waiting.pop(stream)
            self.size -= len(data)
            decode(stream, data)

        right, wrong = self._right, self._wrong
        serve(clock, end, (right, lambda: serve_next(right)), (wrong, lambda: serve_next(wrong)))

    def take_worst(self) -> tuple[Stream, bytes]:
        """Take out the one with the largest part of lines with mistakes, and what is left of it."""
        worst = max(self._wrong, key=lambda each: each.pieces.mistakes / max(each.pieces.decoder.lines, 1))
        data = self._wrong.pop(worst)
        self.size -= len(data)
        return worst, data


class HeldLines:
    """The lines that have no end yet: when they are too much, the longest is given up.

    :param most: bytes of all of them.
    """

    def __init__(self, intake: Intake, most: int) -> None:
        self._intake = intake
        self._most = most
        self.size = 0  # bytes of all

    def count(self, stream: Stream, streams: Iterable[Stream]) -> None:
        """Count what a stream holds by now; of these streams the longest is given up."""
        pending = stream.pieces.decoder.pending
        self.size += pending - stream.held
        stream.held = pending
        while self.size > self._most:
            longest = max(streams, key=lambda each: each.held)
            error = longest.pieces.decoder.abandon("too many long lines at once", skip=True)
            if error is not None:
                self._intake.reject([error], longest.address)
            self.forget(longest)

    def forget(self, stream: Stream) -> None:
        """A stream holds nothing any longer."""
        self.size -= stream.held
        stream.held = 0


class IOwner(Protocol):
    """The receiver, as far as its streams know of it."""

    @property
    def streams(self) -> Iterable[Stream]:
        """All that there are."""

    def accept(self, joint: Joint) -> None:
        """Take over what has been decoded in a turn."""

    def ended(self, stream: Stream) -> None:
        """A stream is over, and all of it is decoded."""


class LineStreams:
    """Decodes what connections have read: what came in one turn of the reactor together if that is possible.

    Whoever sent what cannot be decoded in good time waits, and nobody else.

    :ivar is_full: too much waits to be decoded.
    :ivar hung_up: connections that were closed for their mistakes.
    """

    def __init__(self, owner: IOwner, intake: Intake, limits: StreamLimits) -> None:
        self._owner = owner
        self._intake = intake
        self._limits = limits
        self._decoder = intake.decoder()
        self._fresh: dict[Stream, bytes] = {}  # has just been read
        self._fresh_size = 0
        self._behind = Behind()
        self._held = HeldLines(intake, limits.held)
        self._decoded = Joint()
        self._turn: IDelayedCall | None = None
        self.is_full = False
        self.hung_up = 0

    @property
    def has_unread(self) -> bool:
        """Something waits to be decoded."""
        return bool(self._fresh or self._behind)

    @property
    def held(self) -> int:
        """Bytes of lines that have no end yet."""
        return self._held.size

    def stream(self, connection: IConnection, address: str) -> Stream:
        """The stream of a new connection."""
        return Stream(connection, address, Piecewise(self._intake.decoder(), self._limits.pieces))

    def reconfigure(self) -> None:
        """Decode with the settings of now."""
        self._intake.set_decoder(self._decoder)
        for stream in self._owner.streams:
            self._intake.set_decoder(stream.pieces.decoder)

    def take(self, data: bytes, stream: Stream) -> None:
        """Take in what a connection has read; it is decoded together with that of others in a moment."""
        if stream.pieces.is_wrong or stream.is_behind:
            self._put_off(stream, data)
        else:
            self._fresh[stream] = self._fresh.get(stream, b"") + data
            self._fresh_size += len(data)
        if self._fresh_size >= self._limits.gathered:
            self.hand_over()
        elif self._turn is None:
            self._turn = self._intake.clock.callLater(0, self.hand_over)

    def hand_over(self, seconds: float | None = None) -> None:
        """Decode what the connections have read, as far as there is time, and pass it on.

        :param seconds: if it may take another time than usual.
        """
        if self._turn is not None:
            if self._turn.active():
                self._turn.cancel()
            self._turn = None
        self._read_together()
        if self._fresh or self._behind:
            self._read_one_by_one(self._intake.scheduler.share(self) if seconds is None else seconds)
        self._hold_back()
        decoded, self._decoded = self._decoded, Joint()
        if decoded.messages:
            self._owner.accept(decoded)
        if (self._fresh or self._behind) and self._turn is None:
            self._turn = self._intake.clock.callLater(0, self.hand_over)

    def _read_together(self) -> None:
        """Decode at once what has nothing out of the ordinary, from whomever it is."""
        parts = [
            (data, stream)
            for stream, data in self._fresh.items()
            if data.endswith(b"\n") and stream.pieces.decoder.is_between_lines and not stream.is_over
        ]
        together = plain_together(self._decoder, parts, self._intake.now()) if len(parts) > 1 else None
        if together is not None:
            size = sum([len(data) for data, _ in parts])
            self._decoded.add(*together, size)
            self._fresh_size -= size
            for _, stream in parts:
                del self._fresh[stream]

    def _read_one_by_one(self, seconds: float) -> None:
        clock = self._intake.clock
        end = clock.seconds() + seconds
        while self._fresh and clock.seconds() < end:
            stream = next(iter(self._fresh))
            data = self._fresh.pop(stream)
            self._fresh_size -= len(data)
            self._read(stream, data)
        for stream, data in self._fresh.items():
            self._put_off(stream, data)
        self._fresh.clear()
        self._fresh_size = 0
        self._behind.serve(clock, end, self._read)

    def _read(self, stream: Stream, data: bytes) -> None:
        """Decode some of what a stream has sent; what is left waits until it is its turn again."""
        pieces = stream.pieces
        size = pieces.size
        decoded, done = pieces.feed(data, self._intake.now())
        self._keep(decoded, stream, done)
        if self.is_full:
            pieces.size = min(pieces.size, size)
        if pieces.size != size:
            stream.connection.read_at_most(pieces.size)
        if done < len(data):
            self._put_off(stream, data[done:])
            return
        stream.set_behind(False)
        if stream.is_over:
            self._end(stream)

    def _put_off(self, stream: Stream, data: bytes) -> None:
        """There is no time for this now: nothing more of the connection is read before it is decoded."""
        self._behind.put(stream, data)
        stream.set_behind(True)
        if self._behind.wrong > self._limits.wrong:
            self._hang_up(*self._behind.take_worst())

    def _hang_up(self, stream: Stream, data: bytes) -> None:
        """Be done with a connection that has sent lines with mistakes: too many do."""
        decoder = stream.pieces.decoder
        lines = data.count(b"\n") + (not data.endswith(b"\n") if data else bool(decoder.pending))
        decoder.abandon("")
        self._intake.account.reject("hung_up", lines)
        self.hung_up += 1
        self._intake.warn(
            "hung up",
            stream.address,
            "connection closed: too many senders make mistakes, and this one has in "
            f"{stream.pieces.mistakes} of {decoder.lines} lines",
        )
        stream.pieces.is_wrong = stream.is_behind = False
        if stream.is_over:
            self._end(stream)
        else:
            stream.connection.abort()

    def _hold_back(self) -> None:
        """Read little of each while too much waits to be decoded."""
        most = self._limits.unread
        is_full = self._fresh_size + self._behind.size > (most // 2 if self.is_full else most)
        if is_full != self.is_full:
            self.is_full = is_full
            if is_full:
                for stream in self._owner.streams:
                    if not stream.is_over and stream.pieces.size > self._limits.pieces.first:
                        stream.pieces.size = self._limits.pieces.first
                        stream.connection.read_at_most(stream.pieces.size)

    def _end(self, stream: Stream) -> None:
        """A connection is lost, and all that it has sent is decoded."""
        decoder = stream.pieces.decoder
        if stream.is_complete:
            self._keep(stream.pieces.finish(self._intake.now()), stream, 0)
        else:
            error = decoder.abandon("the connection ended in the middle of this line")
            if error is not None:
                self._intake.reject([error], stream.address)
        self._held.forget(stream)
        self._owner.ended(stream)

    def _keep(self, decoded: Decoded, stream: Stream, size: int) -> None:
        self._intake.reject(decoded.errors, stream.address)
        self._decoded.add(decoded.messages, [stream.host] * len(decoded.messages), size)
        self._held.count(stream, self._owner.streams)
