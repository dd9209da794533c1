"""What the books were in the last hour, kept in memory for those who look now."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Final

from attrs import frozen
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

#: Of the books of a receiver, in this order; each only grows.
BOOKS: Final = ("received", "stored", "rejected", "dropped")
#: Seconds over which a rate is taken, and for which growth has to be known before anything is said of it.
_MINUTE: Final = 60.0
_ENOUGH: Final = 300.0


@frozen
class Moment:
    """The figures of one moment.

    :ivar time: seconds since the epoch.
    :ivar books: by receiver, its :data:`BOOKS`.
    :ivar waiting: messages that wait to be committed.
    :ivar batches: that were committed so far, in ``seconds`` together.
    :ivar size: bytes of the database; None if that is not known, as what follows.
    :ivar used: those of them that are taken.
    :ivar memory: bytes of the daemon's process.
    """

    time: float
    books: Mapping[str, Sequence[int]]
    waiting: int
    batches: int
    seconds: float
    size: int | None = None
    used: int | None = None
    memory: int | None = None


class History:
    """Notes the figures again and again, and forgets the oldest.

    :param take: gives the figures of now.
    :param every: seconds between two of them.
    :param most: that are kept, besides the one with which the first span begins.
    """

    log = Logger()

    def __init__(
        self, clock: IReactorTime, take: Callable[[], Moment], *, every: float = 10.0, most: int = 360
    ) -> None:
        self._take = take
        self._every = every
        self._kept: deque[Moment] = deque(maxlen=most + 1)
        self._taking = LoopingCall(self._note)
        self._taking.clock = clock

    def start(self) -> None:
        """Begin, with the figures of now."""
        self._taking.start(self._every)

    def stop(self) -> None:
        """Note no more."""
        if self._taking.running:
            self._taking.stop()

    def _note(self) -> None:
        try:
            self._kept.append(self._take())
        except Exception:
            # A LoopingCall would end for ever.
            self.log.failure("the figures of the moment cannot be noted")

    def rates(self) -> tuple[float, Mapping[str, Sequence[float]]]:
        """The seconds that were looked at, about the last minute; by receiver, its books per second."""
        now = self._take()
        begin = next((each for each in reversed(self._kept) if now.time - each.time >= _MINUTE), None)
        if begin is None:
            begin = self._kept[0] if self._kept else now
        span = now.time - begin.time
        return span, {
            name: [each / span if span > 0 else 0.0 for each in _grown(begin, now, name)]
            for name in now.books
        }

    def growth(self) -> float | None:
        """Bytes per second that the database came to need more; None if too little is known."""
        known = [each for each in self._kept if each.used is not None]
        if not known or known[-1].time - known[0].time < _ENOUGH:
            return None
        begin, end = known[0], known[-1]
        assert begin.used is not None
        assert end.used is not None
        return (end.used - begin.used) / (end.time - begin.time)

    def as_json(self) -> dict[str, object]:
        """One value for each span: what came in it, or what was true at its end."""
        kept = [*self._kept]
        ends = kept[1:]
        names = dict.fromkeys(name for each in kept for name in each.books)
        spans = [*pairwise(kept)]
        return {
            "step": self._every,
            "begin": round(kept[0].time, 3) if kept else None,
            "times": [round(each.time, 3) for each in ends],
            "receivers": {name: _columns(spans, name) for name in names},
            "waiting": [each.waiting for each in ends],
            "commits": [max(0, after.batches - before.batches) for before, after in spans],
            "commit_seconds": [_mean(before, after) for before, after in spans],
            "bytes": [each.size for each in ends],
            "used_bytes": [each.used for each in ends],
            "memory_bytes": [each.memory for each in ends],
        }


def _grown(before: Moment, after: Moment, name: str) -> Sequence[int]:
    """By how much the books of a receiver have grown."""
    nothing = (0,) * len(BOOKS)
    pairs = zip(before.books.get(name, nothing), after.books[name], strict=True)
    # A receiver may have gone, and another have its name.
    return [max(0, later - earlier) for earlier, later in pairs]


def _columns(spans: Sequence[tuple[Moment, Moment]], name: str) -> dict[str, list[int | None]]:
    """The books of a receiver, span by span; None where it was not there."""
    grown = [_grown(before, after, name) if name in after.books else None for before, after in spans]
    return {
        book: [None if each is None else each[place] for each in grown] for place, book in enumerate(BOOKS)
    }


def _mean(before: Moment, after: Moment) -> float | None:
    """Seconds that a batch took, of those that were committed between two moments."""
    batches = after.batches - before.batches
    return round((after.seconds - before.seconds) / batches, 6) if batches > 0 else None
