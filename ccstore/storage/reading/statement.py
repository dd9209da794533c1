"""Statements, and readings: what asks for their rows one after the other, whoever runs them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

#: Rows of a statement, as tuples or lists of its columns.
Rows = Sequence[Sequence[Any]]

#: Of a value of a row: its other tags as a JSON object, or None, or its text as UTF-8.
Test = Callable[[Any], bool]


class Statement(NamedTuple):
    """A SELECT.

    :ivar sql: with the placeholders of the dialect that made it.
    :ivar parameters: the first is for the placeholder with the number 1.
    :ivar columns: the names of its columns.
    :ivar tests: in Python, for what it has no words for itself, see :meth:`Dialect.test`.
    :ivar has_bytes: in a column, of which there are few rows.
    """

    sql: str
    parameters: Sequence[object]
    columns: Sequence[str]
    tests: Sequence[Test] = ()
    has_bytes: bool = False


#: Yields statements, is sent their rows, and returns what they come to.
Reading = Generator[Statement, Rows, T]


class Values:
    """The parameters of a statement that is being put together.

    :param placeholder: gives the placeholder for a number, from 1.
    """

    def __init__(self, placeholder: Any) -> None:
        self._placeholder = placeholder
        self.given: list[object] = []

    def bind(self, value: object) -> str:
        """The placeholder for a value; it may stand in the statement any number of times."""
        self.given.append(value)
        return str(self._placeholder(len(self.given)))
