"""Writing a store into a plain SQLite file, with a table a cluster and kind, for other programs."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

from ccstore.errors import StoreError
from ccstore.message import STORED_KINDS
from ccstore.permissions import PRIVATE, make_empty
from ccstore.storage.columns import STREAM_COLUMNS
from ccstore.storage.dbfile.explain import explain
from ccstore.storage.dbfile.sql import identifier
from ccstore.storage.export import Exported, Source

_CLUSTER: Final = itemgetter(0)
#: Those of cc-event-store, which the views of a store have as well.
_COLUMNS: Final = ("id", "timestamp", *STREAM_COLUMNS, "othertags", "field")


class PlainExport:
    """Writes a new file, which is at its place when all is in it.

    :param path: of the file, which must not be there.
    :param mode: that it gets.
    """

    def __init__(self, source: Source, path: Path, mode: int = PRIVATE) -> None:
        self._source = source
        self._path = path
        self._mode = mode
        self._tables: dict[str, str] = {}

    def run(self) -> Iterator[tuple[int, int]]:
        """Write all; yields how many messages there are, and how many of them are written.

        Raises :class:`StoreError`. What was begun is removed then.
        """
        if self._path.exists():
            raise StoreError(f"{self._path} is there already: give the path of a new file")
        part = self._path.with_name(f"{self._path.name}.part")
        part.unlink(missing_ok=True)
        try:
            make_empty(part, self._mode)
            with closing(sqlite3.connect(part, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = OFF")
                connection.execute("PRAGMA synchronous = OFF")
                yield from self._write(connection)
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(self._path)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"cannot write {part}: {explain(error, part)}") from None
        finally:
            part.unlink(missing_ok=True)

    def _write(self, connection: sqlite3.Connection) -> Iterator[tuple[int, int]]:
        total, written = sum(self._source.counts({}).values()), 0
        yield total, 0
        for kind in STORED_KINDS:
            for page in self._source.pages(kind, 0):
                connection.execute("BEGIN")
                for cluster, rows in groupby(sorted(_rows(page), key=_CLUSTER), _CLUSTER):
                    table = self._table(connection, f"{cluster}_{kind}s")
                    places = ", ".join("?" * len(_COLUMNS))
                    connection.executemany(
                        f"INSERT INTO {table} VALUES ({places})", [row[1:] for row in rows]
                    )
                connection.execute("COMMIT")
                written += len(page.ids)
                yield total, written
        for number, table in enumerate(self._tables.values()):
            index = identifier(f"by_time_{number}")
            connection.execute(f"CREATE INDEX {index} ON {table} (timestamp)")
            yield total, written

    def _table(self, connection: sqlite3.Connection, name: str) -> str:
        """The table for what is to have this name, as it stands in a statement."""
        if name not in self._tables:
            # SQLite cannot tell them by upper and lower case, and keeps some names to itself.
            taken = {table.lower() for table in self._tables.values()}
            own = f"_{name}" if name.lower().startswith("sqlite_") else name
            while identifier(own).lower() in taken:
                own += "_"
            table = self._tables[name] = identifier(own)
            columns = ", ".join([f"{column} TEXT" for column in _COLUMNS[2:]])
            connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, timestamp INTEGER, {columns})")
        return self._tables[name]


def _rows(page: Exported) -> Iterator[Sequence[object]]:
    """For each message its cluster and the columns of its table."""
    batch = page.messages
    for number, series, text, time in zip(page.ids, batch.series, batch.texts, batch.times, strict=True):
        cluster, _, *columns = series.stream
        yield (cluster, number, time // 10**9, *columns, series.othertags, text)
