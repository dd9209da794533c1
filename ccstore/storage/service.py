"""The storage service: takes messages in, has them committed, answers questions, and lets events expire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from ccstore.accounting.figures import Figures, counter, gauge
from ccstore.durations import show_duration
from ccstore.interfaces import (
    IBackend,
    IMessageStore,
    QueryTimeout,
    Refusal,
    StoreError,
    StoreUnavailable,
)
from ccstore.message import Batch
from ccstore.query import Arrival, Counting, Counts, Form, Page, Selection, TextPage
from ccstore.storage.committer import Committer, Published
from ccstore.storage.forwarding import Forwarder
from ccstore.storage.group_commit import GroupCommit
from ccstore.storage.queue import Bounds, Queue
from ccstore.storage.reading.arrivals import Arrivals, LastArrival
from ccstore.storage.reading.counts import CountsQuestion, KnownValues
from ccstore.storage.reading.dialect import Question
from ccstore.storage.reading.pages import Limits, PageInText, Pages
from ccstore.storage.retention import cutoff_at
from ccstore.storage.spool import Spool
from ccstore.timing import nanoseconds

_T = TypeVar("_T")

_TEND_EVERY: Final = 1.0
#: How long a query waits for a commit when the database does not take writes, in seconds.
_QUERY_WAIT: Final = 2.0
_FLOOD_WAIT: Final = 0.01
#: Characters of a page of text, of which whoever reads slowly has two.
_TEXT_SIZE: Final = 8 << 20


@implementer(IMessageStore)
class StorageService(Service):
    """Group commit in front of a backend, see :class:`GroupCommit`.

    What somebody waits for is written at once, anything else may linger up to ``flush_time`` seconds or until
    there is enough for a batch.

    :param retention: seconds after which events expire.
    :param flood: messages behind the batch that is being written, above which a query waits only a moment
        for them, and not at all if they are more than another batch.
    :param published: see :class:`Committer`.
    :param worth_beginning: see :class:`GroupCommit`.
    """

    log = Logger()

    def __init__(
        self,
        backend: IBackend,
        clock: IReactorTime,
        *,
        retention: float,
        flush_time: float,
        bounds: Bounds,
        spool: Spool | None = None,
        published: Published | None = None,
        flood: int = 1000,
        worth_beginning: int = 2000,
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._retention = retention
        self._flush_time = flush_time
        self._flood = flood
        queue = self._queue = Queue(bounds, lingers=flush_time > 0)
        self._committer = Committer(
            backend,
            clock,
            waiting=lambda: queue.waiting,
            spooled=None if spool is None else lambda: spool.messages,
            **({} if published is None else {"published": published}),
        )
        self._forwarder: Forwarder | None = None
        if spool is not None:
            most = bounds.together
            self._forwarder = Forwarder(spool, clock, self._committer, retention=retention, most=most)
        self._group_commit = GroupCommit(
            queue,
            self._committer,
            self._forwarder,
            writers=backend.writers,
            worth_beginning=worth_beginning,
            ended=self._wait_a_little,
        )
        self._linger: IDelayedCall | None = None
        self._expiring = LoopingCall(self._expire)
        self._housekeeping = (self._expiring, LoopingCall(self._tend))
        self._housekeeping_ends: list[Deferred[Any]] = []
        self._counts = dict.fromkeys(("processed", "timer_flushes", "query_flushes", "queries"), 0)
        self._expired = 0
        self._spool_failure: str | None = None  # what is wrong with its file

    # -- life

    def startService(self) -> None:
        """Open the backend and the spool; raises :class:`StoreError` in one clear line."""
        if self._forwarder is not None:
            self._forwarder.open()
        self._backend.open()
        super().startService()
        if self._forwarder is not None:
            self._forwarder.start()
        for call in self._housekeeping:
            call.clock = self._clock
            is_expiring = call is self._expiring
            interval = retention_interval(self._retention) if is_expiring else _TEND_EVERY
            self._housekeeping_ends.append(call.start(interval))
        self.log.info("storing in {where}", where=self._backend.describe())

    async def reconfigure(
        self, *, retention: float, flush_time: float, bounds: Bounds, max_spooled: int | None
    ) -> None:
        """Go on with other settings. What waits is written by the new ones.

        :param max_spooled: bytes that the spool may have, if there is one.
        """
        self._flush_time = flush_time
        self._queue.reconfigure(bounds, lingers=flush_time > 0)
        if self._forwarder is not None and max_spooled is not None:
            self._forwarder.reconfigure(retention=retention, most=bounds.together, max_size=max_spooled)
        if len(self._queue):
            self.flush()  # it may have waited for longer than it is to wait now
        if retention != self._retention:
            self._retention = retention
            try:
                await self._backend.retain(retention)
            except StoreError as error:
                self.log.warn("the database takes the new retention time later: {reason}", reason=error)
            if self._expiring.running and not self._committer.is_stopping:
                self._expiring.interval = retention_interval(retention)
                self._expiring.reset()
                # At once: what has expired up to now is noted, and does not come back.
                self._housekeeping_ends.append(Deferred.fromCoroutine(self._expire()))

    async def drain(self) -> None:
        """Commit everything that was accepted."""
        await self._group_commit.drain(self.flush)

    async def stop(self) -> None:
        """Commit everything, and close the backend. Nothing is accepted any more.

        What is spooled stays so, and what waits joins it if the backend is away.
        """
        committer = self._committer
        committer.is_stopping = True
        for call in self._housekeeping:
            if call.running:
                call.stop()
        if committer.failure is not None and self._queue.waiting:
            # One last try, without waiting for the cause to pass.
            committer.retry_now()
        if self._forwarder is not None:
            await self._forwarder.stop()
        await self.drain()
        for end in self._housekeeping_ends:
            await end  # what it has begun
        committer.failure = "the storage is closed"
        await self._backend.close()
        if self._forwarder is not None:
            await self._forwarder.close()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self.stop())

    # -- IMessageStore

    def accept(self, messages: Batch, *, urgent: bool) -> Deferred[Sequence[Refusal]]:
        """See :meth:`IMessageStore.accept`."""
        queue, committer = self._queue, self._committer
        is_ending = committer.is_stopping and self._forwarder is None
        if committer.failure is not None and (urgent or is_ending):
            # Whoever waits for the answer is better served by a quick no, and will come again.
            return fail(StoreUnavailable(committer.failure))
        size = messages.facts.size
        if not queue.has_room(len(messages), size, urgent=urgent):
            return fail(StoreUnavailable(f"{queue.waiting} messages are waiting to be stored already"))
        self._backend.prepare(messages)
        offer = queue.put(messages, size, urgent=urgent)
        self._counts["processed"] += len(messages)
        if queue.is_due():
            self.flush()
            if urgent and self._group_commit.must_spool:
                committer.retry_now()  # the writer may be waiting for room in the spool
        else:
            self._wait_a_little()
        return offer.committed

    def announce(self, parts: Sequence[Batch]) -> None:
        """See :meth:`IMessageStore.announce`."""
        committer = self._committer
        is_busy = len(self._queue) or self._group_commit.is_writing
        if not (is_busy or committer.is_stopping or committer.failure is not None):
            self._backend.announce(parts)

    def flush(self) -> None:
        """See :meth:`IMessageStore.flush`."""
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        self._queue.flush()
        self._group_commit.write()

    def pages(
        self, selections: Sequence[Selection], *, max_rows: int, timeout: float, with_tags: bool = True
    ) -> Deferred[Sequence[Page]]:
        """See :meth:`IMessageStore.pages`."""
        question = Pages(selections, self._cutoff(), Limits(max_rows), with_tags)
        return Deferred.fromCoroutine(self._read(question, timeout))

    def text_page(
        self, selection: Selection, form: Form, *, max_rows: int, timeout: float
    ) -> Deferred[TextPage]:
        """See :meth:`IMessageStore.text_page`."""
        limits = Limits(max_rows, _TEXT_SIZE)
        if self._backend.is_busy_elsewhere:
            question = PageInText(selection, self._cutoff(), limits, form)
            return Deferred.fromCoroutine(self._read(question, timeout))
        reading = Deferred.fromCoroutine(self._read(Pages([selection], self._cutoff(), limits), timeout))
        return reading.addCallback(lambda pages: pages[0].in_text(form))

    def counts(self, counting: Counting, *, timeout: float) -> Deferred[Counts]:
        """See :meth:`IMessageStore.counts`."""
        question = CountsQuestion(counting, self._cutoff())
        return Deferred.fromCoroutine(self._read(question, timeout))

    def last_arrival(self, *, timeout: float) -> Deferred[Arrival]:
        """See :meth:`IMessageStore.last_arrival`."""
        return Deferred.fromCoroutine(self._read(LastArrival(), timeout))

    def arrivals(
        self, selection: Selection, after: Arrival, upto: Arrival, *, max_rows: int, timeout: float
    ) -> Deferred[Page]:
        """See :meth:`IMessageStore.arrivals`."""
        question = Arrivals(selection, after, upto, self._cutoff(), max_rows)
        return Deferred.fromCoroutine(self._read(question, timeout))

    def known(self, label: str, *, most: int, timeout: float) -> Deferred[Sequence[str]]:
        """See :meth:`IMessageStore.known`."""
        return Deferred.fromCoroutine(self._read(KnownValues(label, most), timeout))

    def size(self) -> int:
        """See :meth:`IMessageStore.size`."""
        return int(self._backend.status().get("bytes", 0))

    def unreadiness(self) -> str | None:
        """See :meth:`IMessageStore.unreadiness`."""
        return self._committer.failure or self._spool_failure

    def stats(self) -> Mapping[str, object]:
        """See :meth:`IMessageStore.stats`."""
        committer = self._committer
        failures = {"unavailable": committer.failure, "spool": self._spool_failure}
        return {
            "manager": {
                "errors": {name: reason for name, reason in failures.items() if reason is not None},
                "status": self._status(),
            },
            "backend": {
                "errors": dict(committer.errors),
                "status": self._backend.status()
                | Figures(expired=counter(self._expired, "Events that expired.")),
            },
            "info": {
                "backend_type": self._backend.name,
                "flush_time": show_duration(self._flush_time),
                "retention_time": show_duration(self._retention),
            },
        }

    def _status(self) -> Figures:
        counts, committer = self._counts, self._committer
        status = Figures(
            processed=counter(counts["processed"], "Messages that were taken in, to be written."),
            flushed=counter(committer.flushed, "Messages that were committed."),
            write_batch=counter(committer.batches, "Batches that were committed."),
            timer_flushes=counter(
                counts["timer_flushes"], "Times when flush_time was over, and all was written."
            ),
            query_flushes=counter(counts["query_flushes"], "Times when a query had to wait for a commit."),
            queries=counter(counts["queries"], "Queries that were asked."),
            waiting=gauge(self._queue.waiting, "Messages that wait to be committed."),
        )
        return status if self._forwarder is None else status | self._forwarder.status()

    # -- lingering

    def _wait_a_little(self) -> None:
        if self._linger is None and len(self._queue) and not self._group_commit.is_writing:
            self._linger = self._clock.callLater(self._flush_time, self._lingered)

    def _lingered(self) -> None:
        self._linger = None
        self._counts["timer_flushes"] += 1
        self.flush()

    # -- reading

    async def _read(self, question: Question[_T], timeout: float) -> _T:
        self._counts["queries"] += question.count
        await self._catch_up()
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
        behind = self._queue.behind if self._group_commit.is_writing else 0
        if behind > self._queue.bounds.together:
            return
        self._counts["query_flushes"] += 1
        caught_up: Deferred[None] = Deferred()

        def done(result: object) -> object:
            if not caught_up.called:
                caught_up.callback(None)
            return result

        newest.committed.addBoth(done)
        timer = self._clock.callLater(_FLOOD_WAIT if behind > self._flood else _QUERY_WAIT, done, None)
        self.flush()
        await caught_up
        if timer.active():
            timer.cancel()

    # -- housekeeping; a LoopingCall ends for ever at an exception, so none may escape

    def _cutoff(self) -> int:
        """Events at or before this time, in nanoseconds, have expired."""
        return cutoff_at(self._clock.seconds(), self._retention)

    async def _expire(self) -> None:
        cutoff = self._cutoff()
        try:
            if self._forwarder is not None:
                self._expired += await self._forwarder.expire()
            expired = await self._backend.expire(cutoff)
        except Exception as error:
            self._committer.count_error("delete_sql_exec_failed")
            self._warn_of("cannot delete expired events", error)
        else:
            self._expired += expired
            if expired:
                self.log.debug("{expired} events expired", expired=expired)

    async def _tend(self) -> None:
        try:
            await self._backend.tend(nanoseconds(self._clock.seconds()))
        except Exception as error:
            self._committer.count_error("tend_failed")
            if not isinstance(error, StoreUnavailable) or await self._can_write():
                self._warn_of("cannot tidy up", error)
        if self._forwarder is not None:
            try:
                await self._forwarder.check()
            except StoreUnavailable as error:
                self._spool_failure = str(error)
                self._committer.cannot_spool(error)
            else:
                self._spool_failure = None

    async def _can_write(self) -> bool:
        """Whether writing works; if it does not, that is known and said from now on, until it does."""
        try:
            await self.accept(Batch(), urgent=True)
        except StoreUnavailable:
            return False
        return True

    def _warn_of(self, what: str, error: Exception) -> None:
        committer = self._committer
        if str(error) == committer.failure or committer.warnings.check(what) is None:
            return  # it has been said
        if isinstance(error, StoreError):
            self.log.warn("{what}, will try again: {reason}", what=what, reason=error)
        else:
            self.log.failure("{what}, will try again", what=what)


def retention_interval(retention: float) -> float:
    """Seconds between two looks for expired events: often enough to matter, seldom enough not to."""
    return min(60.0, max(0.25, retention / 32))
