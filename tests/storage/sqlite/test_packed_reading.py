"""What is packed is answered as what is not, in one order."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.insight.fold_study import FoldInquiry
from ccstore.instants import show_moment
from ccstore.message import Message
from ccstore.query import Counting, Selection, TextCondition
from ccstore.storage.blocks.tiles import TileSizes
from ccstore.storage.pack_settings import Packing
from ccstore.storage.reading.counts import CountsQuestion
from ccstore.storage.reading.dialect import Fetching
from ccstore.storage.reading.pages import Limits, Pages
from ccstore.storage.reading.studying import StudyQuestion
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.dialect import SqliteDialect
from ccstore.storage.sqlite.sizes import SIZES, SegmentSizes
from tests.support.packing_backend import PackingBackend
from tests.support.reading_contract import ReadingContract
from tests.support.some_spans import SpansInquiry
from tests.support.sqlite_files import NO_SYNC, RETENTION, SPAN, SqliteFiles
from tests.support.stores import NOW, SECOND, message

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
        for kind in ("event", "log"):
            self.assertGreater(
                self.value(f"SELECT count(*) FROM segment WHERE packed > 2 AND kind = '{kind}'"), 1
            )
        self.assertGreater(self.value("SELECT count(*) FROM vocabulary"), 0)


class ReadingWhilePackingTests(SqliteFiles, ReadingContract, TestCase):
    """Logs are packed, bit by bit, while questions are answered, those that take long in stretches."""

    now = NOW + SPAN
    sizes = SMALL

    def setUp(self) -> None:
        self.backend = _LaterTending(
            self.path,
            NO_SYNC,
            retention=RETENTION,
            now=lambda: self.now,
            reactor=reactor,
            sizes=self.sizes,
            packing=Packing(after=1e-9),
            dialect=SqliteDialect(Fetching(undivided=1)),
            is_apart=True,
        )
        self.backend.open()
        self.addCleanup(self.backend.close)

    async def store(self, *stored: Message) -> None:
        await self.backend.write(Batch.of(stored))
        await self.backend.tend(NOW)

    async def test_it_is_packed(self) -> None:
        await self._filled(1)
        packed = "SELECT count(DISTINCT kind) FROM segment WHERE packed > 0 AND kind IN ('event', 'log')"
        while self.value(packed) < 2:
            await self.backend.tend(NOW)
            await deferLater(reactor, 0.001)


class _LaterTending(SqliteBackend):
    """One for which all messages are old enough; a step of packing is taken with some of the questions."""

    asked = 0

    def tend(self, now: int) -> Any:
        return super().tend(now + 1000)

    def read(self, question: Any, *, timeout: float) -> Any:
        return Deferred.fromCoroutine(self._read_meanwhile(question, timeout))

    async def _read_meanwhile(self, question: Any, timeout: float) -> Any:
        self.asked += 1
        tending = None if self.asked % 8 else self.tend(NOW)
        answer = await super().read(question, timeout=timeout)
        if tending is not None:
            await tending
        return answer


class DamageTests(SqliteFiles, TestCase):
    """What cannot be read is told, and the rest is there."""

    now = NOW + SPAN
    sizes = SMALL

    async def filled(self) -> PackingBackend:
        """Twelve messages in three blocks of four."""
        self.sizes = evolve(SMALL, segments=SegmentSizes(segment_rows=12, packed_rows=12))
        backend = PackingBackend(self)
        self.addCleanup(lambda: backend.close())
        for place in range(13):
            await backend.write(Batch.of([message(f"text {place}", NOW + place, "log", hostname="a01")]))
        await backend.tend(NOW)
        return backend

    def damage(self, column: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            table = "block" if column == "streams" else "block_columns"
            shorter = f"substr({column}, 1, length({column}) - 1) || x'00'"
            connection.execute(f"UPDATE {table} SET {column} = CAST({shorter} AS BLOB) WHERE number = 1")

    async def test_only_the_rows_of_a_damaged_block_are_missing(self) -> None:
        backend = await self.filled()
        ((first, last),) = self.sql("SELECT first_time, last_time FROM block WHERE number = 1")
        for column in ("texts", "times", "ids", "lengths", "tag_codes", "tags", "streams"):
            self.damage(column)
            await backend.close()
            backend = PackingBackend(self)
            self.addCleanup(backend.close)
            (page,) = await backend.read(Pages([Selection(kinds=("log",))], 0, Limits(100)), timeout=60)
            self.assertEqual(len(page.rows), 9, column)
            (loss,) = page.losses
            self.assertIn(f"4 logs from {show_moment(first)} to {show_moment(last)} cannot be read", loss)

    async def test_counts_tell_it_too(self) -> None:
        backend = await self.filled()
        self.damage("texts")
        selection = Selection(kinds=("log",), texts=(TextCondition("contains", "text"),))
        counts = await backend.read(CountsQuestion(Counting(selection), 0), timeout=60)
        self.assertEqual([count.messages for count in counts.counts], [9])
        self.assertEqual(len(counts.losses), 1)

    async def test_studies_tell_it_too(self) -> None:
        backend = await self.filled()
        self.damage("texts")
        logs = Selection(kinds=("log",), texts=(TextCondition("contains", "text"),))
        folded = await backend.read(StudyQuestion(FoldInquiry(logs, SECOND), 0), timeout=60)
        self.assertEqual(folded.found["total"], 9)
        self.assertEqual(len(folded.losses), 1)
        spans = SpansInquiry({("alex", "a01"): [(NOW, NOW + 13)]}, 100)
        spanned = await backend.read(StudyQuestion(spans, 0), timeout=60)
        self.assertEqual(len(spanned.found.rows), 9)
        self.assertEqual(spanned.losses, folded.losses)

    async def test_without_words_each_block_is_searched(self) -> None:
        backend = await self.filled()
        selection = Selection(kinds=("log",), texts=(TextCondition("contains", "TEXT 7", True),))
        for statement in ("UPDATE vocabulary SET words = x'0102'", "DELETE FROM vocabulary"):
            with closing(sqlite3.connect(self.path)) as connection, connection:
                connection.execute(statement)
            (page,) = await backend.read(Pages([selection], 0, Limits(100)), timeout=60)
            self.assertEqual([row.text for row in page.rows], ["text 7"])
            self.assertEqual([*page.losses], [])
