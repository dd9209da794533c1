"""Events are packed while it is worth it, expire as before, and what is kept of them is packed again."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from attrs import evolve
from twisted.logger import capturedLogs
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.keeping import Hold, KeepRule
from ccstore.query import Arrival, Matcher, Selection
from ccstore.storage.blocks.tiles import TileSizes
from ccstore.storage.pack_settings import NO_PACKING, Packing
from ccstore.storage.reading.arrived import Arrivals, LastArrival
from ccstore.storage.reading.moment import Moment
from ccstore.storage.reading.pages import Limits, Pages
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.export import SqliteSource
from ccstore.storage.sqlite.means import Means
from ccstore.storage.sqlite.packing_offline import OfflinePacking
from ccstore.storage.sqlite.sizes import SIZES, SegmentSizes
from tests.support.sqlite_files import SqliteFiles
from tests.support.stores import NOW, SECOND, NoThreads, message

DAY = 86400
#: Seconds; a segment spans a 16th of it at most.
RETENTION = 32 * DAY
RULES = (KeepRule(Selection(kinds=("event",), matchers=(Matcher("name", "=", "job"),)), 320.0 * DAY, "job"),)
SMALL = evolve(
    SIZES,
    segments=SegmentSizes(segment_rows=10, packed_rows=30, divided_rows=7, counted_rows=7, segments_passed=1),
    tiles=TileSizes(block_rows=4, blocks=2, step=1),
    packing_margin=0,
    packing_rest=0.0,
)


class PackedEventTests(SqliteFiles, TestCase):
    sizes = SMALL
    retention: float = RETENTION
    packing = Packing(float(DAY))
    means = Means(threads=NoThreads)

    def setUp(self) -> None:
        self.backend = self.open()

    async def fill(self, count: int, **more: Any) -> None:
        """Events of the time that it is, a second apart."""
        for start in range(0, count, 10):
            await self.backend.write(
                Batch.of(
                    message(f"{place}", self.now + place % 10 * SECOND, hostname=f"h{place % 3}", **more)
                    for place in range(start, start + 10)
                )
            )
            self.now += 10 * SECOND
            await self.tend()

    async def tend(self) -> None:
        """Let it do all that there is to do."""
        await self.backend.expire(self.cutoff)
        found: Sequence[Any] = ()
        quiet = 0
        while quiet < 10:
            before, found = found, self.sql("SELECT id, kind, packed, row_count FROM segment")
            await self.backend.tend(self.now)
            quiet = quiet + 1 if before == found else 0

    @property
    def cutoff(self) -> int:
        return self.now - int(self.retention) * SECOND

    def packed(self) -> list[int]:
        """The rows of each packed segment."""
        return [
            rows
            for (rows,) in self.sql(
                "SELECT row_count FROM segment WHERE kind = 'event' AND packed > 0 ORDER BY first_id"
            )
        ]

    async def texts(self, backend: SqliteBackend | None = None) -> list[str]:
        question = Pages([Selection(is_newest_first=False)], Moment(self.cutoff, self.now), Limits(10**6))
        (page,) = await (backend or self.backend).read(question, timeout=60)
        return [row.text for row in page.rows]

    async def test_they_are_packed_from_an_age_on_and_go_as_a_whole(self) -> None:
        await self.fill(60)
        self.now += DAY // 2 * SECOND
        await self.tend()
        self.assertEqual(self.packed(), [])
        self.now += DAY * SECOND
        await self.tend()
        self.assertEqual(self.packed(), [30, 30])
        self.assertEqual(await self.texts(), [*map(str, range(60))])
        self.now = NOW + 31 * DAY * SECOND
        await self.tend()
        self.assertEqual(len(await self.texts()), 60)
        self.now = NOW + (32 * DAY + 30) * SECOND
        self.assertEqual(await self.texts(), [*map(str, range(31, 60))])
        await self.tend()
        self.assertEqual(self.packed(), [30])
        self.now += DAY * SECOND
        await self.tend()
        self.assertEqual(self.packed(), [])
        self.assertEqual(self.value("SELECT count(*) FROM block"), 0)

    async def test_what_goes_before_long_is_not_worth_it(self) -> None:
        await self.backend.close()
        self.retention = 3600 * 30
        self.backend = self.open()
        await self.fill(60)
        self.now += 25 * 3600 * SECOND
        await self.tend()
        self.assertEqual(self.packed(), [])

    async def test_what_spans_too_much_does_not_become_one(self) -> None:
        for _ in range(3):
            await self.fill(10)
            self.now += DAY * 5 // 2 * SECOND
        await self.tend()
        self.assertEqual(self.packed(), [10, 10])

    async def test_what_came_late_is_moved_before(self) -> None:
        late = [message("late", NOW - 3 * DAY * SECOND)]
        await self.backend.write(Batch.of([*late, *(message(f"{n}", NOW + n) for n in range(29))]))
        await self.tend()
        self.now += 5 * DAY * SECOND
        await self.tend()
        self.assertEqual(sorted(self.packed()), [29])
        self.now = NOW + 10 * DAY * SECOND
        await self.tend()
        self.assertEqual(sorted(self.packed()), [1, 29])
        self.assertEqual(len(await self.texts()), 30)
        self.now = NOW + 31 * DAY * SECOND
        await self.tend()
        self.assertEqual(self.packed(), [29])

    async def test_who_follows_gets_what_came_late_and_is_packed(self) -> None:
        """Its ids are from among those of others."""
        for start in range(0, 90, 30):
            late = message(f"{start}", NOW - 3 * DAY * SECOND)
            others = [message(f"{start + n}", NOW + start + n) for n in range(1, 30)]
            await self.backend.write(Batch.of([late, *others]))
            await self.tend()
        self.now = NOW + 10 * DAY * SECOND
        await self.tend()
        self.assertEqual(sorted(self.packed()), [3, 29, 29, 29])
        await self.follow(90)
        await self.backend.close()
        source = SqliteSource(self.path, self.path.parent)
        source.open()
        self.addCleanup(source.close)
        texts = [text for page in source.pages("event", 45) for text in page.messages.texts]
        self.assertEqual(texts, [*map(str, range(45, 90))])

    async def test_who_follows_gets_what_is_packed_together_around_another(self) -> None:
        place = 0
        for count, time in ((10, NOW), (30, NOW - 2 * DAY * SECOND), (20, NOW)):
            texts = [*map(str, range(place, place + count))]
            await self.backend.write(Batch.of(message(text, time) for text in texts))
            await self.tend()
            place += count
        self.assertEqual(self.packed(), [30])
        self.now += 2 * DAY * SECOND
        await self.tend()
        self.assertEqual(self.packed(), [30, 30])
        await self.follow(60)

    async def follow(self, count: int) -> None:
        """From any message on there are all behind it."""
        last = await self.backend.read(LastArrival(), timeout=60)
        moment = Moment(self.cutoff, self.now)
        for after in range(count):
            question = Arrivals(Selection(), Arrival(after, 0), last, moment, 1000)
            page = await self.backend.read(question, timeout=60)
            self.assertEqual([row.text for row in page.rows], [*map(str, range(after, count))])

    async def test_what_had_expired_stays_so_when_events_are_kept_longer(self) -> None:
        await self.fill(60)
        self.now += 3 * DAY * SECOND
        await self.tend()
        self.now = NOW + (32 * DAY + 10) * SECOND
        await self.tend()
        self.assertEqual(await self.texts(), [*map(str, range(11, 60))])
        self.retention = 10 * RETENTION
        await self.backend.retain(float(self.retention))
        await self.tend()
        self.assertEqual(await self.texts(), [*map(str, range(11, 60))])
        self.assertEqual(self.value("SELECT count(*) FROM expired"), 2)
        self.now = NOW + 300 * DAY * SECOND
        await self.backend.close()
        self.backend = self.open()
        await self.tend()
        self.assertEqual(await self.texts(), [*map(str, range(11, 60))])
        self.now = NOW + 321 * DAY * SECOND
        await self.tend()
        self.assertEqual((await self.texts(), self.packed()), ([], []))

    async def test_when_events_are_kept_for_a_shorter_time_what_is_packed_goes_with_its_last(self) -> None:
        await self.fill(20)
        self.now = NOW + DAY * 3 // 2 * SECOND
        await self.fill(10)
        self.now = NOW + 9 * DAY * SECOND
        await self.tend()
        self.assertEqual(self.packed(), [30])
        self.retention = 8 * DAY
        await self.backend.retain(float(self.retention))
        await self.tend()
        self.assertEqual((len(await self.texts()), self.packed()), (10, [30]))
        self.now += DAY * SECOND
        await self.tend()
        self.assertEqual((await self.texts(), self.packed()), ([], []))

    async def test_their_streams_are_there_as_long_as_they_are(self) -> None:
        for name in ("first", "second", *["others"] * 8):
            await self.fill(30, name=name)
            self.now += DAY * SECOND
            await self.tend()
        self.now = NOW + (32 * DAY + 35) * SECOND
        await self.tend()
        names = self.sql("SELECT DISTINCT name FROM stream ORDER BY name")
        self.assertEqual(names, [("others",), ("second",)])
        self.assertEqual(len(await self.texts()), 270)
        self.now += 3 * DAY * SECOND
        await self.tend()
        self.assertEqual(self.sql("SELECT DISTINCT name FROM stream"), [("others",)])

    async def test_little_that_is_kept_is_packed_again_without_the_rest(self) -> None:
        await self.backend.retain(float(RETENTION), RULES)
        expected = await self.some_jobs()
        self.assertEqual(self.packed(), [30, 30])
        self.now = NOW + 34 * DAY * SECOND
        await self.tend()
        self.assertEqual(self.packed(), [10, 10])
        self.assertEqual(await self.texts(), expected)
        self.assertEqual(
            self.value("SELECT count(*) FROM census WHERE segment IN (SELECT segment FROM block)"), 2
        )
        await self.backend.close()
        self.backend = self.open()
        self.assertEqual(await self.texts(), expected)
        self.now = NOW + 330 * DAY * SECOND
        await self.tend()
        self.assertEqual(self.packed(), [])

    async def some_jobs(self) -> list[str]:
        """Packed events, of which every third is of a job; the texts of these."""
        for start in range(0, 60, 10):
            await self.backend.write(
                Batch.of(
                    message(f"{place}", NOW + place * SECOND, name="node" if place % 3 else "job")
                    for place in range(start, start + 10)
                )
            )
            self.now += 10 * SECOND
            await self.tend()
        self.now += 2 * DAY * SECOND
        await self.tend()
        return [*map(str, range(0, 60, 3))]

    async def test_a_hold_that_is_made_meanwhile_keeps_what_has_not_expired(self) -> None:
        await self.backend.retain(float(RETENTION), RULES)
        expected = await self.some_jobs()
        self.now = NOW + (32 * DAY - 1) * SECOND
        hold = Hold(Selection(kinds=("event",), end=NOW + 20 * SECOND), "its time", "why", "me", self.now)
        number = await self.backend.hold(hold)
        self.now = NOW + 34 * DAY * SECOND
        await self.tend()
        self.assertEqual(await self.texts(), sorted({*map(str, range(20)), *expected}, key=int))
        self.assertTrue(await self.backend.release(number))
        await self.tend()
        self.assertEqual(self.packed(), [10, 10])
        self.assertEqual(await self.texts(), expected)

    async def test_without_packing_what_is_packed_is_still_packed_again(self) -> None:
        await self.backend.retain(float(RETENTION), RULES)
        expected = await self.some_jobs()
        await self.backend.close()
        self.packing = NO_PACKING
        self.backend = self.open()
        await self.fill(30)
        self.now = NOW + 34 * DAY * SECOND
        await self.tend()
        self.assertEqual(self.packed(), [10, 10])
        self.assertEqual((await self.texts())[:20], expected)

    async def test_a_hold_that_is_made_while_it_is_packed_again(self) -> None:
        await self.backend.retain(float(RETENTION), RULES)
        expected = await self.some_jobs()
        await self.backend.close()
        self.now = NOW + 34 * DAY * SECOND
        hold = Hold(Selection(kinds=("event",)), "everything", "why", "me", self.now)
        for times in range(12):
            copy = self.path.with_name(f"{times}.db")
            shutil.copy(self.path, copy)
            with capturedLogs() as logs:
                backend = self.open(copy)
                await backend.expire(self.cutoff)
                for _ in range(times):
                    await backend.tend(self.now)
                await backend.hold(hold)
                for _ in range(40):
                    await backend.tend(self.now)
                self.assertEqual(await self.texts(backend), expected)
                await backend.close()
            self.assertEqual([*logs], [])

    async def test_a_kill_while_it_is_packed_again_costs_nothing(self) -> None:
        await self.backend.retain(float(RETENTION), RULES)
        expected = await self.some_jobs()
        self.now = NOW + 34 * DAY * SECOND
        seen = set()
        copies = 0
        for _ in range(60):
            await self.backend.expire(self.cutoff)
            await self.backend.tend(self.now)
            state = tuple(self.sql("SELECT segment, count(*) FROM block GROUP BY segment"))
            if state in seen:
                continue
            seen.add(state)
            copies += 1
            copy = self.path.with_name(f"{copies}.db")
            for suffix in ("", "-wal"):
                shutil.copy(f"{self.path}{suffix}", f"{copy}{suffix}")
            other = self.open(copy)
            self.assertEqual(await self.texts(other), expected)
            await other.close()
        self.assertEqual(self.packed(), [10, 10])
        self.assertGreater(copies, 5)

    async def test_no_more_goes_than_has_to_where_there_is_little_room(self) -> None:
        for start in range(0, 300, 10):
            texts = [hashlib.shake_256(f"{start} {place}".encode()).hexdigest(500) for place in range(10)]
            await self.backend.write(Batch.of([message(text, self.now) for text in texts]))
            self.now += 10 * SECOND
            await self.tend()
        self.now += 2 * DAY * SECOND
        await self.tend()
        self.assertEqual(self.packed(), [30] * 10)
        figures = self.backend.status()
        used = figures["bytes"] - figures["free_bytes"]
        self.backend.limit(used * 8 // 7 + 9)
        await self.tend()
        self.assertEqual(self.packed(), [30] * 10)
        self.backend.limit((used - 1) * 8 // 7)
        await self.tend()
        self.assertEqual(self.packed(), [30] * 9)

    async def test_where_there_is_little_room_little_that_is_held_is_packed_again(self) -> None:
        await self.some_jobs()
        hold = Hold(Selection(matchers=(Matcher("name", "=", "job"),)), "jobs", "why", "me", self.now)
        await self.backend.hold(hold)
        await self.tend()
        self.backend.limit(1)
        for _ in range(3):
            await self.tend()
        self.assertEqual(self.packed(), [10, 10])
        self.assertEqual(await self.texts(), [*map(str, range(0, 60, 3))])

    async def test_a_damaged_block_leaves_its_segment_as_it_is(self) -> None:
        await self.backend.retain(float(RETENTION), RULES)
        await self.some_jobs()
        await self.backend.close()
        first = self.value("SELECT min(segment) FROM block")
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(
                f"UPDATE block_columns SET times = x'00' WHERE segment = {first} AND number = 1"
            )
        self.now = NOW + 34 * DAY * SECOND
        self.sizes = evolve(SMALL, packing_retry=0.0)
        self.backend = self.open()
        await self.tend()
        self.assertEqual(self.packed(), [30, 10])

    async def test_a_file_that_no_daemon_has_is_packed_at_once(self) -> None:
        await self.fill(60)
        await self.backend.close()
        for age, rows in ((0, 60), (20, 0)):
            copy = self.path.with_name(f"{age}.db")
            shutil.copy(self.path, copy)
            now = NOW + (age + 1) * DAY * SECOND
            packing = OfflinePacking(
                copy, {}, retention=RETENTION, say=self.fail, sizes=SMALL, now=lambda now=now: now
            )
            packing.open()
            self.addCleanup(packing.close)
            self.assertEqual(packing.to_do(now), rows)
            self.assertEqual(sum(packed.rows for packed in packing.run(now)), rows)
            self.assertEqual(packing.to_do(now), 0)
