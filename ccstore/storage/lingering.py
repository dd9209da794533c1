"""How long what nobody waits for may wait for company."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Linger:
    """The time that what was accepted first may still wait.

    :param over: called when it is over.
    :ivar seconds: that it lasts, the next time.
    :ivar times: how often it was over.
    """

    def __init__(self, clock: IReactorTime, seconds: float, over: Callable[[], None]) -> None:
        self._clock = clock
        self._over = over
        self._timer: IDelayedCall | None = None
        self.seconds = seconds
        self.times = 0

    def begin(self) -> None:
        """Let it begin now, unless it has."""
        if self._timer is None:
            self._timer = self._clock.callLater(self.seconds, self._end)

    def cancel(self) -> None:
        """All that waited is being written."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        self._timer = None
        self.times += 1
        self._over()
