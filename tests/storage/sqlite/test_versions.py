"""Schemas in versions: what is older is copied first, and what goes wrong leaves it as it was."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet import reactor
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.interfaces import StoreError
from ccstore.storage.dbfile.schema import Schema
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.versions import DATABASE
from tests.support.scratch import scratch
from tests.support.stores import NOW, ask, asking, message, messages

#: What a next version may do.
NEWER = evolve(
    DATABASE, scripts=(*DATABASE.scripts, "ALTER TABLE stream ADD job TEXT; CREATE TABLE newer (x);")
)


class UpgradeTests(TestCase):
    def setUp(self) -> None:
        self.path = scratch(self) / "events.db"
        self.copy = self.path.with_name(f"events.db.v{DATABASE.version}")

    def backend(self, schema: Schema, *, is_apart: bool = False, **more: Any) -> SqliteBackend:
        backend = SqliteBackend(
            self.path,
            {},
            retention=1600,
            now=lambda: NOW,
            reactor=reactor,
            schema=schema,
            is_apart=is_apart,
            **more,
        )
        self.addCleanup(backend.close)
        return backend

    async def fill(self) -> None:
        backend = self.backend(DATABASE)
        backend.open()
        await backend.write(Batch.of([*messages("abc"), message("log", kind="log")]))
        await backend.close()

    def found(self, path: Path) -> tuple[int, list[str], list[str]]:
        """The version of a file, its events, and its tables."""
        with closing(sqlite3.connect(path)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            texts = [text for (text,) in connection.execute("SELECT field FROM alex_events ORDER BY id")]
            tables = connection.execute("SELECT name FROM sqlite_schema WHERE name = 'newer'").fetchall()
            self.assertEqual(connection.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        return version, texts, [name for (name,) in tables]

    async def test_is_copied_and_brought_up_to_date(self) -> None:
        for is_apart in (False, True):
            await self.fill()
            backend = self.backend(NEWER, is_apart=is_apart)
            with capturedLogs() as logs:
                backend.open()
            await backend.write(messages("d", NOW + 10))
            (page,) = await ask(backend, [asking("alex")], cutoff=0, max_rows=10, timeout=60)
            self.assertEqual([row.text for row in page.rows], list("abcd"))
            await backend.close()
            self.assertEqual(self.found(self.path), (NEWER.version, list("abcd"), ["newer"]))
            self.assertEqual(self.found(self.copy), (DATABASE.version, list("abc"), []))
            self.assertEqual(self.copy.stat().st_mode & 0o777, 0o600)
            said = [str(formatEvent(event)) for event in logs]
            self.assertIn(f"the file is copied to {self.copy}", said[0])
            self.assertIn(f"when all is well, {self.copy} may be removed", said[1])
            self.path.unlink()

    async def test_the_copy_has_what_is_in_the_write_ahead_log(self) -> None:
        """As a daemon leaves it behind that was killed."""
        await self.fill()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as reading:
            reading.execute("BEGIN")
            reading.execute("SELECT * FROM stream").fetchall()
            with closing(sqlite3.connect(self.path, isolation_level=None)) as writing:
                writing.execute("UPDATE event_1 SET text = 'B' WHERE text = 'b'")
            self.backend(NEWER).open()
        self.assertEqual(self.found(self.copy), (DATABASE.version, ["a", "B", "c"], []))

    async def test_no_copy_for_a_new_file_or_one_that_is_up_to_date(self) -> None:
        for _ in range(2):
            backend = self.backend(NEWER)
            backend.open()
            await backend.close()
        self.assertFalse(self.copy.exists())

    async def test_an_earlier_copy_is_replaced(self) -> None:
        await self.fill()
        self.copy.write_text("of an earlier attempt")
        self.copy.with_name(f"{self.copy.name}.part").write_text("that was killed")
        self.backend(NEWER).open()
        self.assertEqual(self.found(self.copy)[:2], (DATABASE.version, list("abc")))
        self.assertFalse(self.copy.with_name(f"{self.copy.name}.part").exists())

    async def test_if_it_cannot_be_copied_nothing_is_changed(self) -> None:
        await self.fill()
        self.copy.mkdir()
        before = self.path.read_bytes()
        with self.assertRaisesRegex(StoreError, f"it has to be copied to {self.copy} before its schema"):
            self.backend(NEWER).open()
        self.assertEqual(self.path.read_bytes(), before)
        self.assertEqual([name for name in os.listdir(self.path.parent) if "part" in name], [])
        self.copy.rmdir()
        self.backend(NEWER).open()

    async def test_if_it_goes_wrong_on_the_way_the_file_is_as_it_was(self) -> None:
        await self.fill()
        broken = evolve(
            NEWER, scripts=(*NEWER.scripts, "CREATE TABLE third (x); INSERT INTO nowhere VALUES (1);")
        )
        with self.assertRaisesRegex(StoreError, "no such table: nowhere"):
            self.backend(broken).open()
        self.assertEqual(self.found(self.path), (DATABASE.version, list("abc"), []))
        self.backend(NEWER).open()
        self.assertEqual(self.found(self.path)[::2], (NEWER.version, ["newer"]))
