"""The templates of sealed segments: kept with them, and taken while nothing is being written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

from attrs import define, field

from ccstore.masking import MASK_VERSION
from ccstore.storage.blocks.packed_numbers import Damaged
from ccstore.storage.dbfile.sql import transaction
from ccstore.storage.export import StoredRow
from ccstore.storage.sqlite.packed_rows import blocks, plain_rows, read_block
from ccstore.storage.sqlite.segments import BEHIND, is_merged
from ccstore.storage.sqlite.sizes import SegmentSizes
from ccstore.storage.template_counts import PackedTemplates, TemplateTaker

_COLUMNS: Final = ", ".join(PackedTemplates._fields)
#: Hours of a segment, above which its templates are not kept: its clocks were wrong.
_MOST_HOURS: Final = 5000
#: Templates that may be kept of a segment however few messages it has.
_FEW: Final = 5000


def move(connection: sqlite3.Connection, sources: Sequence[int], target: int) -> None:
    """Segments become one; inside of the transaction in which they do.

    If the templates of one of them are not known, those of all are taken again.
    """
    marks = ", ".join("?" * len(sources))
    taken, is_told = connection.execute(
        f"SELECT count(*), min(is_told) FROM templates_taken WHERE segment IN ({marks}) AND mask = ?",
        (*sources, MASK_VERSION),
    ).fetchone()
    if taken == len(sources) and is_told:
        connection.execute(f"UPDATE templates SET segment = ? WHERE segment IN ({marks})", (target, *sources))
        connection.execute("INSERT INTO templates_taken VALUES (?, ?, 1)", (target, MASK_VERSION))
    forget(connection, sources)


def forget(connection: sqlite3.Connection, segments: Sequence[int]) -> None:
    """Segments are gone, or have other messages; inside of the transaction in which they do."""
    for table in ("templates", "templates_taken"):
        connection.executemany(f"DELETE FROM {table} WHERE segment = ?", [(each,) for each in segments])


@define
class _Run:
    """A segment of which the templates are being taken.

    :ivar behind: stream, time and id of the row that was looked at last.
    :ivar blocks: of a packed segment, those that are still to be unpacked, and ``unpacked`` rows of one.
    :ivar is_read: all of its rows are in the taker.
    :ivar hours: that were kept, with ``templates`` together.
    """

    table: str
    segment: int
    is_merged: bool
    rows: int
    taker: TemplateTaker = field(factory=TemplateTaker)
    behind: tuple[int, int, int] = (-1, 0, 0)
    blocks: list[int] = field(factory=list)
    unpacked: list[StoredRow] = field(factory=list)
    is_read: bool = False
    is_flushing: bool = False
    hours: int = 0
    templates: int = 0


class TemplateCounter:
    """Takes the templates of sealed segments, in steps; runs in the writer's thread.

    To look at a message takes longer than to write it: so it is for times in which nothing is written. A
    restart forgets how far it got with a segment.
    """

    def __init__(self, sizes: SegmentSizes) -> None:
        self._most = sizes.masked_rows
        self._entries = sizes.template_entries
        self._run: _Run | None = None

    def forget(self, connection: sqlite3.Connection) -> None:
        """Segments may have other messages than before."""
        self._run = None

    def step(self, connection: sqlite3.Connection) -> bool:
        """Do a little; False if there is nothing to do."""
        run = self._run
        if run is None or not _is_there(connection, run.segment):
            self._run = self._begin(connection)
            return self._run is not None
        if not (run.is_read or run.is_flushing):
            try:
                self._read(connection, run)
            except Damaged:
                self._end(connection, run, is_told=False)  # whoever reads says what is wrong
                return True
            run.is_flushing = run.is_read or run.taker.entries >= self._entries
            return True
        taken = run.taker.taken()
        run.is_flushing = taken is not None
        if taken is not None:
            self._keep(connection, run, *taken)
        elif run.is_read:
            self._end(connection, run, is_told=True)
        return True

    def _keep(self, connection: sqlite3.Connection, run: _Run, packed: PackedTemplates, count: int) -> None:
        run.hours += 1
        run.templates += count
        if run.hours > _MOST_HOURS or run.templates > max(_FEW, run.rows // 2):
            self._end(connection, run, is_told=False)
            return
        values = ", ".join("?" * len(packed))
        with transaction(connection):
            connection.execute(
                f"INSERT INTO templates (segment, {_COLUMNS}) VALUES (?, {values})", (run.segment, *packed)
            )

    def _end(self, connection: sqlite3.Connection, run: _Run, *, is_told: bool) -> None:
        self._run = None
        with transaction(connection):
            if not is_told:
                forget(connection, [run.segment])
            connection.execute(
                "INSERT INTO templates_taken VALUES (?, ?, ?)", (run.segment, MASK_VERSION, is_told)
            )

    def _begin(self, connection: sqlite3.Connection) -> _Run | None:
        """The newest of them: those are asked for most."""
        found = connection.execute(
            "SELECT id, kind, row_count, packed > 0 FROM segment WHERE sealed_at IS NOT NULL "
            "AND kind IN ('event', 'log') AND row_count > 0 "
            "AND id NOT IN (SELECT segment FROM templates_taken WHERE mask = ?) "
            "ORDER BY max_time DESC LIMIT 1",
            (MASK_VERSION,),
        ).fetchone()
        if found is None:
            return None
        number, kind, rows, is_packed = found
        with transaction(connection):
            forget(connection, [number])  # what was kept before a restart, or by another mask
        table = f"{kind}_{number}"
        if is_packed:
            waiting = [block for block, _ in blocks(connection, number)]
            return _Run(table, number, is_merged=False, rows=rows, blocks=waiting)
        return _Run(table, number, is_merged(connection, table), rows)

    def _read(self, connection: sqlite3.Connection, run: _Run) -> None:
        """Look at the next rows; raises :class:`Damaged`."""
        if run.blocks or run.unpacked:
            self._read_packed(connection, run)
        else:
            self._read_table(connection, run)

    def _read_packed(self, connection: sqlite3.Connection, run: _Run) -> None:
        """Those of a block, some at a time, before the next one."""
        if not run.unpacked:
            run.unpacked = [*plain_rows(read_block(connection, run.segment, run.blocks.pop()))]
        some = run.unpacked[-self._most :]
        del run.unpacked[-self._most :]
        streams = {
            stream: (host or "", (cluster or "", name or ""))
            for stream, host, cluster, name in connection.execute(
                "SELECT id, hostname, cluster, name FROM stream WHERE id IN (SELECT value FROM json_each(?))",
                (json.dumps([*{row[1] for row in some}]),),
            )
        }
        for number, stream, time, text, _ in some:
            run.taker.add(time, number, stream, text, *streams.get(stream, ("", ("", ""))))
        run.is_read = not (run.blocks or run.unpacked)

    def _read_table(self, connection: sqlite3.Connection, run: _Run) -> None:
        conditions = BEHIND if run.is_merged else ("id > ?3",)
        arms = " UNION ALL ".join(
            [f"SELECT stream, time, id, text FROM {run.table} WHERE {condition}" for condition in conditions]
        )
        order = "stream, time, id" if run.is_merged else "id"
        sorting = "r.stream, r.time, r.id" if run.is_merged else "r.id"
        found = connection.execute(
            "SELECT r.stream, r.time, r.id, r.text, s.hostname, s.cluster, s.name "
            f"FROM (SELECT * FROM ({arms}) ORDER BY {order} LIMIT {self._most}) r "
            f"LEFT JOIN stream s ON s.id = r.stream ORDER BY {sorting}",
            run.behind,
        ).fetchall()
        for stream, time, number, text, host, cluster, name in found:
            run.taker.add(time, number, stream, text, host or "", (cluster or "", name or ""))
        if found:
            run.behind = found[-1][:3]
        else:
            run.is_read = True


def _is_there(connection: sqlite3.Connection, segment: int) -> bool:
    """It has not become a part of another, and does not go."""
    found = connection.execute(
        "SELECT 1 FROM segment WHERE id = ? AND kind IN ('event', 'log')", (segment,)
    ).fetchone()
    return found is not None
