"""Sealed segments of logs become packed ones: whole, whenever it is interrupted, and whatever fails."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.interfaces import StoreError
from ccstore.storage.blocks.tiles import TileSizes
from ccstore.storage.pack_settings import Packing
from ccstore.storage.sqlite.asking import Asking
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.data_check import DataCheck
from ccstore.storage.sqlite.dialect import SqliteDialect
from ccstore.storage.sqlite.export import SqliteSource
from ccstore.storage.sqlite.housekeeping import Housekeeping
from ccstore.storage.sqlite.means import Means
from ccstore.storage.sqlite.packing_leftovers import Leftovers
from ccstore.storage.sqlite.packing_offline import OfflinePacking
from ccstore.storage.sqlite.packing_run import Ask, Do, pack_once, tidy
from ccstore.storage.sqlite.reader import Reader, ReadingConnection
from ccstore.storage.sqlite.sizes import SegmentSizes, Sizes
from ccstore.storage.sqlite.writer import Writer
from tests.support.scratch import scratch
from tests.support.store_contract import TEXTS
from tests.support.stores import NOW, SECOND, NoThreads, message
from tests.support.writer_processes import WriterProcesses

HOUR = 3600 * SECOND
SMALL = Sizes(
    segments=SegmentSizes(segment_rows=10, packed_rows=30, merged_segments=3, merged_rows=7, counted_rows=7),
    tiles=TileSizes(block_rows=4, blocks=2, step=1),
    counting_seconds=(60, 60),
    merging_seconds=(60, 60),
    packing_margin=0,
    packing_rest=0.0,
)


class PackingCase(TestCase):
    sizes = SMALL

    def setUp(self) -> None:
        self.folder = scratch(self)
        self.path = self.folder / "events.db"
        self.now = NOW + 100 * HOUR

    def open(self, *, pack_after: float = 3600.0, most_pages: int = 0, **more: Any) -> SqliteBackend:
        backend = SqliteBackend(
            self.path,
            {"synchronous": "OFF", **({"max_page_count": str(most_pages)} if most_pages else {})},
            retention=10**9,
            packing=Packing(pack_after),
            now=lambda: self.now,
            reactor=reactor,
            **{"sizes": self.sizes, "means": Means(threads=NoThreads), **more},
        )
        backend.open()
        self.addCleanup(backend.close)
        return backend

    async def fill(self, backend: SqliteBackend, rows: int = 60) -> None:
        """Logs of some hosts, with all that is hard in a text, not quite in the order of their times."""
        for start in range(0, rows, 10):
            await backend.write(
                Batch.of(
                    message(
                        f"{place} {TEXTS[place % len(TEXTS)]}",
                        NOW + SECOND * (place ^ 1) if place % 5 else NOW,
                        "log",
                        hostname=f"h{place % 3}",
                        **({"job": f"ü{place % 4}"} if place % 2 else {}),
                    )
                    for place in range(start, min(start + 10, rows))
                )
            )
            await backend.expire(0)  # behind the sealing
        await backend.write(Batch.of([message("an event")]))

    async def tend(self, backend: SqliteBackend, times: int = 30) -> None:
        """Let it do all that it does in so many seconds."""
        for _ in range(times):
            await backend.tend(self.now)

    def sql(self, statement: str, path: Path | None = None) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path or self.path)) as connection:
            return connection.execute(statement).fetchall()

    def content(self, path: Path | None = None) -> list[tuple[Any, ...]]:
        """All messages with their ids, in the order of these, as a copy has them."""
        return content(path or self.path, self.folder)

    def tables(self, kind: str, path: Path | None = None) -> int:
        """Those of segments."""
        return len(
            self.sql(f"SELECT 1 FROM sqlite_schema WHERE name GLOB '{kind}_[0-9]*' AND type = 'table'", path)
        )

    @property
    def packed(self) -> list[tuple[Any, ...]]:
        return self.sql("SELECT packed, row_count FROM segment WHERE kind = 'log' ORDER BY first_id")


def content(path: Path, folder: Path, told: list[Any] | None = None) -> list[tuple[Any, ...]]:
    source = SqliteSource(path, folder, tell=(lambda damaged: None) if told is None else told.append)
    source.open()
    try:
        found = []
        for kind in ("event", "log"):
            for page in source.pages(kind, 0):  # type: ignore[arg-type]
                batch = page.messages
                rows = zip(page.ids, batch.series, batch.times, batch.texts, strict=True)
                found += [
                    (kind, number, series.stream, series.othertags, *rest) for number, series, *rest in rows
                ]
            assert [row[1] for row in found if row[0] == kind] == sorted(r[1] for r in found if r[0] == kind)
        return found
    finally:
        source.close()


@contextmanager
def by_hand(path: Path) -> Iterator[tuple[Housekeeping, ReadingConnection]]:
    """What whoever writes has, and whoever reads."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        writer = Writer(connection, lambda: NOW, lambda text: None, SMALL.segments)
        housekeeping = Housekeeping(writer, 10**18, (), lambda: NOW, lambda text: None)
        writer.load()
        with closing(sqlite3.connect(path, isolation_level=None)) as reading:
            yield housekeeping, ReadingConnection(reading)


