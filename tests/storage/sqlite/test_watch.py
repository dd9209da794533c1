"""Files that are moved, removed, replaced or overwritten while they are open."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from ccstore.interfaces import StoreUnavailable
from ccstore.message import Batch
from ccstore.storage.sqlite import apart
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.bulk import BulkWriter
from ccstore.storage.sqlite.lock import FileLock, InUse
from tests.support.faulty_daemon import Stream, WatchedDaemon, daemon_in, line, stored, write
from tests.support.scratch import as_somebody_else, scratch
from tests.support.stores import NOW, ask, asking, messages, read_at

BESIDE = ("", "-wal", "-shm")


def rows(path: Path) -> list[str]:
    """What somebody finds in a file, without what is beside it, who opens it as it is."""
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as connection:
        read_at(connection, NOW)
        return [text for (text,) in connection.execute("SELECT field FROM alex_events ORDER BY id")]


def remove(path: Path) -> None:
    """With all that SQLite keeps beside it."""
    for suffix in BESIDE:
        Path(f"{path}{suffix}").unlink()


def back_up(path: Path) -> Path:
    backup = path.with_name("backup.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"VACUUM INTO '{backup}'")
    return backup


def truncate(path: Path) -> None:
    os.truncate(path, 0)


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def put_garbage(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"garbage" * 10)


def copy_over(path: Path) -> None:
    shutil.copyfile(back_up(path), path)


class _WatchTests:
    """With a file that has been used for a while."""

    is_apart: bool

    async def setUp(self: Any) -> None:
        self.path = scratch(self) / "events.db"
        self.backend = SqliteBackend(
            self.path, {}, retention=1600, now=lambda: NOW, reactor=reactor, is_apart=self.is_apart
        )
        self.backend.open()
        self.addCleanup(lambda: self.backend.close())
        await self.backend.write(messages("ab"))
        await self.backend.tend(NOW)
        await self.backend.expire(0)
        await self.texts()

    async def texts(self: Any) -> list[str]:
        (page,) = await ask(self.backend, [asking("alex")], cutoff=0, max_rows=100, timeout=60)
        return [row.text for row in page.rows]

    async def refused(self: Any, work: Deferred[Any]) -> str:
        """Why it is not done; that names the file."""
        said = str(await self.assertFailure(work, StoreUnavailable))
        self.assertIn(str(self.path), said)
        return said

    async def check_refused(self: Any, *words: str) -> None:
        """Nothing is written, read, or tidied up."""
        query = [asking("alex")]
        for work in (
            lambda: self.backend.write(messages("lost")),
            lambda: self.backend.write(Batch()),
            lambda: self.backend.tend(NOW),
            lambda: self.backend.expire(0),
            lambda: ask(self.backend, query, cutoff=0, max_rows=1, timeout=60),
        ):
            said = await self.refused(work())
            for word in words:
                self.assertIn(word, said)

    async def test_removed(self: Any) -> None:
        remove(self.path)
        await self.check_refused("was removed while it was open: put it back, or restart ccstore")
        self.assertFalse(self.path.exists())

    async def test_moved_away_and_back(self: Any) -> None:
        away = self.path.rename(self.path.with_name("away.db"))
        await self.check_refused("was moved away while it was open")
        # It has all there is, without a write-ahead log, which would be taken for that of another file.
        self.assertEqual(rows(away), ["a", "b"])
        self.assertEqual(Path(f"{self.path}-wal").stat().st_size, 0)
        away.rename(self.path)
        await self.backend.write(messages("c", NOW + 10))
        self.assertEqual(await self.texts(), ["a", "b", "c"])
        await self.backend.close()
        self.assertEqual(rows(self.path), ["a", "b", "c"])

    async def test_replaced_by_a_backup(self: Any) -> None:
        backup = back_up(self.path)
        await self.backend.write(messages("c", NOW + 10))
        old = self.path.with_name("old.db")
        os.link(self.path, old)
        backup.rename(self.path)
        await self.check_refused("was replaced by another file", "put the right one back, or restart ccstore")
        await self.backend.close()
        self.assertEqual(rows(old), ["a", "b", "c"])
        self.backend.open()
        self.assertEqual(await self.texts(), ["a", "b"])
        await self.backend.write(messages("d", NOW + 20))
        self.assertEqual(await self.texts(), ["a", "b", "d"])

    async def test_queries_do_not_see_what_was_in_its_place(self: Any) -> None:
        backup = back_up(self.path)
        await self.backend.write(messages("c", NOW + 10))
        old = self.path.rename(self.path.with_name("old.db"))
        backup.rename(self.path)
        for _ in range(5):
            await self.refused(ask(self.backend, [asking("alex")], cutoff=0, max_rows=9, timeout=60))
        old.rename(self.path)
        for _ in range(5):
            self.assertEqual(await self.texts(), ["a", "b", "c"])

    async def test_its_folder_is_gone(self: Any) -> None:
        folder = self.path.parent
        away = folder.rename(folder.with_name(f"{folder.name}-away"))
        await self.check_refused("was moved away")
        away.rename(folder)
        await self.backend.write(messages("c", NOW + 10))
        self.assertEqual(await self.texts(), ["a", "b", "c"])

    async def test_what_is_beside_it_is_removed(self: Any) -> None:
        for suffix in BESIDE[1:]:
            Path(f"{self.path}{suffix}").unlink()
            await self.check_refused(f"{self.path}{suffix}, which belongs to", "restart ccstore")
            await self.backend.close()
            self.assertEqual(rows(self.path), ["a", "b"])
            self.backend.open()
            await self.backend.expire(0)

    async def check_overwritten(self: Any, overwrite: Callable[[Path], None]) -> None:
        overwrite(self.path)
        content = self.path.read_bytes()
        await self.check_refused(
            "was overwritten by another program", "stop ccstore, put the right file there"
        )
        await self.backend.close()
        if self.is_apart:
            self.assertEqual(self.path.read_bytes(), content)

    async def test_a_write_that_went_elsewhere_is_not_acknowledged_and_comes_once(self: Any) -> None:
        away = self.path.with_name("away.db")
        write = self.backend._writer.write

        def move(connection: Any, batch: Batch) -> None:
            write(connection, batch)
            self.path.rename(away)
            if self.is_apart:  # the process looks at it between these two
                raise apart._exception("FileChanged", f"{self.path} was moved", False, True)

        self.backend._writer.write = move
        parts = [messages("c", NOW + 10), messages("d", NOW + 20)]
        await self.refused(self.backend.write(Batch.together(parts)))
        self.backend._writer.write = write
        await self.refused(self.backend.tend(NOW))
        self.assertEqual(rows(away), list("abcd"))
        away.rename(self.path)
        await self.backend.write(Batch())
        # One of those who waited has been told; what nobody waits for is offered again.
        await self.backend.write(parts[1])
        await self.backend.write(messages("e", NOW + 30))
        self.assertEqual(await self.texts(), list("abcde"))

    async def test_what_is_no_harm(self: Any) -> None:
        """Another program writes by SQLite, or a backup program sets the time back."""
        for number, statement in enumerate(
            ("PRAGMA wal_checkpoint(TRUNCATE)", "CREATE TABLE theirs (x)", "DROP TABLE theirs", "VACUUM")
        ):
            with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
                other.execute(statement).fetchall()
                other.execute("PRAGMA wal_checkpoint").fetchall()
            os.utime(self.path, (number, number))
            await self.backend.write(messages(str(number), NOW + 10 * number + 10))
        with capturedLogs() as logs:
            for _ in range(2):
                await self.backend.write(messages("x", NOW + 90))
            os.utime(self.path, (0, 0))
            for _ in range(2):
                await self.backend.write(messages("y", NOW + 100))
        (said,) = [str(formatEvent(event)) for event in logs]
        self.assertIn(f"another program has written into the database {self.path} while it was open", said)
        self.assertEqual(await self.texts(), list("ab0123xxyy"))

    async def test_its_lock_is_removed(self: Any) -> None:
        """Nobody else may open the file, and if somebody has, only one of them goes on."""
        lock = self.path.with_name("events.db.lock")
        lock.unlink()
        await self.backend.tend(NOW)
        other = FileLock(self.path, "database")
        self.assertRaises(InUse, other.take)
        await self.backend.write(messages("c", NOW + 10))
        lock.unlink()
        other.take()
        self.addCleanup(other.release)
        for _ in range(2):
            said = await self.refused(self.backend.tend(NOW))
            self.assertIn("is in use by another ccstore, which was started while the lock was removed", said)
            self.assertEqual(await self.refused(self.backend.write(messages("d"))), said)
        self.assertEqual(await self.texts(), list("abc"))

    async def test_a_backup_restored_by_sqlite(self: Any) -> None:
        """With the shell's ``.restore``: the file is the same, and what the writer knew of it is wrong."""
        backup = back_up(self.path)
        for number in range(3):
            await self.backend.write(messages(str(number), NOW + 10, hostname=f"new {number}"))
            await self.backend.write(messages("log", NOW, kind="log", hostname=f"new {number}"))
        with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(self.path)) as target:
            source.backup(target)
        self.assertEqual(await self.texts(), ["a", "b"])
        await self.backend.write(messages("c", NOW + 20, hostname="new 2"))
        await self.backend.write(messages("d", NOW + 30))
        self.assertEqual(await self.texts(), list("abcd"))
        await self.backend.close()
        self.assertEqual(rows(self.path), list("abcd"))

    async def test_damage_that_a_query_finds(self: Any) -> None:
        await self.backend.write(messages([str(number) * 100 for number in range(999)]))
        await self.backend._run(self.backend._writer.checkpoint)
        page = self.path.stat().st_size // 8192 - 3
        with self.path.open("r+b") as file:
            file.seek(page * 8192)
            file.write(b"\xff" * 8192)
        self.backend._readers.stop()  # and forget the pages that were right
        said = await self.refused(ask(self.backend, [asking("alex")], cutoff=0, max_rows=999, timeout=60))
        self.assertIn("database disk image is malformed: the file is damaged; stop whatever uses it", said)
        self.assertEqual(await self.refused(self.backend.write(messages("c"))), said)


