"""A census: how many messages each stream has in a segment, in each hour, and when it has its first and last.

It is taken once, when a segment takes no more messages, so that whoever counts need not look at its rows. It
takes about a byte for each of them.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import accumulate
from operator import add, sub
from typing import Final, NamedTuple

from ccstore.message import INT64_MAX, INT64_MIN

#: Nanoseconds.
HOUR: Final = 3600 * 10**9
#: Cells for each message, above which none are kept: a few messages are spread over years then, as by a clock
#: that is wrong, and they are soon counted.
_CELLS: Final = 32
#: Messages that are looked at in one go for the first and last of each stream.
_BLOCK: Final = 4096
#: More takes several times as long, and saves a fifth.
_LEVEL: Final = 1


class PackedCensus(NamedTuple):
    """As it is stored.

    :ivar first: time of the oldest message, in nanoseconds.
    :ivar hours: from that of the oldest message to that of the newest.
    :ivar streams: their numbers in ascending order, each as its distance from the one before.
    :ivar totals: messages of each of them.
    :ivar oldest: for each of them, nanoseconds from ``first`` to its oldest message.
    :ivar newest: the same for its newest.
    :ivar cells: for each of them, the messages of each hour; None if there is one hour, or far too many.
    """

    first: int
    hours: int
    streams: bytes
    totals: bytes
    oldest: bytes
    newest: bytes
    cells: bytes | None


def stream_numbers(packed: bytes) -> list[int]:
    """Undo what was done to :attr:`PackedCensus.streams`."""
    return [*accumulate(_numbers("Q", packed))]


def totals(packed: bytes) -> Sequence[int]:
    """Undo what was done to :attr:`PackedCensus.totals`."""
    return _numbers("I", packed)


def times(packed: bytes, first: int) -> list[int]:
    """The times, in nanoseconds, of :attr:`PackedCensus.oldest` or ``newest``."""
    return [first + behind for behind in _numbers("Q", packed)]


class Cells:
    """The messages of each stream in each hour, to be added up.

    :param packed: see :attr:`PackedCensus.cells`.
    :param streams: how many.
    """

    def __init__(self, packed: bytes, streams: int, hours: int) -> None:
        plain = zlib.decompress(packed)
        size = len(plain) // (streams * hours)
        # With four bytes for each, those of many streams can be added as one large number.
        wide = bytearray(4 * streams * hours)
        for place in range(size):
            wide[place::4] = plain[place::size]
        self._cells = bytes(wide)
        self.hours = hours

    def rows(self) -> Iterator[int]:
        """For each stream the messages of all hours, in one number that can be added to others."""
        width = 4 * self.hours
        number = int.from_bytes
        cells = self._cells
        return (number(cells[start : start + width], "little") for start in range(0, len(cells), width))

    def by_hour(self, row: int) -> Sequence[int]:
        """The messages of each hour in such a number."""
        return _unpacked("I", row.to_bytes(4 * self.hours, "little"))


class CensusTaker:
    """Takes a census; the messages come in pieces, in any order.

    :param first: time of the oldest message, in nanoseconds.
    :param last: time of the newest.
    :param messages: how many there will be.
    """

    def __init__(self, first: int, last: int, messages: int) -> None:
        self._first = first
        self._begin = first // HOUR
        self._hours = last // HOUR - self._begin + 1
        self._most_cells = _CELLS * messages
        self._totals: Counter[int] = Counter()
        self._oldest: dict[int, int] = {}
        self._newest: dict[int, int] = {}
        self._cells: dict[int, array[int]] | None = None if self._hours == 1 else {}

    @property
    def streams(self) -> Collection[int]:
        """Those that there are so far."""
        return self._totals.keys()

    @property
    def messages(self) -> int:
        """So many are counted."""
        return self._totals.total()

    def add(self, streams: Sequence[int], times: Sequence[int]) -> None:
        """Count messages.

        :param streams: the stream of each, as ``times`` are their times in nanoseconds.
        """
        counted = Counter(streams)
        if self._totals:
            self._totals.update(counted)
        else:
            self._totals = counted
        _merge(self._newest, _newest(streams, times, len(counted)), max)
        _merge(self._oldest, _oldest(streams, times, len(counted)), min)
        if self._cells is not None:
            begin, rows = self._begin, self._cells
            for stream, time in zip(streams, times, strict=True):
                try:
                    row = rows[stream]
                except KeyError:
                    row = rows[stream] = array("I", bytes(4 * self._hours))
                row[time // HOUR - begin] += 1
            self._look_at_size()

    def add_census(self, other: PackedCensus) -> None:
        """Count messages that were counted already."""
        streams = stream_numbers(other.streams)
        counted = dict(zip(streams, totals(other.totals), strict=True))
        self._totals.update(counted)
        _merge(self._newest, dict(zip(streams, times(other.newest, other.first), strict=True)), max)
        _merge(self._oldest, dict(zip(streams, times(other.oldest, other.first), strict=True)), min)
        if self._cells is None:
            return
        if other.cells is None and other.hours > 1:
            self._cells = None
            return
        cells = None if other.cells is None else Cells(other.cells, len(streams), other.hours)
        begin = other.first // HOUR - self._begin
        end = begin + other.hours
        for stream, number in zip(streams, cells.rows() if cells else counted.values(), strict=True):
            row = self._cells.get(stream)
            if row is None:
                row = self._cells[stream] = array("I", bytes(4 * self._hours))
            more = cells.by_hour(number) if cells else (number,)
            row[begin:end] = array("I", map(add, row[begin:end], more))
        self._look_at_size()

    def _look_at_size(self) -> None:
        if self._cells is not None and len(self._cells) * self._hours > self._most_cells:
            self._cells = None

    def packed(self) -> PackedCensus:
        """The census."""
        streams = sorted(self._totals)
        first = self._first
        cells = None
        if self._cells is not None:
            cells = _packed_cells([self._cells[stream] for stream in streams])
        return PackedCensus(
            first,
            self._hours,
            _packed("Q", [*streams[:1], *map(sub, streams[1:], streams)]),
            _packed("I", [*map(self._totals.__getitem__, streams)]),
            _packed("Q", [self._oldest[stream] - first for stream in streams]),
            _packed("Q", [self._newest[stream] - first for stream in streams]),
            cells,
        )


def _merge(times: dict[int, int], more: dict[int, int], pick: Callable[[int, int], int]) -> None:
    if not times:
        times.update(more)
        return
    for stream, time in more.items():
        before = times.get(stream)
        times[stream] = time if before is None else pick(time, before)


def _newest(streams: Sequence[int], times: Sequence[int], count: int) -> dict[int, int]:
    """The time of the newest message of each stream, of which there are so many.

    Messages mostly come in the order of their times: so the last ones are looked at first, and most not at
    all.
    """
    found: dict[int, int] = {}
    for end in range(len(times), 0, -_BLOCK):
        begin = max(0, end - _BLOCK)
        if len(found) == count and max(times[:end]) <= min(found.values()):
            break
        part, moments = streams[begin:end], times[begin:end]
        if [*moments] == sorted(moments):
            _merge(found, dict(zip(part, moments, strict=True)), max)
            continue
        for stream, time in zip(part, moments, strict=True):
            if time > found.get(stream, INT64_MIN - 1):
                found[stream] = time
    return found


def _oldest(streams: Sequence[int], times: Sequence[int], count: int) -> dict[int, int]:
    """The same for the oldest, from the other end."""
    found: dict[int, int] = {}
    for begin in range(0, len(times), _BLOCK):
        if len(found) == count and min(times[begin:]) >= max(found.values()):
            break
        part, moments = streams[begin : begin + _BLOCK], times[begin : begin + _BLOCK]
        if [*moments] == sorted(moments):
            _merge(found, dict(zip(reversed(part), reversed(moments), strict=True)), min)
            continue
        for stream, time in zip(part, moments, strict=True):
            if time < found.get(stream, INT64_MAX + 1):
                found[stream] = time
    return found


def _packed_cells(rows: Sequence[array[int]]) -> bytes:
    plain = b"".join(rows)
    if sys.byteorder == "big":
        plain = _bytes(array("I", plain))
    size = 1
    if plain[1::4].strip(b"\0"):
        size = 2
    if plain[2::4].strip(b"\0") or plain[3::4].strip(b"\0"):
        size = 4
    narrow = bytearray(len(plain) // 4 * size)
    for place in range(size):
        narrow[place::size] = plain[place::4]
    return zlib.compress(narrow, _LEVEL)


def _packed(kind: str, numbers: Sequence[int]) -> bytes:
    return zlib.compress(_bytes(array(kind, numbers)), _LEVEL)


def _numbers(kind: str, packed: bytes) -> array[int]:
    return _unpacked(kind, zlib.decompress(packed))


def _unpacked(kind: str, plain: bytes) -> array[int]:
    numbers: array[int] = array(kind, plain)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _bytes(numbers: array[int]) -> bytes:
    """The low byte first: a file may be read on another machine."""
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()
