"""A database of a PostgreSQL server for a test case."""

from __future__ import annotations

import time
from typing import Any

from twisted.internet import reactor

from ccstore.storage.pack_settings import NO_PACKING, Packing
from ccstore.storage.postgres import PostgresBackend
from ccstore.storage.postgres.sizes import SIZES, Sizes
from ccstore.storage.postgres.telling import PACE, Pace
from tests.support.postgres_server import Server, newest, server
from tests.support.stores import NOW, SECOND, ask, asking

RETENTION = 1600  # seconds
SPAN = RETENTION // 16 * SECOND


class Databases:
    """A database for a test case, and a time that only the test moves."""

    now = NOW + 100 * SECOND
    version = newest

    @property
    def server(self) -> Server:
        return server(type(self).version())

    @property
    def database(self) -> str:
        if not hasattr(self, "_database"):
            self._database = self.server.new_database()
            self.addCleanup(self.server.drop_database, self._database)
        return self._database

    def backend_at(
        self,
        instance: str = "a test",
        dsn: str = "",
        *,
        retention: float = RETENTION,
        sizes: Sizes = SIZES,
        text_index: bool = False,
        pace: Pace = PACE,
        packing: Packing = NO_PACKING,
        kind: type[PostgresBackend] = PostgresBackend,
        **parameters: str,
    ) -> PostgresBackend:
        return kind(
            dsn,
            {**({} if dsn else self.server.parameters(self.database)), **parameters},
            connection_timeout=10,
            retention=retention,
            now=lambda: self.now,
            instance=instance,
            reactor=reactor,
            sizes=sizes,
            text_index=text_index,
            pace=pace,
            packing=packing,
        )

    def open(self, retention: float = RETENTION, sizes: Sizes = SIZES, **parameters: str) -> PostgresBackend:
        backend = self.backend_at(retention=retention, sizes=sizes, **parameters)
        backend.open()
        self.addCleanup(backend.close)
        return backend

    def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What somebody else sees."""
        return self.server.sql(statement, *parameters, database=self.database)

    async def shown(self) -> list[str]:
        return [text for (text,) in self.seen("SELECT field FROM alex_events")]

    async def stored_in_all(self) -> int:
        """Events that take up room, whether or not they are seen."""
        return int(self.value("SELECT count(*) FROM ccstore_event"))

    async def viewed(self) -> list[str]:
        """What the view of a cluster shows of events, with rules of retention, at the time of the test."""
        later = int(time.time() * 1e9) - self.now
        return [
            text
            for (text,) in self.seen(
                f"UPDATE ccstore_stream SET keeps = keeps + {later}; "
                f"UPDATE ccstore_retention_rule SET nanoseconds = nanoseconds + {later}; "
                "SELECT field FROM alex_events"
            )
        ]

    def seen(self, statement: str) -> list[tuple[Any, ...]]:
        """What views show at the time of the test, and not at that of the server."""
        later = int(time.time() * 1e9) - self.now
        return self.sql(
            f"BEGIN; UPDATE ccstore_retention SET nanoseconds = nanoseconds + {later} "
            f"WHERE nanoseconds < {2**61}; {statement}"
        )

    def value(self, statement: str) -> Any:
        ((value,),) = self.sql(statement)
        return value

    async def found_in(self, backend: PostgresBackend, cluster: str = "alex", **asked: Any) -> list[str]:
        (page,) = await ask(backend, [asking(cluster, **asked)], cutoff=0, max_rows=10**6, timeout=60)
        return [row.text for row in page.rows]