class ThreadTests(_WatchTests, TestCase):
    is_apart = False

    async def test_may_not_be_used_any_more(self) -> None:
        await self.backend.close()  # type: ignore[has-type]
        path: Path = self.path  # type: ignore[has-type]
        if os.geteuid() == 0:
            for each in (path.parent, *path.parent.iterdir()):
                os.chown(each, 65534, 65534)
        with as_somebody_else():
            self.backend.open()
            await self.backend.write(messages("c", NOW + 10))
            for suffix in BESIDE:
                each = Path(f"{path}{suffix}")
                each.chmod(0o400)
                await self.check_refused("may not be used any more: the user", f"write {each} (owner ")
                each.chmod(0o600)
            await self.backend.write(messages("d", NOW + 20))
            self.assertEqual(await self.texts(), list("abcd"))
            await self.backend.close()


class ApartTests(_WatchTests, TestCase):
    is_apart = True


def _overwriting(overwrite: Callable[[Path], None]) -> Any:
    async def test(self: Any) -> None:
        await self.check_overwritten(overwrite)

    return test


for _overwrite in (truncate, shorten, put_garbage, copy_over):
    setattr(_WatchTests, f"test_overwritten_{_overwrite.__name__}", _overwriting(_overwrite))


def test_an_import_into_a_file_that_is_moved_away(tmp_path: Path) -> None:
    path = tmp_path / "ccstore.db"
    target = BulkWriter(path, {}, retention=1600, say=print)
    target.open()
    target.write(messages("a"), lambda connection: None)
    path.rename(tmp_path / "away.db")
    with pytest.raises(StoreUnavailable, match="was moved away while it was open"):
        target.write(messages("b"), lambda connection: None)
    target.close()
    assert not path.exists()


