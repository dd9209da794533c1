"""All senders, as they are heard of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from twisted.internet.defer import Deferred

from ccstore.batch import Batch
from ccstore.message import Series
from ccstore.senders.habit import Habit
from ccstore.senders.sender import Sender
from ccstore.timing import SECOND

#: Times are looked at of so many series in one go at most, and then of one more in so many nanoseconds.
_LOOKS: Final = 1000
_PAUSE: Final = 1_000_000
#: So many messages are looked at together, or those of so many nanoseconds: as exact as clocks are taken.
_TOGETHER: Final = 512
_AT_ONCE: Final = 10_000_000
#: Of messages that are not counted one by one, each one of so many stands for as many: a prime, since hosts
#: of a rack may take turns.
_ONE_IN: Final = 11
#: Series that are dealt with in one go, which takes about a millisecond.
_AT_A_TIME: Final = 2000
#: Series of which it is known at a time whose they are.
_SERIES_HELD: Final = 1 << 16


class Heard:
    """What came in at one receiver since the last time that something was made of it.

    :param exact: messages that are counted one by one.
    :ivar series: of messages that were not looked at yet, since ``since``; ``sent`` are their times.
    :ivar counted: messages of each series.
    :ivar sampled: the same of some of the messages behind those that are counted one by one.
    :ivar last: when the last of them came, in nanoseconds.
    :ivar times: of some of them, when they came, and the time of the last of each series.
    """

    __slots__ = (
        *("_exact", "_looked", "_place", "_room"),
        *("counted", "last", "sampled", "sent", "series", "since", "times"),
    )

    def __init__(self, exact: int) -> None:
        self.series: list[Series] = []
        self.sent: list[int] = []
        self.since = 0
        self.counted: Counter[Series] = Counter()
        self.sampled: Counter[Series] = Counter()
        self.last = 0
        self.times: list[tuple[int, dict[Series, int]]] = []
        self._exact = exact
        self._looked = 0
        self._place = 0
        self._room = _LOOKS

    def look(self) -> None:
        """Count what was not looked at yet."""
        self.look_at(self.series, self.sent)
        self.series.clear()
        self.sent.clear()

    def look_at(self, series: Sequence[Series], sent: Sequence[int]) -> None:
        """Count messages, all of which came just before the last one did.

        Nothing is done for each of them in Python: there may be some 100,000 in a second.

        :param sent: their times.
        """
        if self._exact > 0:
            self.counted.update(series)
            self._exact -= len(series)
        else:
            self.sampled.update(series[self._place :: _ONE_IN])
            self._place = (self._place + 1) % _ONE_IN
        self._room = min(_LOOKS, self._room + (self.last - self._looked) // _PAUSE)
        self._looked = self.last
        if self._room > 0:
            # Of each series its last message, which most often is the one that was not held up.
            times = dict(zip(series, sent, strict=True))
            self.times.append((self.last, times))
            self._room -= len(times)


class SenderRegister:
    """Is told of messages batch by batch, and makes something of it now and then.

    :param most: senders that are known at a time, each a host at one receiver.
    :param most_new: series that are looked at for the first time in one go; there may be one for each line.
    :param exact: messages of a receiver that are counted one by one between two times that they are taken in;
        those behind them are by a sample.
    :param forgotten_after: seconds after which whoever is not heard of is known no more.
    :ivar left_out: messages of senders that there was no room for, or no time to look at.
    :ivar without_host: messages that name no host.
    """

    def __init__(
        self,
        *,
        most: int = 20_000,
        most_new: int = 20_000,
        exact: int = 100_000,
        forgotten_after: float = 14 * 86400.0,
    ) -> None:
        self._exact = exact
        self._most = most
        self._most_new = most_new
        self._forgotten_after = forgotten_after
        self._heard: dict[str, Heard] = {}
        self._senders: dict[tuple[str, str, str | None], Sender] = {}
        self._receivers: dict[str, None] = {}  # at which any of them was ever heard of
        self._of_series: dict[tuple[str, Series], Sender | None] = {}
        self.left_out = 0
        self.without_host = 0

    def __len__(self) -> int:
        return len(self._senders)

    def __iter__(self) -> Iterator[Sender]:
        return iter([*self._senders.values()])

    def hear(self, receiver: str, messages: Batch, now: int) -> None:
        """These messages came in at a receiver.

        Batches may be tiny: they are put together before they are looked at.

        :param now: nanoseconds.
        """
        heard = self._heard.get(receiver)
        if heard is None:
            heard = self._heard[receiver] = Heard(self._exact)
        if now - heard.since > _AT_ONCE:
            if heard.series:
                heard.look()
            heard.since = now
        heard.last = now
        for part in messages.parts or (messages,):
            if len(part.series) >= _TOGETHER:
                heard.look_at(part.series, part.times)
            else:
                heard.series += part.series
                heard.sent += part.times
        if len(heard.series) >= _TOGETHER:
            heard.look()

    async def take_in(self, turn: Callable[[], Deferred[None]]) -> None:
        """Make something of what came since the last time.

        :param turn: fires when there is time to go on, see :meth:`Scheduler.turn`.
        """
        heard, self._heard = self._heard, {}
        for receiver, news in heard.items():
            news.look()
            now = news.last / SECOND
            for series, messages in news.sampled.items():
                news.counted[series] += _ONE_IN * messages
            counted = iter(news.counted.items())
            touched: dict[Sender, None] = {}
            left = self._most_new
            while some := [*islice(counted, _AT_A_TIME)]:
                await turn()
                left = self._count(receiver, some, touched, now, left)
            waiting = iter(touched)
            while chosen := [*islice(waiting, _AT_A_TIME)]:
                await turn()
                for sender in chosen:
                    sender.habit.heard(sender.pending, now)
                    sender.pending = 0
            await self._take_times(receiver, news.times, turn)

    def _count(
        self,
        receiver: str,
        counted: Iterable[tuple[Series, int]],
        touched: dict[Sender, None],
        now: float,
        left: int,
    ) -> int:
        """Count messages by sender; how many new series may be looked at after that."""
        known = self._of_series
        for series, messages in counted:
            key = (receiver, series)
            try:
                sender = known[key]
            except KeyError:
                if not left:
                    self.left_out += messages
                    continue
                left -= 1
                if len(known) >= _SERIES_HELD:
                    known.clear()
                sender = known[key] = self._sender_of(receiver, series, now)
            if sender is None:
                if series.place[1]:
                    self.left_out += messages
                else:
                    self.without_host += messages
                continue
            sender.messages += messages
            sender.pending += messages
            touched[sender] = None
        return left

    async def _take_times(
        self, receiver: str, looks: list[tuple[int, dict[Series, int]]], turn: Callable[[], Deferred[None]]
    ) -> None:
        known = self._of_series
        for now, times in looks:
            items = iter(times.items())
            while some := [*islice(items, _AT_A_TIME)]:
                await turn()
                for series, time in some:
                    sender = known.get((receiver, series))
                    if sender is not None:
                        sender.arrived((now - time) / SECOND, now / SECOND)

    def _sender_of(self, receiver: str, series: Series, now: float) -> Sender | None:
        """Who sends a series; None if it names no host, or there are too many."""
        cluster, host = series.place
        if not host:
            return None
        found = self._senders.get((cluster, host, receiver))
        if found is not None:
            return found
        # What was known by the store alone is the habit of whoever is heard of now.
        before = self._senders.pop((cluster, host, None), None)
        if before is not None:
            before.receiver = receiver
            self._senders[cluster, host, receiver] = before
            self._receivers[receiver] = None
            return before
        return self._add(cluster, host, receiver, Habit(now, now))

    def _add(self, cluster: str, host: str, receiver: str | None, habit: Habit) -> Sender | None:
        if len(self._senders) >= self._most:
            return None
        made = self._senders[cluster, host, receiver] = Sender(cluster, host, receiver, habit)
        if receiver is not None:
            self._receivers[receiver] = None
        return made

    def remember(self, cluster: str, host: str, first: float, last: float, hours: list[int]) -> None:
        """The store has messages of a host from one time to another.

        :param first: in seconds, as is ``last``.
        :param hours: how many it has of whole hours, the oldest first.
        """
        known = [
            sender
            for receiver in (None, *self._receivers)
            if (sender := self._senders.get((cluster, host, receiver))) is not None
        ]
        if not known:
            made = self._add(cluster, host, None, Habit(first, last))
            known = [] if made is None else [made]
        for sender in known:
            habit = sender.habit
            habit.first = min(habit.first, first)
            if sender.receiver is None:
                habit.seen(last)
        if len(known) == 1 and hours:
            known[0].habit.learn_hours(hours)

    def forget(self, now: float) -> None:
        """Forget those that have not been heard of for long."""
        gone = [
            key for key, sender in self._senders.items() if now - sender.habit.last > self._forgotten_after
        ]
        for key in gone:
            del self._senders[key]
        if gone or len(self._senders) >= self._most:
            # There may be room for others now.
            self._of_series.clear()
