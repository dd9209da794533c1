"""Answers about labels and streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Final

from attrs import evolve
from twisted.web.iweb import IRequest

from ccstore.loki.answering_loki import LokiDesk
from ccstore.loki.asked_times import Given, Span
from ccstore.loki.label_names import INDEXED, Labels
from ccstore.loki.loki_limits import Budget
from ccstore.loki.metric_parser import parse_selector
from ccstore.loki.metric_series import ordered
from ccstore.loki.pipeline import Line, passes, steps_of
from ccstore.loki.planning import Plan, plan_of
from ccstore.loki.range_counts import GroupLabels
from ccstore.loki.syntax import LogQuery
from ccstore.query import Counting
from ccstore.timing import SECOND
from ccstore.web import WebError

#: How far back labels are looked for if nobody says, in ns.
_SINCE: Final = 6 * 3600 * SECOND
EVERYTHING: Final = LogQuery(())


class LabelAnswers:
    """Which labels, values and streams there are."""

    def __init__(self, desk: LokiDesk) -> None:
        self._desk = desk

    async def labels(self, request: IRequest) -> bytes:
        """The names of labels of streams."""
        given, budget = self._desk.given(request), self._desk.budget()
        found: dict[str, None] = {}
        async for labels, _ in self.groups(given, [*INDEXED], budget):
            found |= dict.fromkeys(label for label, _ in labels)
        return await self._answer(request, sorted(found), budget)

    async def values(self, request: IRequest, label: str) -> bytes:
        """The values of a label."""
        given, budget = self._desk.given(request), self._desk.budget()
        found: dict[str, None] = {}
        async for labels, _ in self.groups(given, [label], budget):
            found |= dict.fromkeys(value for name, value in labels if name == label)
        return await self._answer(request, sorted(found), budget)

    async def series(self, request: IRequest) -> bytes:
        """The streams that meet any of some selectors."""
        given = self._desk.given(request)
        span = given.span(_SINCE)
        budget = self._desk.budget()
        found: dict[Labels, None] = {}
        for query in given.texts("match[]", "match") or ("{}",):
            plan = plan_of(parse_selector(query), may_be_empty=True)
            async for labels, _ in counted_groups(self._desk, plan, span, [*INDEXED], budget):
                found[labels] = None
        return await self._answer(request, [dict(labels) for labels in sorted(found)], budget)

    async def detected(self, request: IRequest) -> bytes:
        """Labels of streams with the number of their values."""
        given = self._desk.given(request)
        values: dict[str, set[str]] = {}
        async for labels, _ in self.groups(given, [*INDEXED], self._desk.budget()):
            for label, value in labels:
                values.setdefault(label, set()).add(value)
        found = [{"label": label, "cardinality": len(values[label])} for label in sorted(values)]
        return await self._desk.answer(request, {"detectedLabels": found})

    async def _answer(self, request: IRequest, data: Sequence[object], budget: Budget) -> bytes:
        """Answer with a list, with what was cut of it or why it is empty."""
        if not data:
            await self._desk.explain(budget)
        warnings = {"warnings": budget.warnings} if budget.warnings else {}
        return await self._desk.answer(request, {"status": "success", **warnings, "data": data})

    async def groups(
        self, given: Given, wanted: Sequence[str], budget: Budget
    ) -> AsyncGenerator[tuple[Labels, int], None]:
        """Groups of lines with these labels, as ``query`` selects them, and how many they are."""
        query = given.text("query")
        plan = plan_of(EVERYTHING if query is None else parse_selector(query), may_be_empty=True)
        async for group in counted_groups(self._desk, plan, given.span(_SINCE), wanted, budget):
            yield group


async def counted_groups(
    desk: LokiDesk, plan: Plan, span: Span, wanted: Sequence[str], budget: Budget
) -> AsyncGenerator[tuple[Labels, int], None]:
    """Groups of lines with these labels, and how many lines they have; raises :class:`WebError`.

    Groups that only differ in other labels come one by one.
    """
    of_stages = plan.labels()
    if of_stages is None or not plan.is_of_labels:
        raise WebError(400, "query: expected a selector, perhaps with conditions on labels and texts")
    groups = GroupLabels([*dict.fromkeys((*wanted, *sorted(of_stages)))])
    if span.begin >= span.end:
        return
    selection = evolve(plan.selection, begin=span.begin, end=span.end)
    budget.asks(selection)
    counts = await desk.counts(Counting(selection, groups.by, with_times=False))
    budget.lack(counts.losses)
    if counts.is_cut:
        budget.warn("the answer is cut: there are too many different labels")
    steps = steps_of(plan.stages)
    for count in counts.counts:
        budget.counted += count.messages
        await budget.work(1, 500)
        line = Line(0, "", *groups.of(count))
        if passes(line, steps):
            labels = line.labels()
            yield ordered({label: labels.get(label, "") for label in wanted}), count.messages
