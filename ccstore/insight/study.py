"""Studies: what asks a store one thing after the other, whoever puts the questions to it.

A study is a generator. It yields what it wants to know next, is sent the answer, and returns what it found.
So it runs where the rows are (in a process that reads, with SQLite), from one consistent view, and knows no
database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from attrs import define, evolve, field, frozen

from ccstore.message import StreamKey
from ccstore.query import Counting, Counts, Page, Position, Row, Selection

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


@frozen
class WantedRows:
    """The first rows of a selection, a :class:`Page`: as many as are good to take in one go.

    :ivar without: parts of the store that are not looked at, see :class:`ToldTemplates`.
    """

    selection: Selection
    without: frozenset[str] = frozenset()


@frozen
class WantedCounts:
    """How many messages there are, as :class:`Counts`."""

    counting: Counting


@frozen
class WantedValues:
    """Values of a label of streams, of which there may be more than ``most``.

    :ivar cluster: of whose streams; None for all.
    """

    label: str
    most: int
    cluster: str | None = None


@frozen
class WantedTemplates:
    """What was counted of the templates of a selection before, as :class:`ToldTemplates`; in steps.

    :ivar step: nanoseconds of a step; messages of the same one are counted together.
    """

    selection: Selection
    step: int


#: A cluster, and a host of it.
Place = tuple[str, str]
#: The first time (ns) of it, and the one behind the last.
Span = tuple[int, int]


@frozen
class WantedSpans:
    """What some hosts said, each in times of its own, as :class:`Spanned`.

    :ivar spans: those of each host; of one host they do not overlap.
    :ivar most: rows of one stream in one span, of which the newest are given.
    """

    spans: Mapping[Place, Sequence[Span]]
    most: int


@frozen
class Spanned:
    """The rows of spans, each of them once, the newest first.

    :ivar streams: the streams of its rows, by their numbers.
    :ivar is_cut: a span has more of them.
    :ivar effort: what it took to find them, as in how many rows.
    :ivar losses: what may belong to them and cannot be read, in words.
    """

    rows: Sequence[Row]
    streams: Mapping[int, StreamKey]
    is_cut: bool
    effort: int
    losses: Sequence[str] = ()


@define
class ToldTemplate:
    """What was counted of a template.

    :ivar oldest: time of the first of its messages, in ns.
    :ivar newest: where the last of them stands, of which ``stream`` is the place of the stream.
    :ivar streams: the places of all of its streams.
    :ivar points: how many there are in each step, by its beginning in ns.
    """

    oldest: int
    newest: Position
    stream: int
    count: int = 0
    streams: set[int] = field(factory=set)
    points: Counter[int] = field(factory=Counter)


@frozen
class ToldTemplates:
    """What was counted before. Rows have to be looked at for what is left.

    :ivar streams: by their places.
    :ivar spans: first time, and the one behind the last, of what is left, the newest first; each with the
        parts of the store that are not to be looked at there, since they were counted.
    """

    templates: Mapping[str, ToldTemplate]
    streams: Sequence[StreamKey]
    spans: Sequence[tuple[int, int, frozenset[str]]]


Wanted = WantedRows | WantedSpans | WantedCounts | WantedValues | WantedTemplates
#: Yields what it wants, is sent a page, counts or values, and returns what it found.
Study = Generator[Wanted, Any, _T]


class Inquiry(Protocol[_T_co]):
    """A question that takes a study to answer: a value that can be pickled."""

    def study(self) -> Study[_T_co]:
        """A study that answers it."""


@frozen
class Studied(Generic[_T]):
    """The answer of a study.

    :ivar losses: what may belong to it and cannot be read, in words.
    """

    found: _T
    losses: Sequence[str] = ()


def page_of(selection: Selection, without: frozenset[str] = frozenset()) -> Study[Page]:
    """The first rows of a selection; see :class:`WantedRows`."""
    page: Page = yield WantedRows(selection, without)
    return page


def spanned(spans: Mapping[Place, Sequence[Span]], most: int) -> Study[Spanned]:
    """The rows of spans; see :class:`WantedSpans`."""
    found: Spanned = yield WantedSpans(spans, most)
    return found


def counts_of(counting: Counting) -> Study[Counts]:
    """Counts."""
    counts: Counts = yield WantedCounts(counting)
    return counts


def heard_hosts(cluster: str, begin: int, end: int) -> Study[Mapping[str, int]]:
    """How many messages there are of each host of a cluster that was heard in a time (ns)."""
    selection = Selection((cluster,), begin=begin, end=end)
    counts = yield from counts_of(Counting(selection, ("hostname",), with_times=False))
    return {count.by[0]: count.messages for count in counts.counts if count.by[0]}


def templates_of(selection: Selection, step: int) -> Study[ToldTemplates]:
    """What was counted of templates."""
    told: ToldTemplates = yield WantedTemplates(selection, step)
    return told


def values_of(label: str, most: int = 100_000, cluster: str | None = None) -> Study[Sequence[str]]:
    """Known values of a label of streams, of one cluster or all."""
    values: Sequence[str] = yield WantedValues(label, most, cluster)
    return values


def each_row(
    selection: Selection,
    most: int,
    take: Callable[[Row, StreamKey], object],
    without: frozenset[str] = frozenset(),
) -> Study[bool]:
    """Give each row of a selection with its stream to a function; True if there are more than ``most``.

    What the function gives is of no interest, unless it is the exception :class:`Enough`.
    """
    left = most
    while True:
        page = yield from page_of(evolve(selection, limit=left), without)
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
