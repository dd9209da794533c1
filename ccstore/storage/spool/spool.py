"""The spool as the reactor sees it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar

from twisted.enterprise.adbapi import ConnectionPool
from twisted.logger import Logger

from ccstore.interfaces import StoreError, StoreUnavailable
from ccstore.message import Batch
from ccstore.storage.spool.file import Group, SpoolFile
from ccstore.storage.sqlite.file import checkpoint
from ccstore.storage.sqlite.lock import FileLock

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
    :ivar failure: why the last batch could not be put in, or None.
    """

    log = Logger()

    def __init__(self, path: Path, max_size: int, reactor: Any) -> None:
        self._path = path
        self._max_size = max_size
        self._reactor = reactor
        self._file = SpoolFile(max_size)
        self._lock = FileLock(path, "spool")
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
        try:
            with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
                _prepare(connection)
                self._file.load(connection)
        except (sqlite3.Error, StoreError) as error:
            self._lock.release()
            raise StoreError(f"cannot open the spool {self._path}: {error}") from None
        self._pool = ConnectionPool(
            "sqlite3",
            str(self._path),
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
        with suppress(StoreError):
            await self._run(checkpoint)
        self._pool.close()
        self._pool = None
        self._lock.release()

    # -- work; all of it fails with StoreUnavailable, in one clear line

    async def append(self, messages: Batch, batch_id: int | None) -> None:
        """Put messages behind the others; they are on disk when this returns.

        :param batch_id: the id under which they may be in the database already, or None if they are not.
        """
        self._coming += 1
        try:
            await self._run(self._file.append, messages, batch_id)
        except StoreUnavailable as error:
            self.failure = str(error)
            raise
        finally:
            self._coming -= 1
        self.failure = None
        self.added += len(messages)

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

    def status(self) -> dict[str, object]:
        return {
            "messages": self._file.messages,
            "bytes": self._file.size,
            "max_bytes": self._max_size,
            "added": self.added,
            "unreadable": self._file.unreadable,
        }

    async def _run(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        if self._pool is None:
            raise StoreUnavailable("the spool is closed")
        try:
            result: _Result = await self._pool.runWithConnection(work, *arguments)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the spool {self._path}: {error}") from None
        return result


def _prepare(connection: sqlite3.Connection) -> None:
    for name, value in _PRAGMAS.items():
        connection.execute(f"PRAGMA {name} = {value}")
