"""Parts of conditions that have been read, and how they are run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn

from attrs import field, frozen

from ccstore.processing.names import Run
from ccstore.processing.operations import LISTS, Failed, kind_of, truth
from ccstore.processing.subject import Subject
from ccstore.processing.tokens import ExpressionError, Token

#: How deep parts may lie in one another: a sum is as deep as it has terms. Each level takes several calls of
#: the thousand that Python allows.
MAX_DEPTH: Final = 100

BOOLEAN: Final = "a truth value"
UNKNOWN: Final = "anything"
TIMES: Final = ("a time", "a duration")
#: The most that a condition may do in its loops for one message, counted in characters and items that it
#: looks at: some hundredths of a second.
MAX_EFFORT: Final = 1_000_000
#: What one item counts, besides its characters.
_ITEM: Final = 100


class ConditionFailed(Exception):
    """A condition has no answer for a message.

    :ivar position: the character of the condition at which it failed, from 0.
    """

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(position, reason)
        self.position = position
        self.reason = reason


@frozen
class Node:
    """A part of a condition.

    :ivar kind: what its value is, ``anything`` if that depends on the message.
    :ivar depth: of the parts within.
    :ivar constant: its value, in a tuple, if it is known.
    """

    run: Run
    position: int
    kind: str = UNKNOWN
    depth: int = 1
    is_of_series: bool = True
    constant: tuple[Any, ...] = field(default=())


def constant(value: Any, position: int) -> Node:
    """A part whose value is known."""
    return Node(lambda subject: value, position, kind_of(value), constant=(value,))


def fail(token: Token, reason: str) -> NoReturn:
    """A condition that cannot be read, because of what stands there."""
    raise ExpressionError(token.position, reason)


def too_deep(token: Token, limit: int) -> NoReturn:
    """Refuse parts that lie in one another more than ``limit`` deep."""
    fail(token, f"parts lie in one another more than {limit} deep here")


def join(run: Run, token: Token, parts: Sequence[Node], kind: str = UNKNOWN) -> Node:
    """A part that consists of others."""
    depth = 1 + max([part.depth for part in parts], default=0)
    if depth > MAX_DEPTH:
        too_deep(token, MAX_DEPTH)
    return Node(run, token.position, kind, depth, all(part.is_of_series for part in parts))


def check_condition(node: Node, operator: object) -> None:
    """Refuse a part that can never be true or false."""
    if node.kind not in (BOOLEAN, UNKNOWN):
        raise ExpressionError(
            node.position, f"expected what is true or false beside {operator!r}, found {node.kind}"
        )


def asking(node: Node) -> Callable[[Subject], bool]:
    """Run a part, and take only true or false; see :func:`truth`."""
    run = node.run
    if node.kind == BOOLEAN:
        return run
    position = node.position

    def ask(subject: Subject) -> bool:
        try:
            return truth(run(subject))
        except Failed as failed:
            raise ConditionFailed(position, str(failed)) from None

    return ask


def calling(function: Callable[..., Any], runs: Sequence[Run], position: int) -> Run:
    """Run parts, and give what a function makes of them."""

    def call(subject: Subject) -> Any:
        try:
            return function(*[run(subject) for run in runs])
        except Failed as failed:
            raise ConditionFailed(position, str(failed)) from None

    return call


def spend(subject: Subject, value: Any, position: int) -> None:
    """Count what it takes to look at a value, within a loop."""
    subject.effort -= _ITEM + (len(value) if isinstance(value, (str, Mapping, *LISTS)) else 0)
    if subject.effort < 0:
        raise ConditionFailed(position, "it takes too long: there are too many items, or they are too long")


def spending(node: Node) -> Run:
    """Run a part within a loop."""
    if node.constant:
        return node.run
    run, position = node.run, node.position

    def counted(subject: Subject) -> Any:
        value = run(subject)
        spend(subject, value, position)
        return value

    return counted
