"""Writing to the file while no daemon does, one batch after the other."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from ccstore.interfaces import StoreError
from ccstore.message import Batch
from ccstore.permissions import PRIVATE, make_empty
from ccstore.storage.dbfile.explain import explain
from ccstore.storage.dbfile.lock import FileLock
from ccstore.storage.dbfile.schema import give_mode
from ccstore.storage.dbfile.sql import Say, checkpoint, leave_log, set_pragmas
from ccstore.storage.dbfile.watch import Watch
from ccstore.storage.sqlite.pragmas import STATEMENTS_HELD, WRITER_PRAGMAS
from ccstore.storage.sqlite.reserve import Reserve
from ccstore.storage.sqlite.versions import DATABASE
from ccstore.storage.sqlite.writer import Writer


class BulkWriter:
    """What the daemon's backend does to its file, without a reactor: everything blocks, in one thread.

    :param path: absolute.
    :param pragmas: for the connection, besides what is always set.
    :param retention: seconds after which events expire.
    :param say: tells people what goes wrong with views and the like.
    :param mode: of the file and those beside it.
    """

    def __init__(
        self, path: Path, pragmas: Mapping[str, str], *, retention: float, say: Say, mode: int = PRIVATE
    ) -> None:
        self._path = path
        self._mode = mode
        self._say = say
        self._pragmas = {**WRITER_PRAGMAS, **pragmas}
        self._lock = FileLock(path, "database", mode)
        self._reserve = Reserve(path, mode)
        self._watch = Watch(path, "database", say)
        self._writer = Writer(int(retention * 1e9), time.time_ns, say)
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open or create the file; raises :class:`StoreError` in one clear line."""
        self._lock.take()
        make_empty(self._path, self._mode)
        try:
            self._connection = sqlite3.connect(
                self._path, isolation_level=None, cached_statements=STATEMENTS_HELD
            )
            set_pragmas(self._connection, self._pragmas)
            DATABASE.prepare(self._connection, self._path, self._mode, self._say)
            self._writer.load(self._connection)
            give_mode(self._path, self._mode)
            self._watch.begin()
            self._watch.look(is_used=True)
        except (sqlite3.Error, OSError, StoreError) as error:
            self.close()
            raise StoreError(f"cannot open the database {self._path}: {explain(error, self._path)}") from None

    @property
    def folder(self) -> Path:
        """Where the file is."""
        return self._path.parent

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection, for what goes into no batch."""
        assert self._connection is not None, "not open"
        return self._connection

    def write(self, messages: Batch, also: Callable[[sqlite3.Connection], None]) -> None:
        """Commit these messages, which have to be fit for it, and what ``also`` does to the database.

        Raises :class:`StoreError`, such as when the disk is full or the file is locked.
        """
        with self.errors():
            self._watch.look()
            self._reserve.keep()
            self._writer.write(self.connection, messages, also)
            if self._writer.state.is_full:
                self._writer.tend(self.connection, time.time_ns())
                while self._writer.merge(self.connection):
                    pass
            self._watch.look(is_used=True)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Errors of sqlite3 as those of the store."""
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(
                f"cannot write to the database {self._path}: {explain(error, self._path)}"
            ) from None

    def close(self) -> None:
        """Close the file, complete without its write-ahead log."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                (leave_log if self._watch.is_damaged else checkpoint)(self._connection)
            self._connection.close()
            self._connection = None
        self._watch.end()
        self._lock.release()
