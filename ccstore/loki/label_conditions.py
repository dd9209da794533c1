"""Conditions on labels, as tests of a line's labels."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from ccstore.loki.ip_addresses import address_test
from ccstore.loki.lexer import bytes_of, duration_of
from ccstore.loki.syntax import (
    AndCondition,
    IpCondition,
    LabelCondition,
    LabelMatcher,
    NumberCondition,
    OrCondition,
    Unit,
)
from ccstore.regex import compile_regex

COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
READ: Final[Mapping[Unit, Callable[[str], float]]] = {
    "number": float,
    "duration": duration_of,
    "bytes": bytes_of,
}


class Unreadable(Exception):
    """A label is to be compared with a number, and is none."""


#: Whether labels meet a condition; raises :class:`Unreadable`. What is given finds a label, or gives "".
Test = Callable[[Callable[[str], str]], bool]


def value_test(matcher: LabelMatcher) -> Callable[[str], bool]:
    """Whether the value of a label meets a condition; an absent label is the empty text."""
    is_wanted = matcher.op in ("=", "=~")
    if matcher.op in ("=", "!="):
        return lambda value: (value == matcher.value) is is_wanted
    match = compile_regex(matcher.value).fullmatch

    @lru_cache(4096)
    def test(value: str) -> bool:
        return (match(value.encode(errors="replace")) is not None) is is_wanted

    return test


def condition_test(condition: LabelCondition) -> Test:
    """Whether labels meet a condition."""
    if isinstance(condition, AndCondition):
        left, right = condition_test(condition.left), condition_test(condition.right)
        return lambda get: left(get) and right(get)
    if isinstance(condition, OrCondition):
        left, right = condition_test(condition.left), condition_test(condition.right)
        return lambda get: left(get) or right(get)
    label = condition.label
    if isinstance(condition, LabelMatcher):
        of_text = value_test(condition)
        return lambda get: of_text(get(label))
    if isinstance(condition, IpCondition):
        is_meant, is_wanted = address_test(condition.value), condition.op == "="
        return lambda get: bool(get(label)) and is_meant(get(label)) is is_wanted
    return _number_test(condition)


def _number_test(condition: NumberCondition) -> Test:
    compare, read, label = COMPARE[condition.op], READ[condition.unit], condition.label

    def test(get: Callable[[str], str]) -> bool:
        value = get(label)
        if not value:
            return False
        try:
            number = read(value)
        except ValueError as error:
            raise Unreadable(str(error)[:100]) from None
        return compare(number, condition.value)

    return test


def labels_in(condition: LabelCondition) -> set[str]:
    """The labels that a condition looks at."""
    if isinstance(condition, (AndCondition, OrCondition)):
        return labels_in(condition.left) | labels_in(condition.right)
    return {condition.label}
