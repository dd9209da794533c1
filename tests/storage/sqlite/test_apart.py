"""The process that writes the SQLite file: what it does like a thread, and what only a process does."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from ccstore.interfaces import CommitUnknown, StoreError, StoreUnavailable
from ccstore.message import Batch
from ccstore.permissions import PRIVATE
from ccstore.storage.dbfile.lock import FileLock, InUse
from ccstore.storage.sqlite import apart, lock
from ccstore.storage.sqlite.apart import WriterApart, WriterProcess
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.versions import DATABASE
from ccstore.storage.sqlite.writer import Writer
from tests.support.configuration import write_config
from tests.support.faulty_daemon import WatchedDaemon
from tests.support.running_daemon import database
from tests.support.scratch import scratch
from tests.support.store_contract import StoreContract
from tests.support.stores import NOW, SECOND, message, messages

RETENTION = 1600.0


class _Apart:
    """A backend of which a process writes."""

    now = NOW + 100 * SECOND

    def make_backend(self) -> SqliteBackend:
        self.path = scratch(self) / "events.db"
        return SqliteBackend(
            self.path, {}, retention=RETENTION, now=lambda: self.now, reactor=reactor, is_apart=True
        )


class ApartContractTests(_Apart, StoreContract, TestCase):
    def setUp(self) -> None:
        self.patch(apart, "_WORTH_ANNOUNCING", 1)
        self.patch(apart, "_UNLUCKY", 0)
        super().setUp()


class RetentionTests(_Apart, TestCase):
    async def test_the_process_and_its_successor_seal_by_another_retention(self) -> None:
        backend = self.make_backend()
        backend.open()
        self.addCleanup(backend.close)
        for number in range(2):
            await backend.write(messages([f"{number}"]))
            if not number:
                await backend.retain(RETENTION / 100)
            else:
                assert isinstance(backend._writer, WriterApart)
                backend._writer._process.close()
            # A hundredth of the time after which it would have been sealed.
            self.now += round(RETENTION / 1600 * SECOND)
            await backend.tend(self.now)
            with database(self.path) as connection:
                (sealed,) = connection.execute(
                    "SELECT count(*) FROM segment WHERE kind = 'event' AND sealed_at IS NOT NULL"
                ).fetchone()
            self.assertEqual(sealed, number + 1)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("begin", "undo", "write", "fail", "seal")),
            st.lists(st.tuples(st.sampled_from(("event", "log")), st.integers(0, 3)), max_size=4),
        ),
        max_size=12,
    )
)
def test_what_is_begun_and_undone_leaves_no_trace(steps: list[tuple[str, list[tuple[Any, int]]]]) -> None:
    """The writer knows of the file what another one finds in it, and the file has what was written."""
    with (
        TemporaryDirectory() as directory,
        closing(sqlite3.connect(path := Path(directory, "x.db"), isolation_level=None)) as connection,
    ):
        DATABASE.prepare(connection, path, PRIVATE, print)
        writer = Writer(10**12, lambda: NOW, print)
        writer.load(connection)
        begun: list[str] = []
        written: list[str] = []
        for step, chosen in steps:
            batch = Batch.of([message("t", NOW + host, kind, hostname=f"h{host}") for kind, host in chosen])
            told = [f"{kind} h{host}" for kind, host in chosen]
            if step == "begin":
                writer.begin(connection, batch)
                begun += told
            elif step == "write":
                writer.write(connection, batch)
                written += begun + told
                begun = []
            else:
                if step == "fail":
                    with pytest.raises(UnicodeEncodeError):
                        writer.begin(connection, Batch.of([message("\ud800", kind="log")]))
                elif step == "undo":
                    writer.undo(connection)
                else:
                    writer.undo(connection)
                    writer.seal(connection, "event")
                begun = []
        writer.undo(connection)
        another = Writer(10**12, lambda: NOW, print)
        another.load(connection)
        assert writer.state.lasts == another.state.lasts
        assert writer.state.active_tables == another.state.active_tables
        assert [evolve(each, written_at=0) for each in writer._open.values()] == [*another._open.values()]
        found = connection.execute(
            "SELECT s.kind || ' ' || s.hostname FROM stream s JOIN"
            " (SELECT stream FROM ccstore_event_rows UNION ALL SELECT stream FROM ccstore_log_rows) r"
            " ON s.id = r.stream"
        )
        assert sorted(text for (text,) in found) == sorted(written)
        assert writer.state.writes == len(written)


class _Interrupted:
    """A channel to a process that is killed in the middle of a request.

    :param is_late: when it has answered, and not before it is asked.
    """

    def __init__(self, process: WriterProcess, *, is_late: bool) -> None:
        self._process = process
        self._channel: Any = process._channel
        self._is_late = is_late
        process._channel = self  # type: ignore[assignment]

    def _kill(self) -> None:
        assert self._process._process is not None
        self._process._process.kill()
        self._process._process.wait()

    def send(self, value: object, attached: Sequence[bytes]) -> None:
        if not self._is_late:
            self._kill()
        self._channel.send(value, attached)

    def receive(self) -> Any:
        self._channel.receive()
        self._kill()
        raise ConnectionResetError

    def close(self) -> None:
        self._channel.close()


class ApartTests(_Apart, TestCase):
    def setUp(self) -> None:
        self.backend = self.make_backend()
        self.backend.open()
        self.addCleanup(lambda: self.backend.close())

    @property
    def process(self) -> WriterProcess:
        writing: Any = self.backend._writer
        assert isinstance(writing, apart.WriterApart)
        return writing._process

    def rows(self) -> list[str]:
        with closing(sqlite3.connect(self.path)) as connection:
            return [text for (text,) in connection.execute("SELECT field FROM alex_events ORDER BY id")]

    def offer(self, texts: str) -> Deferred[None]:
        batch = messages(texts)
        self.backend.prepare(batch)
        return self.backend.write(batch)

    async def check_interrupted(self, *, is_late: bool) -> None:
        """A batch whose fate is not known, offered again, is there once."""
        await self.offer("ab")
        batch = messages("cd")
        self.backend.prepare(batch)
        _Interrupted(self.process, is_late=is_late)
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
        _Interrupted(self.process, is_late=False)
        with self.assertRaises(StoreUnavailable):
            await self.backend.tend(self.now)
        await self.backend.tend(self.now)
        await self.offer("b")
        self.assertEqual(self.rows(), ["a", "b"])

    async def test_batches_behind_one_that_failed_fail_as_well(self) -> None:
        await self.offer("a")
        _Interrupted(self.process, is_late=False)
        failing, behind = self.offer("b"), self.offer("c")
        await self.assertFailure(failing, CommitUnknown)
        error = await self.assertFailure(behind, StoreUnavailable)
        self.assertIn("before this one", str(error))
        await self.offer("d")
        self.assertEqual(self.rows(), ["a", "d"])

    async def test_messages_that_were_packed_for_an_earlier_book(self) -> None:
        self.patch(apart, "_SERIES_HELD", 1)
        batches = [Batch.of([message(host, hostname=host)]) for host in "abcd"]
        for batch in batches:
            self.backend.prepare(batch)
        await self.backend.write(Batch.together(batches[:3]))
        await self.backend.write(batches[3])
        await gatherResults([self.offer("e"), self.offer("f")])
        self.assertEqual(self.rows(), list("abcdef"))
        with closing(sqlite3.connect(self.path)) as connection:
            found = connection.execute(
                "SELECT field, hostname FROM alex_events ORDER BY id LIMIT 4"
            ).fetchall()
        self.assertEqual(found, [(host, host) for host in "abcd"])

    async def test_messages_that_were_not_packed(self) -> None:
        batches = [messages("ab"), messages("cd")]
        self.backend.prepare(batches[0])
        await self.backend.write(Batch.together(batches))
        self.assertEqual(self.rows(), list("abcd"))

    def announce(self, *texts: str) -> list[Batch]:
        """Parts, of which all but the last are announced."""
        self.patch(apart, "_WORTH_ANNOUNCING", 1)
        parts = [messages(text, hostname=text) for text in texts]
        for count in range(1, len(parts)):
            self.backend.announce(parts[:count])
        return parts

    def requests(self) -> list[tuple[str, int]]:
        """Notes what the process is asked for from now on, and how much is attached to it."""
        found: list[tuple[str, int]] = []
        there: Any = self.process._channel
        send = there.send

        def note(value: Any, attached: Sequence[bytes] = ()) -> None:
            found.append((value[0], len(attached)))
            send(value, attached)

        self.patch(there, "send", note)
        return found

    async def test_what_was_announced_is_not_sent_again(self) -> None:
        await self.offer("a")
        found = self.requests()
        parts = self.announce("bc", "de", "fg")
        await self.backend.write(Batch.together(parts))
        self.assertEqual(found, [("announce", 1), ("announce", 1), ("write", 1)])
        # There may be nothing left.
        self.backend.announce(parts[:2])
        await self.backend.write(Batch.together(parts[:2]))
        self.assertEqual(found[3:], [("announce", 2), ("write", 0)])
        self.assertEqual(self.rows(), list("abcdefgbcde"))

    async def test_nothing_is_announced_for_a_while_after_something_else_was_written(self) -> None:
        await self.offer("a")
        self.patch(apart, "_UNLUCKY", 2)
        found = self.requests()
        parts = self.announce("b", "c")
        await self.offer("d")
        for _ in range(3):
            self.backend.announce(parts[:1])
        await self.backend.write(Batch.together(parts))
        self.assertEqual([name for name, _ in found], ["announce", "write", "announce", "write"])
        self.assertEqual(self.rows(), list("adbc"))

    async def test_little_and_very_much_is_not_announced(self) -> None:
        found = self.requests()
        self.backend.announce([messages("a")])
        self.announce("b", "c")
        await self.backend.tend(self.now)
        self.patch(apart, "_ANNOUNCED_SIZE", 100)
        self.announce("d" * 100, "e")
        self.patch(apart, "_ANNOUNCED_SIZE", 1000)
        self.patch(apart, "_ANNOUNCED_SERIES", 0)
        self.announce("f", "g")
        self.assertEqual([name for name, _ in found][:2], ["announce", "tend"])
        self.assertNotIn("announce", [name for name, _ in found[2:]])

    async def test_nothing_is_announced_while_something_is_done(self) -> None:
        found = self.requests()
        done = self.offer("a")
        parts = self.announce("b", "c")
        await done
        await self.backend.write(Batch.together(parts))
        self.assertEqual([name for name, _ in found], ["write", "write"])
        self.assertEqual(self.rows(), list("abc"))

    async def test_a_stream_that_was_made_for_what_was_taken_back_is_made_again(self) -> None:
        parts = self.announce("a", "b")
        await self.backend.tend(self.now)
        await self.offer("c")
        await self.backend.write(Batch.together(parts))
        with closing(sqlite3.connect(self.path)) as connection:
            found = connection.execute("SELECT field, hostname FROM alex_events ORDER BY id").fetchall()
        self.assertEqual(found[1:], [("a", "a"), ("b", "b")])

    async def test_what_was_announced_to_a_file_that_somebody_else_writes(self) -> None:
        await self.offer("a")
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            parts = self.announce("b", "c", "d")
            with self.assertRaisesRegex(StoreUnavailable, "database is locked"):
                await self.backend.write(Batch.together(parts))
        await self.backend.write(Batch.together(parts))
        self.assertEqual(self.rows(), list("abcd"))

    async def test_a_message_at_fault_that_was_announced_is_refused(self) -> None:
        await self.offer("a")
        parts = self.announce("bc", "\ud800", "d")
        with self.assertRaises(StoreError) as caught:
            await self.backend.write(Batch.together(parts))
        self.assertNotIsInstance(caught.exception, StoreUnavailable)
        self.assertEqual(self.rows(), ["a"])
        await self.backend.write(Batch.together([parts[0], parts[2]]))
        self.assertEqual(self.rows(), list("abcd"))

    async def test_a_process_that_is_killed_after_something_was_announced(self) -> None:
        await self.offer("a")
        for is_late in (False, True):
            parts = self.announce("b", "c")
            _Interrupted(self.process, is_late=is_late)
            batch = Batch.together(parts)
            with self.assertRaises(CommitUnknown):
                await self.backend.write(batch)
            await self.backend.write(batch)
        self.assertEqual(self.rows(), list("abcbc"))
        parts = self.announce("d", "e")
        assert self.process._process is not None
        self.process._process.kill()
        self.process._process.wait()
        self.backend.announce([*parts, messages("f")])
        batch = Batch.together(parts)
        with self.assertRaises(CommitUnknown):
            await self.backend.write(batch)
        await self.backend.write(batch)
        self.assertEqual(self.rows(), list("abcbcde"))

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
        process = self.process._process
        assert process is not None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(number)
        await self.offer("b")
        self.assertIs(self.process._process, process)
        await self.backend.close()
        self.assertEqual(process.returncode, 0)


class StartTests(_Apart, TestCase):
    async def writes(self, backend: SqliteBackend) -> None:
        self.addCleanup(backend.close)
        await backend.write(messages("a"))
        self.assertNotIsInstance(backend._writer, apart.WriterApart)

    async def test_without_a_program_for_it_a_thread_writes(self) -> None:
        self.patch(sys, "executable", "/nowhere/python")
        backend = self.make_backend()
        with capturedLogs() as captured:
            backend.open()
        self.assertIn("a thread writes instead of a process: cannot start", str(map_formatted(captured)))
        await self.writes(backend)

    async def test_if_it_ends_at_once_a_thread_writes(self) -> None:
        self.patch(sys, "executable", "/bin/false")
        backend = self.make_backend()
        with capturedLogs() as captured:
            backend.open()
        self.assertIn("has ended, with status 1", str(map_formatted(captured)))
        await self.writes(backend)

    def test_a_file_that_is_no_database(self) -> None:
        backend = self.make_backend()
        self.path.write_bytes(b"no database" * 100)
        with self.assertRaisesRegex(StoreError, f"^cannot open the database {self.path}: .*not a database: "):
            backend.open()


def map_formatted(captured: list[Any]) -> list[str | None]:
    return [formatEvent(event) for event in captured]


_HOLDER = """
import subprocess, sys
from pathlib import Path
from ccstore.storage.dbfile.lock import FileLock
lock = FileLock(Path(sys.argv[1]), "database")
lock.take()
subprocess.Popen(["cat"], stdin=int(sys.argv[2]), stdout=subprocess.DEVNULL, pass_fds=[lock.descriptor])
"""


def test_who_comes_after_a_killed_daemon_waits_for_what_it_has_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ccstore.db"
    reading, writing = os.pipe()
    subprocess.run([sys.executable, "-c", _HOLDER, path, str(reading)], pass_fds=[reading], check=True)
    os.close(reading)
    mine = FileLock(path, "database")
    with monkeypatch.context() as patch:
        patch.setattr(lock, "_PATIENCE", 0.0)
        with pytest.raises(InUse):
            mine.take()
    waiting = threading.Thread(target=mine.take)
    waiting.start()
    os.close(writing)
    waiting.join(10)
    assert not waiting.is_alive()
    assert path.with_name("ccstore.db.lock").read_text() == f"{os.getpid()}\n"
    mine.release()


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
