"""Answers to queries."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Final

from twisted.web.iweb import IRequest

from ccstore.loki.answering_loki import LokiDesk
from ccstore.loki.asked_times import Given
from ccstore.loki.evaluation import Evaluation
from ccstore.loki.line_reading import newest_lines
from ccstore.loki.loki_limits import Budget
from ccstore.loki.metric_parser import parse_query
from ccstore.loki.metric_series import Grid
from ccstore.loki.planning import plan_of
from ccstore.loki.printing import printed
from ccstore.loki.result_shapes import Groups, group, matrix, result, scalar, streams, vector
from ccstore.loki.syntax import LogQuery, MetricExpression
from ccstore.loki.vectors import Operand
from ccstore.web import WebError, header

#: Lines of an answer if nobody says how many.
_LIMIT: Final = 100
#: Lines that are put with those of their streams in one go.
_AT_A_TIME: Final = 500
CATEGORIZE: Final = "categorize-labels"
_FLAGS: Final = "x-loki-response-encoding-flags"


class QueryAnswers:
    """What queries give: lines, or numbers."""

    def __init__(self, desk: LokiDesk) -> None:
        self._desk = desk

    async def range(self, request: IRequest) -> bytes:
        """A query over a time."""
        given = self._desk.given(request)
        expression = parse_query(given.needed("query"))
        if isinstance(expression, LogQuery):
            return await self._lines(request, given, expression)
        grid = given.grid(given.span(), self._desk.limits.points)
        budget = self._desk.budget()
        found = await self._evaluate(expression, grid, budget)
        return await self._desk.answer(request, result("matrix", matrix(found, grid), budget, grid.count))

    async def instant(self, request: IRequest) -> bytes:
        """A query at a moment."""
        given = self._desk.given(request)
        expression = parse_query(given.needed("query"))
        grid = Grid(given.moment("time", given.now))
        if isinstance(expression, LogQuery):
            raise WebError(
                400, "a query for lines has no single moment: ask query_range, or count lines over a time"
            )
        budget = self._desk.budget()
        found = await self._evaluate(expression, grid, budget)
        if isinstance(found, dict):
            answer = result("vector", vector(found, grid), budget, len(found))
        else:
            answer = result("scalar", scalar(found, grid), budget, 1)
        return await self._desk.answer(request, answer)

    async def formatted(self, request: IRequest) -> bytes:
        """A query as it is best written."""
        query = self._desk.given(request).needed("query")
        return await self._desk.answer(request, {"status": "success", "data": printed(parse_query(query))})

    async def _evaluate(self, expression: MetricExpression, grid: Grid, budget: Budget) -> Operand:
        desk = self._desk
        found = await Evaluation(grid, desk.page, desk.counts, budget, desk.looking).value(expression)
        if found == {}:
            await desk.explain(budget)
        return found

    async def _lines(self, request: IRequest, given: Given, query: LogQuery) -> bytes:
        span = given.span()
        limit = given.number("limit", _LIMIT, self._desk.config.max_rows)
        direction = (given.text("direction") or "backward").lower()
        if direction not in ("backward", "forward"):
            raise WebError(400, f"direction: expected backward or forward, got {direction[:40]!r}")
        apart = given.duration("interval", 0, least=0)
        is_apart = is_categorized(request)
        budget = self._desk.budget()
        plan = plan_of(query)
        # What the store finds by itself is a page or two, for which nobody has to wait.
        async with self._desk.looking(budget) if plan.stages else nullcontext():
            lines = await newest_lines(
                self._desk.page,
                plan,
                span.begin,
                span.end,
                limit,
                budget,
                is_newest_first=direction == "backward",
                apart=apart,
            )
        if not lines:
            await self._desk.explain(budget)
        groups: Groups = {}
        for start in range(0, len(lines), _AT_A_TIME):
            group(lines[start : start + _AT_A_TIME], groups, is_categorized=is_apart)
            await self._desk.breathe()
        found = streams(groups, is_categorized=is_apart)
        answer = result("streams", found, budget, len(lines), flags=[CATEGORIZE] if is_apart else [])
        return await self._desk.answer(request, answer, size=sum(len(line.text) for line in lines))


def is_categorized(request: IRequest) -> bool:
    """Whether the labels of a line are to stand beside it, apart from those of its stream."""
    return CATEGORIZE in [each.strip() for each in (header(request, _FLAGS) or "").split(",")]
