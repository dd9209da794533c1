"""Counting names and levels by the censuses of parts, in steps that may begin at any time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from ccstore.query import LEVEL, Count, Counting
from ccstore.storage.census import SHORT, Cells, level_groups, steps_between
from ccstore.storage.columns import LABEL_COLUMNS
from ccstore.storage.reading.by_census import Groups, Span, meant_among
from ccstore.storage.reading.conditions import Streams
from ccstore.storage.reading.dialect import Dialect, Part
from ccstore.storage.reading.evaluate import value_test
from ccstore.storage.reading.statement import Reading

#: Labels that it tells apart.
_LABELS: Final = {"cluster", "kind", "name", LEVEL}
#: Steps that are counted in one of the question, from which on the others may be cut.
_MANY: Final = 4


def tells_levels(counting: Counting) -> bool:
    """Whether a census knows it.

    Steps may begin a nanosecond after those that are counted: so do those of whoever asks for what there was
    up to a time, that included. If they begin anywhere else, they have to be longer: of those that are
    counted one is cut in two by each beginning, and looked at.
    """
    selection, step = counting.selection, counting.step
    labels = {*counting.by, *(matcher.label for matcher in selection.matchers)}
    if selection.texts or not labels <= _LABELS or counting.with_times:
        return False
    if step is None:
        return LEVEL in labels
    if step % SHORT:
        return False
    behind = counting.origin % SHORT
    return behind == 1 or (LEVEL in labels and behind == 0) or step >= _MANY * SHORT


class LevelCounting:
    """Counts a selection for which :func:`tells_levels` is true.

    :param streams: of the selection, as far as they are known without the level.
    """

    def __init__(self, counting: Counting, dialect: Dialect, streams: Streams) -> None:
        self._counting = counting
        self._dialect = dialect
        self._streams = streams
        self._tests = [
            value_test(matcher) for matcher in counting.selection.matchers if matcher.label == LEVEL
        ]
        behind = counting.origin % SHORT if counting.step is not None else 0
        # So much later (ns) than the steps of the census those begin that are counted: nothing, or one.
        self._late = behind if behind == 1 else 0
        # Where steps of the question begin within those: this is the first that is cut, after the epoch.
        self._cut = None if behind < 2 else (counting.origin - behind) % (counting.step or 1)
        self._columns = tuple(LABEL_COLUMNS[label] for label in counting.by if label != LEVEL)
        # The labels of each name that is meant, by the number of its stream; None if it is not.
        self._names: dict[int, tuple[str, ...] | None] = {}
        self._counted: defaultdict[int | None, defaultdict[tuple[str, ...], int]] = defaultdict(
            lambda: defaultdict(int)
        )

    def take(self, part: Part, begin: int, end: int) -> Reading[Sequence[Span]]:
        """See :meth:`ccstore.storage.reading.by_census.CensusCounting.take`."""
        if part.oldest is None or part.newest is None:
            return [Span(begin, end)]
        late = self._late
        first = (part.oldest - late) // SHORT if begin <= part.oldest else -(-(begin - late) // SHORT)
        last = (part.newest - late) // SHORT if part.newest <= end else (end + 1 - late) // SHORT - 1
        if first > last or not (yield from self._in_steps(part, first, last)):
            return [Span(begin, end)]
        since, until = first * SHORT + late, (last + 1) * SHORT + late
        left = []
        if begin > part.oldest and begin < since:
            left.append(Span(begin, since - 1))
        if end < part.newest and until <= end:
            left.append(Span(until, end))
        if self._cut is not None and self._counting.start_of(since) != self._counting.start_of(until - 1):
            if part.order == "blocks":
                left += self._cuts(since, until)
            else:
                left.append(Span(since, until - 1, self._is_cut()))
        return left

    def _cuts(self, since: int, until: int) -> Iterator[Span]:
        """The steps of the census that are cut in two, for rows that no statement looks at."""
        step = self._counting.step
        assert step is not None
        assert self._cut is not None
        for begin in range(since + (self._cut - since) % step, until, step):
            yield Span(begin, min(begin + SHORT, until) - 1)

    def _is_cut(self) -> str:
        """The condition on times that they are in a step of the census that is cut in two."""
        step, modulo = self._counting.step, self._dialect.modulo
        assert step is not None
        assert self._cut is not None
        # What is left of a division has the sign of what is divided.
        behind = modulo(f"{modulo('time', step)} + {2 * step - self._cut}", step)
        return f"{behind} < {SHORT}"

    def _in_steps(self, part: Part, first: int, last: int) -> Reading[bool]:
        """Count what there is from one step to another, both included; False if there is no such census."""
        columns = ("first", "last", "levels", "level_cells", "level_edges")
        found = yield from self._dialect.census(part, columns)
        if found is None or found[3] is None:
            return False
        oldest, newest, packed, packed_cells, packed_edges = found
        groups = level_groups(packed)
        yield from self._find([name for name, _ in groups])
        steps = steps_between(oldest, newest, SHORT)
        cells = Cells(packed_cells, len(groups), steps)
        edges = None if packed_edges is None else Cells(packed_edges, len(groups), steps)
        rows: dict[tuple[str, ...], tuple[int, int]] = {}
        for place, by in enumerate(map(self._by, groups)):
            if by is not None:
                total, at_edges = rows.get(by, (0, 0))
                total += cells.row(place)
                if edges is not None:
                    at_edges += edges.row(place)
                rows[by] = total, at_edges
        # Of steps that begin late, one more is told of: the first has what stands at the edge of the next.
        begin = oldest // SHORT - self._late
        slices = [*self._slices(first, last)]
        for by, (row, row_of_edges) in rows.items():
            numbers = [*cells.by_step(row)]
            if self._late:
                numbers = _later(numbers, [*cells.by_step(row_of_edges)])
            for start, since, until in slices:
                number = sum(numbers[max(since - begin, 0) : until - begin])
                if number:
                    self._counted[start][by] += number
        return True

    def _by(self, group: tuple[int, str]) -> tuple[str, ...] | None:
        """The values of the labels that are counted by; None if the group is not meant."""
        name, level = group
        labels = self._names[name]
        if labels is None or not all(test(level) for test in self._tests):
            return None
        left = iter(labels)
        return tuple([level if label == LEVEL else next(left) for label in self._counting.by])

    def _find(self, names: Sequence[int]) -> Reading[None]:
        """Learn which of these streams are meant, and their labels."""
        unknown = [*{*names}.difference(self._names)]
        if not unknown:
            return
        self._names |= dict.fromkeys(unknown)
        self._names |= yield from meant_among(unknown, self._streams, self._columns, self._dialect)

    def _slices(self, first: int, last: int) -> Iterator[tuple[int | None, int, int]]:
        """The steps of the question, of which each is some of those that are counted: from, and up to."""
        step, late = self._counting.step, self._late
        while first <= last:
            start = self._counting.start_of(first * SHORT + late)
            end = last + 1
            if step is not None and start is not None:
                if self._cut is not None and start < first * SHORT < start + step < (first + 1) * SHORT:
                    first += 1  # it is cut
                    continue
                end = min(end, (start + step - late) // SHORT)
            yield start, first, end
            first = end

    def counts(self, known: Groups) -> Reading[Iterator[Count]]:
        """See :meth:`ccstore.storage.reading.by_census.CensusCounting.counts`."""
        yield from ()
        return (
            Count(by, start, number, 0, 0)
            for start, counted in self._counted.items()
            for by, number in counted.items()
        )


def _later(numbers: Sequence[int], edges: Sequence[int]) -> list[int]:
    """The messages of steps that begin a nanosecond later, from the one before the first on.

    :param edges: those that have the very time at which a step begins, which belong to the one before.
    """
    return [
        (numbers[place] - edges[place] if place >= 0 else 0)
        + (edges[place + 1] if place + 1 < len(edges) else 0)
        for place in range(-1, len(numbers))
    ]
