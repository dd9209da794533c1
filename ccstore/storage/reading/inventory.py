"""What there is: segments and versions, without a look at the messages."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import Final

from attrs import evolve, frozen

from ccstore.holdings import Holdings, Segment, holdings_of
from ccstore.message import INT64_MIN, STORED_KINDS, Kind
from ccstore.storage.reading.dialect import Dialect, Question
from ccstore.storage.reading.statement import Reading

#: Segments that rules and holds are looked up for: the oldest ones.
_LOOKED_AT: Final = 16


@frozen
class Inventory(Question[Holdings]):
    """A question: what the database holds.

    :ivar retention: nanoseconds after which events expire that no rule is about.
    :ivar leaving: so many of the segments that are deleted next are named.
    """

    retention: int
    leaving: int = 5

    @property
    def count(self) -> int:
        """It is no query of a client's."""
        return 0

    def reading(self, dialect: Dialect) -> Reading[Holdings]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        version, schema = yield from dialect.versions()
        segments = yield from dialect.segments()
        terms = yield from dialect.terms(INT64_MIN)
        if terms.periods or terms.held_since is not None:
            segments = yield from self._by_rules(segments, {"event", *terms.periods}, dialect)
        else:
            segments = [each if each.kind == "event" else _staying(each) for each in segments]
        return holdings_of(version, schema, segments, leaving=self.leaving)

    def _by_rules(
        self, segments: Sequence[Segment], kinds: Collection[Kind], dialect: Dialect
    ) -> Reading[Sequence[Segment]]:
        """The same, where each of the oldest goes by what rules and holds say of its streams.

        :param kinds: of which messages expire.
        """
        found = []
        for kind in STORED_KINDS:
            mine = [each for each in segments if each.kind == kind]
            known = [each for each in mine if each.goes_by is not None and each.rows != 0]
            known.sort(key=attrgetter("goes_by"))
            going = known[:_LOOKED_AT] if kind in kinds else []
            found += [_staying(each) for each in mine if each not in going]
            for each in going:
                found.append((yield from self._going(each, dialect)))
        return found

    def _going(self, segment: Segment, dialect: Dialect) -> Reading[Segment]:
        shares = yield from dialect.shares(segment)
        retention = self.retention if segment.kind == "event" else None
        period = None if shares is None else shares.goes_after(retention)
        if period is None or segment.goes_by is None:
            return _staying(segment)
        return evolve(segment, goes_by=segment.goes_by + period - self.retention)


def _staying(segment: Segment) -> Segment:
    return evolve(segment, goes_by=None)
