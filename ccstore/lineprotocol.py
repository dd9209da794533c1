"""InfluxDB line protocol: bytes to messages and back.

The grammar is that of the reference decoder (`influxdata/line-protocol`, version 2): what it accepts is
accepted here with the same values, what it rejects is rejected, with two exceptions. A line that is wrong
does not end the rest, and of a tag or a field given twice the last value counts.

An *entry* is what the format calls a line. It ends at the first newline outside a quoted string, so it may
span several physical lines. Where an entry is wrong, decoding goes on after the newline that ends it, with
one refinement that protects its neighbours: if a quoted string swallowed line ends, and it is not closed or
anything behind it in the line in which it ends is wrong, then its opening quote is taken to be the mistake,
and decoding goes on after the first newline behind that quote.

There are two ways through the decoder. The *fast way* is one regular expression over a whole chunk, for the
lines that make up nearly all traffic: a head without escapes, one string field ``event`` or ``log`` without
raw newlines, perhaps a timestamp. If all lines of a chunk are such, they are not even looked at one by one:
what the expression found is turned into columns as a whole. Everything else takes the *general way*, which
knows the whole grammar and reports what is wrong and where. Both share the cache of series, and tests prove
that they agree.
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from ccstore.message import Batch, FieldValue, Kind, Message, Series, classify

Precision = Literal["auto", "s", "ms", "us", "ns"]

#: Nanoseconds in a unit of each precision; ``auto`` is decided stamp by stamp.
NANOSECONDS: Final[Mapping[str, int]] = {"auto": 0, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
#: What is decoded in one go, in bytes: it bounds the memory that takes.
_PIECE: Final = 1 << 18
#: How much of a rejected line is kept, in characters.
TEXT_LIMIT: Final = 200

_INT64_MAX: Final = 2**63 - 1
_INT64_MIN: Final = -(2**63)
_UINT64_MAX: Final = 2**64 - 1
_SECONDS_BELOW: Final = 10**11
_MILLISECONDS_BELOW: Final = 10**14
_MICROSECONDS_BELOW: Final = 10**17

#: Stands for an escaped quote while a chunk takes the fast way; a chunk that has it already does without.
_QUOTE: Final = "\x01"
# One alternative per physical line: the fast way's shape, or else the line as it is. The first group, head
# and kind, is the key of a series.
_CHUNK: Final = re.compile(
    r"([^ \\\n#\x01][^ \\\n\x01]* (?:event|log))"
    r'="([^"\\\n]*(?:\\.[^"\\\n]*)*)"(?: ([0-9]{1,19}))?\r?\n'
    r"|([^\n]*\n)"
)
#: What stands for bytes that are no UTF-8.
_NO_TEXT: Final = re.compile("[\udc80-\udcff]")
_HEAD: Final = re.compile(rb"[^ \\]*(?:\\ ?[^ \\]*)*")
_PLAIN_TOKEN: Final = r"[^\x00-\x20\x7f,=\\\ud800-\udfff]+"
_PLAIN_HEAD: Final = re.compile(rf"{_PLAIN_TOKEN}(?:,{_PLAIN_TOKEN}={_PLAIN_TOKEN})*")
_MEASUREMENT: Final = re.compile(rb"[^\x00-\x20\x7f,\\]*(?:\\[ ,]?[^\x00-\x20\x7f,\\]*)*")
_KEY: Final = re.compile(rb"[^\x00-\x20\x7f,=\\]*(?:\\[,= ]?[^\x00-\x20\x7f,=\\]*)*")
_STRING: Final = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_VALUE: Final = re.compile(rb"[^, \r\n]*")
_STAMP: Final = re.compile(rb"[-0-9]*")
_SPACES: Final = re.compile(rb" *")
_COMMENT: Final = re.compile(rb"[^\x00-\x1f\x7f]*")

_MEASUREMENT_ESCAPE: Final = re.compile(rb"\\([ ,])")
_KEY_ESCAPE: Final = re.compile(rb"\\([,= ])")
_STRING_ESCAPE: Final = re.compile(r'\\([\\"nrt])')
_STRING_ESCAPES: Final = {"\\": "\\", '"': '"', "n": "\n", "r": "\r", "t": "\t"}

_INTEGER: Final = re.compile(rb"-?[0-9]+")
# Here and below, only one way to match: else a long number that is wrong would take the square of its length.
_DIGITS: Final = rb"[0-9]+(?:_[0-9]+)*"
_FLOAT: Final = re.compile(
    rb"-?(?:%(d)b(?:\.(?:%(d)b)?)?|\.%(d)b)(?:[eE][+-]?%(d)b)?" % {b"d": _DIGITS},
)
_HEX_DIGITS: Final = rb"[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*"
_HEX_FLOAT: Final = re.compile(
    rb"-?0[xX](?:_?%(h)b(?:\.(?:%(h)b)?)?|\.%(h)b)[pP][+-]?%(d)b" % {b"h": _HEX_DIGITS, b"d": _DIGITS},
)
_BOOLEANS: Final = {
    **dict.fromkeys((b"t", b"T", b"true", b"True", b"TRUE"), True),
    **dict.fromkeys((b"f", b"F", b"false", b"False", b"FALSE"), False),
}

#: Characters of a head that is too long to be kept.
_LONG_HEAD: Final = 4096
_FREQUENT: Final[tuple[Kind, ...]] = ("metric", "event", "log")

_Buffer = bytes | bytearray
#: The groups of :data:`_CHUNK`: key, string, stamp, and instead of them any other line.
_Row = tuple[str, str, str, str]


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


class _Wrong(Exception):
    """A mistake at an offset into whatever is being read."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(reason)
        self.offset = offset
        self.reason = reason


