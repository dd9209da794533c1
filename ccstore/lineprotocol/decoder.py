"""The decoder of streams, and its general way."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, NamedTuple

from ccstore.lineprotocol.grammar import (
    BYTE_ORDER_MARK,
    COMMENT,
    HEAD,
    INTEGER,
    KEY,
    KEY_ESCAPE,
    NANOSECONDS,
    SPACES,
    STAMP,
    STRING,
    VALUE,
    Buffer,
    Missing,
    Precision,
    Wrong,
    integer,
    match_end,
    short,
    shown,
    string,
    token,
    trim,
    value_of,
    what,
)
from ccstore.lineprotocol.plain import Chunk, Stamps
from ccstore.lineprotocol.series import SeriesCache
from ccstore.message import INT64_MAX, INT64_MIN, Batch, FieldValue, Message, classify

_UNITS: Final = {unit: precision for precision, unit in NANOSECONDS.items()}
#: What is decoded in one go, in bytes: it bounds the memory that takes.
_PIECE: Final = 1 << 18


class LineError(NamedTuple):
    """Why a line was rejected.

    :ivar line: number of the physical line, from 1, on which the mistake stands.
    :ivar column: byte in that line, from 1.
    :ivar text: the beginning of the rejected line, at most :data:`TEXT_LIMIT` characters.
    """

    line: int
    column: int
    reason: str
    text: str


class Decoded(NamedTuple):
    """What came out of a piece of input, in its order."""

    messages: Batch
    errors: list[LineError]


_NOTHING: Final = Decoded(Batch(), [])


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
        self._lines = lines
        self._cache = SeriesCache() if cache is None else cache
        self._stamps = Stamps(NANOSECONDS[precision], lenient=lenient)
        self._max = max_line_length
        self._fast = fast
        self._rest = bytearray()  # an entry whose end has not arrived, from its first byte
        self._line = 1  # number of the physical line at the start of _rest
        self._entry: Generator[bytes, None, int] | None = None  # the general way, waiting inside _rest
        self._wanted = b"\n"  # the byte without which _rest cannot be taken any further
        self._skipping = False  # inside a line that is too long
        self._complete = False
        self._out = _NOTHING

    def set(self, *, precision: Precision, max_line_length: int | None) -> None:
        """Go on with other settings, from the next entry that is decoded; see the class."""
        self._stamps.unit = NANOSECONDS[precision]
        self._max = max_line_length

    @property
    def pending(self) -> int:
        """Bytes held of an entry that is not complete."""
        return len(self._rest)

    @property
    def lines(self) -> int:
        """Lines of the stream that are decoded, with and without anything in them."""
        return self._line - 1

    @property
    def is_between_lines(self) -> bool:
        """What comes next begins a line."""
        return not self._rest and not self._skipping

    def pass_over(self, lines: bytes) -> None:
        """Count whole lines of the stream that were decoded elsewhere."""
        self._line += lines.count(b"\n")

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
        return self._end()

    def _feed(self, data: bytes) -> None:
        if self._skipping:
            newline = data.find(b"\n")
            if newline < 0:
                return
            self._skipping = False
            self._line += 1
            data = data[newline + 1 :]
        if self._rest:
            self._rest += data
            if self._wanted not in data and not self._rest_is_too_long():
                return
            data = self._take_rest()
        self._decode(data)

    def finish(self, default_time: int) -> Decoded:
        """Decode what is left at the end of the stream, where a last newline may be missing.

        After that, the decoder is ready for another stream.
        """
        self._begin(default_time)
        self._complete = True
        if self._rest and not self._skipping:
            self._decode(self._take_rest())
        self._complete = self._skipping = False
        self._line = 1
        return self._end()

    def plain(self, lines: bytes, default_time: int) -> Batch | None:
        """The messages of whole lines, if all of them have the fast way's shape, one each; else None.

        That is so for most of what is sent, and it does not touch the stream.
        """
        self._begin(default_time)
        if self._max is not None and len(lines) > self._max:
            return None
        return Chunk(lines).batch(self._cache, self._stamps) if lines else None

    def abandon(self, reason: str, *, skip: bool = False) -> LineError | None:
        """Give up an entry that will never be complete, for this reason; None if there is none.

        :param skip: what is still to come of its line is to be skipped.
        """
        if not self._rest:
            return None
        self._skipping = skip
        error = LineError(self._line, 1, reason, shown(self._rest, 0))
        self._rest.clear()
        self._entry = None
        return error

    def _end(self) -> Decoded:
        """What came out, which is not held any longer: there are as many decoders as connections."""
        out, self._out = self._out, _NOTHING
        return out

    def _begin(self, default_time: int) -> None:
        self._out = Decoded(Batch(), [])
        self._stamps.default_time = default_time - default_time % (self._stamps.unit or 1)

    def _rest_is_too_long(self) -> bool:
        return self._max is not None and len(self._rest) > self._max

    def _take_rest(self) -> bytes:
        """Empty ``_rest``: finish the entry that waits there, and return what follows it."""
        after = 0
        if self._entry is not None:
            try:
                self._wanted = next(self._entry)
            except StopIteration as stop:
                self._entry = None
                after = stop.value
                self._line += self._rest.count(b"\n", 0, after)
            else:
                return b""
        data = bytes(self._rest[after:])
        self._rest = bytearray()
        return data

    def _decode(self, data: bytes) -> None:
        """Decode all complete entries of ``data``, and keep the rest for later."""
        position = 0
        end = data.rfind(b"\n") + 1
        if end:
            position = self._rows(data, end) if self._fast else self._rows_slowly(data, 0, end)
        if 0 <= position < len(data):
            if self._complete or (self._max is not None and len(data) - position > self._max):
                self._rows_slowly(data, position, len(data))
            else:
                self._rest += data[position:]
                self._wanted = b"\n"

    def _rows(self, data: bytes, stop: int) -> int:
        """Decode the complete physical lines of a chunk; returns what :meth:`_general` does.

        :param stop: behind the last newline. Nothing matches in what follows, and to find that out would
            take the square of its length.
        """
        chunk = Chunk(data if stop == len(data) else data[:stop])
        if self._max is None or stop <= self._max:
            batch = chunk.batch(self._cache, self._stamps)
            if batch is not None:
                self._out.messages.extend(batch)
                self._line += len(batch)
                return stop
        return self._rows_one_by_one(chunk, data, stop)

    def _rows_one_by_one(self, chunk: Chunk, data: bytes, stop: int) -> int:
        """As :meth:`_rows`, for a chunk in which some lines need the general way.

        Every row is exactly one physical line, so a position is only worked out, by counting, when a line
        needs the general way.
        """
        limit = self._max
        position = 0  # of the line with number `counted`
        counted = 0
        skip = 0  # physical lines that belong to an entry already decoded
        number = -1
        end = 0  # of the last entry that took the general way
        first_line = self._line
        for number, row in enumerate(chunk.rows):
            if skip:
                skip -= 1
                continue
            key, raw, _, other = row
            # A character has four bytes at most.
            if key and (limit is None or 4 * (len(key) + len(raw)) + 32 <= limit):
                message = chunk.message(row, self._cache, self._stamps)
                if message is not None:
                    self._out.messages.append(message)
                    continue
            elif len(other) < 3 and other in ("\n", "\r\n"):
                continue
            while counted < number:
                position = data.index(b"\n", position) + 1
                counted += 1
            self._line = first_line + number
            end = self._general(data, position)
            if end < 0:
                return end
            skip = data.count(b"\n", position, end) - 1
        self._line = first_line + number + 1
        return max(end, stop)

    def _rows_slowly(self, data: bytes, position: int, end: int) -> int:
        """Decode entries by the general way alone; returns what :meth:`_general` does."""
        while 0 <= position < end:
            after = self._general(data, position)
            if after >= 0:
                self._line += data.count(b"\n", position, after)
            position = after
        return position

    def _general(self, data: bytes, position: int) -> int:
        """Decode the entry at a position; returns where it ends, or -1 if it is kept for later."""
        entry = self._read_entry(data, position)
        try:
            next(entry)
        except StopIteration as stop:
            return int(stop.value)
        self._rest += data[position:]
        self._entry = self._read_entry(self._rest, 0)
        self._wanted = next(self._entry)
        return -1

    def _read_entry(self, data: Buffer, start: int) -> Generator[bytes, None, int]:
        """The general way: read one entry, and yield the wanted byte wherever there are too few.

        ``data`` grows between one step and the next if it is a bytearray. Returns where to go on.
        """
        line = self._line
        resume = -1
        opening = closing = -1  # the quotes of the last string that runs over a line end
        try:
            end = yield from self._find_newline(data, start, start)
            resume = end + 1
            is_marked = line == 1 and data.startswith(BYTE_ORDER_MARK, start)
            position, last = trim(data, start + len(BYTE_ORDER_MARK) if is_marked else start, end)
            if position == last:
                return min(resume, len(data))
            if data[position] == 0x23:
                comment = match_end(COMMENT, data, position, last)
                if comment < last:
                    raise Missing(comment, "no control character in a comment")
                return min(resume, len(data))
            head_end = match_end(HEAD, data, position, last)
            head = bytes(data[position:head_end])
            try:
                name, tags = self._cache.head(head)
            except Wrong as wrong:
                wrong.offset += position
                raise
            position = match_end(SPACES, data, head_end, last)
            if position == head_end:
                raise Wrong(position, "no field")
            fields: dict[str, FieldValue] = {}
            while True:
                key_end = match_end(KEY, data, position, last)
                if key_end == position:
                    raise Missing(position, "a field key after ','" if fields else "a field key")
                key = token(data, position, key_end, KEY_ESCAPE)
                position = key_end + 1
                if key_end == last or data[key_end] != 0x3D:
                    raise Missing(key_end, f"'=' after the field key {short(key)}")
                if position < last and data[position] == 0x22:
                    quote = position
                    try:
                        position = (yield from self._find_quote(data, start, quote)) + 1
                    except Wrong:
                        opening, resume = -1, end + 1
                        raise
                    if position > end:
                        # Should anything behind it be wrong, then what it swallowed may be the neighbours.
                        opening, closing, resume = quote, position - 1, end + 1
                        end = yield from self._find_newline(data, start, position)
                        last = trim(data, position, end)[1]
                    fields[key] = string(data, quote + 1, position - 1)
                else:
                    value_end = match_end(VALUE, data, position, last)
                    fields[key] = value_of(bytes(data[position:value_end]), position, key)
                    position = value_end
                if position == last:
                    break
                after = data[position]
                if after == 0x2C:
                    position += 1
                elif after == 0x20:
                    break
                else:
                    raise Missing(
                        position, f"',', a space or the end of the line after the field {short(key)}"
                    )
            time = self._stamp(data, position, last)
            series = self._cache.of_kind(head.decode(), classify(tags, fields), name, tags)
            self._out.messages.append(Message.of(series, fields, time))
            if self._lines is not None:
                self._lines.append(line)
            resume = end + 1
        except Wrong as wrong:
            offset, reason = wrong.offset, wrong.reason
            if isinstance(wrong, Missing):
                reason += f", found {what(data, offset, last)}"
            if opening < offset < closing and (closing + 1 == last or data[closing + 1] in b", "):
                resume = end + 1  # the string itself is wrong, but it looks as if it ends where it should
            elif opening >= 0 and offset > closing:
                offset = opening
                reason = (
                    f"the string opened here runs over a line end, and then: {reason}: is a quote missing?"
                )
            # -1: nothing of the entry is complete but its beginning, which is too long.
            lines = data.count(b"\n", start, offset)
            column = offset - (data.rfind(b"\n", 0, offset) if lines else start - 1)
            # No more than may be held, lest the text depend on how much of a line has arrived.
            text = shown(data, start, limit=self._max)
            self._out.errors.append(LineError(line + lines, column, reason, text))
            if resume < 0:
                resume = self._skip_line(data, start)
        return min(resume, len(data))

    def _find_newline(self, data: Buffer, start: int, position: int) -> Generator[bytes, None, int]:
        """Where the physical line at ``position`` ends: its newline, or the end of complete input."""
        while True:
            limit = len(data) if self._max is None else start + self._max + 1
            newline = data.find(b"\n", position, limit)
            if newline >= 0:
                return newline
            if len(data) >= limit and self._max is not None:
                raise _TooLong(start, self._max, position)
            if self._complete:
                return len(data)
            position = len(data)
            yield b"\n"

    def _find_quote(self, data: Buffer, start: int, opening: int) -> Generator[bytes, None, int]:
        """Where the string opened here is closed."""
        position = opening + 1
        while True:
            limit = len(data) if self._max is None else min(len(data), start + self._max)
            position = match_end(STRING, data, position, limit)
            if position < limit and data[position] == 0x22:
                return position
            if self._complete or (self._max is not None and limit == start + self._max):
                raise Wrong(opening, "the string opened here is never closed")
            yield b'"'

    def _skip_line(self, data: Buffer, position: int) -> int:
        newline = data.find(b"\n", position)
        if newline < 0:
            self._skipping = not self._complete
            return len(data)
        return newline + 1

    def _stamp(self, data: Buffer, position: int, last: int) -> int:
        position = match_end(SPACES, data, position, last)
        if position == last:
            return self._stamps.default_time
        end = match_end(STAMP, data, position, last)
        after = match_end(SPACES, data, end, last)
        if end == position or (after == end and end < last):
            raise _no_stamp(position, shown(data, position, last))
        if after < last:
            found = short(shown(data, after, last))
            raise Wrong(after, f"expected the end of the line after the timestamp, found {found}")
        digits = bytes(data[position:end])
        if INTEGER.fullmatch(digits) is None:
            raise _no_stamp(position, digits.decode())
        time = integer(digits, INT64_MIN, INT64_MAX)
        if time is not None:
            time = self._stamps.scaled(time)
        if time is None or not INT64_MIN <= time <= INT64_MAX:
            unit = f" in {_UNITS[self._stamps.unit]}" if self._stamps.unit else ""
            expected = f"expected a time{unit} between the years 1677 and 2262"
            raise Wrong(position, f"timestamp out of range {short(digits.decode())}: {expected}")
        return time


def _no_stamp(position: int, text: str) -> Wrong:
    """What is said of something behind the fields that is no timestamp."""
    hint = ""
    if "=" in text:
        hint = ": between fields there is a comma and no space"
    elif text.startswith("#"):
        hint = ": a comment has a line of its own"
    expected = "expected a timestamp (a whole number) or the end of the line"
    return Wrong(position, f"{expected}, found {short(text)}{hint}")


class _TooLong(Wrong):
    def __init__(self, start: int, limit: int, position: int) -> None:
        super().__init__(start, f"longer than {limit} bytes")


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
