"""What the reading connections do."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from twisted.internet.defer import CancelledError

from ccstore.interfaces import StoreUnavailable
from ccstore.storage.reading.dialect import Question
from ccstore.storage.reading.statement import Reading, Rows, Statement, Test
from ccstore.storage.sqlite.asking import Asking
from ccstore.storage.sqlite.dialect import SqliteDialect

CLOSED: Final = "the database is closed"

_T = TypeVar("_T")


class ReadingConnection:
    """A connection on which statements can have tests, see :class:`Statement`.

    :ivar connection: that of SQLite.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._tests: Sequence[Test] = ()
        connection.create_function("ccstore_test", 2, self._test, deterministic=True)

    def use(self, tests: Sequence[Test]) -> None:
        """The next statement has these."""
        self._tests = tests

    def _test(self, number: int, value: Any) -> bool:
        return self._tests[number](value)


class Reader:
    """Answers questions; runs in the threads of the reading connections, one question in each.

    :param is_alone: no other thread of this process has work to do.
    """

    def __init__(self, dialect: SqliteDialect, *, is_alone: bool = False) -> None:
        self._dialect = dialect
        self._fetch = _fetch if is_alone else _fetch_in_one_step
        self._running: set[Asking] = set()
        self._is_closed = False

    def close(self) -> None:
        """End what runs; called from the reactor's thread."""
        self._is_closed = True
        for asking in tuple(self._running):
            asking.give_up()

    def read(self, reading: ReadingConnection, question: Question[_T], asking: Asking) -> _T:
        """See :meth:`IBackend.read`."""
        connection = reading.connection
        self._running.add(asking)
        try:
            with asking.on(connection):
                connection.execute("BEGIN")
                return self._answer(reading, question.reading(self._dialect), asking)
        except (sqlite3.OperationalError, CancelledError):
            if self._is_closed:
                raise StoreUnavailable(CLOSED) from None
            asking.check()
            raise
        finally:
            self._running.discard(asking)
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _answer(self, connection: ReadingConnection, reading: Reading[_T], asking: Asking) -> _T:
        rows: Rows | None = None
        while True:
            asking.check()
            try:
                statement = reading.send(rows)  # type: ignore[arg-type]
            except StopIteration as stop:
                answer: _T = stop.value
                return answer
            connection.use(statement.tests)
            # JSON has no bytes.
            fetch = _fetch if statement.has_bytes else self._fetch
            rows = fetch(connection.connection, statement)


def _fetch(connection: sqlite3.Connection, statement: Statement) -> Rows:
    columns = ", ".join(statement.columns)
    return connection.execute(f"SELECT {columns} FROM ({statement.sql})", statement.parameters).fetchall()


def _fetch_in_one_step(connection: sqlite3.Connection, statement: Statement) -> Rows:
    """Each step takes the interpreter lock, for which the reactor makes us wait."""
    columns = ", ".join(statement.columns)
    (found,) = connection.execute(
        f"SELECT json_group_array(json_array({columns})) FROM ({statement.sql})", statement.parameters
    ).fetchone()
    rows: Rows = json.loads(found)
    return rows
