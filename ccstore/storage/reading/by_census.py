"""Counting by the censuses of parts, without a look at their rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from operator import add
from typing import Final, NamedTuple

from ccstore.message import INT64_MAX, INT64_MIN
from ccstore.query import Count, Counting
from ccstore.storage.census import HOUR, SHORT, Cells, steps_between, stream_numbers, times, totals
from ccstore.storage.columns import LABEL_COLUMNS
from ccstore.storage.reading.conditions import Streams
from ccstore.storage.reading.dialect import Dialect, Part
from ccstore.storage.reading.statement import Reading, Statement, Values

#: Of so many messages one is found by an index in the time in which a census tells of all of them.
_MANY: Final = 200
#: Labels of what is counted in short steps.
_OF_NAMES: Final = {"cluster", "kind", "name"}
#: The messages of a group of labels, in steps that begin then.
Groups = Mapping[tuple[tuple[str, ...], int | None], Count]


def can_tell(counting: Counting) -> bool:
    """Whether a census knows it: streams in whole steps; when they were seen only of a part as a whole."""
    selection, step = counting.selection, counting.step
    if selection.texts or not _labels_of(counting) <= LABEL_COLUMNS.keys():
        return False
    if step is None:
        return True
    return not (counting.with_times or step % _grid_of(counting) or counting.origin % _grid_of(counting))


def _labels_of(counting: Counting) -> set[str]:
    return {*counting.by, *(matcher.label for matcher in counting.selection.matchers)}


def _grid_of(counting: Counting) -> int:
    """The shortest steps that are counted."""
    return SHORT if _labels_of(counting) <= _OF_NAMES else HOUR


def are_many(dialect: Dialect, parts: Sequence[Part], streams: Collection[int]) -> Reading[bool]:
    """Whether a few streams have so many messages that a census tells it sooner than an index.

    :param parts: the newest first.
    """
    for part in parts:
        found = None
        if part.oldest is not None:
            found = yield from dialect.census(part, ("streams", "totals"))
        if found is not None:
            counted = dict(zip(stream_numbers(found[0]), totals(found[1]), strict=True))
            return sum([counted.get(stream, 0) for stream in streams]) * _MANY > sum(counted.values())
    return False


class Span(NamedTuple):
    """What is left to be looked at.

    :ivar begin: the first time (ns); ``end`` is the last.
    :ivar condition: on the time of what is meant; None if all of it is.
    """

    begin: int
    end: int
    condition: str | None = None


def meant_among(
    streams: Collection[int], chosen: Streams, columns: Sequence[str], dialect: Dialect
) -> Reading[Mapping[int, tuple[str, ...]]]:
    """Those of some streams that are chosen, with what they have in some columns."""
    values = Values(dialect.placeholder)
    if chosen.numbers is not None:
        where = dialect.streams_are_among("id", [*{*streams}.intersection(chosen.numbers)], values)
    else:
        where = dialect.streams_are_among("id", [*streams], values)
        if chosen.condition is not None:
            where += f" AND {chosen.condition(values)}"
    names = ("id", *columns)
    found = yield Statement(
        f"SELECT {', '.join(names)} FROM {dialect.streams} WHERE {where}", values.given, names
    )
    return {stream: tuple([label or "" for label in labels]) for stream, *labels in found}


class _Places(NamedTuple):
    """The places of the groups of some streams, in their order; None for one that is not meant.

    :ivar here: all of them.
    """

    each: list[int | None]
    here: frozenset[int]


class StreamGroups:
    """Which streams of a selection are counted together.

    :param by: labels.
    :ivar groups: the values of the labels, by the place of the group.
    """

    def __init__(self, by: Sequence[str], dialect: Dialect, streams: Streams) -> None:
        self._columns = tuple(LABEL_COLUMNS[label] for label in by)
        self._dialect = dialect
        self._chosen = streams
        self._places: dict[int, int | None] = {}
        self._by_labels: dict[tuple[str, ...], int] = {}
        # Many parts have the same streams.
        self._known: dict[bytes, _Places] = {}
        self.groups: list[tuple[str, ...]] = []

    def places(self, packed: bytes) -> Reading[_Places]:
        """Those of the streams of a census, packed."""
        if packed not in self._known:
            each = yield from self.places_of(stream_numbers(packed))
            self._known[packed] = _Places(each, frozenset(each).difference([None]))  # type: ignore[arg-type]
        return self._known[packed]

    def places_of(
        self, streams: Sequence[int], among: Sequence[int] | None = None
    ) -> Reading[list[int | None]]:
        """Those of some streams, in their order.

        :param among: streams that are looked for together with one that is not known yet.
        """
        try:
            return [*map(self._places.__getitem__, streams)]
        except KeyError:
            wanted = streams if among is None else among
            yield from self._find([stream for stream in wanted if stream not in self._places])
        return [*map(self._places.__getitem__, streams)]

    def _find(self, unknown: list[int]) -> Reading[None]:
        self._places |= dict.fromkeys(unknown)
        found = yield from meant_among(unknown, self._chosen, self._columns, self._dialect)
        for stream, group in found.items():
            place = self._by_labels.setdefault(group, len(self.groups))
            if place == len(self.groups):
                self.groups.append(group)
            self._places[stream] = place


class CensusCounting:
    """Counts a selection for which :func:`can_tell` is true.

    :param groups: its streams.
    """

    def __init__(self, counting: Counting, dialect: Dialect, groups: StreamGroups) -> None:
        self._counting = counting
        self._dialect = dialect
        self._grid = _grid_of(counting)
        self._groups = groups
        self._counted: defaultdict[int | None, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
        # Parts that are counted as a whole, with the places of their streams.
        self._parts: list[tuple[Part, _Places]] = []
        # Of those with the same streams, the messages of each of these.
        self._totals: dict[tuple[int | None, bytes], Sequence[int]] = {}

    def take(self, part: Part, begin: int, end: int) -> Reading[Sequence[Span]]:
        """Count what there is in a part from one time (ns) to another, both included.

        What is left has to be looked at by its rows.
        """
        counting, grid = self._counting, self._grid
        if part.oldest is None or part.newest is None:
            return [Span(begin, end)]
        start = counting.start_of(part.oldest)
        is_whole = begin <= part.oldest and part.newest <= end
        if is_whole and start == counting.start_of(part.newest) and (grid == HOUR or counting.with_times):
            is_counted = yield from self._as_a_whole(part, start)
            return [] if is_counted else [Span(begin, end)]
        if counting.with_times:
            return [Span(begin, end)]
        first = part.oldest // grid if begin <= part.oldest else -(-begin // grid)
        last = part.newest // grid if part.newest <= end else (end + 1) // grid - 1
        if first > last or not (yield from self._in_steps(part, first, last)):
            return [Span(begin, end)]
        left = []
        if begin > part.oldest and begin < first * grid:
            left.append(Span(begin, first * grid - 1))
        if end < part.newest and (last + 1) * grid <= end:
            left.append(Span((last + 1) * grid, end))
        return left

    def _as_a_whole(self, part: Part, start: int | None) -> Reading[bool]:
        found = yield from self._dialect.census(part, ("streams", "totals"))
        if found is None:
            return False
        places = yield from self._groups.places(found[0])
        if places.here:
            numbers: Sequence[int] = totals(found[1])
            before = self._totals.get((start, found[0]))
            self._totals[start, found[0]] = numbers if before is None else [*map(add, before, numbers)]
            if self._counting.with_times:
                self._parts.append((part, places))
        return True

    def _in_steps(self, part: Part, first: int, last: int) -> Reading[bool]:
        """Count what there is from one step since the epoch to another, both included."""
        grid = self._grid
        columns = ("streams", "cells") if grid == HOUR else ("names", "name_cells")
        found = yield from self._dialect.census(part, ("first", "last", *columns))
        if found is None or found[3] is None:
            return False
        places = yield from self._groups.places(found[2])
        if not places.here:
            return True
        cells = Cells(found[3], len(places.each), steps_between(found[0], found[1], grid))
        rows: dict[int, int] = {}
        for number, place in enumerate(places.each):
            if place is not None:
                rows[place] = rows.get(place, 0) + cells.row(number)
        begin = found[0] // grid
        slices = [*self._slices(first, last)]
        for place, row in rows.items():
            numbers = cells.by_step(row)
            for start, since, until in slices:
                number = sum(numbers[since - begin : until - begin])
                if number:
                    self._counted[start][place] += number
        return True

    def _slices(self, first: int, last: int) -> Iterator[tuple[int | None, int, int]]:
        """The steps of the question, of which each is some of those that are counted: from, and up to."""
        step = self._counting.step
        while first <= last:
            start = self._counting.start_of(first * self._grid)
            end = last + 1
            if step is not None and start is not None:
                end = min(end, (start + step) // self._grid)
            yield start, first, end
            first = end

    def counts(self, known: Groups) -> Reading[Iterator[Count]]:
        """What was counted.

        :param known: what was counted by rows, which may have the times that are looked for.
        """
        for (start, packed), numbers in self._totals.items():
            counted = self._counted[start]
            places = yield from self._groups.places(packed)
            for place, number in zip(places.each, numbers, strict=True):
                if place is not None:
                    counted[place] += number
        oldest: dict[int, int] = {}
        newest: dict[int, int] = {}
        if self._counting.with_times:
            for place, group in enumerate(self._groups.groups):
                if (count := known.get((group, None))) is not None:
                    oldest[place], newest[place] = count.oldest, count.newest
            yield from self._add_oldest(oldest)
            yield from self._add_newest(newest)
        return (
            Count(
                self._groups.groups[place],
                start,
                number,
                oldest.get(place, 0),
                newest.get(place, 0),
            )
            for start, counted in self._counted.items()
            for place, number in counted.items()
        )

    def _add_newest(self, newest: dict[int, int]) -> Reading[None]:
        """The newest parts first: most of the others have nothing newer of any group."""
        for part, places in sorted(self._parts, key=lambda each: each[0].newest or 0, reverse=True):
            latest = part.newest or 0
            if all(newest.get(place, INT64_MIN) >= latest for place in places.here):
                continue
            found = yield from self._dialect.census(part, ("first", "newest"))
            assert found is not None
            for place, time in zip(places.each, times(found[1], found[0]), strict=True):
                if place is not None and time >= newest.get(place, INT64_MIN):
                    newest[place] = time

    def _add_oldest(self, oldest: dict[int, int]) -> Reading[None]:
        """The same from the other end."""
        for part, places in sorted(self._parts, key=lambda each: each[0].oldest or 0):
            earliest = part.oldest or 0
            if all(oldest.get(place, INT64_MAX) <= earliest for place in places.here):
                continue
            found = yield from self._dialect.census(part, ("first", "oldest"))
            assert found is not None
            for place, time in zip(places.each, times(found[1], found[0]), strict=True):
                if place is not None and time <= oldest.get(place, INT64_MAX):
                    oldest[place] = time
