"""The fast way, for lines without anything out of the ordinary."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ccstore.lineprotocol.grammar import INT64_MAX, Wrong, unescape, unit_by_magnitude
from ccstore.lineprotocol.series import SeriesCache
from ccstore.message import Batch, Message

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
#: The groups of :data:`_CHUNK`: key, string, stamp, and instead of them any other line.
_Row = tuple[str, str, str, str]


class Stamps:
    """Reads timestamps.

    :ivar unit: nanoseconds in their unit; 0 to go by magnitude.
    :ivar default_time: of lines that carry none.
    """

    __slots__ = ("default_time", "unit")

    def __init__(self, unit: int) -> None:
        self.unit = unit
        self.default_time = 0

    def time(self, stamp: str) -> int:
        """The time of a stamp of digits, not checked to be in range."""
        if not stamp:
            return self.default_time
        number = int(stamp)
        return number * (self.unit or unit_by_magnitude(number))

    def times(self, stamps: Sequence[str]) -> list[int] | None:
        """The times of many stamps, of which some may be empty; None if one is out of range."""
        first = stamps[0]
        if stamps.count(first) == len(stamps):
            time = self.time(first)
            return [time] * len(stamps) if time <= INT64_MAX else None
        try:
            times = [*map(int, stamps)]
        except ValueError:  # there is an empty one
            times = [*map(self.time, stamps)]
        else:
            low, high = min(times), max(times)
            unit = self.unit or unit_by_magnitude(low)
            if not self.unit and unit != unit_by_magnitude(high):
                times = [*map(self.time, stamps)]
            elif unit != 1:
                times = [time * unit for time in times]
        return times if max(times) <= INT64_MAX else None


class Chunk:
    """The physical lines of some bytes, in the groups of the expression.

    :ivar is_text: all of it is UTF-8.
    """

    __slots__ = ("_quote", "is_text", "rows")

    def __init__(self, lines: bytes) -> None:
        self._quote = ""
        if b"\x01" not in lines:
            # With the most frequent escape out of the way, strings are found and unescaped in half the time.
            simpler = lines.replace(b'\\"', b"\x01")
            if b"\\" not in simpler:  # else it may be that the quote was not what the backslash escaped
                lines, self._quote = simpler, _QUOTE
        try:
            text, self.is_text = lines.decode(), True
        except UnicodeDecodeError:
            text, self.is_text = lines.decode(errors="surrogateescape"), False
        self.rows: list[_Row] = _CHUNK.findall(text)

    def batch(self, cache: SeriesCache, stamps: Stamps) -> Batch | None:
        """The messages, if all lines have the fast way's shape; None if one has not, or is wrong."""
        keys, raws, digits, others = zip(*self.rows, strict=True)
        if not self.is_text or any(others):
            return None
        try:
            series = [*map(cache.young.__getitem__, keys)]
        except KeyError:
            try:
                series = [*map(cache.get, keys)]
            except (Wrong, UnicodeEncodeError):
                return None
        times = stamps.times(digits)
        return None if times is None else Batch(series, self._texts(raws), times)

    def message(self, row: _Row, cache: SeriesCache, stamps: Stamps) -> Message | None:
        """The message of one line of the fast way's shape; None if it is wrong."""
        key, raw, digits, _ = row
        try:
            series = cache.get(key)
        except (Wrong, UnicodeEncodeError):
            return None
        time = stamps.time(digits)
        if time > INT64_MAX or not (self.is_text or _NO_TEXT.search(raw) is None):
            return None
        return Message(series, self._texts((raw,))[0], time)

    def _texts(self, raws: Sequence[str]) -> list[str]:
        """The values of strings between their quotes."""
        if self._quote:
            return [raw.replace(_QUOTE, '"') for raw in raws]
        return [unescape(raw) if "\\" in raw else raw for raw in raws]
