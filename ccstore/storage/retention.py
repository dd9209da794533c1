"""How long events are kept, and when they have expired."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from ccstore.message import INT64_MIN
from ccstore.timing import nanoseconds


class Retention:
    """How long events are kept; whoever has to know asks this one, so that all of them agree.

    :ivar seconds: after which events expire.
    """

    def __init__(self, clock: IReactorTime, seconds: float) -> None:
        self._clock = clock
        self.seconds = seconds

    def cutoff(self) -> int:
        """The time (ns) at or before which events have expired by now; one that a database takes."""
        return max(nanoseconds(self._clock.seconds() - self.seconds), INT64_MIN)
