"""The connections that read, and the queries that run on them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from ccstore.interfaces import StoreUnavailable
from ccstore.storage.cancelling import cancellable
from ccstore.storage.dbfile.database_file import DatabaseFile
from ccstore.storage.dbfile.sql import set_pragmas
from ccstore.storage.dbfile.watch import FileChanged
from ccstore.storage.reading.dialect import Question
from ccstore.storage.sqlite.asking import Asking
from ccstore.storage.sqlite.dialect import SqliteDialect
from ccstore.storage.sqlite.driver_errors import translate
from ccstore.storage.sqlite.in_stretches import AT_ONCE, read_in_stretches
from ccstore.storage.sqlite.means import Means
from ccstore.storage.sqlite.reader import CLOSED, Reader, ReadingConnection
from ccstore.storage.sqlite.reader_client import ReadersApart
from ccstore.storage.sqlite.sizes import ReadingLimits

_Result = TypeVar("_Result")


class _Connections:
    """A few connections, with a thread for each."""

    def __init__(
        self,
        file: DatabaseFile,
        pragmas: Mapping[str, str],
        dialect: SqliteDialect,
        reactor: Any,
        limits: ReadingLimits,
        means: Means,
        *,
        is_apart: bool,
    ) -> None:
        self._file = file
        self._pragmas = pragmas
        self._limits = limits
        self._means = means
        self._reader = Reader(dialect)
        self._threads = means.threads(reactor, limits.readers, "ccstore-reader")
        self._idle: list[ReadingConnection] = []
        self._processes: ReadersApart | None = None
        if is_apart:
            self._processes = ReadersApart(file.path, pragmas, dialect, reactor, limits)

    async def ask(self, question: Question[_Result], timeout: float) -> _Result:
        """The answer; raises an error of the store."""
        asking = Asking(timeout, progress_steps=self._limits.progress_steps, clock=self._means.clock)
        if question.is_long and self._processes is not None:
            division = question.division() if self._processes.are_idle(AT_ONCE) else None
            if division is None:
                running = self._processes.read(question, asking)
            else:
                read = read_in_stretches(self._processes.read, question, division, asking)
                running = Deferred.fromCoroutine(read)
        else:
            running = self._threads.run(self._ask, question, asking)
        running.addErrback(translate, self._file)
        return await cancellable(running, asking.give_up)

    def _ask(self, question: Question[_Result], asking: Asking) -> _Result:
        try:
            connection = self._idle.pop()
        except IndexError:
            opened = self._means.connected(self._file.path, "ro", self._limits.statements)
            set_pragmas(opened, self._pragmas)
            connection = ReadingConnection(opened)
        try:
            return self._reader.read(connection, question, asking)
        finally:
            self._idle.append(connection)

    def close(self) -> None:
        """End the queries that run, and close the connections."""
        self._reader.close()
        if self._processes is not None:
            self._processes.close()
        self._threads.stop()
        for each in self._idle:
            each.connection.close()


class Readers:
    """Answers questions, from the file that is at the path.

    :param pragmas: for each connection.
    :param is_apart: what takes long is answered by processes of their own.
    """

    def __init__(
        self,
        file: DatabaseFile,
        pragmas: Mapping[str, str],
        dialect: SqliteDialect,
        reactor: Any,
        limits: ReadingLimits,
        means: Means,
        *,
        is_apart: bool = False,
    ) -> None:
        self._file = file
        self._connect = partial(
            _Connections, file, pragmas, dialect, reactor, limits, means, is_apart=is_apart
        )
        self._is_open = False
        self._connections: _Connections | None = None
        self.queries = 0

    def open(self) -> None:
        """From now on there are answers."""
        self._is_open = True

    def close(self) -> None:
        """End the queries that run; there are no more answers."""
        self._is_open = False
        self._disconnect()

    def _disconnect(self) -> None:
        if self._connections is not None:
            connections, self._connections = self._connections, None
            connections.close()

    async def read(self, question: Question[_Result], timeout: float) -> _Result:
        """See :meth:`ccstore.interfaces.IBackend.read`."""
        if not self._is_open:
            raise StoreUnavailable(CLOSED)
        self.queries += question.count
        watch = self._file.watch
        try:
            watch.check()
            if self._connections is None:
                self._connections = self._connect()
            answer = await self._connections.ask(question, timeout)
            # It may have been read from another file that was put there meanwhile.
            watch.check()
        except StoreUnavailable:
            try:
                watch.check()
            except FileChanged:
                # A connection that is made now may be to another file.
                self._disconnect()
                raise
            raise
        return answer
