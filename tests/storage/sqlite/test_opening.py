"""Files that are opened again, and files that cannot be opened."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.interfaces import StoreError, StoreUnavailable
from ccstore.storage.sqlite.versions import DATABASE
from tests.support.scratch import as_somebody_else, scratch
from tests.support.sqlite_files import SqliteFiles, texts
from tests.support.stores import NOW, message, messages


class RestartTests(SqliteFiles, TestCase):
    """A file outlives whoever wrote it."""

    async def test_finds_everything_after_a_close(self) -> None:
        self.limit(segment_rows=2)
        backend = self.open()
        await backend.write(Batch.of([*messages("abc", hostname="h"), *messages("xy", kind="log")]))
        await backend.close()
        self.assertFalse(self.path.with_name("events.db-wal").exists())
        backend = self.open()
        await backend.write(messages("de", NOW + 10, hostname="h"))
        self.assertEqual(await texts(backend, hostname="h"), list("abcde"))
        self.assertEqual(await texts(backend, kind="log"), list("xy"))
        self.assertEqual([number for (number,) in self.sql("SELECT id FROM alex_events")], [1, 2, 3, 4, 5])
        self.assertEqual(self.value("SELECT count(*) FROM stream WHERE kind = 'event'"), 1)

    async def test_finds_everything_after_a_crash(self) -> None:
        self.limit(segment_rows=4)
        backend = self.open()
        for text in "abcdef":
            await backend.write(Batch.of([message(text, kind="log"), message(text, hostname="h")]))
        await backend.tend(NOW)
        copy = scratch(self) / "copy.db"
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{self.path}{suffix}", f"{copy}{suffix}")
        self._path = copy
        backend = self.open()
        await backend.write(Batch.of([message("g", hostname="h")]))
        self.assertEqual(await texts(backend, hostname="h"), list("abcdefg"))
        self.assertEqual(await texts(backend, kind="log"), list("abcdef"))
        self.assertEqual([number for (number,) in self.sql("SELECT id FROM alex_events")], list(range(1, 8)))

    async def test_a_cluster_keeps_its_view(self) -> None:
        backend = self.open()
        await backend.write(Batch.of([message("a", cluster="my-cluster")]))
        await backend.close()
        backend = self.open()
        await backend.write(Batch.of([message("b", cluster="my-cluster")]))
        self.assertEqual(self.sql('SELECT field FROM "my-cluster_events"'), [("a",), ("b",)])

    async def test_may_be_closed_twice(self) -> None:
        backend = self.open()
        await backend.close()
        await backend.close()
        self.open()


class WrongFileTests(SqliteFiles, TestCase):
    """What cannot be opened is said in one line, and nothing is touched."""

    def refused(self, path: Path | None = None) -> str:
        """What is said."""
        path = path or self.path
        with self.assertRaises(StoreError) as caught:
            self.backend_at(path).open()
        said = str(caught.exception)
        self.assertIn(str(path), said)
        self.assertNotIn("\n", said)
        self.assertNotIsInstance(caught.exception, StoreUnavailable)
        return said

    def make_file(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    async def test_in_use(self) -> None:
        first = self.open()
        self.assertIn("in use by another ccstore", self.refused())
        await first.close()
        self.open()

    async def test_of_a_newer_version(self) -> None:
        await self.open().close()
        self.make_file(f"PRAGMA user_version = {DATABASE.version + 1}")
        self.assertIn(f"version {DATABASE.version + 1}, written by a newer ccstore", self.refused())
        self.assertEqual(self.value("PRAGMA user_version"), DATABASE.version + 1)

    def test_of_somebody_else(self) -> None:
        self.make_file(
            "CREATE TABLE alex_events (id INTEGER PRIMARY KEY, timestamp INTEGER, name TEXT, field TEXT)",
            "INSERT INTO alex_events VALUES (1, 2, 'job', 'text')",
        )
        before = self.path.read_bytes()
        for pragmas in ({}, {"journal_mode": "WAL"}):
            with self.assertRaises(StoreError) as caught:
                self.backend_at(self.path, pragmas).open()
            self.assertIn("ccstore did not make it: give another path", str(caught.exception))
        self.assertEqual(self.path.read_bytes(), before)

    def test_not_a_database(self) -> None:
        self.path.write_text("nothing of the kind\n" * 100)
        self.assertIn("not a database", self.refused())

    def test_a_directory(self) -> None:
        self.path.mkdir()
        self.assertIn("unable to open", self.refused())

    def test_in_a_directory_that_is_not_there(self) -> None:
        self.assertIn("No such file or directory", self.refused(self.path.parent / "none" / "events.db"))

    def test_in_a_directory_that_cannot_be_written(self) -> None:
        self.path.parent.chmod(0o555)
        with as_somebody_else():
            self.assertIn("Permission denied", self.refused())

    async def test_that_cannot_be_written(self) -> None:
        await self.open().close()
        self.path.chmod(0o444)
        self.path.with_name("events.db.lock").chmod(0o666)
        self.path.parent.chmod(0o777)
        with as_somebody_else():
            self.assertIn("readonly", self.refused())

    async def test_may_be_opened_once_it_is_right(self) -> None:
        self.path.mkdir()
        backend = self.backend_at(self.path)
        self.assertRaises(StoreError, backend.open)
        self.path.rmdir()
        backend.open()
        await backend.close()
