"""What is deleted next by rules of retention, and what is held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from ccstore.keeping import Hold, KeepRule, Kept, Leaving, RuleReport
from ccstore.message import INT64_MIN, STORED_KINDS, Kind
from ccstore.query import STREAM_LABELS, Counting, Selection
from ccstore.storage.columns import HOLD_COLUMNS
from ccstore.storage.periods import Periods
from ccstore.storage.reading.counts import CountsQuestion
from ccstore.storage.reading.dialect import Dialect, Question
from ccstore.storage.reading.moment import Moment
from ccstore.storage.reading.statement import Reading, Statement

_DAY: Final = 86_400 * 10**9
_HOLD: Final = ("id", *HOLD_COLUMNS)


@frozen
class HoldList(Question[list[Hold]]):
    """A question: all holds, the oldest first."""

    @property
    def count(self) -> int:
        """It is no query of a client's."""
        return 0

    def reading(self, dialect: Dialect) -> Reading[list[Hold]]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        sql = f"SELECT {', '.join(_HOLD)} FROM {dialect.tables['hold']} ORDER BY id"
        found = yield Statement(sql, (), _HOLD)
        return [Hold.unpack(row, number) for number, *row in found]


@frozen
class KeepingQuestion(Question[Kept]):
    """A question: what is held; by rule what has expired and is not deleted yet, and what does within a day.

    It goes by the rules that are given, whichever are noted in the database.

    :ivar retention: nanoseconds after which events expire that none of the rules is about; None if it is
        only asked what is held.
    :ivar now: nanoseconds.
    """

    rules: Sequence[KeepRule]
    retention: int | None
    now: int

    @property
    def is_long(self) -> bool:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        return self.retention is not None

    def reading(self, dialect: Dialect) -> Reading[Kept]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        holds = yield from HoldList().reading(dialect)
        if self.retention is None:
            return Kept(holds, ())
        return Kept(holds, (yield from self._reports(dialect, self.retention)))

    def _reports(self, dialect: Dialect, retention: int) -> Reading[list[RuleReport]]:
        terms = yield from dialect.terms(INT64_MIN)
        reports = []
        for kind in STORED_KINDS:
            periods: dict[int | None, list[str]] = {}
            for rule in self.rules:
                if kind in rule.chosen.kinds:
                    periods.setdefault(rule.nanoseconds, []).append(rule.match)
            if kind == "event":
                periods[None] = ["retention_time"]
            for period, matches in periods.items():
                span = retention if period is None else period
                cutoff = self.now - span
                is_held = terms.held_since is not None
                now = yield from self._leaving(dialect, kind, period, (INT64_MIN, cutoff + 1), is_held)
                later = yield from self._leaving(
                    dialect, kind, period, (cutoff + 1, cutoff + _DAY + 1), is_held
                )
                reports.append(RuleReport(tuple(matches), kind, span, now, later))
        return reports

    def _leaving(
        self, dialect: Dialect, kind: Kind, period: int | None, span: tuple[int, int], is_held: bool
    ) -> Reading[Leaving]:
        """What there is of a time of the streams that have a period by the rules."""
        selection = Selection(kinds=(kind,), begin=max(span[0], INT64_MIN), end=max(span[1], INT64_MIN))
        counting = Counting(selection, STREAM_LABELS)
        periods = Periods([rule for rule in self.rules if kind in rule.chosen.kinds])
        counted = yield from CountsQuestion(counting, Moment(INT64_MIN)).reading(dialect)
        mine = [count for count in counted.counts if periods.of(_stream(count.by)) == period]
        rows = sum(count.messages for count in mine)
        held = 0
        if is_held and rows:
            # Whatever is noted in the database: these rules may be others.
            moment = Moment(INT64_MIN, only_held=True)
            found = yield from CountsQuestion(counting, moment).reading(dialect)
            held = sum(count.messages for count in found.counts if periods.of(_stream(count.by)) == period)
        return Leaving(
            rows - held,
            held,
            min((count.oldest for count in mine), default=None),
            max((count.newest for count in mine), default=None),
        )


def _stream(by: Sequence[str]) -> tuple[str | None, ...]:
    """The key of a stream from the values of its labels."""
    return tuple(value or None for value in by)
