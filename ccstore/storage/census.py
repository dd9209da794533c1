"""A census: how many messages each stream has in a segment, in each hour, and when it has its first and last.

It is taken once, when a segment takes no more messages, so that whoever counts need not look at its rows. It
takes about a byte for each of them. What is asked most, how many of which name, it has in shorter steps, too.
"""

from __future__ import annotations

import json
import sys
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from operator import sub
from typing import Final, NamedTuple

from ccstore.message import INT64_MAX, INT64_MIN

#: Nanoseconds, as is the shorter step.
HOUR: Final = 3600 * 10**9
SHORT: Final = 300 * 10**9
#: Cells for each message, above which none are kept: a few messages are spread over years then, as by a clock
#: that is wrong, and they are soon counted.
_CELLS: Final = 32
#: Cells of 4 bytes that are held at a time, however many messages there are.
_MOST_CELLS: Final = 1 << 24
#: Messages that are looked at in one go for the first and last of each stream.
_BLOCK: Final = 4096
#: More takes several times as long, and saves a fifth.
_LEVEL: Final = 1


class PackedCensus(NamedTuple):
    """As it is stored.

    :ivar first: time of the oldest message, in nanoseconds; ``last`` is that of the newest.
    :ivar streams: their numbers in ascending order, each as its distance from the one before.
    :ivar totals: messages of each of them.
    :ivar oldest: for each of them, nanoseconds from ``first`` to its oldest message.
    :ivar newest: the same for its newest.
    :ivar cells: for each of them, the messages of each :data:`HOUR`; None if they are far too many.
    :ivar names: of all these that have the same cluster and name, the number of one, as in ``streams``.
    :ivar name_cells: for each of these, the messages of all of them in each :data:`SHORT` step; or None.
    :ivar levels: the groups of messages of the same name and level, see :func:`level_groups`; None if levels
        were not looked at, as by an earlier version.
    :ivar level_cells: as ``name_cells``, for each of these groups.
    :ivar level_edges: the same of those alone that have the very time at which a step begins; None if there
        are none.
    """

    first: int
    last: int
    streams: bytes
    totals: bytes
    oldest: bytes
    newest: bytes
    cells: bytes | None
    names: bytes
    name_cells: bytes | None
    levels: bytes | None
    level_cells: bytes | None
    level_edges: bytes | None


#: A name, as the number of one of its streams, and a level.
LevelGroup = tuple[int, str]


def level_groups(packed: bytes) -> list[LevelGroup]:
    """Undo what was done to :attr:`PackedCensus.levels`."""
    return [(name, level) for name, level in json.loads(zlib.decompress(packed))]


def steps_between(first: int, last: int, step: int) -> int:
    """In how many steps there are messages from one time to another."""
    return last // step - first // step + 1


def stream_numbers(packed: bytes) -> list[int]:
    """Undo what was done to :attr:`PackedCensus.streams`."""
    return [*accumulate(unpacked_array("Q", packed))]


def totals(packed: bytes) -> Sequence[int]:
    """Undo what was done to :attr:`PackedCensus.totals`."""
    return unpacked_array("I", packed)


def times(packed: bytes, first: int) -> list[int]:
    """The times, in nanoseconds, of :attr:`PackedCensus.oldest` or ``newest``."""
    return [first + behind for behind in unpacked_array("Q", packed)]


class Cells:
    """The messages of each stream in each step, to be added up.

    :param packed: see :attr:`PackedCensus.cells`.
    :param streams: how many.
    """

    def __init__(self, packed: bytes, streams: int, steps: int) -> None:
        plain = zlib.decompress(packed)
        size = len(plain) // (streams * steps)
        # With four bytes for each, those of many streams can be added as one large number.
        wide = bytearray(4 * streams * steps)
        for place in range(size):
            wide[place::4] = plain[place::size]
        self._cells = bytes(wide)
        self._steps = steps

    def row(self, number: int) -> int:
        """The messages of one stream in all steps, as a number that can be added to others."""
        width = 4 * self._steps
        return int.from_bytes(self._cells[number * width : (number + 1) * width], "little")

    def by_step(self, row: int) -> Sequence[int]:
        """The messages of each step in such a number."""
        return _unpacked("I", row.to_bytes(4 * self._steps, "little"))