class PackingTests(PackingCase):
    async def filled(self) -> list[tuple[Any, ...]]:
        backend = self.open(pack_after=0)
        await self.fill(backend)
        await backend.close()
        return self.content()

    async def test_what_is_old_enough_is_packed_in_the_background(self) -> None:
        for more in ({}, {"is_apart": True, "means": Means()}):
            self.path.unlink(missing_ok=True)
            backend = self.open(**more)
            await self.fill(backend)
            while self.tables("log") > 1:
                await self.tend(backend, 1)
                await deferLater(reactor, 0.001)
            self.assertEqual(self.packed, [(8, 30), (8, 30), (0, None)])
            self.assertEqual(backend.status()["packed"], 60)
            await backend.close()
            packed = self.content()
            self.path.unlink()
            self.assertEqual(packed, await self.filled())

    async def test_what_is_young_stays_as_it_is_and_is_not_merged(self) -> None:
        self.now = NOW + HOUR // 2
        backend = self.open()
        await self.fill(backend)
        await self.tend(backend)
        self.assertEqual(self.packed, [(0, 10)] * 6 + [(0, None)])

    async def test_too_little_waits_longer(self) -> None:
        backend = self.open()
        await self.fill(backend, 20)
        self.now = NOW + 2 * HOUR
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("UPDATE segment SET sealed_at = ? WHERE sealed_at IS NOT NULL", (NOW,))
        await self.tend(backend)
        self.assertEqual(self.packed, [(0, 10), (0, 10), (0, None)])
        self.now = NOW + 8 * HOUR
        await self.tend(backend)
        self.assertEqual([rows for _, rows in self.packed], [20, None])

    async def test_a_file_with_merged_segments_is_packed(self) -> None:
        backend = self.open(pack_after=0)
        await self.fill(backend)
        await self.tend(backend)
        self.assertEqual(self.packed, [(0, 30), (0, 30), (0, None)])
        await backend.close()
        expected = self.content()
        backend = self.open()
        await self.tend(backend)
        await backend.close()
        self.assertEqual(self.packed, [(8, 30), (8, 30), (0, None)])
        self.assertEqual(self.content(), expected)

    async def test_it_may_be_killed_after_each_step(self) -> None:
        expected = await self.filled()
        steps = rest = 0
        while rest == 0:
            begun, killed = self.folder / f"{steps}.db", self.folder / f"{steps}.killed.db"
            shutil.copy(self.path, begun)
            with by_hand(begun) as (housekeeping, reading):
                rest = pack(housekeeping, reading, steps)
                for suffix in ("", "-wal"):
                    shutil.copy(f"{begun}{suffix}", f"{killed}{suffix}")
            self.assertEqual(self.content(begun), expected)
            with by_hand(killed) as (housekeeping, reading):
                pack(housekeeping, reading)
            self.assertEqual(self.content(killed), expected)
            self.assertEqual(self.tables("log", killed), 1)
            self.assertEqual(self.sql("PRAGMA integrity_check", killed), [("ok",)])
            visible = "(SELECT id FROM segment WHERE packed > 0 AND kind = 'log')"
            for table in ("block", "block_columns", "vocabulary"):
                strange = f"SELECT 1 FROM {table} WHERE segment NOT IN {visible}"
                self.assertEqual(self.sql(strange, killed), [])
            steps += 1
        self.assertGreater(steps, 25)

    async def test_the_process_that_writes_may_be_killed_at_each_request(self) -> None:
        expected = await self.filled()
        for place in range(3, 30, 4):
            for is_late in (False, True):
                copy = self.folder / f"{place}-{is_late}.db"
                shutil.copy(self.path, copy)
                self.path, before = copy, self.path
                processes = WriterProcesses()
                backend = self.open(is_apart=True, means=processes.means)
                with capturedLogs():
                    while self.tables("log") > 1:
                        if len(processes.calls) >= place and len(processes.started) == 1:
                            processes.interrupt(is_late=is_late)
                        with contextlib.suppress(StoreError):
                            await self.tend(backend, 1)
                        await deferLater(reactor, 0.001)
                    await backend.close()
                self.assertGreater(len(processes.started), 1)
                self.assertEqual(self.content(), expected)
                self.path = before

    async def test_a_disk_that_is_nearly_full_is_left_alone(self) -> None:
        backend = self.open(sizes=evolve(SMALL, packing_margin=1 << 60), pack_after=0.0)
        with capturedLogs() as logs:
            await backend.tend(self.now)
        self.assertEqual([*logs], [])
        await backend.close()
        backend = self.open(sizes=evolve(SMALL, packing_margin=1 << 60))
        await self.fill(backend)
        with capturedLogs() as logs:
            await self.tend(backend)
        self.assertEqual(self.tables("log"), 7)
        (said,) = [str(formatEvent(event)) for event in logs]
        self.assertIn("cannot pack older messages, will try again", said)
        self.assertIn("make room", said)
        await backend.close()
        packing = OfflinePacking(
            self.path, {}, retention=10**9, say=self.fail, sizes=evolve(SMALL, packing_margin=1 << 60)
        )
        packing.open()
        self.addCleanup(packing.close)
        with self.assertRaisesRegex(StoreError, "make room, and give the command again"):
            [*packing.run(self.now)]

    async def test_a_disk_that_gets_full_meanwhile_costs_nothing(self) -> None:
        self.sizes = evolve(SMALL, masking_seconds=(0, 0))
        backend = self.open(pack_after=1e9)
        for start in range(0, 60, 10):
            texts = [hashlib.shake_256(bytes([place])).hexdigest(900) for place in range(start, start + 10)]
            await backend.write(Batch.of([message(text, NOW + SECOND * start, "log") for text in texts]))
            await self.tend(backend, 1)
        await self.tend(backend)  # so that nothing else is to be done but packing
        await backend.close()
        expected = self.content()
        full = self.folder / "full.db"
        self.sql(f"VACUUM INTO '{full}'")  # without free pages
        ((pages,),) = self.sql("PRAGMA page_count", full)
        failed = 0
        for more in range(10):
            self.path = self.folder / f"{more}.db"
            shutil.copy(full, self.path)
            backend = self.open(most_pages=pages + more)
            with capturedLogs() as logs:
                await self.tend(backend)
            await backend.close()
            failed += "disk is full" in "".join([str(formatEvent(event)) for event in logs])
            self.assertEqual(self.content(), expected)
            backend = self.open()
            await self.tend(backend)
            await backend.close()
            self.assertEqual(self.content(), expected)
            self.assertEqual(self.tables("log"), 1)
        self.assertGreater(failed, 3)

    async def test_segments_that_do_not_have_what_they_should_are_left_alone(self) -> None:
        backend = self.open()
        await self.fill(backend)
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(
                "UPDATE segment SET row_count = 9 WHERE sealed_at IS NOT NULL AND kind = 'log'"
            )
        with capturedLogs() as logs:
            await self.tend(backend)
        self.assertEqual(self.tables("log"), 7)
        self.assertIn("40 rows and not 36, and are left as they are", str(formatEvent(logs[0])))
        self.assertEqual(self.sql("SELECT count(*) FROM block"), [(0,)])

    async def test_a_damaged_block_costs_its_rows_alone(self) -> None:
        expected = await self.filled()
        with by_hand(self.path) as (housekeeping, reading):
            pack(housekeeping, reading)
        for column in ("texts", "times", "ids", "tags", "tag_codes", "lengths"):
            copy = self.folder / f"{column}.db"
            shutil.copy(self.path, copy)
            with closing(sqlite3.connect(copy)) as connection, connection:
                connection.execute(
                    f"UPDATE block_columns SET {column} = CAST(substr({column}, 1, 9) AS BLOB) "
                    "WHERE number = 3 AND segment = (SELECT min(segment) FROM block)"
                )
            told: list[Any] = []
            found = content(copy, self.folder, told)
            self.assertEqual([row for row in expected if row in found], found)
            self.assertEqual(len(expected) - len(found), told[0].rows)
            self.assertRegex(str(told[0]), r"block 3 of segment \d+ is damaged .*: \d+ logs from 2.* to 2")

    async def test_all_is_read_to_say_what_is_damaged(self) -> None:
        await self.filled()
        with by_hand(self.path) as (housekeeping, reading):
            pack(housekeeping, reading)
        self.assertEqual(self.damage(self.path), (61, []))
        for change, said in (
            ("block_columns SET texts = zeroblob(99) WHERE number = 2", "block 2 of .* checksum"),
            ("block SET streams = x'' WHERE number = 2", "block 2 of segment .* damaged"),
            ("block SET last_time = last_time + 1 WHERE number = 1", "block 1 of .*checksum"),
            ("segment SET packed = 9 WHERE packed > 0", "has 8 blocks with 30 messages and not 9"),
            ("segment SET max_time = max_time - 1 WHERE packed > 0", "has blocks of other times"),
            ("segment SET min_time = min_time + 1 WHERE packed > 0", "has blocks of other times"),
            ("vocabulary SET words = x'00'", "index of words of log segment .* blocks 0 to 31"),
            ("event_1 SET time = 5", ""),
            ("segment SET row_count = 31 WHERE packed > 0", "has 8 blocks with 30 messages"),
        ):
            copy = self.folder / "damaged.db"
            shutil.copy(self.path, copy)
            with closing(sqlite3.connect(copy)) as connection, connection:
                connection.execute(f"UPDATE {change}")
            _, problems = self.damage(copy)
            self.assertEqual(len(problems), 2 if said else 0, change)
            for problem in problems:
                self.assertRegex(problem, said)
        with self.assertRaisesRegex(StoreError, "there is no file"):
            self.damage(self.folder / "none")

    def damage(self, path: Path) -> tuple[int, list[str]]:
        check = DataCheck(path, lambda total, rows: None)
        problems = [*check.problems()]
        return check.rows, problems

    async def test_what_is_removed_meanwhile_is_not_packed(self) -> None:
        await self.filled()
        with by_hand(self.path) as (housekeeping, reading):
            while housekeeping.count():
                pass
            steps = pack_once(housekeeping.packer, NOW * 2, NOW * 2, SMALL.tiles, has_words=True)
            result: Any = None
            step = next(steps)
            while not (isinstance(step, Do) and step.work == housekeeping.packer.publish):
                if isinstance(step, Do):
                    result = step.work(*step.arguments)
                elif isinstance(step, Ask):
                    reader = Reader(SqliteDialect(), is_alone=True)
                    result = reader.read(reading, step.question, Asking(60))
                step = steps.send(result)
            (first, *_) = housekeeping.packer.sources
            connection = sqlite3.connect(self.path, isolation_level=None)
            connection.execute(f"DELETE FROM log_{first} WHERE id = 1")
            connection.execute(f"UPDATE segment SET row_count = row_count - 1 WHERE id = {first}")
            connection.close()
            self.assertFalse(step.work(*step.arguments))
            steps.close()
            pack(housekeeping, reading)
        self.assertEqual([row[1] for row in self.content()[1:]], [*range(2, 61)])

    async def test_a_removed_segment_keeps_its_number_until_its_blocks_are_gone(self) -> None:
        await self.filled()
        with by_hand(self.path) as (housekeeping, reading):
            pack(housekeeping, reading)
            numbers = [
                number for (number,) in self.sql("SELECT id FROM segment WHERE packed > 0 ORDER BY id")
            ]
            with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
                leftovers = Leftovers(connection, SMALL.segments)
                leftovers.remove(numbers[-1])
                self.assertEqual(len(self.content()), 31)
                while leftovers.step():
                    self.assertEqual(len(self.content()), 31)
            self.assertEqual(self.sql("SELECT DISTINCT segment FROM block"), [(numbers[0],)])
            self.assertEqual(self.sql("SELECT DISTINCT segment FROM vocabulary"), [(numbers[0],)])
            self.assertEqual(self.sql("SELECT 1 FROM segment WHERE kind = 'packing'"), [])

    async def test_a_long_text_makes_blocks_smaller(self) -> None:
        backend = self.open(
            sizes=evolve(SMALL, tiles=TileSizes(block_rows=8, block_size=90, blocks=4, size=200, step=2))
        )
        await backend.write(
            Batch.of([message("x" * (place * 7 % 120), NOW + place, "log") for place in range(30)])
        )
        await self.tend(backend)
        self.assertEqual(self.tables("log"), 1)
        sizes = self.sql("SELECT rows FROM block ORDER BY number")
        self.assertGreater(len(sizes), 15)
        await backend.close()
        self.assertEqual([len(row[-1]) for row in self.content()], [place * 7 % 120 for place in range(30)])


def pack(housekeeping: Housekeeping, reading: ReadingConnection, most: int = 10**6) -> int:
    """Take so many steps; gives how many were left."""
    reader = Reader(SqliteDialect(), is_alone=True)
    while housekeeping.count():
        pass
    while True:
        is_done = True
        for steps in (
            pack_once(housekeeping.packer, NOW * 2, NOW * 2, SMALL.tiles, has_words=True),
            tidy(housekeeping.packer),
        ):
            result: Any = None
            while True:
                try:
                    step = steps.send(result)
                except StopIteration as stop:
                    is_done = is_done and not stop.value
                    break
                if most == 0:
                    return 0
                most -= 1
                result = None
                if isinstance(step, Do):
                    result = step.work(*step.arguments)
                elif isinstance(step, Ask):
                    result = reader.read(reading, step.question, Asking(60))
        if is_done:
            return most
