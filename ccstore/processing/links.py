"""What follows a value in a condition: keys, parts, methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen

from ccstore.processing import moments
from ccstore.processing.functions import FUNCTIONS
from ccstore.processing.names import Run
from ccstore.processing.nodes import BOOLEAN, TIMES, UNKNOWN, ConditionFailed, Node, fail, join
from ccstore.processing.operations import Failed, fetch, kind_of, part_of
from ccstore.processing.subject import Subject
from ccstore.processing.tokens import Token


@frozen
class Link:
    """
    One step from a value to what is there.

    :ivar apply: takes it; may raise :class:`Failed`.
    :ivar token: the dot or the bracket; with ``?.``, nil has nothing there, and that ends the chain.
    """

    apply: Callable[[Any, Subject], Any]
    token: Token
    parts: Sequence[Node]


def chain(node: Node, run: Run, links: Sequence[Link], start: Token) -> Node:
    """Take all steps from a part, which is run in this way."""
    steps = [(link.apply, link.token.value == "?.", link.token.position) for link in links]

    def go(subject: Subject) -> Any:
        value = run(subject)
        for apply, is_optional, position in steps:
            if is_optional and value is None:
                return None
            try:
                value = apply(value, subject)
            except Failed as failed:
                raise ConditionFailed(position, str(failed)) from None
        return value

    return join(go, start, [node, *(part for link in links for part in link.parts)])


def key_link(token: Token, key: Node, kind: str) -> Link:
    """``.key`` or ``[key]``; ``kind`` is that of the value before it."""
    if kind in ("a string", "a number", BOOLEAN, "nil", *TIMES):
        fail(token, f"there are no keys in {kind}")
    if key.constant:
        known = key.constant[0]
        return Link(lambda value, subject: fetch(value, known), token, ())
    run = key.run
    return Link(lambda value, subject: fetch(value, run(subject)), token, (key,))


def part_link(token: Token, first: Node, last: Node) -> Link:
    """``[first:last]``."""
    one, other = first.run, last.run
    return Link(lambda value, subject: part_of(value, one(subject), other(subject)), token, (first, last))


def check_method(token: Token, name: str, kind: str) -> None:
    """Refuse a method that no value of this kind has."""
    if name not in moments.METHODS or kind not in (*TIMES, UNKNOWN):
        of_times = ", ".join(moments.METHODS)
        fail(
            token,
            f"only msg has methods, and times and durations have {of_times};"
            f" functions stand alone: {', '.join(FUNCTIONS)}",
        )


def method_link(token: Token, name: str, arguments: Sequence[Node]) -> Link:
    """``.name(arguments)``, see :func:`check_method`."""
    kind, method, kinds = moments.METHODS[name]
    if len(arguments) != len(kinds):
        fail(token, f"{name} takes {len(kinds)} arguments, not {len(arguments)}")
    runs = [argument.run for argument in arguments]

    def apply(value: Any, subject: Subject) -> Any:
        given = [run(subject) for run in runs]
        if not isinstance(value, kind) or not all(map(isinstance, given, kinds)):
            raise Failed(f"{kind_of(value)} has no method {name}({', '.join(map(kind_of, given))})")
        return method(value, *given)

    return Link(apply, token, arguments)
