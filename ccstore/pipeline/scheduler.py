"""The time of the reactor, shared fairly among all who decode what senders sent.

This is deficit round robin, in two classes and in two levels: M. Shreedhar and G. Varghese, "Efficient Fair
Queueing Using Deficit Round Robin", SIGCOMM 1995. The time of a turn of the reactor is divided equally
among those who ask for a share of it, the receivers and all bodies of requests together. Within a share
each has a piece in turn, and the size of a piece goes by the time it takes, see ccstore.pipeline.piecewise.
Whoever makes no mistakes goes first. If too much with mistakes waits, whoever has most left is sent away,
as in P. McKenney, "Stochastic Fairness Queueing", INFOCOM 1990.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sized
from operator import itemgetter
from typing import Final

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Bytes that are decoded in one go after a mistake.
LEAST_PIECE: Final = 1 << 11


class TooMuch(Exception):
    """There is no time for somebody who makes mistakes, since too many do."""


@frozen
class TurnLimits:
    """How much may be decoded, and how much may wait for it.

    :ivar seconds: that decoding may take in a turn of the reactor. Nonsense takes many times as long to
        decode as what is right, so that a little of it could keep everybody waiting. An answer takes four
        turns or so, and in each of them something is read and written, too.
    :ivar waiting_size: bytes with a mistake that may wait for their turn.
    :ivar waiting_each: how many bytes more each of those counts who wait with them.
    """

    seconds: float = 0.0015
    waiting_size: int = 8 << 20
    waiting_each: int = 1 << 13


def serve(clock: IReactorTime, end: float, *classes: tuple[Sized, Callable[[], None]]) -> None:
    """Serve one class of those who wait after the other, as long as there is time.

    One of each is served in any case, or the last class would never have a turn beside the first.

    :param classes: those who wait, and what serves the next of them.
    """
    for waiting, serve_next in classes:
        if waiting:
            serve_next()
        while waiting and clock.seconds() < end:
            serve_next()


class Scheduler:
    """Says who decodes next, and for how long; see the module."""

    def __init__(self, clock: IReactorTime, limits: TurnLimits | None = None) -> None:
        self._clock = clock
        self._limits = limits or TurnLimits()
        self._end: float | None = None  # of this turn, if anybody has had a part of it
        self._right: deque[Deferred[None]] = deque()
        self._wrong: deque[tuple[int, Deferred[None]]] = deque()  # with what is left of each
        self._wrong_size = 0  # bytes of those, and what each of them counts
        self._next: IDelayedCall | None = None
        self._asking: set[object] = set()  # for a share of this turn of the reactor
        self._asked = 0  # how many did so in the last

    def share(self, who: object) -> float:
        """Seconds for somebody in this turn of the reactor, of which there are so many for all together."""
        if self._next is None:
            self._next = self._clock.callLater(0, self._go_on)
        self._asking.add(who)
        return self._limits.seconds / max(self._asked, 1)

    def turn(self, wrong: int = 0) -> Deferred[None]:
        """Fires when there is time for a little work, which may be at once, or fails with :class:`TooMuch`.

        :param wrong: bytes that are left if there was a mistake in the last ones, else 0.
        """
        if self._end is None:
            self._begin()
        elif self._right or (wrong and self._wrong) or self._clock.seconds() >= self._end:
            mine: Deferred[None] = Deferred()
            if wrong:
                self._wrong.append((wrong, mine))
                self._wrong_size += wrong + self._limits.waiting_each
                if self._wrong_size > self._limits.waiting_size and len(self._wrong) > 1:
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
        serve(self._clock, end, (self._right, self._next_right), (self._wrong, self._next_wrong))

    def _next_right(self) -> None:
        self._right.popleft().callback(None)

    def _next_wrong(self) -> None:
        wrong, mine = self._wrong.popleft()
        self._wrong_size -= wrong + self._limits.waiting_each
        mine.callback(None)

    def _send_away(self) -> None:
        largest = max(self._wrong, key=itemgetter(0))
        self._wrong.remove(largest)
        wrong, theirs = largest
        self._wrong_size -= wrong + self._limits.waiting_each
        theirs.errback(TooMuch())
