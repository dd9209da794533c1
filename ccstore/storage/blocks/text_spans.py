"""Where the texts of a block begin and end, if that is asked of a few of them only."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

_STEP: Final = 128


class TextSpans:
    """Texts that stand one behind the other: only every so many lengths are added up, until more is asked.

    :param lengths: of the texts, in bytes.
    :param gap: bytes that are between them, and belong to the one before.
    :ivar size: of all of them.
    """

    def __init__(self, lengths: Sequence[int], gap: int = 0) -> None:
        self._lengths = lengths
        self._gap = gap
        steps = range(0, len(lengths), _STEP)
        sizes = [sum(lengths[step : step + _STEP], gap * min(_STEP, len(lengths) - step)) for step in steps]
        self._starts = [*accumulate(sizes, initial=0)]
        self.size = self._starts[-1]
        self._known: dict[int, list[int]] = {}

    def of(self, row: int) -> tuple[int, int]:
        """Where the text of a row begins, and where it ends."""
        step, place = divmod(row, _STEP)
        starts = self._known.get(step) or self._look(step)
        return starts[place], starts[place + 1]

    def row_at(self, place: int) -> tuple[int, int]:
        """The row that has the byte at a place, and where its text ends."""
        row, starts = self.step_at(place)
        # Of empty texts that begin where another one does, it is none.
        behind = bisect_right(starts, place)
        return row + behind - 1, starts[behind]

    def step_at(self, place: int) -> tuple[int, Sequence[int]]:
        """The first of some rows of which one has a byte; where each begins, and where the last ends."""
        step = bisect_right(self._starts, place) - 1
        return step * _STEP, self._known.get(step) or self._look(step)

    def _look(self, step: int) -> list[int]:
        lengths = self._lengths[step * _STEP : (step + 1) * _STEP]
        if self._gap:
            lengths = [length + self._gap for length in lengths]
        starts = self._known[step] = [*accumulate(lengths, initial=self._starts[step])]
        return starts
