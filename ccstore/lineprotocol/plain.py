"""The fast way, for lines without anything out of the ordinary."""

from __future__ import annotations

import re
from codecs import escape_decode
from collections.abc import Sequence
from itertools import repeat
from operator import contains
from typing import Final, NamedTuple

from ccstore.lineprotocol.grammar import Wrong, unescape, unit_by_magnitude
from ccstore.lineprotocol.series import KEY_PATTERN, SeriesCache
from ccstore.message import INT64_MAX, INT64_MIN, IS_STORABLE, Batch, Facts

#: Stand for an escaped quote and an escaped backslash while a chunk is cut into rows; a chunk that has them
#: already does without.
_QUOTE: Final = "\x01"
_BACKSLASH: Final = "\x02"
# A physical line: what it has of the fast way's shape, and the rest. The first group, head and kind, is the
# key of a series. As something always matches, no string is read again for what follows it.
_CHUNK: Final = re.compile(
    rf"(?:({KEY_PATTERN})"
    r'"([^"\\\n]*(?:\\.[^"\\\n]*)*)"(?: ([0-9]{1,19}))?)?(?:\r?\n|([^\n]*\n))'
)
#: What may follow the strings of lines, each with a newline.
_STAMPS: Final = re.compile(r"(?:(?: [0-9]{1,19})?\n)*")
#: What stands for bytes that are no UTF-8.
_NO_TEXT: Final = re.compile("[\udc80-\udcff]")
#: The groups of :data:`_CHUNK`: key, string, stamp, and what there is besides.
Row = tuple[str, str, str, str]
#: Keys, strings and stamps.
_Columns = tuple[Sequence[str], list[str], Sequence[str]]


class Times(NamedTuple):
    """Times of lines, and which of them are the oldest and the newest."""

    all: list[int]
    oldest: int
    newest: int


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

    def times(self, stamps: Sequence[str]) -> Times | None:
        """The times of many stamps, of which some may be empty; None if one is out of range."""
        first = stamps[0]
        if stamps[-1] == first and stamps.count(first) == len(stamps):
            time = self.time(first)
            return Times([time] * len(stamps), time, time) if time <= INT64_MAX else None
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
            elif high <= INT64_MAX:
                return Times(times, low, high)
        newest = max(times)
        return Times(times, min(times), newest) if newest <= INT64_MAX else None


class Chunk:
    """The physical lines of some bytes."""

    __slots__ = ("_is_simple", "_is_text", "_lines", "_rows")

    def __init__(self, lines: bytes) -> None:
        self._lines = lines
        self._rows: list[Row] | None = None
        self._is_simple = self._is_text = False

    @property
    def rows(self) -> list[Row]:
        """The lines in the groups of the expression."""
        if self._rows is None:
            # With escapes out of the way, strings are found and unescaped in a third of the time.
            simple = _simplified(self._lines)
            self._is_simple = simple is not None
            lines = self._lines if simple is None else simple
            try:
                text, self._is_text = lines.decode(), True
            except UnicodeDecodeError:
                text, self._is_text = lines.decode(errors="surrogateescape"), False
            self._rows = _CHUNK.findall(text)
        return self._rows

    def odd(self, limit: int | None) -> list[int]:
        """The places of rows that need the general way.

        :param limit: bytes a line may have, if some of them may have more.
        """
        if limit is None:
            return [number for number, row in enumerate(self.rows) if row[3] or not row[0]]
        # A character has four bytes at most.
        most = (limit - 32) // 4
        return [
            number
            for number, (key, raw, _, other) in enumerate(self.rows)
            if other or not key or len(key) + len(raw) > most
        ]

    def batch(self, cache: SeriesCache, stamps: Stamps) -> Batch | None:
        """The messages, if all lines have the fast way's shape; None if one has not, or is wrong."""
        size = len(self._lines)
        columns = _columns(self._lines)
        if columns is None:
            return self.batch_of(self.rows, size, cache, stamps)
        return _batch(columns, size, cache, stamps)

    def batch_of(self, rows: list[Row], size: int, cache: SeriesCache, stamps: Stamps) -> Batch | None:
        """The messages of some rows, likewise.

        :param size: of the rows in bytes.
        """
        keys, raws, digits, others = zip(*rows, strict=True)
        if any(others) or not all(keys) or not (self._is_text or _NO_TEXT.search("".join(raws)) is None):
            return None
        return _batch((keys, self._texts(raws), digits), size, cache, stamps)

    def _texts(self, raws: Sequence[str]) -> list[str]:
        """The values of strings between their quotes."""
        if not self._is_simple:
            return [unescape(raw) if "\\" in raw else raw for raw in raws]
        return [raw.replace(_QUOTE, '"').replace(_BACKSLASH, "\\") for raw in raws]


