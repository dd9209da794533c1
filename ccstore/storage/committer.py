"""Having a backend write: attempts, retry, halving, and whether it works at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from attrs import define, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ccstore.batch import Batch
from ccstore.interfaces import IBackend, Published, StoreError, StoreUnavailable
from ccstore.logs import RateLimit
from ccstore.timing import Backoff, Pause

_WARN_EVERY: Final = 60.0


@frozen
class Retry:
    """How soon something is tried again: after ``first`` seconds, and in the end every ``most`` seconds."""

    first: float = 0.1
    most: float = 5.0


class Attempts:
    """Attempts at one thing that the backend cannot do now, further and further apart.

    :param committer: is told how each of them ended.
    """

    def __init__(self, committer: Committer, retry: Retry, pause: Pause) -> None:
        self._committer = committer
        self._backoff = Backoff(retry.first, retry.most)
        self._pause = pause

    def failed(self, error: StoreUnavailable) -> bool:
        """One has failed. True if it is given up: at the stop there is no more than a last one."""
        self._committer.is_unavailable(error)
        return self._committer.is_stopping and self._backoff.has_begun

    def succeeded(self) -> None:
        """One has succeeded: the next failure is the first one again."""
        self._committer.works_again()
        self._backoff.reset()

    async def wait(self) -> None:
        """Wait before the next one, or until the pause is cut short."""
        await self._pause.wait(self._backoff.next())


def unpublished(messages: Batch, lasts: Mapping[str, int]) -> None:
    """Nobody wants to know."""


@define
class Committed:
    """Messages that were committed, in how many batches, and how long these took together."""

    messages: int = 0
    batches: int = 0
    seconds: float = 0.0


class Committer:
    """Commits batches.

    :param waiting: gives the number of messages that wait, for the log; ``spooled`` that of those in the
        spool, if there is one.
    :param published: is told of what is committed, with the ids that :meth:`IBackend.write` gives.
    :param retry: how soon a failed attempt is followed by another one.
    :ivar failure: why the backend does not take writes, as far as is known, or None.
    :ivar is_stopping: nothing is tried again for long.
    :ivar committed: what was committed.
    """

    log = Logger()

    def __init__(
        self,
        backend: IBackend,
        clock: IReactorTime,
        *,
        waiting: Callable[[], int],
        spooled: Callable[[], int] | None = None,
        published: Published = unpublished,
        retry: Retry = Retry(),
    ) -> None:
        self.failure: str | None = None
        self.is_stopping = False
        self.committed = Committed()
        self.errors: dict[str, int] = {}
        self.warnings = RateLimit(clock, _WARN_EVERY)
        self._backend = backend
        self._now = clock.seconds
        self._published = published
        self._waiting = waiting
        self._spooled = spooled
        self._retry = retry
        self._pause = Pause(clock)

    async def commit(self, messages: Batch, batch_id: int | None = None) -> None:
        """See :meth:`IBackend.write`; whatever else goes wrong is a :class:`StoreError`, too."""
        begun = self._now()
        try:
            lasts = await self._backend.write(messages, batch_id)
        except StoreError:
            raise
        except Exception as error:
            self.log.failure("a batch cannot be written")
            raise StoreError(f"internal error: {error!r}") from error
        committed = self.committed
        committed.messages += len(messages)
        committed.batches += 1
        committed.seconds += self._now() - begun
        self._published(messages, lasts)

    async def attempt(self, messages: Batch) -> StoreError | None:
        """Commit, and return what went wrong, if anything did."""
        try:
            await self.commit(messages)
        except StoreError as error:
            return error
        return None

    async def insist(self, messages: Batch) -> None:
        """Commit a part of a batch of which other parts are stored, however long it takes."""
        attempts = self.attempts()
        while isinstance(error := await self.attempt(messages), StoreUnavailable):
            if attempts.failed(error):
                raise error
            await attempts.wait()
        if error is not None:
            raise error
        attempts.succeeded()

    def attempts(self, pause: Pause | None = None) -> Attempts:
        """What begins now, and may have to be tried again.

        :param pause: of whoever makes other attempts at the same time; unlike the one that is used otherwise,
            :meth:`retry_now` does not cut it short.
        """
        return Attempts(self, self._retry, self._pause if pause is None else pause)

    async def pause(self, seconds: float) -> None:
        """Wait before another attempt, or until :meth:`retry_now`."""
        await self._pause.wait(seconds)

    def retry_now(self) -> None:
        """Let whoever waits before another attempt begin with it."""
        self._pause.cut_short()

    def is_unavailable(self, error: StoreUnavailable) -> None:
        """The backend takes no writes now."""
        self.count_error("write_unavailable")
        self.failure = str(error)
        if self.warnings.check(("unavailable", self.failure)) is not None:
            self.log.error(
                "cannot write: {reason}; {waiting} messages are waiting, trying again{spooling}",
                reason=error,
                waiting=self._waiting(),
                spooling="" if self._spooled is None else "; streams go to the spool meanwhile",
            )

    def cannot_spool(self, error: StoreUnavailable) -> None:
        """The spool takes nothing now."""
        self.count_error("spool_failed")
        if self.warnings.check(("spool", type(error))) is not None:
            self.log.error(
                "cannot spool, so streams have to wait while the database is away: {reason}", reason=error
            )

    def works_again(self) -> None:
        """The backend has just written something."""
        if self.failure is not None:
            self.failure = None
            self.log.info(
                "writing works again, {waiting} messages were waiting{spooled}",
                waiting=self._waiting(),
                spooled="" if self._spooled is None else f", {self._spooled()} in the spool",
            )

    def say_refused(self, name: str, reason: str, where: str = "") -> None:
        """Say that the database refuses a message for itself, now and then."""
        suppressed = self.warnings.check(("refused", where))
        if suppressed is not None:
            self.log.warn(
                "the database refuses a message {name!r}{where}: {reason}{more}",
                name=name[:100],
                where=where,
                reason=reason,
                more=f" ({suppressed} more since the last warning)" if suppressed else "",
            )

    def count_error(self, name: str) -> None:
        """Count something that went wrong, under a name that sites know from the statistics."""
        self.errors[name] = self.errors.get(name, 0) + 1


async def divide(
    low: int,
    high: int,
    commit: Callable[[int, int], Awaitable[None]],
    refuse: Callable[[int, str], None],
    refused: StoreError | None = None,
) -> None:
    """Commit what can be committed of a range of messages, in which single ones may be refused.

    What is refused is halved until the one at fault is found.

    :param commit: commits the messages of a part of the range. What it raises goes through, but for a
        :class:`StoreError` that is no :class:`StoreUnavailable`.
    :param refuse: is told of each that is refused for itself, and why.
    :param refused: why the whole was refused already.
    """
    if refused is None:
        try:
            await commit(low, high)
            return
        except StoreUnavailable:
            raise
        except StoreError as error:
            refused = error
    if high - low == 1:
        refuse(low, str(refused))
        return
    middle = (low + high) // 2
    for start, end in ((low, middle), (middle, high)):
        await divide(start, end, commit, refuse)
