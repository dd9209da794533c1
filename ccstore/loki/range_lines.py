"""Functions of ranges that look at each line."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import aclosing

from ccstore.loki.label_conditions import READ, Unreadable, condition_test
from ccstore.loki.label_names import Labels
from ccstore.loki.line_reading import Ask, lines_of
from ccstore.loki.loki_limits import Budget
from ccstore.loki.metric_series import Grid, Values, Vector, grouped, not_empty, ordered
from ccstore.loki.pipeline import ERROR, Line
from ccstore.loki.planning import Plan
from ccstore.loki.range_counts import Window
from ccstore.loki.syntax import LogQLError, RangeAggregation, Unwrap
from ccstore.loki.window_functions import FUNCTIONS, PER_SECOND, quantile
from ccstore.timing import SECOND

_BYTES = ("bytes_over_time", "bytes_rate")


class Samples:
    """What a series has, in the order of time: when (ns), and what."""

    __slots__ = ("times", "values")

    def __init__(self) -> None:
        self.times = array("q")
        self.values = array("d")


async def measured(
    ask: Ask,
    expression: RangeAggregation,
    plan: Plan,
    grid: Grid,
    wanted: Sequence[str] | None,
    budget: Budget,
) -> Vector:
    """What the function gives for the windows, for each series.

    :param wanted: the labels that tell the series apart, where they may be added up; None for all.
    """
    window = Window(expression.range.duration, expression.range.offset)
    samples: dict[Labels, Samples] = {}
    value_of = _reader(expression)
    begin, end = window.begin(grid), window.end(grid)
    async with aclosing(lines_of(ask, plan, begin, end, budget, is_newest_first=False)) as parts:
        async for part in parts:
            for line in part:
                value = value_of(line)
                if value is None:
                    continue
                key = _key(line, expression, wanted)
                series = samples.get(key)
                if series is None:
                    series = samples[key] = Samples()
                series.times.append(line.time)
                series.values.append(value)
            if not budget.limits.has_room(len(samples), grid.count):
                budget.warn(f"the answer is cut: there are more than {len(samples)} series, aggregate them")
                break
    return not_empty(
        {key: await _windows(series, expression, grid, window, budget) for key, series in samples.items()}
    )


def _key(line: Line, expression: RangeAggregation, wanted: Sequence[str] | None) -> Labels:
    labels = line.labels()
    if expression.range.unwrap is not None:
        labels.pop(expression.range.unwrap.label, None)
    if expression.grouping is not None:
        return grouped(ordered(labels), expression.grouping)
    if wanted is not None:
        labels = {label: labels.get(label, "") for label in wanted}
    return ordered(labels)


def _reader(expression: RangeAggregation) -> Callable[[Line], float | None]:
    """What a line counts, None if it does not; raises :class:`LogQLError` for one with an error."""
    unwrap = expression.range.unwrap
    if unwrap is not None:
        return _unwrapper(unwrap)
    is_bytes = expression.op in _BYTES

    def value_of(line: Line) -> float:
        _check(line)
        return len(line.text.encode()) if is_bytes else 1.0

    return value_of


def _unwrapper(unwrap: Unwrap) -> Callable[[Line], float | None]:
    read = READ["number"]
    if unwrap.conversion == "bytes":
        read = READ["bytes"]
    elif unwrap.conversion is not None:
        read = _seconds
    tests = [condition_test(condition) for condition in unwrap.conditions]

    def value_of(line: Line) -> float | None:
        given = line.get(unwrap.label)
        if not given:
            return None
        try:
            value = read(given)
        except ValueError:
            line.fail("SampleExtractionErr", f"{given[:40]!r} is no number")
            value = 0.0
        try:
            if not all(test(line.get) for test in tests):
                return None
        except Unreadable as error:
            line.fail("LabelFilterErr", str(error))
        _check(line)
        return value

    return value_of


def _seconds(text: str) -> float:
    return READ["duration"](text) / SECOND


def _check(line: Line) -> None:
    error = line.parsed.get(ERROR)
    if error:
        labels = ", ".join(f'{label}="{value[:60]}"' for label, value in ordered(line.labels())[:20])
        raise LogQLError(
            f'pipeline error: {error!r} for {{{labels}}}: leave such lines out by | {ERROR}="" behind the'
            " stage"
        )


async def _windows(
    series: Samples, expression: RangeAggregation, grid: Grid, window: Window, budget: Budget
) -> Values:
    found: Values = []
    share = expression.parameter or 0.0
    function = FUNCTIONS.get(expression.op, lambda values: quantile(share, values))
    seconds = window.length / SECOND
    for index in range(grid.count):
        last = grid.time(index) - window.offset
        begin, end = bisect_right(series.times, last - window.length), bisect_right(series.times, last)
        if begin == end:
            found.append(None)
            await budget.work(3)
            continue
        value = function(series.values[begin:end])
        found.append(value / seconds if expression.op in PER_SECOND else value)
        await budget.work(3 + end - begin)
    return found
