"""What is packed is answered as what is not, in one order."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.message import Message
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.sizes import SIZES, SegmentSizes, TileSizes
from tests.support.packing_backend import PackingBackend
from tests.support.reading_contract import ReadingContract
from tests.support.sqlite_files import NO_SYNC, RETENTION, SPAN, SqliteFiles
from tests.support.stores import NOW

#: A few rows in a block, a few blocks in a tile, and a few tiles in a segment.
SMALL = evolve(
    SIZES,
    segments=SegmentSizes(segment_rows=5, packed_rows=60),
    tiles=TileSizes(block_rows=4, blocks=3, step=2),
    packing_rest=0.0,
    packing_margin=0,
)


class PackedReadingTests(SqliteFiles, ReadingContract, TestCase):
    """Nearly all logs are packed, and the last ones are not."""

    now = NOW + SPAN
    sizes = SMALL

    def setUp(self) -> None:
        self.backend = PackingBackend(self)
        self.addCleanup(lambda: self.backend.close())

    async def store(self, *stored: Message) -> None:
        await self.backend.write(Batch.of(stored))
        await self.backend.tend(NOW)

    async def test_it_is_packed(self) -> None:
        await self._filled(1)
        self.assertGreater(self.value("SELECT count(*) FROM segment WHERE packed > 2"), 1)
        self.assertGreater(self.value("SELECT count(*) FROM vocabulary"), 0)


class ReadingWhilePackingTests(SqliteFiles, ReadingContract, TestCase):
    """Logs are packed, bit by bit, while questions are answered."""

    now = NOW + SPAN
    sizes = SMALL

    def setUp(self) -> None:
        self.backend = _LaterTending(
            self.path,
            NO_SYNC,
            retention=RETENTION,
            pack_after=1e-9,
            now=lambda: self.now,
            reactor=reactor,
            sizes=self.sizes,
        )
        self.backend.open()
        self.addCleanup(self.backend.close)

    async def store(self, *stored: Message) -> None:
        await self.backend.write(Batch.of(stored))
        await self.backend.tend(NOW)

    async def test_it_is_packed(self) -> None:
        await self._filled(1)
        await self.backend.tend(NOW)
        self.assertGreater(self.value("SELECT count(*) FROM segment WHERE packed > 0"), 0)


class _LaterTending(SqliteBackend):
    """One for which all messages are old enough; of those of packing a step is taken at each question."""

    def tend(self, now: int) -> Any:
        return super().tend(now + 1000)

    def read(self, question: Any, *, timeout: float) -> Any:
        return Deferred.fromCoroutine(self._read_meanwhile(question, timeout))

    async def _read_meanwhile(self, question: Any, timeout: float) -> Any:
        tending = self.tend(NOW)
        answer = await super().read(question, timeout=timeout)
        await tending
        return answer
