"""The connections that read, in threads of the daemon and in processes beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.defer import Deferred

from ccstore.storage.reading.dialect import Question
from ccstore.storage.sqlite.asking import Asking
from ccstore.storage.sqlite.dialect import SqliteDialect
from ccstore.storage.sqlite.file import set_pragmas
from ccstore.storage.sqlite.reader import PREPARED, Reader, ReadingConnection
from ccstore.storage.sqlite.reader_client import ReadersApart

#: Threads, each with a connection.
_THREADS: Final = 3
_T = TypeVar("_T")


class Readers:
    """Answers questions: what may take long beside the daemon, so that nobody waits behind it.

    :param pragmas: of each connection.
    :param is_apart: there may be processes.
    """

    def __init__(
        self, path: Path, pragmas: Mapping[str, str], dialect: SqliteDialect, reactor: Any, *, is_apart: bool
    ) -> None:
        self._path = path
        self._pragmas = pragmas
        self._dialect = dialect
        self._reactor = reactor
        self._is_apart = is_apart
        self._reader: Reader | None = None
        self._threads: ConnectionPool | None = None
        self._processes: ReadersApart | None = None

    def start(self) -> None:
        """Be ready to read the file that is at the path now."""
        if self._threads is not None:
            return
        self._reader = Reader(self._dialect)
        self._threads = ConnectionPool(
            "sqlite3",
            # It must not make a file where there is none any more.
            f"{self._path.as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=PREPARED,
            factory=ReadingConnection,
            cp_reactor=self._reactor,
            cp_min=1,
            cp_max=_THREADS,
            cp_noisy=False,
            cp_openfun=self._prepare,
        )
        if self._is_apart:
            self._processes = ReadersApart(self._path, self._pragmas, self._dialect, self._reactor)

    def stop(self) -> None:
        """End the queries that run, and close their connections."""
        if self._reader is not None:
            self._reader.close()
        if self._processes is not None:
            processes, self._processes = self._processes, None
            processes.close()
        if self._threads is not None:
            threads, self._threads = self._threads, None
            threads.close()

    def read(self, question: Question[_T], asking: Asking) -> Deferred[_T]:
        """The answer; it is started if need be."""
        self.start()
        if question.is_long and self._processes is not None:
            return self._processes.read(question, asking)
        assert self._threads is not None
        assert self._reader is not None
        answer: Deferred[_T] = self._threads.runWithConnection(self._reader.read, question, asking)
        return answer

    def _prepare(self, connection: sqlite3.Connection) -> None:
        set_pragmas(connection, self._pragmas)
