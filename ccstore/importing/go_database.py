"""An SQLite file of ``cc-event-store``: a table for each cluster and kind, with times in seconds.

https://github.com/ClusterCockpit/cc-event-store/blob/main/internal/storage/sqlStorage.go has its schema.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from ccstore.batch import Batch
from ccstore.importing.source import USUAL, Bad, Mark, Piece, Sizes, SourceError
from ccstore.interfaces import StoreError
from ccstore.message import CLUSTER_TAG, COLUMN_TAGS, Kind, Series
from ccstore.storage.dbfile.explain import explain
from ccstore.storage.dbfile.sql import identifier
from ccstore.storage.sqlite.snapshot import snapshot
from ccstore.storage.sqlite.versions import APPLICATION_ID
from ccstore.timing import SECOND

_TABLE: Final = re.compile(r"(.*)_(event|log)s", re.DOTALL)
#: What a row must have, and what else it may have; the order is that in which columns are read.
_NEEDED: Final = ("timestamp", "field")
_HEAD: Final = ("name", "hostname", "type", "typeid", "stype", "stypeid", "othertags")
_SERIES_HELD: Final = 65536
#: What Go writes for a time that was never set: the first second of year 1.
_ZERO_TIME: Final = -62135596800
_Row = tuple[Any, ...]


class GoDatabase:
    """The file, open for reading.

    :param missing_time: of rows without one, in ns; None for that of the row before.
    :ivar tables: those with messages.
    :ivar others: the names of all others.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, missing_time: int | None, sizes: Sizes
    ) -> None:
        names = [
            name
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
            )
            if not name.startswith("sqlite_")
        ]
        self.tables = [
            Table(
                path,
                connection,
                name,
                match[1],
                match[2],  # type: ignore[arg-type]
                missing_time,
                path.stat().st_mtime_ns,
                sizes,
            )
            for name in names
            if (match := _TABLE.fullmatch(name)) is not None and _has_columns(connection, name)
        ]
        found = {table.name for table in self.tables}
        self.others = [name for name in names if name not in found]
        if not self.tables:
            raise SourceError(
                f"{path}: has no table with events or logs of a cluster, such as alex_events: "
                "is it a database of cc-event-store?"
            )


@contextmanager
def open_database(
    path: Path,
    scratch: Path,
    *,
    missing_time: int | None = None,
    wait: float = 10.0,
    sizes: Sizes = USUAL,
) -> Iterator[GoDatabase]:
    """Open a file, and see it as it is now until the end; raises :class:`SourceError`.

    :param scratch: a folder for a copy, if one is needed.
    :param missing_time: see :class:`GoDatabase`.
    :param wait: seconds for which others may have the file locked.
    """
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(snapshot(path, scratch, wait=wait))
        except StoreError as error:
            raise SourceError(f"{path}: {error}") from None
        with _reading(str(path), path):
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            if application == APPLICATION_ID:
                raise SourceError(f"{path}: is a file of ccstore already, there is nothing to import")
            database = GoDatabase(path, connection, missing_time, sizes)
        yield database


