"""Processes that answer what takes long, as the daemon sees them.

A search over everything takes all of a core for seconds, and much of that in Python. In a thread it would
hold up everything else in the daemon, which waits for the same interpreter lock.
"""

from __future__ import annotations

import pickle
import sqlite3
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from ccstore.interfaces import StoreUnavailable
from ccstore.storage import process_channel
from ccstore.storage.reading.dialect import Question
from ccstore.storage.sqlite.asking import Asking
from ccstore.storage.sqlite.dialect import SqliteDialect
from ccstore.storage.sqlite.process_errors import unpack_error
from ccstore.storage.sqlite.reader import CLOSED
from ccstore.storage.sqlite.sizes import ReadingLimits

#: What comes in goes before what is looked for, where there is not time enough for both.
_NICENESS: Final = 10
_T = TypeVar("_T")


class ReaderProcess:
    """One of them. It answers one question at a time, and is started for the first.

    :param dialect: how the database is read.
    :param statements: that stay prepared.
    """

    def __init__(
        self, path: Path, pragmas: Mapping[str, str], dialect: SqliteDialect, statements: int
    ) -> None:
        self._statements = statements
        self._path = path
        self._pragmas = dict(pragmas)
        self._dialect = dialect
        self._channel: process_channel.Channel | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0
        self._sending = Lock()

    def read(self, question: Question[_T], asking: Asking) -> _T:
        """The answer; raises what was raised there, or sqlite3.OperationalError if there is no process."""
        with asking.on(self):
            try:
                if self._channel is None:
                    self._start()
                # Pickled, as nothing but this program reads or writes it.
                packed = pickle.dumps(question, pickle.HIGHEST_PROTOCOL)
                with self._sending:
                    self._number += 1
                    asking.check()
                    self._there.send((self._number, asking.seconds), [packed])
                error, attached = self._there.receive()
            except OSError as gone:
                self.close()
                raise sqlite3.OperationalError(f"a process that reads has ended: {gone}") from None
        if error is not None:
            asking.check()  # it may have been given up, or be late
            raise unpack_error(*error)
        result: _T = pickle.loads(attached[0])
        return result

    @property
    def _there(self) -> process_channel.Channel:
        if self._channel is None:
            raise ConnectionResetError(CLOSED)
        return self._channel

    def _start(self) -> None:
        self._process, ours = process_channel.start("ccstore.storage.sqlite.reader_process")
        self._channel = process_channel.Channel(ours)
        self._channel.send(
            (str(self._path), self._pragmas, self._statements, _NICENESS), [pickle.dumps(self._dialect)]
        )
        try:
            error, _ = self._channel.receive()
            if error is not None:
                raise unpack_error(*error)
        except BaseException:
            self.close()
            raise

    def kill(self) -> None:
        """End it, whatever it is doing: it only reads. For any thread."""
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End it; nobody must be waiting for its answer."""
        self.kill()
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            self._process.wait()
            self._process = None

    # -- for Asking, in any thread

    def interrupt(self) -> None:
        """Nobody waits for the answer any more."""
        with self._sending:
            if self._channel is not None:
                with suppress(OSError):
                    self._channel.send((self._number, 0.0))

    def set_progress_handler(self, handler: Callable[[], bool] | None, steps: int, /) -> None:
        """The process sees to it itself."""


class ReadersApart:
    """Some processes, and a thread for each that waits for what it answers.

    :param limits: how many processes there may be at a time, among others.
    """

    def __init__(
        self,
        path: Path,
        pragmas: Mapping[str, str],
        dialect: SqliteDialect,
        reactor: Any,
        limits: ReadingLimits,
    ) -> None:
        self._reactor = reactor
        self._processes = [
            ReaderProcess(path, pragmas, dialect, limits.statements) for _ in range(limits.processes)
        ]
        self._idle = [*self._processes]
        self._pool = ThreadPool(0, limits.processes, "ccstore-readers")
        self._pool.start()
        self._running: set[Asking] = set()
        self._is_closed = False

    def are_idle(self, count: int) -> bool:
        """Whether so many of them have nothing to do."""
        return len(self._processes) - len(self._running) >= count

    def read(self, question: Question[_T], asking: Asking) -> Deferred[_T]:
        """The answer, as soon as one of them has time for it."""
        self._running.add(asking)
        running: Deferred[_T] = deferToThreadPool(self._reactor, self._pool, self._read, question, asking)

        def ended(result: Any) -> Any:
            self._running.discard(asking)
            return result

        return running.addBoth(ended)

    def _read(self, question: Question[_T], asking: Asking) -> _T:
        # There are as many as threads, so that one is idle; the last one used is warm.
        process = self._idle.pop()
        try:
            asking.check()
            return process.read(question, asking)
        except (sqlite3.OperationalError, CancelledError):
            if self._is_closed:
                raise StoreUnavailable(CLOSED) from None
            raise
        finally:
            self._idle.append(process)

    def close(self) -> None:
        """End what runs, and the processes; called from the reactor's thread."""
        self._is_closed = True
        for asking in tuple(self._running):
            asking.give_up()
        # Before their threads are waited for.
        for process in self._processes:
            process.kill()
        self._pool.stop()
        for process in self._processes:
            process.close()
