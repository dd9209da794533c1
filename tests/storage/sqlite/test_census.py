"""What segments have is counted once, and is what a look at each message finds."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from typing import Any

from attrs import evolve
from twisted.trial.unittest import TestCase

from benchmarks.audit import Audit, snapshot
from ccstore.batch import Batch
from ccstore.message import Message
from ccstore.query import STREAM_LABELS, Counting, Counts, Matcher, Selection
from ccstore.storage.blocks.tiles import TileSizes
from ccstore.storage.census import HOUR, SHORT, packed_numbers
from ccstore.storage.reading.counts import CountsQuestion
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.sizes import SIZES, SegmentSizes
from tests.support.packing_backend import pack_all
from tests.support.sqlite_files import NO_SYNC, SqliteFiles, take_back
from tests.support.stores import NOW, SECOND, MemoryBackend, message

BEGIN = NOW // HOUR * HOUR
SPAN = 12 * HOUR
DAYS = 86400 * 30
NEVER = -(2**63)
ERRORS = Matcher("level", "=~", ("e.*", ""))


class CensusTests(SqliteFiles, TestCase):
    now = BEGIN + SPAN
    retention = float(DAYS)
    pragmas = NO_SYNC
    sizes = evolve(
        SIZES,
        segments=SegmentSizes(
            segment_rows=40, merged_segments=3, merged_rows=11, divided_rows=9, counted_rows=13
        ),
        dividing_seconds=(60, 60),
        counting_seconds=(60, 60),
        merging_seconds=(60, 60),
    )

    async def fill(self, pick: random.Random, batches: int = 40) -> tuple[SqliteBackend, MemoryBackend]:
        """The same messages in a file, of which a few come late, and in lists."""
        backend, memory = self.open(), MemoryBackend()
        memory.open()
        for number in range(batches):
            batch = Batch.of([some_message(pick, number / batches) for _ in range(25)])
            await backend.write(batch)
            await memory.write(batch)
            if number % 5 < 3:
                await backend.tend(self.now)
        return backend, memory

    async def compare(self, backend: SqliteBackend, memory: MemoryBackend, pick: random.Random) -> None:
        for _ in range(120):
            question = CountsQuestion(some_counting(pick), pick.choice((NEVER, BEGIN + some_time(pick))))
            found = await backend.read(question, timeout=60)
            expected = await memory.read(question, timeout=60)
            self.assertEqual(shown(found), shown(expected), question)

    def audit(self) -> list[str]:
        with snapshot(self.path) as connection:
            return Audit(self.sizes.segments).problems(connection)

    async def test_counts_are_those_of_the_messages(self) -> None:
        """Of open, sealed and merged segments, whatever is asked, and whether or not all have a census."""
        for seed in range(3):
            pick = random.Random(seed)
            backend, memory = await self.fill(pick)
            await backend.tend(self.now)
            self.assertEqual(self.uncounted(), [])
            self.assertGreater(max(self.counts("log")), 100)
            self.assertEqual(self.audit(), [])
            await self.compare(backend, memory, pick)
            with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
                connection.execute("DELETE FROM census WHERE segment % 2")
            await self.compare(backend, memory, pick)
            await backend.close()
            self.path.unlink()

    async def test_of_packed_segments_too(self) -> None:
        self.limit(packed_rows=60)
        self.sizes = evolve(self.sizes, tiles=TileSizes(block_rows=4, blocks=3, step=2))
        pick = random.Random(23)
        backend, memory = await self.fill(pick)
        await backend.tend(self.now)
        await backend.close()
        pack_all(self)
        self.assertGreater(self.value("SELECT count(*) FROM segment WHERE packed > 0"), 1)
        self.assertEqual(self.uncounted(), [])
        self.assertEqual(self.sql("SELECT count(*) FROM census WHERE levels IS NULL"), [(0,)])
        backend = self.open()
        await self.compare(backend, memory, pick)
        for step in (4 * SHORT, 2 * HOUR):
            counting = Counting(Selection(), ("level",), step, SHORT // 2, None, with_times=False)
            found = await backend.read(CountsQuestion(counting, NEVER), timeout=60)
            expected = await memory.read(CountsQuestion(counting, NEVER), timeout=60)
            self.assertEqual(shown(found), shown(expected), counting)

    async def test_events_that_came_late_and_that_expire(self) -> None:
        self.retention = 4 * 3600.0
        pick = random.Random(5)
        backend, memory = await self.fill(pick)
        await backend.tend(self.now)
        self.assertEqual(self.uncounted(), [])
        self.assertEqual(self.audit(), [])
        self.assertGreater(self.value("SELECT count(*) FROM segment WHERE begins_at IS NOT NULL"), 3)
        await self.compare(backend, memory, pick)
        for hours in (3, 5):
            cutoff = BEGIN + hours * HOUR + 17 * SECOND
            await backend.expire(cutoff)
            await memory.expire(cutoff)
            await backend.tend(self.now)
            self.assertEqual(self.audit(), [])
            await self.compare(backend, memory, pick)
        # Kept longer from now on, which does not bring back what had expired.
        await backend.retain(float(DAYS))
        await backend.expire(self.now - DAYS * SECOND)
        await memory.expire(self.now - 4 * HOUR)
        await self.compare(backend, memory, pick)

    async def test_no_row_is_looked_at(self) -> None:
        """Of sealed segments, where whole steps are asked for."""
        pick = random.Random(9)
        backend, memory = await self.fill(pick)
        await backend.tend(self.now)
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for kind in ("event", "log"):
                for number, *_ in self.segments(kind):
                    connection.execute(f"UPDATE {kind}_{number} SET stream = 1000000")
        for counting in (
            Counting(Selection(), ("hostname",)),
            Counting(Selection(), STREAM_LABELS),
            Counting(Selection(begin=BEGIN + HOUR, end=BEGIN + 5 * HOUR), ("hostname",), with_times=False),
            Counting(Selection(begin=BEGIN + HOUR, end=BEGIN + 5 * HOUR), ("type",), HOUR, with_times=False),
            Counting(Selection(begin=BEGIN + SHORT), ("name",), SHORT, with_times=False),
            Counting(Selection(("fritz",)), ("hostname",), 2 * HOUR, top=1, with_times=False),
            Counting(Selection(("fritz",)), ("level",), with_times=False),
            Counting(Selection(matchers=(ERRORS,)), ("level", "name"), SHORT, 0, 2, with_times=False),
            Counting(Selection(begin=BEGIN + 1), ("level",), 2 * SHORT, BEGIN + 1, with_times=False),
            Counting(Selection(begin=BEGIN + 1), ("name",), SHORT, BEGIN + 1, with_times=False),
        ):
            question = CountsQuestion(counting, NEVER)
            found = await backend.read(question, timeout=60)
            expected = await memory.read(question, timeout=60)
            self.assertEqual(shown(found), shown(expected), counting)

    async def test_a_census_of_a_clock_that_is_wrong_has_no_cells(self) -> None:
        backend, memory = self.open(), MemoryBackend()
        memory.open()
        pick = random.Random(3)
        wrong = [message("long ago", time, "log") for time in (NEVER, 0, 2**63 - 1)]
        batch = Batch.of([*wrong, *(some_message(pick, 0.5) for _ in range(200))])
        await backend.write(batch)
        await memory.write(batch)
        await backend.tend(self.now)
        self.assertEqual(self.sql("SELECT cells FROM census WHERE first < ?", 1), [(None,)])
        self.assertEqual(self.audit(), [])
        await self.compare(backend, memory, pick)
        question = CountsQuestion(Counting(Selection(), ("hostname",)), NEVER)
        self.assertEqual(
            shown(await backend.read(question, timeout=60)), shown(await memory.read(question, timeout=60))
        )

    async def test_more_than_a_byte_of_messages_in_a_cell(self) -> None:
        self.limit(segment_rows=300)
        backend, memory = self.open(), MemoryBackend()
        memory.open()
        for place in range(4):
            for size in (299, 70_000 if place == 2 else 1):
                times = range(BEGIN + place * HOUR, BEGIN + place * HOUR + size)
                batch = Batch.of([message("text", time, "log", hostname=f"a{place}") for time in times])
                await backend.write(batch)
                await memory.write(batch)
            await backend.tend(self.now)
        self.assertLess(len(self.counts("log")), 8)
        self.assertEqual(self.audit(), [])
        for step in (HOUR, SHORT):
            for by in ((), ("hostname",)):
                counting = Counting(Selection(), by, step, with_times=False)
                found = await backend.read(CountsQuestion(counting, NEVER), timeout=60)
                expected = await memory.read(CountsQuestion(counting, NEVER), timeout=60)
                self.assertEqual(shown(found), shown(expected), counting)

    async def test_segments_of_an_older_file_are_counted_before_long(self) -> None:
        pick = random.Random(7)
        backend, memory = await self.fill(pick)
        await backend.tend(self.now)
        await backend.close()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            take_back(connection, 2)
        backend = self.open()
        self.assertTrue(self.path.with_name(f"{self.path.name}.v2").exists())
        await self.compare(backend, memory, pick)
        self.assertNotEqual(self.uncounted(), [])
        await backend.tend(self.now)
        self.assertEqual(self.uncounted(), [])
        self.assertEqual(self.audit(), [])
        await self.compare(backend, memory, pick)

    async def test_levels_are_counted_of_segments_that_have_a_census_without_them(self) -> None:
        """As those of an older file; what else it tells is told meanwhile."""
        pick = random.Random(17)
        backend, memory = await self.fill(pick)
        await backend.tend(self.now)
        counted = self.sql("SELECT * FROM census ORDER BY segment")
        await backend.close()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("UPDATE census SET levels = NULL, level_cells = NULL, level_edges = NULL")
        backend = self.open()
        await self.compare(backend, memory, pick)
        await backend.tend(self.now)
        self.assertEqual(self.sql("SELECT count(*) FROM census WHERE levels IS NULL"), [(0,)])
        self.assertEqual(len(self.sql("SELECT * FROM census")), len(counted))
        self.assertEqual(self.audit(), [])
        await self.compare(backend, memory, pick)

    async def test_names_are_counted_when_the_stream_is_gone_that_had_them_first(self) -> None:
        self.retention = 4 * 3600.0
        self.limit(segments_passed=0)
        backend = self.open()
        for place, hours in enumerate((3, 0, 0)):
            time = self.now - hours * HOUR
            await backend.write(Batch.of(message("text", time, hostname=f"a{place}") for _ in range(40)))
            await backend.tend(self.now)
        self.now += 2 * HOUR
        cutoff = self.now - 4 * HOUR
        await backend.expire(cutoff)
        self.assertEqual(self.sql("SELECT hostname FROM stream ORDER BY 1"), [("a1",), ("a2",)])
        question = CountsQuestion(Counting(Selection(), ("name", "level"), SHORT, with_times=False), cutoff)
        for names in (None, packed_numbers([1])):
            if names is not None:
                # As earlier versions have counted them.
                await backend.close()
                with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
                    connection.execute("UPDATE census SET names = ?", (names,))
                backend = self.open()
                await backend.tend(self.now)
                self.assertEqual(self.uncounted(), [])
            found = await backend.read(question, timeout=60)
            self.assertEqual([(*count.by, count.messages) for count in found.counts], [("job", "", 80)])

    async def test_what_expires_while_it_is_counted_is_no_hindrance(self) -> None:
        self.retention = 4 * 3600.0
        self.sizes = evolve(self.sizes, counting_seconds=(0.0, 0.0))
        backend = self.open()
        for hours in (4, 2):
            begin = self.now - hours * HOUR
            times = range(begin + SHORT // 2, begin + 2 * SHORT, 3 * SHORT // 80)
            await backend.write(Batch.of(message("text", time) for time in times))
            await backend.tend(self.now)
            if hours == 4:
                await backend.tend(self.now)
                self.now += HOUR
                await backend.expire(self.now - 4 * HOUR)
        self.assertEqual(len(self.counts()), 1)
        for _ in range(8):
            await backend.tend(self.now)
        self.assertEqual(self.uncounted(), [])

    def uncounted(self) -> list[tuple[int]]:
        return self.sql(
            "SELECT id FROM segment WHERE sealed_at IS NOT NULL AND id NOT IN (SELECT segment FROM census)"
        )


class ProcessCensusTests(CensusTests):
    """The same, where processes write and read."""

    is_apart = True


def some_time(pick: random.Random) -> int:
    """Behind the beginning, and now and then at that of a step."""
    time = pick.randrange(SPAN)
    return pick.choice((time, time // HOUR * HOUR, time // SHORT * SHORT, time // HOUR * HOUR - 1))


def some_message(pick: random.Random, progress: float) -> Message:
    """Later ones mostly have a later time."""
    place = progress if pick.random() < 0.95 else pick.random()
    labels = {
        "hostname": pick.choice((None, "a01", "a02", "b01")),
        "type": pick.choice((None, "node")),
        "jobid": pick.choice((None, "1", "2")),
        "loglevel": pick.choice((None, "", "err", "info")),
        "severity": pick.choice((None, None, "warn")),
    }
    time = BEGIN + int(place * SPAN) + pick.randrange(HOUR // 10)
    return message(
        "text",
        pick.choice((time, time, time, time // SHORT * SHORT, time // SHORT * SHORT + 1)),
        pick.choice(("event", "log", "log")),
        cluster=pick.choice(("alex", "fritz")),
        name=pick.choice(("job", "slurmd")),
        **{label: value for label, value in labels.items() if value is not None},
    )


def some_counting(pick: random.Random) -> Counting:
    ops: Any = ("=", "!=", "=~", "!~")
    matchers = tuple(
        Matcher(
            pick.choice(("hostname", "name", "kind", "type", "cluster", "jobid", "level", "level")),
            pick.choice(ops),
            pick.sample(("a01", "a0[12]", "job", "log", "", ".*", "1", "err", "w.*"), 2),
        )
        for _ in range(pick.choice((0, 0, 1, 2)))
    )
    bounds = sorted((BEGIN + some_time(pick), BEGIN + some_time(pick)))
    begin, end = pick.choice((bounds, (NEVER, 2**63), (bounds[0], 2**63)))
    selection = Selection(
        pick.choice(((), ("alex",))),
        pick.choice((("event", "log"), ("event",), ("log",))),
        begin,
        end,
        matchers,
    )
    labels = ("cluster", "kind", "name", "hostname", "type", "jobid", "level", "level")
    by = tuple(pick.sample(labels, pick.choice((0, 1, 1, 2))))
    step = pick.choice((None, 7 * SECOND * 60, SHORT, 3 * SHORT, HOUR, 3 * HOUR))
    origin = pick.choice((0, 0, HOUR, SHORT, 1, SHORT + 1, SHORT + 17 * SECOND))
    return Counting(selection, by, step, origin, pick.choice((None, None, 0, 1, 2)), pick.random() < 0.4)


def shown(counts: Counts) -> Any:
    def key(count: Any) -> Any:
        return count.by, count.start or 0

    assert not counts.is_cut
    return sorted(counts.counts, key=key), sorted(counts.rest, key=key), counts.others
