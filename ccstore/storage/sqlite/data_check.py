"""Reading all that a file has, to say what of it is damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from attrs import define

from ccstore.errors import StoreError
from ccstore.instants import show_moment
from ccstore.message import INT64_MAX
from ccstore.storage.blocks.damaged_block import words_are_damaged
from ccstore.storage.blocks.packed_numbers import Damaged, unpack
from ccstore.storage.blocks.plain_rows import plain_rows
from ccstore.storage.dbfile.explain import explain
from ccstore.storage.sqlite.packed_rows import damaged_block, read_block
from ccstore.storage.sqlite.versions import APPLICATION_ID, DATABASE

#: Lines of SQLite's own check.
_MOST_SAID = 100


@define
class _Sealed:
    """What the catalogue says of a segment; None of what it does not say."""

    number: int
    kind: str
    rows: int | None
    first: int | None
    last: int | None
    blocks: int

    def __str__(self) -> str:
        known = self.first is not None and self.last is not None
        span = f" from {show_moment(self.first or 0)} to {show_moment(self.last or 0)}" if known else ""
        rows = "" if self.rows is None else f" with {self.rows} messages"
        return f"{self.kind} segment {self.number}{rows}{span}"


class DataCheck:
    """Reads a file, also while a daemon has it open; what goes meanwhile is left out.

    :param progress: is told how many messages there are, and how many were read.
    :ivar rows: that were read.
    """

    def __init__(self, path: Path, progress: Callable[[int, int], None]) -> None:
        self._path = path
        self._progress = progress
        self._total = 0
        self.rows = 0

    def problems(self) -> Iterator[str]:
        """What is wrong. Raises :class:`StoreError` if the file cannot be read at all."""
        if not self._path.exists():
            raise StoreError(f"there is no file {self._path}")
        try:
            with closing(
                sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, isolation_level=None)
            ) as connection:
                self._refuse_others(connection)
                for (said,) in connection.execute(f"PRAGMA quick_check({_MOST_SAID})"):
                    if said != "ok":
                        yield f"SQLite: {said}"
                for segment in self._catalogue(connection):
                    yield from self._in_segment(connection, segment)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {explain(error, self._path)}") from None

    def _refuse_others(self, connection: sqlite3.Connection) -> None:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID:
            raise StoreError(f"{self._path} is no ccstore store")
        if version != DATABASE.version:
            raise StoreError(
                f"{self._path} has a schema of version {version}, and this ccstore reads {DATABASE.version}: "
                "start the daemon on it once, which brings an older one up to date"
            )

    def _catalogue(self, connection: sqlite3.Connection) -> list[_Sealed]:
        found = connection.execute(
            "SELECT id, kind, row_count, min_time, max_time, packed FROM segment "
            "WHERE kind IN ('event', 'log') ORDER BY coalesce(min_time, ?), id",
            (INT64_MAX,),
        )
        segments = [_Sealed(*row) for row in found]
        self._total = sum([segment.rows or 0 for segment in segments])
        return segments

    def _in_segment(self, connection: sqlite3.Connection, segment: _Sealed) -> Iterator[str]:
        if segment.blocks:
            found = [*self._in_blocks(connection, segment)]
        else:
            found = [*self._in_rows(connection, segment)]
        still = connection.execute(
            "SELECT 1 FROM segment WHERE id = ? AND packed = ? AND row_count IS ?",
            (segment.number, segment.blocks, segment.rows),
        )
        if still.fetchone() is not None:
            yield from found

    def _in_rows(self, connection: sqlite3.Connection, segment: _Sealed) -> Iterator[str]:
        table = f"{segment.kind}_{segment.number}"
        try:
            rows, first, last, _ = connection.execute(
                f"SELECT count(*), min(time), max(time), total(length(text) + length(othertags)) FROM {table}"
            ).fetchone()
        except sqlite3.Error as error:
            yield f"{segment} cannot be read: {error}"
            return
        self._count(rows)
        if segment.rows is not None and (rows, first, last) != (segment.rows, segment.first, segment.last):
            yield f"{segment} has {rows} messages, or others than that"

    def _in_blocks(self, connection: sqlite3.Connection, segment: _Sealed) -> Iterator[str]:
        numbers = connection.execute(
            "SELECT number, rows, first_time, last_time FROM block WHERE segment = ? ORDER BY number",
            (segment.number,),
        ).fetchall()
        rows = sum([row[1] for row in numbers])
        if (len(numbers), rows) != (segment.blocks, segment.rows):
            yield f"{segment} has {len(numbers)} blocks with {rows} messages and not {segment.blocks}"
        elif (min([row[2] for row in numbers]), max([row[3] for row in numbers])) != (
            segment.first,
            segment.last,
        ):
            yield f"{segment} has blocks of other times, so that some of its messages may not be found"
        for number, count, first, last in numbers:
            try:
                plain = plain_rows(read_block(connection, segment.number, number))
                times = [row[2] for row in plain]
                if (len(plain), min(times), max(times)) != (count, first, last):
                    raise Damaged("it has other messages than is said")
            except (Damaged, sqlite3.Error) as error:
                yield str(damaged_block(connection, segment.kind, segment.number, number, str(error)))
            self._count(count)
        yield from self._in_words(connection, segment)

    def _in_words(self, connection: sqlite3.Connection, segment: _Sealed) -> Iterator[str]:
        for part, *packed in connection.execute(
            "SELECT part, words, codes, masks FROM vocabulary WHERE segment = ?", (segment.number,)
        ):
            try:
                for each in packed:
                    unpack(each)
            except Damaged as error:
                yield words_are_damaged(str(segment), part, error)
                return

    def _count(self, rows: int) -> None:
        self.rows += rows
        self._progress(self._total, self.rows)
