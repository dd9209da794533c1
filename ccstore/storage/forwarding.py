"""Sending what is spooled, and finding out whether the database is back."""

from __future__ import annotations

from hashlib import blake2b

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ccstore.accounting.figures import Figures, counter
from ccstore.batch import Batch
from ccstore.interfaces import CommitUnknown, StoreError, StoreUnavailable
from ccstore.logs import RateLimit
from ccstore.storage.committer import Committer, divide
from ccstore.storage.retention import Retention
from ccstore.storage.spool import Group, Spool
from ccstore.timing import Pause

_WARN_EVERY = 60.0


class Delivery:
    """A group of the spool on its way into the database.

    What has expired or was refused stays noted when it has to be tried again.

    :param is_in_doubt: it may be in the database already, from an attempt of this process.
    :ivar expired: the places in the group of events that have expired by now.
    :ivar refused: the places of messages that the database refuses for themselves.
    """

    def __init__(
        self, group: Group, committer: Committer, retention: Retention, *, is_in_doubt: bool
    ) -> None:
        self.group = group
        self.expired: set[int] = set()
        self.refused: set[int] = set()
        self._committer = committer
        self._retention = retention
        # What has to be offered as it was, whatever has expired since: else nobody knows which ids it has.
        self._in_doubt: dict[tuple[int, int], Batch] = {}
        if is_in_doubt:
            self._in_doubt[0, len(group.messages)] = group.messages

    async def write(self) -> None:
        """Write the group; where the database refuses a message for itself, all but that one.

        Its halves have ids of their own, and these are the same at each try. Raises
        :class:`StoreUnavailable` if the database takes nothing now.
        """
        await divide(0, len(self.group.messages), self._commit, self._refuse)

    async def _commit(self, low: int, high: int) -> None:
        place = (low, high)
        part = self._in_doubt.get(place) or self._unexpired(low, high)
        if part and not (high - low == 1 and low in self.refused):
            try:
                await self._committer.commit(part, self._part_id(low, high))
            except CommitUnknown:
                self._in_doubt[place] = part
                raise

    def _refuse(self, place: int, reason: str) -> None:
        self.refused.add(place)
        self._committer.say_refused(self.group.messages[place].name, reason, " from the spool")

    def _unexpired(self, low: int, high: int) -> Batch:
        messages = self.group.messages
        if low or high < len(messages):
            messages = messages[low:high]
        retention = self._retention
        if min(messages.times) > retention.first_cutoff():
            return messages
        kept = Batch()
        for place, message in enumerate(messages, low):
            if retention.has_expired(message.series.stream, message.time):
                self.expired.add(place)
            else:
                kept.append(message)
        return kept

    def _part_id(self, low: int, high: int) -> int:
        """The id of the group, and for a part of it one as good as drawn at random, but always the same."""
        group = self.group
        if (low, high) == (0, len(group.messages)):
            return group.id
        digest = blake2b(f"{group.id} {low} {high}".encode(), digest_size=8).digest()
        return -1 - (int.from_bytes(digest, "big") >> 2)


