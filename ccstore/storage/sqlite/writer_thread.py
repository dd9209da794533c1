"""The thread in which the file is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from ccstore.interfaces import StoreUnavailable
from ccstore.storage.dbfile.database_file import DatabaseFile
from ccstore.storage.sqlite.driver_errors import translate
from ccstore.storage.sqlite.reader import CLOSED
from ccstore.storage.sqlite.store_writer import StoreWriter
from ccstore.storage.sqlite.threads import Threads
from ccstore.storage.sqlite.writer import State

_Result = TypeVar("_Result")


class WriterThread:
    """One thread, in which one thing is done after the other, and what fails is an error of the store."""

    def __init__(self, file: DatabaseFile) -> None:
        self._file = file
        self._threads: Threads | None = None
        self._writer: StoreWriter | None = None
        self._running = 0  # works that have not ended

    def begin(self, writer: StoreWriter, threads: Threads) -> None:
        """Work with this writer from now on.

        :param threads: no more than one.
        """
        self._writer = writer
        self._threads = threads

    @property
    def is_busy(self) -> bool:
        """There is something that was to be done and has not ended."""
        return self._running > 0

    @property
    def is_open(self) -> bool:
        """It was begun, and not closed."""
        return self._threads is not None

    @property
    def writer(self) -> StoreWriter:
        """Raises :class:`StoreUnavailable` if it is closed."""
        if self._threads is None or self._writer is None:
            raise StoreUnavailable(CLOSED)
        return self._writer

    @property
    def state(self) -> State:
        """Of the writer, also of one that is closed."""
        return State() if self._writer is None else self._writer.state

    def do(self, work: Callable[..., _Result], *arguments: Any) -> Deferred[_Result]:
        """Do something with the file, if it is the one at the path."""
        try:
            return self.run(self.writer.guard, work, *arguments)
        except StoreUnavailable:
            return fail()

    def run(self, work: Callable[..., _Result], *arguments: Any) -> Deferred[_Result]:
        """Do something, whatever has become of the file."""
        if self._threads is None:
            return fail(StoreUnavailable(CLOSED))
        self._running += 1
        running = self._threads.run(work, *arguments)
        running.addBoth(self._ran)
        return running.addErrback(translate, self._file)

    def _ran(self, result: _Result | Failure) -> _Result | Failure:
        self._running -= 1
        return result

    async def close(self) -> None:
        """Close the file, behind all that was to be done."""
        closing = self.run(self.writer.close)
        threads, self._threads = self._threads, None
        try:
            await closing
        finally:
            assert threads is not None
            threads.stop()
