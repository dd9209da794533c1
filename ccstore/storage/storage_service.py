"""The storage service: takes messages in, and puts together what commits, spools, answers and keeps house."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ccstore.accounting.figures import Figures, counter, gauge
from ccstore.batch import Batch
from ccstore.durations import show_duration
from ccstore.interfaces import IBackend, IMessageStore, Published, Refusal, StoreUnavailable
from ccstore.keeping import KeepRule
from ccstore.storage.answering import PATIENCE, Answering, Patience
from ccstore.storage.committer import Committer, unpublished
from ccstore.storage.forwarding import Forwarder
from ccstore.storage.group_commit import GroupCommit
from ccstore.storage.held_back import Holding
from ccstore.storage.lingering import Linger
from ccstore.storage.queue import Bounds, Queue
from ccstore.storage.retention import Retention
from ccstore.storage.schedule import Schedule
from ccstore.storage.spool import Spool
from ccstore.storage.waiting_time import WaitingTime


@implementer(IMessageStore)
class StorageService(Service):
    """Group commit in front of a backend, see :class:`GroupCommit`.

    What somebody waits for is written at once, anything else may linger up to ``flush_time`` seconds or until
    there is enough for a batch.

    :param retention: seconds after which events expire that none of the ``rules`` is about.
    :param max_size: bytes that the database may have, or None.
    :param published: see :class:`Committer`.
    :param patience: how long a query waits for what was accepted before it.
    :param worth_beginning: see :class:`GroupCommit`.
    :ivar retention: how long messages are kept.
    :ivar holding: see :class:`ccstore.interfaces.IMessageStore`.
    """

    log = Logger()

    def __init__(
        self,
        backend: IBackend,
        clock: IReactorTime,
        *,
        retention: float,
        rules: Sequence[KeepRule] = (),
        max_size: int | None = None,
        flush_time: float,
        bounds: Bounds,
        spool: Spool | None = None,
        published: Published = unpublished,
        patience: Patience = PATIENCE,
        worth_beginning: int = 2000,
    ) -> None:
        self._backend = backend
        backend.limit(max_size)
        queue = self._queue = Queue(bounds, lingers=flush_time > 0)
        committer = self._committer = Committer(
            backend,
            clock,
            waiting=lambda: queue.waiting.messages,
            spooled=None if spool is None else lambda: spool.messages,
            published=published,
        )
        self._waiting_time = WaitingTime(queue, clock)
        self.holding = Holding(backend)
        self.retention = Retention(clock, retention, rules)
        self._forwarder: Forwarder | None = None
        if spool is not None:
            self._forwarder = Forwarder(spool, clock, committer, self.retention, most=bounds.together)
        self._group_commit = GroupCommit(
            queue,
            committer,
            self._forwarder,
            writers=backend.writers,
            worth_beginning=worth_beginning,
            ended=self._wait_a_little,
        )
        self._linger = Linger(clock, flush_time, self.flush)
        self.answers = Answering(
            backend, clock, queue, self._group_commit, committer, self.retention, self.flush, patience
        )
        self._schedule = Schedule(backend, clock, committer, self._forwarder, self.retention, self._can_write)
        self._processed = 0

    # -- life

    def startService(self) -> None:
        """Open the backend and the spool; raises :class:`StoreError` in one clear line."""
        if self._forwarder is not None:
            self._forwarder.open()
        self._backend.open()
        super().startService()
        if self._forwarder is not None:
            self._forwarder.start()
        self._schedule.start()
        self._waiting_time.start()
        self.log.info("storing in {where}", where=self._backend.describe())

    async def reconfigure(
        self,
        *,
        retention: float,
        rules: Sequence[KeepRule] = (),
        max_size: int | None = None,
        flush_time: float,
        bounds: Bounds,
        max_spooled: int | None,
    ) -> None:
        """Go on with other settings. What waits is written by the new ones.

        :param max_spooled: bytes that the spool may have, if there is one.
        """
        self._backend.limit(max_size)
        self._linger.seconds = flush_time
        self._queue.reconfigure(bounds, lingers=flush_time > 0)
        if self._forwarder is not None and max_spooled is not None:
            self._forwarder.reconfigure(most=bounds.together, max_size=max_spooled)
        if len(self._queue):
            self.flush()  # it may have waited for longer than it is to wait now
        if (retention, tuple(rules)) != (self.retention.seconds, self.retention.rules):
            await self._schedule.retain(retention, rules)

    async def drain(self) -> None:
        """Commit everything that was accepted."""
        await self._group_commit.drain(self.flush)

    async def stop(self) -> None:
        """Commit everything, and close the backend. Nothing is accepted any more.

        What is spooled stays so, and what waits joins it if the backend is away.
        """
        committer = self._committer
        committer.is_stopping = True
        self._schedule.stop()
        self._waiting_time.stop()
        if committer.failure is not None and self._queue.waiting.messages:
            # One last try, without waiting for the cause to pass.
            committer.retry_now()
        if self._forwarder is not None:
            await self._forwarder.stop()
        await self.drain()
        await self._schedule.ended()
        committer.failure = "the storage is closed"
        await self._backend.close()
        if self._forwarder is not None:
            await self._forwarder.spool.close()

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
        waiting = queue.waiting
        if not waiting.has_room(len(messages), size, urgent=urgent):
            return fail(StoreUnavailable(f"{waiting.messages} messages are waiting to be stored already"))
        self._backend.prepare(messages)
        offer = queue.put(messages, size, urgent=urgent)
        self._processed += len(messages)
        if queue.is_due():
            self.flush()
            if urgent and self._group_commit.must_spool:
                committer.retry_now()  # the writer may be waiting for room in the spool
        elif not self._group_commit.is_writing:
            self._linger.begin()
        return offer.committed

    def announce(self, parts: Sequence[Batch]) -> None:
        """See :meth:`IMessageStore.announce`."""
        committer = self._committer
        is_busy = len(self._queue) or self._group_commit.is_writing
        if not (is_busy or committer.is_stopping or committer.failure is not None):
            self._backend.announce(parts)

    def flush(self) -> None:
        """See :meth:`IMessageStore.flush`."""
        self._linger.cancel()
        self._queue.flush()
        self._group_commit.write()

    def unreadiness(self) -> str | None:
        """See :meth:`IMessageStore.unreadiness`."""
        return self._committer.failure or self._schedule.spool_failure

    def stats(self) -> Mapping[str, object]:
        """See :meth:`IMessageStore.stats`."""
        committer, schedule = self._committer, self._schedule
        failures = {"unavailable": committer.failure, "spool": schedule.spool_failure}
        return {
            "manager": {
                "errors": {name: reason for name, reason in failures.items() if reason is not None},
                "status": self._status(),
            },
            "backend": {
                "errors": dict(committer.errors),
                "status": self._backend.status()
                | Figures(expired=counter(schedule.expired, "Events that expired.")),
            },
            "storage": Figures(
                write_seconds=counter(
                    round(committer.committed.seconds, 6),
                    "Time that batches took to be committed.",
                ),
                waiting_limit=gauge(
                    self._queue.waiting.bounds.waiting, "Messages that may wait to be committed."
                ),
                oldest_waiting_seconds=gauge(
                    self._waiting_time.seconds(), "Time that the oldest of those that wait has waited."
                ),
                retention_seconds=gauge(self.retention.seconds, "Time after which events expire."),
                next_expiry=gauge(
                    round(schedule.next_expiry, 3), "Unix time at which events are looked for that expired."
                ),
            ),
            "info": {
                "backend_type": self._backend.name,
                "flush_time": show_duration(self._linger.seconds),
                "retention_time": show_duration(self.retention.seconds),
            },
        }

    def _status(self) -> Figures:
        answering, committed = self.answers, self._committer.committed
        status = Figures(
            processed=counter(self._processed, "Messages that were taken in, to be written."),
            flushed=counter(committed.messages, "Messages that were committed."),
            write_batch=counter(committed.batches, "Batches that were committed."),
            timer_flushes=counter(self._linger.times, "Times when flush_time was over, and all was written."),
            query_flushes=counter(answering.waits, "Times when a query had to wait for a commit."),
            queries=counter(answering.queries, "Queries that were asked."),
            waiting=gauge(self._queue.waiting.messages, "Messages that wait to be committed."),
        )
        return status if self._forwarder is None else status | self._forwarder.status()

    def _wait_a_little(self) -> None:
        if len(self._queue) and not self._group_commit.is_writing:
            self._linger.begin()

    async def _can_write(self) -> bool:
        """Whether writing works; if it does not, that is known and said from now on, until it does."""
        try:
            await self.accept(Batch(), urgent=True)
        except StoreUnavailable:
            return False
        return True
