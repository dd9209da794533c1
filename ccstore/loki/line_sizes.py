"""How large lines are, from samples: the store counts lines, and not their bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing

from attrs import define, evolve

from ccstore.loki.asked_times import Span
from ccstore.loki.label_names import DETECTED, UNKNOWN, Labels, level_matcher
from ccstore.loki.line_reading import Ask, lines_of
from ccstore.loki.loki_limits import Budget
from ccstore.loki.metric_series import ordered
from ccstore.loki.planning import Plan, plan_of
from ccstore.loki.syntax import LabelMatcher, LogQuery


@define
class _Sample:
    """Lines that were looked at, and their bytes."""

    lines: int = 0
    bytes: int = 0

    def add(self, text: str) -> None:
        self.lines += 1
        self.bytes += len(text.encode())

    def __add__(self, other: _Sample) -> _Sample:
        return _Sample(self.lines + other.lines, self.bytes + other.bytes)

    @property
    def mean(self) -> float:
        return self.bytes / max(self.lines, 1)


async def line_sizes(
    ask: Ask,
    query: LogQuery,
    span: Span,
    wanted: Sequence[str],
    totals: Mapping[Labels, float],
    budget: Budget,
) -> Mapping[Labels, float]:
    """About how many bytes a line of each group has; exactly, where all lines of it were looked at.

    The newest lines of all groups are looked at first, and then the newest of each group of which there were
    few among them, the largest groups first. A group that was never looked at has the mean of all.

    :param wanted: the labels that tell the groups apart.
    :param totals: the lines of each group.
    """
    limits = budget.limits
    plan = plan_of(query, may_be_empty=True)
    samples = await _newest(ask, plan, span, wanted, limits.sampled, budget)
    all_of_them = sum(samples.values(), _Sample())
    asked = 0
    for labels in sorted(totals, key=lambda labels: (-totals[labels], labels)):
        known = samples.get(labels, _Sample())
        if known.lines >= min(totals[labels], limits.sampled_enough):
            continue
        if asked >= limits.sampled_groups or budget.is_spent():
            break
        asked += 1
        plan = _plan_of_group(query, dict(labels), wanted)
        found = await _newest(ask, plan, span, wanted, limits.sampled_each, budget)
        if labels in found:
            samples[labels] = found[labels]
    return {labels: (samples.get(labels) or all_of_them).mean for labels in totals}


def _plan_of_group(query: LogQuery, values: Mapping[str, str], wanted: Sequence[str]) -> Plan:
    """How lines of a group are found."""
    matchers = [LabelMatcher(label, "=", values.get(label, "")) for label in wanted if label != DETECTED]
    plan = plan_of(evolve(query, matchers=(*query.matchers, *matchers)), may_be_empty=True)
    if DETECTED not in wanted:
        return plan
    matcher = level_matcher(values.get(DETECTED, UNKNOWN))
    selection = plan.selection
    return evolve(plan, selection=evolve(selection, matchers=(*selection.matchers, matcher)))


async def _newest(
    ask: Ask, plan: Plan, span: Span, wanted: Sequence[str], most: int, budget: Budget
) -> dict[Labels, _Sample]:
    """What the newest lines, of which so many are looked at, have by group."""
    samples: dict[Labels, _Sample] = {}
    before = budget.looked_at
    lines = lines_of(ask, plan, span.begin, span.end, budget, is_newest_first=True, first=most)
    async with aclosing(lines) as parts:
        async for part in parts:
            for line in part:
                labels = line.labels()
                key = ordered({label: labels.get(label, "") for label in wanted})
                samples.setdefault(key, _Sample()).add(line.text)
            if budget.looked_at - before >= most:
                break
    return samples
