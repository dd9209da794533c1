"""Messages in an SQLite file.

Messages are appended to the open *segment* of their kind, a table without an index. When it is large or old
enough it is sealed: an index is built in one pass, and the catalogue learns its oldest and newest time.
Events expire by dropping whole sealed segments.

There is one writing connection with a thread of its own, and a few that read. A statement inserts many rows:
sqlite3 gives up the interpreter lock at every step, and gets it back only when a busy thread lets it go.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import cache
from importlib import resources
from itertools import compress
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, TypeVar

from attrs import define
from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ccstore.interfaces import IBackend, QueryTimeout, StoreError, StoreUnavailable
from ccstore.message import STORED_KINDS, Batch, Series
from ccstore.query import Page, Query, Row
from ccstore.storage.query import STREAM_COLUMNS, stream_condition

SCHEMA_VERSION: Final = 1
#: Marks a file as ours ("ccst"), see PRAGMA application_id.
APPLICATION_ID: Final = 0x63637374
#: Rows after which a segment is sealed: small enough that building its index stalls nobody for long.
SEGMENT_ROWS: Final = 65536
#: An event segment is sealed when it spans this part of the retention time, so it goes soon after it may.
SPANS_IN_RETENTION: Final = 16
#: Rows of an open segment above which it is worth an index, once nothing is being written.
_INDEX_WHEN_IDLE: Final = 2048
_IDLE: Final = 1_000_000_000
#: Rows in one INSERT. Few different sizes, so that the statements stay prepared.
_STATEMENT_ROWS: Final = (4096, 512, 64, 8, 1)
#: Pages given back to the file system in one transaction.
_VACUUM_STEP: Final = 500
#: Free pages that are kept for the segments to come.
_FREE_PAGES_KEPT: Final = 256
#: SELECTs in one UNION ALL; SQLite takes 500.
_UNION: Final = 200
_STREAMS_HELD: Final = 262144
_READERS: Final = 3
#: Streams up to which an index is probed for each, see _Reader.
_STREAMS_PROBED: Final = 200
_PROGRESS_STEPS: Final = 5000
_TOO_LONG: Final = "the query took too long"
_CLOSED: Final = "the database is closed"

_KIND: Final = attrgetter("kind")
_OTHERTAGS: Final = attrgetter("othertags")
#: What SQLite says when a message itself is at fault; anything else may pass.
_REFUSED: Final = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    ValueError,
    OverflowError,
)
_Result = TypeVar("_Result")


@define
class _Segment:
    """The open segment of a kind, as its writer knows it."""

    id: int
    first_id: int
    opened_at: int
    rows: int = 0
    min_time: int = 2**63 - 1
    max_time: int = -(2**63)
    is_indexed: bool = False
    written_at: int = 0

    def table(self, kind: str) -> str:
        return f"{kind}_{self.id}"


class Writer:
    """What the writing connection does; all of it runs in the writer's thread.

    :param retention: nanoseconds after which events expire.
    """

    log = Logger()

    def __init__(self, retention: int, now: Callable[[], int]) -> None:
        self._retention = retention
        self._now = now
        self._open: dict[str, _Segment] = {}
        self._streams: dict[tuple[str | None, ...], int] = {}
        self._by_series: dict[Series, int] = {}
        self._clusters: set[tuple[str, str]] = set()
        self._new_clusters: set[tuple[str, str]] = set()
        self.writes = 0
        self.deletes = 0

    # -- opening

    def load(self, connection: sqlite3.Connection) -> None:
        """Read the catalogue; make what is missing."""
        with _transaction(connection):
            for kind in STORED_KINDS:
                row = connection.execute(
                    "SELECT id, first_id, opened_at FROM segment WHERE kind = ? AND sealed_at IS NULL",
                    (kind,),
                ).fetchone()
                if row is None:
                    self._open[kind] = self._open_segment(connection, kind, first_id=0)
                    continue
                segment = self._open[kind] = _Segment(*row)
                rows, oldest, newest = connection.execute(
                    f"SELECT count(*), min(time), max(time) FROM {segment.table(kind)}"
                ).fetchone()
                if rows:
                    segment.rows, segment.min_time, segment.max_time = rows, oldest, newest
                segment.is_indexed = bool(
                    connection.execute(
                        "SELECT 1 FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?",
                        (segment.table(kind),),
                    ).fetchone()
                )
            self._clusters = set(connection.execute("SELECT DISTINCT cluster, kind FROM stream"))
            self._refresh_rows_views(connection)
            self._refresh_cluster_views(connection, self._clusters)

    # -- writing

    def write(self, connection: sqlite3.Connection, messages: Batch) -> None:
        """Commit all of these messages."""
        parts = [*_by_kind(messages)]
        try:
            with _transaction(connection):
                for kind, part in parts:
                    self._insert(connection, self._open[kind].table(kind), part)
                self._refresh_cluster_views(connection, self._new_clusters)
        except BaseException:
            # What was interned in this transaction is gone with it.
            self._forget_streams()
            raise
        else:
            self._clusters |= self._new_clusters
        finally:
            self._new_clusters.clear()
        now = self._now()
        for kind, part in parts:
            segment = self._open[kind]
            segment.rows += len(part)
            segment.min_time = min(segment.min_time, min(part.times))
            segment.max_time = max(segment.max_time, max(part.times))
            segment.written_at = now
        self.writes += len(messages)

    def _insert(self, connection: sqlite3.Connection, table: str, messages: Batch) -> None:
        held = self._by_series
        try:
            streams = [*map(held.__getitem__, messages.series)]
        except KeyError:
            streams = [held.get(series) or self._stream(connection, series) for series in messages.series]
        columns: dict[str, Sequence[object]] = {
            "stream": streams,
            "time": messages.times,
            "text": messages.texts,
        }
        othertags = [*map(_OTHERTAGS, messages.series)]
        if any(othertags):
            columns["othertags"] = othertags
        width = len(columns)
        flat: list[object] = [None] * (width * len(messages))
        for place, column in enumerate(columns.values()):
            flat[place::width] = column
        position = 0
        for rows in _STATEMENT_ROWS:
            statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES {_placeholders(rows, width)}"
            while len(flat) - position >= width * rows:
                connection.execute(statement, flat[position : position + width * rows])
                position += width * rows

    def _stream(self, connection: sqlite3.Connection, series: Series) -> int:
        """The id of a series' stream, which is made if it is new."""
        kind = series.kind
        key = (series.cluster, kind, *series.columns)
        stream = self._streams.get(key)
        if stream is None:
            columns = ("cluster", "kind", *STREAM_COLUMNS)
            row = connection.execute(
                f"SELECT id FROM stream WHERE {' AND '.join(f'{column} IS ?' for column in columns)}", key
            ).fetchone()
            if row is None:
                row = connection.execute(
                    f"INSERT INTO stream ({', '.join(columns)}, segment) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
                    (*key, self._open[kind].id),
                ).fetchone()
                self._new_clusters |= {(str(series.cluster), kind)} - self._clusters
            stream = int(row[0])
            if len(self._streams) >= _STREAMS_HELD:
                self._forget_streams()
            self._streams[key] = stream
        if len(self._by_series) >= _STREAMS_HELD:
            self._by_series.clear()
        self._by_series[series] = stream
        return stream

    def _forget_streams(self) -> None:
        self._streams.clear()
        self._by_series.clear()

    # -- segments

    @property
    def is_full(self) -> bool:
        return any(segment.rows >= SEGMENT_ROWS for segment in self._open.values())

    def tend(self, connection: sqlite3.Connection, now: int) -> None:
        """Seal what is large or old enough, and index what lies idle."""
        for kind, segment in list(self._open.items()):
            age = now - segment.opened_at
            is_old = kind == "event" and segment.rows and age >= self._retention // SPANS_IN_RETENTION
            if segment.rows >= SEGMENT_ROWS or is_old:
                self.seal(connection, kind)
            elif (
                segment.rows >= _INDEX_WHEN_IDLE
                and not segment.is_indexed
                and now - segment.written_at >= _IDLE
            ):
                with _transaction(connection):
                    self._index(connection, segment, kind)
                segment.is_indexed = True

    def seal(self, connection: sqlite3.Connection, kind: str) -> None:
        """Close the open segment of a kind, and open the next one."""
        segment = self._open[kind]
        table = segment.table(kind)
        with _transaction(connection):
            self._index(connection, segment, kind)
            connection.execute(
                f"UPDATE stream SET segment = ? WHERE id IN (SELECT DISTINCT stream FROM {table})",
                (segment.id,),
            )
            connection.execute(
                "UPDATE segment SET sealed_at = ?, min_time = ?, max_time = ?, row_count = ? WHERE id = ?",
                (self._now(), segment.min_time, segment.max_time, segment.rows, segment.id),
            )
            following = self._open_segment(connection, kind, first_id=segment.first_id + segment.rows)
            self._refresh_rows_views(connection)
        self._open[kind] = following

    def _open_segment(self, connection: sqlite3.Connection, kind: str, first_id: int) -> _Segment:
        now = self._now()
        (number,) = connection.execute(
            "INSERT INTO segment (kind, first_id, opened_at) VALUES (?, ?, ?) RETURNING id",
            (kind, first_id, now),
        ).fetchone()
        segment = _Segment(number, first_id, now)
        connection.execute(
            f"CREATE TABLE {segment.table(kind)} "
            "(id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, time INTEGER NOT NULL, text TEXT NOT NULL, "
            "othertags TEXT)"
        )
        return segment

    def _index(self, connection: sqlite3.Connection, segment: _Segment, kind: str) -> None:
        if not segment.is_indexed:
            table = segment.table(kind)
            connection.execute(f"CREATE INDEX {table}_by_stream ON {table} (stream, time)")

    def expire(self, connection: sqlite3.Connection, cutoff: int) -> int:
        """Drop event segments in which nothing is newer than the cutoff; returns how many rows that were."""
        # A wrong clock must not keep a segment for ever: what was sealed before the cutoff goes too.
        expired = connection.execute(
            "SELECT id, row_count FROM segment WHERE kind = 'event' AND sealed_at IS NOT NULL "
            "AND (max_time <= ? OR sealed_at <= ?) ORDER BY id",
            (cutoff, cutoff),
        ).fetchall()
        for number, _ in expired:
            with _transaction(connection):
                connection.execute("DELETE FROM segment WHERE id = ?", (number,))
                self._refresh_rows_views(connection)
                connection.execute(f"DROP TABLE event_{number}")
        if expired:
            self._drop_streams(connection)
            self.deletes += 1
        return sum(rows for _, rows in expired)

    def _drop_streams(self, connection: sqlite3.Connection) -> None:
        """Forget streams of events that are gone, such as those of a host or a job that is no more."""
        with _transaction(connection):
            gone = connection.execute(
                "DELETE FROM stream WHERE kind = 'event' "
                "AND segment < (SELECT min(id) FROM segment WHERE kind = 'event') "
                f"AND id NOT IN (SELECT stream FROM {self._open['event'].table('event')})"
            ).rowcount
        if gone:
            self._forget_streams()

    def give_back(self, connection: sqlite3.Connection) -> bool:
        """Give a step's worth of free pages back to the file system; True if there is more to give."""
        free = connection.execute("PRAGMA freelist_count").fetchone()[0]
        if free <= _FREE_PAGES_KEPT:
            return False
        step = min(_VACUUM_STEP, free - _FREE_PAGES_KEPT)
        # It gives back a page at each step, and executescript() is what goes on to the last.
        connection.executescript(f"PRAGMA incremental_vacuum({step})")
        return bool(free - step > _FREE_PAGES_KEPT)

    # -- views

    def _refresh_rows_views(self, connection: sqlite3.Connection) -> None:
        """Per kind, one view over all segments; where they are many, over views over them."""
        for kind in STORED_KINDS:
            # Not a cluster's view, whatever the cluster is called: that ends in neither way.
            old = connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'view' AND (name = ? OR name GLOB ?)",
                (f"ccstore_{kind}_rows", f"ccstore_{kind}_rows_*[0-9]"),
            ).fetchall()
            for (name,) in old:
                connection.execute(f"DROP VIEW {_identifier(name)}")
            parts = [
                f"SELECT {first_id} + id AS id, stream, time, text, othertags FROM {kind}_{number}"
                for number, first_id in connection.execute(
                    "SELECT id, first_id FROM segment WHERE kind = ? ORDER BY id", (kind,)
                )
            ]
            level = 0
            while len(parts) > _UNION:
                level += 1
                wider = []
                for start in range(0, len(parts), _UNION):
                    name = f"ccstore_{kind}_rows_{level}_{start // _UNION}"
                    connection.execute(
                        f"CREATE VIEW {name} AS {' UNION ALL '.join(parts[start : start + _UNION])}"
                    )
                    wider.append(f"SELECT * FROM {name}")
                parts = wider
            connection.execute(f"CREATE VIEW ccstore_{kind}_rows AS {' UNION ALL '.join(parts)}")

    def _refresh_cluster_views(
        self, connection: sqlite3.Connection, clusters: Iterable[tuple[str, str]]
    ) -> None:
        """The views a site's own SQL relies on: ``<cluster>_events`` and ``<cluster>_logs``."""
        for cluster, kind in sorted(clusters):
            name = f"{cluster}_{kind}s"
            taken = connection.execute(
                "SELECT name FROM sqlite_schema WHERE name = ? COLLATE NOCASE", (name,)
            ).fetchone()
            if taken is not None:
                if taken[0] != name:
                    self.log.warn(
                        "no view {name!r}: SQLite cannot tell it from {other!r}", name=name, other=taken[0]
                    )
                continue
            columns = ", ".join(f"s.{column}" for column in STREAM_COLUMNS)
            try:
                connection.execute(
                    f"CREATE VIEW {_identifier(name)} AS "
                    f"SELECT r.id, r.time / 1000000000 AS timestamp, {columns}, r.othertags, r.text AS field "
                    f"FROM ccstore_{kind}_rows r JOIN stream s ON s.id = r.stream "
                    f"WHERE s.cluster = {_literal(cluster)} AND s.kind = '{kind}'"
                )
            except sqlite3.Error as error:
                # SQLite keeps some names to itself. The messages are stored all the same.
                self.log.warn(
                    "no view {name!r} for cluster {cluster!r}: {error}",
                    name=name,
                    cluster=cluster,
                    error=error,
                )

    @property
    def active_tables(self) -> int:
        """Pairs of a cluster and a kind, each a table in the historical view."""
        return len(self._clusters)

    def figures(self, connection: sqlite3.Connection) -> dict[str, int]:
        """Figures that need the database."""
        segments = connection.execute("SELECT count(*) FROM segment").fetchone()[0]
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return {"segments": segments, "bytes": pages * size, "free_bytes": free * size}


