"""How far it is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TextIO

_WIDTH: Final = 24
#: Seconds between two looks of the bar, and between two lines.
_OFTEN: Final = 0.1
_SELDOM: Final = 10.0


class Progress:
    """Shows the progress of one source after the other.

    :param stream: where to; a bar is drawn if it is a terminal.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._is_terminal = stream.isatty()
        self._name = self._unit = ""
        self._begun = self._shown_at = 0.0
        self._drawn = 0  # characters of the bar that stands there

    def begin(self, name: str, unit: str) -> None:
        """Another source; ``unit`` is what is counted."""
        self._name, self._unit = name, unit
        self._begun = self._shown_at = self._clock()

    def move(self, fraction: float | None, count: int) -> None:
        """So much of it is done: a part of 1, if that is known, and a number of rows or lines."""
        now = self._clock()
        if now - self._shown_at < (_OFTEN if self._is_terminal else _SELDOM):
            return
        self._shown_at = now
        seconds = max(now - self._begun, 1e-3)
        done = "" if fraction is None else f"{fraction:4.0%}  "
        left = "" if not fraction else f"  {_time(seconds * (1 - fraction) / fraction)} left"
        figures = f"{count} {self._unit}s  {count / seconds:.0f}/s{left}"
        if not self._is_terminal:
            self._stream.write(f"{self._name}: {done.strip()}{'  ' if done else ''}{figures}\n")
            self._stream.flush()
            return
        filled = 0 if fraction is None else round(_WIDTH * fraction)
        bar = "" if fraction is None else f"[{'#' * filled}{'.' * (_WIDTH - filled)}] "
        line = f"{self._name[:40]}  {bar}{done}{figures}"
        self._stream.write(f"\r{line:<{self._drawn}}")
        self._stream.flush()
        self._drawn = len(line)

    def say(self, line: str) -> None:
        """A line that stays, in the place of the bar."""
        self.clear()
        self._stream.write(f"{line}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Take the bar away."""
        if self._drawn:
            self._stream.write(f"\r{'':<{self._drawn}}\r")
            self._stream.flush()
            self._drawn = 0


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
