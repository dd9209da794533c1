"""What the names in a condition stand for, at the place where the parser is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import evolve

from ccstore.processing import names
from ccstore.processing.functions import FUNCTIONS, NOT_YET
from ccstore.processing.loops import LOOPS
from ccstore.processing.names import Known, Run
from ccstore.processing.nodes import UNKNOWN, Node, constant, fail, spending, too_deep
from ccstore.processing.tokens import Token

#: How deep loops may lie in one another; each takes more of Python's stack than other parts do.
MAX_LOOPS: Final = 8

#: Tags that people are likely to write without `tag.` before them.
_COMMON_TAGS: Final = frozenset(
    ("hostname", "host", "cluster", "function", "method", "unit", "jobid", "rank")
)
_LITERALS: Final[Mapping[str, Any]] = {"true": True, "false": False, "nil": None}
#: Said of what Go's `expr` has, and ccstore has not.
LATER: Final = "the language has it, ccstore does not yet"


def is_reserved(name: str) -> bool:
    """Whether a name has a meaning in conditions already, other than as a function."""
    return names.find(name) is not None or name in names.MESSAGE or name in _LITERALS


def node_of(known: Known, token: Token) -> Node:
    """Something with a name, as a part of a condition."""
    return Node(known.run, token.position, known.kind, is_of_series=known.is_of_series)


class Scope:
    """The constants, the variables of ``let``, and the items of the loops around.

    :param constants: values of the configuration, by their names.
    :ivar places: that the condition needs in a subject, for variables and the items of loops.
    """

    def __init__(self, constants: Mapping[str, Any]) -> None:
        self._constants = constants
        self._variables: dict[str, Node] = {}
        self._items: list[Mapping[str, Node]] = []
        self.places = 0

    def find(self, token: Token) -> Node:
        """What a name stands for that is neither the message nor called; raises :class:`ExpressionError`."""
        name = str(token.value)
        if name in _LITERALS:
            return constant(_LITERALS[name], token.position)
        if name in self._variables:
            return evolve(self._variables[name], position=token.position)
        known = names.find(name)
        if known is not None:
            return node_of(known, token)
        if name in self._constants:
            return constant(self._constants[name], token.position)
        fail(token, _unknown(name))

    def is_value(self, name: str) -> bool:
        """Whether a name is that of a value whatever follows it: it is then no function."""
        return name in _LITERALS or name in self._variables

    def check_is_free(self, token: Token) -> None:
        """Refuse the name of a variable that has a meaning already."""
        name = str(token.value)
        taken = (*self._variables, *self._constants, *FUNCTIONS, *LOOPS, *NOT_YET, "now")
        if is_reserved(name) or name in taken:
            fail(token, f"expected another name for a variable: {name!r} has a meaning already")

    def declare(self, token: Token, value: Node) -> int:
        """A variable, up to :meth:`forget`; gives its place in the subject."""
        place = self._take_places(1)
        self._variables[str(token.value)] = value if value.constant else _at(place, token, value)
        return place

    def forget(self, token: Token) -> None:
        """What follows does not have the variable."""
        del self._variables[str(token.value)]

    def check_loop(self, token: Token) -> None:
        """Refuse a loop that lies in too many others."""
        if len(self._items) == MAX_LOOPS:
            too_deep(token, MAX_LOOPS)

    def enter_loop(self, token: Token, items: Node) -> tuple[int, Node]:
        """A loop over a list begins; gives the place of its item, and the item. The index is behind it."""
        place = self._take_places(2)
        item = _at(place, token, items, UNKNOWN)
        self._items.append({"": item, "index": _at(place + 1, token, items, "a number")})
        return place, item

    def leave_loop(self) -> None:
        """The innermost loop is over."""
        self._items.pop()

    @property
    def is_in_loop(self) -> bool:
        """Whether there are items at all."""
        return bool(self._items)

    def item(self, token: Token, name: str) -> Node:
        """``#`` and what is behind it: the item of the innermost loop, or its index."""
        if name not in self._items[-1]:
            fail(token, f"#{name}: {LATER}" if name == "acc" else f"expected # or #index, found #{name}")
        return self._items[-1][name]

    def run(self, node: Node) -> Run:
        """How a part is run that something is done with: in a loop, it is counted what that may take."""
        return spending(node) if self._items else node.run

    def _take_places(self, count: int) -> int:
        self.places += count
        return self.places - count


def _at(place: int, token: Token, value: Node, kind: str | None = None) -> Node:
    """What stands at a place of the subject, which comes from a value."""
    return Node(
        lambda subject: subject.places[place],
        token.position,
        value.kind if kind is None else kind,
        is_of_series=value.is_of_series,
    )


def _unknown(name: str) -> str:
    if name in NOT_YET:
        return f"{name}: {LATER}"
    if name in FUNCTIONS or name in LOOPS or name == "now":
        return f"expected '(' after the function {name!r}"
    if name in _COMMON_TAGS:
        return f"the name {name!r} is not known: a tag is tag.{name}"
    return f"the name {name!r} is not known, expected one of {', '.join(names.NAMES)}, msg or tag_<key>"
