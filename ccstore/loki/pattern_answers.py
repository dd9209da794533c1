"""Patterns of lines, as Grafana's Logs Drilldown shows them: templates in the way Loki writes them."""

from __future__ import annotations

import re
from typing import Final

from attrs import evolve
from twisted.web.iweb import IRequest

from ccstore.insight.fold_study import FoldInquiry
from ccstore.loki.answering_loki import LokiDesk
from ccstore.loki.metric_parser import parse_selector
from ccstore.loki.planning import plan_of
from ccstore.web import WebError

_LIMIT: Final = 300
_HOLE: Final = "<_>"
_PLACEHOLDERS: Final = re.compile(r"<[a-z]+>…?(?:<[a-z]+>…?)*")
_KEY: Final = re.compile(r'"(?:[^"\\]|\\.)*":')


class PatternAnswers:
    """Patterns, and how many lines each has when."""

    def __init__(self, desk: LokiDesk) -> None:
        self._desk = desk

    async def patterns(self, request: IRequest) -> bytes:
        """The most frequent patterns of a selector."""
        given = self._desk.given(request)
        plan = plan_of(parse_selector(given.needed("query")))
        span = given.span()
        grid = given.grid(span, self._desk.limits.points)
        if plan.stages:
            raise WebError(400, "query: expected a selector, and filters of lines at most")
        selection = evolve(plan.selection, begin=span.begin, end=span.end)
        found = await self._desk.insight(FoldInquiry(selection, grid.step, limit=_LIMIT))
        patterns = [
            {"pattern": pattern_of(fold["template"]), "samples": fold["points"]} for fold in found["folds"]
        ]
        return await self._desk.answer(request, {"status": "success", "data": patterns})


def pattern_of(template: str) -> str:
    """A template as a filter ``|>`` takes it, which finds the lines that have the template."""
    if template.startswith("{"):
        # Spaces of JSON are not in its template.
        return "".join([_HOLE, *(f"{key}{_HOLE}" for key in _KEY.findall(template))])
    return _PLACEHOLDERS.sub(_HOLE, template)
