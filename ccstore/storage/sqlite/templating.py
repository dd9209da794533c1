"""The templates of sealed segments: kept with them, and taken while little is being written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Final, Protocol

from attrs import define, field

from ccstore.masking import MASK_VERSION
from ccstore.storage.blocks.block_format import Block
from ccstore.storage.blocks.packed_numbers import Damaged
from ccstore.storage.dbfile.sql import transaction
from ccstore.storage.sqlite.packed_rows import read_block
from ccstore.storage.sqlite.segments import is_merged, is_there, next_rows
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


#: Stream, time (ns), id and text of a message; host, cluster and name of its stream.
_Message = tuple[int, int, int, str, "str | None", "str | None", "str | None"]


class _Source(Protocol):
    """Where the messages of a segment are."""

    def next(self, connection: sqlite3.Connection, most: int) -> Sequence[_Message] | None:
        """Some of those that come next, which may be none; None behind the last.

        Raises :class:`Damaged`.
        """


@define
class _TableSource:
    """A table.

    :ivar behind: stream, time and id of the row that was looked at last.
    """

    table: str
    is_merged: bool
    behind: tuple[int, int, int] = (-1, 0, 0)

    def next(self, connection: sqlite3.Connection, most: int) -> Sequence[_Message] | None:
        """See :class:`_Source`."""
        following = next_rows([self.table], "stream, time, id, text", is_merged=self.is_merged, most=most)
        sorting = "r.stream, r.time, r.id" if self.is_merged else "r.id"
        found = connection.execute(
            "SELECT r.stream, r.time, r.id, r.text, s.hostname, s.cluster, s.name "
            f"FROM ({following}) r LEFT JOIN stream s ON s.id = r.stream ORDER BY {sorting}",
            self.behind,
        ).fetchall()
        if not found:
            return None
        self.behind = found[-1][:3]
        return found


@define
class _BlockSource:
    """Blocks.

    :ivar numbers: those that are not unpacked yet.
    :ivar block: the one that is, of which rows from ``place`` on are not looked at yet.
    """

    segment: int
    numbers: list[int]
    block: Block | None = None
    place: int = 0

    def next(self, connection: sqlite3.Connection, most: int) -> Sequence[_Message] | None:
        """See :class:`_Source`. To unpack a block takes a step of its own."""
        block = self.block
        if block is None:
            if not self.numbers:
                return None
            self.block, self.place = Block.of(read_block(connection, self.segment, self.numbers.pop())), 0
            # What takes longest of it.
            _ = self.block.ids, self.block.texts
            return ()
        begin, end = self.place, min(self.place + most, block.rows)
        self.block, self.place = (block if end < block.rows else None), end
        streams = block.streams[begin:end]
        named = {
            stream: labels
            for stream, *labels in connection.execute(
                "SELECT id, hostname, cluster, name FROM stream WHERE id IN (SELECT value FROM json_each(?))",
                (json.dumps([*{*streams}]),),
            )
        }
        unknown = (None, None, None)
        rows = zip(streams, block.times[begin:end], block.ids[begin:end], range(begin, end), strict=True)
        return [
            (stream, time, number, block.text(row), *named.get(stream, unknown))
            for stream, time, number, row in rows
        ]


@define
class _Run:
    """A segment of which the templates are being taken.

    :ivar is_read: all of its rows are in the taker.
    :ivar hours: that were kept, with ``templates`` together.
    """

    segment: int
    rows: int
    source: _Source
    taker: TemplateTaker = field(factory=TemplateTaker)
    is_read: bool = False
    is_flushing: bool = False
    hours: int = 0
    templates: int = 0


class TemplateCounter:
    """Takes the templates of sealed segments, in steps; runs in the writer's thread.

    To look at a message takes longer than to write it: so it is for times in which few are written. A
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
        if run is None or not is_there(connection, run.segment, run.rows):
            self._run = self._begin(connection)
            return self._run is not None
        if not (run.is_read or run.is_flushing):
            self._read(connection, run)
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
            "SELECT id, kind, row_count, packed FROM segment WHERE sealed_at IS NOT NULL "
            "AND kind IN ('event', 'log') AND row_count > 0 "
            "AND id NOT IN (SELECT segment FROM templates_taken WHERE mask = ?) "
            "ORDER BY max_time DESC LIMIT 1",
            (MASK_VERSION,),
        ).fetchone()
        if found is None:
            return None
        number, kind, rows, packed = found
        with transaction(connection):
            forget(connection, [number])  # what was kept before a restart, or by another mask
        if packed:
            return _Run(number, rows, _BlockSource(number, [*range(packed)]))
        table = f"{kind}_{number}"
        return _Run(number, rows, _TableSource(table, is_merged(connection, table)))

    def _read(self, connection: sqlite3.Connection, run: _Run) -> None:
        """Look at the next rows."""
        try:
            found = run.source.next(connection, self._most)
        except Damaged:
            # They are not all that there were; whoever asks is told which are missing.
            self._end(connection, run, is_told=False)
            return
        if found is None:
            run.is_read = True
            return
        for stream, time, number, text, host, cluster, name in found:
            run.taker.add(time, number, stream, text, host or "", (cluster or "", name or ""))
