"""Statements over a connection that blocks, for a process that has nothing else to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from ccstore.storage.postgres.database import BlockingSession


class BlockingSql:
    """Runs statements; every method raises psycopg2.Error if the database does.

    :param connection: that commits each statement by itself.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @property
    def session(self) -> BlockingSession:
        """The same connection, for what others wait for in time."""
        return BlockingSession(self._connection)

    def all(self, statement: str, *parameters: object) -> Sequence[tuple[Any, ...]]:
        """Its rows."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            found: Sequence[tuple[Any, ...]] = cursor.fetchall()
            return found

    def run(self, statement: str, *parameters: object) -> int:
        """How many rows it was about."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return int(cursor.rowcount)

    def snapshot(self) -> AbstractContextManager[None]:
        """``with`` a transaction all of which sees one state of the database."""
        return self.transaction("ISOLATION LEVEL REPEATABLE READ")

    @contextmanager
    def transaction(self, mode: str = "") -> Iterator[None]:
        """``with`` a transaction."""
        self.run(f"BEGIN {mode}")
        try:
            yield
        except BaseException:
            if not self._connection.closed:
                self.run("ROLLBACK")
            raise
        self.run("COMMIT")