class _Reader:
    """What the reading connections do, in their threads."""

    def query(
        self,
        connection: sqlite3.Connection,
        queries: Sequence[Query],
        cutoff: int,
        max_rows: int,
        deadline: float,
    ) -> list[Page]:
        """See :meth:`IBackend.query`; the deadline is in the time of ``time.monotonic``."""
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _PROGRESS_STEPS)
        try:
            connection.execute("BEGIN")
            pages = []
            for query in queries:
                if time.monotonic() > deadline:
                    raise QueryTimeout(_TOO_LONG)
                pages.append(self._page(connection, query, cutoff, max_rows))
                max_rows -= len(pages[-1].rows)
            return pages
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise QueryTimeout(_TOO_LONG) from None
            raise
        finally:
            connection.set_progress_handler(None, 0)
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _page(self, connection: sqlite3.Connection, query: Query, cutoff: int, max_rows: int) -> Page:
        begin = max(query.begin, cutoff + 1) if query.kind == "event" else query.begin
        condition, parameters = stream_condition(query, "?")
        streams = connection.execute(f"SELECT id FROM stream WHERE {condition}", parameters).fetchall()
        if not streams:
            return Page(())
        if len(streams) <= _STREAMS_PROBED:
            where = f"stream IN ({', '.join(str(stream) for (stream,) in streams)})"
            parameters = []
        else:
            # So many that one scan of a segment is cheaper than as many probes into its index.
            where = f"+stream IN (SELECT id FROM stream WHERE {condition})"
        rows: list[Row] = []
        is_cut = False
        for number, first_id, oldest in self._segments(connection, query.kind, begin, query.end):
            if is_cut and oldest is not None and oldest > rows[-1].time:
                break
            found = connection.execute(
                f"SELECT time, ? + id, text FROM {query.kind}_{number} "
                f"WHERE {where} AND time BETWEEN ? AND ? ORDER BY time, id LIMIT ?",
                (first_id, *parameters, begin, query.end, max_rows + 1),
            )
            rows += map(Row._make, found)
            if len(rows) > max_rows:
                rows.sort()
                del rows[max_rows:]
                is_cut = True
                if not rows:
                    break
        rows.sort()
        return Page(rows, is_cut)

    def _segments(
        self, connection: sqlite3.Connection, kind: str, begin: int, end: int
    ) -> Iterator[tuple[int, int, int | None]]:
        """The segments that may have messages of that time, by their oldest; an open one, without, first."""
        return iter(
            connection.execute(
                "SELECT id, first_id, min_time FROM segment WHERE kind = ? "
                "AND (sealed_at IS NULL OR (max_time >= ? AND min_time <= ?)) ORDER BY min_time, id",
                (kind, begin, end),
            ).fetchall()
        )


