"""The router: decides what becomes of each message, and forwards what is to be kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ccstore.accounting.account import Account, Origin
from ccstore.batch import Batch
from ccstore.durations import show_duration
from ccstore.interfaces import IMessageSink, IMessageStore, Refusal
from ccstore.logs import RateLimit
from ccstore.message import STORED_KINDS, Message, Series, StreamKey, is_cluster
from ccstore.timing import SECOND, nanoseconds, seconds

NO_CLUSTER = "no cluster: neither a tag, nor the receiver, nor the payload names one"
BAD_CLUSTER = "the cluster's name is empty, longer than 255 characters or not printable"
_REASON_KEYS = {NO_CLUSTER: "no_cluster", BAD_CLUSTER: "bad_cluster"}
_WARN_EVERY = 60.0
#: Nanoseconds by which the time of a message may be ahead without being doubtful.
_AHEAD = 300 * SECOND
#: Nanoseconds by which it may be behind: ten years. Events that old expire anyhow.
_BEHIND: Final = 3653 * 86400 * SECOND
#: Hosts whose clocks are warned of at a time. One sender can make up any number of names.
_HOSTS_WARNED_OF = 32


#: Is told of messages that came in at a receiver, and when that was, in nanoseconds.
Heard = Callable[[str, Batch, int], None]


def nobody_hears(receiver: str, messages: Batch, now: int) -> None:
    """Make nothing of it."""


class _Samples:
    """Samples of some messages that came together, as long as more of a reason are wanted.

    :ivar origin: where they come from.
    :ivar sated: reasons of which there are enough for now.
    """

    def __init__(self, origin: Origin, now: int) -> None:
        self.origin = origin
        self._now = now
        self.sated: set[str] = set()

    def offer(self, outcome: str, reason: str, message: Message, index: int) -> None:
        if reason not in self.sated and not self.origin.sample(outcome, reason, message, index, self._now):
            self.sated.add(reason)


@implementer(IMessageSink)
class Router:
    """Classifies messages, finds their cluster, and hands them to the store.

    :param retention: seconds after which events expire.
    :param bounds: the shortest and the longest such time, where there are rules for some streams.
    :param period_of: tells of a stream after how many nanoseconds its messages expire; None is never.
    :param store_logs: keep logs, or drop them.
    :param store_heartbeats: keep those of a fleet, whichever way they come, or drop them: their text has a
        credential, and whoever may query would see it.
    :param heard: is told of what is kept.
    """

    log = Logger()

    def __init__(
        self,
        store: IMessageStore,
        clock: IReactorTime,
        *,
        retention: float,
        bounds: tuple[float, float] | None = None,
        store_logs: bool,
        store_heartbeats: bool = False,
        period_of: Callable[[StreamKey], int | None] | None = None,
        heard: Heard = nobody_hears,
    ) -> None:
        self._store = store
        self._heard = heard
        self._clock = clock
        self._period_of = period_of
        self.reconfigure(
            retention=retention, bounds=bounds, store_logs=store_logs, store_heartbeats=store_heartbeats
        )
        self._expired_warnings = RateLimit(clock, _WARN_EVERY, size=_HOSTS_WARNED_OF)
        self._refused_warnings = RateLimit(clock, _WARN_EVERY, size=_HOSTS_WARNED_OF)
        self._in_cluster: dict[tuple[Series, str], Series] = {}

    def reconfigure(
        self,
        *,
        retention: float,
        bounds: tuple[float, float] | None = None,
        store_logs: bool,
        store_heartbeats: bool,
    ) -> None:
        """Go on with other settings."""
        self._shortest, self._retention = map(nanoseconds, bounds or (retention, retention))
        self._retention_shown = show_duration(bounds[1] if bounds else retention)
        self._store_logs = store_logs
        self._store_heartbeats = store_heartbeats

    def accept(self, messages: Batch, origin: Origin, *, urgent: bool) -> Deferred[Sequence[Refusal]]:
        """See :meth:`IMessageSink.accept`."""
        account = origin.account
        account.accept(len(messages))
        now = int(self._clock.seconds() * SECOND)  # for each batch: without a call
        cutoff = now - self._shortest
        kept = messages
        facts = messages.facts
        if facts.newest > now + _AHEAD or facts.oldest < now - _BEHIND:
            self._doubt(messages, origin, now)
        places: Sequence[int] = range(len(messages))  # of the kept ones among all
        refusals: list[Refusal] = []
        if not self._keeps_all(messages, cutoff):
            kept, places, refusals = self._sort_out(messages, origin, now)
            origin.dropped.lines += len(messages) - len(kept) - len(refusals)
        if not kept:
            return succeed(refusals)
        self._heard(account.name, kept, now)
        committed = self._store.accept(kept, urgent=urgent)
        return committed.addCallbacks(
            self._committed,
            self._lost,
            callbackArgs=(messages, origin, len(kept), places, refusals),
            errbackArgs=(account, len(kept)),
        )

    def announce(self, parts: Sequence[Batch], origin: Origin) -> None:
        """See :meth:`IMessageSink.announce`."""
        cutoff = int(self._clock.seconds() * SECOND) - self._shortest
        if all(self._keeps_all(part, cutoff) for part in parts):
            self._store.announce(parts)

    def _keeps_all(self, messages: Batch, cutoff: int) -> bool:
        """All are to be kept as they are, which is known without a look at each."""
        facts = messages.facts
        return self._store_logs and facts.is_storable and not messages.has_others and facts.oldest > cutoff

    def flush(self) -> None:
        """See :meth:`IMessageSink.flush`."""
        self._store.flush()

    def _sort_out(
        self, messages: Batch, origin: Origin, now: int
    ) -> tuple[Batch, Sequence[int], list[Refusal]]:
        """Decide message by message: what is kept, its places among all, and what is refused."""
        account = origin.account
        cutoff = now - self._retention
        kept = Batch()
        places: list[int] = []
        refusals: list[Refusal] = []
        samples = _Samples(origin, now)
        for index, message in enumerate(messages):
            series = message.series
            kind = series.kind
            is_storable = series.is_storable
            # A heartbeat, if they are not to be kept.
            is_unwanted = series.is_heartbeat and not self._store_heartbeats
            if not is_storable and kind in STORED_KINDS and is_unwanted:
                account.lose("fleet_heartbeat", 1)
                continue
            if kind == "event":
                if message.time <= cutoff:
                    self._drop_expired(message, index, samples, now, self._retention_shown)
                    continue
            elif kind != "log" or not self._store_logs:
                account.lose(kind, 1)
                if kind not in samples.sated:
                    samples.offer("dropped", kind, message, index)
                continue
            if not is_storable:
                found = self._cluster_of(message, origin)
                if found in _REASON_KEYS:
                    reason = _REASON_KEYS[found]
                    account.refuse(reason)
                    samples.offer("rejected", reason, message, index)
                    refusals.append(Refusal(index, found))
                    self._warn_refused(found, message, index, origin)
                    continue
                if series.cluster is None:
                    message = message._replace(series=self._with_cluster(series, found))
            over = self._period_over(message, now)
            if over is not None:
                self._drop_expired(message, index, samples, now, show_duration(over / SECOND))
                continue
            if message.others is not None:
                account.fields_not_stored += len(message.others)
            places.append(index)
            kept.append(message)
        return kept, places, refusals

    def _period_over(self, message: Message, now: int) -> int | None:
        """The period (ns) by which a message has expired that a rule is about, or None."""
        if self._period_of is None or message.time > now - self._shortest:
            return None
        period = self._period_of(message.series.stream)
        return period if period is not None and message.time <= now - period else None

    def _committed(
        self,
        refused: Sequence[Refusal],
        messages: Batch,
        origin: Origin,
        kept: int,
        places: Sequence[int],
        refusals: list[Refusal],
    ) -> Sequence[Refusal]:
        account = origin.account
        account.store(kept - len(refused))
        now = nanoseconds(self._clock.seconds()) if refused else 0
        for refusal in refused:
            account.refuse("refused_by_store")
            place = places[refusal.index]
            refusals.append(Refusal(place, refusal.reason))
            origin.sample("rejected", "refused_by_store", messages[place], place, now, refusal.reason)
            self._warn_refused(refusal.reason, messages[place], place, origin)
        refusals.sort(key=lambda refusal: refusal.index)
        return refusals

    def _lost(self, failure: Failure, account: Account, kept: int) -> Failure:
        account.lose("store_unavailable", kept)
        return failure

    def _doubt(self, messages: Batch, origin: Origin, now: int) -> None:
        """Remember some of the messages from the future, and of those from long ago that are stored.

        They will surprise somebody.
        """
        samples = _Samples(origin, now)
        cutoff = now - self._retention
        for index, time in enumerate(messages.times):
            if time > now + _AHEAD:
                if "ahead" not in samples.sated:
                    samples.offer("stored", "ahead", messages[index], index)
            elif time < now - _BEHIND and "long_ago" not in samples.sated:
                kind = messages.series[index].kind
                if self._store_logs if kind == "log" else kind == "event" and time > cutoff:
                    samples.offer("stored", "long_ago", messages[index], index)

    def _cluster_of(self, message: Message, origin: Origin) -> str:
        """The cluster of a message, or the reason why there is none."""
        tag = message.series.cluster
        if tag is not None:
            return tag if is_cluster(tag) else BAD_CLUSTER
        cluster: object = origin.cluster
        if cluster is None and message.text.lstrip().startswith("{"):
            # Job and node state events name their cluster in their payload, and only there.
            try:
                payload = json.loads(message.text)
            except (ValueError, RecursionError):
                payload = None
            cluster = payload.get("cluster") if isinstance(payload, dict) else None
        if cluster is None:
            return NO_CLUSTER
        return cluster if isinstance(cluster, str) and is_cluster(cluster) else BAD_CLUSTER

    def _with_cluster(self, series: Series, cluster: str) -> Series:
        key = (series, cluster)
        found = self._in_cluster.get(key)
        if found is None:
            if len(self._in_cluster) >= 65536:
                self._in_cluster.clear()
            found = self._in_cluster[key] = series.in_cluster(cluster)
        return found

    def _warn_refused(self, reason: str, message: Message, index: int, origin: Origin) -> None:
        # Streams have nobody to answer to: without this, the log would say nothing of lines that are no good.
        suppressed = self._refused_warnings.check((origin.account.name, reason, origin.host_of(index)))
        if suppressed is None:
            return
        self.log.warn(
            "{receiver}: rejected {kind} {name!r} from {sender}: {reason}{more}",
            receiver=origin.account.name,
            kind=message.series.kind,
            name=message.name[:100],
            sender=origin.sender_of(index),
            reason=reason,
            more=f" ({suppressed} more since the last warning)" if suppressed else "",
        )

    def _drop_expired(self, message: Message, index: int, samples: _Samples, now: int, period: str) -> None:
        origin = samples.origin
        origin.account.lose("expired", 1)
        samples.offer("dropped", "expired", message, index)
        host = message.tags.get("hostname") or origin.host_of(index)
        suppressed = self._expired_warnings.check((origin.account.name, host))
        if suppressed is None:
            return
        self.log.warn(
            "{receiver}: event {name!r} of host {host!r} from {sender} is {age} old by its own time"
            " {time} s, more than the retention time of {retention}, and was dropped: is the clock of that"
            " host right, and the unit of its timestamps?{more}",
            receiver=origin.account.name,
            name=message.name[:100],
            host=host[:100],
            sender=origin.sender_of(index),
            age=show_duration(seconds(now - message.time)),
            retention=period,
            time=seconds(message.time),
            more=f" ({suppressed} more since the last warning)" if suppressed else "",
        )
