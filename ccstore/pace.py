"""The time of the reactor, shared among all who decode what senders sent."""

from __future__ import annotations

from collections import deque
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds that decoding may take in a turn of the reactor. A mistake takes a hundred times as long to decode
#: as what is right, so that nonsense from a few could keep everybody waiting.
TURN: Final = 0.005


class Pace:
    """Gives everybody a turn, first come, first served; as many at a time as there is time for."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._end = 0.0
        self._waiting: deque[Deferred[None]] = deque()
        self._next: IDelayedCall | None = None

    def turn(self) -> Deferred[None]:
        """Fires when there is time for a little work, which may be at once."""
        if self._next is None:
            self._begin()
        elif self._waiting or self._clock.seconds() >= self._end:
            mine: Deferred[None] = Deferred()
            self._waiting.append(mine)
            return mine
        return succeed(None)

    def _begin(self) -> None:
        self._end = self._clock.seconds() + TURN
        self._next = self._clock.callLater(0, self._go_on)

    def _go_on(self) -> None:
        self._next = None
        if not self._waiting:
            return
        self._begin()
        self._waiting.popleft().callback(None)
        while self._waiting and self._clock.seconds() < self._end:
            self._waiting.popleft().callback(None)
