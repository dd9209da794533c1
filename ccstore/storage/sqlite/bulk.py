"""Writing to the file while no daemon does, one batch after the other."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ccstore.batch import Batch
from ccstore.interfaces import StoreError
from ccstore.permissions import PRIVATE
from ccstore.storage.dbfile.database_file import DatabaseFile
from ccstore.storage.dbfile.sql import Say, set_pragmas
from ccstore.storage.sqlite.housekeeping import Housekeeping
from ccstore.storage.sqlite.local_writer import LocalWriter
from ccstore.storage.sqlite.pragmas import STATEMENTS_HELD, WRITER_PRAGMAS
from ccstore.storage.sqlite.reserve import Reserve
from ccstore.storage.sqlite.sizes import SIZES, SegmentSizes
from ccstore.storage.sqlite.versions import DATABASE
from ccstore.timing import nanoseconds

_Result = TypeVar("_Result")


class BulkWriter:
    """What the daemon's backend does to its file, without a reactor: everything blocks, in one thread.

    :param path: absolute.
    :param pragmas: for the connection, besides what is always set.
    :param retention: seconds after which events expire.
    :param say: tells people what goes wrong with views and the like.
    :param mode: of the file and those beside it.
    :param now: the time in nanoseconds since the epoch.
    """

    def __init__(
        self,
        path: Path,
        pragmas: Mapping[str, str],
        *,
        retention: float,
        say: Say,
        mode: int = PRIVATE,
        sizes: SegmentSizes = SIZES.segments,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._file = DatabaseFile(path, "database", DATABASE, mode, say)
        self._say = say
        self._pragmas = {**WRITER_PRAGMAS, **pragmas}
        self._retention = nanoseconds(retention)
        self._reserve = Reserve(path, mode)
        self._sizes = sizes
        self._now = now
        self._writer: LocalWriter | None = None

    def open(self) -> None:
        """Open or create the file; raises :class:`StoreError` in one clear line."""
        with self._file.opening():
            connection = sqlite3.connect(
                self._file.path, isolation_level=None, cached_statements=STATEMENTS_HELD
            )
            try:
                set_pragmas(connection, self._pragmas)
                self._file.prepare(connection)
                watch = self._file.watch
                writer = LocalWriter(
                    connection, watch, self._retention, None, self._now, self._say, self._sizes
                )
                writer.load()
                watch.look(is_used=True)
            except BaseException:
                connection.close()
                raise
        self._writer = writer

    @property
    def folder(self) -> Path:
        """Where the file is."""
        return self._file.path.parent

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection, for what goes into no batch."""
        return self._opened.writer.connection

    @property
    def _opened(self) -> LocalWriter:
        assert self._writer is not None, "not open"
        return self._writer

    def write(self, messages: Batch, also: Callable[[sqlite3.Connection], None]) -> None:
        """Commit these messages, which have to be fit for it, and what ``also`` does to the database.

        Raises :class:`StoreError`, such as when the disk is full or the file is locked.
        """
        local, watch = self._opened, self._file.watch
        with self.errors():
            watch.look()
            self._reserve.keep()
            local.writer.write(messages, also)
            if local.state.is_full:
                local.housekeeping.tend(self._now())
                while local.housekeeping.count() or local.housekeeping.merge():
                    pass
            watch.look(is_used=True)

    @property
    def housekeeping(self) -> Housekeeping:
        """What is done besides writing messages; to be done by :meth:`do`."""
        return self._opened.housekeeping

    def do(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """Do something with the file while it is the one at the path; raises :class:`StoreError`."""
        with self.errors():
            self._reserve.keep()
            return self._opened.guard(work, *arguments)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Errors of sqlite3 as those of the store."""
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(
                f"cannot write to the database {self._file.path}: {self._file.explain(error)}"
            ) from None

    def close(self) -> None:
        """Close the file, complete without its write-ahead log."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()
        self._file.close()
