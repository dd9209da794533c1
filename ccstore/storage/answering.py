"""Answering questions, from a view that has all that was accepted before them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ccstore.holdings import Holdings
from ccstore.insight.study import Inquiry, Studied
from ccstore.interfaces import IAnswers, IBackend, QueryTimeout, StoreError
from ccstore.keeping import Kept
from ccstore.query import Arrival, Counting, Counts, Form, Page, Selection, TextPage
from ccstore.storage.committer import Committer
from ccstore.storage.group_commit import GroupCommit
from ccstore.storage.queue import Queue
from ccstore.storage.reading.arrived import Arrivals, LastArrival
from ccstore.storage.reading.counts import CountsQuestion, KnownValues
from ccstore.storage.reading.dialect import Question
from ccstore.storage.reading.inventory import Inventory
from ccstore.storage.reading.leaving import KeepingQuestion
from ccstore.storage.reading.pages import Limits, PageInText, Pages
from ccstore.storage.reading.studying import StudyQuestion
from ccstore.storage.retention import Retention
from ccstore.timing import nanoseconds

#: Characters of a page of text, of which whoever reads slowly has two.
_TEXT_SIZE: Final = 8 << 20
_T = TypeVar("_T")


@frozen
class Patience:
    """How long a query waits for messages that were accepted before it and are not committed yet.

    :ivar seconds: that it waits at most; a database may take no writes just now.
    :ivar flood: messages behind the batch that is being written, above which it waits only
        ``flood_seconds``, and not at all if they are more than another batch.
    """

    seconds: float = 2.0
    flood: int = 1000
    flood_seconds: float = 0.01


#: That of a daemon.
PATIENCE: Final = Patience()


@implementer(IAnswers)
class Answering:
    """Has a backend answer questions.

    :param flush: lets what was accepted be written at once.
    :ivar queries: that were asked.
    :ivar waits: of them, how often one had to wait for a commit.
    """

    log = Logger()

    def __init__(
        self,
        backend: IBackend,
        clock: IReactorTime,
        queue: Queue,
        group_commit: GroupCommit,
        committer: Committer,
        retention: Retention,
        flush: Callable[[], None],
        patience: Patience,
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._queue = queue
        self._group_commit = group_commit
        self._committer = committer
        self._retention = retention
        self._flush = flush
        self._patience = patience
        self.queries = 0
        self.waits = 0

    def pages(
        self, selections: Sequence[Selection], *, max_rows: int, timeout: float, with_tags: bool = True
    ) -> Deferred[Sequence[Page]]:
        """See :meth:`ccstore.interfaces.IAnswers.pages`."""
        question = Pages(selections, self._retention.moment(), Limits(max_rows), with_tags)
        return self._asked(question, timeout)

    def text_page(
        self, selection: Selection, form: Form, *, max_rows: int, timeout: float
    ) -> Deferred[TextPage]:
        """See :meth:`ccstore.interfaces.IAnswers.text_page`."""
        limits, moment = Limits(max_rows, _TEXT_SIZE), self._retention.moment()
        if self._backend.is_busy_elsewhere:
            return self._asked(PageInText(selection, moment, limits, form), timeout)
        pages = self._asked(Pages([selection], moment, limits), timeout)
        return pages.addCallback(lambda pages: pages[0].in_text(form))

    def counts(self, counting: Counting, *, timeout: float) -> Deferred[Counts]:
        """See :meth:`ccstore.interfaces.IAnswers.counts`."""
        return self._asked(CountsQuestion(counting, self._retention.moment()), timeout)

    def insight(self, inquiry: Inquiry[_T], *, timeout: float) -> Deferred[Studied[_T]]:
        """See :meth:`ccstore.interfaces.IAnswers.insight`."""
        return self._asked(StudyQuestion(inquiry, self._retention.moment()), timeout)

    def last_arrival(self, *, timeout: float) -> Deferred[Arrival]:
        """See :meth:`ccstore.interfaces.IAnswers.last_arrival`."""
        return self._asked(LastArrival(), timeout)

    def arrivals(
        self, selection: Selection, after: Arrival, upto: Arrival, *, max_rows: int, timeout: float
    ) -> Deferred[Page]:
        """See :meth:`ccstore.interfaces.IAnswers.arrivals`."""
        return self._asked(Arrivals(selection, after, upto, self._retention.moment(), max_rows), timeout)

    def known(self, label: str, *, most: int, timeout: float) -> Deferred[Sequence[str]]:
        """See :meth:`ccstore.interfaces.IAnswers.known`."""
        return self._asked(KnownValues(label, most), timeout)

    def holdings(self, *, timeout: float) -> Deferred[Holdings]:
        """See :meth:`ccstore.interfaces.IAnswers.holdings`."""
        # Nothing is written sooner for it.
        return Deferred.fromCoroutine(self._read(Inventory(nanoseconds(self._retention.seconds)), timeout))

    def keeping(self, *, with_rules: bool, timeout: float) -> Deferred[Kept]:
        """See :meth:`ccstore.interfaces.IAnswers.keeping`."""
        retention = self._retention
        span = nanoseconds(retention.seconds) if with_rules else None
        question = KeepingQuestion(retention.rules, span, nanoseconds(self._clock.seconds()))
        return self._asked(question, timeout)

    def size(self) -> int:
        """See :meth:`ccstore.interfaces.IAnswers.size`."""
        return int(self._backend.status().get("bytes", 0))

    def _asked(self, question: Question[_T], timeout: float) -> Deferred[_T]:
        return Deferred.fromCoroutine(self._ask(question, timeout))

    async def _ask(self, question: Question[_T], timeout: float) -> _T:
        self.queries += question.count
        await self._catch_up()
        answer = await self._read(question, timeout)
        for loss in _losses_of(answer):
            if self._committer.warnings.check(("loss", loss)) is not None:
                self.log.error("{loss}", loss=loss)
        return answer

    async def _read(self, question: Question[_T], timeout: float) -> _T:
        committer = self._committer
        try:
            answer: _T = await self._backend.read(question, timeout=timeout)
        except QueryTimeout:
            raise
        except StoreError as error:
            committer.count_error("query_exec_failed")
            # What keeps messages from being written has been said.
            is_news = str(error) != committer.failure
            if is_news and committer.warnings.check(("query", str(error))) is not None:
                self.log.error("a query failed: {reason}", reason=error)
            raise
        return answer

    async def _catch_up(self) -> None:
        """Wait until what is accepted now is committed.

        What is acknowledged is committed anyway. So nobody waits for a database that takes no writes, nor
        for long in a flood.
        """
        newest = self._queue.newest  # offers are committed in order, so it stands for all
        if newest is None or not newest.is_open or self._committer.failure is not None:
            return
        waiting, patience = self._queue.waiting, self._patience
        behind = waiting.behind if self._group_commit.is_writing else 0
        if behind > waiting.bounds.together:
            return
        self.waits += 1
        caught_up: Deferred[None] = Deferred()

        def done(result: object) -> object:
            if not caught_up.called:
                caught_up.callback(None)
            return result

        newest.committed.addBoth(done)
        seconds = patience.flood_seconds if behind > patience.flood else patience.seconds
        timer = self._clock.callLater(seconds, done, None)
        self._flush()
        await caught_up
        if timer.active():
            timer.cancel()


def _losses_of(answer: object) -> Sequence[str]:
    """What of an answer could not be read."""
    if isinstance(answer, list):
        return [loss for each in answer for loss in _losses_of(each)]
    return answer.losses if isinstance(answer, (Page, TextPage, Counts)) else ()
