"""Parts of conditions that are joined by operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ccstore.processing.names import Run
from ccstore.processing.nodes import (
    BOOLEAN,
    TIMES,
    UNKNOWN,
    ConditionFailed,
    Node,
    asking,
    calling,
    check_condition,
    constant,
    fail,
    join,
)
from ccstore.processing.operations import OPERATORS, Failed, is_nil, matcher, negative
from ccstore.processing.subject import Subject
from ccstore.processing.tokens import ExpressionError, Token

OR: Final = frozenset(("||", "or"))
AND: Final = frozenset(("&&", "and"))
COMPARISONS: Final = frozenset(("<", "<=", ">", ">="))
#: The operators that may have `not` before them, as in `not in`.
NEGATED: Final = frozenset(("in", "matches", "contains", "startsWith", "endsWith"))


def conditional(asked: Node, if_true: Node, if_false: Node, token: Token) -> Node:
    """``asked ? if_true : if_false``."""
    check_condition(asked, "?")
    kind = if_true.kind if if_true.kind == if_false.kind else UNKNOWN
    ask, yes, no = asking(asked), if_true.run, if_false.run
    return join(
        lambda subject: yes(subject) if ask(subject) else no(subject), token, (asked, if_true, if_false), kind
    )


def logical(parts: Sequence[Node], token: Token) -> Node:
    """All that is joined by `and`, or by `or`."""
    for part in parts:
        check_condition(part, token.value)
    *asks, last = [asking(part) for part in parts]
    ends_with = token.value in OR

    def run(subject: Subject) -> bool:
        for ask in asks:
            if ask(subject) is ends_with:
                return ends_with
        return last(subject)

    return join(run, token, parts, BOOLEAN)


def negated(node: Node, token: Token) -> Node:
    """With ``not`` or ``!`` before it."""
    check_condition(node, "not")
    ask = asking(node)
    return join(lambda subject: not ask(subject), token, (node,), BOOLEAN)


def signed(node: Node, token: Token) -> Node:
    """With ``-`` or ``+`` before it."""
    if node.kind not in ("a number", UNKNOWN):
        fail(token, f"expected a number after {token.value!r}, found {node.kind}")
    function = negative if token.value == "-" else lambda value: negative(negative(value))
    if node.constant:
        return constant(function(node.constant[0]), token.position)
    return join(calling(function, [node.run], token.position), token, (node,), "a number")


def chained(compared: Sequence[Node], token: Token) -> Node:
    """``a < b < c`` means ``a < b and b < c``."""
    if len(compared) == 1:
        return compared[0]
    runs = [node.run for node in compared]
    return join(lambda subject: all(run(subject) for run in runs), token, compared, BOOLEAN)


def binary(left: Node, token: Token, right: Node, one: Run, other: Run) -> Node:
    """An operator between two parts; ``one`` and ``other`` are how they are run."""
    operator = str(token.value)
    if operator == "??":

        def either(subject: Subject) -> Any:
            value = one(subject)
            return other(subject) if is_nil(value) else value

        return join(either, token, (left, right))
    operation, _, kind = OPERATORS[operator]
    _check_kinds(left, token, right)
    position = token.position
    value = right.constant[0] if right.constant else None
    if operator == "matches" and isinstance(value, str):
        run = _matches(one, value, right.position)
    elif operator == "in" and isinstance(value, list) and all(isinstance(each, str) for each in value):
        among = frozenset(value)
        run = lambda subject: isinstance(given := one(subject), str) and given in among  # noqa: E731
    elif operator in ("==", "!=") and isinstance(value, str):
        is_wanted = operator == "=="
        run = lambda subject: (one(subject) == value) is is_wanted  # noqa: E731
    else:

        def run(subject: Subject) -> Any:
            try:
                return operation(one(subject), other(subject))
            except Failed as failed:
                raise ConditionFailed(position, str(failed)) from None

    return join(run, token, (left, right), kind)


def _matches(one: Run, expression: str, position: int) -> Run:
    try:
        check = matcher(expression)
    except Failed as failed:
        raise ExpressionError(position, str(failed)) from None

    def run(subject: Subject) -> bool:
        try:
            return check(one(subject))
        except Failed as failed:
            raise ConditionFailed(position, str(failed)) from None

    return run


def _check_kinds(left: Node, token: Token, right: Node) -> None:
    """Refuse what would fail for every message."""
    operator = str(token.value)
    kinds = (left.kind, right.kind)
    if operator in ("==", "!=") or ("nil" in kinds and operator in NEGATED):
        return
    expected: tuple[str, ...]
    if operator == "in":
        expected = ("a list", "a map")
        kinds = (right.kind, right.kind)
    elif operator in NEGATED:
        expected = ("a string",)
    elif operator in COMPARISONS or operator == "+":
        expected = ("a string", "a number", *TIMES)
        is_mixed = UNKNOWN not in kinds and kinds[0] != kinds[1]
        if is_mixed and not (operator == "+" and set(kinds) == set(TIMES)):
            fail(token, f"{kinds[0]} {operator} {kinds[1]} has no meaning")
    else:
        expected = ("a number", *TIMES) if operator == "-" else ("a number",)
    for kind in kinds:
        if kind not in (*expected, UNKNOWN):
            usual = [each for each in expected if each not in TIMES]
            fail(token, f"expected {' or '.join(usual)} beside {operator!r}, found {kind}")
