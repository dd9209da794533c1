"""The fast way, for lines without anything out of the ordinary."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import repeat
from operator import contains
from typing import Final

from ccstore.lineprotocol.grammar import INT64_MAX, INT64_MIN, Wrong, unescape, unit_by_magnitude
from ccstore.lineprotocol.series import SeriesCache
from ccstore.message import Batch, Message

#: Stand for an escaped quote and an escaped backslash while a chunk takes the fast way; a chunk that has them
#: already does without.
_QUOTE: Final = "\x01"
_BACKSLASH: Final = "\x02"
_HEAD: Final = r"[^ \\\n#\x01\x02][^ \\\n\x01\x02]*"
# One alternative per physical line: the fast way's shape, or else the line as it is. The first group, head
# and kind, is the key of a series.
_CHUNK: Final = re.compile(
    rf"({_HEAD} (?:event|log)=)"
    r'"([^"\\\n]*(?:\\.[^"\\\n]*)*)"(?: ([0-9]{1,19}))?\r?\n'
    r"|([^\n]*\n)"
)
_KEY: Final = re.compile(rf"{_HEAD} (?:event|log)=")
#: What may follow the strings of lines, each with a newline.
_STAMPS: Final = re.compile(r"(?:(?: [0-9]{1,19})?\n)*")
#: What stands for bytes that are no UTF-8.
_NO_TEXT: Final = re.compile("[\udc80-\udcff]")
#: The groups of :data:`_CHUNK`: key, string, stamp, and instead of them any other line.
_Row = tuple[str, str, str, str]


class Stamps:
    """Reads timestamps.

    :ivar unit: nanoseconds in their unit; 0 to go by magnitude.
    :ivar lenient: a stamp that is out of range in that unit goes by magnitude, too.
    :ivar default_time: of lines that carry none.
    """

    __slots__ = ("default_time", "lenient", "unit")

    def __init__(self, unit: int, *, lenient: bool = False) -> None:
        self.unit = unit
        self.lenient = lenient
        self.default_time = 0

    def time(self, stamp: str) -> int:
        """The time of a stamp of digits, not checked to be in range."""
        if not stamp:
            return self.default_time
        return self.scaled(int(stamp))

    def scaled(self, number: int) -> int:
        """The time of a number, not checked to be in range."""
        time = number * (self.unit or unit_by_magnitude(abs(number)))
        if self.lenient and not INT64_MIN <= time <= INT64_MAX:
            return number * unit_by_magnitude(abs(number))
        return time

    def times(self, stamps: Sequence[str]) -> list[int] | None:
        """The times of many stamps, of which some may be empty; None if one is out of range."""
        first = stamps[0]
        if stamps[-1] == first and stamps.count(first) == len(stamps):
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
                if self.lenient and max(times) > INT64_MAX:
                    times = [*map(self.time, stamps)]
        return times if max(times) <= INT64_MAX else None


class Chunk:
    """The physical lines of some bytes.

    :ivar is_text: all of it is UTF-8.
    """

    __slots__ = ("_is_simple", "_rows", "_text", "is_text")

    def __init__(self, lines: bytes) -> None:
        # With escapes out of the way, strings are found and unescaped in a third of the time.
        simple = _simplified(lines)
        self._is_simple = simple is not None
        if simple is not None:
            lines = simple
        try:
            self._text, self.is_text = lines.decode(), True
        except UnicodeDecodeError:
            self._text, self.is_text = lines.decode(errors="surrogateescape"), False
        self._rows: list[_Row] | None = None

    @property
    def rows(self) -> list[_Row]:
        """The lines in the groups of the expression."""
        if self._rows is None:
            self._rows = _CHUNK.findall(self._text)
        return self._rows

    def batch(self, cache: SeriesCache, stamps: Stamps) -> Batch | None:
        """The messages, if all lines have the fast way's shape; None if one has not, or is wrong."""
        if not self.is_text:
            return None
        columns = _columns(self._text) if self._is_simple else None
        if columns is None:
            *found, others = zip(*self.rows, strict=True)
            if any(others):
                return None
            columns = found
        keys, raws, digits = columns
        known = cache.young
        try:
            series = [*map(known.__getitem__, keys)]
        except KeyError:
            if not all(key in known or _KEY.fullmatch(key) for key in keys):
                return None
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
        if not self._is_simple:
            return [unescape(raw) if "\\" in raw else raw for raw in raws]
        if _BACKSLASH in self._text:
            return [raw.replace(_QUOTE, '"').replace(_BACKSLASH, "\\") for raw in raws]
        return [raw.replace(_QUOTE, '"') for raw in raws]


def _simplified(lines: bytes) -> bytes | None:
    """The lines with a character for each escape of two; None if there are other escapes than the usual."""
    if b"\x01" in lines or b"\x02" in lines or b"\x03" in lines:
        return None
    # To replace two bytes by two and then to delete one of them takes less time than to replace two by one.
    simple = lines.replace(b'\\"', b"\x03\x01")
    if b"\\" in simple:
        # It may be that the quote was not what the backslash escaped.
        simple = lines.replace(b"\\\\", b"\x03\x02").replace(b'\\"', b"\x03\x01")
    return None if b"\\" in simple else simple.translate(None, b"\x03")


def _columns(text: str) -> Sequence[Sequence[str]] | None:
    """The keys, strings and stamps of lines that all have the fast way's shape; None if one has not.

    It is what :data:`_CHUNK` finds, in half the time, but for the keys: what has not been seen before has to
    be looked at.

    :param text: without escapes, and with a newline at its end.
    """
    # Between two quotes there is either a string, or the end of its line and the beginning of the next.
    parts = text.split('"')
    strings, between = parts[1::2], parts[::2]
    if text.count("\n") != len(strings) or not all(map(contains, between[1:], repeat("\n"))):
        return None
    *pieces, last = "\n".join(between).split("\n")
    keys, stamps = pieces[::2], pieces[1::2]
    # A piece more or less, and some string has a newline, or the last line no end.
    if last or not len(keys) == len(stamps) == len(strings):
        return None
    if _STAMPS.fullmatch("\n".join([*stamps, ""])) is None:
        return None
    return [keys, strings, stamps]
