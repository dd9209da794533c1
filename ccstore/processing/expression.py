"""Conditions: from text to a function of a message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import field, frozen

from ccstore.processing.nodes import BOOLEAN, MAX_DEPTH, MAX_EFFORT, UNKNOWN, ConditionFailed, Node, asking
from ccstore.processing.parser import MAX_NESTING, Parser
from ccstore.processing.subject import Subject
from ccstore.processing.tokens import ExpressionError

__all__ = ["MAX_DEPTH", "MAX_NESTING", "Condition", "ConditionFailed", "ExpressionError"]

_ALWAYS: Final = Node(lambda subject: True, 0, BOOLEAN)


@frozen
class Condition:
    """
    A condition, ready to be asked.

    :ivar is_of_series: the answer depends on name, tags, meta and kind of a message alone.
    """

    source: str
    is_of_series: bool = field(eq=False)
    _ask: Callable[[Subject], bool] = field(eq=False, repr=False)
    _places: int = field(eq=False, repr=False)
    _constants: Mapping[str, Any] = field(factory=dict, hash=False, repr=False)

    @classmethod
    def of(cls, source: str, constants: Mapping[str, Any] | None = None) -> Condition:
        """
        Read a condition; ``*`` is always true.

        :param constants: values that it may name besides those of the message.
        :raises ExpressionError: if it cannot be read, or can never be true or false.
        """
        parser = Parser(source, constants or {})
        node = _ALWAYS if source.strip() == "*" else parser.read()
        if node.kind not in (BOOLEAN, UNKNOWN):
            raise ExpressionError(node.position, f"expected what is true or false, found {node.kind}")
        return cls(source, node.is_of_series, asking(node), parser.places, constants or {})

    def holds(self, subject: Subject) -> bool:
        """Whether it is true for a message; raises :class:`ConditionFailed`."""
        if self._places:
            subject.places = [None] * self._places
            subject.effort = MAX_EFFORT
        try:
            return self._ask(subject)
        except RecursionError:
            raise ConditionFailed(0, "there are lists or maps in one another, too deep") from None
        except UnicodeEncodeError:
            raise ConditionFailed(0, "there is the half of a character in a text from JSON") from None
