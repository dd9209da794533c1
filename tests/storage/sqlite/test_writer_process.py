"""The process that writes: killed, started again, and what it refuses."""

from __future__ import annotations

import marshal
import os
import signal
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.interfaces import CommitUnknown, StoreError, StoreUnavailable
from ccstore.keeping import Hold
from ccstore.query import Selection
from ccstore.storage.dbfile.watch import FileChanged
from ccstore.storage.sqlite.means import Means
from ccstore.storage.sqlite.process_errors import pack_error, unpack_error
from ccstore.storage.sqlite.writer_calls import Call
from tests.support.configuration import write_config
from tests.support.faulty_daemon import WatchedDaemon
from tests.support.running_daemon import database
from tests.support.sqlite_files import RETENTION, SqliteFiles
from tests.support.stores import SECOND, message, messages
from tests.support.writer_processes import ProcessCase


class RetentionTests(ProcessCase):
    async def test_the_process_and_its_successor_seal_by_another_retention(self) -> None:
        backend = self.open()
        for number in range(2):
            await backend.write(messages([f"{number}"]))
            if not number:
                await backend.retain(RETENTION / 100)
            else:
                self.processes.kill()
                with self.assertRaises(StoreUnavailable):
                    await backend.tend(self.now)
            # A hundredth of the time after which it would have been sealed.
            self.now += round(RETENTION / 1600 * SECOND)
            await backend.tend(self.now)
            ((sealed,),) = self.sql(
                "SELECT count(*) FROM segment WHERE kind = 'event' AND sealed_at IS NOT NULL"
            )
            self.assertEqual(sealed, number + 1)


class CallTests(ProcessCase):
    async def test_all_that_may_be_asked_for_is(self) -> None:
        self.open_announcing(worth=1)
        parts = [messages("a"), messages("b")]
        self.backend.announce(parts[:1])
        await self.backend.write(Batch.together(parts))
        await self.backend.retain(RETENTION)
        await self.backend.tend(self.now)
        self.now += 10 * SECOND
        await self.backend.tend(self.now)
        self.assertEqual(await self.backend.expire(0), 0)
        number = await self.backend.hold(Hold(Selection(), "everything", "a test", "somebody", self.now))
        self.assertTrue(await self.backend.release(number))
        self.assertFalse(await self.backend.release(number))
        self.backend.limit(1)
        self.assertEqual(await self.backend.expire(0), 0)
        await self.backend.close()
        # What packing asks for is asked where something is packed.
        wanted = {call for call in Call if not call.name.startswith("PACK_")}
        self.assertLessEqual(wanted, {call for call, _ in self.processes.calls})


class KilledTests(ProcessCase):
    """What becomes of batches when the process ends, or refuses them."""

    def setUp(self) -> None:
        super().setUp()
        self.backend = self.open()

    async def check_interrupted(self, *, is_late: bool) -> None:
        """A batch whose fate is not known, offered again, is there once."""
        await self.offer("ab")
        batch = messages("cd")
        self.backend.prepare(batch)
        self.processes.interrupt(is_late=is_late)
        with self.assertRaisesRegex(CommitUnknown, "has ended, with status -9"):
            await self.backend.write(batch)
        await self.backend.write(batch)
        await self.offer("ef")
        self.assertEqual(self.rows(), list("abcdef"))

    async def test_a_batch_that_was_not_committed_is_written_when_it_is_offered_again(self) -> None:
        await self.check_interrupted(is_late=False)

    async def test_a_batch_that_was_committed_is_not_written_when_it_is_offered_again(self) -> None:
        await self.check_interrupted(is_late=True)

    async def test_it_is_started_again_for_whatever_is_asked_next(self) -> None:
        await self.offer("a")
        self.processes.interrupt(is_late=False)
        with self.assertRaises(StoreUnavailable):
            await self.backend.tend(self.now)
        await self.backend.tend(self.now)
        await self.offer("b")
        self.assertEqual(self.rows(), ["a", "b"])

    async def test_batches_behind_one_that_failed_fail_as_well(self) -> None:
        await self.offer("a")
        self.processes.interrupt(is_late=False)
        failing, behind = self.offer("b"), self.offer("c")
        await self.assertFailure(failing, CommitUnknown)
        error = await self.assertFailure(behind, StoreUnavailable)
        self.assertIn("before this one", str(error))
        await self.offer("d")
        self.assertEqual(self.rows(), ["a", "d"])

    async def test_a_file_that_somebody_else_writes(self) -> None:
        await self.offer("a")
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with self.assertRaisesRegex(StoreUnavailable, "database is locked"):
                await self.offer("b")
        await self.offer("c")
        self.assertEqual(self.rows(), ["a", "c"])

    async def test_a_message_at_fault_is_refused(self) -> None:
        with self.assertRaises(StoreError) as caught:
            await self.offer("\ud800")
        self.assertNotIsInstance(caught.exception, StoreUnavailable)
        await self.offer("b")
        self.assertEqual(self.rows(), ["b"])

    async def test_what_it_says_is_in_the_log(self) -> None:
        with capturedLogs() as captured:
            await self.backend.write(Batch.of([message("a", cluster="sqlite"), message("b")]))
        said = [formatEvent(event) for event in captured]
        self.assertIn("no view 'sqlite_events' for cluster 'sqlite'", "\n".join(map(str, said)))

    async def test_signals_that_end_the_daemon_do_not_end_it(self) -> None:
        await self.offer("a")
        process = self.processes.last
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(number)
        await self.offer("b")
        self.assertIs(self.processes.last, process)
        await self.backend.close()
        self.assertEqual(process.returncode, 0)