class SeriesCache:
    """Series by their key, so that what a sender repeats is decoded once.

    The key is the head of a line, a space, and the kind of the line. Bounded by two generations: when the
    young one is full it becomes the old one, and what is still in use moves over at its next sight. At most
    ``2 * size`` series are held, with ``2 * text`` characters in their keys, and a hit costs one look-up.

    All receivers share one cache.
    """

    def __init__(self, size: int = 1 << 17, text: int = 1 << 24) -> None:
        self.size = size
        self.text = text
        self.young: dict[str, Series] = {}
        self._old: dict[str, Series] = {}
        self._young_text = 0
        self._tokens: dict[str, str] = {}

    def get(self, key: str) -> Series:
        """The series of a key; raises :class:`_Wrong` or UnicodeEncodeError if its head is wrong."""
        series = self.young.get(key)
        if series is None:
            series = self._old.get(key)
            if series is None:
                head, _, kind = key.rpartition(" ")
                # The fast way knows of these two.
                series = self._make(*_decode_head(head), "event" if kind == "event" else "log")
            self._keep(key, series)
        return series

    def head(self, head: bytes) -> tuple[str, Mapping[str, str]]:
        """Name and tags of a head; raises :class:`_Wrong` with an offset into it."""
        try:
            text = head.decode()
        except UnicodeDecodeError:
            return _decode_head_slowly(head)
        for kind in _FREQUENT:
            series = self.young.get(f"{text} {kind}")
            if series is not None:
                return series.name, series.tags
        return _decode_head(text)

    def of_kind(self, head: str, kind: Kind, name: str, tags: Mapping[str, str]) -> Series:
        """The series of a head that is decoded already."""
        key = f"{head} {kind}"
        series = self.young.get(key)
        if series is None:
            series = self._old.get(key) or self._make(name, tags, kind)
            self._keep(key, series)
        return series

    def _make(self, name: str, tags: Mapping[str, str], kind: Kind) -> Series:
        """A series that has the names and values it shares with others only once in memory."""
        tokens = self._tokens
        if len(tokens) >= self.size:
            tokens.clear()
        one = tokens.setdefault
        return Series(
            one(name, name), {one(key, key): one(value, value) for key, value in tags.items()}, kind
        )

    def _keep(self, key: str, series: Series) -> None:
        if len(self.young) >= self.size or self._young_text >= self.text:
            self._old, self.young = self.young, {}
            self._young_text = 0
        if len(key) <= _LONG_HEAD:
            self.young[key] = series
            self._young_text += len(key)