class _Counted:
    """Messages of each stream, or of each name, in steps; as soon as there are too many cells, of none.

    :param most: cells, which are never more than :data:`_MOST_CELLS`.
    """

    def __init__(self, first: int, last: int, step: int, most: int) -> None:
        most = min(most, _MOST_CELLS)
        self._step = step
        self._begin = first // step
        self._steps = steps_between(first, last, step)
        self._most = most
        # The messages of all steps, as numbers that can be added; and those that are counted one by one.
        self._sums: dict[int, int] = {}
        self._rows: dict[int, array[int]] = {}
        self._is_too_large = self._steps > most

    @property
    def takes_long(self) -> bool:
        """Each message has to be looked at."""
        return self._steps > 1 and not self._is_too_large

    def add(self, numbers: Sequence[int], times: Sequence[int]) -> None:
        """Count messages, by stream or name."""
        rows, begin, step = self._rows, self._begin, self._step
        new = {*numbers}.difference(rows)
        if not self._has_room(len(rows) + len(new)):
            return
        for number in new:
            rows[number] = array("I", bytes(4 * self._steps))
        for number, time in zip(numbers, times, strict=True):
            rows[number][time // step - begin] += 1

    def add_totals(self, counted: Iterable[tuple[int, int]]) -> None:
        """Count messages of which so many are of each stream or name, where there is one step."""
        if self._steps > 1:
            return
        for number, count in counted:
            self._sums[number] = self._sums.get(number, 0) + count

    def add_cells(self, first: int, last: int, numbers: Sequence[int], packed: bytes | None) -> None:
        """Count what was counted already.

        :param numbers: the stream or name of each row of the cells.
        """
        if packed is None or self._is_too_large:
            self._is_too_large = True
            return
        sums = self._sums
        if not self._has_room(len({*numbers}.union(sums))):
            return
        cells = Cells(packed, len(numbers), steps_between(first, last, self._step))
        behind = 32 * (first // self._step - self._begin)
        for place, number in enumerate(numbers):
            sums[number] = sums.get(number, 0) + (cells.row(place) << behind)

    def _has_room(self, rows: int) -> bool:
        """Whether there may be so many streams or names, before any is made; if not, none are kept."""
        if rows * self._steps > self._most:
            self._is_too_large = True
            self._sums, self._rows = {}, {}
        return not self._is_too_large

    def packed(self, numbers: Sequence[int]) -> bytes | None:
        """The cells of these streams or names, in their order."""
        if self._is_too_large:
            return None
        for number, row in self._rows.items():
            self._sums[number] = self._sums.get(number, 0) + int.from_bytes(_bytes(row), "little")
        self._rows = {}
        width, sums = 4 * self._steps, self._sums
        bits = 0
        for each in sums.values():
            bits |= each
        size = _bytes_of_cells(bits.to_bytes(width, "little"))
        # Row by row: all of them together may be a hundred megabytes.
        compressing = zlib.compressobj(_LEVEL)
        parts = []
        narrow = bytearray(size * self._steps)
        for number in numbers:
            plain = sums.get(number, 0).to_bytes(width, "little")
            for place in range(size):
                narrow[place::size] = plain[place::4]
            parts.append(compressing.compress(narrow))
        return b"".join([*parts, compressing.flush()])


def _bytes_of_cells(plain: bytes) -> int:
    """How many of the four bytes of each cell are in use."""
    nothing = bytes(len(plain) // 4)
    if plain[2::4] != nothing or plain[3::4] != nothing:
        return 4
    return 1 if plain[1::4] == nothing else 2


class Tally:
    """What is soon known of some messages.

    :ivar streams: the stream of each, as ``times`` are their times in nanoseconds.
    :ivar totals: messages of each stream.
    :ivar oldest: the time of the oldest of each, as ``newest`` is that of the newest.
    """

    def __init__(self, streams: Sequence[int], times: Sequence[int]) -> None:
        self.streams = streams
        self.times = times
        self.totals = Counter(streams)
        self.oldest = _oldest(streams, times, len(self.totals))
        self.newest = _newest(streams, times, len(self.totals))

    @property
    def span(self) -> tuple[int, int]:
        """The times of the oldest and the newest message."""
        return min(self.oldest.values()), max(self.newest.values())

    def census(self, names: Mapping[int, int], levels: Sequence[str]) -> PackedCensus | None:
        """Their census; None if that takes long.

        :param names: see :meth:`CensusTaker.add`, as for ``levels``.
        """
        taker = CensusTaker(*self.span, self.totals.total())
        if taker.takes_long:
            return None
        taker.add_tally(self, names, levels)
        return taker.packed()


class _LevelCounts:
    """Messages of each name and level in short steps; see :class:`CensusTaker`."""

    def __init__(self, first: int, last: int, messages: int) -> None:
        self._first = first
        self._numbers: dict[LevelGroup, int] = {}
        # A name has some levels, of which most have few messages.
        most = 2 * _CELLS * messages
        self._cells = _Counted(first, last, SHORT, most)
        self._edges = _Counted(first, last, SHORT, most)
        self._has_edges = False
        self._is_known = True

    def add(self, tally: Tally, names: Mapping[int, int], levels: Sequence[str]) -> None:
        """Count messages by their names and levels."""
        if self._cells.takes_long:
            groups = [
                *map(self._number, zip(map(names.__getitem__, tally.streams), levels, strict=True)),
            ]
            self._cells.add(groups, tally.times)
            at_edges = [place for place, time in enumerate(tally.times) if time % SHORT == 0]
            if at_edges:
                self._has_edges = True
                self._edges.add(
                    [*map(groups.__getitem__, at_edges)], [*map(tally.times.__getitem__, at_edges)]
                )
            return
        self._add_totals(self._cells, _level_totals(tally.totals, tally.streams, names, levels))
        if self._first % SHORT == 0:
            at_edges = [place for place, time in enumerate(tally.times) if time == self._first]
            streams = [*map(tally.streams.__getitem__, at_edges)]
            there = [*map(levels.__getitem__, at_edges)]
            self._has_edges |= bool(at_edges)
            self._add_totals(self._edges, _level_totals(Counter(streams), streams, names, there))

    def _add_totals(self, counted: _Counted, totals: Counter[LevelGroup]) -> None:
        counted.add_totals((self._number(group), count) for group, count in totals.items())

    def add_census(self, other: PackedCensus, names: Mapping[int, int]) -> None:
        """Count messages that were counted already."""
        if other.levels is None:
            self._is_known = False
            return
        ours = [self._number((names[name], level)) for name, level in level_groups(other.levels)]
        self._cells.add_cells(other.first, other.last, ours, other.level_cells)
        if other.level_edges is not None:
            self._has_edges = True
            self._edges.add_cells(other.first, other.last, ours, other.level_edges)

    def _number(self, group: LevelGroup) -> int:
        return self._numbers.setdefault(group, len(self._numbers))

    def packed(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """The last columns of :class:`PackedCensus`."""
        if not self._is_known:
            return None, None, None
        groups = sorted(self._numbers)
        numbers = [*map(self._numbers.__getitem__, groups)]
        cells = self._cells.packed(numbers)
        edges = self._edges.packed(numbers) if self._has_edges and cells is not None else None
        return zlib.compress(json.dumps(groups).encode(), _LEVEL), cells, edges


def _level_totals(
    totals: Counter[int], streams: Sequence[int], names: Mapping[int, int], levels: Sequence[str]
) -> Counter[LevelGroup]:
    """Messages of each name and level; soon, where all of them have the same level."""
    distinct = {*levels}
    if len(distinct) > 1:
        return Counter(zip(map(names.__getitem__, streams), levels, strict=True))
    found: Counter[LevelGroup] = Counter()
    for level in distinct:
        for stream, count in totals.items():
            found[names[stream], level] += count
    return found


class CensusTaker:
    """Takes a census; the messages come in pieces, in any order.

    :param first: time of the oldest message, in nanoseconds.
    :param last: time of the newest.
    :param messages: how many there will be.
    """

    def __init__(self, first: int, last: int, messages: int) -> None:
        self._first = first
        self._last = last
        self._totals: Counter[int] = Counter()
        self._oldest: dict[int, int] = {}
        self._newest: dict[int, int] = {}
        self._cells = _Counted(first, last, HOUR, _CELLS * messages)
        self._name_cells = _Counted(first, last, SHORT, _CELLS * messages)
        self._names: dict[int, int] = {}
        self._levels = _LevelCounts(first, last, messages)

    @property
    def takes_long(self) -> bool:
        """Each message has to be looked at."""
        return self._cells.takes_long or self._name_cells.takes_long

    def add(
        self, streams: Sequence[int], times: Sequence[int], names: Mapping[int, int], levels: Sequence[str]
    ) -> None:
        """Count messages.

        :param streams: the stream of each, as ``times`` are their times in nanoseconds.
        :param names: for each stream one of its kind that has the same cluster and name, always the same.
        :param levels: of each message.
        """
        ours = self.add_tally(Tally(streams, times), names, levels)
        if self._cells.takes_long:
            self._cells.add(streams, times)
        if self._name_cells.takes_long:
            self._name_cells.add([*map(ours.__getitem__, streams)], times)

    def add_tally(self, tally: Tally, names: Mapping[int, int], levels: Sequence[str]) -> Mapping[int, int]:
        """The same for messages of which none has to be looked at; gives :meth:`_ours` of their streams."""
        counted = tally.totals
        self._totals.update(counted)
        _merge(self._newest, tally.newest, max)
        _merge(self._oldest, tally.oldest, min)
        ours = self._ours(counted, names)
        self._cells.add_totals(counted.items())
        self._name_cells.add_totals((ours[stream], count) for stream, count in counted.items())
        self._levels.add(tally, ours, levels)
        return ours

    def _ours(self, streams: Iterable[int], names: Mapping[int, int]) -> Mapping[int, int]:
        """For each of these streams one that has the same name and messages here: that is there as long."""
        return {stream: self._names.setdefault(names[stream], stream) for stream in streams}

    def add_census(self, other: PackedCensus, names: Mapping[int, int]) -> None:
        """Count messages that were counted already."""
        streams = stream_numbers(other.streams)
        self._totals.update(dict(zip(streams, totals(other.totals), strict=True)))
        _merge(self._newest, dict(zip(streams, times(other.newest, other.first), strict=True)), max)
        _merge(self._oldest, dict(zip(streams, times(other.oldest, other.first), strict=True)), min)
        self._cells.add_cells(other.first, other.last, streams, other.cells)
        ours = self._ours(stream_numbers(other.names), names)
        self._name_cells.add_cells(other.first, other.last, [*ours.values()], other.name_cells)
        self._levels.add_census(other, ours)

    def packed(self) -> PackedCensus:
        """The census."""
        streams, names = sorted(self._totals), sorted({*self._names.values()})
        first = self._first
        return PackedCensus(
            first,
            self._last,
            packed_numbers(streams),
            packed_array("I", [*map(self._totals.__getitem__, streams)]),
            packed_array("Q", [self._oldest[stream] - first for stream in streams]),
            packed_array("Q", [self._newest[stream] - first for stream in streams]),
            self._cells.packed(streams),
            packed_numbers(names),
            self._name_cells.packed(names),
            *self._levels.packed(),
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


def packed_numbers(numbers: Sequence[int]) -> bytes:
    """Numbers in ascending order, as :func:`stream_numbers` has them back."""
    return packed_array("Q", [*numbers[:1], *map(sub, numbers[1:], numbers)])


def packed_array(kind: str, numbers: Sequence[int]) -> bytes:
    """Numbers in any order.

    :param kind: a type code of :class:`array.array`, which :func:`unpacked_array` has to be given as well.
    """
    return zlib.compress(_bytes(array(kind, numbers)), _LEVEL)


def unpacked_array(kind: str, packed: bytes) -> array[int]:
    """Undo :func:`packed_array`."""
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
