"""What the store knows of the senders."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ccstore.errors import QueryTimeout
from ccstore.query import Counting, Counts, Matcher, Selection
from ccstore.senders.register import SenderRegister
from ccstore.timing import SECOND, nanoseconds

_BY: Final = ("cluster", "hostname")
_HOUR: Final = 3600 * SECOND
#: Hours that are learnt from.
_HOURS: Final = 24
#: Seconds after which the store is asked again if it could not be.
_RETRY: Final = 60.0
#: Counts that are looked at in one go, hosts that are remembered, and hosts that one question is about.
_AT_A_TIME: Final = 500
_REMEMBERED: Final = 50
_ASKED: Final = 1000
#: Seconds in which a host that another daemon may have heard of is looked for.
_BACK: Final = 3600.0


class StoreMemory:
    """Tells a register what the store knows; raises :class:`StoreError` if that cannot be asked.

    :param turn: fires when there is time to go on, see :meth:`Scheduler.turn`.
    :param counts: asks the store.
    :param is_shared: other daemons write to the same store, which then has no census: only the last day is
        looked at.
    """

    log = Logger()

    def __init__(
        self,
        register: SenderRegister,
        clock: IReactorTime,
        turn: Callable[[], Deferred[None]],
        counts: Callable[[Counting], Deferred[Counts]],
        *,
        is_shared: bool,
    ) -> None:
        self._register = register
        self._clock = clock
        self._turn = turn
        self._counts = counts
        self._is_shared = is_shared
        self._begins_at = 0.0

    async def learn(self) -> None:
        """Learn from all that is held who sent, and from the last day how often, once."""
        now = self._clock.seconds()
        if now < self._begins_at:
            return
        self._begins_at = now + _RETRY
        try:
            await self._learn()
        except QueryTimeout:
            self.log.warn("the store takes too long to say who sent before: that is not known then")
        self._begins_at = math.inf

    async def _learn(self) -> None:
        now = nanoseconds(self._clock.seconds())
        hour = now - now % _HOUR
        day = Selection(begin=hour - _HOURS * _HOUR, end=hour)
        held = Selection(begin=day.begin) if self._is_shared else Selection()
        times = await self._counts(Counting(held, _BY))
        by_hour = await self._counts(Counting(day, _BY, _HOUR, with_times=False))
        hours: dict[tuple[str, ...], list[int]] = {}
        for number, count in enumerate(by_hour.counts):
            if number % _AT_A_TIME == 0:
                await self._turn()
            assert count.start is not None
            place = (count.start - day.begin) // _HOUR
            hours.setdefault(count.by, [0] * _HOURS)[place] = count.messages
        for number, count in enumerate(times.counts):
            if number % _REMEMBERED == 0:
                await self._turn()
            cluster, host = count.by
            if host:
                oldest, newest = min(count.oldest, now), min(count.newest, now)
                self._register.remember(
                    cluster, host, oldest / SECOND, newest / SECOND, hours.get(count.by, [])
                )

    async def ask_about(self, hosts: Sequence[str]) -> None:
        """Another daemon may have heard of hosts that seem silent."""
        now = self._clock.seconds()
        begin = nanoseconds(now - _BACK)
        for start in range(0, len(hosts), _ASKED):
            names = tuple(hosts[start : start + _ASKED])
            selection = Selection(begin=begin, matchers=(Matcher("hostname", "=", names),))
            found = await self._counts(Counting(selection, _BY))
            newest = {count.by: min(count.newest / SECOND, now) for count in found.counts}
            for sender in self._register:
                moment = newest.get((sender.cluster, sender.host))
                if moment is not None:
                    sender.habit.seen(moment)
