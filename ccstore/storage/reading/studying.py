"""Answering a study from the rows of a database."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Generic, TypeVar

from attrs import field, frozen

from ccstore.insight.study import (
    Inquiry,
    Spanned,
    Studied,
    Wanted,
    WantedCounts,
    WantedRows,
    WantedSpans,
    WantedTemplates,
)
from ccstore.query import Counts, Page, Selection
from ccstore.storage.reading.by_spans import SpanReading
from ccstore.storage.reading.by_templates import told_templates
from ccstore.storage.reading.counts import CountsQuestion, KnownValues
from ccstore.storage.reading.dialect import Dialect, Question
from ccstore.storage.reading.moment import Moment, moment_of
from ccstore.storage.reading.narrowing import span_of
from ccstore.storage.reading.pages import Limits, Pages, size_of
from ccstore.storage.reading.statement import Reading

_T = TypeVar("_T")


@frozen
class StudyQuestion(Question[Studied[_T]], Generic[_T]):
    """A question that takes many others to answer, all from one and the same state of the store.

    :ivar inquiry: what is asked. It may be answered in another process, and has to be pickled for that.
    :ivar moment: when it is asked.
    """

    inquiry: Inquiry[_T]
    moment: Moment = field(converter=moment_of)

    @property
    def is_long(self) -> bool:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        return True

    @property
    def is_heavy(self) -> bool:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        return True

    def reading(self, dialect: Dialect) -> Reading[Studied[_T]]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        pace = _Pace(dialect)
        losses: dict[str, None] = {}
        study: Generator[Wanted, Any, _T] = self.inquiry.study()
        answer: Any = None
        while True:
            try:
                wanted = study.send(answer)
            except StopIteration as stop:
                found: _T = stop.value
                return Studied(found, [*losses])
            answer = yield from self._answer(wanted, dialect, pace)
            if isinstance(answer, (Page, Counts, Spanned)):
                losses |= dict.fromkeys(answer.losses)

    def _answer(self, wanted: Wanted, dialect: Dialect, pace: _Pace) -> Reading[Any]:
        if isinstance(wanted, WantedRows):
            selection = wanted.selection
            if wanted.without:
                dialect = dialect.without(wanted.without)
            (page,) = yield from Pages([selection], self.moment, pace.limits(selection)).reading(dialect)
            pace.took(page)
            return page
        if isinstance(wanted, WantedSpans):
            return (yield from SpanReading(wanted, self.moment, dialect).spanned())
        if isinstance(wanted, WantedTemplates):
            return (yield from told_templates(wanted, self.moment, dialect))
        if isinstance(wanted, WantedCounts):
            return (yield from CountsQuestion(wanted.counting, self.moment).reading(dialect))
        return (yield from KnownValues(wanted.label, wanted.most, wanted.cluster).reading(dialect))


class _Pace:
    """How many rows a study is given at a time.

    Where Python cannot be asked by statements, rows come through the reactor's thread: few at first, since
    the study may need no more. For each further page what is left is sorted once more, so that it is large,
    and is looked for in about as much time as it may take.
    """

    def __init__(self, dialect: Dialect) -> None:
        fetching = self._fetching = dialect.fetching
        # One more is fetched than a page has, to know whether it is the last.
        few = Limits(fetching.rows, at_first=fetching.rows + 1)
        self._has_tests = dialect.has_tests
        self._first = Limits(fetching.most) if self._has_tests else few
        self._next = self._first

    def limits(self, selection: Selection) -> Limits:
        """Those of a page."""
        return self._first if selection.after is None else self._next

    def took(self, page: Page) -> None:
        """A page was given; the next one may go on behind it."""
        if page.rows and not self._has_tests:
            fetched = max(2, self._fetching.after(len(page.rows), size_of(page.rows)))
            self._next = Limits(fetched - 1, at_first=fetched, span=span_of(page.rows, fetched))
