"""Whether a database is whole: what SQLite says of it, and whether its catalogue tells the truth."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

from attrs import define, field

from ccstore.query import level_of, tags_in
from ccstore.storage.census import (
    SHORT,
    Cells,
    PackedCensus,
    level_groups,
    steps_between,
    stream_numbers,
    times,
    totals,
)
from ccstore.storage.sqlite.sizes import SIZES, SegmentSizes

_KINDS = ("event", "log")
#: Bytes of a file up to which all of it is checked each time.
_SMALL = 128 * 1024 * 1024


@contextmanager
def snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    """One state of the database, to read, whether a daemon has it open or not."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)) as connection:
        connection.execute("PRAGMA busy_timeout = 30000")
        connection.execute("BEGIN")
        yield connection


@define
class _Segment:
    """A row of the catalogue."""

    kind: str
    id: int
    first_id: int
    sealed_at: int | None
    min_time: int | None
    max_time: int | None
    row_count: int | None
    begins_at: int | None
    ends_at: int | None
    packed: int

    @property
    def table(self) -> str:
        return f"{'log' if self.kind == 'merging' else self.kind}_{self.id}"

    @property
    def last_id(self) -> int | None:
        """Of a sealed segment."""
        return None if self.row_count is None else self.first_id + self.row_count


@define
class Audit:
    """Looks at one database again and again, and does not repeat what cannot have changed.

    :param sizes: by which it was written.
    """

    _sizes: SegmentSizes = SIZES.segments
    _sealed: set[str] = field(factory=set)  # tables that were right when they were sealed

    def forget(self) -> None:
        """Look at everything the next time."""
        self._sealed.clear()

    def problems(self, connection: sqlite3.Connection) -> list[str]:
        """What is wrong."""
        segments = _catalogue(connection)
        found = _blocks(connection)
        rows = [segment for segment in segments if not segment.packed and segment.kind != "packing"]
        new = [segment for segment in rows if segment.table not in self._sealed]
        found += [*self._integrity(connection, new), *_tables(connection, segments)]
        if not found:  # else the rest might not even be readable
            # What is being merged is not yet to be seen by anybody.
            for segment in new:
                if segment.kind in _KINDS:
                    found += _content(connection, segment, self._sizes.segments_passed)
                    found += _census(connection, segment)
            found += _ranges(segments)
            found += _twice(connection, rows)
        self._sealed = {
            segment.table for segment in rows if segment.kind in _KINDS and segment.sealed_at is not None
        }
        return found

    def _integrity(self, connection: sqlite3.Connection, new: list[_Segment]) -> list[str]:
        size = _one(connection, "PRAGMA page_count") * _one(connection, "PRAGMA page_size")
        if not self._sealed or size < _SMALL:
            checks = ["PRAGMA integrity_check"]
        else:
            tables = ["stream", "segment", *(segment.table for segment in new)]
            checks = [f"PRAGMA integrity_check('{table}')" for table in tables]
        return [
            f"{check}: {text}"
            for check in checks
            for (text,) in connection.execute(check).fetchall()
            if text != "ok"
        ]


def _blocks(connection: sqlite3.Connection) -> list[str]:
    """Each packed segment has its blocks, and there are no others but for what is being packed."""
    found = connection.execute(
        "SELECT id, row_count, packed, (SELECT count(*) FROM block WHERE segment = id), "
        "(SELECT total(rows) FROM block WHERE segment = id), "
        "(SELECT count(*) FROM block_columns WHERE segment = id) FROM segment WHERE packed > 0"
    ).fetchall()
    (strange,) = connection.execute(
        "SELECT count(*) FROM block WHERE segment NOT IN "
        "(SELECT id FROM segment WHERE packed > 0 OR kind = 'packing')"
    ).fetchone()
    return [
        *(f"packed segment {row[0]} does not have its blocks" for row in found if not _has_blocks(*row)),
        *([f"{strange} blocks are of no packed segment"] if strange else []),
    ]


def _has_blocks(number: int, rows: int, packed: int, blocks: int, in_blocks: int, columns: int) -> bool:
    return packed == blocks == columns and rows == in_blocks


def _one(connection: sqlite3.Connection, statement: str) -> int:
    return int(connection.execute(statement).fetchone()[0])


def _catalogue(connection: sqlite3.Connection) -> list[_Segment]:
    columns = "kind, id, first_id, sealed_at, min_time, max_time, row_count, begins_at, ends_at, packed"
    return [
        _Segment(*row) for row in connection.execute(f"SELECT {columns} FROM segment ORDER BY kind, first_id")
    ]


def _tables(connection: sqlite3.Connection, segments: list[_Segment]) -> list[str]:
    """Each table has its row in the catalogue, and each row its table."""
    tables = {
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        if re.fullmatch(r"(event|log)_\d+", name)
    }
    known = {segment.table for segment in segments if not segment.packed and segment.kind != "packing"}
    found = [
        f"table {name} is not in the catalogue"
        for name in sorted(tables - known)
        if not _is_merged(connection, name, segments)
    ]
    found += [f"table {name} of the catalogue is missing" for name in sorted(known - tables)]
    for kind in _KINDS:
        count = sum(segment.kind == kind and segment.sealed_at is None for segment in segments)
        if count != 1:
            found.append(f"{count} segments of kind {kind} are open")
    return found


