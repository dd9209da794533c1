"""Group commit: while one batch is being written the next one collects, and all there is goes together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from attrs import define
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ccstore.batch import Batch
from ccstore.interfaces import CommitUnknown, Refusal, StoreError, StoreUnavailable
from ccstore.storage.committer import Committer, divide
from ccstore.storage.forwarding import Forwarder
from ccstore.storage.queue import Offer, Queue, together

#: How long a full spool is waited for before it is looked at again, in seconds.
_SPOOL_WAIT: Final = 1.0


@define(eq=False)
class _Attempt:
    """Offers that the backend is writing together; ``error`` is what came of it, None if that is success."""

    offers: list[Offer]
    messages: Batch
    error: Deferred[StoreError | None]


class GroupCommit:
    """Writes what is due of a queue, batch by batch, as long as there is something.

    A batch that the backend cannot take now is tried again until it can; one that it refuses is halved until
    the message at fault is found, and that one is refused.

    With a spool, what nobody waits for does not wait for a backend that is away: it counts as committed when
    it is in the spool, and goes on from there in order. As long as there is anything in the spool, newer
    messages of that sort go behind it; what somebody waits for goes past it, since no sender has both sorts.

    :param writers: batches that may be begun at a time.
    :param worth_beginning: messages with which it is worth to begin a batch while another one is being
        written: fewer wait for more.
    :param ended: called when nothing is left to be written for now.
    """

    log = Logger()

    def __init__(
        self,
        queue: Queue,
        committer: Committer,
        forwarder: Forwarder | None,
        *,
        writers: int,
        worth_beginning: int,
        ended: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._waiting = queue.waiting
        self._committer = committer
        self._forwarder = forwarder
        self._writers = writers
        self._worth_beginning = worth_beginning
        self._ended = ended
        self.is_writing = False
        self._begun: deque[_Attempt] = deque()  # the backend ends them in this order
        self._may_begin = False  # another one, while the first of them is being written
        self._idle: list[Deferred[None]] = []
        self._has_given_up = False

    @property
    def must_spool(self) -> bool:
        """What nobody waits for goes into the spool now."""
        return self._forwarder is not None and (
            self._committer.failure is not None or not self._forwarder.spool.is_empty
        )

    def write(self) -> None:
        """Begin to write what is due, unless that goes on already."""
        queue = self._queue
        if len(queue) and not self.is_writing:
            self.is_writing = True
            writing = Deferred.fromCoroutine(self._write_all())
            writing.addErrback(lambda failure: self.log.failure("the writer failed", failure))
        elif self._may_begin and self._waiting.behind >= self._worth_beginning and not self.must_spool:
            self._begin_batches()

    async def drain(self, flush: Callable[[], None]) -> None:
        """Wait until everything is written; ``flush`` makes it due."""
        while len(self._queue) or self.is_writing:
            idle: Deferred[None] = Deferred()
            self._idle.append(idle)
            flush()
            await idle

    async def _write_all(self) -> None:
        begun, queue = self._begun, self._queue
        try:
            while begun or queue.has_due():
                if self._forwarder is not None and self.must_spool and not begun:
                    await self._write_around(self._forwarder)
                    continue
                self._begin_batches()
                oldest = begun[0]
                self._may_begin = True
                error = await oldest.error
                self._may_begin = False
                begun.popleft()
                while error is not None and begun:
                    # What was begun after one that failed has failed as well.
                    newest = begun.pop()
                    await newest.error
                    queue.put_back(newest.offers)
                offers = [*oldest.offers]
                await self._write_batch(oldest, error)
                self._waiting.is_over(offers)
        finally:
            self.is_writing = False
            self._ended()
            idle, self._idle = self._idle, []
            for waiter in idle:
                waiter.callback(None)

    def _begin_batches(self) -> None:
        while len(self._begun) < self._writers and self._queue.has_due():
            self._begun.append(self._begin(self._queue.next_batch()))

    def _begin(self, offers: list[Offer]) -> _Attempt:
        messages = together(offers)
        return _Attempt(offers, messages, Deferred.fromCoroutine(self._committer.attempt(messages)))

    async def _write_batch(self, attempt: _Attempt, error: StoreError | None) -> None:
        """Store the offers of an attempt that ended so, however long it takes until the backend is able to.

        Only those that nobody waits for are kept so long, or spooled. Until it works again, a write of
        nothing finds out.
        """
        committer = self._committer
        offers, messages = attempt.offers, attempt.messages
        if error is None:
            committer.works_again()
            self._waiting.release(offers)
            return
        attempts = committer.attempts()
        is_unknown, batch_id = False, None
        while isinstance(error, StoreUnavailable):
            if attempts.failed(error) or self._has_given_up:
                self._give_up(offers, error)
                return
            if isinstance(error, CommitUnknown):
                is_unknown, batch_id = True, error.batch_id or batch_id
            if is_unknown:
                # Who comes again with what may be stored already would store it twice.
                self._turn_away([], error)
            else:
                offers = self._turn_away(offers, error)
                messages = together(offers)
            if self._forwarder is not None and (
                not offers or await self._is_spooled(self._forwarder, offers, batch_id)
            ):
                self._forwarder.start()
                return
            await attempts.wait()
            error = await committer.attempt(messages)
        if error is not None:
            await self._store_divided(offers, messages, error)
        committer.works_again()
        self._waiting.release(offers)

    async def _write_around(self, forwarder: Forwarder) -> None:
        """Store what somebody waits for, and spool the rest, while older messages are in the spool."""
        urgent = self._queue.next_batch_of(urgent=True)
        if urgent:
            await self._write_past(forwarder, urgent)
        if not self._queue.has_urgent:
            others = self._queue.next_batch_of(urgent=False)
            if others:
                await self._write_behind(forwarder, others)

    async def _write_past(self, forwarder: Forwarder, offers: list[Offer]) -> None:
        attempt = self._begin(offers)
        error = await attempt.error
        self._waiting.is_over(offers)
        if isinstance(error, StoreUnavailable):
            self._committer.is_unavailable(error)
            # Who comes again with what may be stored already would store it twice: so it is seen to.
            is_seen_to = isinstance(error, CommitUnknown) and await self._is_spooled(
                forwarder, offers, error.batch_id
            )
            self._turn_away([] if is_seen_to else offers, error)
            forwarder.start()
            return
        if error is not None:
            await self._store_divided(offers, attempt.messages, error)
        self._waiting.release(offers)

    async def _write_behind(self, forwarder: Forwarder, offers: list[Offer]) -> None:
        """Spool what nobody waits for; if there is no room, it goes back to where it was."""
        if await self._is_spooled(forwarder, offers, None):
            self._waiting.is_over(offers)
        elif self._committer.is_stopping:
            self._waiting.is_over(offers)
            self._give_up(offers, StoreUnavailable(str(forwarder.spool.failure)))
        else:
            self._queue.put_back(offers)
            await self._committer.pause(_SPOOL_WAIT)

    async def _is_spooled(self, forwarder: Forwarder, offers: list[Offer], batch_id: int | None) -> bool:
        """Put these offers into the spool; False if it does not take them.

        :param batch_id: the id under which they may be in the database by now, if they may.
        """
        try:
            await forwarder.append(together(offers), batch_id)
        except StoreUnavailable as error:
            self._committer.cannot_spool(error)
            return False
        self._waiting.release(offers)
        return True

    def _give_up(self, offers: list[Offer], error: StoreUnavailable) -> None:
        """Give up, which happens only at the stop: what waits is lost with the process, and the log says so.

        What waits behind it would only find the same, and a locked database takes its time to say so.
        """
        self._has_given_up = True
        self._waiting.release([*offers, *self._queue.take_all()], error)

    def _turn_away(self, batch: list[Offer], error: StoreUnavailable) -> list[Offer]:
        """Say no to whoever waits for an answer, and will come again; the rest of the batch."""
        urgent = [offer for offer in batch if offer.is_urgent]
        self._waiting.release([*urgent, *self._queue.take_urgent()], error)
        return [offer for offer in batch if not offer.is_urgent]

    async def _store_divided(self, offers: Sequence[Offer], messages: Batch, error: StoreError) -> None:
        """Store what can be stored of messages that were refused together."""
        places = [(offer, index) for offer in offers for index in range(len(offer.messages))]

        def refuse(low: int, high: int, reason: str) -> None:
            self._committer.count_error("write_sql_exec_failed")
            for offer, index in places[low:high]:
                offer.refusals.append(Refusal(index, reason))

        def refused_for_itself(place: int, reason: str) -> None:
            refuse(place, place + 1, reason)
            self._committer.say_refused(messages[place].name, reason)

        async def commit(low: int, high: int) -> None:
            try:
                await self._committer.insist(messages[low:high])
            except StoreUnavailable as unavailable:
                refuse(low, high, str(unavailable))  # given up; the rest of the batch may be stored by now

        await divide(0, len(messages), commit, refused_for_itself, error)
