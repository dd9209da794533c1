"""How much one question of the Loki API may take."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

from ccstore.query import Selection
from ccstore.reading.notices import notice_of_losses

#: Points that a series counts as at least: its labels take room as well.
_LEAST: Final = 100


@frozen
class LokiLimits:
    """Bounds of a question.

    :ivar rows: of the store that are looked at, one by one.
    :ivar points: of a series.
    :ivar samples: of all series, as they are put together.
    :ivar bins: pieces of time in which the store counts.
    :ivar looking: questions that look at lines one by one at a time; others wait for them.
    :ivar tied: lines of one nanosecond that keep their time; more of them are given distinct ones.
    :ivar together: lines of one microsecond that are given times in one go.
    :ivar sampled: lines that are looked at where some stand for all.
    :ivar sampled_groups: groups of which lines of their own are looked at, if there are few among those.
    :ivar sampled_each: lines of each of these.
    :ivar sampled_enough: lines of a group among those of all for which none of its own are looked at.
    """

    rows: int = 2_000_000
    points: int = 11_000
    samples: int = 2_000_000
    bins: int = 20_000
    looking: int = 4
    tied: int = 4
    together: int = 100_000
    sampled: int = 1000
    sampled_groups: int = 20
    sampled_each: int = 100
    sampled_enough: int = 5

    def has_room(self, series: int, points: int) -> bool:
        """Whether so many series with so many points are few enough; each counts as a hundred at least."""
        return series * max(points, _LEAST) <= self.samples

    @property
    def series(self) -> int:
        """How many there may be at most."""
        return self.samples // _LEAST


class Budget:
    """What a question has left, and what has to be said of its answer.

    :param seconds: that it may take.
    :param turn: fires when there is time to go on, see :meth:`Scheduler.turn`.
    :ivar warnings: what was cut.
    :ivar looked_at: rows, and ``characters`` of their texts.
    :ivar counted: rows that the store has counted.
    :ivar selections: what the store was asked for.
    """

    def __init__(
        self, limits: LokiLimits, seconds: float, clock: IReactorTime, turn: Callable[[], Awaitable[None]]
    ) -> None:
        self.limits = limits
        self.warnings: list[str] = []
        self.looked_at = 0
        self.characters = 0
        self.counted = 0
        self.selections: list[Selection] = []
        self._seconds = seconds
        self._clock = clock
        self._begin = clock.seconds()
        self._turn = turn
        self._work = 0

    def restart(self) -> None:
        """The time begins now: what was before was waiting for others."""
        self._begin = self._clock.seconds()

    @property
    def elapsed(self) -> float:
        """Seconds so far."""
        return self._clock.seconds() - self._begin

    def asks(self, selection: Selection) -> None:
        """Note what the store is asked for."""
        self.selections.append(selection)

    def warn(self, text: str) -> None:
        """Note what was cut; the same is said once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def lack(self, losses: Sequence[str]) -> None:
        """Note what cannot be read, in words."""
        notice = notice_of_losses(losses)
        if notice is not None:
            self.warn(notice)

    def is_spent(self) -> bool:
        """Nothing more may be looked at, of which a warning tells."""
        if self.looked_at >= self.limits.rows:
            self.warn(
                f"the answer is cut: only {self.looked_at} lines were looked at, ask for less time or"
                " choose fewer lines"
            )
        elif self.elapsed > self._seconds:
            self.warn(
                f"the answer is cut: it took longer than {self._seconds:g} s, ask for less time or choose"
                " fewer lines"
            )
        else:
            return False
        return True

    async def work(self, steps: int, most: int = 5000) -> None:
        """Let others have their turn after so many steps of some tenths of a microsecond each."""
        self._work += steps
        if self._work >= most:
            self._work = 0
            await self._turn()
