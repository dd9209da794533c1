"""Where rows stand in the order of their times, without putting all of them in that order."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

#: Bytes of a time, and bits of a byte.
_WIDTH: Final = 8
_BITS: Final = 8
_MASK: Final = 0xFF
_ALL_TWICE: Final = bytes(range(_MASK + 1)) * 2


class TimeRanks:
    """The places of rows in the order of their times, from 0; those of one time as they stand.

    Eight bits of the times divide them into a hundred spans or two: the rows of earlier spans are counted,
    and only those of the same span are put in order.

    :param times: of the rows, in nanoseconds.
    :param first: the least of them, as ``last`` is the greatest.
    """

    def __init__(self, times: Sequence[int], first: int, last: int) -> None:
        self._times = times
        shift = max((last - first).bit_length() - _BITS, 0)
        # They may begin anywhere, so that there may be one more of them than eight bits can tell apart.
        shift += (last >> shift) - (first >> shift) > _MASK
        self._first = first >> shift & _MASK
        self._spans = _bits_from(shift, times)
        # The rows of each span that was asked for in their order, and how many come before it.
        self._known: dict[int, tuple[int, list[int]]] = {}

    def effort(self, rows: Sequence[int]) -> int:
        """How many spans are looked at for the places of some rows: each takes a fiftieth of all in order."""
        return len({*map(self._spans.__getitem__, rows)})

    def of(self, row: int) -> int:
        """The place of a row."""
        span = self._spans[row]
        known = self._known.get(span)
        if known is None:
            known = self._known[span] = self._look(span)
        before, rows = known
        time_of = self._times.__getitem__
        return before + rows.index(row, bisect_left(rows, time_of(row), key=time_of))

    def _look(self, span: int) -> tuple[int, list[int]]:
        spans = self._spans
        # This one and all behind it, up to the first one, before which they begin anew.
        later = _ALL_TWICE[span : self._first + (_MASK + 1) * (span >= self._first)]
        before = len(spans.translate(None, later))
        rows = []
        row = spans.find(span)
        while row >= 0:
            rows.append(row)
            row = spans.find(span, row + 1)
        rows.sort(key=self._times.__getitem__)
        return before, rows


def _bits_from(shift: int, times: Sequence[int]) -> bytes:
    """Of each time, eight bits from one on."""
    byte, bits = divmod(shift, _BITS)
    if byte + 1 == _WIDTH:
        return bytes([time >> shift & _MASK for time in times])
    plain = struct.pack(f"<{len(times)}q", *times)
    # Two bytes of which each has some of these bits, moved to where they belong, and put together.
    low = plain[byte::_WIDTH].translate(bytes([each >> bits for each in range(_MASK + 1)]))
    high = plain[byte + 1 :: _WIDTH].translate(
        bytes([each << _BITS - bits & _MASK for each in range(_MASK + 1)])
    )
    together = int.from_bytes(low, "little") | int.from_bytes(high, "little")
    return together.to_bytes(len(times), "little")
