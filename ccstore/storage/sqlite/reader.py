"""What the reading connections do."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Final, TypeVar

from ccstore.interfaces import QueryTimeout, StoreUnavailable
from ccstore.storage.reading.dialect import Question
from ccstore.storage.reading.statement import Reading, Rows
from ccstore.storage.sqlite.dialect import SqliteDialect

_T = TypeVar("_T")

#: Prepared statements of a connection that reads.
PREPARED: Final = 64
# How often SQLite asks whether to go on. Each time it has to wait for the interpreter lock.
_PROGRESS_STEPS: Final = 500_000
_TOO_LONG: Final = "the query took too long"
CLOSED: Final = "the database is closed"


class Reader:
    """Answers queries; runs in the threads of the reading connections, one query in each."""

    def __init__(self, dialect: SqliteDialect) -> None:
        self._dialect = dialect
        self._running: set[sqlite3.Connection] = set()
        self._is_closed = False

    def close(self) -> None:
        """End the queries that run; called from the reactor's thread."""
        self._is_closed = True
        for connection in tuple(self._running):
            connection.interrupt()

    def read(self, connection: sqlite3.Connection, question: Question[_T], deadline: float) -> _T:
        """See :meth:`IBackend.read`; the deadline is in the time of ``time.monotonic``."""
        self._running.add(connection)
        connection.set_progress_handler(
            lambda: self._is_closed or time.monotonic() > deadline, _PROGRESS_STEPS
        )
        try:
            connection.execute("BEGIN")
            return _answer(connection, question.reading(self._dialect), deadline)
        except sqlite3.OperationalError:
            if self._is_closed:
                raise StoreUnavailable(CLOSED) from None
            if time.monotonic() > deadline:
                raise QueryTimeout(_TOO_LONG) from None
            raise
        finally:
            self._running.discard(connection)
            connection.set_progress_handler(None, 0)
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def _answer(connection: sqlite3.Connection, reading: Reading[_T], deadline: float) -> _T:
    rows: Rows | None = None
    while True:
        try:
            sql, parameters, columns = reading.send(rows)  # type: ignore[arg-type]
        except StopIteration as stop:
            answer: _T = stop.value
            return answer
        if time.monotonic() > deadline:
            raise QueryTimeout(_TOO_LONG)
        # In one step, since each takes the interpreter lock, for which the reactor makes us wait.
        (found,) = connection.execute(
            f"SELECT json_group_array(json_array({', '.join(columns)})) FROM ({sql})", parameters
        ).fetchone()
        rows = json.loads(found)
