"""What the books were in the last hour, kept in memory for those who look now."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
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
#: The books of a receiver before it was there, and what is shown of them.
_NONE: Final = (0,) * len(BOOKS)
_ABSENT: Final = (None,) * len(BOOKS)


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


@frozen
class _Span:
    """What came between two moments.

    :ivar end: the later one.
    :ivar books: by receiver, by how much its books have grown.
    :ivar mean: seconds that a batch took, if there were any.
    """

    end: Moment
    books: Mapping[str, tuple[int, ...]]
    batches: int
    mean: float | None


class History:
    """Notes the figures again and again, and forgets the oldest.

    :param take: gives the figures of now.
    :param every: seconds between two of them.
    :param most: spans that are kept.
    """

    log = Logger()

    def __init__(
        self, clock: IReactorTime, take: Callable[[], Moment], *, every: float = 10.0, most: int = 360
    ) -> None:
        self._take = take
        self._every = every
        #: With which the first span that is kept begins; None if nothing has been noted.
        self._begin: Moment | None = None
        self._spans: deque[_Span] = deque(maxlen=most)
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
            now = self._take()
        except Exception:
            # A LoopingCall would end for ever.
            self.log.failure("the figures of the moment cannot be noted")
            return
        if self._begin is None:
            self._begin = now
            return
        before = self._spans[-1].end if self._spans else self._begin
        if len(self._spans) == self._spans.maxlen:
            self._begin = self._spans[0].end
        # Here once, and not for each one who asks.
        self._spans.append(_span(before, now))

    def rates(self) -> tuple[float, Mapping[str, Sequence[float]]]:
        """The seconds that were looked at, about the last minute; by receiver, its books per second."""
        now = self._take()
        begin = self._begin or now
        for span in reversed(self._spans):
            if now.time - span.end.time >= _MINUTE:
                begin = span.end
                break
        seconds = now.time - begin.time
        return seconds, {
            name: [each / seconds if seconds > 0 else 0.0 for each in grown]
            for name, grown in _span(begin, now).books.items()
        }

    def growth(self) -> float | None:
        """Bytes per second that the database came to need more; None if too little is known."""
        known = [each for each in self._moments() if each.used is not None]
        if not known or known[-1].time - known[0].time < _ENOUGH:
            return None
        begin, end = known[0], known[-1]
        assert begin.used is not None
        assert end.used is not None
        return (end.used - begin.used) / (end.time - begin.time)

    def as_json(self) -> dict[str, object]:
        """One value for each span: what came in it, or what was true at its end."""
        spans = [*self._spans]
        ends = [each.end for each in spans]
        names = dict.fromkeys(name for each in self._moments() for name in each.books)
        return {
            "step": self._every,
            "begin": None if self._begin is None else round(self._begin.time, 3),
            "times": [round(each.time, 3) for each in ends],
            "receivers": {name: _columns(spans, name) for name in names},
            "waiting": [each.waiting for each in ends],
            "commits": [each.batches for each in spans],
            "commit_seconds": [each.mean for each in spans],
            "bytes": [each.size for each in ends],
            "used_bytes": [each.used for each in ends],
            "memory_bytes": [each.memory for each in ends],
        }

    def _moments(self) -> Sequence[Moment]:
        return [] if self._begin is None else [self._begin, *(each.end for each in self._spans)]


def _span(before: Moment, after: Moment) -> _Span:
    grown = {
        # A receiver may have gone, and another have its name.
        name: tuple(
            max(0, later - earlier)
            for later, earlier in zip(books, before.books.get(name, _NONE), strict=True)
        )
        for name, books in after.books.items()
    }
    batches = max(0, after.batches - before.batches)
    mean = round((after.seconds - before.seconds) / batches, 6) if batches else None
    return _Span(after, grown, batches, mean)


def _columns(spans: Sequence[_Span], name: str) -> dict[str, Sequence[int | None]]:
    """The books of a receiver, span by span; None where it was not there."""
    rows = [each.books.get(name, _ABSENT) for each in spans]
    return dict(zip(BOOKS, zip(*rows, strict=True) if rows else [()] * len(BOOKS), strict=True))
