"""The general way: one entry, read as the whole grammar has it, and what is said if it is wrong."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, NamedTuple

from ccstore.lineprotocol.grammar import (
    BEGINNING,
    BYTE_ORDER_MARK,
    COMMENT,
    FIELD,
    FOLLOWING,
    INTEGER,
    KEY,
    KEY_ESCAPE,
    NANOSECONDS,
    SPACES,
    STAMP,
    STRING,
    Buffer,
    Missing,
    Wrong,
    integer,
    match_end,
    short,
    shown,
    string,
    token,
    value_of,
    what,
)
from ccstore.lineprotocol.plain import Stamps
from ccstore.lineprotocol.series import SeriesCache
from ccstore.message import INT64_MAX, INT64_MIN, FieldValue, Message

_UNITS: Final = {unit: precision for precision, unit in NANOSECONDS.items()}


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


class Terms:
    """On which entries are read.

    :ivar limit: bytes an entry may have, its newline not counted; None means no limit.
    :ivar is_complete: nothing more will come.
    """

    __slots__ = ("cache", "is_complete", "limit", "stamps")

    def __init__(self, cache: SeriesCache, stamps: Stamps, limit: int | None) -> None:
        self.cache = cache
        self.stamps = stamps
        self.limit = limit
        self.is_complete = False


class Entry:
    """An entry at a place in bytes, of which more may come while it is read.

    :ivar line: number of the physical line on which it begins.
    :ivar resume: where to go on behind it; -1 if it is too long, and nothing but its beginning is there.
    :ivar message: what it says; None if it is nothing but a comment or spaces, or not read yet.
    """

    # Most entries have nothing of this.
    message: Message | None = None
    resume = -1
    _key: str | None = None  # of a string that has been read, and what follows it has not
    _opening = _closing = -1  # the quotes of the last string that runs over a line end

    def __init__(self, terms: Terms, data: Buffer, start: int, line: int) -> None:
        self._terms = terms
        self._data = data
        self._start = self._position = start
        self.line = line
        self._head = b""
        self._fields: dict[str, FieldValue] = {}
        limit = terms.limit
        # Of the physical line that is being read; -1 as long as it is not there.
        self._end = data.find(b"\n", start) if limit is None else data.find(b"\n", start, start + limit + 1)

    def read(self) -> Generator[bytes, None, None]:
        """Read what is left, and yield the wanted byte wherever there are too few; raises :class:`Wrong`."""
        if self._end < 0:
            self._end = yield from self._find_newline(self._start)
        elif self._key is not None:
            yield from self._read_over_lines()
        while not self.read_line():
            yield from self._read_over_lines()

    def read_line(self) -> bool:
        """Read on to the end of a physical line; returns whether the entry ends there.

        If it does not, there is none, or a string goes on behind it. Raises :class:`Wrong`.
        """
        if self._end < 0:
            return False
        if not self._head and not self._begin():
            return True
        try:
            time = self._read_fields()
        except Wrong:
            self._check_head()
            raise
        if time is None:
            return False
        try:
            series = self._terms.cache.of_line(self._head, self._fields)
        except Wrong as wrong:
            wrong.offset += self._head_at
            raise
        self.message = Message.of(series, self._fields, time)
        self.resume = self._end + 1
        return True

    def _begin(self) -> bool:
        """Read the head; returns whether there is one."""
        data, start, end = self._data, self._start, self._end
        self.resume = end + 1
        self._last = last = end - 1 if end > start and data[end - 1] == 0x0D else end
        if self.line == 1 and data.startswith(BYTE_ORDER_MARK, start):
            start += len(BYTE_ORDER_MARK)
        beginning = BEGINNING.match(data, start, last)
        assert beginning is not None  # it may match nothing
        self._head = head = beginning[1]
        self._head_at = beginning.start(1)
        self._position = beginning.end()
        if head and head[0] != 0x23:
            return True
        comment = match_end(COMMENT, data, self._head_at, last)
        if comment < last:
            raise Missing(comment, "no control character in a comment")
        return False

    def _read_fields(self) -> int | None:
        """Read fields, and the time behind them; None if the string of one does not end in this line."""
        data, position, last, fields, key = self._data, self._position, self._last, self._fields, self._key
        while True:
            if key is None:
                found = FIELD.match(data, position, last)
                if found is None:
                    self._open_string(position)
                    return None
                raw_key, raw_string, value, comma, stamp = found.groups()
                key = token(raw_key, position, KEY_ESCAPE)
                if value is None:
                    fields[key] = string(raw_string, found.start(2))
                else:
                    fields[key] = value_of(value, found.start(3), key)
            else:
                found = FOLLOWING.match(data, position, last)
                if found is None:
                    return self._unusual_time(position, key)
                comma, stamp = found.groups()
            position = found.end()
            if comma is None:
                break
            key = None
        stamps = self._terms.stamps
        if stamp is None:
            return stamps.default_time if position == last else self._unusual_time(position, key)
        time = stamps.scaled(int(stamp))
        if INT64_MIN <= time <= INT64_MAX:
            return time
        return self._unusual_time(found.start(found.lastindex or 0) - 1, key)

    def _open_string(self, position: int) -> None:
        """Read the key of a string that does not end in this line; raises :class:`Wrong`."""
        data, last = self._data, self._last
        key_end = match_end(KEY, data, position, last)
        if key_end == position:
            if position == self._head_at + len(self._head):
                raise Wrong(position, "no field")
            raise Missing(position, "a field key after ','" if self._fields else "a field key")
        key = token(bytes(data[position:key_end]), position, KEY_ESCAPE)
        if key_end == last or data[key_end] != 0x3D:
            raise Missing(key_end, f"'=' after the field key {short(key)}")
        if key_end + 1 == last or data[key_end + 1] != 0x22:
            raise Missing(key_end + 1, f"a value for the field {short(key)}")
        self._key = key
        self._position = key_end + 1
        # What it swallows, and how long that is waited for, is of no interest behind a wrong head.
        self._check_head()

    def _read_over_lines(self) -> Generator[bytes, None, None]:
        """Read the string that is open, and go on in the line in which it is closed."""
        end, quote = self._end, self._position
        assert self._key is not None
        try:
            closing = yield from self._find_close(quote)
        except Wrong:
            self._opening, self.resume = -1, end + 1
            raise
        # Should anything behind it be wrong, then what it swallowed may be the neighbours.
        self._opening, self._closing, self.resume = quote, closing, end + 1
        self._position = closing + 1
        self._end = end = yield from self._find_newline(closing + 1)
        self._last = end - 1 if end > closing + 1 and self._data[end - 1] == 0x0D else end
        self._fields[self._key] = string(bytes(self._data[quote + 1 : closing]), quote + 1)

    def error(self, wrong: Wrong) -> LineError:
        """What is said of it; ``resume`` is behind what the mistake has spoiled."""
        data, start = self._data, self._start
        opening, closing = self._opening, self._closing
        offset, reason = wrong.offset, wrong.reason
        if isinstance(wrong, Missing):
            reason += f", found {what(data, offset, self._last)}"
        if opening >= 0:
            if opening < offset < closing and (closing + 1 == self._last or data[closing + 1] in b", "):
                self.resume = self._end + 1  # the string is wrong, but it looks as if it ends where it should
            elif offset > closing:
                offset = opening
                reason = (
                    f"the string opened here runs over a line end, and then: {reason}: is a quote missing?"
                )
        lines = data.count(b"\n", start, offset)
        column = offset - (data.rfind(b"\n", 0, offset) if lines else start - 1)
        # No more than may be held, lest the text depend on how much of a line has arrived.
        return LineError(self.line + lines, column, reason, shown(data, start, limit=self._terms.limit))

    def _check_head(self) -> None:
        """Raise :class:`Wrong` if there is a mistake in the head: it comes before those behind it."""
        try:
            self._terms.cache.check(self._head)
        except Wrong as wrong:
            wrong.offset += self._head_at
            raise

    def _find_newline(self, position: int) -> Generator[bytes, None, int]:
        """Where the physical line at ``position`` ends: its newline, or the end of complete input."""
        data, terms = self._data, self._terms
        while True:
            limit = len(data) if terms.limit is None else self._start + terms.limit + 1
            newline = data.find(b"\n", position, limit)
            if newline >= 0:
                return newline
            if len(data) >= limit and terms.limit is not None:
                raise Wrong(self._start, f"longer than {terms.limit} bytes")
            if terms.is_complete:
                return len(data)
            position = len(data)
            yield b"\n"

    def _find_close(self, opening: int) -> Generator[bytes, None, int]:
        """Where the string opened here is closed."""
        data, terms = self._data, self._terms
        position = opening + 1
        while True:
            limit = len(data) if terms.limit is None else min(len(data), self._start + terms.limit)
            position = match_end(STRING, data, position, limit)
            if position < limit and data[position] == 0x22:
                return position
            if terms.is_complete or (terms.limit is not None and limit == self._start + terms.limit):
                raise Wrong(opening, "the string opened here is never closed")
            yield b'"'

    def _unusual_time(self, position: int, key: str) -> int:
        """The time behind the last field, if it is one of many digits; raises :class:`Wrong` if not.

        :param key: of that field.
        """
        data, last, stamps = self._data, self._last, self._terms.stamps
        if data[position] != 0x20:
            raise Missing(position, f"',', a space or the end of the line after the field {short(key)}")
        position = match_end(SPACES, data, position, last)
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
            time = stamps.scaled(time)
        if time is None or not INT64_MIN <= time <= INT64_MAX:
            unit = f" in {_UNITS[stamps.unit]}" if stamps.unit else ""
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
