"""Functions of ranges that count lines: the store counts them."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from itertools import accumulate

from attrs import evolve, frozen

from ccstore.loki.label_names import (
    DETECTED,
    INDEXED,
    Labels,
    meaning_of,
    metadata_of,
    needed_labels,
    stored_label,
    stream_labels,
)
from ccstore.loki.loki_limits import Budget
from ccstore.loki.metric_series import Grid, Values, Vector, not_empty, ordered
from ccstore.loki.pipeline import Line, passes, steps_of
from ccstore.loki.planning import Plan
from ccstore.message import INT64_MAX, INT64_MIN
from ccstore.query import ALL_TAGS, LEVEL, STREAM_LABELS, Count, Counting, Counts
from ccstore.timing import SECOND

#: Lets the store count.
AskCounts = Callable[[Counting], Awaitable[Counts]]


@frozen
class Window:
    """The time before a point that a function looks at: (point - offset - length, point - offset].

    :ivar length: nanoseconds, as is ``offset``.
    """

    length: int
    offset: int = 0

    def begin(self, grid: Grid) -> int:
        """The first nanosecond that belongs to any point."""
        return max(grid.start - self.offset - self.length + 1, INT64_MIN)

    def end(self, grid: Grid) -> int:
        """The first that belongs to none."""
        return min(grid.last - self.offset + 1, INT64_MAX + 1)


class GroupLabels:
    """The labels of lines that the store has counted together.

    :param wanted: the labels that matter; None for all.
    :ivar by: what the store has to count by.
    """

    def __init__(self, wanted: Sequence[str] | None) -> None:
        needed = None if wanted is None else needed_labels(wanted)
        self._wanted = wanted or ()
        self._is_whole = needed is None
        self.by: tuple[str, ...] = (*STREAM_LABELS, ALL_TAGS) if needed is None else tuple(needed)

    def of(self, count: Count) -> tuple[Labels, Labels]:
        """The labels of the streams, and those of the other tags."""
        if self._is_whole:
            stream = tuple(value or None for value in count.by[:-1])
            return stream_labels(stream), metadata_of(count.by[-1] or None)
        known = dict(zip(self.by, count.by, strict=True))
        stream_part: dict[str, str] = {}
        rest: dict[str, str] = {}
        for label in self._wanted:
            stored = stored_label(label)
            if stored is not None:
                (stream_part if label in INDEXED else rest)[label] = known[stored]
            elif label == DETECTED:
                rest[label] = meaning_of(known[LEVEL])
        return ordered(stream_part), ordered(rest)


def can_be_counted(plan: Plan, grid: Grid, window: Window, budget: Budget) -> bool:
    """Whether the store can count what is asked."""
    return plan.is_of_labels and _bins(grid, window)[1] <= budget.limits.bins


def _bins(grid: Grid, window: Window) -> tuple[int, int]:
    """How long the pieces of time are of which all windows consist (ns), and how many there are."""
    if grid.count == 1:
        return window.length, 1
    size = math.gcd(window.length, grid.step)
    return size, ((grid.count - 1) * grid.step + window.length) // size


async def counted(
    ask: AskCounts,
    plan: Plan,
    grid: Grid,
    window: Window,
    wanted: Sequence[str] | None,
    budget: Budget,
) -> Vector:
    """How many lines the windows have, for each group of labels.

    :param wanted: the labels that tell the groups apart; None for all.
    """
    of_stages = plan.labels()
    needed = None if wanted is None or of_stages is None else [*dict.fromkeys((*wanted, *sorted(of_stages)))]
    groups = GroupLabels(needed)
    begin, end = window.begin(grid), window.end(grid)
    if begin >= end:
        return {}
    size, number = _bins(grid, window)
    given = plan.selection
    selection = evolve(given, begin=max(begin, given.begin), end=min(end, given.end))
    step = size if number > 1 else None
    budget.asks(selection)
    counts = await ask(Counting(selection, groups.by, step, begin, with_times=False))
    budget.lack(counts.losses)
    if counts.is_cut:
        budget.warn("the answer is cut: there are too many different labels, ask for less time or fewer")
    steps = steps_of(plan.stages)
    bins: dict[Labels, list[int]] = {}
    for count in counts.counts:
        budget.counted += count.messages
        await budget.work(1, 500)
        line = Line(0, "", *groups.of(count))
        if not passes(line, steps):
            continue
        labels = line.labels()
        if wanted is not None:
            labels = {label: labels.get(label, "") for label in wanted}
        series = bins.setdefault(ordered(labels), [0] * number)
        series[0 if count.start is None else (count.start - begin) // size] += count.messages
        if not budget.limits.has_room(len(bins), max(number, grid.count)):
            budget.warn(f"the answer is cut: there are more than {len(bins)} series, aggregate them")
            break
    found: Vector = {}
    for key, each in bins.items():
        await budget.work(number + grid.count)
        found[key] = _windows(each, grid, size, window)
    return not_empty(found)


def _windows(bins: Sequence[int], grid: Grid, size: int, window: Window) -> Values:
    sums = [0, *accumulate(bins)]
    width, stride = window.length // size, grid.step // size
    found: Values = []
    for index in range(grid.count):
        number = sums[index * stride + width] - sums[index * stride]
        found.append(number or None)
    return found


def per_second(values: Values, window: Window) -> Values:
    """The same for a second of the window."""
    seconds = window.length / SECOND
    return [None if value is None else value / seconds for value in values]
