"""The spool as the reactor sees it."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from ccstore.accounting.figures import Figures, counter, gauge
from ccstore.batch import Batch
from ccstore.interfaces import StoreUnavailable
from ccstore.permissions import PRIVATE
from ccstore.storage.dbfile.database_file import DatabaseFile
from ccstore.storage.dbfile.schema import Schema
from ccstore.storage.dbfile.sql import checkpoint
from ccstore.storage.dbfile.watch import FileChanged
from ccstore.storage.spool.file import SPOOL, Group, SpoolFile
from ccstore.storage.spool.thread import SpoolThread


class Spool:
    """See the package.

    :param path: absolute.
    :param file: what is done with the file at the path.
    :param mode: of the file and those beside it.
    :ivar failure: why the last batch could not be put in, or None.
    :ivar added: messages that were put in.
    """

    log = Logger()

    def __init__(
        self, path: Path, file: SpoolFile, reactor: Any, *, mode: int = PRIVATE, schema: Schema = SPOOL
    ) -> None:
        self._path = path
        self._file = file
        database_file = DatabaseFile(path, "spool", schema, mode, self._say)
        self._watch = database_file.watch
        self._thread = SpoolThread(database_file, reactor)
        self._coming = 0  # batches that are being put in
        self.failure: str | None = None
        self.added = 0

    def limit(self, max_size: int) -> None:
        """Another size from now on; what is there stays, even if it is more."""
        self._file.max_size = max_size

    def open(self) -> None:
        """Open or create it; blocks. Raises :class:`StoreError` in one clear line."""
        self._thread.open(self._file.load)
        if self._file.messages:
            self.log.info(
                "{messages} messages in the spool {path} are still to be sent",
                messages=self._file.messages,
                path=self._path,
            )

    async def close(self) -> None:
        """Close it, after what was begun."""
        await self._thread.close()

    def _say(self, text: str) -> None:
        self.log.warn("{text}", text=text)

    # -- work; all of it fails with StoreUnavailable, in one clear line

    async def append(self, messages: Batch, batch_id: int | None) -> None:
        """Put messages behind the others; they are on disk when this returns.

        :param batch_id: the id under which they may be in the database already, or None if they are not.
        """
        self._coming += 1
        try:
            await self._thread.run(self._append, messages, batch_id, needs_place=True)
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
        await self._thread.run(lambda connection: None, needs_place=True)

    async def head(self, most: int) -> Group | None:
        """What is to be sent next, see :meth:`SpoolFile.head`."""
        return await self._thread.run(self._file.head, most)

    async def discard(self, group: Group) -> None:
        """Forget what has been sent."""
        await self._thread.run(self._file.discard, group)

    async def give_back(self) -> None:
        """Give its space back to the file system, if it is empty."""
        if self.is_empty:
            with suppress(StoreUnavailable):  # next time will do
                while await self._thread.run(self._file.give_back):
                    pass
                await self._thread.run(checkpoint)

    async def expire(self, cutoff: int) -> int:
        """Drop what has expired, see :meth:`SpoolFile.expire`."""
        return 0 if self.is_empty else await self._thread.run(self._file.expire, cutoff)

    # -- figures

    @property
    def is_empty(self) -> bool:
        """Nothing is in it, nor on the way there."""
        return not self._file.messages and not self._coming

    @property
    def messages(self) -> int:
        """Messages in it."""
        return self._file.messages

    def status(self) -> Figures:
        """Figures about the file."""
        return Figures(
            messages=gauge(self._file.messages, "Messages in the spool."),
            bytes=gauge(self._file.size, "Bytes of the packed messages in the spool."),
            max_bytes=gauge(self._file.max_size, "Bytes that the spool may have."),
            added=counter(self.added, "Messages that went into the spool."),
            unreadable=gauge(self._file.unreadable, "Messages of damaged batches, which stay in the file."),
        )