def _is_merged(connection: sqlite3.Connection, table: str, segments: list[_Segment]) -> bool:
    """The messages of a table that is about to go are in a larger segment."""
    first, last = connection.execute(f"SELECT min(id), max(id) FROM {table}").fetchone()
    return table.startswith("log_") and any(
        segment.kind == "log" and segment.last_id and segment.first_id < first and last <= segment.last_id
        for segment in segments
    )


def _content(connection: sqlite3.Connection, segment: _Segment, passed: int) -> list[str]:
    """What the catalogue says of a segment is so.

    :param passed: segments in which a stream may be after the one that is noted of it.
    """
    table = segment.table
    found = []
    rows, first, last, oldest, newest = connection.execute(
        f"SELECT count(*), min(id), max(id), min(time), max(time) FROM {table}"
    ).fetchone()
    # Those of a sealed segment that came late are elsewhere, and those there come from many.
    is_whole = segment.kind == "log" or segment.sealed_at is None
    if rows and (
        (first, last) != (segment.first_id + 1, segment.first_id + rows)
        if is_whole
        else first <= segment.first_id
    ):
        found.append(f"{table} has {rows} rows after {segment.first_id} with ids from {first} to {last}")
    begin, end = segment.begins_at, segment.ends_at
    if rows and begin is not None and end is not None and not begin <= oldest <= newest < end:
        found.append(f"{table} has events from {oldest} to {newest} that belong elsewhere")
    strangers = _one(
        connection,
        f"SELECT count(*) FROM (SELECT DISTINCT stream FROM {table}) "
        f"WHERE stream NOT IN (SELECT id FROM stream WHERE kind = '{segment.kind}')",
    )
    if strangers:
        found.append(f"{table} has rows of {strangers} streams that are not in the catalogue")
    if segment.sealed_at is None:
        return found
    if (rows, oldest, newest) != (segment.row_count, segment.min_time, segment.max_time):
        found.append(
            f"{table} has {rows} rows from {oldest} to {newest}, the catalogue says {segment.row_count} "
            f"from {segment.min_time} to {segment.max_time}"
        )
    if not connection.execute(f"PRAGMA index_list({table})").fetchall():
        found.append(f"{table} is sealed and has no index")
    early = _one(
        connection,
        f"SELECT count(*) FROM stream WHERE segment < {segment.id - passed} "
        f"AND id IN (SELECT DISTINCT stream FROM {table})",
    )
    if early and segment.kind == "event":
        found.append(f"{early} streams in {table} may be forgotten before it is")
    return found


def _twice(connection: sqlite3.Connection, segments: list[_Segment]) -> list[str]:
    """No event that came late is in two segments."""
    events = [segment for segment in segments if segment.kind == "event"]
    found = []
    for late in events:
        for other in events if late.begins_at is not None else ():
            if other is not late:
                count = _one(
                    connection,
                    f"SELECT count(*) FROM {late.table} WHERE id IN (SELECT id FROM {other.table})",
                )
                if count:
                    found.append(f"{count} events of {late.table} are in {other.table}, too")
    return found


def _census(connection: sqlite3.Connection, segment: _Segment) -> Iterator[str]:
    """What was counted of a segment is what it has."""
    columns = ", ".join(PackedCensus._fields)
    row = connection.execute(f"SELECT {columns} FROM census WHERE segment = ?", (segment.id,)).fetchone()
    if row is None:
        return
    census = PackedCensus(*row)
    found = [
        *zip(
            stream_numbers(census.streams),
            totals(census.totals),
            times(census.oldest, census.first),
            times(census.newest, census.first),
            strict=True,
        )
    ]
    rows = connection.execute(
        f"SELECT stream, count(*), min(time), max(time) FROM {segment.table} GROUP BY stream ORDER BY stream"
    ).fetchall()
    if found != rows or not _are_levels(connection, segment, census):
        yield f"{segment.table} has another census than its rows"


def _are_levels(connection: sqlite3.Connection, segment: _Segment, census: PackedCensus) -> bool:
    """What was counted of its names and levels is what it has, by steps and at their edges."""
    if census.levels is None or census.level_cells is None:
        return True
    kinds = connection.execute("SELECT id, json_array(cluster, kind, name) FROM stream").fetchall()
    names: dict[int, str] = dict(kinds)
    expected: tuple[Counter[tuple[str, str, int]], ...] = (Counter(), Counter())
    for stream, time, othertags in connection.execute(f"SELECT stream, time, othertags FROM {segment.table}"):
        cell = (names[stream], level_of(tags_in(othertags)), time // SHORT)
        expected[0][cell] += 1
        expected[1][cell] += time % SHORT == 0
    groups = level_groups(census.levels)
    steps = steps_between(census.first, census.last, SHORT)
    found: tuple[Counter[tuple[str, str, int]], ...] = (Counter(), Counter())
    for packed, counted in zip((census.level_cells, census.level_edges), found, strict=True):
        cells = None if packed is None else Cells(packed, len(groups), steps)
        for place, (name, level) in enumerate(groups):
            for step, number in enumerate(() if cells is None else cells.by_step(cells.row(place))):
                counted[names[name], level, census.first // SHORT + step] += number
    return [+each for each in found] == [+each for each in expected]


def _ranges(segments: list[_Segment]) -> list[str]:
    """No two messages of a kind have the same id."""
    segments = [segment for segment in segments if segment.begins_at is None]
    return [
        f"{earlier.table} has ids up to {earlier.last_id}, {later.table} has those after {later.first_id}"
        for earlier, later in pairwise(segments)
        if earlier.kind == later.kind
        and earlier.kind in _KINDS
        and (earlier.last_id is None or earlier.last_id > later.first_id)
    ]
