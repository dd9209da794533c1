"""Answering a study from the rows of a database."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final, TypeVar

from attrs import evolve, field, frozen

from ccstore.insight.study import Inquiry, Wanted, WantedCounts, WantedRows, WantedSpans, WantedTemplates
from ccstore.storage.reading.by_spans import SpanReading
from ccstore.storage.reading.by_templates import told_templates
from ccstore.storage.reading.counts import CountsQuestion, KnownValues
from ccstore.storage.reading.dialect import Dialect, Question
from ccstore.storage.reading.moment import Moment, moment_of
from ccstore.storage.reading.pages import Limits, Pages
from ccstore.storage.reading.statement import Reading

_T = TypeVar("_T")

#: How many times the rows of a first statement a page has.
_TIMES: Final = 5


@frozen
class StudyQuestion(Question[_T]):
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

    def reading(self, dialect: Dialect) -> Reading[_T]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        # Where Python cannot be asked by statements, rows come through the reactor's thread: few at a time.
        # But each page looks again at the window of time that it begins in.
        fetching = dialect.fetching
        most = fetching.most if dialect.has_tests else _TIMES * fetching.rows
        study: Generator[Wanted, Any, _T] = self.inquiry.study()
        answer: Any = None
        while True:
            try:
                wanted = study.send(answer)
            except StopIteration as stop:
                found: _T = stop.value
                return found
            answer = yield from self._answer(wanted, dialect, most)

    def _answer(self, wanted: Wanted, dialect: Dialect, most: int) -> Reading[Any]:
        if isinstance(wanted, WantedRows):
            limit = wanted.selection.limit
            selection = evolve(wanted.selection, limit=most if limit is None else min(limit, most))
            if wanted.without:
                dialect = dialect.without(wanted.without)
            (page,) = yield from Pages([selection], self.moment, Limits(most)).reading(dialect)
            return page
        if isinstance(wanted, WantedSpans):
            return (yield from SpanReading(wanted, self.moment, dialect).spanned())
        if isinstance(wanted, WantedTemplates):
            return (yield from told_templates(wanted, self.moment, dialect))
        if isinstance(wanted, WantedCounts):
            return (yield from CountsQuestion(wanted.counting, self.moment).reading(dialect))
        return (yield from KnownValues(wanted.label, wanted.most, wanted.cluster).reading(dialect))
