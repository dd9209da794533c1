"""What the store has just confirmed, for those who follow it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ccstore.batch import Batch, by_kind
from ccstore.message import Series, StreamKey
from ccstore.query import Arrival, Row, Selection
from ccstore.storage.reading.evaluate import series_test, texts_test

#: Series whose followers are known at a time.
_SERIES_HELD: Final = 1 << 16


class Arrived(NamedTuple):
    """A message that is stored.

    :ivar arrival: how far the store has been followed with it, or None where it is shown out of that order.
    """

    row: Row
    stream: StreamKey
    arrival: Arrival | None


class Gap(NamedTuple):
    """Messages that were left out.

    :ivar messages: how many.
    :ivar oldest: the least of their times in nanoseconds, as ``newest`` is the greatest.
    :ivar arrival: how far the store has been followed with the last of them.
    """

    messages: int
    oldest: int
    newest: int
    arrival: Arrival


class _Held:
    """Messages that wait for a reader, and what there was no room for behind them.

    :param most: of the messages; ``most_size`` of the characters of their texts.
    :ivar has_gap: there was no room for all.
    """

    def __init__(self, most: int, most_size: int) -> None:
        self._most = most
        self._most_size = most_size
        self._messages: list[Arrived] = []
        self._size = 0
        self.has_gap = False
        # How many were left out, and the least and the greatest of their times.
        self._left_out = self._oldest = self._newest = 0
        # How far the store has been followed with the last of them.
        self._last_event = self._last_log = 0

    def __bool__(self) -> bool:
        return bool(self._messages) or self.has_gap

    def leave_out(self, after: Arrival) -> None:
        """Only what came in after this moment waits; it must not be called once there is a gap."""
        self._messages = [
            Arrived(row, stream, None if arrival is None else arrival.upto(after))
            for row, stream, arrival in self._messages
            if row.id > after.of(row.kind)
        ]
        self._size = sum(len(arrived.row.text) for arrived in self._messages)

    def has_room(self, text: str) -> bool:
        """Whether one more is to be held, in the order in which they come."""
        if self.has_gap:
            return False
        is_full = len(self._messages) >= self._most or self._size + len(text) > self._most_size
        return not (is_full and self._messages)

    def add(self, arrived: Arrived) -> None:
        """Hold one for which there is room."""
        self._messages.append(arrived)
        self._size += len(arrived.row.text)

    def miss(self, time: int, event: int, log: int) -> None:
        """Leave one out that has this time; the ids are how far the store has been followed with it."""
        # A reader that is too slow may miss all that comes, and whoever writes pays for that here.
        if not self.has_gap:
            self.has_gap = True
            self._left_out, self._oldest, self._newest = 0, time, time
        self._left_out += 1
        if time < self._oldest:
            self._oldest = time
        elif time > self._newest:
            self._newest = time
        self._last_event, self._last_log = event, log

    def take(self, expiry: Expiry, after: Arrival) -> tuple[list[Arrived], Gap | None]:
        cutoff = expiry.cutoff()
        taken = [
            each
            for each in self._messages
            if each.row.time > cutoff or not expiry.has_expired(each.stream, each.row.time)
        ]
        self._messages = []
        gap = None
        if self.has_gap:
            last = Arrival(self._last_event, self._last_log).upto(after)
            gap = Gap(self._left_out, self._oldest, self._newest, last)
        self.has_gap = False
        self._size = 0
        return taken, gap


@frozen
class Expiry:
    """Which messages have expired by now; see :class:`Feed`."""

    cutoff: Callable[[], int]
    has_expired: Callable[[StreamKey, int], bool]


class Tail:
    """The messages of a selection as they come, for one reader.

    A reader that is too slow gets a :class:`Gap` for what there was no room for.

    :param expiry: tells which messages have expired by now.
    :param most: messages that may wait for the reader; ``size`` is the same in characters of their texts.
    """

    def __init__(
        self, selection: Selection, clock: IReactorTime, expiry: Expiry, *, most: int, size: int
    ) -> None:
        self.matches = series_test(selection)
        self._texts = texts_test(selection.texts) if selection.texts else None
        self._begin, self._end = selection.begin, selection.end
        self._clock = clock
        self._expiry = expiry
        self._held = _Held(most, size)
        self._after: Arrival | None = None
        self._waiting: Deferred[None] | None = None
        self.is_closed = False

    def takes(self, kind: str, time: int, number: int, text: str, lasts: Mapping[str, int]) -> bool:
        """Whether a message whose series matches is to be held.

        If there is no room for it, it counts as left out.

        :param lasts: how far the store has been followed with it, by kind.
        """
        if not (self._begin <= time < self._end and (self._texts is None or self._texts(text))):
            return False
        if self._after is not None and number <= self._after.of(kind):
            return False
        if self._held.has_room(text):
            return True
        self._held.miss(time, lasts["event"], lasts["log"])
        return False

    def hold(self, row: Row, stream: StreamKey, arrival: Arrival) -> None:
        """Hold a message that it takes until it is read."""
        self._held.add(Arrived(row, stream, arrival if self._after is None else arrival.upto(self._after)))
        self._wake()

    def begin(self, after: Arrival) -> None:
        """Leave out what had come in before; whatever is told from now on leads on from there.

        A gap counts only what comes later, so there must be none yet, see :attr:`has_gap`.
        """
        self._after = after
        self._held.leave_out(after)

    def take(self) -> tuple[list[Arrived], Gap | None]:
        """What has come since the last time and not expired, and what was left out behind it."""
        return self._held.take(self._expiry, self._after or Arrival(0, 0))

    async def wait(self, seconds: float) -> None:
        """Wait until there is something to take, or it is closed, but no longer than so many seconds."""
        if self._held or self.is_closed:
            return
        waiting = self._waiting = Deferred()
        timer = self._clock.callLater(seconds, self._wake)
        try:
            await waiting
        finally:
            self._waiting = None
            if timer.active():
                timer.cancel()

    @property
    def has_gap(self) -> bool:
        """There was no room for all that came since it was taken the last time."""
        return self._held.has_gap

    def close(self) -> None:
        """No more comes."""
        self.is_closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.callback(None)


class Feed:
    """Tells followers of what is stored, in the order in which the store confirms it.

    That is the order of ids but for a batch of which it was in doubt whether it was committed: it may be
    told of behind what was committed after it. Whoever breaks off just then does not come back to it.

    :param cutoff: gives the time (ns) after which nothing has expired by now.
    :param has_expired: tells of a message before it, by its stream and its time.
    """

    def __init__(
        self,
        clock: IReactorTime,
        cutoff: Callable[[], int],
        has_expired: Callable[[StreamKey, int], bool] = lambda stream, time: stream[1] == "event",
    ) -> None:
        self._clock = clock
        self._expiry = Expiry(cutoff, has_expired)
        self._tails: set[Tail] = set()
        self._followers: dict[Series, tuple[Tail, ...]] = {}
        self._lasts = {"event": 0, "log": 0}
        self.is_closed = False

    @property
    def followers(self) -> int:
        """How many follow."""
        return len(self._tails)

    def follow(self, selection: Selection, *, most: int = 10_000, size: int = 4 << 20) -> Tail:
        """Begin to follow a selection, whose order, limit and position do not matter."""
        tail = Tail(selection, self._clock, self._expiry, most=most, size=size)
        if self.is_closed:
            tail.close()
        self._tails.add(tail)
        self._followers.clear()
        return tail

    def leave(self, tail: Tail) -> None:
        """Follow no longer."""
        self._tails.discard(tail)
        self._followers.clear()

    def close(self) -> None:
        """Nothing more is told; all tails end."""
        self.is_closed = True
        for tail in [*self._tails]:
            tail.close()

    def publish(self, messages: Batch, lasts: Mapping[str, int]) -> None:
        """These messages are stored.

        :param lasts: by kind, the id of the last of them; the others of that kind have the ids before it.
        """
        if self._tails:
            cutoff = self._expiry.cutoff()
            for kind, part in by_kind(messages):
                if kind in lasts:
                    numbers = range(lasts[kind] - len(part) + 1, lasts[kind] + 1)
                    self._publish(kind, part, numbers, cutoff)
        self._advance(lasts)

    def publish_read(self, kind: str, messages: Batch, numbers: Sequence[int]) -> None:
        """These messages of one kind are stored, with these ids, which rise."""
        if self._tails:
            self._publish(kind, messages, numbers, self._expiry.cutoff())
        self._advance({kind: numbers[-1]})

    def _advance(self, lasts: Mapping[str, int]) -> None:
        for kind, last in lasts.items():
            self._lasts[kind] = max(self._lasts[kind], last)

    def _publish(self, kind: str, part: Batch, numbers: Sequence[int], cutoff: int) -> None:
        has_expired = self._expiry.has_expired
        if len(self._followers) > _SERIES_HELD:
            self._followers.clear()
        followers, lasts = self._followers, self._lasts
        find: Callable[[Series], tuple[Tail, ...] | None] = followers.get
        for series, text, time, number in zip(part.series, part.texts, part.times, numbers, strict=True):
            tails = find(series)
            if tails is None:
                tails = followers[series] = tuple(tail for tail in self._tails if tail.matches(series))
            if tails and (time > cutoff or not has_expired(series.stream, time)):
                if number > lasts[kind]:
                    lasts[kind] = number
                row = None
                for tail in tails:
                    if tail.takes(kind, time, number, text, lasts):
                        if row is None:
                            row = Row(time, kind, number, 0, text, series.othertags)
                            stream = series.stream  # which is made each time
                            arrival = Arrival(lasts["event"], lasts["log"])
                        tail.hold(row, stream, arrival)
