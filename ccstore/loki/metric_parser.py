"""Reads whole queries: lines, or numbers made of them."""

from __future__ import annotations

from typing import Final

from ccstore.loki.label_parser import number_of
from ccstore.loki.log_parser import LogParser
from ccstore.loki.range_parser import RangeParser
from ccstore.loki.reading_words import Words, names_in
from ccstore.loki.syntax import (
    BinaryOperation,
    Expression,
    Grouping,
    LabelReplace,
    LogQuery,
    Matching,
    MetricExpression,
    NumberLiteral,
    RangeAggregation,
    VectorAggregation,
    VectorLiteral,
)
from ccstore.regex import compile_regex

#: Functions of a range that count lines, and those that count what ``unwrap`` gives.
COUNTING: Final = ("count_over_time", "rate", "bytes_over_time", "bytes_rate", "absent_over_time")
OF_VALUES: Final = tuple(
    f"{each}_over_time"
    for each in ("sum", "avg", "min", "max", "first", "last", "stddev", "stdvar", "quantile")
)
#: Those of them that may be grouped at once.
_GROUPED: Final = frozenset(OF_VALUES) - {"sum_over_time"}
AGGREGATIONS: Final = (
    *("sum", "avg", "min", "max", "count", "topk", "bottomk", "stddev", "stdvar"),
    *("sort", "sort_desc"),
)
_NOT_HERE: Final = {
    "rate_counter": "rate",
    "approx_topk": "topk",
    "variants": "a query for each of them",
    "group": "count",
    "count_values": "count by",
    "quantile": "quantile_over_time",
}
_FUNCTIONS: Final = (*COUNTING, *OF_VALUES, *AGGREGATIONS, "vector", "label_replace")
#: How close each sign holds what is beside it.
_CLOSENESS: Final = {
    "or": 1,
    **dict.fromkeys(("and", "unless"), 2),
    **dict.fromkeys(("==", "!=", ">", ">=", "<", "<="), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/", "%"), 5),
    "^": 6,
}
SETS: Final = ("or", "and", "unless")
COMPARISONS: Final = ("==", "!=", ">", ">=", "<", "<=")


def parse_query(query: str) -> Expression:
    """Read a query; raises :class:`LogQLError`."""
    return _Parser(Words(query)).whole()


def parse_selector(query: str) -> LogQuery:
    """Read a query for lines; raises :class:`LogQLError` for anything else."""
    words = Words(query)
    found = LogParser(words).query()
    words.expect("end")
    return found


class _Parser:
    def __init__(self, words: Words) -> None:
        self._words = words
        self._lines = LogParser(words)
        self._ranges = RangeParser(words, self._lines)

    def whole(self) -> Expression:
        ahead = 0
        while self._words.behind(ahead).value == "(" and self._words.behind(ahead).kind == "op":
            ahead += 1
        is_log = self._words.behind(ahead).value == "{" and self._words.behind(ahead).kind == "op"
        found: Expression = self._lines.query() if is_log else self._metric()
        self._words.expect("end")
        return found

    # -- operators

    def _metric(self, least: int = 1) -> MetricExpression:
        left = self._single()
        while (closeness := _CLOSENESS.get(self._sign(), 0)) >= least:
            self._words.nest(2)
            token = self._words.take()
            op = token.value.lower()
            is_bool, matching = self._modifiers(op)
            # Powers are taken from the right.
            right = self._metric(closeness if op == "^" else closeness + 1)
            if op in SETS and (isinstance(left, NumberLiteral) or isinstance(right, NumberLiteral)):
                self._words.wrong(f"{op!r} needs series on both sides, and there is a number", token)
            left = BinaryOperation(op, left, right, is_bool, matching)
        return left

    def _sign(self) -> str:
        return self._words.next.value.lower() if self._words.next.kind in ("op", "name") else ""

    def _modifiers(self, op: str) -> tuple[bool, Matching | None]:
        words = self._words
        is_bool = words.is_name("bool")
        if is_bool:
            if op not in COMPARISONS:
                words.wrong(f"bool is for comparisons, and {op!r} is none")
            words.take()
        if words.is_name("group_left", "group_right"):
            words.wrong(f"{words.next.value} needs on (…) or ignoring (…) before it")
        if not words.is_name("on", "ignoring"):
            return is_bool, None
        is_on = words.take().value.lower() == "on"
        labels = self._label_list()
        if not words.is_name("group_left", "group_right"):
            return is_bool, Matching(labels, is_on)
        token = words.take()
        if op in SETS:
            words.wrong(
                f"{op!r} looks at many series on both sides anyway, and takes no {token.value}", token
            )
        taken = self._label_list() if words.is_op("(") else ()
        return is_bool, Matching(labels, is_on, token.value.lower().removeprefix("group_"), taken)

    def _label_list(self) -> tuple[str, ...]:
        self._words.expect_op("(")
        labels: list[str] = []
        while not self._words.take_op(")"):
            if labels:
                self._words.expect_op(",")
            labels.append(self._words.label())
        return tuple(labels)

    # -- operands

    def _single(self) -> MetricExpression:
        words = self._words
        if words.take_op("("):
            words.nest(4)
            inner = self._metric()
            words.expect_op(")")
            return inner
        if words.is_op("-", "+"):
            sign = -1 if words.take().value == "-" else 1
            return NumberLiteral(sign * number_of(words.expect("number").value))
        if words.next.kind == "number":
            return NumberLiteral(number_of(words.take().value))
        name = words.next.value.lower() if words.is_name() else ""
        if name in _NOT_HERE:
            words.wrong(f"the function {name} is not there: use {_NOT_HERE[name]} instead")
        if name and name not in _FUNCTIONS:
            words.wrong(f"there is no function {words.next.value[:40]!r}, there are {names_in(_FUNCTIONS)}")
        if not name:
            words.fail('a selector such as {cluster="…"}', "a function", "a number")
        return self._function(name)

    def _function(self, name: str) -> MetricExpression:
        self._words.nest(4)
        if name in AGGREGATIONS:
            return self._aggregation(name)
        self._words.take()
        if name == "label_replace":
            return self._label_replace()
        if name == "vector":
            self._words.expect_op("(")
            sign = -1 if self._words.take_op("-") else 1
            value = sign * number_of(self._words.expect("number").value)
            self._words.expect_op(")")
            return VectorLiteral(value)
        return self._range_aggregation(name)

    def _aggregation(self, name: str) -> MetricExpression:
        words = self._words
        token = words.take()
        grouping = self._grouping()
        words.expect_op("(")
        parameter = None
        if name in ("topk", "bottomk"):
            number = words.expect("number")
            parameter = number_of(number.value)
            if parameter < 1 or not parameter.is_integer():
                words.wrong(f"{name} needs a whole number of at least 1", number)
            words.expect_op(",")
        inner = self._metric()
        words.expect_op(")")
        grouping = grouping or self._grouping()
        if isinstance(inner, NumberLiteral):
            words.wrong(f"{name} needs series, and there is a number", token)
        if grouping is not None and name.startswith("sort"):
            words.wrong(f"{name} puts all series in order, and cannot be grouped", token)
        return VectorAggregation(name, inner, parameter, grouping)

    def _grouping(self) -> Grouping | None:
        if not self._words.is_name("by", "without"):
            return None
        is_without = self._words.take().value.lower() == "without"
        return Grouping(self._label_list(), is_without)

    def _label_replace(self) -> LabelReplace:
        words = self._words
        words.expect_op("(")
        inner = self._metric()
        given = []
        for _ in range(4):
            words.expect_op(",")
            given.append(words.expect("string"))
        words.expect_op(")")
        target, replacement, source, pattern = given
        try:
            compile_regex(pattern.value)
        except ValueError as error:
            words.wrong(str(error), pattern)
        return LabelReplace(inner, target.value, replacement.value, source.value, pattern.value)

    # -- ranges

    def _range_aggregation(self, name: str) -> RangeAggregation:
        words = self._words
        begin = words.next
        words.expect_op("(")
        parameter = None
        if name == "quantile_over_time":
            sign = -1 if words.take_op("-") else 1
            parameter = sign * number_of(words.expect("number").value)
            words.expect_op(",")
        found = self._ranges.range()
        words.expect_op(")")
        if found.unwrap is None and name in OF_VALUES:
            words.wrong(f"{name} needs numbers: put '| unwrap LABEL' behind the stages", begin)
        if found.unwrap is not None and name in COUNTING and name != "rate":
            words.wrong(f"{name} counts lines, and takes no unwrap", begin)
        grouping = self._grouping()
        if grouping is not None and name not in _GROUPED:
            words.wrong(f"{name} cannot be grouped by itself: put sum by (…) around it", begin)
        return RangeAggregation(name, found, parameter, grouping)
