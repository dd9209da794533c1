"""Rules of retention and holds in an SQLite file."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from contextlib import closing

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.keeping import Hold
from ccstore.message import Message
from ccstore.query import Selection
from ccstore.storage.blocks.tiles import TileSizes
from ccstore.storage.pack_settings import Packing
from ccstore.storage.reading.moment import Moment
from ccstore.storage.reading.pages import Limits, Pages
from ccstore.storage.sqlite.backend import SqliteBackend
from tests.support.keeping_contract import RETENTION, RULES, SHORT, KeepingContract
from tests.support.sqlite_files import SqliteFiles, take_back
from tests.support.stores import NOW, SECOND, message


class FileKeepingTests(SqliteFiles, KeepingContract, TestCase):
    def setUp(self) -> None:
        self.limit(segment_rows=40, divided_rows=7, merged_segments=3, merged_rows=50)
        self.backend = self.open()

    async def stored_in_all(self) -> int:
        tables = self.sql(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND "
            "(name GLOB 'event_[0-9]*' OR name GLOB 'log_[0-9]*')"
        )
        return sum(self.value(f"SELECT count(*) FROM {table}") for (table,) in tables if "log" not in table)

    async def viewed(self) -> list[str]:
        return [text for (text,) in self.sql("SELECT field FROM alex_events")]


class ProcessKeepingTests(FileKeepingTests):
    is_apart = True


class PackedKeepingTests(SqliteFiles, KeepingContract, TestCase):
    """All that is sealed is packed as soon as may be, and what is left of it is packed again."""

    packing = Packing(1e-9)

    def setUp(self) -> None:
        self.limit(segment_rows=40, packed_rows=100, divided_rows=7)
        self.sizes = evolve(
            self.sizes,
            tiles=TileSizes(block_rows=8, blocks=3, step=2),
            packing_margin=0,
            packing_rest=0.0,
            counting_seconds=(60, 60),
        )
        self.backend = self.open()

    async def tend(self, seconds: int, times: int) -> None:
        await super().tend(seconds, times)
        quiet = 0
        while quiet < 3:
            before = self.packed()
            await self.backend.tend(self.now)
            await deferLater(reactor, 0.001)
            quiet = quiet + 1 if self.packed() == before else 0

    def packed(self) -> list[tuple[int, str, int]]:
        """Packed segments."""
        return self.sql("SELECT id, kind, row_count FROM segment WHERE packed > 0")

    async def stored_in_all(self) -> int:
        packed = self.value("SELECT total(row_count) FROM segment WHERE packed > 0 AND kind = 'event'")
        tables = self.sql("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'event_[0-9]*'")
        return int(packed) + sum(self.value(f"SELECT count(*) FROM {table}") for (table,) in tables)

    async def viewed(self) -> list[str]:
        # Views do not show what is packed.
        return [text for _, _, text, _ in await self.rows(self.backend, Selection(), self.moment)]


class SurvivingTests(SqliteFiles, TestCase):
    """Rules and holds over restarts, copies and upgrades."""

    async def test_a_hold_is_kept_over_a_restart_and_in_a_copy_of_the_file(self) -> None:
        backend = self.open()
        await backend.write(Batch.of([message("held"), message("other", name="node")]))
        number = await backend.hold(Hold(Selection(kinds=("event",)), "everything", "why", "me", self.now))
        await backend.close()
        copy = self.path.with_name("copy.db")
        with closing(sqlite3.connect(self.path)) as one, closing(sqlite3.connect(copy)) as other:
            one.backup(other)
        self.now += 3 * RETENTION * SECOND
        for path in (self.path, copy):
            backend = self.open(path)
            await self.tend(backend)
            self.assertEqual(self.viewed(path), ["held", "other"])
            # What comes now is held where its time is.
            await backend.write(Batch.of([message("new", NOW - 1, name="new")]))
            self.assertEqual(self.viewed(path), ["held", "new", "other"])
            self.assertTrue(await backend.release(number))
            self.assertEqual(self.viewed(path), [])
            await self.tend(backend)
            await backend.close()
            self.assertEqual(self.rows_in(path), 1)  # of the open segment

    async def test_a_file_of_the_version_before_gets_rules(self) -> None:
        backend = self.open()
        await backend.write(Batch.of([message("job"), message("noise", name="noise")]))
        await backend.close()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("DROP VIEW ccstore_log_stored")
            take_back(connection, 3)
        self.now += (SHORT + 1) * SECOND
        backend = SqliteBackend(
            self.path, {}, retention=RETENTION, rules=RULES, now=lambda: self.now, reactor=reactor
        )
        backend.open()
        self.assertTrue(self.path.with_name(f"{self.path.name}.v3").exists())
        self.assertEqual(self.viewed(self.path), ["job"])
        await backend.close()

    async def tend(self, backend: SqliteBackend) -> None:
        for _ in range(4):
            await backend.expire(self.now - RETENTION * SECOND)
            await backend.tend(self.now)

    def viewed(self, path: object) -> list[str]:
        self._path = path  # type: ignore[assignment]
        return sorted(text for (text,) in self.sql("SELECT field FROM alex_events"))

    def rows_in(self, path: object) -> int:
        self._path = path  # type: ignore[assignment]
        tables = self.sql("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'event_[0-9]*'")
        return sum(self.value(f"SELECT count(*) FROM {table}") for (table,) in tables)


class KilledTests(SqliteFiles, TestCase):
    async def test_a_kill_between_any_two_steps_costs_nothing(self) -> None:
        self.limit(segment_rows=60, divided_rows=4)
        self.sizes = evolve(self.sizes, dividing_seconds=(0.0, 0.0))
        backend = self.open()
        await backend.retain(float(RETENTION), RULES)
        await backend.expire(0)
        names = ["job" if number % 5 == 0 else "noise" for number in range(60)]
        await backend.write(
            Batch.of(message(f"{number}", self.now, name=name) for number, name in enumerate(names))
        )
        await backend.tend(self.now)
        self.now += (SHORT + 1) * SECOND
        rows = []
        for step in range(10):
            copy = self.path.with_name(f"copy{step}.db")
            for suffix in ("", "-wal"):
                shutil.copyfile(f"{self.path}{suffix}", f"{copy}{suffix}")
            there = self.open(copy)
            (page,) = await there.read(
                Pages([Selection()], Moment(self.now - RETENTION * SECOND, self.now), Limits(100)), timeout=60
            )
            self.assertEqual({int(row.text) % 5 for row in page.rows}, {0})
            self.assertEqual(len(page.rows), 12)
            await there.close()
            rows.append(sum(self.counts()))
            await backend.expire(self.now - RETENTION * SECOND)
            await backend.tend(self.now)
        self.assertEqual((rows[0], rows[-1]), (60, 12))


class LateTests(SqliteFiles, TestCase):
    async def test_what_is_moved_into_a_segment_that_is_to_go_stays(self) -> None:
        self.limit(segment_rows=30, divided_rows=4)
        self.sizes = evolve(self.sizes, dividing_seconds=(0.0, 0.0))
        backend = self.open()
        late = NOW - 300 * SECOND

        async def write(*others: Message) -> None:
            news = [message("news", self.now, name="node") for _ in range(30 - len(others))]
            await backend.write(Batch.of([*others, *news]))
            await backend.tend(self.now)

        await write(*[message(name, late, name=name) for name in ("noise",) * 9 + ("node",)])
        for _ in range(9):
            await backend.tend(self.now)
        self.now += 150 * SECOND
        older = [message("older", late - 200 * SECOND, name="node")] * 4
        await write(*older, message("the last", late, name="node", hostname="a09"))
        await backend.retain(float(RETENTION), RULES)
        for _ in range(20):
            await backend.expire(self.now - RETENTION * SECOND)
            await backend.tend(self.now)
        (page,) = await backend.read(
            Pages([Selection()], Moment(self.now - RETENTION * SECOND, self.now), Limits(100)), timeout=60
        )
        found = Counter(row.text for row in page.rows)
        self.assertEqual(found, {"news": 45, "older": 4, "node": 1, "the last": 1})
        self.assertEqual(sum(self.counts()), 51)

    async def test_what_comes_late_after_events_are_kept_longer_stays_when_a_rule_is_made(self) -> None:
        backend = self.open()
        await backend.write(Batch.of([message("early")]))
        self.now += (RETENTION + 100) * SECOND
        await backend.expire(self.now - RETENTION * SECOND)
        cutoff = self.now - 2 * RETENTION * SECOND
        await backend.retain(2.0 * RETENTION)
        await backend.expire(cutoff)
        await backend.write(Batch.of([message("late", self.now - (RETENTION + 50) * SECOND)]))
        await backend.retain(2.0 * RETENTION, RULES)
        await backend.expire(cutoff)
        question = Pages([Selection()], Moment(cutoff, self.now), Limits(100))
        (page,) = await backend.read(question, timeout=60)
        self.assertEqual([row.text for row in page.rows], ["late"])


class RoomTests(SqliteFiles, TestCase):
    """A limit for the size of the file."""

    async def test_the_oldest_events_go_first_and_never_what_is_held_nor_logs(self) -> None:
        self.limit(segment_rows=200, free_pages=0)
        backend = self.open()
        text = "x" * 500
        for number in range(10):
            for kind in ("event", "log"):
                await backend.write(
                    Batch.of(
                        message(text, self.now + place, kind, hostname=f"a{number}") for place in range(200)
                    )
                )
            if number == 2:
                chosen = Selection(kinds=("event",), end=self.now + 10)
                await backend.hold(Hold(chosen, "the first", "why", "me", self.now))
            self.now += SECOND
            await backend.tend(self.now)
        self.assertEqual(self.value("SELECT count(*) FROM alex_events"), 2000)
        figures = backend.status()
        backend.limit(figures["bytes"] - figures["free_bytes"] - 400_000)
        with capturedLogs() as logs:
            for _ in range(4):
                await backend.expire(0)
                await backend.tend(self.now)
        self.assertIn("of storage.max_size", formatEvent(logs[0]))
        left = self.sql("SELECT hostname, count(*) FROM alex_events GROUP BY hostname ORDER BY hostname")
        hosts = [host for host, _ in left]
        # The newest are there, and of the oldest what is held.
        self.assertEqual(hosts[-3:], ["a7", "a8", "a9"])
        self.assertEqual(left[:3], [("a0", 200), ("a1", 200), ("a2", 10)])
        self.assertNotIn("a3", hosts)
        self.assertEqual(self.value("SELECT count(*) FROM alex_logs"), 2000)
        figures = backend.status()
        self.assertLessEqual(figures["bytes"] - figures["free_bytes"], figures["max_bytes"])
