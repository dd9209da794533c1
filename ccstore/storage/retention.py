"""How long messages are kept, and when they have expired."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.interfaces import IReactorTime

from ccstore.keeping import KeepRule, bounds
from ccstore.message import INT64_MIN, StreamKey
from ccstore.storage.periods import Periods
from ccstore.storage.reading.moment import Moment
from ccstore.timing import nanoseconds

#: Streams of which the period is kept in mind.
_STREAMS_HELD: Final = 1 << 16


class Retention:
    """How long messages are kept; whoever has to know asks this one, so that all of them agree.

    :param seconds: after which events expire that no rule is about.
    :param rules: by which messages of some streams are kept longer or shorter.
    :ivar shortest: the shortest time (s) after which anything expires.
    :ivar longest: the time (s) after which every event has expired.
    """

    def __init__(self, clock: IReactorTime, seconds: float, rules: Sequence[KeepRule] = ()) -> None:
        self._clock = clock
        self.change(seconds, rules)

    def change(self, seconds: float, rules: Sequence[KeepRule]) -> None:
        """From now on it is so."""
        self.seconds = seconds
        self.rules = tuple(rules)
        self.shortest, self.longest = bounds(seconds, rules)
        self._periods = Periods(rules)
        self._by_stream: dict[StreamKey, int | None] = {}

    def moment(self) -> Moment:
        """Now, for a question."""
        return Moment(self.cutoff(), nanoseconds(self._clock.seconds()))

    def cutoff(self) -> int:
        """The time (ns) at or before which events have expired by now; one that a database takes.

        Those that no rule is about.
        """
        return max(nanoseconds(self._clock.seconds() - self.seconds), INT64_MIN)

    def last_cutoff(self) -> int:
        """The same for the time at or before which every event has expired."""
        return max(nanoseconds(self._clock.seconds() - self.longest), INT64_MIN)

    def first_cutoff(self) -> int:
        """The same for the time after which nothing has expired."""
        return max(nanoseconds(self._clock.seconds() - self.shortest), INT64_MIN)

    def period_of(self, stream: StreamKey) -> int | None:
        """After how many nanoseconds messages of a stream expire; None for never."""
        try:
            return self._by_stream[stream]
        except KeyError:
            if len(self._by_stream) >= _STREAMS_HELD:
                self._by_stream.clear()
            period = self._periods.of(stream)
            if period is None and stream[1] == "event":
                period = nanoseconds(self.seconds)
            self._by_stream[stream] = period
            return period

    def has_expired(self, stream: StreamKey, time: int) -> bool:
        """Whether a message of a stream has expired by now."""
        period = self.period_of(stream)
        return period is not None and time <= self._before(period)

    def _before(self, period: int) -> int:
        return max(nanoseconds(self._clock.seconds()) - period, INT64_MIN)
