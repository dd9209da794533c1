"""Which sealed segments are packed, and which of them become one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator
from typing import Final

from attrs import evolve, frozen

from ccstore.message import STORED_KINDS, Kind
from ccstore.storage.sqlite import enumerating
from ccstore.storage.sqlite.moving import HELD, width_of
from ccstore.storage.sqlite.packing_plan import SourceTable
from ccstore.storage.sqlite.segments import is_merged
from ccstore.storage.sqlite.sizes import SegmentSizes

#: A packed segment that is a third larger than it was to be is better than a small one behind it.
_SLACK: Final = 4 / 3


@frozen
class _Candidate:
    """A sealed segment that is not packed.

    :ivar edge: the time (ns) that it goes by.
    :ivar complete_at: the time (ns) from which on it is not likely that more is put into it.
    :ivar keeps: the period (ns) of the rule that its messages are kept by, if it is only for those.
    """

    source: SourceTable
    edge: int
    complete_at: int
    keeps: int | None
    is_counted: bool


@frozen
class PackingChoice:
    """Goes by age: what is to be packed is old enough, and will not go before it was worth it.

    :param lifetime: gives the nanoseconds after which messages of a kind expire that no rule is about, and
        those of the longest rule as well; None if they never do.
    :param now: the time in nanoseconds since the epoch.
    """

    sizes: SegmentSizes
    lifetime: Callable[[Kind], tuple[int, int] | None]
    now: Callable[[], int]

    def choose(
        self, connection: sqlite3.Connection, before: int, small_before: int, others: Collection[int]
    ) -> list[SourceTable]:
        """The first segments in a row that are enough for a packed one, when all of them have a census.

        :param before: what came in, or was sealed, before this time (ns) is packed.
        :param small_before: what was before this is not waited with until there is enough of it.
        :param others: segments that are left alone.
        """
        # Events first: with those it is soon too late.
        for kind in STORED_KINDS:
            found = self._choose(connection, kind, before, small_before, others)
            if found:
                return [evolve(each, is_merged=is_merged(connection, each.table)) for each in found]
        return []

    def to_do(self, connection: sqlite3.Connection, before: int) -> int:
        """The messages that are old enough, and are not packed."""
        return sum(
            each.source.rows
            for kind in STORED_KINDS
            for each in self._candidates(connection, kind)
            if self._is_fit(each, before)
        )

    def _choose(
        self,
        connection: sqlite3.Connection,
        kind: Kind,
        before: int,
        small_before: int,
        others: Collection[int],
    ) -> list[SourceTable]:
        run: list[_Candidate] = []
        rows = 0
        for each in self._candidates(connection, kind):
            is_fit = self._is_fit(each, before) and each.source.number not in others
            goes_on = is_fit and (not run or each.keeps == run[0].keeps)
            is_too_much = goes_on and bool(run) and self._is_too_much(run, rows, each)
            is_enough = is_too_much or rows >= self.sizes.packed_rows
            if run and (not goes_on or is_too_much) and (is_enough or run[-1].complete_at < small_before):
                break
            if not goes_on:
                run, rows = [], 0
            if not is_fit:
                continue
            if not each.is_counted:
                return []  # it soon will be
            run.append(each)
            rows += each.source.rows
            if rows >= self.sizes.packed_rows:
                break
        else:
            if not run or run[-1].complete_at >= small_before:
                return []
        return [each.source for each in run]

    def _candidates(self, connection: sqlite3.Connection, kind: Kind) -> Iterator[_Candidate]:
        """Those of a kind, in the order in which they are united."""
        # A segment for what is moved from others gets all of it in about the time that it is for.
        complete_at = "max(sealed_at, opened_at + ends_at - begins_at)"
        for *of_segment, edge, filled_at, keeps, is_counted in connection.execute(
            "SELECT id, row_count, min_time, max_time, min(max_time, sealed_at) AS edge, "
            f"CASE WHEN begins_at IS NULL THEN min(max_time, sealed_at) ELSE {complete_at} END, keeps, "
            f"id IN {enumerating.COUNTED} FROM segment WHERE kind = ? AND sealed_at IS NOT NULL "
            "AND packed = 0 AND row_count > 0 AND keeps IS NOT ? ORDER BY keeps IS NOT NULL, keeps, first_id",
            (kind, HELD),
        ).fetchall():
            yield _Candidate(SourceTable(kind, *of_segment), edge, filled_at, keeps, bool(is_counted))

    def _is_fit(self, each: _Candidate, before: int) -> bool:
        if each.complete_at >= before:
            return False
        periods = self._periods(each)
        if periods is None:
            return True
        period, longest = periods
        # What came late is moved first; then half of its time is to be ahead.
        is_narrow = each.edge - each.source.first <= width_of(period)
        return is_narrow and each.edge > self.now() - longest // 2

    def _is_too_much(self, run: list[_Candidate], rows: int, each: _Candidate) -> bool:
        """With another it would have too many rows, or would not go for too long.

        :param rows: those of the run.
        """
        if rows + each.source.rows > self.sizes.packed_rows * _SLACK:
            return True
        periods = self._periods(each)
        if periods is None:
            return False
        together = [*run, each]
        edge, first = max([one.edge for one in together]), min([one.source.first for one in together])
        return edge - first > width_of(periods[0])

    def _periods(self, each: _Candidate) -> tuple[int, int] | None:
        if each.keeps is not None:
            return each.keeps, each.keeps
        return self.lifetime(each.source.kind)
