"""What is usual for one sender: how often it sends, and how much."""

from __future__ import annotations

import math
from typing import Final

from attrs import define

#: Seconds over which a rate is taken.
STEP: Final = 60.0
#: What the newest gap counts in the mean of all, and the newest step in the mean of these: about the last
#: hundred gaps, and the last two hours.
_GAP_PART: Final = 0.02
_STEP_PART: Final = 1 / 120
#: Seconds after which a longest gap counts half.
_HALF_LIFE: Final = 7 * 86400.0
#: A sender is silent after so many times its longest gap, but not before so many seconds.
_TIMES_LONGEST: Final = 3.0
_LEAST_LIMIT: Final = 60.0
#: So many times the limit is an outage, from which is not learnt how long gaps are.
_OUTAGE: Final = 4.0
#: Gaps that have to be known before anything is said, and how many times the limit it has to be known for.
_ENOUGH_GAPS: Final = 10
_ENOUGH_TIMES: Final = 3.0
#: Steps that have to be known before a rate is called unusual, and spreads from the mean at which it is.
_ENOUGH_STEPS: Final = 30
_UNUSUAL: Final = 4.0
#: Messages of a step that are never unusual.
_FEW: Final = 5.0


@define
class Habit:
    """Learnt from what comes, one after the other; nothing is kept of single messages.

    All times are seconds since the epoch, all gaps seconds.

    :ivar first: when it was heard of first, as ``last`` is when it was last.
    :ivar gaps: how many are known. Messages that were taken in together have none between them.
    :ivar usual_gap: their decayed mean.
    :ivar longest_gap: the longest of them, of which a week takes half.
    """

    first: float
    last: float
    gaps: int = 0
    usual_gap: float = 0.0
    longest_gap: float = 0.0
    # The messages of a step that has begun and of the one before. Of all steps before: their number, the
    # decayed mean, and that of the squares.
    _step: int = 0
    _in_step: int = 0
    _before: int = 0
    _steps: int = 0
    _mean: float = 0.0
    _square: float = 0.0

    @property
    def limit(self) -> float:
        """Seconds after which it is silent."""
        return max(_LEAST_LIMIT, _TIMES_LONGEST * self.longest_gap)

    @property
    def is_known(self) -> bool:
        """Enough is known of it to tell whether it is silent."""
        return self.gaps >= _ENOUGH_GAPS and self.last - self.first >= _ENOUGH_TIMES * self.limit

    def is_silent(self, now: float, since: float) -> bool:
        """Whether it has said nothing for longer than it ever does.

        :param since: from when on it could be heard.
        """
        return self.is_known and now - max(self.last, since) > self.limit

    def heard(self, messages: int, now: float) -> None:
        """So many messages came just now."""
        gap = now - self.last
        if gap > 0:
            was_silent = self.is_known and gap > self.limit
            self._learn_gap(gap, is_outage=self.is_known and gap > _OUTAGE * self.limit)
            self.last = now
        else:
            was_silent = False
        step = int(now // STEP)
        if step > self._step:
            self._end_steps(step, was_silent=was_silent)
        self._in_step += messages

    def seen(self, moment: float) -> None:
        """It sent something at a time of which nothing else is known."""
        self.last = max(self.last, moment)

    def _learn_gap(self, gap: float, *, is_outage: bool) -> None:
        self.longest_gap *= 0.5 ** (gap / _HALF_LIFE)
        if is_outage:
            # It is no habit. Yet who is silent again and again is used to more each time.
            self.longest_gap = self.limit
            return
        self.gaps += 1
        part = max(_GAP_PART, 1 / self.gaps)
        self.usual_gap += part * (gap - self.usual_gap)
        self.longest_gap = max(self.longest_gap, gap)

    def _end_steps(self, step: int, *, was_silent: bool) -> None:
        if self._step:
            empty = step - self._step - 1
            self._learn_step(self._in_step)
            self._before = 0 if empty else self._in_step
            if not was_silent:
                kept = (1 - _STEP_PART) ** empty
                self._mean *= kept
                self._square *= kept
                self._steps += empty
        self._step, self._in_step = step, 0

    def _learn_step(self, messages: float) -> None:
        self._steps += 1
        part = max(_STEP_PART, 1 / self._steps)
        self._mean += part * (messages - self._mean)
        self._square += part * (messages * messages - self._square)

    def learn_hours(self, hours: list[int]) -> None:
        """Learn from the messages of whole hours, the oldest first, in which single gaps are not known.

        The longest gap of an hour is that of messages that come by chance.
        """
        longest, quiet = 0.0, 0
        used = hours[next((place for place, each in enumerate(hours) if each), len(hours)) :]
        for messages in used:
            if messages:
                mean = 3600 / messages
                inside = min(3600.0, mean * (1 + math.log(messages)))
                longest = max(longest, inside + 3600 * quiet)
                quiet = 0
                for _ in range(60):
                    self._learn_step(messages / 60)
                self.gaps += messages
                self.usual_gap = mean if not self.usual_gap else (self.usual_gap + mean) / 2
            else:
                quiet += 1
        self.longest_gap = max(self.longest_gap, longest)

    def rate(self, now: float) -> tuple[float, float | None, float | None]:
        """Messages of the last whole minute; what is usual, and its spread, as soon as these are known."""
        behind = int(now // STEP) - self._step
        current = self._before if behind <= 0 else self._in_step if behind == 1 else 0
        if self._steps < _ENOUGH_STEPS:
            return float(current), None, None
        # What comes in bursts is not even in a minute: less spread than that of chance is not believed.
        spread = math.sqrt(max(self._square - self._mean**2, self._mean, 0.0))
        return float(current), self._mean, spread

    def verdict(self, now: float) -> str | None:
        """``high``, ``low`` or ``usual``; None as long as that is not known."""
        current, usual, spread = self.rate(now)
        if usual is None or spread is None:
            return None
        if current > usual + max(_UNUSUAL * spread, _FEW):
            return "high"
        return "low" if current < usual - max(_UNUSUAL * spread, _FEW) else "usual"