def _batch(columns: _Columns, size: int, cache: SeriesCache, stamps: Stamps) -> Batch | None:
    """Messages of columns; None if a line is wrong."""
    keys, texts, digits = columns
    is_storable = True
    try:
        series = [*map(cache.storable.__getitem__, keys)]
    except KeyError:
        try:
            series = [*map(cache.get, keys)]
        except Wrong:
            return None
        is_storable = all(map(IS_STORABLE, series))
    times = stamps.times(digits)
    if times is None:
        return None
    facts = Facts(len(times.all), times.oldest, times.newest, size, is_storable)
    return Batch(series, texts, times.all, facts=facts)


def _simplified(lines: bytes) -> bytes | None:
    """The lines with a character for each escape of two; None if there are other escapes than the usual."""
    if b"\x01" in lines or b"\x02" in lines or b"\x03" in lines:
        return None
    # To replace two bytes by two and then to delete one of them takes less time than to replace two by one.
    simple = lines.replace(b"\\\\", b"\x03\x02").replace(b'\\"', b"\x03\x01")
    return None if b"\\" in simple else simple.translate(None, b"\x03")


# To tell quotes that are escaped from others, and to unescape them, takes one pass of a decoder of C's
# escapes: \a is a bell to it, so an `a` stands for each quote meanwhile, and what is a bell then was \".
_BELL: Final = b"\x07"
_BACKSPACE: Final = b"\x08"
#: Bytes that are in no UTF-8 stand for characters that would be taken for something else: 7 and 8 are bells
#: and backspaces, too, when they are written in octal.
_STANDS_FOR: Final = {b"a": b"\xff", b"b": b"\xfe", b"7": b"\xfd", b"8": b"\xfc"}
_TAKEN: Final = (_BELL, _BACKSPACE, *_STANDS_FOR.values())
_PLAIN, _STANDINS = b"".join(_STANDS_FOR), b"".join(_STANDS_FOR.values())
_IN_DISGUISE: Final = bytes.maketrans(_PLAIN + b'"', _STANDINS + b"a")
#: And back again, but that a newline stands for each quote that was not escaped.
_UNDISGUISED: Final = bytes.maketrans(_STANDINS + _BELL + _BACKSPACE + b"a", _PLAIN + b'"\\\n')
_NO_ENDS: Final = bytes(byte for byte in range(256) if byte not in b"a\n")


def _columns(lines: bytes) -> _Columns | None:
    """The keys, unescaped strings and stamps of lines that all have the fast way's shape.

    It is what :data:`_CHUNK` finds, in half the time, but for the keys: what has not been seen before has to
    be looked at. None if a line has another shape, or if there is anything unusual about its characters.
    """
    if any(map(contains, repeat(lines), _TAKEN)):
        return None
    disguised = lines.translate(_IN_DISGUISE)
    try:
        found, _ = escape_decode(disguised)
        escapes = found.count(_BELL)
        if b"\\" in found:
            # There are escaped backslashes, if nothing else.
            disguised = disguised.replace(b"\\\\", b"\\b")
            found, _ = escape_decode(disguised)
            if b"\\" in found:
                return None
            escapes = found.count(_BELL) + found.count(_BACKSPACE)
        # If anything else had been unescaped, there would be less left.
        if len(disguised) - len(found) != escapes:
            return None
        pieces = found.translate(_UNDISGUISED).decode().split("\n")
    except (ValueError, DeprecationWarning):  # of an escape that C does not know
        return None
    keys, texts, stamps = pieces[:-1:3], pieces[1::3], pieces[2::3]
    # The ends of pieces have to be two quotes and a newline, in turn.
    if found.translate(None, _NO_ENDS) != b"aa\n" * len(stamps) or pieces[-1]:
        return None
    # What is escaped in a head means something else.
    heads = "".join(keys)
    if '"' in heads or "\\" in heads or _STAMPS.fullmatch("\n".join([*stamps, ""])) is None:
        return None
    return keys, texts, stamps
