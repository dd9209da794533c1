"""All senders, as they are heard of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
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
#: Of messages that are not counted one by one, each one of so many stands for as many.
_ONE_IN: Final = 8
#: Series that are dealt with in one go, which takes about a millisecond.
_AT_A_TIME: Final = 2000
#: Series of which it is known at a time whose they are.
_SERIES_HELD: Final = 1 << 16


class Heard:
    """What came in at one receiver since the last look.

    :ivar counted: messages of each series.
    :ivar last: when the last of them came, in nanoseconds.
    :ivar times: of some of them, when they came, and the time of the last of each series.
    :ivar room: series whose times may be looked at now.
    :ivar exact: messages that are still counted one by one.
    :ivar sampled: of those behind them some, by series.
    :ivar place: that of the first of a batch that is one of these.
    """

    __slots__ = ("counted", "exact", "last", "place", "room", "sampled", "times")

    def __init__(self, exact: int) -> None:
        self.counted: Counter[Series] = Counter()
        self.exact = exact
        self.sampled: Counter[Series] = Counter()
        self.place = 0
        self.last = 0
        self.times: list[tuple[int, dict[Series, int]]] = []
        self.room = _LOOKS


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
        self._of_series: dict[tuple[str, Series], Sender | None] = {}
        self.left_out = 0
        self.without_host = 0

    def __len__(self) -> int:
        return len(self._senders)

    def __iter__(self) -> Iterator[Sender]:
        return iter([*self._senders.values()])

    def hear(self, receiver: str, messages: Batch, now: int) -> None:
        """These messages came in at a receiver.

        Nothing is done for each of them in Python: there may be some 100,000 in a second.

        :param now: nanoseconds.
        """
        heard = self._heard.get(receiver)
        if heard is None:
            heard = self._heard[receiver] = Heard(self._exact)
        room = min(_LOOKS, heard.room + (now - heard.last) // _PAUSE)
        heard.last = now
        for part in messages.parts or (messages,):
            if heard.exact > 0:
                heard.counted.update(part.series)
                heard.exact -= len(part.series)
            else:
                heard.sampled.update(part.series[heard.place :: _ONE_IN])
                heard.place = (heard.place + 1) % _ONE_IN  # hosts may take turns
            if room > 0:
                # Of each series its last message, which most often is the one that was not held up.
                times = dict(zip(part.series, part.times, strict=True))
                heard.times.append((now, times))
                room -= len(times)
        heard.room = room

    async def take_in(self, turn: Callable[[], Deferred[None]]) -> None:
        """Make something of what came since the last time.

        :param turn: fires when there is time to go on, see :meth:`Scheduler.turn`.
        """
        heard, self._heard = self._heard, {}
        for receiver, news in heard.items():
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
            return before
        return self._add(cluster, host, receiver, Habit(now, now))

    def _add(self, cluster: str, host: str, receiver: str | None, habit: Habit) -> Sender | None:
        if len(self._senders) >= self._most:
            return None
        made = self._senders[cluster, host, receiver] = Sender(cluster, host, receiver, habit)
        return made

    def remember(self, cluster: str, host: str, first: float, last: float, hours: list[int]) -> None:
        """The store has messages of a host from one time to another.

        :param first: in seconds, as is ``last``.
        :param hours: how many it has of whole hours, the oldest first.
        """
        known = [
            sender
            for receiver in (None, *self.receivers)
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

    @property
    def receivers(self) -> set[str]:
        """At which anything was heard of."""
        return {receiver for _, _, receiver in self._senders if receiver is not None}

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
