"""`ccstore export`, `ccstore pack` and `ccstore check --data`: a store is packed, and got out."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.sizes import SIZES, SegmentSizes
from tests.support.configuration import write_config
from tests.support.running_daemon import ROOT, environment
from tests.support.scratch import scratch
from tests.support.store_contract import TEXTS
from tests.support.stores import NOW, SECOND, message

COLUMNS = "id, timestamp, name, hostname, type, typeid, stype, stypeid, othertags, field"


class PackAndExportTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.folder = scratch(self)
        self.path = self.folder / "ccstore.db"
        self.out = self.folder / "out.db"
        self.config = write_config(self.folder)

    def run_command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ccstore", *words],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    async def fill(self, clusters: tuple[str, ...] = ("alex", "Alex", "sqlite")) -> None:
        sizes = evolve(SIZES, segments=SegmentSizes(segment_rows=50))
        backend = SqliteBackend(self.path, {}, retention=10**9, now=lambda: NOW, reactor=reactor, sizes=sizes)
        backend.open()
        for start in range(0, 200, 50):
            await backend.write(
                Batch.of(
                    message(
                        TEXTS[place % len(TEXTS)],
                        NOW + place,
                        kind,
                        cluster=clusters[place % len(clusters)],
                        hostname=f"h{place % 7}",
                        job="ü",
                    )
                    for place in range(start, start + 50)
                    for kind in ("event", "log")
                )
            )
            await backend.tend(NOW)
        await backend.close()

    def rows(self, path: Path, table: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(f"SELECT {COLUMNS} FROM {table} ORDER BY id").fetchall()

    async def test_what_is_packed_is_got_out(self) -> None:
        await self.fill(("alex",))
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("UPDATE retention SET nanoseconds = 1 << 62")
        expected = {table: self.rows(self.path, table) for table in ("alex_logs", "alex_events")}
        self.assertEqual([*map(len, expected.values())], [200, 200])
        done = self.run_command("pack", "--config", str(self.config), "--older-than", "0s")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("200 messages were packed", done.stdout)
        self.assertIn("200 of 200 messages (100 %)", done.stderr)
        self.assertEqual(self.rows(self.path, "alex_logs"), [])
        done = self.run_command("check", "--data", "--config", str(self.config))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("400 messages were read: all of them are whole", done.stdout)
        done = self.run_command("export", "--config", str(self.config), "--sqlite", str(self.out))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"400 messages were written to {self.out}", done.stdout)
        for table, rows in expected.items():
            self.assertEqual(self.rows(self.out, table), rows)
        self.assertEqual(self.out.stat().st_mode & 0o777, 0o600)
        done = self.run_command("export", "--config", str(self.config), "--sqlite", str(self.out))
        self.assertEqual(done.returncode, 1)
        self.assertIn("is there already: give the path of a new file", done.stderr)

    async def test_what_is_not_enough_for_a_segment_is_packed_as_well(self) -> None:
        await self.write(0)
        # The command goes by the time of the machine.
        age = (time.time_ns() - NOW) // (3600 * SECOND)
        for older_than, packed in ((f"{age + 2}h", 0), (f"{age - 2}h", 3), ("0s", 0)):
            done = self.run_command("pack", "--config", str(self.config), "--older-than", older_than)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"{packed} messages were packed", done.stdout)
            self.assertIn(f"{packed} of {packed} messages (100 %)", done.stderr)
        await self.write(3)
        done = self.run_command("export", "--config", str(self.config), "--sqlite", str(self.out))
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = self.rows(self.out, "alex_logs")
        self.assertEqual([row[:1] for row in rows], [(number,) for number in range(1, 7)])

    async def write(self, first: int) -> None:
        """Three logs, in a segment that stays open."""
        backend = SqliteBackend(self.path, {}, retention=10**9, now=lambda: NOW, reactor=reactor)
        backend.open()
        await backend.write(Batch.of(message(f"text {first + n}", NOW + first + n, "log") for n in range(3)))
        await backend.close()

    async def test_clusters_that_sqlite_cannot_tell_apart_have_tables_of_their_own(self) -> None:
        await self.fill()
        done = self.run_command("export", "--config", str(self.config), "--sqlite", str(self.out))
        self.assertEqual(done.returncode, 0, done.stderr)
        tables = ("alex_logs", "Alex_logs_", "_sqlite_logs")
        self.assertEqual([len(self.rows(self.out, table)) for table in tables], [67, 67, 66])

    async def test_a_damaged_block_is_named_and_left_out(self) -> None:
        await self.fill(("alex",))
        self.run_command("pack", "--config", str(self.config), "--older-than", "0s")
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("UPDATE block_columns SET texts = x'00'")
        done = self.run_command("check", "--data", "--config", str(self.config))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(
            done.stdout, r"block 0 of segment \d+ is damaged .*: \d+ logs from .* cannot be read"
        )
        done = self.run_command("export", "--config", str(self.config), "--sqlite", str(self.out))
        self.assertEqual(done.returncode, 1)
        self.assertIn("200 messages were written", done.stdout)
        self.assertRegex(done.stderr, r"block 0 of segment \d+ is damaged")
        self.assertEqual(len(self.rows(self.out, "alex_events")), 200)

    def test_wrong_words_are_explained(self) -> None:
        for words, said in (
            (("pack",), "--config FILE is missing"),
            (("pack", "--config", str(self.config), "--older-than", "x"), "a duration such as 24h, got 'x'"),
            (("export", "--config", str(self.config)), "--sqlite FILE is missing"),
        ):
            done = self.run_command(*words)
            self.assertEqual(done.returncode, 2)
            self.assertIn(said, done.stderr)
        done = self.run_command("pack", "--config", str(self.config))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "pack_after is 0|there is no file")
