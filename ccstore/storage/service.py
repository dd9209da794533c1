"""The storage service: collects messages into batches, commits them in order, and lets events expire."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from ccstore.durations import show_duration
from ccstore.figures import Figures, counter, gauge
from ccstore.interfaces import (
    CommitUnknown,
    IBackend,
    IMessageStore,
    QueryTimeout,
    Refusal,
    StoreError,
    StoreUnavailable,
)
from ccstore.logs import RateLimit
from ccstore.message import Batch
from ccstore.query import Page, Query
from ccstore.storage.forwarding import RETRY_FIRST, RETRY_MOST, Forwarder
from ccstore.storage.query import cutoff_at
from ccstore.storage.spool import Spool

#: Characters of text held in memory, above which nothing more is accepted.
MAX_WAITING_SIZE = 64 * 1024 * 1024
#: Messages that may always be written together; ``batch_size`` raises it.
LARGEST_BATCH = 8192
#: Messages with which it is worth to begin a batch while another one is being written: fewer wait for more.
_WORTH_BEGINNING = 2000
_TEND_EVERY = 1.0
#: How long a full spool is waited for before it is looked at again, in seconds.
_SPOOL_WAIT = 1.0
#: How long a query waits for a commit when the database does not take writes, in seconds.
_QUERY_WAIT = 2.0
#: Messages behind the batch that is being written, above which a query waits only so long for them, and not
#: at all if they are more than another batch.
_FLOOD = 1000
_FLOOD_WAIT = 0.01


@define(eq=False)
class _Offer:
    """Messages that were accepted together, and who waits for them."""

    messages: Batch
    size: int  # characters of text
    is_urgent: bool
    committed: Deferred[Sequence[Refusal]] = field(factory=Deferred)
    refusals: list[Refusal] = field(factory=list)


@define(eq=False)
class _Attempt:
    """Offers that the backend is writing together; ``error`` is what came of it, None if that is success."""

    offers: list[_Offer]
    messages: Batch
    error: Deferred[StoreError | None]


def _is_open(offer: _Offer | None) -> bool:
    return offer is not None and not offer.committed.called


@implementer(IMessageStore)
class StorageService(Service):
    """Group commit in front of a backend.

    While one batch is being written the next one collects; when the writer is free it takes all there is, up
    to a bound. What somebody waits for is written at once, anything else may linger up to ``flush_time``
    seconds or until there are ``batch_size`` messages, to make a larger batch. A batch that the backend
    cannot take now is tried again until it can; one that it refuses is halved until the message at fault is
    found, and that one is refused.

    With a spool, what nobody waits for does not wait for a backend that is away: it counts as committed when
    it is in the spool, and goes on from there in order. As long as there is anything in the spool, newer
    messages of that sort go behind it; what somebody waits for goes past it, since no sender has both sorts.

    :param retention: seconds after which events expire.
    :param max_waiting: messages held in memory, above which nothing more is accepted; the same goes for
        :data:`MAX_WAITING_SIZE` characters of text.
    """

    log = Logger()

    def __init__(
        self,
        backend: IBackend,
        clock: IReactorTime,
        *,
        retention: float,
        flush_time: float,
        batch_size: int,
        max_waiting: int,
        spool: Spool | None = None,
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._retention = retention
        self._flush_time = flush_time
        self._batch_size = batch_size
        self._largest = max(batch_size, LARGEST_BATCH)
        self._max_waiting = max_waiting
        self._forwarder: Forwarder | None = None
        if spool is not None:
            self._forwarder = Forwarder(
                spool,
                clock,
                write=self._commit,
                failed=self._is_unavailable,
                works=self._works_again,
                is_failing=lambda: self._failure is not None,
                retention=retention,
                most=self._largest,
            )
        self._offers: deque[_Offer] = deque()
        self._waiting = 0  # messages in _offers and in the batch being written
        self._waiting_size = 0  # characters of their texts
        self._in_batch = 0  # messages in the batches being written
        self._urgent_waiting = 0  # messages among those waiting that somebody waits for
        self._urgent_size = 0
        self._urgent = 0  # offers in _offers that somebody waits for
        self._newest: _Offer | None = None
        self._flushed: _Offer | None = None  # up to this one all is to be written in any case
        self._is_writing = False
        self._begun: deque[_Attempt] = deque()  # the backend ends them in this order
        self._may_begin = False  # another one, while the first of them is being written
        self._linger: IDelayedCall | None = None
        self._idle: list[Deferred[None]] = []
        self._failure: str | None = None
        self._spool_failure: str | None = None  # what is wrong with its file
        self._retry: IDelayedCall | None = None
        self._stopping = False
        self._has_given_up = False
        self._warnings = RateLimit(clock, 60.0)
        self._expiring = LoopingCall(self._expire)
        self._housekeeping = (self._expiring, LoopingCall(self._tend))
        self._housekeeping_ends: list[Deferred[LoopingCall]] = []
        self._counts = dict.fromkeys(
            ("processed", "flushed", "write_batch", "timer_flushes", "query_flushes", "queries"), 0
        )
        self._errors: dict[str, int] = {}
        self._expired = 0

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
        self,
        *,
        retention: float,
        flush_time: float,
        batch_size: int,
        max_waiting: int,
        max_spooled: int | None,
    ) -> None:
        """Go on with other settings. What waits is written by the new ones.

        :param max_spooled: bytes that the spool may have, if there is one.
        """
        self._flush_time = flush_time
        self._batch_size = batch_size
        self._largest = max(batch_size, LARGEST_BATCH)
        self._max_waiting = max_waiting
        if self._forwarder is not None and max_spooled is not None:
            self._forwarder.reconfigure(retention=retention, most=self._largest, max_size=max_spooled)
        if self._offers:
            self.flush()  # it may have waited for longer than it is to wait now
        if retention != self._retention:
            self._retention = retention
            try:
                await self._backend.retain(retention)
            except StoreError as error:
                self.log.warn("the database takes the new retention time later: {reason}", reason=error)
            if self._expiring.running and not self._stopping:
                self._expiring.interval = retention_interval(retention)
                self._expiring.reset()

    async def drain(self) -> None:
        """Commit everything that was accepted."""
        while self._offers or self._is_writing:
            idle: Deferred[None] = Deferred()
            self._idle.append(idle)
            self.flush()
            await idle

    async def stop(self) -> None:
        """Commit everything, and close the backend. Nothing is accepted any more.

        What is spooled stays so, and what waits joins it if the backend is away.
        """
        self._stopping = True
        for call in self._housekeeping:
            if call.running:
                call.stop()
        if self._failure is not None and self._waiting:
            # One last try, without waiting for the cause to pass.
            self._retry_now()
        if self._forwarder is not None:
            await self._forwarder.stop()
        await self.drain()
        for end in self._housekeeping_ends:
            await end  # what it has begun
        self._failure = "the storage is closed"
        await self._backend.close()
        if self._forwarder is not None:
            await self._forwarder.close()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self.stop())

    # -- IMessageStore

    def accept(self, messages: Batch, *, urgent: bool) -> Deferred[Sequence[Refusal]]:
        """See :meth:`IMessageStore.accept`."""
        if self._failure is not None and (urgent or (self._stopping and self._forwarder is None)):
            # Whoever waits for the answer is better served by a quick no, and will come again.
            return fail(StoreUnavailable(self._failure))
        size = messages.facts.size
        if not self._has_room(len(messages), size, urgent):
            return fail(StoreUnavailable(f"{self._waiting} messages are waiting to be stored already"))
        self._backend.prepare(messages)
        offer = self._newest = _Offer(messages, size, urgent)
        self._offers.append(offer)
        self._waiting += len(messages)
        self._waiting_size += size
        self._counts["processed"] += len(messages)
        self._urgent += urgent
        if urgent:
            self._urgent_waiting += len(messages)
            self._urgent_size += size
        if self._is_due():
            self.flush()
            if urgent and self._must_spool:
                self._retry_now()  # the writer may be waiting for room in the spool
        else:
            self._wait_a_little()
        return offer.committed

    def _has_room(self, count: int, size: int, urgent: bool) -> bool:
        """Whether so many more messages may wait.

        Whoever waits for the answer can be told to come again. A stream cannot: it pauses by itself when it
        has too much waiting, and must not lose anything because others have.
        """
        waiting, waiting_size = self._waiting, self._waiting_size
        if not urgent:
            waiting -= self._urgent_waiting
            waiting_size -= self._urgent_size
        return not waiting or (
            waiting + count <= self._max_waiting and waiting_size + size <= MAX_WAITING_SIZE
        )

    def announce(self, parts: Sequence[Batch]) -> None:
        """See :meth:`IMessageStore.announce`."""
        if not (self._offers or self._is_writing or self._stopping or self._failure is not None):
            self._backend.announce(parts)

    def flush(self) -> None:
        """See :meth:`IMessageStore.flush`."""
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        self._flushed = self._newest
        if self._offers and not self._is_writing:
            self._is_writing = True
            writing = Deferred.fromCoroutine(self._write_all())
            writing.addErrback(lambda failure: self.log.failure("the writer failed", failure))
        elif self._may_begin and self._waiting - self._in_batch >= _WORTH_BEGINNING and not self._must_spool:
            self._begin_batches()

    def query(self, queries: Sequence[Query], *, max_rows: int, timeout: float) -> Deferred[Sequence[Page]]:
        """See :meth:`IMessageStore.query`."""
        return Deferred.fromCoroutine(self._query(queries, max_rows, timeout))

    def unreadiness(self) -> str | None:
        """See :meth:`IMessageStore.unreadiness`."""
        return self._failure or self._spool_failure

    def stats(self) -> Mapping[str, object]:
        """See :meth:`IMessageStore.stats`."""
        return {
            "manager": {
                "errors": {
                    name: reason
                    for name, reason in (("unavailable", self._failure), ("spool", self._spool_failure))
                    if reason is not None
                },
                "status": self._status(),
            },
            "backend": {
                "errors": dict(self._errors),
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
        counts = self._counts
        status = Figures(
            processed=counter(counts["processed"], "Messages that were taken in, to be written."),
            flushed=counter(counts["flushed"], "Messages that were committed."),
            write_batch=counter(counts["write_batch"], "Batches that were committed."),
            timer_flushes=counter(
                counts["timer_flushes"], "Times when flush_time was over, and all was written."
            ),
            query_flushes=counter(counts["query_flushes"], "Times when a query had to wait for a commit."),
            queries=counter(counts["queries"], "Queries that were asked."),
            waiting=gauge(self._waiting, "Messages that wait to be committed."),
        )
        return status if self._forwarder is None else status | self._forwarder.status()

    # -- writing

    def _is_due(self) -> bool:
        """What waits is to be written without waiting for more."""
        if self._urgent or not self._flush_time:
            return True
        return self._waiting - self._in_batch >= self._batch_size

    def _wait_a_little(self) -> None:
        if self._linger is None and not self._is_writing:
            self._linger = self._clock.callLater(self._flush_time, self._lingered)

    def _lingered(self) -> None:
        self._linger = None
        self._counts["timer_flushes"] += 1
        self.flush()

    async def _write_all(self) -> None:
        """Write batches as long as there is something that is due."""
        begun = self._begun
        try:
            while begun or self._has_more():
                if self._forwarder is not None and self._must_spool and not begun:
                    await self._write_around(self._forwarder)
                    continue
                self._begin_batches()
                oldest = begun[0]
                self._may_begin = True
                error = await oldest.error
                self._may_begin = False
                begun.popleft()
                while error is not None and begun:
                    await self._take_back(begun.pop())
                await self._write_batch(oldest, error)
                self._in_batch -= len(oldest.messages)
        finally:
            self._is_writing = False
            if self._offers:
                self._wait_a_little()
            idle, self._idle = self._idle, []
            for waiter in idle:
                waiter.callback(None)

    def _begin_batches(self) -> None:
        while len(self._begun) < self._backend.writers and self._has_more():
            self._begun.append(self._begin(self._next_batch()))

    @property
    def _must_spool(self) -> bool:
        """What nobody waits for goes into the spool now."""
        return self._forwarder is not None and (self._failure is not None or not self._forwarder.is_idle)

    def _has_more(self) -> bool:
        return bool(self._offers) and (_is_open(self._flushed) or self._is_due())

    def _next_batch(self) -> list[_Offer]:
        batch = [self._offers.popleft()]
        size = len(batch[0].messages)
        while self._offers and size + len(self._offers[0].messages) <= self._largest:
            offer = self._offers.popleft()
            batch.append(offer)
            size += len(offer.messages)
        self._in_batch += size
        self._urgent -= sum(offer.is_urgent for offer in batch)
        return batch

    def _begin(self, offers: list[_Offer]) -> _Attempt:
        messages = _together(offers)
        return _Attempt(offers, messages, Deferred.fromCoroutine(self._try(messages)))

    async def _try(self, messages: Batch) -> StoreError | None:
        try:
            await self._commit(messages)
        except StoreError as error:
            return error
        return None

    async def _take_back(self, attempt: _Attempt) -> None:
        """Let a batch wait again that cannot be written since the one before it failed."""
        await attempt.error
        self._offers.extendleft(reversed(attempt.offers))
        self._urgent += sum(offer.is_urgent for offer in attempt.offers)
        self._in_batch -= len(attempt.messages)

    async def _write_batch(self, attempt: _Attempt, error: StoreError | None) -> None:
        """Store the offers of an attempt that ended so, however long it takes until the backend is able to.

        Only those that nobody waits for are kept so long, or spooled. Until it works again, a write of
        nothing finds out.
        """
        delay = RETRY_FIRST
        offers, messages = attempt.offers, attempt.messages
        is_unknown, batch_id = False, None
        while True:
            if isinstance(error, StoreUnavailable):
                self._is_unavailable(error)
                if self._stopping and (delay > RETRY_FIRST or self._has_given_up):
                    self._give_up(offers, error)
                    return
                if isinstance(error, CommitUnknown):
                    is_unknown, batch_id = True, error.batch_id or batch_id
                if is_unknown:
                    # Who comes again with what may be stored already would store it twice.
                    self._turn_away([], error)
                else:
                    offers = self._turn_away(offers, error)
                    messages = _together(offers)
                if self._forwarder is not None and (
                    not offers or await self._is_spooled(self._forwarder, offers, batch_id)
                ):
                    self._forwarder.start()
                    return
                await self._pause(delay)
                delay = min(2 * delay, RETRY_MOST)
                error = await self._try(messages)
            else:
                if error is not None:
                    places = [(offer, index) for offer in offers for index in range(len(offer.messages))]
                    await self._halve(messages, places, str(error))
                self._works_again()
                self._release(offers)
                return

    async def _write_around(self, forwarder: Forwarder) -> None:
        """Store what somebody waits for, and spool the rest, while older messages are in the spool."""
        urgent = [offer for offer in self._offers if offer.is_urgent]
        others = [offer for offer in self._offers if not offer.is_urgent]
        if urgent:
            self._offers = deque(urgent)
            batch = self._next_batch()
            self._offers += others
            await self._write_past(forwarder, batch)
        if others and not self._offers[0].is_urgent:
            await self._write_behind(forwarder, self._next_batch())

    async def _write_past(self, forwarder: Forwarder, offers: list[_Offer]) -> None:
        attempt = self._begin(offers)
        error = await attempt.error
        self._in_batch -= len(attempt.messages)
        if isinstance(error, StoreUnavailable):
            self._is_unavailable(error)
            # Who comes again with what may be stored already would store it twice: so it is seen to.
            is_seen_to = isinstance(error, CommitUnknown) and await self._is_spooled(
                forwarder, offers, error.batch_id
            )
            self._turn_away([] if is_seen_to else offers, error)
            forwarder.start()
            return
        if error is not None:
            places = [(offer, index) for offer in offers for index in range(len(offer.messages))]
            await self._halve(attempt.messages, places, str(error))
        self._release(offers)

    async def _write_behind(self, forwarder: Forwarder, offers: list[_Offer]) -> None:
        """Spool what nobody waits for; if there is no room, it goes back to where it was."""
        size = sum(len(offer.messages) for offer in offers)
        is_spooled = await self._is_spooled(forwarder, offers, None)
        self._in_batch -= size
        if is_spooled:
            return
        if self._stopping:
            self._give_up(offers, StoreUnavailable(str(forwarder.failure)))
            return
        self._offers.extendleft(reversed(offers))
        await self._pause(_SPOOL_WAIT)

    async def _is_spooled(self, forwarder: Forwarder, offers: list[_Offer], batch_id: int | None) -> bool:
        """Put these offers into the spool; False if it does not take them.

        :param batch_id: the id under which they may be in the database by now, if they may.
        """
        try:
            await forwarder.append(_together(offers), batch_id)
        except StoreUnavailable as error:
            self._cannot_spool(error)
            return False
        self._release(offers)
        return True

    def _cannot_spool(self, error: StoreUnavailable) -> None:
        self._count_error("spool_failed")
        if self._warnings.check(("spool", type(error))) is not None:
            self.log.error(
                "cannot spool, so streams have to wait while the database is away: {reason}", reason=error
            )

    def _give_up(self, offers: list[_Offer], error: StoreUnavailable) -> None:
        """Give up, which happens only at the stop: what waits is lost with the process, and the log says so.

        What waits behind it would only find the same, and a locked database takes its time to say so.
        """
        self._has_given_up = True
        offers = [*offers, *self._offers]
        self._offers.clear()
        self._urgent = 0
        self._release(offers, error)

    def _release(self, offers: Sequence[_Offer], failure: StoreUnavailable | None = None) -> None:
        """Tell those who wait for these offers."""
        for offer in offers:
            self._waiting -= len(offer.messages)
            self._waiting_size -= offer.size
            if offer.is_urgent:
                self._urgent_waiting -= len(offer.messages)
                self._urgent_size -= offer.size
        for offer in offers:
            if failure is None:
                offer.committed.callback(offer.refusals)
            else:
                offer.committed.errback(failure)

    def _turn_away(self, batch: list[_Offer], error: StoreUnavailable) -> list[_Offer]:
        """Say no to whoever waits for an answer, and will come again; the rest of the batch."""
        waiting = [offer for offer in (*batch, *self._offers) if offer.is_urgent]
        self._offers = deque(offer for offer in self._offers if not offer.is_urgent)
        self._urgent = 0
        self._release(waiting, error)
        return [offer for offer in batch if not offer.is_urgent]

    async def _halve(self, messages: Batch, places: Sequence[tuple[_Offer, int]], reason: str) -> None:
        """Store what can be stored of messages that were refused together, for this reason."""
        if len(messages) == 1:
            self._refuse(places, reason)
            suppressed = self._warnings.check("refused")
            if suppressed is not None:
                self.log.warn(
                    "the database refuses a message {name!r}: {reason}{more}",
                    name=messages[0].name[:100],
                    reason=reason,
                    more=f" ({suppressed} more since the last warning)" if suppressed else "",
                )
            return
        middle = len(messages) // 2
        for part, where in ((messages[:middle], places[:middle]), (messages[middle:], places[middle:])):
            try:
                await self._insist(part)
            except StoreUnavailable as error:
                self._refuse(where, str(error))  # given up; the rest of the batch may be stored by now
            except StoreError as error:
                await self._halve(part, where, str(error))

    async def _insist(self, messages: Batch) -> None:
        """Commit a part of a batch of which other parts are stored, however long it takes."""
        delay = RETRY_FIRST
        while True:
            try:
                await self._commit(messages)
            except StoreUnavailable as error:
                self._is_unavailable(error)
                if self._stopping and delay > RETRY_FIRST:
                    raise
                await self._pause(delay)
                delay = min(2 * delay, RETRY_MOST)
            else:
                self._works_again()
                return

    def _refuse(self, places: Sequence[tuple[_Offer, int]], reason: str) -> None:
        self._count_error("write_sql_exec_failed")
        for offer, index in places:
            offer.refusals.append(Refusal(index, reason))

    async def _commit(self, messages: Batch, batch_id: int | None = None) -> None:
        try:
            await self._backend.write(messages, batch_id)
        except StoreError:
            raise
        except Exception as error:
            self.log.failure("a batch cannot be written")
            raise StoreError(f"internal error: {error!r}") from error
        self._counts["flushed"] += len(messages)
        self._counts["write_batch"] += 1

    def _is_unavailable(self, error: StoreUnavailable) -> None:
        self._count_error("write_unavailable")
        self._failure = str(error)
        if self._warnings.check(("unavailable", self._failure)) is not None:
            self.log.error(
                "cannot write: {reason}; {waiting} messages are waiting, trying again{spooling}",
                reason=error,
                waiting=self._waiting,
                spooling="" if self._forwarder is None else "; streams go to the spool meanwhile",
            )

    def _works_again(self) -> None:
        if self._failure is not None:
            self._failure = None
            self.log.info(
                "writing works again, {waiting} messages were waiting{spooled}",
                waiting=self._waiting,
                spooled="" if self._forwarder is None else f", {self._forwarder.messages} in the spool",
            )

    async def _pause(self, seconds: float) -> None:
        over: Deferred[None] = Deferred()
        self._retry = self._clock.callLater(seconds, over.callback, None)
        await over
        self._retry = None

    def _retry_now(self) -> None:
        if self._retry is not None and self._retry.active():
            self._retry.reset(0)

    # -- reading

    async def _query(self, queries: Sequence[Query], max_rows: int, timeout: float) -> Sequence[Page]:
        self._counts["queries"] += len(queries)
        await self._catch_up()
        cutoff = cutoff_at(self._clock.seconds(), self._retention)
        try:
            return await self._backend.query(queries, cutoff=cutoff, max_rows=max_rows, timeout=timeout)
        except QueryTimeout:
            raise
        except StoreError as error:
            self._count_error("query_exec_failed")
            # What keeps messages from being written has been said.
            if str(error) != self._failure and self._warnings.check(("query", str(error))) is not None:
                self.log.error("a query failed: {reason}", reason=error)
            raise

    async def _catch_up(self) -> None:
        """Wait until what is accepted now is committed.

        What is acknowledged is committed anyway. So nobody waits for a database that takes no writes, nor
        for long in a flood.
        """
        newest = self._newest  # offers are committed in order, so it stands for all
        if newest is None or not _is_open(newest) or self._failure is not None:
            return
        behind = self._waiting - self._in_batch if self._is_writing else 0
        if behind > self._largest:
            return
        self._counts["query_flushes"] += 1
        caught_up: Deferred[None] = Deferred()

        def done(result: object) -> object:
            if not caught_up.called:
                caught_up.callback(None)
            return result

        newest.committed.addBoth(done)
        timer = self._clock.callLater(_FLOOD_WAIT if behind > _FLOOD else _QUERY_WAIT, done, None)
        self.flush()
        await caught_up
        if timer.active():
            timer.cancel()

    # -- housekeeping; a LoopingCall ends for ever at an exception, so none may escape

    async def _expire(self) -> None:
        cutoff = cutoff_at(self._clock.seconds(), self._retention)
        try:
            if self._forwarder is not None:
                self._expired += await self._forwarder.expire()
            expired = await self._backend.expire(cutoff)
        except Exception as error:
            self._count_error("delete_sql_exec_failed")
            self._warn_of("cannot delete expired events", error)
        else:
            self._expired += expired
            if expired:
                self.log.debug("{expired} events expired", expired=expired)

    async def _tend(self) -> None:
        try:
            await self._backend.tend(int(self._clock.seconds() * 1e9))
        except Exception as error:
            self._count_error("tend_failed")
            if not isinstance(error, StoreUnavailable) or await self._can_write():
                self._warn_of("cannot tidy up", error)
        if self._forwarder is not None:
            try:
                await self._forwarder.check()
            except StoreUnavailable as error:
                self._spool_failure = str(error)
                self._cannot_spool(error)
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
        if str(error) == self._failure or self._warnings.check(what) is None:
            return  # it has been said
        if isinstance(error, StoreError):
            self.log.warn("{what}, will try again: {reason}", what=what, reason=error)
        else:
            self.log.failure("{what}, will try again", what=what)

    def _count_error(self, name: str) -> None:
        self._errors[name] = self._errors.get(name, 0) + 1


def _together(offers: Sequence[_Offer]) -> Batch:
    return Batch.together([offer.messages for offer in offers])


def retention_interval(retention: float) -> float:
    """Seconds between two looks for expired events: often enough to matter, seldom enough not to."""
    return min(60.0, max(0.25, retention / 32))