class StreamDecoder:
    """Decodes a stream that arrives in arbitrary pieces.

    The result does not depend on where the pieces are cut.

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
        max_line_length: int | None = None,
        fast: bool = True,
        lines: list[int] | None = None,
    ) -> None:
        self._lines = lines
        self._cache = SeriesCache() if cache is None else cache
        self._unit = NANOSECONDS[precision]
        self._max = max_line_length
        self._fast = fast
        self._rest = bytearray()  # an entry whose end has not arrived, from its first byte
        self._line = 1  # number of the physical line at the start of _rest
        self._entry: Generator[bytes, None, int] | None = None  # the general way, waiting inside _rest
        self._wanted = b"\n"  # the byte without which _rest cannot be taken any further
        self._skipping = False  # inside a line that is too long
        self._complete = False
        self._default_time = 0
        self._out = Decoded(Batch(), [])

    @property
    def pending(self) -> int:
        """Bytes held of an entry that is not complete."""
        return len(self._rest)

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
        return self._out

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
        return self._out

    def plain(self, lines: bytes, default_time: int) -> Batch | None:
        """The messages of whole lines, if all of them have the fast way's shape, one each; else None.

        That is so for most of what is sent, and it does not touch the stream.
        """
        self._begin(default_time)
        if self._max is not None and len(lines) > self._max:
            return None
        rows, quote, is_text = _split(lines)
        return self._columns(rows, quote) if is_text and rows else None

    def abandon(self, reason: str) -> LineError | None:
        """Give up an entry that will never be complete, for this reason; None if there is none."""
        if not self._rest:
            return None
        error = LineError(self._line, 1, reason, _shown(self._rest, 0))
        self._rest.clear()
        self._entry = None
        return error

    def _begin(self, default_time: int) -> None:
        self._out = Decoded(Batch(), [])
        unit = self._unit or 1
        self._default_time = default_time - default_time % unit

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
        rows, quote, is_text = _split(data if stop == len(data) else data[:stop])
        if is_text and (self._max is None or stop <= self._max):
            batch = self._columns(rows, quote)
            if batch is not None:
                self._out.messages.extend(batch)
                self._line += len(rows)
                return stop
        return self._rows_one_by_one(rows, quote, is_text, data, stop)

    def _columns(self, rows: list[_Row], quote: str) -> Batch | None:
        """The messages of lines that all have the fast way's shape; None if one has not, or is wrong."""
        keys, raws, stamps, others = zip(*rows, strict=True)
        if any(others):
            return None
        cache = self._cache
        try:
            series = [*map(cache.young.__getitem__, keys)]
        except KeyError:
            try:
                series = [*map(cache.get, keys)]
            except (_Wrong, UnicodeEncodeError):
                return None
        times = self._times(stamps)
        if times is None:
            return None
        return Batch(series, _texts(raws, quote), times)

    def _times(self, stamps: Sequence[str]) -> list[int] | None:
        """The times of many stamps, of which some may be empty; None if one is out of range."""
        first = stamps[0]
        if stamps.count(first) == len(stamps):
            time = self._time(first)
            return [time] * len(stamps) if time <= _INT64_MAX else None
        try:
            times = [*map(int, stamps)]
        except ValueError:  # there is an empty one
            times = [*map(self._time, stamps)]
        else:
            low, high = min(times), max(times)
            unit = self._unit or _unit_by_magnitude(low)
            if not self._unit and unit != _unit_by_magnitude(high):
                times = [*map(self._time, stamps)]
            elif unit != 1:
                times = [time * unit for time in times]
        return times if max(times) <= _INT64_MAX else None

    def _time(self, stamp: str) -> int:
        """The time of a stamp of digits, not checked to be in range."""
        if not stamp:
            return self._default_time
        number = int(stamp)
        return number * (self._unit or _unit_by_magnitude(number))

    def _rows_one_by_one(self, rows: list[_Row], quote: str, is_text: bool, data: bytes, stop: int) -> int:
        """As :meth:`_rows`, for a chunk in which some lines need the general way.

        Every row is exactly one physical line, so a position is only worked out, by counting, when a line
        needs the general way.
        """
        limit = self._max
        get = self._cache.get
        append = self._out.messages.append
        position = 0  # of the line with number `counted`
        counted = 0
        skip = 0  # physical lines that belong to an entry already decoded
        number = -1
        end = 0  # of the last entry that took the general way
        first_line = self._line
        for number, (key, raw, stamp, other) in enumerate(rows):
            if skip:
                skip -= 1
                continue
            # A character has four bytes at most.
            if key and (limit is None or 4 * (len(key) + len(raw)) + 32 <= limit):
                try:
                    series = get(key)
                except (_Wrong, UnicodeEncodeError):
                    pass  # the general way says what is wrong, and where
                else:
                    time = self._time(stamp)
                    if time <= _INT64_MAX and (is_text or _NO_TEXT.search(raw) is None):
                        append(Message(series, _texts((raw,), quote)[0], time))
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

    def _read_entry(self, data: _Buffer, start: int) -> Generator[bytes, None, int]:
        """The general way: read one entry, and yield the wanted byte wherever there are too few.

        ``data`` grows between one step and the next if it is a bytearray. Returns where to go on.
        """
        line = self._line
        resume = -1
        opening = closing = -1  # the quotes of the last string that runs over a line end
        try:
            end = yield from self._find_newline(data, start, start)
            resume = end + 1
            position, last = _trim(data, start, end)
            if position == last:
                return min(resume, len(data))
            if data[position] == 0x23:
                comment = _match_end(_COMMENT, data, position, last)
                if comment < last:
                    raise _Wrong(comment, "control character in a comment")
                return min(resume, len(data))
            head_end = _match_end(_HEAD, data, position, last)
            head = bytes(data[position:head_end])
            try:
                name, tags = self._cache.head(head)
            except _Wrong as wrong:
                raise _Wrong(position + wrong.offset, wrong.reason) from None
            position = _match_end(_SPACES, data, head_end, last)
            if position == head_end:
                raise _Wrong(position, "no field")
            fields: dict[str, FieldValue] = {}
            while True:
                key_end = _match_end(_KEY, data, position, last)
                if key_end == position:
                    raise _Wrong(position, f"expected a field key, found {_what(data, position, last)}")
                key = _token(data, position, key_end, _KEY_ESCAPE)
                position = key_end + 1
                if key_end == last or data[key_end] != 0x3D:
                    found = _what(data, key_end, last)
                    raise _Wrong(key_end, f"expected '=' after the field key {_short(key)}, found {found}")
                if position < last and data[position] == 0x22:
                    quote = position
                    try:
                        position = (yield from self._find_quote(data, start, quote)) + 1
                    except _Wrong:
                        opening, resume = -1, end + 1
                        raise
                    if position > end:
                        # Should anything behind it be wrong, then what it swallowed may be the neighbours.
                        opening, closing, resume = quote, position - 1, end + 1
                        end = yield from self._find_newline(data, start, position)
                        last = _trim(data, position, end)[1]
                    fields[key] = _string(data, quote + 1, position - 1)
                else:
                    value_end = _match_end(_VALUE, data, position, last)
                    fields[key] = _value(bytes(data[position:value_end]), position, key)
                    position = value_end
                if position == last:
                    break
                after = data[position]
                if after == 0x2C:
                    position += 1
                elif after == 0x20:
                    break
                else:
                    found = _what(data, position, last)
                    raise _Wrong(position, f"unexpected {found} after the field {_short(key)}")
            time = self._stamp(data, position, last)
            series = self._cache.of_kind(head.decode(), classify(tags, fields), name, tags)
            self._out.messages.append(Message.of(series, fields, time))
            if self._lines is not None:
                self._lines.append(line)
            resume = end + 1
        except _Wrong as wrong:
            offset, reason = wrong.offset, wrong.reason
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
            text = _shown(data, start, limit=self._max)
            self._out.errors.append(LineError(line + lines, column, reason, text))
            if resume < 0:
                resume = self._skip_line(data, start)
        return min(resume, len(data))

    def _find_newline(self, data: _Buffer, start: int, position: int) -> Generator[bytes, None, int]:
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

    def _find_quote(self, data: _Buffer, start: int, opening: int) -> Generator[bytes, None, int]:
        """Where the string opened here is closed."""
        position = opening + 1
        while True:
            limit = len(data) if self._max is None else min(len(data), start + self._max)
            position = _match_end(_STRING, data, position, limit)
            if position < limit and data[position] == 0x22:
                return position
            if self._complete or (self._max is not None and limit == start + self._max):
                raise _Wrong(opening, "the string opened here is never closed")
            yield b'"'

    def _skip_line(self, data: _Buffer, position: int) -> int:
        newline = data.find(b"\n", position)
        if newline < 0:
            self._skipping = not self._complete
            return len(data)
        return newline + 1

    def _stamp(self, data: _Buffer, position: int, last: int) -> int:
        position = _match_end(_SPACES, data, position, last)
        if position == last:
            return self._default_time
        end = _match_end(_STAMP, data, position, last)
        after = _match_end(_SPACES, data, end, last)
        if end == position or (after == end and end < last):
            raise _Wrong(position, f"invalid timestamp {_short(_shown(data, position, last))}")
        if after < last:
            raise _Wrong(after, f"unexpected text after the timestamp: {_short(_shown(data, after, last))}")
        digits = bytes(data[position:end])
        time = _integer(digits, _INT64_MIN, _INT64_MAX)
        if time is not None:
            time *= self._unit or _unit_by_magnitude(abs(time))
        if time is None or not _INT64_MIN <= time <= _INT64_MAX:
            why = "invalid timestamp" if _INTEGER.fullmatch(digits) is None else "timestamp out of range"
            raise _Wrong(position, f"{why} {_short(digits.decode())}")
        return time


