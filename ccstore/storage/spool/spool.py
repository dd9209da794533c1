"""The spool as the reactor sees it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar

from twisted.enterprise.adbapi import ConnectionPool
from twisted.logger import Logger

from ccstore.accounting.figures import Figures, counter, gauge
from ccstore.batch import Batch
from ccstore.interfaces import StoreError, StoreUnavailable
from ccstore.permissions import PRIVATE, make_empty
from ccstore.storage.dbfile.explain import explain, is_damage
from ccstore.storage.dbfile.lock import FileLock
from ccstore.storage.dbfile.schema import Schema, give_mode
from ccstore.storage.dbfile.sql import checkpoint, leave_log
from ccstore.storage.dbfile.watch import FileChanged, Watch
from ccstore.storage.spool.file import SPOOL, Group, SpoolFile

_PRAGMAS = {
    "busy_timeout": "1000",
    "synchronous": "FULL",
    "cache_size": "-4096",
    "wal_autocheckpoint": "1024",
}
_Result = TypeVar("_Result")


class Spool:
    """See the package.

    :param path: absolute.
    :param max_size: bytes of packed messages that it holds at most.
    :param mode: of the file and those beside it.
    :ivar failure: why the last batch could not be put in, or None.
    """

    log = Logger()

    def __init__(
        self, path: Path, max_size: int, reactor: Any, *, mode: int = PRIVATE, schema: Schema = SPOOL
    ) -> None:
        self._path = path
        self._max_size = max_size
        self._reactor = reactor
        self._file = SpoolFile(max_size)
        self._mode = mode
        self._schema = schema
        self._lock = FileLock(path, "spool", mode)
        self._watch = Watch(path, "spool", self._say)
        self._pool: ConnectionPool | None = None
        self._coming = 0  # batches that are being put in
        self.failure: str | None = None
        self.added = 0

    def limit(self, max_size: int) -> None:
        """Another size from now on; what is there stays, even if it is more."""
        self._max_size = self._file.max_size = max_size

    # -- life

    def open(self) -> None:
        """Open or create it; blocks. Raises :class:`StoreError` in one clear line."""
        self._lock.take()
        make_empty(self._path, self._mode)
        try:
            with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
                _prepare(connection)
                self._schema.prepare(connection, self._path, self._mode, self._say)
                self._file.load(connection)
            give_mode(self._path, self._mode)
            self._watch.begin()
        except (sqlite3.Error, OSError, StoreError) as error:
            self._lock.release()
            raise StoreError(f"cannot open the spool {self._path}: {explain(error, self._path)}") from None
        self._pool = ConnectionPool(
            "sqlite3",
            f"{self._path.as_uri()}?mode=rw",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            cp_reactor=self._reactor,
            cp_min=1,
            cp_max=1,
            cp_noisy=False,
            cp_openfun=_prepare,
        )
        if self._file.messages:
            self.log.info(
                "{messages} messages in the spool {path} are still to be sent",
                messages=self._file.messages,
                path=self._path,
            )

    async def close(self) -> None:
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        with suppress(sqlite3.Error):
            await pool.runWithConnection(leave_log if self._watch.is_damaged else checkpoint)
        pool.close()
        self._watch.end()
        self._lock.release()

    def _say(self, text: str) -> None:
        self.log.warn("{text}", text=text)

    # -- work; all of it fails with StoreUnavailable, in one clear line

    async def append(self, messages: Batch, batch_id: int | None) -> None:
        """Put messages behind the others; they are on disk when this returns.

        :param batch_id: the id under which they may be in the database already, or None if they are not.
        """
        self._coming += 1
        try:
            await self._run(self._append, messages, batch_id, needs_place=True)
        except StoreUnavailable as error:
            self.failure = str(error)
            raise
        finally:
            self._coming -= 1
        self.failure = None
        self.added += len(messages)

    def _append(self, connection: sqlite3.Connection, messages: Batch, batch_id: int | None) -> None:
        number = self._file.append(connection, messages, batch_id)
        try:
            self._watch.check()
        except FileChanged:
            self._file.take_back(connection, number)  # it will come again
            raise

    async def check(self) -> None:
        """Whether the file at the path is the one that is open."""
        await self._run(lambda connection: None, needs_place=True)

    async def head(self, most: int) -> Group | None:
        """What is to be sent next, see :meth:`SpoolFile.head`."""
        return await self._run(self._file.head, most)

    async def discard(self, group: Group) -> None:
        """Forget what has been sent."""
        await self._run(self._file.discard, group)

    async def give_back(self) -> None:
        """Give its space back to the file system, if it is empty."""
        if self.is_empty:
            with suppress(StoreUnavailable):  # next time will do
                while await self._run(self._file.give_back):
                    pass
                await self._run(checkpoint)

    async def expire(self, cutoff: int) -> int:
        """Drop what has expired, see :meth:`SpoolFile.expire`."""
        return 0 if self.is_empty else await self._run(self._file.expire, cutoff)

    # -- figures

    @property
    def is_empty(self) -> bool:
        """Nothing is in it, nor on the way there."""
        return not self._file.messages and not self._coming

    @property
    def messages(self) -> int:
        return self._file.messages

    def status(self) -> Figures:
        """Figures about the file."""
        return Figures(
            messages=gauge(self._file.messages, "Messages in the spool."),
            bytes=gauge(self._file.size, "Bytes of the packed messages in the spool."),
            max_bytes=gauge(self._max_size, "Bytes that the spool may have."),
            added=counter(self.added, "Messages that went into the spool."),
            unreadable=gauge(self._file.unreadable, "Messages of damaged batches, which stay in the file."),
        )

    async def _run(self, work: Callable[..., _Result], *arguments: Any, needs_place: bool = False) -> _Result:
        """Do something in the spool's thread.

        :param needs_place: it is of no use with a file that is not at the path. What is in such a file can
            still be sent.
        """
        if self._pool is None:
            raise StoreUnavailable("the spool is closed")
        try:
            result: _Result = await self._pool.runWithConnection(self._watched, needs_place, work, *arguments)
        except sqlite3.Error as error:
            if needs_place:
                self._watch.check()  # what it says explains anything
            reason = f"the spool {self._path}: {explain(error, self._path)}"
            if is_damage(error):
                self._watch.condemn(reason)
            raise StoreUnavailable(reason) from None
        return result

    def _watched(
        self, connection: sqlite3.Connection, needs_place: bool, work: Callable[..., _Result], *arguments: Any
    ) -> _Result:
        try:
            self._watch.look()
        except FileChanged as error:
            if needs_place or error.is_content:
                raise
        try:
            return work(connection, *arguments)
        finally:
            with suppress(FileChanged):
                self._watch.look(is_used=True)


def _prepare(connection: sqlite3.Connection) -> None:
    for name, value in _PRAGMAS.items():
        connection.execute(f"PRAGMA {name} = {value}")