# -- the whole daemon


def errors(daemon: WatchedDaemon) -> list[str]:
    return [text for text in daemon.log if " error: " in text or " critical: " in text]


def test_a_daemon_whose_file_is_removed_says_so_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "ccstore.db"
    with daemon_in(tmp_path) as daemon:
        assert write(daemon, line("a", "h"))[0] == 200
        remove(path)
        reason = f"the database {path} was removed while it was open"
        assert reason in daemon.until_ready(503)
        for where in ("HTTP", "REST"):
            status, headers, body = write(daemon, line("b", "h"), where)
            assert (status, headers.get("Retry-After")) == (503, "5")
            assert reason in body.decode()
        status, body = daemon.ask("POST", "/api/query", b'{"cluster": "alex", "queries": [{}]}')
        assert (status, reason in body.decode()) == (503, True)
        daemon.stop()
        (error,) = errors(daemon)
        assert reason in error
        assert "restart ccstore" in error
        assert "Traceback" not in daemon.text
    assert not path.exists()


def test_a_stream_goes_on_when_the_file_is_back(tmp_path: Path) -> None:
    """Each line is there once, also those that were being written when it was moved."""
    path, away = tmp_path / "ccstore.db", tmp_path / "away.db"
    with daemon_in(tmp_path, flush_time="10ms", max_waiting=8000) as daemon:
        with Stream(daemon) as stream:
            for _ in range(3):
                before = daemon.account("tcp")["stored"]
                daemon.until(lambda stats, n=before: stats["receivers"]["tcp"]["stored"] > n + 2000)
                path.rename(away)
                daemon.until_ready(503)
                away.rename(path)
                daemon.until_ready()
        daemon.arrived("tcp", stream.sent)
        daemon.until(lambda stats: not stats["receivers"]["tcp"]["waiting"])
        daemon.stop()
        assert daemon.closing_books()["tcp"] == (stream.sent, stream.sent, 0, 0)
        assert "Traceback" not in daemon.text
    assert stored(path, stream.host) == [str(number) for number in range(stream.sent)]


def test_a_backup_copied_over_the_file_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "ccstore.db"
    with daemon_in(tmp_path) as daemon:
        assert write(daemon, line("a", "h"))[0] == 200
        backup = back_up(path)
        assert write(daemon, line("b", "h"))[0] == 200
        shutil.copyfile(backup, path)
        assert "was overwritten by another program" in daemon.until_ready(503)
        daemon.stop()
    for suffix in BESIDE[1:]:
        Path(f"{path}{suffix}").unlink()
    with daemon_in(tmp_path) as daemon:
        assert [row["Event"] for row in daemon.query()[0][0]["data"]] == ["a"]