@implementer(IBackend)
class SqliteBackend:
    """See the module.

    :param path: absolute.
    :param pragmas: for every connection, besides what is always set.
    :param retention: seconds after which events expire.
    :param now: the time in nanoseconds since the epoch.
    """

    name = "sqlite"
    log = Logger()

    def __init__(
        self,
        path: Path,
        pragmas: Mapping[str, str],
        *,
        retention: float,
        now: Callable[[], int],
        reactor: Any,
    ) -> None:
        self._path = path
        self._pragmas = {"busy_timeout": "5000", "synchronous": "FULL", "cache_size": "-16384"} | dict(
            pragmas
        )
        # It is always WAL, but auto_vacuum has to be set before it: see prepare_file.
        self._pragmas.pop("journal_mode", None)
        self._writer = Writer(int(retention * 1e9), now)
        self._reader = _Reader()
        self._now = now
        self._reactor = reactor
        self._lock: int | None = None
        self._writing: ConnectionPool | None = None
        self._reading: ConnectionPool | None = None
        self._queries = 0
        self._figures: dict[str, int] = {}

    def describe(self) -> str:
        return f"{self._path} (SQLite {sqlite3.sqlite_version})"

    # -- life

    def open(self) -> None:
        """See :meth:`IBackend.open`."""
        self._take_lock()
        try:
            with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
                self._prepare(connection)
                prepare_file(connection)
                self._writer.load(connection)
        except (sqlite3.Error, StoreError) as error:
            self._release_lock()
            raise StoreError(f"cannot open the database {self._path}: {error}") from None
        self._writing = self._pool(str(self._path), 1)
        self._reading = self._pool(f"{self._path.as_uri()}?mode=ro", _READERS)

    def close(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        if self._writing is None or self._reading is None:
            return
        # So that the file is complete without its write-ahead log. If not, that is read at the next start.
        with suppress(StoreError):
            await self._run(
                lambda connection: connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            )
        self._reading.close()
        self._writing.close()
        self._reading = self._writing = None
        self._release_lock()

    def _pool(self, database: str, connections: int) -> ConnectionPool:
        return ConnectionPool(
            "sqlite3",
            database,
            uri=database.startswith("file:"),
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            cp_reactor=self._reactor,
            cp_min=1,
            cp_max=connections,
            cp_noisy=False,
            cp_openfun=self._prepare,
        )

    def _prepare(self, connection: sqlite3.Connection) -> None:
        for name, value in self._pragmas.items():
            connection.execute(f"PRAGMA {name} = {value}")

    def _take_lock(self) -> None:
        """One daemon a file: what the writer knows of it would be wrong with two."""
        path = self._path.with_name(self._path.name + ".lock")
        try:
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._release_lock()
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES) and error.filename is None:
                raise StoreError(f"the database {self._path} is in use by another ccstore") from None
            raise StoreError(f"cannot write beside the database {self._path}: {error.strerror}") from None

    def _release_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # -- work

    def write(self, messages: Batch) -> Deferred[None]:
        """See :meth:`IBackend.write`."""
        return Deferred.fromCoroutine(self._write(messages))

    async def _write(self, messages: Batch) -> None:
        await self._run(self._writer.write, messages)
        if self._writer.is_full:
            # Behind this write and before the next: nobody who waits for this one waits for it.
            sealing = self._run(self._writer.tend, self._now())
            sealing.addErrback(lambda failure: self.log.warn("cannot seal now: {why}", why=failure.value))

    def query(
        self, queries: Sequence[Query], *, cutoff: int, max_rows: int, timeout: float
    ) -> Deferred[Sequence[Page]]:
        """See :meth:`IBackend.query`."""
        if self._reading is None:
            return fail(StoreUnavailable(_CLOSED))
        self._queries += len(queries)
        deadline = time.monotonic() + timeout
        running: Deferred[Sequence[Page]] = self._reading.runWithConnection(
            self._reader.query, list(queries), cutoff, max_rows, deadline
        )
        return running.addErrback(_translate)

    def expire(self, cutoff: int) -> Deferred[int]:
        """See :meth:`IBackend.expire`."""
        return Deferred.fromCoroutine(self._expire(cutoff))

    async def _expire(self, cutoff: int) -> int:
        expired = await self._run(self._writer.expire, cutoff)
        while await self._run(self._writer.give_back):
            pass  # each a transaction of its own, with room for writes between them
        return expired

    def tend(self, now: int) -> Deferred[None]:
        """See :meth:`IBackend.tend`."""
        return Deferred.fromCoroutine(self._tend(now))

    async def _tend(self, now: int) -> None:
        await self._run(self._writer.tend, now)
        self._figures = await self._run(self._writer.figures)

    def status(self) -> Mapping[str, object]:
        """See :meth:`IBackend.status`."""
        return {
            "active_tables": self._writer.active_tables,
            "writes": self._writer.writes,
            "queries": self._queries,
            "deletes": self._writer.deletes,
            **self._figures,
        }

    def _run(self, work: Callable[..., _Result], *arguments: Any) -> Deferred[_Result]:
        """Do something in the writer's thread."""
        if self._writing is None:
            return fail(StoreUnavailable(_CLOSED))
        running: Deferred[_Result] = self._writing.runWithConnection(work, *arguments)
        return running.addErrback(_translate)


