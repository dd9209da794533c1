"""Reading a whole file, to copy it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from heapq import merge
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path

from ccstore.interfaces import StoreError
from ccstore.keeping import Hold
from ccstore.message import STORED_KINDS, Kind
from ccstore.storage.blocks.damaged_block import Tell
from ccstore.storage.columns import STREAM_COLUMNS
from ccstore.storage.counting import count_messages
from ccstore.storage.dbfile.explain import explain
from ccstore.storage.dbfile.lock import FileLock
from ccstore.storage.export import PAGE_ROWS, Counts, Exported, Source, StoredRow, Stream, pages
from ccstore.storage.sqlite.expiry import has_expired
from ccstore.storage.sqlite.keeper import holds
from ccstore.storage.sqlite.packed_rows import count_packed, rows_by_id
from ccstore.storage.sqlite.snapshot import snapshot
from ccstore.storage.sqlite.versions import APPLICATION_ID, DATABASE
from ccstore.storage.sqlite.views import STORED_ROWS


class SqliteSource(Source):
    """See :class:`ccstore.storage.export.Source`. It is only read; no daemon may have it open meanwhile."""

    def __init__(
        self, path: Path, scratch: Path, *, wait: float = 10.0, tell: Tell = lambda damaged: None
    ) -> None:
        """See :func:`ccstore.storage.sqlite.snapshot.snapshot`.

        :param tell: is told what cannot be read; the rest is.
        """
        self._tell = tell
        self._path = path
        self._scratch = scratch
        self._wait = wait
        self._opened = ExitStack()
        self._lock = FileLock(path, "database")
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        if not self._path.exists():
            raise StoreError(f"there is no file {self._path}")
        self._lock.share()
        try:
            connection = self._opened.enter_context(snapshot(self._path, self._scratch, wait=self._wait))
            self._connection = connection
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if application != APPLICATION_ID:
                raise StoreError("is no ccstore store")
            if version != DATABASE.version:
                raise StoreError(
                    f"has a schema of version {version}, and this ccstore reads {DATABASE.version}: "
                    "start the daemon on it once, which brings an older one up to date"
                )
        except (sqlite3.Error, StoreError) as error:
            self.close()
            raise StoreError(f"{self._path}: {explain(error, self._path)}") from None

    def close(self) -> None:
        self._connection = None
        self._opened.close()
        self._lock.release()

    def _all(self, statement: str, *parameters: object) -> list[tuple[int | str | None, ...]]:
        assert self._connection is not None
        with self._errors():
            return self._connection.execute(statement, parameters).fetchall()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Errors of sqlite3 as those of the store."""
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"cannot read {self._path}: {explain(error, self._path)}") from None

    def identity(self) -> str:
        # The first log segment is made with the file, and what it is merged into keeps its time.
        ((born_at,),) = self._all("SELECT min(opened_at) FROM segment WHERE kind = 'log'")
        return f"sqlite {born_at}"

    def counts(self, after: Mapping[str, int]) -> Counts:
        found: dict[tuple[str, str], int] = {}
        for kind in STORED_KINDS:
            statement = count_messages(STORED_ROWS[kind], "stream", "id > ?")
            for cluster, rows in self._all(statement, after.get(kind, 0)):
                found[str(cluster), kind] = int(rows or 0)
            assert self._connection is not None
            with self._errors():
                for name, count in count_packed(self._connection, kind, after.get(kind, 0)).items():
                    found[name, kind] = found.get((name, kind), 0) + count
        return found

    def log_times(self) -> tuple[int, int] | None:
        ((oldest, newest),) = self._all(
            "SELECT min(oldest), max(newest) FROM ("
            "SELECT min(time) AS oldest, max(time) AS newest FROM ccstore_log_rows UNION ALL "
            "SELECT min_time, max_time FROM segment WHERE kind = 'log' AND packed > 0)"
        )
        return None if oldest is None or newest is None else (int(oldest), int(newest))

    def pages(self, kind: Kind, after: int) -> Iterator[Exported]:
        return pages(kind, self._rows(kind, after), self._streams)

    def holds(self) -> Sequence[Hold]:
        assert self._connection is not None
        with self._errors():
            return holds(self._connection)

    def _rows(self, kind: Kind, after: int) -> Iterator[Sequence[StoredRow]]:
        assert self._connection is not None
        where = f"id > ? AND NOT {has_expired(self._connection, kind)}"
        in_order: list[Iterator[Sequence[StoredRow]]] = []
        late: list[Iterator[Sequence[StoredRow]]] = []
        for number, came_late, packed in self._all(
            "SELECT id, begins_at IS NOT NULL, packed FROM segment WHERE kind = ? ORDER BY first_id",
            kind,
        ):
            rows = (
                self._packed(kind, int(number or 0), after)
                if packed
                else self._select(
                    f"SELECT id, stream, time, text, othertags FROM {kind}_{number} "
                    f"WHERE {where} ORDER BY id",
                    after,
                )
            )
            (late if came_late else in_order).append(rows)
        if not late:
            return chain.from_iterable(in_order)
        # What came late has ids from among those of the others.
        parts = [chain.from_iterable(in_order), *late]
        merged = merge(*map(chain.from_iterable, parts), key=itemgetter(0))
        return iter(lambda: [*islice(merged, PAGE_ROWS)], [])

    def _packed(self, kind: Kind, segment: int, after: int) -> Iterator[Sequence[StoredRow]]:
        assert self._connection is not None
        with self._errors():
            yield from rows_by_id(self._connection, kind, segment, after, self._tell)

    def _select(self, statement: str, after: int) -> Iterator[Sequence[StoredRow]]:
        assert self._connection is not None
        with self._errors():
            cursor = self._connection.execute(statement, (after,))
            while rows := cursor.fetchmany(PAGE_ROWS):
                yield rows

    def _streams(self, numbers: set[int]) -> Mapping[int, Stream]:
        return {
            int(row[0] or 0): [None if value is None else str(value) for value in row[1:]]
            for row in self._all(
                f"SELECT id, cluster, {', '.join(STREAM_COLUMNS)} FROM stream "
                "WHERE id IN (SELECT value FROM json_each(?))",
                json.dumps([*numbers]),
            )
        }
