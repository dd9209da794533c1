"""The time of the reactor, shared among all who decode what senders sent."""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds that decoding may take in a turn of the reactor. A mistake takes a hundred times as long to decode
#: as what is right, so that nonsense from a few could keep everybody waiting. An answer takes four turns or
#: so, and in each of them something is read and written, too.
TURN: Final = 0.0015
#: Bytes that are decoded in one go after a mistake.
LEAST_PIECE: Final = 1 << 11
#: Bytes with a mistake that may wait for their turn, and how much more each who waits counts.
MOST_WRONG: Final = 8 << 20
_EACH: Final = 1 << 13


class TooMuch(Exception):
    """There is no time for somebody who makes mistakes, since too many do."""


class Pace:
    """Gives everybody a turn, as many at a time as there is time for.

    Those whose lines are right go first, in turn. Of those with a mistake it is who has least left to be
    decoded, so that one is done with and forgotten before the next is begun; but whoever came when so much
    had been decoded that what is left of it would be done with by now goes before. If there are too many of
    them, whoever would go last is sent away.

    :ivar served: bytes decoded of those with a mistake.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._end: float | None = None  # of this turn, if anybody has had a part of it
        self._right: deque[Deferred[None]] = deque()
        self._wrong: list[tuple[int, int, int, Deferred[None]]] = []  # a heap
        self._wrong_size = 0  # bytes of those, and what each of them counts
        self._number = count()  # among equals, first come, first served
        self.served = 0
        self._next: IDelayedCall | None = None
        self._asking: set[object] = set()  # for a share of this turn of the reactor
        self._asked = 0  # how many did so in the last

    def share(self, who: object) -> float:
        """Seconds for somebody in this turn of the reactor, of which there are so many for all together."""
        if self._next is None:
            self._next = self._clock.callLater(0, self._go_on)
        self._asking.add(who)
        return TURN / max(self._asked, 1)

    def turn(self, wrong: int = 0, since: int = 0) -> Deferred[None]:
        """Fires when there is time for a little work, which may be at once, or fails with :class:`TooMuch`.

        :param wrong: bytes that are left if there was a mistake in the last ones, else 0.
        :param since: what ``served`` was when whoever asks came.
        """
        if self._end is None:
            self._begin()
        elif self._right or (wrong and self._wrong) or self._clock.seconds() >= self._end:
            mine: Deferred[None] = Deferred()
            if wrong:
                heappush(self._wrong, (since + wrong, wrong, next(self._number), mine))
                self._wrong_size += wrong + _EACH
                if self._wrong_size > MOST_WRONG and len(self._wrong) > 1:
                    self._send_away()
            else:
                self._right.append(mine)
            return mine
        return succeed(None)

    def _begin(self) -> float:
        self._end = self._clock.seconds() + self.share(self)
        return self._end

    def _go_on(self) -> None:
        self._next = self._end = None
        self._asked = len(self._asking)
        self._asking.clear()
        if not self._right and not self._wrong:
            return
        end = self._begin()
        # One of each in any case, or those with a mistake would never have their turn beside those without.
        for waiting, go_on in ((self._right, self._next_right), (self._wrong, self._next_wrong)):
            if waiting:
                go_on()
            while waiting and self._clock.seconds() < end:
                go_on()

    def _next_right(self) -> None:
        self._right.popleft().callback(None)

    def _next_wrong(self) -> None:
        self.served += LEAST_PIECE
        _, wrong, _, mine = heappop(self._wrong)
        self._wrong_size -= wrong + _EACH
        mine.callback(None)

    def _send_away(self) -> None:
        last = max(self._wrong)
        self._wrong.remove(last)
        heapify(self._wrong)
        _, wrong, _, theirs = last
        self._wrong_size -= wrong + _EACH
        theirs.errback(TooMuch())
