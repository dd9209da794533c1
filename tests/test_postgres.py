"""The PostgreSQL backend on real servers."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from ccstore.storage.postgres import PostgresBackend
from tests.backends import NOW, SECOND
from tests.postgres import Server, newest, oldest, server
from tests.store_contract import StoreContract

RETENTION = 1600  # seconds


class _Databases:
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

    def backend_at(self, **parameters: str) -> PostgresBackend:
        return PostgresBackend(
            "",
            {**self.server.parameters(self.database), **parameters},
            connection_timeout=10,
            retention=RETENTION,
            now=lambda: self.now,
            instance="a test",
            reactor=reactor,
        )

    def open(self, **parameters: str) -> PostgresBackend:
        backend = self.backend_at(**parameters)
        backend.open()
        self.addCleanup(backend.close)
        return backend

    def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What somebody else sees."""
        return self.server.sql(statement, *parameters, database=self.database)


class NewestContractTests(_Databases, StoreContract, TestCase):
    stores_nul = False

    def make_backend(self) -> PostgresBackend:
        return self.backend_at()


class OldestContractTests(NewestContractTests):
    version = oldest
