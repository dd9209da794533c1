"""What the log has from which level on, and not saying the same thing too often."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import LogLevel

#: Names of levels, as the Go daemon has them, and what they mean here.
LEVELS: Final = {
    "debug": LogLevel.debug,
    "info": LogLevel.info,
    "warn": LogLevel.warn,
    "err": LogLevel.error,
    "fatal": LogLevel.error,
    "crit": LogLevel.critical,
}


class RateLimit:
    """Lets a thing be said once in a while, and counts how often it was not.

    :param interval: seconds between two times the same thing is said.
    """

    def __init__(self, clock: IReactorTime, interval: float, size: int = 1024) -> None:
        self._clock = clock
        self._interval = interval
        self._size = size
        self._said: dict[Hashable, tuple[float, int]] = {}
        self._pruned_at: float | None = None

    def check(self, thing: Hashable) -> int | None:
        """None if the thing was said lately, else how often it was suppressed since."""
        now = self._clock.seconds()
        last, suppressed = self._said.get(thing, (None, 0))
        if last is not None and 0 <= now - last < self._interval:
            self._said[thing] = (last, suppressed + 1)
            return None
        if len(self._said) >= self._size:
            # Whoever makes up ever new things to be said hears of them only so often, and costs little.
            if self._pruned_at is not None and 0 <= now - self._pruned_at < self._interval / 10:
                return None
            self._pruned_at = now
            self._said = {
                key: value for key, value in self._said.items() if 0 <= now - value[0] < self._interval
            }
            if len(self._said) >= self._size:
                return None
        self._said[thing] = (now, 0)
        return suppressed


def more_like_it(suppressed: int) -> str:
    """What a line ends with if others were left out before it."""
    return f" ({suppressed} more like it)" if suppressed else ""
