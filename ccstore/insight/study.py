"""Studies: what asks a store one thing after the other, whoever puts the questions to it.

A study is a generator. It yields what it wants to know next, is sent the answer, and returns what it found.
So it runs where the rows are (in a process that reads, with SQLite), from one consistent view, and knows no
database.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol, TypeVar

from attrs import evolve, frozen

from ccstore.message import StreamKey
from ccstore.query import Counting, Counts, Page, Row, Selection

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


@frozen
class WantedRows:
    """The first rows of a selection, a :class:`Page`: as many as are good to take in one go."""

    selection: Selection


@frozen
class WantedCounts:
    """How many messages there are, as :class:`Counts`."""

    counting: Counting


@frozen
class WantedValues:
    """Values of a label of streams, of which there may be more than ``most``."""

    label: str
    most: int


Wanted = WantedRows | WantedCounts | WantedValues
#: Yields what it wants, is sent a page, counts or values, and returns what it found.
Study = Generator[Wanted, Any, _T]


class Inquiry(Protocol[_T_co]):
    """A question that takes a study to answer: a value that can be pickled."""

    def study(self) -> Study[_T_co]:
        """A study that answers it."""


def page_of(selection: Selection) -> Study[Page]:
    """The first rows of a selection."""
    page: Page = yield WantedRows(selection)
    return page


def counts_of(counting: Counting) -> Study[Counts]:
    """Counts."""
    counts: Counts = yield WantedCounts(counting)
    return counts


def values_of(label: str, most: int = 100_000) -> Study[Sequence[str]]:
    """Known values of a label of streams."""
    values: Sequence[str] = yield WantedValues(label, most)
    return values


def each_row(selection: Selection, most: int, take: Callable[[Row, StreamKey], object]) -> Study[bool]:
    """Give each row of a selection with its stream to a function; True if there are more than ``most``.

    What the function gives is of no interest, unless it is the exception :class:`Enough`.
    """
    left = most
    while True:
        page = yield from page_of(evolve(selection, limit=left))
        try:
            for row in page.rows:
                take(row, page.streams[row.stream])
        except Enough:
            return False
        left -= len(page.rows)
        if not page.is_cut:
            return False
        if left <= 0:
            return True
        selection = evolve(selection, after=page.rows[-1].position)


class Enough(Exception):
    """Whoever takes rows needs no more of them."""