class _TooLong(_Wrong):
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


def encode(messages: Iterable[Message], *, precision: Literal["s", "ms", "us", "ns"] = "ns") -> bytes:
    """Line protocol that decodes to these messages again, one line each.

    Timestamps are cut to the precision. Raises ValueError for what the format cannot carry: an empty or
    unprintable name, key or tag value, one that ends in a backslash, a name that begins with ``#``, a
    message without fields, a number that is not finite, a number or a time that does not fit into 64 bits.
    """
    return b"".join(_encode_line(message, NANOSECONDS[precision]) for message in messages)


def _encode_line(message: Message, unit: int) -> bytes:
    if message.name.startswith("#"):
        raise ValueError(f"the name {message.name!r} would read as a comment")
    if not message.fields:
        raise ValueError(f"a message needs a field: {message.name!r}")
    parts = [_encode_token(message.name, " ,")]
    parts += [
        f",{_encode_token(key, ',= ')}={_encode_token(value, ',= ')}" for key, value in message.tags.items()
    ]
    fields = [f"{_encode_token(key, ',= ')}={_encode_value(value)}" for key, value in message.fields.items()]
    stamp = message.time // unit
    if not _INT64_MIN <= stamp * unit <= _INT64_MAX:
        raise ValueError(f"line protocol cannot carry the time {message.time}")
    return f"{''.join(parts)} {','.join(fields)} {stamp}\n".encode()


