"""Answers in stretches: several who read look at a part of the time each, at the same time.

Each stretch is read from a state of the database of its own. These are some milliseconds apart, and what came
in meanwhile may be in one and not in the other. What was there before is in exactly one of them, whatever is
merged, packed or moved between the two, as that changes no times.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeVar

from attrs import evolve, frozen

from ccstore.holdings import Segment
from ccstore.message import STORED_KINDS, Kind
from ccstore.query import Selection
from ccstore.storage.reading.by_block import PackedRows
from ccstore.storage.reading.conditions import Conditions
from ccstore.storage.reading.dialect import Dialect, Division, Question
from ccstore.storage.reading.expired import Expired, expired_by
from ccstore.storage.reading.statement import Reading

_T = TypeVar("_T")

#: How much of the rows comes before the ends of stretches: these are more than processes, since one may take
#: longer than another.
_SHARES: Final = (0.25, 0.5, 0.75)
#: How much is read at first where that may be enough.
_FIRST: Final = 0.02
#: How much of it has to be looked at for that.
_MANY: Final = 0.3


class Rows(NamedTuple):
    """Rows that may have to be looked at.

    :ivar begin: the time (ns) of the first of them, and behind that of the last the ``end``.
    :ivar density: how many there are in a nanosecond.
    :ivar is_block: they are packed together.
    """

    begin: int
    end: int
    density: float
    kind: Kind
    is_block: bool = False

    @property
    def number(self) -> float:
        """How many."""
        return self.density * (self.end - self.begin)


class Stretch(NamedTuple):
    """An answer for a part of the time.

    :ivar packed: the answer, pickled: only who joins it with others looks at it.
    :ivar is_enough: what comes behind it is not needed.
    """

    packed: bytes
    is_enough: bool = False


class Begun(NamedTuple):
    """How a question began.

    :ivar left: what is to be asked besides, in the order of the answers; if that is nothing, there is an
        ``answer``.
    :ivar found: what comes before that.
    """

    answer: Any = None
    left: Sequence[StretchQuestion] = ()
    found: Sequence[Stretch] = ()


@frozen
class Beginning(Question[Begun]):
    """A question: the answer to another one, if that takes little, or what is to be asked instead of it."""

    whole: Question[Any]
    into: Division[Any]

    def reading(self, dialect: Dialect) -> Reading[Begun]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        into, selection = self.into, self.into.selection
        streams = yield from Conditions(selection, dialect).streams()
        if streams.are_none or streams.are_probed(dialect):
            return Begun((yield from self.whole.reading(dialect)))
        looking = _Looking(into, dialect)
        rows = yield from looking.rows(selection)
        if _number(rows) <= dialect.fetching.undivided:
            return Begun((yield from self.whole.reading(dialect)))
        packed = PackedRows(selection, dialect, streams)
        answers = []
        if into.may_be_enough:
            first, *later = _divided(selection, rows, [_FIRST])
            if later and (yield from looking.is_promising(first, packed)):
                answers.append((yield from into.about(first).reading(dialect)))
                if into.is_enough(answers[0]):
                    return Begun(into.joined(answers))
                (selection,) = later
        rows = yield from looking.rows(selection, packed)
        if _number(rows) <= dialect.fetching.undivided:
            answers.append((yield from into.about(selection).reading(dialect)))
            return Begun(into.joined(answers))
        left = [StretchQuestion(into, stretch) for stretch in _divided(selection, rows, _SHARES)]
        return Begun(left=left, found=[*map(_packed, answers)])


@frozen
class StretchQuestion(Question[Stretch]):
    """A question about a part of the time.

    :ivar selection: that of the whole, with less time.
    """

    into: Division[Any]
    selection: Selection

    def reading(self, dialect: Dialect) -> Reading[Stretch]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        answer = yield from self.into.about(self.selection).reading(dialect)
        return _packed(answer, is_enough=self.into.is_enough(answer))


@frozen
class Joining(Question[_T]):
    """A question: what stretches come to together."""

    into: Division[_T]
    stretches: Sequence[Stretch]

    def reading(self, dialect: Dialect) -> Reading[_T]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        yield from ()
        return self.into.joined([pickle.loads(stretch.packed) for stretch in self.stretches])


def _packed(answer: object, *, is_enough: bool = False) -> Stretch:
    return Stretch(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL), is_enough)


class _Looking:
    """Finds out how many rows have to be looked at, without a look at them."""

    def __init__(self, into: Division[Any], dialect: Dialect) -> None:
        self._into = into
        self._dialect = dialect
        self._expired: Expired | None = None
        self._segments: Mapping[str, Segment] = {}

    def rows(self, selection: Selection, packed: PackedRows | None = None) -> Reading[list[Rows]]:
        """The rows of a part of the time.

        :param packed: tells which blocks have to be looked at; else it is said of all as if they were rows.
        """
        if self._expired is None:
            self._expired = yield from expired_by(self._into.moment, [selection], self._dialect)
            segments = yield from self._dialect.segments()
            self._segments = {segment.name: segment for segment in segments}
        found: list[Rows] = []
        for kind in selection.kinds:
            begin, end = self._expired.span(selection, kind)
            after = selection.after
            if after is not None and selection.is_newest_first:
                end = min(end, after.time)
            elif after is not None:
                begin = max(begin, after.time)
            if begin <= end:
                found += yield from self._of_kind(kind, begin, end, packed)
        return found

    def is_promising(self, selection: Selection, packed: PackedRows) -> Reading[bool]:
        """Whether many of the rows of a part of the time have to be looked at, so that many may be meant."""
        every = _number((yield from self.rows(selection)))
        return _number((yield from self.rows(selection, packed))) > _MANY * every

    def _of_kind(self, kind: Kind, begin: int, end: int, packed: PackedRows | None) -> Reading[list[Rows]]:
        parts = yield from self._dialect.parts(
            kind, begin, end, is_newest_first=True, is_scan=True, is_whole=True, most=None
        )
        found = []
        for part in parts:
            if packed is not None and part.order == "blocks":
                for each in (yield from packed.candidates(part, begin, end)):
                    found.append(_within(begin, end, each.rows, each.first, each.last, kind, is_block=True))
                continue
            for table in part.tables:
                segment = self._segments.get(table)
                if segment is not None and segment.oldest is not None and segment.newest is not None:
                    oldest, newest = segment.oldest, segment.newest
                    found.append(_within(begin, end, segment.rows or 0, oldest, newest, kind))
        return [rows for rows in found if rows.begin < rows.end]


def _number(rows: Iterable[Rows]) -> float:
    return sum(each.number for each in rows)


def _within(
    begin: int, end: int, rows: int, oldest: int, newest: int, kind: Kind, *, is_block: bool = False
) -> Rows:
    """Those of so many rows that are from one time to another."""
    density = rows / max(newest - oldest + 1, 1)
    return Rows(max(begin, oldest), min(end, newest) + 1, density, kind, is_block)


def _divided(selection: Selection, rows: Sequence[Rows], shares: Sequence[float]) -> list[Selection]:
    """The selection in stretches of its time, in its order.

    :param shares: how much of the rows, about, comes before the end of each of them but the last.
    """
    is_newest_first = selection.is_newest_first
    number = _number(rows)
    wanted = sorted(number * (1 - share if is_newest_first else share) for share in shares)
    cuts = {_between_blocks(time, rows) for time in _times_at(rows, wanted)}
    inner = [cut for cut in cuts if selection.begin < cut < selection.end]
    ends = [selection.begin, *sorted(inner), selection.end]
    stretches = [evolve(selection, begin=begin, end=end) for begin, end in pairwise(ends)]
    return stretches[::-1] if is_newest_first else stretches


def _between_blocks(time: int, rows: Iterable[Rows]) -> int:
    """A time near this one that divides no blocks of the largest kind, at which two would look otherwise."""
    divided = [each for each in rows if each.is_block and each.begin <= time < each.end]
    kind = min((each.kind for each in divided), key=STORED_KINDS.index, default=None)
    return min((each.begin for each in divided if each.kind == kind), default=time)


def _times_at(rows: Iterable[Rows], wanted: Iterable[float]) -> Iterator[int]:
    """The times (ns) before which there are so many rows.

    :param wanted: numbers of rows, which rise.
    """
    changes = sorted(
        change for each in rows for change in ((each.begin, each.density), (each.end, -each.density))
    )
    left = iter(wanted)
    most = next(left, None)
    before = density = 0.0
    for (begin, change), (end, _) in pairwise(changes):
        density += change
        here = density * (end - begin)
        while most is not None and here > 0 and before + here >= most:
            yield begin + int((most - before) / density)
            most = next(left, None)
        before += here
