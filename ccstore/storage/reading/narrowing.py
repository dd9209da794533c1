"""Reading on in time behind a page, where it is known about how much time the next one takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ccstore.query import Row
from ccstore.storage.reading.dialect import Part

#: The time is taken somewhat longer, since what is left over takes another statement.
_MORE = 1.25
#: How many times as long as the one before the next window reaches.
_GROWTH = 4


def span_of(rows: Sequence[Row], wanted: int) -> int:
    """Nanoseconds that so many rows take, if they are as dense as those of a page."""
    taken = abs(rows[0].time - rows[-1].time)
    return 1 + int(taken * wanted / len(rows) * _MORE)


def narrowed(
    parts: Iterable[Part], begin: int, end: int, span: int, *, is_newest_first: bool
) -> Iterator[Part]:
    """The parts in windows of time that are first as long as ``span``, and then longer and longer.

    :param begin: the first time (ns) that is read; ``end`` is the last.
    """
    for part in parts:
        if part.order is not None or (part.oldest is not None and not part.is_window):
            yield part
            continue
        oldest = begin if part.oldest is None else part.oldest
        newest = end if part.newest is None else part.newest
        for low, high in _cut(oldest, newest, _edges(begin, end, span, is_newest_first=is_newest_first)):
            yield part._replace(oldest=low, newest=high, is_window=True)


def _edges(begin: int, end: int, span: int, *, is_newest_first: bool) -> list[int]:
    """The first times of windows but the oldest one, in the order of time."""
    edges = []
    while span <= end - begin:
        edges.append(end + 1 - span if is_newest_first else begin + span)
        span *= _GROWTH
    return sorted(edges)


def _cut(oldest: int, newest: int, edges: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The time in windows that end before each of the edges in it."""
    for edge in edges:
        if oldest < edge <= newest:
            yield oldest, edge - 1
            oldest = edge
    yield oldest, newest
