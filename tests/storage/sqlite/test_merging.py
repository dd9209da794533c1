"""Segments of logs become larger ones."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from attrs import evolve
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.enumerating import Names
from ccstore.storage.sqlite.merging import Merger
from tests.support.sqlite_files import SqliteFiles, texts
from tests.support.stores import NOW, message, messages


class MergingTests(SqliteFiles, TestCase):
    """Log segments become larger ones, and nobody notices."""

    def setUp(self) -> None:
        super().setUp()
        self.limit(segment_rows=4, merged_segments=3, merged_rows=5)
        self.sizes = evolve(self.sizes, merging_seconds=(60, 60))

    async def fill(self, backend: SqliteBackend, segments: int = 3) -> list[str]:
        """Segments of logs; the texts in their order."""
        expected = [str(index) for index in range(4 * segments)]
        for start in range(0, len(expected), 4):
            hosts = ("b", "a", "b", "c")
            await backend.write(
                Batch.of(
                    message(text, NOW + int(text), "log", hostname=host)
                    for text, host in zip(expected[start : start + 4], hosts, strict=True)
                )
            )
        await backend.expire(0)  # behind the sealing of the last one
        return expected

    def tables(self) -> int:
        return int(
            self.value("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name GLOB 'log_[0-9]*'")
        )

    async def test_enough_of_them_become_one(self) -> None:
        backend = self.open()
        expected = await self.fill(backend)
        await backend.tend(NOW)
        self.assertEqual(self.counts("log"), [12])
        self.assertEqual(self.tables(), 2)  # the merged one, and the open one
        self.assertEqual(await texts(backend, kind="log"), expected)
        self.assertEqual(await texts(backend, kind="log", hostname="a"), ["1", "5", "9"])
        rows = self.sql("SELECT id, field FROM alex_logs ORDER BY id")
        self.assertEqual(rows, [(index + 1, text) for index, text in enumerate(expected)])

    async def test_too_few_stay_as_they_are(self) -> None:
        backend = self.open()
        await self.fill(backend, 2)
        await backend.tend(NOW)
        self.assertEqual(self.counts("log"), [4, 4])

    async def test_a_merged_one_is_not_merged_again(self) -> None:
        backend = self.open()
        expected = await self.fill(backend, 9)
        await backend.tend(NOW)
        self.assertEqual(self.counts("log"), [12, 12, 12])
        self.assertEqual(await texts(backend, kind="log"), expected)

    async def test_events_are_not_merged(self) -> None:
        backend = self.open()
        for text in map(str, range(12)):
            await backend.write(messages([text] * 4))
        await backend.tend(NOW)
        self.assertEqual(self.counts(), [4] * 12)

    async def test_answers_do_not_change_on_the_way_and_a_restart_begins_anew(self) -> None:
        for steps in range(10):
            self.path.unlink(missing_ok=True)
            backend = self.open()
            expected = await self.fill(backend)
            with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
                merger = Merger(self.fail, self.sizes.segments, Names(100))
                for _ in range(steps):
                    merger.step(connection, ())
            self.assertEqual(await texts(backend, kind="log"), expected)
            await backend.close()
            backend = self.open()
            self.assertEqual(await texts(backend, kind="log"), expected)
            await backend.tend(NOW)
            self.assertEqual((self.counts("log"), self.tables()), ([12], 2))
            self.assertEqual(self.sql("SELECT field FROM alex_logs ORDER BY id"), [(e,) for e in expected])
            self.assertEqual(self.value("SELECT count(*) FROM segment WHERE kind = 'merging'"), 0)
            await backend.close()

    async def test_a_step_takes_as_long_as_any_other(self) -> None:
        self.limit(segment_rows=1000, merged_rows=50)
        hundreds: list[None] = []  # of instructions of SQLite
        for apart in (1, 0):  # all of one stream, and then at one time, too
            self.path.unlink(missing_ok=True)
            backend = self.open()
            for start in range(0, 3000, 1000):
                times = [NOW + apart * number for number in range(start, start + 1000)]
                await backend.write(Batch.of(message(time=time, kind="log") for time in times))
            await backend.expire(0)
            with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
                merger = Merger(self.fail, self.sizes.segments, Names(100))
                connection.set_progress_handler(lambda: hundreds.append(None), 100)
                while self.counts("log") != [3000]:
                    hundreds.clear()
                    self.assertTrue(merger.step(connection, ()))
                    self.assertLess(len(hundreds), 100)  # to look at every row takes 400 and more
            await backend.close()

    async def test_segments_of_an_early_version_get_their_order_first(self) -> None:
        backend = self.open()
        expected = await self.fill(backend)
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_schema WHERE name GLOB 'log_*_by_time'"
            ).fetchall():
                connection.execute(f"DROP INDEX {name}")
                table = name.removesuffix("_by_time")
                connection.execute(f"CREATE INDEX {table}_by_stream ON {table} (stream)")
        await backend.tend(NOW)
        self.assertEqual((self.counts("log"), self.tables()), ([12], 2))
        self.assertEqual(await texts(backend, kind="log"), expected)

    async def test_segments_that_do_not_have_what_they_should_are_left_alone(self) -> None:
        backend = self.open()
        expected = await self.fill(backend)
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute(
                "UPDATE segment SET row_count = 5 WHERE kind = 'log' AND sealed_at IS NOT NULL"
            )
        with capturedLogs() as logs:
            await backend.tend(NOW)
        self.assertIn("12 rows and not 15", formatEvent(logs[0]))
        self.assertEqual(self.tables(), 4)
        self.assertEqual(await texts(backend, kind="log"), expected)
