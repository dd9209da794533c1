"""A store whose sealed segments are packed as soon as it is tended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred

from ccstore.batch import Batch
from ccstore.message import INT64_MAX
from ccstore.storage.reading.dialect import Question
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.packing_offline import OfflinePacking
from tests.support.sqlite_files import NO_SYNC, RETENTION, SqliteFiles


class PackingBackend:
    """A backend that packs all that is sealed whenever it is tended, and has an index of the words."""

    def __init__(self, files: SqliteFiles) -> None:
        self._files = files
        self._backend = self._opened()

    def _opened(self) -> SqliteBackend:
        backend = self._files.backend_at(self._files.path, NO_SYNC)
        backend.open()
        return backend

    def write(self, batch: Batch) -> Deferred[Mapping[str, int]]:
        """See :class:`ccstore.interfaces.IBackend`."""
        return self._backend.write(batch)

    def read(self, question: Question[Any], *, timeout: float) -> Deferred[Any]:
        """See :class:`ccstore.interfaces.IBackend`."""
        return self._backend.read(question, timeout=timeout)

    async def tend(self, now: int) -> None:
        """Nobody has the file open meanwhile."""
        await self._backend.tend(now)
        await self._backend.close()
        pack_all(self._files)
        self._backend = self._opened()

    def close(self) -> Deferred[None]:
        """See :class:`ccstore.interfaces.IBackend`."""
        return self._backend.close()


def pack_all(files: SqliteFiles) -> None:
    """Pack what is sealed in a file that nobody has open."""
    packing = OfflinePacking(
        files.path, NO_SYNC, retention=RETENTION, say=print, sizes=files.sizes, now=lambda: files.now
    )
    packing.open()
    try:
        for _ in packing.run(INT64_MAX):
            pass
    finally:
        packing.close()
