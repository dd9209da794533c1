"""One host at one receiver."""

from __future__ import annotations

from typing import Final

from attrs import define

from ccstore.senders.habit import Habit
from ccstore.times import show_short_span

#: Seconds over which the least delay is taken, and of which those before count as well.
_WINDOW: Final = 600.0
#: Seconds from which on a clock is wrong; messages that are sent together may well be some seconds old.
WRONG: Final = 10.0


@define(eq=False)
class Sender:
    """What is known of a host by one receiver.

    :ivar receiver: its name; None if all that is known is what the store has.
    :ivar messages: that came, of those that were to be kept.
    """

    cluster: str
    host: str
    receiver: str | None
    habit: Habit
    messages: int = 0
    #: Heard of since the last look, and not yet part of the habit.
    pending: int = 0
    _window: int = 0
    _least: float | None = None
    _least_before: float | None = None

    def arrived(self, delay: float, now: float) -> None:
        """A message came so many seconds after its own time."""
        window = int(now // _WINDOW)
        if window != self._window:
            self._least_before = self._least if window == self._window + 1 else None
            self._window, self._least = window, None
        if self._least is None or delay < self._least:
            self._least = delay

    @property
    def skew(self) -> float | None:
        """Seconds that its clock is ahead of ours, below 0 if it is behind; None if that is not known.

        It is taken from the message that came soonest after its time, so that delays do not count.
        """
        known = [each for each in (self._least, self._least_before) if each is not None]
        return -min(known) if known else None

    @property
    def is_skewed(self) -> bool:
        """Its clock is wrong."""
        skew = self.skew
        return skew is not None and abs(skew) >= WRONG

    def says(self, now: float, *, is_silent: bool) -> str:
        """Its gaps, for people."""
        habit = self.habit
        ago = show_short_span(now - habit.last)
        if not habit.gaps:
            return f"heard of once, {ago} ago"
        usual, longest = show_short_span(habit.usual_gap), show_short_span(habit.longest_gap)
        ending = f"silent for {ago}" if is_silent else f"last heard of {ago} ago"
        return f"usually every {usual}, longest gap {longest}, {ending}"
