"""Answers about how much there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from attrs import evolve
from twisted.web.iweb import IRequest

from ccstore.loki.answering_loki import LokiDesk
from ccstore.loki.asked_times import Given, Span
from ccstore.loki.label_answers import counted_groups
from ccstore.loki.label_names import INDEXED, Labels
from ccstore.loki.line_sizes import line_sizes
from ccstore.loki.loki_limits import Budget
from ccstore.loki.metric_parser import parse_selector
from ccstore.loki.metric_series import Grid, Vector
from ccstore.loki.planning import Plan, plan_of
from ccstore.loki.range_counts import Window, can_be_counted, counted
from ccstore.loki.result_shapes import matrix, result, vector
from ccstore.loki.syntax import LogQuery
from ccstore.web import WebError

_LIMIT: Final = 100
_MOST: Final = 10_000


class VolumeAnswers:
    """How many streams, lines and bytes there are.

    The store counts lines. Their bytes are those of samples, see :func:`line_sizes`.
    """

    def __init__(self, desk: LokiDesk) -> None:
        self._desk = desk

    async def stats(self, request: IRequest) -> bytes:
        """Streams, lines and bytes of a selector."""
        given = self._desk.given(request)
        query, plan = self._plan(given)
        span = given.span()
        budget = self._desk.budget()
        streams: Counter[Labels] = Counter()
        async for labels, number in counted_groups(self._desk, plan, span, [*INDEXED], budget):
            streams[labels] += number
        sizes = await line_sizes(self._desk.page, query, span, [*INDEXED], streams, budget)
        answer = {
            "streams": len(streams),
            "chunks": len(streams),
            "bytes": round(sum(number * sizes[labels] for labels, number in streams.items())),
            "entries": streams.total(),
        }
        return await self._desk.answer(request, answer)

    async def volume(self, request: IRequest) -> bytes:
        """Bytes by labels."""
        given = self._desk.given(request)
        span = given.span()
        budget = self._desk.budget()
        found = await self._volumes(given, span, max(span.end - span.begin, 1), budget)
        grid = Grid(span.end)
        return await self._desk.answer(request, result("vector", vector(found, grid), budget, len(found)))

    async def volume_range(self, request: IRequest) -> bytes:
        """The same by time: at each point, that which comes from then on up to the next."""
        given = self._desk.given(request)
        span = given.span()
        grid = given.grid(span, self._desk.limits.points)
        budget = self._desk.budget()
        found = await self._volumes(given, span, grid.step, budget)
        return await self._desk.answer(request, result("matrix", matrix(found, grid), budget, len(found)))

    async def _volumes(self, given: Given, span: Span, length: int, budget: Budget) -> Vector:
        """Bytes of each piece of a time, which are so long (ns)."""
        query, plan = self._plan(given)
        limit = given.number("limit", _LIMIT, _MOST)
        by_names = _aggregates_names(given)
        wanted = _labels_of(given, query)
        within = evolve(plan.selection, begin=span.begin, end=span.end)
        # A window ends with the last nanosecond before the next piece.
        grid = Grid(span.begin + length - 1, length, max(-(-(span.end - span.begin) // length), 1))
        window = Window(length)
        if not can_be_counted(plan, grid, window, budget):
            raise WebError(400, "query: expected a selector, and a step that is not so short")
        lines = await counted(self._desk.counts, evolve(plan, selection=within), grid, window, wanted, budget)
        sizes = await line_sizes(self._desk.page, query, span, wanted, _totals(lines), budget)
        found: Vector = {
            labels: [None if each is None else each * sizes[labels] for each in values]
            for labels, values in lines.items()
        }
        if by_names:
            found = _by_name(found, grid)
        if not found:
            await self._desk.explain(budget)
        totals = _totals(found)
        ranked = sorted(totals, key=lambda labels: (-totals[labels], labels))
        if len(ranked) > limit:
            budget.warn(f"the answer is cut: there are {len(ranked)} series, and the limit is {limit}")
        return {
            labels: [None if each is None else round(each) for each in found[labels]]
            for labels in ranked[:limit]
        }

    def _plan(self, given: Given) -> tuple[LogQuery, Plan]:
        query = parse_selector(given.text("query") or "{}")
        return query, plan_of(query, may_be_empty=True)


def _totals(found: Vector) -> dict[Labels, float]:
    """The sums over all times."""
    return {labels: sum(each or 0 for each in values) for labels, values in found.items()}


def _aggregates_names(given: Given) -> bool:
    how = given.text("aggregateBy") or "series"
    if how not in ("series", "labels"):
        raise WebError(400, f"aggregateBy: expected series or labels, got {how[:40]!r}")
    return how == "labels"


def _labels_of(given: Given, query: LogQuery) -> Sequence[str]:
    """The labels by which the volume is told apart: those given, or those of the selector."""
    targets = [name.strip() for name in (given.text("targetLabels") or "").split(",") if name.strip()]
    if targets:
        return targets
    return [*dict.fromkeys(matcher.label for matcher in query.matchers)] or [*INDEXED]


def _by_name(found: Mapping[Labels, Sequence[float | None]], grid: Grid) -> Vector:
    """What the lines with each label have, whatever its value."""
    sums: dict[Labels, list[float | None]] = {}
    for labels, values in found.items():
        for label, _ in labels:
            known = sums.setdefault(((label, ""),), [None] * grid.count)
            for index, value in enumerate(values):
                if value is not None:
                    known[index] = (known[index] or 0) + value
    return sums
