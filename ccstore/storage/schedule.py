"""When a backend is tended, and when it lets events expire."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ccstore.interfaces import IBackend, StoreError, StoreUnavailable
from ccstore.keeping import KeepRule
from ccstore.storage.committer import Committer
from ccstore.storage.forwarding import Forwarder
from ccstore.storage.retention import Retention
from ccstore.timing import nanoseconds

_TEND_EVERY: Final = 1.0


class Schedule:
    """Has the housekeeping done, of the backend and of the spool if there is one.

    :param can_write: finds out whether writing works.
    :ivar expired: events that have expired.
    :ivar spool_failure: what is wrong with the spool's file, or None.
    """

    log = Logger()

    def __init__(
        self,
        backend: IBackend,
        clock: IReactorTime,
        committer: Committer,
        forwarder: Forwarder | None,
        retention: Retention,
        can_write: Callable[[], Awaitable[bool]],
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._committer = committer
        self._forwarder = forwarder
        self._retention = retention
        self._can_write = can_write
        self._expiring, self._tending = LoopingCall(self._expire), LoopingCall(self._tend)
        self._expiring.clock = self._tending.clock = clock
        self._ends: list[Deferred[Any]] = []
        self.expired = 0
        self.spool_failure: str | None = None

    def start(self) -> None:
        """Do all of it now, and then again and again."""
        self._ends += [
            self._expiring.start(expiry_interval(self._retention.shortest)),
            self._tending.start(_TEND_EVERY),
        ]

    def stop(self) -> None:
        """Begin with nothing more."""
        for call in (self._expiring, self._tending):
            if call.running:
                call.stop()

    @property
    def next_expiry(self) -> float:
        """When expired events are looked for again, in seconds since the epoch."""
        call = self._expiring.call
        return self._clock.seconds() if call is None else call.getTime()

    async def ended(self) -> None:
        """Wait for what was begun."""
        for end in self._ends:
            await end

    async def retain(self, seconds: float, rules: Sequence[KeepRule]) -> None:
        """From now on, events expire after so long, or as the rules say."""
        self._retention.change(seconds, rules)
        try:
            await self._backend.retain(seconds, rules)
        except StoreError as error:
            self.log.warn("the database takes the new retention time later: {reason}", reason=error)
        if self._expiring.running and not self._committer.is_stopping:
            self._expiring.interval = expiry_interval(self._retention.shortest)
            self._expiring.reset()
            # At once: what has expired up to now is noted, and does not come back.
            self._ends.append(Deferred.fromCoroutine(self._expire()))

    # A LoopingCall ends for ever at an exception, so none may escape from these.

    async def _expire(self) -> None:
        cutoff = self._retention.cutoff()
        try:
            if self._forwarder is not None:
                self.expired += await self._forwarder.expire()
            expired = await self._backend.expire(cutoff)
        except Exception as error:
            self._committer.count_error("delete_sql_exec_failed")
            self._warn_of("cannot delete expired events", error)
        else:
            self.expired += expired
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
                await self._forwarder.spool.check()
            except StoreUnavailable as error:
                self.spool_failure = str(error)
                self._committer.cannot_spool(error)
            else:
                self.spool_failure = None

    def _warn_of(self, what: str, error: Exception) -> None:
        committer = self._committer
        if str(error) == committer.failure or committer.warnings.check(what) is None:
            return  # it has been said
        if isinstance(error, StoreError):
            self.log.warn("{what}, will try again: {reason}", what=what, reason=error)
        else:
            self.log.failure("{what}, will try again", what=what)


def expiry_interval(retention: float) -> float:
    """Seconds between two looks for expired events: often enough to matter, seldom enough not to."""
    return min(60.0, max(0.25, retention / 32))
