"""What is packed is answered as what is not, in one order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.message import INT64_MAX, Message
from ccstore.storage.reading.dialect import Question
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.packing_offline import OfflinePacking
from tests.support.reading_contract import ReadingContract
from tests.support.sqlite_files import NO_SYNC, RETENTION, SPAN, SqliteFiles
from tests.support.stores import NOW


class PackingBackend:
    """A backend that packs all that is sealed whenever it is tended.

    :param make: gives one that is not open.
    """

    def __init__(self, files: SqliteFiles) -> None:
        self._files = files
        self._backend = self._opened()

    def _opened(self) -> SqliteBackend:
        backend = self._files.backend_at(self._files.path, NO_SYNC)
        backend.open()
        return backend

    def write(self, batch: Batch) -> Deferred[Mapping[str, int]]:
        return self._backend.write(batch)

    def read(self, question: Question[Any], *, timeout: float) -> Deferred[Any]:
        return self._backend.read(question, timeout=timeout)

    async def tend(self, now: int) -> None:
        await self._backend.tend(now)
        await self._backend.close()
        packing = OfflinePacking(
            self._files.path, NO_SYNC, retention=RETENTION, say=print, sizes=self._files.sizes.segments
        )
        packing.open()
        for _ in packing.run(INT64_MAX):
            pass
        packing.close()
        self._backend = self._opened()

    def close(self) -> Deferred[None]:
        return self._backend.close()


class PackedReadingTests(SqliteFiles, ReadingContract, TestCase):
    """Nearly all logs are packed, and the last ones are not."""

    now = NOW + SPAN

    def setUp(self) -> None:
        self.limit(segment_rows=5, packed_rows=40)
        self.backend = PackingBackend(self)
        self.addCleanup(lambda: self.backend.close())

    async def store(self, *stored: Message) -> None:
        await self.backend.write(Batch.of(stored))
        await self.backend.tend(NOW)

    async def test_it_is_packed(self) -> None:
        await self._filled(1)
        self.assertGreater(self.value("SELECT count(*) FROM segment WHERE packed > 0"), 1)
