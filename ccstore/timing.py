"""Time: its two units, waiting that can be cut short, and how long to wait before another attempt."""

from __future__ import annotations

from random import Random
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Nanoseconds in a second.
SECOND: Final = 1_000_000_000


def nanoseconds(seconds: float) -> int:
    """Seconds as nanoseconds, cut to a whole number."""
    return int(seconds * SECOND)


def seconds(nanoseconds: int) -> int:
    """Nanoseconds as whole seconds, rounded down."""
    return nanoseconds // SECOND


class Pause:
    """Waiting that can be cut short; one at a time."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._end: IDelayedCall | None = None

    async def wait(self, seconds: float) -> None:
        """Wait for so long, or until :meth:`cut_short`."""
        over: Deferred[None] = Deferred()
        self._end = self._clock.callLater(seconds, over.callback, None)
        await over
        self._end = None

    def cut_short(self) -> None:
        """Let whoever waits go on in the next turn."""
        if self._end is not None and self._end.active():
            self._end.reset(0)


class Backoff:
    """How long to wait before each further attempt: twice as long each time, up to a bound.

    :param first: seconds, as is ``most``.
    :param chance: cuts each wait by up to a half, so that many who wait for the same do not come all at once.
    """

    def __init__(self, first: float, most: float, chance: Random | None = None) -> None:
        self._first = first
        self._most = most
        self._chance = chance
        self._delay = first

    @property
    def has_begun(self) -> bool:
        """There has been an attempt before."""
        return self._delay > self._first

    def next(self) -> float:
        """Seconds to wait now."""
        delay = self._delay
        self._delay = min(2 * delay, self._most)
        return delay if self._chance is None else delay * self._chance.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It worked: the next time begins with the shortest wait."""
        self._delay = self._first
