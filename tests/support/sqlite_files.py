"""An SQLite file for a test case, with a backend on it, and what somebody else sees of it."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet import reactor

from ccstore.storage.dbfile.sql import statements
from ccstore.storage.pack_settings import NO_PACKING
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.dialect import SqliteDialect
from ccstore.storage.sqlite.means import MEANS
from ccstore.storage.sqlite.moving import SPANS_IN_PERIOD
from ccstore.storage.sqlite.sizes import SIZES
from ccstore.storage.sqlite.versions import DATABASE
from tests.support.scratch import scratch
from tests.support.stores import NOW, SECOND, ask, asking, read_at

RETENTION = 1600  # seconds
#: Age at which a segment of events is sealed.
SPAN = RETENTION // SPANS_IN_PERIOD * SECOND
#: What a test that commits a thousand times does without.
NO_SYNC = {"synchronous": "OFF"}


def take_back(connection: sqlite3.Connection, version: int) -> None:
    """Make a file one of an earlier version of the schema, with the messages that it has."""
    for script in reversed(DATABASE.scripts[version:]):
        for statement in reversed(statements(script)):
            made = re.match(r"\s*CREATE (TABLE|INDEX|VIEW) (\w+)", statement)
            added = re.match(r"\s*ALTER TABLE (\w+) ADD COLUMN (\w+)", statement)
            if made is not None:
                connection.execute(f"DROP {made[1]} IF EXISTS {made[2]}")
            elif added is not None:
                connection.execute(f"ALTER TABLE {added[1]} DROP COLUMN {added[2]}")
    connection.execute(f"PRAGMA user_version = {version}")


class SqliteFiles:
    """A file for a test case, and a time that only the test moves.

    :ivar retention: seconds after which events expire.
    :ivar pragmas: of backends that are given none.
    """

    now = NOW
    retention: float = RETENTION
    pragmas: dict[str, str] = {}
    packing = NO_PACKING
    dialect: SqliteDialect | None = None
    sizes = SIZES
    means = MEANS
    is_apart = False

    def limit(self, **segments: int) -> None:
        """Let the backends that are made from now on have other sizes of segments."""
        self.sizes = evolve(self.sizes, segments=evolve(self.sizes.segments, **segments))

    @property
    def path(self) -> Path:
        if not hasattr(self, "_path"):
            self._path = scratch(self) / "events.db"
        return self._path

    def backend_at(self, path: Path, pragmas: dict[str, str] | None = None) -> SqliteBackend:
        return SqliteBackend(
            path,
            pragmas or self.pragmas,
            retention=self.retention,
            now=lambda: self.now,
            reactor=reactor,
            dialect=self.dialect,
            is_apart=self.is_apart,
            sizes=self.sizes,
            packing=self.packing,
            means=self.means,
        )

    def open(self, path: Path | None = None, **pragmas: str) -> SqliteBackend:
        """An open backend, on the file of the test if no other is given."""
        backend = self.backend_at(path or self.path, pragmas)
        backend.open()
        self.addCleanup(backend.close)
        return backend

    def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What somebody else sees who opens the file."""
        with closing(sqlite3.connect(self.path)) as connection:
            read_at(connection, self.now)
            return connection.execute(statement, parameters).fetchall()

    def value(self, statement: str) -> Any:
        ((value,),) = self.sql(statement)
        return value

    def segments(self, kind: str = "event") -> list[tuple[Any, ...]]:
        """The sealed ones, as the catalogue has them."""
        return self.sql(
            "SELECT id, min_time, max_time, row_count FROM segment "
            "WHERE kind = ? AND sealed_at IS NOT NULL ORDER BY id",
            kind,
        )

    def counts(self, kind: str = "event") -> list[int]:
        return [segment[-1] for segment in self.segments(kind)]


async def texts(backend: Any, cluster: str = "alex", *, cutoff: int = 0, **asked: Any) -> list[str]:
    query = asking(cluster, **asked)
    (page,) = await ask(backend, [query], cutoff=cutoff, max_rows=10**6, timeout=60)
    return [row.text for row in page.rows]