class StartTests(SqliteFiles, TestCase):
    is_apart = True
    executable = "/bin/false"

    def spawn(self, command: Sequence[str], **more: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([self.executable, *command[1:]], **more)

    async def check_a_thread_writes(self, said: str) -> None:
        self.means = Means(spawn=self.spawn)
        with capturedLogs() as captured:
            backend = self.open()
        self.assertIn(said, "\n".join(str(formatEvent(event)) for event in captured))
        await backend.write(messages("a"))
        # What only a writer in this process can do.
        await backend.prepare_copy(None)
        self.assertEqual(await backend.count(), {("alex", "event"): 1})

    async def test_without_a_program_for_it_a_thread_writes(self) -> None:
        self.executable = "/nowhere/python"
        await self.check_a_thread_writes("a thread writes instead of a process: cannot start")

    async def test_if_it_ends_at_once_a_thread_writes(self) -> None:
        await self.check_a_thread_writes("has ended, with status 1")

    def test_a_file_that_is_no_database(self) -> None:
        self.path.write_bytes(b"no database" * 100)
        with self.assertRaisesRegex(StoreError, f"^cannot open the database {self.path}: .*not a database: "):
            self.backend_at(self.path).open()


@pytest.mark.parametrize(
    "error",
    [
        *(
            kind("why")
            for kind in (
                *(sqlite3.DataError, sqlite3.DatabaseError, sqlite3.Error, sqlite3.IntegrityError),
                *(sqlite3.InterfaceError, sqlite3.InternalError, sqlite3.NotSupportedError),
                *(sqlite3.OperationalError, sqlite3.ProgrammingError, StoreError, StoreUnavailable),
                *(OverflowError, ValueError, OSError),
            )
        ),
        FileChanged("why", True, False),
        FileChanged("why", False, True),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_the_same_on_the_other_side(error: Exception) -> None:
    found = unpack_error(*marshal.loads(marshal.dumps(pack_error(error))))
    assert type(found) is type(error)
    assert (str(found), vars(found)) == (str(error), vars(error))


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "no"), ValueError, "'utf-8' codec can't encode"),
        (FileNotFoundError("none"), OSError, "none"),
        (KeyError("x"), RuntimeError, "KeyError: 'x'"),
    ],
)
def test_another_error_is_one_of_the_next_kind(error: Exception, kind: type[Exception], said: str) -> None:
    found = unpack_error(*pack_error(error))
    assert type(found) is kind
    assert str(found).startswith(said)


def test_a_daemon_goes_on_when_the_process_that_writes_is_killed(tmp_path: Path) -> None:
    """Again and again, under load: each line that was acknowledged is there, and exactly once."""
    with WatchedDaemon(tmp_path, "--config", write_config(tmp_path)) as daemon:
        answered: list[str] = []
        for number in range(60):
            if number % 6 == 3:
                (writer,) = daemon.pids[1:]
                os.kill(writer, signal.SIGKILL)
            line = f'job,cluster=alex,hostname=h event="{number}"'
            status, _ = daemon.ask("POST", "/api/write", line.encode())
            if status == 200:
                answered.append(str(number))
        daemon.until_ready()
        daemon.stop()
        assert "has ended, with status -9" in daemon.text
    with database(tmp_path / "ccstore.db") as connection:
        found = [text for (text,) in connection.execute("SELECT field FROM alex_events ORDER BY id")]
    assert len(answered) > 40
    assert found == answered