def _encode_token(token: str, special: str) -> str:
    if not token or token.endswith("\\") or any(c < " " or c == "\x7f" for c in token):
        raise ValueError(f"line protocol cannot carry the name, key or tag value {token!r}")
    for character in special:
        token = token.replace(character, "\\" + character)
    return token


def _encode_value(value: FieldValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
            value = value.replace(plain, escaped)
        return f'"{value}"'
    if isinstance(value, int):
        if not _INT64_MIN <= value <= _UINT64_MAX:
            raise ValueError(f"line protocol cannot carry the integer {value}")
        return f"{value}i" if value <= _INT64_MAX else f"{value}u"
    if not math.isfinite(value):
        raise ValueError(f"line protocol cannot carry {value}")
    return repr(value)


def _decode_head(head: str) -> tuple[str, dict[str, str]]:
    """A measurement and its tags, up to the unescaped space that ends them."""
    if _PLAIN_HEAD.fullmatch(head) is None:
        return _decode_head_slowly(head.encode())
    name, *tags = head.split(",")
    return name, dict([tag.split("=") for tag in tags])


def _decode_head_slowly(head: bytes) -> tuple[str, dict[str, str]]:
    """The same for any head; raises :class:`_Wrong`."""
    end = len(head)
    position = _match_end(_MEASUREMENT, head, 0, end)
    if position == 0:
        raise _Wrong(0, f"expected a measurement name, found {_what(head, 0, end)}")
    name = _token(head, 0, position, _MEASUREMENT_ESCAPE)
    tags: dict[str, str] = {}
    while position < end:
        if head[position] != 0x2C:
            raise _Wrong(position, f"expected ',' or a space, found {_what(head, position, end)}")
        position += 1
        key_end = _match_end(_KEY, head, position, end)
        if key_end == position:
            raise _Wrong(position, f"expected a tag key after ',', found {_what(head, position, end)}")
        key = _token(head, position, key_end, _KEY_ESCAPE)
        if key_end == end or head[key_end] != 0x3D:
            found = _what(head, key_end, end)
            raise _Wrong(key_end, f"expected '=' after the tag key {_short(key)}, found {found}")
        position = key_end + 1
        value_end = _match_end(_KEY, head, position, end)
        if value_end == position:
            found = _what(head, position, end)
            raise _Wrong(position, f"expected a value for the tag {_short(key)}, found {found}")
        tags[key] = _token(head, position, value_end, _KEY_ESCAPE)
        position = value_end
    return name, tags


def _match_end(pattern: re.Pattern[bytes], data: _Buffer, position: int, end: int) -> int:
    """Where a match of a pattern that matches at least nothing ends."""
    match = pattern.match(data, position, end)
    assert match is not None
    return match.end()


def _trim(data: _Buffer, start: int, end: int) -> tuple[int, int]:
    """The physical line without leading spaces and without the carriage return that ends it."""
    if end > start and data[end - 1] == 0x0D:
        end -= 1
    return _match_end(_SPACES, data, start, end), end


def _token(data: _Buffer, start: int, end: int, escape: re.Pattern[bytes]) -> str:
    token = bytes(data[start:end])
    if b"\\" in token:
        token = escape.sub(rb"\1", token)
    try:
        return token.decode()
    except UnicodeDecodeError as error:
        raise _Wrong(start, f"invalid UTF-8 in {_short(_shown(token, 0))} ({error.reason})") from None


def _split(chunk: bytes) -> tuple[list[_Row], str, bool]:
    """The physical lines of a chunk in the groups of :data:`_CHUNK`.

    Besides, what stands for an escaped quote in them, or nothing; and whether all of the chunk is UTF-8.
    """
    quote = ""
    lines = chunk
    if b"\x01" not in chunk:
        # With the most frequent escape out of the way, strings are found and unescaped in half of the time.
        lines = chunk.replace(b'\\"', b"\x01")
        quote = _QUOTE
        if b"\\" in lines:
            lines, quote = chunk, ""  # it may be that the quote was not what the backslash escaped
    try:
        text, is_text = lines.decode(), True
    except UnicodeDecodeError:
        text, is_text = lines.decode(errors="surrogateescape"), False
    return _CHUNK.findall(text), quote, is_text


def _texts(raws: Sequence[str], quote: str) -> list[str]:
    """The values of strings between their quotes."""
    if quote:
        return [raw.replace(quote, '"') for raw in raws]
    return [_unescape(raw) if "\\" in raw else raw for raw in raws]


def _unescape(raw: str) -> str:
    """The value of a string field between its quotes."""
    if "\\\\" in raw:
        return _STRING_ESCAPE.sub(lambda match: _STRING_ESCAPES[match[1]], raw)
    # Without an escaped backslash, no replacement can make or break another.
    raw = raw.replace('\\"', '"')
    if "\\" in raw:
        raw = raw.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t")
    return raw


def _string(data: _Buffer, start: int, end: int) -> str:
    try:
        raw = bytes(data[start:end]).decode()
    except UnicodeDecodeError as error:
        raise _Wrong(start + error.start, f"invalid UTF-8 in a string ({error.reason})") from None
    return _unescape(raw) if "\\" in raw else raw


def _value(raw: bytes, position: int, key: str) -> FieldValue:
    """A field value that is not a string."""
    first = raw[:1]
    value: FieldValue | None
    if first in (b"t", b"T", b"f", b"F"):
        value = _BOOLEANS.get(raw)
        expected = "a boolean"
    elif first and first in b"-.0123456789":
        if raw.endswith(b"i"):
            value = _integer(raw[:-1], _INT64_MIN, _INT64_MAX)
            expected = "a 64-bit integer"
        elif raw.endswith(b"u"):
            value = None if first == b"-" else _integer(raw[:-1], 0, _UINT64_MAX)
            expected = "an unsigned 64-bit integer"
        else:
            value = _float(raw)
            expected = "a finite number"
    elif raw:
        value, expected = None, "a number, a boolean or a quoted string"
    else:
        raise _Wrong(position, f"no value for field {_short(key)}")
    if value is None:
        raise _Wrong(position, f"the value {_short(_shown(raw, 0))} of field {_short(key)} is not {expected}")
    return value


def _integer(raw: bytes, low: int, high: int) -> int | None:
    if _INTEGER.fullmatch(raw) is None or len(raw.lstrip(b"-0")) > 20:
        return None
    # int() refuses thousands of digits, and leading zeros are allowed.
    value = int(raw.lstrip(b"-0") or b"0")
    if raw.startswith(b"-"):
        value = -value
    return value if low <= value <= high else None


def _float(raw: bytes) -> float | None:
    if _FLOAT.fullmatch(raw):
        value = float(raw)
    elif _HEX_FLOAT.fullmatch(raw):
        try:
            value = float.fromhex(raw.replace(b"_", b"").decode())
        except OverflowError:
            return None
    else:
        return None
    return value if math.isfinite(value) else None


def _unit_by_magnitude(stamp: int) -> int:
    if stamp < _SECONDS_BELOW:
        return 1_000_000_000
    if stamp < _MILLISECONDS_BELOW:
        return 1_000_000
    return 1_000 if stamp < _MICROSECONDS_BELOW else 1


def _what(data: _Buffer, position: int, end: int) -> str:
    """What stands at a position, for an error message."""
    if position >= end:
        return "the end of the line"
    character = data[position]
    return repr(chr(character)) if character < 0x80 else f"the byte 0x{character:02x}"


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")


def _shown(data: _Buffer, start: int, end: int | None = None, limit: int | None = None) -> str:
    """The physical line at a position as text, cut short."""
    most = start + min(4 * TEXT_LIMIT, limit or 4 * TEXT_LIMIT)
    if end is None:
        newline = data.find(b"\n", start, most)
        end = newline if newline >= 0 else most
    return bytes(data[start : min(end, most)]).decode(errors="replace").rstrip("\r")[:TEXT_LIMIT]
