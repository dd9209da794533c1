"""Sending what is spooled, and finding out whether the database is back."""

from __future__ import annotations

from hashlib import blake2b

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ccstore.accounting.figures import Figures, counter
from ccstore.batch import Batch
from ccstore.interfaces import StoreError, StoreUnavailable
from ccstore.logs import RateLimit
from ccstore.storage.committer import RETRY_FIRST, RETRY_MOST, Committer, divide
from ccstore.storage.retention import cutoff_at
from ccstore.storage.spool import Group, Spool
from ccstore.timing import Backoff, Pause


class Forwarder:
    """Takes messages into the spool, and sends them: works while there is something in it, or writing fails.

    :param retention: seconds after which events expire.
    :param most: messages that are written together.
    """

    log = Logger()

    def __init__(
        self,
        spool: Spool,
        clock: IReactorTime,
        committer: Committer,
        *,
        retention: float,
        most: int,
    ) -> None:
        self._spool = spool
        self._clock = clock
        self._committer = committer
        self._retention = retention
        self._most = most
        self._warnings = RateLimit(clock, 60.0)
        self._is_working = False
        self._is_stopping = False
        self._pause = Pause(clock)
        self._ends: list[Deferred[None]] = []
        self._expired_now: set[int] = set()  # places in the group that is being sent; the next likewise
        self._refused_now: set[int] = set()
        self._counts = {"sent": 0, "expired": 0, "refused": 0}

    def reconfigure(self, *, retention: float, most: int, max_size: int) -> None:
        """Go on with other settings."""
        self._retention = retention
        self._most = most
        self._spool.limit(max_size)

    @property
    def is_idle(self) -> bool:
        """Nothing is spooled, nor about to be."""
        return self._spool.is_empty

    @property
    def failure(self) -> str | None:
        """Why the spool did not take the last batch, or None if it did."""
        return self._spool.failure

    @property
    def messages(self) -> int:
        """Messages in the spool."""
        return self._spool.messages

    def open(self) -> None:
        """Open the spool; raises :class:`StoreError` in one clear line."""
        try:
            self._spool.open()
        except StoreError as error:
            error.key = "storage.spool.path"
            raise

    async def close(self) -> None:
        await self._spool.close()

    async def append(self, messages: Batch, batch_id: int | None) -> None:
        """Put messages into the spool, see :meth:`Spool.append`, and see to it that they are sent."""
        await self._spool.append(messages, batch_id)
        self.start()

    @property
    def _is_failing(self) -> bool:
        return self._committer.failure is not None

    async def check(self) -> None:
        """Whether the spool can be relied on, see :meth:`Spool.check`."""
        await self._spool.check()

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
        expired = await self._spool.expire(self._cutoff())
        self._counts["expired"] += expired
        return expired

    def status(self) -> Figures:
        """Figures, with those of the spool; each begins with ``spool_``."""
        counts = self._counts
        figures = self._spool.status() | Figures(
            sent=counter(counts["sent"], "Messages that went from the spool into the database."),
            expired=counter(counts["expired"], "Events that expired in the spool."),
            refused=counter(counts["refused"], "Messages of the spool that the database refused."),
        )
        return figures.prefixed("spool_")

    async def _work(self) -> None:
        group: Group | None = None
        backoff = Backoff(RETRY_FIRST, RETRY_MOST)
        try:
            while not self._is_stopping and (self._is_failing or not self._spool.is_empty):
                try:
                    group = group or await self._next()
                    if await self._deliver(group):
                        backoff.reset()
                        if group is not None:
                            await self._discard(group)
                            group = None
                        continue
                except StoreUnavailable as error:
                    self._warn("spool", "the spool is in trouble, will try again: {reason}", reason=error)
                if not self._is_stopping:
                    await self._pause.wait(backoff.next())
        finally:
            self._is_working = False
            ends, self._ends = self._ends, []
            for ended in ends:
                ended.callback(None)

    async def _next(self) -> Group | None:
        self._expired_now.clear()
        self._refused_now.clear()
        return await self._spool.head(self._most)

    async def _deliver(self, group: Group | None) -> bool:
        """Write a group, or nothing, which tells as well whether it is possible; False if it is not."""
        try:
            if group is not None:
                await self._write_group(group)
            elif self._is_failing:
                await self._committer.commit(Batch())
        except StoreUnavailable as error:
            self._committer.is_unavailable(error)
            return False
        self._committer.works_again()
        return True

    async def _write_group(self, group: Group) -> None:
        """Write a group; where the database refuses a message for itself, all but that one.

        Its halves have ids of their own, and these are the same at each try.
        """

        async def commit(low: int, high: int) -> None:
            part = self._unexpired(group, low, high)
            if part and not (high - low == 1 and low in self._refused_now):
                await self._committer.commit(part, _part_id(group, low, high))

        def refuse(place: int, reason: str) -> None:
            self._refused_now.add(place)
            self._committer.say_refused(group.messages[place].name, reason, " from the spool")

        await divide(0, len(group.messages), commit, refuse)

    def _unexpired(self, group: Group, low: int, high: int) -> Batch:
        messages = group.messages
        if low or high < len(messages):
            messages = messages[low:high]
        cutoff = self._cutoff()
        if min(messages.times) > cutoff:
            return messages
        kept = Batch()
        for place, message in enumerate(messages, low):
            if message.kind == "event" and message.time <= cutoff:
                self._expired_now.add(place)
            else:
                kept.append(message)
        return kept

    async def _discard(self, group: Group) -> None:
        await self._spool.discard(group)
        expired, refused = len(self._expired_now), len(self._refused_now)
        self._counts["sent"] += group.count - expired - refused
        self._counts["expired"] += expired
        self._counts["refused"] += refused
        await self._spool.give_back()

    def _cutoff(self) -> int:
        return cutoff_at(self._clock.seconds(), self._retention)

    def _warn(self, key: str, text: str, **values: object) -> None:
        suppressed = self._warnings.check(key)
        if suppressed is not None:
            more = f" ({suppressed} more since the last warning)" if suppressed else ""
            self.log.warn(f"{text}{{more}}", more=more, **values)


def _part_id(group: Group, low: int, high: int) -> int:
    """The id of a group, and for a part of it one as good as drawn at random, but always the same."""
    if (low, high) == (0, len(group.messages)):
        return group.id
    digest = blake2b(f"{group.id} {low} {high}".encode(), digest_size=8).digest()
    return -1 - (int.from_bytes(digest, "big") >> 2)
