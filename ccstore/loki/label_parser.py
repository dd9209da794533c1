"""Reads selectors and conditions on labels."""

from __future__ import annotations

import math
from typing import Final, cast

from ccstore.loki.ip_addresses import addresses
from ccstore.loki.lexer import bytes_of, duration_of
from ccstore.loki.reading_words import Words
from ccstore.loki.syntax import (
    AndCondition,
    CompareOp,
    IpCondition,
    LabelCondition,
    LabelMatcher,
    MatchOp,
    NumberCondition,
    OrCondition,
)
from ccstore.regex import compile_regex

MATCH_OPS: Final = ("=", "!=", "=~", "!~")
COMPARE_OPS: Final = ("==", "=", "!=", ">", ">=", "<", "<=")


class LabelParser:
    """Reads what a query says of labels."""

    def __init__(self, words: Words) -> None:
        self._words = words

    def selector(self) -> tuple[LabelMatcher, ...]:
        """``{a="b", …}``."""
        self._words.expect_op("{")
        matchers: list[LabelMatcher] = []
        while not self._words.take_op("}"):
            if matchers:
                self._words.expect_op(",", "}")
                if self._words.take_op("}"):
                    break
            matchers.append(self.matcher())
        return tuple(matchers)

    def matcher(self) -> LabelMatcher:
        """``a="b"``."""
        label = self._words.label()
        op = cast(MatchOp, self._words.expect_op(*MATCH_OPS))
        return self.matcher_of(label, op)

    def matcher_of(self, label: str, op: MatchOp) -> LabelMatcher:
        """What stands behind a label and one of :data:`MATCH_OPS`."""
        token = self._words.expect("string")
        if op in ("=~", "!~"):
            try:
                compile_regex(token.value)
            except ValueError as error:
                self._words.wrong(str(error), token)
        return LabelMatcher(label, op, token.value)

    def ip(self) -> str:
        """``ip("…")``, which comes."""
        self._words.take()
        self._words.expect_op("(")
        given = self._words.checked(addresses)
        self._words.expect_op(")")
        return given

    # -- conditions on labels

    def condition(self) -> LabelCondition:
        """Conditions with ``and``, ``or`` and commas."""
        left = self._both()
        while self._words.is_name("or"):
            self._words.take()
            left = OrCondition(left, self._both())
        return left

    def _both(self) -> LabelCondition:
        left = self._single()
        while True:
            if self._words.is_name("and") or self._words.is_op(","):
                self._words.take()
            elif not (self._words.is_name() and self._is_compared()):
                return left
            left = AndCondition(left, self._single())

    def _is_compared(self) -> bool:
        ahead = self._words.behind()
        return ahead.kind == "op" and ahead.value in (*COMPARE_OPS, "=~", "!~")

    def _single(self) -> LabelCondition:
        words = self._words
        words.nest(2)
        if words.take_op("("):
            words.nest(2)
            inner = self.condition()
            words.expect_op(")")
            return inner
        if not words.is_name():
            words.fail("a stage", "a condition on a label")
        label = words.label()
        op = words.expect_op(*COMPARE_OPS, "=~", "!~")
        if op in MATCH_OPS and words.next.kind == "string":
            return self.matcher_of(label, cast(MatchOp, op))
        if op in ("=", "!=") and words.is_name("ip"):
            return IpCondition(label, "=" if op == "=" else "!=", self.ip())
        if op in ("=~", "!~"):
            words.fail("a string")
        return self._number(label, cast(CompareOp, "==" if op == "=" else op))

    def _number(self, label: str, op: CompareOp) -> NumberCondition:
        sign = "-" if self._words.take_op("-") else ""
        token = self._words.expect("number", "duration", "bytes")
        text = sign + token.value
        if token.kind == "duration":
            return NumberCondition(label, op, duration_of(text), "duration", text)
        if token.kind == "bytes":
            return NumberCondition(label, op, bytes_of(token.value) * (-1 if sign else 1), "bytes", text)
        return NumberCondition(label, op, number_of(text), "number", text)


def number_of(text: str) -> float:
    """What a number in a query is; one that is too large is infinite."""
    try:
        return float(int(text, 16)) if "x" in text.lower() else float(text)
    except (OverflowError, ValueError):
        return math.inf
