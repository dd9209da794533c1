"""Merging sealed log segments into larger ones, so that logs of years are not thousands of tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from typing import Final

from attrs import frozen

from ccstore.storage.census import CensusTaker, PackedCensus, stream_numbers
from ccstore.storage.dbfile.sql import Say, transaction
from ccstore.storage.sqlite import enumerating, segment_counts
from ccstore.storage.sqlite.enumerating import Names
from ccstore.storage.sqlite.segments import index_in_order, make_merged_table, next_rows
from ccstore.storage.sqlite.sizes import SegmentSizes
from ccstore.storage.sqlite.views import refresh_rows_views

_COLUMNS: Final = "stream, time, id, text, othertags"


@frozen
class _Run:
    """Segments that are being merged, in their order, and the segment that they become.

    :ivar taker: takes its census from theirs.
    """

    sources: tuple[int, ...]
    rows: int
    target: int
    taker: CensusTaker


class Merger:
    """Merges in steps; runs in the writer's thread.

    The rows are copied in the order of (stream, time, id) into a table that is sorted by it, and needs no
    index besides. Each segment has an index in that order: to sort them would take longer than a step may
    where most rows are of one stream. Until the last step nobody sees that table; a restart forgets it, and
    begins again.
    """

    def __init__(self, say: Say, sizes: SegmentSizes, names: Names) -> None:
        self._say = say
        self._sizes = sizes
        self._names = names
        self._run: _Run | None = None
        self._last = (-1, 0, 0)  # stream, time and id of the row that was copied last
        self._copied = 0
        self._unordered: list[int] = []  # those segments of a run that have no such index
        self._uncounted: list[int] = []  # those of which the census is not in that of the run yet
        self._census: PackedCensus | None = None  # of the run, as soon as it is made
        self._obsolete: list[int] = []
        self._failed: set[int] = set()

    def load(self, connection: sqlite3.Connection) -> None:
        """Forget what was not brought to an end, also by an earlier process; inside of a transaction."""
        self._run, self._census = None, None
        self._unordered, self._obsolete, self._failed = [], [], set()
        connection.execute("DELETE FROM segment WHERE kind = 'merging'")

    @property
    def sources(self) -> Collection[int]:
        """The segments that are being merged."""
        return () if self._run is None else self._run.sources

    def step(self, connection: sqlite3.Connection, busy: Collection[int]) -> bool:
        """Do a little; False if there is nothing to do.

        :param busy: segments that others are at.
        """
        if self._obsolete:
            with transaction(connection):
                connection.execute(f"DROP TABLE log_{self._obsolete[-1]}")
            self._obsolete.pop()
        elif self._run is None:
            self._run = self._begin(connection, busy)
            self._last, self._copied = (-1, 0, 0), 0
            return self._run is not None
        elif self._unordered:
            index_in_order(connection, f"log_{self._unordered[-1]}")
            self._unordered.pop()
        elif self._copied < self._run.rows:
            self._copy(connection, self._run)
        elif self._uncounted:
            self._count(connection, self._run)
        elif self._census is None:
            self._census = self._run.taker.packed()
        else:
            self._publish(connection, self._run, self._census)
            self._run, self._census = None, None
        return True

    def _begin(self, connection: sqlite3.Connection, busy: Collection[int]) -> _Run | None:
        """Take the first segments in a row that are small and enough of them, when all have a census."""
        together = self._sizes.merged_segments
        sources: list[int] = []
        rows = 0
        for number, count, is_counted in connection.execute(
            f"SELECT id, row_count, id IN {enumerating.COUNTED} FROM segment "
            "WHERE kind = 'log' AND sealed_at IS NOT NULL AND begins_at IS NULL AND packed = 0 "
            "ORDER BY first_id"
        ).fetchall():
            if count >= together * self._sizes.segment_rows or number in self._failed or number in busy:
                sources, rows = [], 0
                continue
            if not is_counted:
                return None  # it soon will be
            sources.append(number)
            rows += count
            if len(sources) == together:
                break
        else:
            return None
        self._unordered = [number for number in sources if not _is_in_order(connection, f"log_{number}")]
        self._uncounted = [*sources]
        with transaction(connection):
            target, first, last = connection.execute(
                "INSERT INTO segment (kind, first_id, opened_at, sealed_at, min_time, max_time, row_count, "
                "has_nul) SELECT 'merging', min(first_id), min(opened_at), max(sealed_at), min(min_time), "
                "max(max_time), sum(row_count), max(has_nul IS NOT 0) "
                f"FROM segment WHERE id IN {_list(sources)} RETURNING id, min_time, max_time"
            ).fetchone()
            make_merged_table(connection, f"log_{target}")
        return _Run(tuple(sources), rows, target, CensusTaker(first, last, rows))

    def _copy(self, connection: sqlite3.Connection, run: _Run) -> None:
        sources = [f"log_{number}" for number in run.sources]
        following = next_rows(sources, _COLUMNS, is_merged=True, most=self._sizes.merged_rows)
        table = f"log_{run.target}"
        with transaction(connection):
            copied = connection.execute(
                f"INSERT INTO {table} ({_COLUMNS}) {following}",
                self._last,
            ).rowcount
            last = connection.execute(
                f"SELECT stream, time, id FROM {table} ORDER BY stream DESC, time DESC, id DESC LIMIT 1"
            ).fetchone()
        if copied:
            self._copied += copied
            self._last = last
            return
        self._say(
            f"log segments {run.sources[0]} to {run.sources[-1]} have {self._copied} rows "
            f"and not {run.rows}, and are left as they are"
        )
        with transaction(connection):
            connection.execute("DELETE FROM segment WHERE id = ?", (run.target,))
            connection.execute(f"DROP TABLE {table}")
        self._failed |= {*run.sources}
        self._run = None

    def _count(self, connection: sqlite3.Connection, run: _Run) -> None:
        """Add the census of one of the segments to that of what they become."""
        census = enumerating.kept(connection, self._uncounted.pop())
        names = self._names.of(connection, stream_numbers(census.names))
        run.taker.add_census(census, names)

    def _publish(self, connection: sqlite3.Connection, run: _Run, census: PackedCensus) -> None:
        """Put the merged segment in the place of the others; their tables go one by one, after that."""
        with transaction(connection):
            connection.execute(f"DELETE FROM segment WHERE id IN {_list(run.sources)}")
            segment_counts.unite(connection, run.sources, run.target, census)
            connection.execute("UPDATE segment SET kind = 'log' WHERE id = ?", (run.target,))
            refresh_rows_views(connection)
        self._obsolete = [*run.sources]


def _is_in_order(connection: sqlite3.Connection, table: str) -> bool:
    """It has that index, as all have that were not sealed by an early version."""
    found = connection.execute(
        "SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ?", (f"{table}_by_time",)
    )
    return found.fetchone() is not None


def _list(numbers: Iterable[int]) -> str:
    return f"({', '.join(map(str, numbers))})"
