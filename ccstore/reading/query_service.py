"""Questions that take more than one page of a selection, or less."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any, Final, Protocol, TypeVar

from attrs import evolve, frozen
from twisted.internet.defer import Deferred

from ccstore.holdings import Holdings
from ccstore.insight.study import Inquiry, Studied
from ccstore.interfaces import IAnswers
from ccstore.message import INT64_MAX
from ccstore.query import (
    STREAM_LABELS,
    Arrival,
    Counting,
    Counts,
    Form,
    Matcher,
    Page,
    Position,
    Row,
    Selection,
    TextPage,
    label_reader,
    tags_in,
)

#: Rows of the first page of an export, and of all others: whoever wants few has them soon.
_FIRST_ROWS: Final = 500
_EXPORT_ROWS: Final = 20_000
_Found = TypeVar("_Found")


@frozen
class Found:
    """A message, with its stream as :class:`Page` has it."""

    row: Row
    page: Page

    def same(self, labels: Sequence[str]) -> list[Matcher]:
        """Conditions: these labels have the values that they have here."""
        row = self.row
        known = dict(zip(STREAM_LABELS, self.page.streams[row.stream], strict=True))
        tags = tags_in(row.othertags)
        return [
            Matcher(label, "=", (known[label] or "") if label in known else label_reader(label)(tags))
            for label in labels
        ]


@frozen
class Context:
    """What stands around a message: before it and behind it, both the oldest first."""

    before: Page
    found: Found
    behind: Page


class QueryService:
    """Asks the store.

    :param timeout: seconds that a single answer of the store may take.
    """

    def __init__(self, store: IAnswers, *, timeout: float) -> None:
        self._store = store
        self.timeout = timeout

    async def page(self, selection: Selection, *, max_rows: int) -> Page:
        """The first page of a selection."""
        (page,) = await self._pages([selection], max_rows)
        return page

    def export(self, selection: Selection) -> AsyncGenerator[Page, None]:
        """All of a selection, page by page; each page is a question of its own.

        So it holds no transaction open, and what comes in meanwhile and stands behind is given, too. The next
        page is read while one is given.
        """
        return _in_turn(selection, lambda selection, rows: self.page(selection, max_rows=rows))

    def export_text(self, selection: Selection, form: Form) -> AsyncGenerator[TextPage, None]:
        """The same as text; see :meth:`IAnswers.text_page`."""

        async def ask(selection: Selection, rows: int) -> TextPage:
            return await self._store.text_page(selection, form, max_rows=rows, timeout=self.timeout)

        return _in_turn(selection, ask)

    async def message(self, position: Position) -> Found | None:
        """The message at a position; None if there is none, or no longer."""
        if position.id < 0:
            return None  # no message has it
        page = await self.page(_at(position), max_rows=1)
        if not page.rows or page.rows[0].position != position:
            return None
        return Found(page.rows[0], page)

    async def context(self, found: Found, selection: Selection, before: int, after: int) -> Context:
        """The messages of a selection that stand around a message, whatever else has its time."""
        position = found.row.position
        pages = await self._pages(
            [
                evolve(selection, after=position, is_newest_first=is_newest_first, limit=count)
                for is_newest_first, count in ((True, before), (False, after))
            ],
            before + after,
        )
        older, newer = pages
        return Context(evolve(older, rows=[*reversed(older.rows)]), found, newer)

    async def counts(self, counting: Counting) -> Counts:
        """How many messages there are."""
        return await self._store.counts(counting, timeout=self.timeout)

    async def insight(self, inquiry: Inquiry[_Found]) -> Studied[_Found]:
        """What a study answers; see :meth:`IAnswers.insight`."""
        return await self._store.insight(inquiry, timeout=self.timeout)

    async def last_arrival(self) -> Arrival:
        """How far messages have come in."""
        return await self._store.last_arrival(timeout=self.timeout)

    async def arrivals(self, selection: Selection, after: Arrival, upto: Arrival, *, max_rows: int) -> Page:
        """See :meth:`IAnswers.arrivals`."""
        return await self._store.arrivals(selection, after, upto, max_rows=max_rows, timeout=self.timeout)

    async def holdings(self, *, timeout: float) -> Holdings:
        """See :meth:`IAnswers.holdings`; it is waited for no longer than for any other answer."""
        return await self._store.holdings(timeout=min(timeout, self.timeout))

    def size(self) -> int:
        """Bytes of the store, as far as that is known."""
        return self._store.size()

    async def known(self, label: str, *, most: int) -> Sequence[str]:
        """Values of a label of streams, of which there may be more."""
        return await self._store.known(label, most=most, timeout=self.timeout)

    async def _pages(self, selections: Sequence[Selection], max_rows: int) -> Sequence[Page]:
        return await self._store.pages(selections, max_rows=max_rows, timeout=self.timeout)


class _PageLike(Protocol):
    @property
    def count(self) -> int: ...

    @property
    def last(self) -> Position | None: ...

    @property
    def is_cut(self) -> bool: ...


_Page = TypeVar("_Page", bound=_PageLike)


async def _in_turn(
    selection: Selection, ask: Callable[[Selection, int], Coroutine[Any, Any, _Page]]
) -> AsyncGenerator[_Page, None]:
    """Ask for one page after the other, each as soon as the one before it has come."""
    left = INT64_MAX if selection.limit is None else selection.limit

    def next_page(after: Position | None, rows: int) -> Deferred[_Page] | None:
        limit = min(rows, left)
        if not limit:
            return None
        return Deferred.fromCoroutine(ask(evolve(selection, limit=limit, after=after), limit))

    asked = next_page(selection.after, _FIRST_ROWS)
    try:
        while asked is not None:
            page = await asked
            left -= page.count
            asked = next_page(page.last, _EXPORT_ROWS) if page.is_cut and page.last is not None else None
            yield page
    finally:
        if asked is not None:
            asked.addErrback(lambda failure: None)
            asked.cancel()


def _at(position: Position) -> Selection:
    return Selection(
        kinds=(position.kind,),  # type: ignore[arg-type]  # decoded from a cursor
        begin=position.time,
        end=position.time + 1,
        is_newest_first=False,
        limit=1,
        after=position._replace(id=position.id - 1),
    )
