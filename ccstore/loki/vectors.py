"""Series put together: aggregations, and operators between two of them."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ccstore.loki.label_conditions import COMPARE
from ccstore.loki.label_names import Labels
from ccstore.loki.loki_limits import Budget
from ccstore.loki.metric_parser import COMPARISONS
from ccstore.loki.metric_series import Values, Vector, grouped, not_empty, ordered
from ccstore.loki.syntax import (
    BinaryOperation,
    Grouping,
    LabelReplace,
    LogQLError,
    Matching,
    VectorAggregation,
)
from ccstore.loki.window_functions import variance
from ccstore.regex import compile_regex


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


_AGGREGATIONS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "sum": math.fsum,
    "avg": _mean,
    "min": min,
    "max": max,
    "count": len,
    "stddev": lambda values: math.sqrt(variance(values)),
    "stdvar": variance,
}


async def aggregated(expression: VectorAggregation, inner: Vector, budget: Budget) -> Vector:
    """Fewer series out of many, or some of them."""
    op = expression.op
    if op in ("sort", "sort_desc"):
        return _sorted(inner, is_descending=op == "sort_desc")
    groups: dict[Labels, list[Labels]] = {}
    for labels in inner:
        groups.setdefault(grouped(labels, expression.grouping), []).append(labels)
        await budget.work(5)
    if op in ("topk", "bottomk"):
        return await _best(expression, inner, groups, budget)
    function = _AGGREGATIONS[op]
    found: Vector = {}
    for key, members in groups.items():
        values: Values = []
        columns = [inner[labels] for labels in members]
        for point in range(len(columns[0])):
            there = [value for column in columns if (value := column[point]) is not None]
            values.append(function(there) if there else None)
            await budget.work(len(columns) + 3)
        found[key] = values
    return found


def _sorted(inner: Vector, *, is_descending: bool) -> Vector:
    def rank(labels: Labels) -> tuple[bool, float]:
        value = next((each for each in reversed(inner[labels]) if each is not None), math.nan)
        return math.isnan(value), -value if is_descending else value

    return {labels: inner[labels] for labels in sorted(inner, key=rank)}


async def _best(
    expression: VectorAggregation, inner: Vector, groups: Mapping[Labels, Sequence[Labels]], budget: Budget
) -> Vector:
    """The series that have the most, or the least, at each point."""
    number = int(expression.parameter or 1)
    sign = -1 if expression.op == "topk" else 1
    found: Vector = {}
    count = len(next(iter(inner.values()), []))
    for members in groups.values():
        for point in range(count):
            there = [(value, labels) for labels in members if (value := inner[labels][point]) is not None]
            there.sort(key=lambda each: (sign * each[0], each[1]))
            for value, labels in there[:number]:
                if labels not in found:
                    found[labels] = [None] * count
                found[labels][point] = value
            await budget.work(2 * len(members) + 3)
    # Of a single point, the best one comes first.
    if count == 1:
        return _sorted(found, is_descending=sign < 0)
    return found


# -- operators


def _divided(one: float, other: float) -> float:
    if other:
        return one / other
    return math.nan if not one or math.isnan(one) else math.copysign(math.inf, one)


def _power(one: float, other: float) -> float:
    try:
        found = one**other
    except (OverflowError, ZeroDivisionError):
        return math.inf
    return found if isinstance(found, (int, float)) else math.nan


_OPERATORS: Final[Mapping[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divided,
    "%": lambda one, other: math.fmod(one, other) if other and math.isfinite(one) else math.nan,
    "^": _power,
    **COMPARE,
}

_HINT: Final = ", or put group_left or group_right behind the labels"

#: A number, or series.
Operand = float | Vector


async def combined(expression: BinaryOperation, left: Operand, right: Operand, budget: Budget) -> Operand:
    """What an operator makes of two operands; raises :class:`LogQLError` if series do not fit together."""
    op = expression.op
    if not isinstance(left, dict) and not isinstance(right, dict):
        return float(_OPERATORS[op](left, right))
    if not isinstance(left, dict) or not isinstance(right, dict):
        return await _with_number(expression, left, right, budget)
    if op in ("and", "unless", "or"):
        return await _as_sets(expression, left, right, budget)
    return await _in_pairs(expression, left, right, budget)


async def _in_pairs(expression: BinaryOperation, left: Vector, right: Vector, budget: Budget) -> Vector:
    """Each series with its partner on the other side."""
    op, matching = expression.op, expression.matching
    is_right = matching is not None and matching.many == "right"
    each_side, one_side = (right, left) if is_right else (left, right)
    partners: dict[Labels, tuple[Labels, Values]] = {}
    for labels, values in one_side.items():
        key = _key(labels, matching)
        if key in partners:
            raise LogQLError(
                f"two series on the {'left' if is_right else 'right'} of {op!r} have the same labels"
                f" {_shown(key)}: aggregate them first"
            )
        partners[key] = labels, values
    found: Vector = {}
    for labels, values in each_side.items():
        partner, others = partners.get(_key(labels, matching), ((), None))
        if others is None:
            continue
        result = _result(labels, partner, expression)
        if result in found:
            raise LogQLError(
                f"two series on the {'right' if is_right else 'left'} of {op!r} become the same"
                f" {_shown(result)}: aggregate them first{_HINT if matching and not matching.many else ''}"
            )
        pairs = zip(others, values, strict=True) if is_right else zip(values, others, strict=True)
        found[result] = [_applied(expression, one, other, one) for one, other in pairs]
        await budget.work(3 * len(values))
    return not_empty(found)


def _key(labels: Labels, matching: Matching | None) -> Labels:
    if matching is None:
        return labels
    return grouped(labels, Grouping(matching.labels, is_without=not matching.is_on))


def _result(labels: Labels, partner: Labels, expression: BinaryOperation) -> Labels:
    """The labels of what is made of a series and its partner."""
    matching = expression.matching
    if matching is None or matching.many is None:
        is_filter = expression.op in COMPARISONS and not expression.is_bool
        return labels if is_filter else _key(labels, matching)
    # A label that the partner lacks is taken away.
    others = dict(partner)
    left = {name: value for name, value in labels if name not in matching.taken}
    return ordered(left | {name: others[name] for name in matching.taken if others.get(name)})


def _shown(labels: Labels) -> str:
    return "{" + ", ".join(f'{name}="{value[:40]}"' for name, value in labels) + "}"


def _applied(
    expression: BinaryOperation, one: float | None, other: float | None, kept: float | None
) -> float | None:
    """The result at one point; of a comparison, the value that is kept."""
    if one is None or other is None:
        return None
    result = _OPERATORS[expression.op](one, other)
    if expression.op not in COMPARISONS or expression.is_bool:
        return float(result)
    return kept if result else None


async def _with_number(expression: BinaryOperation, left: Operand, right: Operand, budget: Budget) -> Vector:
    found: Vector = {}
    if isinstance(left, dict):
        assert not isinstance(right, dict)
        for labels, values in left.items():
            found[labels] = [_applied(expression, each, right, each) for each in values]
            await budget.work(3 * len(values))
    else:
        assert isinstance(right, dict)
        for labels, values in right.items():
            found[labels] = [_applied(expression, left, each, each) for each in values]
            await budget.work(3 * len(values))
    return not_empty(found)


async def _as_sets(expression: BinaryOperation, left: Vector, right: Vector, budget: Budget) -> Vector:
    """``and``, ``unless`` and ``or``, point by point."""
    mine = await _presence(expression, left, budget)
    others = await _presence(expression, right, budget)
    found: Vector = {}
    for labels, values in left.items():
        there = others.get(_key(labels, expression.matching))
        if expression.op == "or" or (expression.op == "unless" and there is None):
            found[labels] = values
        elif there is not None:
            is_kept = expression.op == "and"
            found[labels] = [
                value if has is is_kept else None for value, has in zip(values, there, strict=True)
            ]
        await budget.work(2 * len(values))
    if expression.op == "or":
        for labels, values in right.items():
            there = mine.get(_key(labels, expression.matching), [False] * len(values))
            more = [None if has else value for value, has in zip(values, there, strict=True)]
            known = found.get(labels, [None] * len(values))
            found[labels] = [
                one if one is not None else other for one, other in zip(known, more, strict=True)
            ]
            await budget.work(4 * len(values))
    return not_empty(found)


async def _presence(expression: BinaryOperation, vector: Vector, budget: Budget) -> dict[Labels, list[bool]]:
    """At which points there is a series with the labels that matter."""
    found: dict[Labels, list[bool]] = {}
    for labels, values in vector.items():
        key = _key(labels, expression.matching)
        known = found.get(key, [False] * len(values))
        found[key] = [has or value is not None for has, value in zip(known, values, strict=True)]
        await budget.work(2 * len(values))
    return found


async def replaced(expression: LabelReplace, inner: Vector, budget: Budget) -> Vector:
    """The same series with a label made of another one."""
    match = compile_regex(expression.pattern).fullmatch
    found: Vector = {}
    for labels, values in inner.items():
        known = dict(labels)
        hit = match(known.get(expression.source, "").encode(errors="replace"))
        if hit is not None:
            known[expression.target] = _expanded(expression.replacement, hit)
        key = ordered(known)
        if key in found:
            raise LogQLError(f"label_replace makes the same labels {_shown(key)} of two series")
        found[key] = values
        await budget.work(5)
    return found


def _expanded(replacement: str, hit: Any) -> str:
    """A text in which ``$1`` and ``${name}`` stand for groups."""

    def group(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if name is None:
            return "$"
        try:
            found: bytes | None = hit.group(int(name) if name.isdigit() else name.encode())
        except (IndexError, KeyError):
            return ""
        return (found or b"").decode(errors="replace")

    return re.sub(r"\$(?:\{(\w+)\}|(\w+)|\$)", group, replacement)
