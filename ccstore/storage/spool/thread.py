"""The thread in which everything is done with the file of the spool."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, TypeVar

from twisted.enterprise.adbapi import ConnectionPool

from ccstore.interfaces import StoreUnavailable
from ccstore.storage.dbfile.database_file import DatabaseFile
from ccstore.storage.dbfile.sql import set_pragmas
from ccstore.storage.dbfile.watch import FileChanged

_PRAGMAS = {
    "busy_timeout": "1000",
    "synchronous": "FULL",
    "cache_size": "-4096",
    "wal_autocheckpoint": "1024",
}
_Result = TypeVar("_Result")


class SpoolThread:
    """Does one thing after the other with a file, and looks at it before and after each."""

    def __init__(self, file: DatabaseFile, reactor: Any) -> None:
        self._file = file
        self._reactor = reactor
        self._pool: ConnectionPool | None = None

    def open(self, load: Callable[[sqlite3.Connection], None]) -> None:
        """Open or create the file; blocks. Raises :class:`StoreError` in one clear line.

        :param load: looks at what is there.
        """
        path = self._file.path
        with self._file.opening(), closing(sqlite3.connect(path, isolation_level=None)) as connection:
            _prepare(connection)
            self._file.prepare(connection)
            load(connection)
        self._pool = ConnectionPool(
            "sqlite3",
            f"{path.as_uri()}?mode=rw",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            cp_reactor=self._reactor,
            cp_min=1,
            cp_max=1,
            cp_noisy=False,
            cp_openfun=_prepare,
        )

    async def close(self) -> None:
        """Let the file go, after what was begun."""
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        with suppress(sqlite3.Error):
            await pool.runWithConnection(self._file.leave)
        pool.close()
        self._file.close()

    async def run(self, work: Callable[..., _Result], *arguments: Any, needs_place: bool = False) -> _Result:
        """Do something; its first argument is the connection.

        Fails with :class:`StoreUnavailable`, in one clear line.

        :param needs_place: it is of no use with a file that is not at the path. What is in such a file can
            still be sent.
        """
        if self._pool is None:
            raise StoreUnavailable("the spool is closed")
        try:
            result: _Result = await self._pool.runWithConnection(self._watched, needs_place, work, *arguments)
        except sqlite3.Error as error:
            raise self._file.unavailable(error) from None
        return result

    def _watched(
        self, connection: sqlite3.Connection, needs_place: bool, work: Callable[..., _Result], *arguments: Any
    ) -> _Result:
        watch = self._file.watch
        try:
            watch.look()
        except FileChanged as error:
            if needs_place or error.is_content:
                raise
        try:
            return work(connection, *arguments)
        finally:
            with suppress(FileChanged):
                watch.look(is_used=True)


def _prepare(connection: sqlite3.Connection) -> None:
    set_pragmas(connection, _PRAGMAS)
