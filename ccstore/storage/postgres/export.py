"""Reading a whole database, to copy it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from heapq import merge
from itertools import chain, islice
from operator import itemgetter
from typing import Any

import psycopg2

from ccstore.interfaces import StoreError
from ccstore.keeping import Hold
from ccstore.message import STORED_KINDS, Kind
from ccstore.storage.blocks.damaged_block import Tell
from ccstore.storage.blocks.packed_numbers import Damaged
from ccstore.storage.blocks.plain_rows import in_order_of_ids
from ccstore.storage.columns import HOLD_COLUMNS, STREAM_COLUMNS
from ccstore.storage.counting import count_messages
from ccstore.storage.export import PAGE_ROWS, Counts, Exported, Source, StoredRow, Stream, pages
from ccstore.storage.postgres import packed_logs
from ccstore.storage.postgres.database import BlockingSession, at_once, check_schema, check_server, parsed
from ccstore.storage.postgres.driver_errors import one_line
from ccstore.storage.postgres.expiry import has_expired


class PostgresSource(Source):
    """See :class:`ccstore.storage.export.Source`. All is read from one snapshot, whoever writes meanwhile.

    :param dsn: a connection string of libpq, or empty.
    :param parameters: what libpq is told besides.
    :param tell: is told what cannot be read; the rest is.
    """

    def __init__(
        self,
        dsn: str,
        parameters: Mapping[str, str],
        *,
        timeout: float,
        tell: Tell = lambda damaged: None,
    ) -> None:
        self._tell = tell
        self._address = parsed(dsn, parameters)
        self._timeout = timeout
        self._connection: Any = None

    def open(self) -> None:
        try:
            self._connection = psycopg2.connect(
                self._address.dsn(), connect_timeout=max(2, round(self._timeout))
            )
            self._connection.set_session("REPEATABLE READ", readonly=True)
            check_server(self._connection)
            at_once(check_schema(self._session, "reads"))
        except (psycopg2.Error, StoreError) as error:
            self.close()
            text = one_line(error) if isinstance(error, psycopg2.Error) else str(error)
            raise StoreError(f"cannot read {self._address}: {text}") from None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _all(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def identity(self) -> str:
        ((cluster, database, table),) = self._all(
            "SELECT (SELECT system_identifier FROM pg_control_system()), "
            "(SELECT oid FROM pg_database WHERE datname = current_database()), "
            "'ccstore_schema'::regclass::oid"
        )
        return f"postgres {cluster} {database} {table}"

    def counts(self, after: Mapping[str, int]) -> Counts:
        found: dict[tuple[str, str], int] = {}
        for kind in STORED_KINDS:
            since = after.get(kind, 0)
            counts = self._all(count_messages(f"ccstore_{kind}", "ccstore_stream", _where(kind)), since)
            packed = at_once(packed_logs.count(self._session, since)) if kind == "log" else {}
            for cluster, rows in packed_logs.added(counts, packed).items():
                found[cluster, kind] = rows
        return found

    @property
    def _session(self) -> BlockingSession:
        return BlockingSession(self._connection)

    def log_times(self) -> tuple[int, int] | None:
        ((oldest, newest),) = self._all(
            "SELECT min(oldest), max(newest) FROM (SELECT min(time) AS oldest, max(time) AS newest "
            "FROM ccstore_log UNION ALL SELECT min(first_time), max(last_time) FROM ccstore_packed) t"
        )
        return None if oldest is None else (oldest, newest)

    def pages(self, kind: Kind, after: int) -> Iterator[Exported]:
        return pages(kind, self._rows(kind, after), self._streams)

    def holds(self) -> Sequence[Hold]:
        found = self._all(f"SELECT id, {', '.join(HOLD_COLUMNS)} FROM ccstore_hold ORDER BY id")
        return [Hold.unpack(row, number) for number, *row in found]

    def _rows(self, kind: Kind, after: int) -> Iterator[Sequence[StoredRow]]:
        places = at_once(packed_logs.places(self._session, after)) if kind == "log" else []
        if not places:
            return self._plain_rows(kind, after)
        parts = (self._plain_rows(kind, after), in_order_of_ids(places, partial(self._read, after)))
        merged = merge(*map(chain.from_iterable, parts), key=itemgetter(0))
        return iter(lambda: [*islice(merged, PAGE_ROWS)], [])

    def _read(self, after: int, place: packed_logs.Place) -> Sequence[StoredRow]:
        """The rows of a block; none if it is damaged, which is told."""
        try:
            return at_once(packed_logs.rows_of(self._session, place, after))
        except Damaged as error:
            self._tell(at_once(packed_logs.damaged_at(self._session, place, str(error))))
            return ()

    def _plain_rows(self, kind: Kind, after: int) -> Iterator[Sequence[StoredRow]]:
        # A cursor of the server: it sorts once, and keeps what it has sorted.
        with self._connection.cursor(name=f"ccstore_{kind}") as cursor:
            cursor.itersize = PAGE_ROWS
            cursor.execute(
                f"SELECT id, stream, time, text, othertags FROM ccstore_{kind} r WHERE {_where(kind)} "
                "ORDER BY id",
                (after,),
            )
            while rows := cursor.fetchmany(PAGE_ROWS):
                yield rows

    def _streams(self, numbers: set[int]) -> Mapping[int, Stream]:
        return {
            number: columns
            for number, *columns in self._all(
                f"SELECT id, cluster, {', '.join(STREAM_COLUMNS)} FROM ccstore_stream WHERE id = ANY(%s)",
                [*numbers],
            )
        }


def _where(kind: Kind) -> str:
    """What is behind an id, without what has expired."""
    return f"id > %s AND NOT {has_expired(kind)}"