def _translate(failure: Failure) -> Failure:
    """Errors of sqlite3 as errors of the store."""
    error = failure.value
    if isinstance(error, _REFUSED):
        return Failure(StoreError(f"{error}"))
    if isinstance(error, sqlite3.Error):
        return Failure(StoreUnavailable(f"{error}"))
    return failure


def prepare_file(connection: sqlite3.Connection) -> None:
    """Make the file ours if it is new, and refuse it if it is not ours or is newer than we are."""
    application, version, objects = (
        connection.execute(statement).fetchone()[0]
        for statement in (
            "PRAGMA application_id",
            "PRAGMA user_version",
            "SELECT count(*) FROM sqlite_schema",
        )
    )
    if application != APPLICATION_ID and objects:
        raise StoreError("it has tables, but ccstore did not make it: give another path")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"its schema has version {version}, written by a newer ccstore: this one knows {SCHEMA_VERSION}"
        )
    if not objects:
        # Both have to be said before there is a table.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(
            f"its journal cannot be a write-ahead log (it stays {mode!r}): is it on a network file system?"
        )
    with _transaction(connection):
        for number in range(version + 1, SCHEMA_VERSION + 1):
            script = resources.files("ccstore.storage").joinpath(f"schema/sqlite_{number}.sql").read_text()
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _statements(script: str) -> list[str]:
    """The statements of a schema file; executescript() would commit the transaction they belong into."""
    return [part for part in re.sub(r"--[^\n]*", "", script).split(";") if part.strip()]


class _transaction:
    """``with`` a write transaction: committed at the end, rolled back at an exception."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        if kind is None:
            self._connection.execute("COMMIT")
        elif self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


@cache
def _placeholders(rows: int, columns: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return ", ".join([row] * rows)


def _by_kind(messages: Batch) -> Iterator[tuple[str, Batch]]:
    """Events and logs apart."""
    kinds = [*map(_KIND, messages.series)]
    for kind in STORED_KINDS:
        count = kinds.count(kind)
        if not count:
            continue
        if count == len(kinds):
            yield kind, messages
        else:
            chosen = [found == kind for found in kinds]
            yield (
                kind,
                Batch(
                    [*compress(messages.series, chosen)],
                    [*compress(messages.texts, chosen)],
                    [*compress(messages.times, chosen)],
                ),
            )


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
