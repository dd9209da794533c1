"""What was counted of the templates of segments is what a look at each message finds."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from math import inf
from typing import Any

from attrs import evolve
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.insight.fold_study import ORDERS, FoldInquiry
from ccstore.insight.new_study import NewInquiry
from ccstore.message import Message
from ccstore.query import Matcher, Selection, TextCondition
from ccstore.storage.blocks.tiles import TileSizes
from ccstore.storage.census import HOUR, SHORT
from ccstore.storage.pack_settings import Packing
from ccstore.storage.reading.studying import StudyQuestion
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.means import Means
from ccstore.storage.sqlite.sizes import SIZES, SegmentSizes
from tests.support.insight_story import without_ids
from tests.support.packing_backend import pack_all
from tests.support.sqlite_files import NO_SYNC, SqliteFiles, take_back
from tests.support.stores import NOW, SECOND, MemoryBackend, NoThreads, message

BEGIN = NOW // HOUR * HOUR
SPAN = 12 * HOUR
NEVER = -(2**63)
SEALED = "SELECT id FROM segment WHERE sealed_at IS NOT NULL AND row_count > 0"


class TemplatingCase(SqliteFiles, TestCase):
    now = BEGIN + SPAN
    retention = 86400 * 30.0
    pragmas = NO_SYNC
    sizes = evolve(
        SIZES,
        segments=SegmentSizes(
            segment_rows=40,
            merged_segments=3,
            merged_rows=11,
            divided_rows=9,
            counted_rows=13,
            masked_rows=7,
            template_entries=20,
        ),
        dividing_seconds=(60, 60),
        counting_seconds=(60, 60),
        merging_seconds=(60, 60),
        masking_seconds=(60, 60),
        masking_rate=inf,
    )

    async def fill(self, pick: random.Random, batches: int = 40) -> tuple[SqliteBackend, MemoryBackend]:
        """The same messages in a file and in lists; a few come late."""
        backend, memory = self.open(), MemoryBackend(study_rows=100_000)
        memory.open()
        for number in range(batches):
            batch = Batch.of([some_message(pick, number / batches) for _ in range(25)])
            await backend.write(batch)
            await memory.write(batch)
            if number % 5 < 3:
                await backend.tend(self.now)
        return backend, memory

    async def compare(self, backend: SqliteBackend, memory: MemoryBackend, pick: random.Random) -> None:
        for _ in range(30):
            question = StudyQuestion(some_inquiry(pick), pick.choice((NEVER, BEGIN + pick.randrange(SPAN))))
            found = (await backend.read(question, timeout=60)).found
            expected = (await memory.read(question, timeout=60)).found
            self.assertEqual(without_ids(found), without_ids(expected), question)

    def untold(self) -> list[tuple[Any, ...]]:
        return self.sql(f"{SEALED} AND id NOT IN (SELECT segment FROM templates_taken WHERE is_told)")


class TemplatingTests(TemplatingCase):
    async def test_folds_are_those_of_the_messages(self) -> None:
        """Of open, sealed and merged segments, whether or not all of them were counted."""
        for seed in range(2):
            pick = random.Random(seed)
            backend, memory = await self.fill(pick)
            await backend.tend(self.now)
            self.assertEqual(self.untold(), [])
            self.assertGreater(max(self.counts("log")), 100)
            await self.compare(backend, memory, pick)
            with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
                connection.execute("DELETE FROM templates_taken WHERE segment % 2")
            await self.compare(backend, memory, pick)
            await backend.close()
            self.path.unlink()

    async def test_no_row_is_looked_at(self) -> None:
        """But for the examples, where whole hours are asked for, and all streams or those of a cluster."""
        pick = random.Random(9)
        backend, memory = await self.fill(pick)
        await backend.tend(self.now)
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for kind in ("event", "log"):
                for number, *_ in self.segments(kind):
                    connection.execute(f"UPDATE {kind}_{number} SET text = 'another'")
        for selection in (
            Selection(),
            Selection(begin=BEGIN + HOUR, end=BEGIN + 5 * HOUR),
            Selection(("fritz",), ("log",), BEGIN + HOUR, BEGIN + 11 * HOUR),
        ):
            question = StudyQuestion(FoldInquiry(selection, SHORT), NEVER)
            found = (await backend.read(question, timeout=60)).found
            expected = (await memory.read(question, timeout=60)).found
            kept = {fold["template"] for fold in found["folds"] if fold["template"] != "another"}
            self.assertEqual(kept, {fold["template"] for fold in expected["folds"]} - {"only now"})

    async def test_events_that_came_late_and_that_expire(self) -> None:
        self.retention = 4 * 3600.0
        pick = random.Random(5)
        backend, memory = await self.fill(pick)
        await backend.tend(self.now)
        self.assertGreater(self.value("SELECT count(*) FROM segment WHERE begins_at IS NOT NULL"), 3)
        self.assertEqual(self.untold(), [])
        await self.compare(backend, memory, pick)
        for hours in (3, 5):
            cutoff = BEGIN + hours * HOUR + 17 * SECOND
            await backend.expire(cutoff)
            await memory.expire(cutoff)
            await backend.tend(self.now)
            await self.compare(backend, memory, pick)
        gone = "SELECT segment FROM templates WHERE segment NOT IN (SELECT id FROM segment)"
        self.assertEqual(self.sql(gone), [])

    async def test_templates_of_an_older_file_or_mask_are_taken_before_long(self) -> None:
        pick = random.Random(7)
        backend, memory = await self.fill(pick)
        await backend.close()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            take_back(connection, 3)
        backend = self.open()
        self.assertNotEqual(self.untold(), [])
        await self.compare(backend, memory, pick)
        await backend.tend(self.now)
        self.assertEqual(self.untold(), [])
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("UPDATE templates_taken SET mask = -1")
            connection.execute("UPDATE templates SET templates = zeroblob(1)")
        await self.compare(backend, memory, pick)
        await backend.tend(self.now)
        await self.compare(backend, memory, pick)

    async def test_those_of_packed_segments_are_taken_of_their_blocks(self) -> None:
        """By another mask, and where they were packed before anything was taken."""
        pick = random.Random(11)
        for is_taken in (True, False):
            backend, memory = await self.fill(pick)
            if is_taken:
                await backend.tend(self.now)
            await backend.close()
            pack_all(self)
            self.assertGreater(self.value("SELECT count(*) FROM segment WHERE packed > 0"), 0)
            with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
                connection.execute("UPDATE templates_taken SET mask = -1")
                connection.execute("UPDATE templates SET templates = zeroblob(1)")
            backend = self.open()
            await self.compare(backend, memory, pick)
            await backend.tend(self.now)
            self.assertEqual(self.untold(), [])
            await self.compare(backend, memory, pick)
            await backend.close()
            self.path.unlink()

    async def test_of_a_damaged_block_nothing_is_kept(self) -> None:
        pick = random.Random(12)
        backend, _ = await self.fill(pick)
        await backend.close()
        pack_all(self)
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("UPDATE block_columns SET texts = zeroblob(9)")
        backend = self.open()
        await backend.tend(self.now)
        packed = "segment IN (SELECT id FROM segment WHERE packed > 0)"
        self.assertEqual(self.sql(f"SELECT DISTINCT is_told FROM templates_taken WHERE {packed}"), [(0,)])
        self.assertEqual(self.sql(f"SELECT segment FROM templates WHERE {packed}"), [])

    async def test_texts_that_have_nothing_in_common_are_not_kept(self) -> None:
        self.limit(segment_rows=12_000, masked_rows=4096, template_entries=16384)
        backend, memory = self.open(), MemoryBackend(study_rows=100_000)
        memory.open()
        words = [
            f"{one}{two}{three}"
            for one in "abcdefghijklmnopqrstuvwxyz"
            for two in "aeiouy"
            for three in "bdfgkl"
        ]
        texts = [f"{one} {two}" for one in words[:120] for two in words[:120]]
        batch = Batch.of([message(text, BEGIN + place, "log") for place, text in enumerate(texts)])
        await backend.write(batch)
        await memory.write(batch)
        await backend.tend(self.now)
        self.assertEqual(self.sql("SELECT is_told FROM templates_taken"), [(0,)])
        self.assertEqual(self.value("SELECT count(*) FROM templates"), 0)

    async def test_nothing_is_taken_while_many_messages_come_in(self) -> None:
        self.sizes = evolve(self.sizes, masking_rate=0.0)
        backend = self.open()
        await backend.write(Batch.of([some_message(random.Random(1), 0.5) for _ in range(200)]))
        await backend.tend(self.now)
        self.assertEqual(self.value("SELECT count(*) FROM templates_taken"), 0)
        self.now += 2 * SECOND
        await backend.tend(self.now)
        self.assertEqual(self.untold(), [])


class ProcessTemplatingTests(TemplatingTests):
    """The same, where processes write and read."""

    is_apart = True


class PackedTemplatingTests(TemplatingCase):
    """All that is sealed is packed as soon as may be."""

    sizes = evolve(
        TemplatingCase.sizes,
        segments=evolve(TemplatingCase.sizes.segments, packed_rows=120),
        tiles=TileSizes(block_rows=8, blocks=4, step=2),
        packing_margin=0,
        packing_rest=0.0,
    )

    packing = Packing(1e-9)
    means = Means(threads=NoThreads)

    async def test_events_that_came_late_and_that_expire(self) -> None:
        self.retention = 4 * 3600.0
        pick = random.Random(5)
        backend, memory = await self.fill(pick)
        for hours in (3, 5):
            for _ in range(20):
                await backend.tend(self.now)
            await self.compare(backend, memory, pick)
            cutoff = BEGIN + hours * HOUR + 17 * SECOND
            await backend.expire(cutoff)
            await memory.expire(cutoff)
            await self.compare(backend, memory, pick)
        gone = "SELECT segment FROM templates WHERE segment NOT IN (SELECT id FROM segment)"
        self.assertEqual(self.sql(gone), [])

    async def test_templates_are_taken_of_blocks(self) -> None:
        pick = random.Random(3)
        backend, memory = await self.fill(pick)
        for _ in range(60):
            await backend.tend(self.now)
        packed = self.sql("SELECT id FROM segment WHERE packed > 0")
        self.assertGreater(len(packed), 4)
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("DELETE FROM templates_taken")
            connection.execute("DELETE FROM templates")
        await backend.tend(self.now)
        self.assertEqual(self.untold(), [])
        await self.compare(backend, memory, pick)
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("DELETE FROM templates_taken")
            connection.execute(f"UPDATE block_columns SET texts = x'00' WHERE segment = {packed[0][0]}")
        await backend.tend(self.now)
        self.assertEqual(self.untold(), packed[:1])


def some_message(pick: random.Random, progress: float) -> Message:
    """Later ones mostly have a later time."""
    place = progress if pick.random() < 0.95 else pick.random()
    host = pick.choice((None, "a01", "a02", "b01"))
    name = pick.choice(("job", "slurmd"))
    text = pick.choice((f"job {pick.randrange(999)} done", f"{host} is up", "quiet", f"{name} began"))
    labels = {"hostname": host, "type": pick.choice((None, "node")), "jobid": pick.choice((None, "1", "2"))}
    return message(
        text,
        BEGIN + int(place * SPAN) + pick.randrange(HOUR // 10),
        pick.choice(("event", "log", "log")),
        cluster=pick.choice(("alex", "fritz")),
        name=name,
        **{label: value for label, value in labels.items() if value is not None},
    )


def some_inquiry(pick: random.Random) -> FoldInquiry | NewInquiry:
    ops: Any = ("=", "!=", "=~", "!~")
    matchers = tuple(
        Matcher(
            pick.choice(("hostname", "name", "name", "kind", "cluster", "jobid")),
            pick.choice(ops),
            pick.sample(("a01", "a0[12]", "job", "log", "", ".*", "1"), 2),
        )
        for _ in range(pick.choice((0, 0, 1, 1, 2)))
    )
    times = [BEGIN + pick.choice((time := pick.randrange(SPAN), time // HOUR * HOUR)) for _ in range(2)]
    begin, end = pick.choice((sorted(times), (NEVER, 2**63), (min(times), 2**63)))
    selection = Selection(
        pick.choice(((), ("alex",))),
        pick.choice((("event", "log"), ("event",), ("log",))),
        begin,
        end,
        matchers,
        pick.choice(((), (), (TextCondition("contains", "b", True),))),
    )
    step = pick.choice((7 * SECOND * 60, SHORT, 3 * SHORT, HOUR, 3 * HOUR))
    if pick.random() < 0.3:
        return NewInquiry(selection, pick.choice(("store", "host", "host")), step)
    return FoldInquiry(selection, step, pick.choice([*ORDERS]), pick.choice((1, 100)))
