"""How long the oldest of what waits to be committed has waited."""

from __future__ import annotations

from collections import deque
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from ccstore.storage.queue import Offer, Queue

#: Seconds between two looks, and so the most by which the answer is too small.
_EVERY: Final = 1.0


class WaitingTime:
    """Looks once a second at what came last, so that nothing has to be noted for each offer."""

    def __init__(self, queue: Queue, clock: IReactorTime) -> None:
        self._queue = queue
        self._clock = clock
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock
        #: What was the newest at some look, and when: the oldest first.
        self._seen: deque[tuple[float, Offer]] = deque()

    def start(self) -> None:
        """Look from now on."""
        self._looking.start(_EVERY)

    def stop(self) -> None:
        """Look no more."""
        if self._looking.running:
            self._looking.stop()

    def seconds(self) -> float:
        """How long the oldest has waited; nought if nothing waits, or not for long."""
        self._let_go()
        return round(self._clock.seconds() - self._seen[0][0], 3) if self._seen else 0.0

    def _look(self) -> None:
        self._let_go()
        newest = self._queue.newest
        if newest is not None and newest.is_open and not (self._seen and self._seen[-1][1] is newest):
            self._seen.append((self._clock.seconds(), newest))

    def _let_go(self) -> None:
        # Offers are committed in order.
        while self._seen and not self._seen[0][1].is_open:
            self._seen.popleft()
