"""What an expression gives at points in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from ccstore.loki.label_names import Labels
from ccstore.loki.line_reading import Ask
from ccstore.loki.loki_limits import Budget
from ccstore.loki.metric_series import Grid, Values, Vector, names_of
from ccstore.loki.planning import plan_of
from ccstore.loki.range_counts import AskCounts, Window, can_be_counted, counted, per_second
from ccstore.loki.range_lines import measured
from ccstore.loki.syntax import (
    BinaryOperation,
    LabelReplace,
    LogQLError,
    MetricExpression,
    NumberLiteral,
    RangeAggregation,
    VectorAggregation,
    VectorLiteral,
)
from ccstore.loki.vectors import Operand, aggregated, combined, replaced
from ccstore.loki.window_functions import ADDITIVE

#: Gives what is held while lines are looked at.
Looking = Callable[[Budget], AbstractAsyncContextManager[None]]
_COUNTS = ("count_over_time", "rate", "absent_over_time")


class Evaluation:
    """Works out one expression.

    :param ask: gives lines, as ``ask_counts`` gives counts.
    :param looking: is held while lines are looked at one by one.
    """

    def __init__(self, grid: Grid, ask: Ask, ask_counts: AskCounts, budget: Budget, looking: Looking) -> None:
        self._grid = grid
        self._ask = ask
        self._ask_counts = ask_counts
        self._budget = budget
        self._looking = looking

    async def value(self, expression: MetricExpression, wanted: Sequence[str] | None = None) -> Operand:
        """What an expression gives; raises :class:`LogQLError`.

        :param wanted: the labels that tell its series apart, if only their sums matter; None for all.
        """
        if isinstance(expression, NumberLiteral):
            return expression.value
        if isinstance(expression, VectorLiteral):
            return {(): [expression.value] * self._grid.count}
        if isinstance(expression, RangeAggregation):
            return await self._range(expression, wanted)
        if isinstance(expression, BinaryOperation):
            left, right = await self.value(expression.left), await self.value(expression.right)
            return await combined(expression, left, right, self._budget)
        if isinstance(expression, LabelReplace):
            return await replaced(expression, await self._vector(expression.inner), self._budget)
        inner = await self._vector(expression.inner, self._summed(expression))
        return await aggregated(expression, inner, self._budget)

    async def _vector(self, expression: MetricExpression, wanted: Sequence[str] | None = None) -> Vector:
        found = await self.value(expression, wanted)
        if not isinstance(found, dict):
            raise LogQLError("series are needed here, and there is a number")
        return found

    def _summed(self, expression: VectorAggregation) -> Sequence[str] | None:
        """The labels of which alone the sums matter."""
        inner = expression.inner
        if expression.op != "sum" or not isinstance(inner, RangeAggregation):
            return None
        return names_of(expression.grouping) if inner.op in ADDITIVE else None

    async def _range(self, expression: RangeAggregation, wanted: Sequence[str] | None) -> Vector:
        plan = plan_of(expression.range.query)
        window = Window(expression.range.duration, expression.range.offset)
        is_absence = expression.op == "absent_over_time"
        if is_absence:
            wanted = ()
        is_counted = expression.op in _COUNTS and expression.range.unwrap is None
        if is_counted and can_be_counted(plan, self._grid, window, self._budget):
            found = await counted(self._ask_counts, plan, self._grid, window, wanted, self._budget)
            if expression.op == "rate":
                found = {labels: per_second(values, window) for labels, values in found.items()}
        else:
            async with self._looking(self._budget):
                found = await measured(self._ask, expression, plan, self._grid, wanted, self._budget)
        return self._absence(expression, found) if is_absence else found

    def _absence(self, expression: RangeAggregation, found: Vector) -> Vector:
        """One where there is nothing, with the labels that were looked for."""
        there: Values = next(iter(found.values()), [None] * self._grid.count)
        values: Values = [1.0 if each is None else None for each in there]
        matchers = expression.range.query.matchers
        labels: Labels = tuple(sorted({(each.label, each.value) for each in matchers if each.op == "="}))
        return {labels: values} if any(each is not None for each in values) else {}