class Forwarder:
    """Takes messages into the spool, and sends them: works while there is something in it, or writing fails.

    :param most: messages that are written together.
    :ivar spool: what it sends from.
    """

    log = Logger()

    def __init__(
        self, spool: Spool, clock: IReactorTime, committer: Committer, retention: Retention, *, most: int
    ) -> None:
        self.spool = spool
        self._committer = committer
        self._retention = retention
        self._most = most
        self._warnings = RateLimit(clock, _WARN_EVERY)
        self._pause = Pause(clock)
        self._is_working = False
        self._is_stopping = False
        self._ends: list[Deferred[None]] = []
        self._in_doubt: set[int] = set()  # ids of batches that may be in the database already
        self._counts = {"sent": 0, "expired": 0, "refused": 0}

    def open(self) -> None:
        """Open the spool; raises :class:`StoreError` in one clear line."""
        try:
            self.spool.open()
        except StoreError as error:
            error.key = "storage.spool.path"
            raise

    def reconfigure(self, *, most: int, max_size: int) -> None:
        """Go on with other settings."""
        self._most = most
        self.spool.limit(max_size)

    async def append(self, messages: Batch, batch_id: int | None) -> None:
        """Put messages into the spool, see :meth:`Spool.append`, and see to it that they are sent."""
        await self.spool.append(messages, batch_id)
        if batch_id is not None:
            self._in_doubt.add(batch_id)
        self.start()

    def start(self) -> None:
        """Begin, unless it is at it already."""
        if not self._is_working and not self._is_stopping:
            self._is_working = True
            working = Deferred.fromCoroutine(self._work())
            working.addErrback(lambda failure: self.log.failure("sending from the spool failed", failure))

    async def stop(self) -> None:
        """End, after what is being written now. What is spooled is sent at the next start."""
        self._is_stopping = True
        self._pause.cut_short()
        if self._is_working:
            ended: Deferred[None] = Deferred()
            self._ends.append(ended)
            await ended

    async def expire(self) -> int:
        """Drop what has expired in the spool, so that there is room for what has not; its number."""
        expired = await self.spool.expire(self._retention.last_cutoff())
        self._counts["expired"] += expired
        return expired

    def status(self) -> Figures:
        """Figures, with those of the spool; each begins with ``spool_``."""
        counts = self._counts
        figures = self.spool.status() | Figures(
            sent=counter(counts["sent"], "Messages that went from the spool into the database."),
            expired=counter(counts["expired"], "Events that expired in the spool."),
            refused=counter(counts["refused"], "Messages of the spool that the database refused."),
        )
        return figures.prefixed("spool_")

    @property
    def _is_needed(self) -> bool:
        return not self._is_stopping and (self._committer.failure is not None or not self.spool.is_empty)

    async def _work(self) -> None:
        delivery: Delivery | None = None
        attempts = self._committer.attempts(self._pause)
        try:
            while self._is_needed:
                try:
                    delivery = delivery or await self._next()
                    error = await self._attempt(delivery)
                    if error is None:
                        attempts.succeeded()
                        if delivery is not None:
                            await self._discard(delivery)
                            delivery = None
                        continue
                    attempts.failed(error)
                except StoreUnavailable as trouble:
                    self._warn("spool", "the spool is in trouble, will try again: {reason}", reason=trouble)
                if not self._is_stopping:
                    await attempts.wait()
        finally:
            self._is_working = False
            ends, self._ends = self._ends, []
            for ended in ends:
                ended.callback(None)

    async def _next(self) -> Delivery | None:
        group = await self.spool.head(self._most)
        if group is None:
            return None
        return Delivery(group, self._committer, self._retention, is_in_doubt=group.id in self._in_doubt)

    async def _attempt(self, delivery: Delivery | None) -> StoreUnavailable | None:
        """Write a group, or nothing, which tells as well whether it is possible; what keeps it from that."""
        try:
            if delivery is not None:
                await delivery.write()
            elif self._committer.failure is not None:
                await self._committer.commit(Batch())
        except StoreUnavailable as error:
            return error
        return None

    async def _discard(self, delivery: Delivery) -> None:
        await self.spool.discard(delivery.group)
        self._in_doubt.discard(delivery.group.id)
        expired, refused = len(delivery.expired), len(delivery.refused)
        self._counts["sent"] += delivery.group.count - expired - refused
        self._counts["expired"] += expired
        self._counts["refused"] += refused
        await self.spool.give_back()

    def _warn(self, key: str, text: str, **values: object) -> None:
        suppressed = self._warnings.check(key)
        if suppressed is not None:
            more = f" ({suppressed} more since the last warning)" if suppressed else ""
            self.log.warn(f"{text}{{more}}", more=more, **values)
