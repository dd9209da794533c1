"""The time of a table in windows, as large as what is read at a time, since no index has all rows by time."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple


class Extent(NamedTuple):
    """About so many bytes from ``begin`` up to, and without, ``end`` (ns), as if evenly spread."""

    begin: int
    end: int
    size: int


def windows(
    extents: Iterable[Extent], begin: int, end: int, *, is_newest_first: bool, first: int
) -> list[tuple[int, int]]:
    """First and last time (ns) of each window, in the order of reading; together they are all of the time.

    :param extents: in the order of time; what is outside of them counts for nothing.
    :param begin: the first time that is read; ``end`` is the last.
    :param first: bytes of the first window; each next one has four times as many.
    """
    edges = []
    room, goal = first, first
    parts = [_clipped(each, begin, end + 1) for each in extents if each.begin <= end and each.end > begin]
    for extent in reversed(parts) if is_newest_first else parts:
        low, high, size = extent
        while size > room and high - low > 1:
            step = max(1, (high - low) * room // size)
            if is_newest_first:
                edges.append(high := high - step)
            else:
                edges.append(low := low + step)
            size -= room
            goal *= 4
            room = goal
        room = max(room - size, 0)
    if is_newest_first:
        bounds = [end + 1, *edges, begin]
        return [(low, high - 1) for high, low in pairwise(bounds) if low < high]
    bounds = [begin, *edges, end + 1]
    return [(low, high - 1) for low, high in pairwise(bounds) if low < high]


def _clipped(extent: Extent, begin: int, end: int) -> Extent:
    low, high = max(extent.begin, begin), min(extent.end, end)
    return Extent(low, high, extent.size * (high - low) // (extent.end - extent.begin))
