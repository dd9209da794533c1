"""Watches the senders while the daemon runs, and learns at its start what the store knows of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from itertools import islice
from typing import Final

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ccstore.accounting.figures import Figures, counter, gauge, gauges
from ccstore.errors import StoreError
from ccstore.hostlist import fold
from ccstore.logs import RateLimit
from ccstore.query import Counting, Counts
from ccstore.senders.register import SenderRegister
from ccstore.senders.sender import Sender
from ccstore.senders.silence import ClusterState, Look, Outage, outages
from ccstore.senders.store_memory import StoreMemory

#: Senders that are looked at in one go.
_AT_A_TIME: Final = 500
#: Seconds between two looks into the store, and between two words in the log on the same thing.
_ASK_EVERY: Final = 60.0
_WARN_EVERY: Final = 600.0
#: Clusters that have figures of their own, the others, and silent hosts that are named.
_CLUSTERS: Final = 20
_OTHERS: Final = "(others)"
_NAMED: Final = 20


@frozen
class Seen:
    """What the last look saw.

    :ivar now: when that was, in seconds.
    :ivar since: from when on senders could be heard.
    """

    now: float
    since: float
    clusters: Mapping[str, ClusterState]
    outages: Sequence[Outage]
    _in_outages: Set[tuple[str, str]] = field(init=False)

    @_in_outages.default
    def _find_in_outages(self) -> Set[tuple[str, str]]:
        return {(outage.cluster, host) for outage in self.outages for host in outage.hosts}

    def is_in_outage(self, sender: Sender) -> bool:
        """A sender's host is one of those that fell silent at once."""
        return (sender.cluster, sender.host) in self._in_outages


class SenderWatch:
    """See the module.

    :param turn: fires when there is time to go on, see :meth:`Scheduler.turn`.
    :param counts: asks the store.
    :param is_shared: other daemons write to the same store. Then it is asked about hosts that seem silent.
    :param every: seconds between two times that what came is taken in; ``look_every`` between two looks.
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
        every: float = 3.0,
        look_every: float = 10.0,
    ) -> None:
        self.register = register
        self._clock = clock
        self._turn = turn
        self._memory = StoreMemory(register, clock, turn, counts, is_shared=is_shared)
        self._is_shared = is_shared
        self._every = every
        self._look_every = look_every
        self._warnings = RateLimit(clock, _WARN_EVERY)
        self._asks_at = 0.0
        self.seen = Seen(0.0, clock.seconds(), {}, ())
        self._calls = [self._looping(self._take_in), self._looping(self._look)]

    def _looping(self, what: Callable[[], object]) -> LoopingCall:
        call = LoopingCall(lambda: Deferred.fromCoroutine(self._surely(what)))
        call.clock = self._clock
        return call

    def start(self) -> None:
        """The store is open, and messages come from now on."""
        since = self._clock.seconds()
        self.seen = Seen(since, since, {}, ())
        for call, every in zip(self._calls, (self._every, self._look_every), strict=True):
            call.start(every, now=False)

    def stop(self) -> None:
        """Look no more."""
        for call in self._calls:
            if call.running:
                call.stop()

    async def _surely(self, what: Callable[[], object]) -> None:
        """A LoopingCall would end for ever."""
        try:
            await what()  # type: ignore[misc]
        except StoreError as error:
            if self._warnings.check(("store", str(error))) is not None:
                self.log.warn("the store cannot be asked who sends: {reason}", reason=error)
        except Exception:
            self.log.failure("the senders cannot be looked at")

    async def _take_in(self) -> None:
        await self.register.take_in(self._turn)

    async def _look(self) -> None:
        await self.look()
        silent = [host for state in self.seen.clusters.values() for host in state.silent]
        now = self._clock.seconds()
        if self._is_shared and silent and now >= self._asks_at:
            self._asks_at = now + _ASK_EVERY
            await self._memory.ask_about(silent)
            await self.look()
        self.register.forget(now)

    async def look(self) -> Seen:
        """Look at all senders now, and first at what the store knows, if that has not been done."""
        await self._surely(self._memory.learn)
        await self._take_in()
        look = Look(self._clock.seconds(), self.seen.since)
        left = iter(self.register)
        while some := [*islice(left, _AT_A_TIME)]:
            await self._turn()
            look.add(some)
        clusters = look.clusters()
        self.seen = Seen(look.now, look.since, clusters, outages(clusters))
        return self.seen

    def is_silent(self, sender: Sender) -> bool:
        """Whether a sender was silent at the last look."""
        return sender.habit.is_silent(self.seen.now, self.seen.since)

    # -- what is told

    def figures(self) -> Figures:
        """Figures for the statistics, of a bounded number of clusters."""
        states = sorted(self.seen.clusters.items(), key=lambda each: (-each[1].hosts, each[0]))
        shown: dict[str, list[ClusterState]] = {}
        for number, (cluster, state) in enumerate(states):
            shown.setdefault(cluster if number < _CLUSTERS else _OTHERS, []).append(state)
        register = self.register
        return Figures(
            hosts=gauges(
                {name: sum(state.hosts for state in some) for name, some in shown.items()},
                "Hosts that messages came from, or are held of.",
                by="cluster",
            ),
            silent=gauges(
                {name: sum(len(state.silent) for state in some) for name, some in shown.items()},
                "Hosts that have said nothing for longer than they ever do.",
                by="cluster",
            ),
            skewed=gauges(
                {name: sum(state.skewed for state in some) for name, some in shown.items()},
                "Hosts whose clock is wrong by ten seconds or more.",
                by="cluster",
            ),
            worst_skew_seconds=gauges(
                {name: skew for name, some in shown.items() if (skew := _worst(some)) is not None},
                "Of all clocks of hosts, what the worst is ahead, below 0 if it is behind.",
                by="cluster",
            ),
            known=gauge(len(register), "Senders that are known, each a host at one receiver."),
            left_out=counter(
                register.left_out, "Messages of hosts that there was no room for among the senders."
            ),
            without_host=counter(register.without_host, "Messages that name no host."),
        )

    def silence(self) -> Mapping[str, object]:
        """Who is silent: what ``/api/samples`` shows of it."""
        alone = [
            sender
            for sender in self.register
            if sender.host in getattr(self.seen.clusters.get(sender.cluster), "silent", ())
            and not self.seen.is_in_outage(sender)
        ]
        alone.sort(key=lambda sender: -sender.habit.last)
        by_host = {(sender.cluster, sender.host): sender for sender in reversed(alone)}
        single = [*reversed(by_host.values())]
        return {
            "outages": [outage_as_json(outage) for outage in self.seen.outages],
            "hosts": [
                {
                    "cluster": sender.cluster,
                    "host": sender.host,
                    "says": sender.says(self.seen.now, is_silent=True),
                }
                for sender in single[:_NAMED]
            ],
            "others": max(0, len(single) - _NAMED),
        }


def _worst(states: Sequence[ClusterState]) -> float | None:
    """The worst of their clocks, in seconds, to the millisecond."""
    skews = [state.worst_skew for state in states if state.worst_skew is not None]
    if not skews:
        return None
    worst = max(skews, key=abs)
    return round(worst, 3) + 0.0


def outage_as_json(outage: Outage) -> dict[str, object]:
    """An outage for programs; of its hosts some are named, and all folded into a list."""
    return {
        "cluster": outage.cluster,
        "silent": len(outage.hosts),
        "of": outage.of,
        "since": outage.since,
        "hosts": [*outage.hosts[:_NAMED]],
        "others": max(0, len(outage.hosts) - _NAMED),
        "folded": fold(outage.hosts),
    }
