"""The decoder of streams."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from ccstore.lineprotocol.entries import Decoded, Entries
from ccstore.lineprotocol.entry import LineError, Terms
from ccstore.lineprotocol.grammar import NANOSECONDS, Precision, shown
from ccstore.lineprotocol.plain import Chunk, Stamps
from ccstore.lineprotocol.series import SeriesCache
from ccstore.message import Batch

#: What is decoded in one go, in bytes: it bounds the memory that takes.
_PIECE: Final = 1 << 18


class StreamDecoder:
    """Decodes a stream that arrives in arbitrary pieces.

    The result does not depend on where the pieces are cut.

    :param lenient: a timestamp that is out of range in the unit of ``precision`` goes by magnitude: what is
        too fine for its unit always is.
    :param max_line_length: bytes an entry may have, its newline not counted; a longer one is rejected and
        skipped, and never held in memory. None means no limit.
    :param fast: take the fast way where it fits.
    :param lines: with the general way alone, collects the number of the physical line each message begins on.
    """

    def __init__(
        self,
        cache: SeriesCache | None = None,
        *,
        precision: Precision = "auto",
        lenient: bool = False,
        max_line_length: int | None = None,
        fast: bool = True,
        lines: list[int] | None = None,
    ) -> None:
        stamps = Stamps(NANOSECONDS[precision], lenient=lenient)
        self._terms = Terms(SeriesCache() if cache is None else cache, stamps, max_line_length)
        self._entries = Entries(self._terms, fast=fast, begun=lines)
        self._rest = bytearray()  # an entry whose end has not arrived, from its first byte
        self._waiting: Generator[bytes, None, int] | None = None  # reading _rest, as far as it goes
        self._wanted = b"\n"  # the byte without which _rest cannot be taken any further

    def set(self, *, precision: Precision, max_line_length: int | None) -> None:
        """Go on with other settings, from the next entry that is decoded; see the class."""
        self._terms.stamps.unit = NANOSECONDS[precision]
        self._terms.limit = max_line_length

    @property
    def pending(self) -> int:
        """Bytes held of an entry that is not complete."""
        return len(self._rest)

    @property
    def lines(self) -> int:
        """Lines of the stream that are decoded, with and without anything in them."""
        return self._entries.line - 1

    @property
    def is_between_lines(self) -> bool:
        """What comes next begins a line."""
        return not self._rest and not self._entries.is_skipping

    def pass_over(self, lines: bytes) -> None:
        """Count whole lines of the stream that were decoded elsewhere."""
        self._entries.line += lines.count(b"\n")

    def feed(self, data: bytes, default_time: int) -> Decoded:
        """Decode the next piece.

        :param default_time: nanoseconds since the epoch, the time of lines that carry none.
        """
        self._begin(default_time)
        if len(data) <= _PIECE:
            self._feed(data)
        else:
            for start in range(0, len(data), _PIECE):
                self._feed(data[start : start + _PIECE])
        return self._entries.end()

    def _feed(self, data: bytes) -> None:
        if self._entries.is_skipping:
            data = self._entries.skip(data)
        if self._rest:
            self._rest += data
            limit = self._terms.limit
            if self._wanted not in data and (limit is None or len(self._rest) <= limit):
                return
            data = self._take_rest()
        self._decode(data)

    def finish(self, default_time: int) -> Decoded:
        """Decode what is left at the end of the stream, where a last newline may be missing.

        After that, the decoder is ready for another stream.
        """
        self._begin(default_time)
        self._terms.is_complete = True
        if self._rest:
            self._decode(self._take_rest())
        self._terms.is_complete = self._entries.is_skipping = False
        self._entries.line = 1
        return self._entries.end()

    def plain(self, lines: bytes, default_time: int) -> Batch | None:
        """The messages of whole lines, if all of them have the fast way's shape, one each; else None.

        That is so for most of what is sent, and it does not touch the stream.
        """
        self._set_default(default_time)
        limit = self._terms.limit
        if not lines or (limit is not None and len(lines) > limit):
            return None
        return Chunk(lines).batch(self._terms.cache, self._terms.stamps)

    def abandon(self, reason: str, *, skip: bool = False) -> LineError | None:
        """Give up an entry that will never be complete, for this reason; None if there is none.

        :param skip: what is still to come of its line is to be skipped.
        """
        if not self._rest:
            return None
        self._entries.is_skipping = skip
        error = LineError(self._entries.line, 1, reason, shown(self._rest, 0))
        self._rest.clear()
        self._waiting = None
        return error

    def _begin(self, default_time: int) -> None:
        self._set_default(default_time)
        self._entries.begin()

    def _set_default(self, default_time: int) -> None:
        stamps = self._terms.stamps
        stamps.default_time = default_time - default_time % (stamps.unit or 1)

    def _take_rest(self) -> bytes:
        """Empty ``_rest``: finish the entry that waits there, and return what follows it."""
        after = 0
        if self._waiting is not None:
            try:
                self._wanted = next(self._waiting)
            except StopIteration as stop:
                self._waiting = None
                after = stop.value
            else:
                return b""
        data = bytes(self._rest[after:])
        self._rest = bytearray()
        return data

    def _decode(self, data: bytes) -> None:
        """Decode all complete entries, and keep the beginning of one that is not."""
        position = self._entries.decode(data)
        if position == len(data):
            return
        self._rest += data[position:]
        self._wanted = b"\n"
        if b"\n" in self._rest:
            self._waiting = self._entries.read(self._rest, 0)
            self._wanted = next(self._waiting)


def decode(data: bytes, *, precision: Precision = "auto", default_time: int) -> Decoded:
    """Decode complete input.

    :param precision: unit of the timestamps; ``auto`` goes by magnitude: below 1e11 seconds, below 1e14
        milliseconds, below 1e17 microseconds, else nanoseconds.
    :param default_time: nanoseconds since the epoch, the time of lines that carry none (cut to the
        precision, as the reference decoder does).
    """
    decoder = StreamDecoder(precision=precision)
    decoded = decoder.feed(data, default_time)
    rest = decoder.finish(default_time)
    decoded.messages.extend(rest.messages)
    decoded.errors.extend(rest.errors)
    return decoded
