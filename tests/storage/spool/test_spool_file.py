"""The file of the spool: it outlives the process, and may be damaged, moved, or of an older version."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from ccstore.batch import Batch
from ccstore.interfaces import StoreError, StoreUnavailable
from ccstore.storage.dbfile.sql import checkpoint
from ccstore.storage.spool import Spool, SpoolFile
from ccstore.storage.spool.file import SPOOL, Sizes
from tests.support.spool_case import SpoolCase
from tests.support.stores import messages

#: Groups of one batch.
ONE_EACH = Sizes(group_batches=1)


class RestartTests(SpoolCase):
    """What is spooled outlives the process."""

    async def test_is_sent_at_the_next_start(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("ab")
        await self.accept("c")
        await self.crash()
        self.backend.is_away = False
        with capturedLogs() as logs:
            self.start()
        self.assertTrue(any("3 messages in the spool" in str(formatEvent(each)) for each in logs))
        await self.until_sent()
        self.assertEqual(self.stored(), list("abc"))

    async def test_a_stop_spools_what_waits(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("a")
        last = self.service.accept(messages("b"), urgent=False)  # lingers
        await self.stop()
        self.assertEqual(list(self.successResultOf(last)), [])
        self.backend.is_away = False
        self.start()
        await self.until_sent()
        self.assertEqual(self.stored(), ["a", "b"])

    async def test_a_stop_does_not_wait_for_all_to_be_sent(self) -> None:
        self.start(sizes=ONE_EACH)
        self.backend.is_away = True
        for text in "abcd":
            await self.accept(text)
        self.backend.is_away = False
        await self.until(lambda: self.stored())
        await self.stop()
        self.assertLess(len(self.stored()), 4)
        self.start()
        await self.until_sent()
        self.assertEqual(self.stored(), list("abcd"))

    def assert_refused(self, why: str) -> None:
        with self.assertRaises(StoreError) as caught:
            self.start()
        self.service = None
        self.assertRegex(str(caught.exception), f"^cannot open the spool {self.path}: {why}")
        self.assertNotIn("\n", str(caught.exception))

    def test_a_file_that_is_no_database(self) -> None:
        self.path.write_bytes(b"not a database, for sure" * 1000)
        self.assert_refused("file is not a database")

    def test_a_database_of_another_program(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("CREATE TABLE precious (x)")
        self.assert_refused("it is another program's database")
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(connection.execute("SELECT name FROM sqlite_schema").fetchall(), [("precious",)])

    async def test_a_spool_of_a_newer_version(self) -> None:
        self.start()
        await self.stop()
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("PRAGMA user_version = 2")
        self.assert_refused(".*written by a newer ccstore")

    async def test_a_damaged_file(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept([str(number) * 50 for number in range(500)])
        await self.stop()
        content = bytearray(self.path.read_bytes())
        content[8192:] = b"\xff" * (len(content) - 8192)
        self.path.write_bytes(content)
        self.assert_refused("(it is damaged|database disk image is malformed)")

    async def test_a_damaged_batch_costs_only_itself(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("x")
        for texts in ("ab", "cd", "ef"):
            await self.accept(texts)
        await self.stop()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("UPDATE batch SET data = x'0102' WHERE id = 3")
        self.backend.is_away = False
        with capturedLogs() as logs:
            self.start()
            await self.until_sent()
        self.assertEqual(self.stored(), list("xabef"))
        self.assertEqual((self.figures["unreadable"], self.figures["sent"]), (2, 5))
        self.assertTrue(
            any("2 messages in the spool cannot be read" in str(formatEvent(each)) for each in logs)
        )

    async def test_only_damaged_batches(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("x")
        await self.accept("y")
        await self.stop()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("UPDATE batch SET data = x'00'")
        self.backend.is_away = False
        self.start()
        await self.until_sent()
        self.assertEqual((self.stored(), self.figures["unreadable"]), ([], 2))

    def test_another_daemon_has_it(self) -> None:
        other = Spool(self.path, SpoolFile(1000), reactor)
        other.open()
        self.addCleanup(lambda: Deferred.fromCoroutine(other.close()))
        with self.assertRaisesRegex(StoreError, "^the spool .* is in use by another ccstore$"):
            self.start()
        self.service = None


class _MovedFile(SpoolFile):
    """A file that is moved away as soon as a batch is in it.

    :ivar goes_to: where to, or None if it is not moved.
    """

    def __init__(self, max_size: int, path: Path) -> None:
        super().__init__(max_size)
        self._path = path
        self.goes_to: Path | None = None

    def append(self, connection: sqlite3.Connection, messages: Batch, batch_id: int | None) -> int:
        number = super().append(connection, messages, batch_id)
        if self.goes_to is not None and self._path.exists():
            self._path.rename(self.goes_to)
        return number


class WatchTests(SpoolCase):
    """A spool whose file is moved, removed or overwritten while it is open."""

    async def start_away(self, file: SpoolFile | None = None) -> None:
        self.start(file=file)
        self.backend.is_away = True
        await self.accept("a")

    async def test_takes_nothing_while_it_is_moved_away(self) -> None:
        await self.start_away()
        away = self.path.rename(self.path.with_name("away.db"))
        with capturedLogs() as logs:
            second = self.accept("b")
            await self.until(lambda: self.service.stats()["manager"]["errors"].get("spool"))
        self.assertFalse(second.called)
        reason = self.service.stats()["manager"]["errors"]["spool"]
        self.assertIn(f"the spool {self.path} was moved away while it was open: put it back", reason)
        said = [str(formatEvent(event)) for event in logs]
        self.assertEqual([text for text in said if reason in text], [said[0]])
        away.rename(self.path)
        await self.until(lambda: second.called)
        await self.until(lambda: "spool" not in self.service.stats()["manager"]["errors"])
        self.backend.is_away = False
        await self.until_sent()
        self.assertEqual(self.stored(), ["a", "b"])

    async def test_is_looked_at_while_the_database_is_there(self) -> None:
        self.start()
        await self.accept("a")
        self.path.unlink()
        await self.until(self.service.unreadiness)
        self.assertIn(f"the spool {self.path} was removed", self.service.unreadiness())
        self.assertEqual(list(await self.accept("b")), [])
        self.assertEqual(list(await self.accept("c", urgent=True)), [])
        self.assertEqual(self.stored(), list("abc"))

    async def test_what_is_in_it_is_sent_when_it_was_removed(self) -> None:
        await self.start_away()
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(f"spool.db{suffix}").unlink()
        second = self.accept("b")
        await self.until(lambda: self.service.stats()["manager"]["errors"].get("spool"))
        self.backend.is_away = False
        await self.until(lambda: second.called)
        self.assertEqual(self.stored(), ["a", "b"])

    async def test_a_batch_that_went_elsewhere_is_not_acknowledged_and_comes_once(self) -> None:
        away = self.path.with_name("away.db")
        file = _MovedFile(10**9, self.path)
        await self.start_away(file)
        file.goes_to = away
        second = self.accept("b")
        await self.until(lambda: self.service.stats()["backend"]["errors"].get("spool_failed"))
        self.assertFalse(second.called)
        self.assertEqual(self.figures["messages"], 1)
        file.goes_to = None
        away.rename(self.path)
        await self.until(lambda: second.called)
        self.backend.is_away = False
        await self.until_sent()
        self.assertEqual(self.stored(), ["a", "b"])

    async def test_overwritten(self) -> None:
        await self.start_away()
        with closing(sqlite3.connect(self.path)) as connection:
            checkpoint(connection)
        await self.spool.check()  # has seen that
        self.path.write_bytes(b"garbage")
        second = self.accept("b")
        await self.until(lambda: self.service.stats()["manager"]["errors"].get("spool"))
        self.assertIn(
            "was overwritten by another program", self.service.stats()["manager"]["errors"]["spool"]
        )
        self.assertFalse(second.called)
        self.backend.is_away = False
        await self.stop()
        self.failureResultOf(second, StoreUnavailable)


class UpgradeTests(SpoolCase):
    """A spool of an older version is copied, and brought up to date."""

    async def test_has_what_it_had(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("ab")
        await self.stop()
        newer = evolve(SPOOL, scripts=(*SPOOL.scripts, "CREATE TABLE newer (x); ALTER TABLE sending ADD y;"))
        self.spool = Spool(self.path, SpoolFile(10**9), reactor, schema=newer)
        with capturedLogs() as logs:
            self.spool.open()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.spool.close()))
        self.assertEqual(self.spool.messages, 2)
        copy = self.path.with_name("spool.db.v1")
        self.assertIn(f"the file is copied to {copy}", str(formatEvent(logs[0])))
        for path, version in ((self.path, 2), (copy, 1)):
            with closing(sqlite3.connect(path)) as connection:
                self.assertEqual(connection.execute("PRAGMA user_version").fetchone(), (version,))
                self.assertEqual(connection.execute("SELECT sum(messages) FROM batch").fetchone(), (2,))