@contextmanager
def _reading(name: str, path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise SourceError(f"{name}: cannot be read: {explain(error, path)}") from None


def _columns(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """The columns of a table, by their names in lower case."""
    rows = connection.execute(f"PRAGMA table_info({identifier(table)})")
    return {row[1].lower(): row[1] for row in rows}


def _has_columns(connection: sqlite3.Connection, table: str) -> bool:
    return _columns(connection, table).keys() >= {*_NEEDED}


class Table:
    """The events or the logs of a cluster; see :class:`ccstore.importing.source.Source`.

    :param missing_time: of rows without one; None for that of the row before, or of the first row that has
        one, or if none has, for ``file_time``. All in ns.
    """

    unit = "row"

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        name: str,
        cluster: str,
        kind: Kind,
        missing_time: int | None,
        file_time: int,
        sizes: Sizes,
    ) -> None:
        self.name = name
        self.key = name
        self._path = path
        self._connection = connection
        self._cluster = cluster
        self._kind = kind
        self._missing_time = missing_time
        self._file_time = file_time
        self._sizes = sizes
        self._time_before = 0
        self._series: dict[_Row, Series] = {}
        there = _columns(connection, name)
        columns = [identifier(there[key]) if key in there else "NULL" for key in (*_NEEDED, *_HEAD)]
        self._select = f"SELECT rowid, {', '.join(columns)} FROM {identifier(name)}"

    def find(self, marks: Sequence[Mark]) -> Mark | None:
        """See :meth:`Source.find`."""
        with _reading(self.name, self._path):
            for mark in sorted(marks, key=lambda each: each.position, reverse=True):
                rows = [*self._rows("WHERE rowid = ?", mark.position)]
                if rows and _digest(rows[0][0]) == mark.digest:
                    return mark
        return None

    def pieces(self, after: Mark | None) -> Iterator[Piece]:
        """See :meth:`Source.pieces`."""
        with _reading(self.name, self._path):
            low, high = self._ends()
            if after is not None:
                low = after.position + 1
            span = max(1, high - low + 1)
            self._time_before = self._find_time_before(low)
            for rows in self._rows("WHERE rowid >= ? ORDER BY rowid", low):
                yield self._piece(rows, (rows[-1][0] - low + 1) / span)

    def _ends(self) -> tuple[int, int]:
        """The ids of the first and the last row; 0 and 0 if there is none."""
        name = identifier(self.name)
        low, high = self._connection.execute(
            f"SELECT (SELECT min(rowid) FROM {name}), (SELECT max(rowid) FROM {name})"
        ).fetchone()
        return (0, 0) if low is None else (low, high)

    def _find_time_before(self, start: int) -> int:
        """The time of the last row before that one, or of the first behind it; of those that have one."""
        with_time = f"SELECT timestamp FROM {identifier(self.name)} WHERE timestamp != {_ZERO_TIME} AND rowid"
        for which in ("< ? ORDER BY rowid DESC", ">= ? ORDER BY rowid"):
            for (timestamp,) in self._connection.execute(f"{with_time} {which}", (start,)):
                time = _time(timestamp)
                if time is not None:
                    return time
        return self._file_time

    def _rows(self, which: str, start: int) -> Iterator[list[_Row]]:
        """Rows from one on, in pieces."""
        statement = f"{self._select} {which}"
        self._connection.text_factory = str
        try:
            for rows in self._cut(self._connection.execute(statement, (start,))):
                yield rows
                start = rows[-1][0] + 1
            return
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
        # Some text is no UTF-8: from here on, decode it ourselves, which is slower, and replace what is none.
        self._connection.text_factory = _text
        yield from self._cut(self._connection.execute(statement, (start,)))

    def _cut(self, cursor: sqlite3.Cursor) -> Iterator[list[_Row]]:
        """The rows of a cursor, in pieces of the size that is wanted."""
        rows: list[_Row] = []
        size = 0
        while fetched := cursor.fetchmany(self._sizes.fetched):
            rows += fetched
            size += sum(len(row[2]) for row in fetched if isinstance(row[2], (str, bytes)))
            if len(rows) >= self._sizes.rows or size >= self._sizes.text:
                yield rows
                rows, size = [], 0
        if rows:
            yield rows

    def _piece(self, rows: list[_Row], fraction: float) -> Piece:
        series, texts, times, numbers = [], [], [], []
        bad = []
        undated = 0
        for row in rows:
            number, timestamp, field = row[:3]
            if timestamp is None or timestamp == _ZERO_TIME:
                undated += 1
                time = self._time_before if self._missing_time is None else self._missing_time
            elif (found := _time(timestamp)) is not None:
                time = self._time_before = found
            else:
                bad.append(Bad(number, f"{timestamp!r:.80} is no time in seconds", _text(field)[:200]))
                continue
            series.append(self._series.get(row[3:]) or self._learn(row[3:]))
            texts.append(field if type(field) is str else _text(field))
            times.append(time)
            numbers.append(number)
        return Piece(
            Batch(series, texts, times),
            bad,
            Mark(rows[-1][0], _digest(rows[-1])),
            fraction,
            lambda places: [numbers[place] for place in places],
            undated,
        )

    def _learn(self, head: _Row) -> Series:
        name, *columns, othertags = head
        tags = {
            **_other_tags(othertags),
            **{
                key: _text(value)
                for key, value in zip(COLUMN_TAGS, columns, strict=True)
                if value is not None
            },
            CLUSTER_TAG: self._cluster,
        }
        if len(self._series) >= _SERIES_HELD:
            self._series.clear()
        made = self._series[head] = Series(_text(name), tags, self._kind)
        return made


def _time(timestamp: object) -> int | None:
    """Seconds as nanoseconds, if there are that many."""
    if isinstance(timestamp, float) and timestamp == timestamp // 1:
        timestamp = int(timestamp)
    if not isinstance(timestamp, int) or not -(2**63) <= timestamp * SECOND < 2**63:
        return None
    return timestamp * SECOND


def _text(value: object) -> str:
    """A value as text, as SQLite itself would make it; NULL is as good as nothing."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return "" if value is None else str(value)


def _other_tags(value: object) -> Mapping[str, str]:
    """The tags without a column; what is no JSON object of strings is kept as it is, as one of them."""
    text = _text(value)
    if not text:
        return {}
    try:
        tags = json.loads(text)
    except (ValueError, RecursionError):
        tags = None
    if not isinstance(tags, dict):
        return {"othertags": text}
    return {
        _encodable(key): _encodable(tag if isinstance(tag, str) else json.dumps(tag))
        for key, tag in tags.items()
    }


def _encodable(text: str) -> str:
    """The text without lone surrogates, which JSON can write and UTF-8 cannot."""
    return text.encode(errors="replace").decode()


def _digest(row: _Row) -> str:
    return blake2b(repr(row).encode(errors="replace"), digest_size=16).hexdigest()
