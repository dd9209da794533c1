"""Answers in two halves: two who read look at a half of the time each, at the same time.

Each half is read from a state of the database of its own. These are a few milliseconds apart, and what came
in meanwhile may be in one and not in the other. What was there before is in exactly one of them, whatever is
merged, packed or moved between the two, as that changes no times.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, TypeVar

from attrs import evolve, frozen

from ccstore.query import Selection
from ccstore.storage.reading.conditions import Conditions
from ccstore.storage.reading.dialect import Dialect, Division, Question
from ccstore.storage.reading.expired import expired_by
from ccstore.storage.reading.moment import Moment
from ccstore.storage.reading.statement import Reading

_T = TypeVar("_T")


class Tried(NamedTuple):
    """What came of an attempt.

    :ivar cut: the time (ns) at which it is better divided, or None: then there is an answer.
    """

    cut: int | None
    answer: Any = None


class Half(NamedTuple):
    """An answer for a half of the time.

    :ivar packed: the answer, pickled: only who joins it with another looks at it.
    :ivar is_enough: the other half is not needed.
    """

    packed: bytes
    is_enough: bool


@frozen
class Attempt(Question[Tried]):
    """A question: either the answer to another one, or where that is to be divided."""

    whole: Question[Any]
    into: Division[Any]

    def reading(self, dialect: Dialect) -> Reading[Tried]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        cut = yield from _middle(self.into.selection, self.into.moment, dialect)
        if cut is not None:
            return Tried(cut)
        return Tried(None, (yield from self.whole.reading(dialect)))


@frozen
class HalfQuestion(Question[Half]):
    """A question about a half of the time.

    :ivar selection: that of the whole, with less time.
    """

    into: Division[Any]
    selection: Selection

    def reading(self, dialect: Dialect) -> Reading[Half]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        answer = yield from self.into.about(self.selection).reading(dialect)
        return Half(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL), self.into.is_enough(answer))


@frozen
class Joining(Question[_T]):
    """A question: what halves come to together."""

    into: Division[_T]
    halves: Sequence[Half]

    def reading(self, dialect: Dialect) -> Reading[_T]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        yield from ()
        return self.into.joined([pickle.loads(half.packed) for half in self.halves])


def halves_of(division: Division[Any], cut: int) -> tuple[HalfQuestion, HalfQuestion]:
    """The two questions, in the order of the selection.

    :param cut: the first time (ns) of the newer one.
    """
    selection = division.selection
    older = HalfQuestion(division, evolve(selection, end=cut))
    newer = HalfQuestion(division, evolve(selection, begin=cut))
    return (newer, older) if selection.is_newest_first else (older, newer)


def _middle(selection: Selection, moment: Moment, dialect: Dialect) -> Reading[int | None]:
    """The time (ns) before which about half of the rows are; None if these are few anyway."""
    if selection.clusters or selection.matchers:
        streams = yield from Conditions(selection, dialect).streams()
        if streams.are_none or streams.are_probed(dialect):
            return None
    expired = yield from expired_by(moment, [selection], dialect)
    after, is_newest_first = selection.after, selection.is_newest_first
    spans = []
    for segment in (yield from dialect.segments()):
        if segment.kind not in selection.kinds or not segment.rows:
            continue
        if segment.oldest is None or segment.newest is None or segment.oldest > segment.newest:
            continue
        begin, end = expired.span(selection, segment.kind)
        if after is not None and is_newest_first:
            end = min(end, after.time)
        elif after is not None:
            begin = max(begin, after.time)
        begin, end = max(begin, segment.oldest), min(end, segment.newest)
        if begin <= end:
            density = segment.rows / (segment.newest - segment.oldest + 1)
            spans.append((begin, end + 1, density))
    return _median(spans, dialect.fetching.undivided)


def _median(spans: Iterable[tuple[int, int, float]], least: int) -> int | None:
    """The time before which there is half of what is in spans: their begins, ends and densities.

    None if that is not more than the least.
    """
    changes = sorted(
        change for begin, end, density in spans for change in ((begin, density), (end, -density))
    )
    times = [time for time, _ in changes]
    densities = [*accumulate(change for _, change in changes)]
    rows = [density * (end - begin) for begin, end, density in zip(times, times[1:], densities, strict=False)]
    left = sum(rows) / 2
    if 2 * left <= least:
        return None
    for begin, density, here in zip(times, densities, rows, strict=False):
        if here >= left:
            return begin + int(left / density)
        left -= here
    return None
