"""A file whose writer was killed, or lives: imports and copies take all that is committed, or say why not."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ccstore.importing.command import DONE, FAILED
from ccstore.importing.go_database import open_database
from ccstore.importing.source import SourceError
from ccstore.interfaces import StoreError
from ccstore.storage.sqlite.export import SqliteSource
from ccstore.storage.sqlite.snapshot import snapshot
from tests.support.faulty_daemon import daemon_in
from tests.support.importing import Run, go_file, row, run, table, texts
from tests.support.running_daemon import PATIENCE, environment

__all__ = ["run"]  # a fixture

#: Commits rows, and is in the middle of a transaction that has reached the file when it says so.
_WRITER = """
import sqlite3, sys
path, mode, lock = sys.argv[1:]
connection = sqlite3.connect(path, isolation_level=None)
for pragma in ("cache_size = 10", f"journal_mode = {mode}", f"locking_mode = {lock}"):
    connection.execute(f"PRAGMA {pragma}").fetchone()
def insert(text, count):
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO alex_logs (timestamp, name, field) VALUES (1000, 'x', ?)",
        [(f"{text} {number}",) for number in range(count)],
    )
insert("committed" + "x" * 300, 1000)
connection.execute("COMMIT")
if mode != "WAL" or lock == "NORMAL":
    insert("open" + "x" * 300, 5000)
    connection.execute("DELETE FROM alex_logs WHERE id BETWEEN 200 AND 605")
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def writer(path: Path, mode: str, lock: str = "NORMAL", program: str = _WRITER) -> Iterator[int]:
    """A program that writes to the file, killed at the end of the block; gives its number."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path), mode, lock],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)
        assert process.returncode == -signal.SIGKILL


def contents(path: Path) -> dict[str, bytes]:
    """The file, and what lies beside it and matters."""
    return {
        each.name: each.read_bytes() for each in path.parent.glob(f"{path.name}*") if each.suffix != ".db-shm"
    }


@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "PERSIST", "WAL"])
def test_of_a_writer_that_was_killed_all_that_is_committed_is_taken(
    run: Run, tmp_path: Path, capsys: Any, mode: str
) -> None:
    old = go_file(tmp_path / "old.db", alex_logs=[])
    with writer(old, mode):
        pass
    before = contents(old)
    assert run(old) == DONE
    assert table(capsys.readouterr().out) == {"alex_logs": (1000, 1000, 0, 0, 0)}
    assert texts(tmp_path, "alex_logs") == [f"committed{'x' * 300} {number}" for number in range(1000)]
    assert contents(old) == before
    assert not [*tmp_path.glob("*copy*")]


@pytest.mark.parametrize("mode", ["MEMORY", "OFF"])
def test_what_a_writer_without_a_journal_left_is_not_taken(
    run: Run, tmp_path: Path, capsys: Any, mode: str
) -> None:
    old = go_file(tmp_path / "old.db", alex_logs=[])
    with writer(old, mode):
        pass
    before = contents(old)
    assert run(old) == FAILED
    said = capsys.readouterr()
    assert said.err.startswith(f"{old}: is damaged (")
    assert said.out == ""
    assert contents(old) == before


@pytest.mark.parametrize(("mode", "lock"), [("DELETE", "NORMAL"), ("WAL", "EXCLUSIVE")])
def test_nothing_is_taken_from_a_file_that_stays_locked(tmp_path: Path, mode: str, lock: str) -> None:
    old = go_file(tmp_path / "old.db", alex_logs=[row()])
    with (
        writer(old, mode, lock) as number,
        pytest.raises(SourceError, match=f"old.db: is locked by process {number}: stop it"),
        open_database(old, tmp_path, wait=0.01),
    ):
        pass


def test_a_write_ahead_log_that_cannot_be_read_in_place_is_read_in_a_copy(
    run: Run, tmp_path: Path, capsys: Any
) -> None:
    old = go_file(tmp_path / "old.db", alex_logs=[])
    beside = tmp_path / "old.db-shm"
    with writer(old, "WAL"):
        # As where nothing can be made beside the file.
        beside.rename(tmp_path / "away")
        beside.symlink_to("none/none")
        # A copy of what somebody writes to is none.
        assert run(old) == FAILED
        assert "old.db: is locked by process" in capsys.readouterr().err
    before = contents(old)
    assert run(old) == DONE
    assert len(texts(tmp_path, "alex_logs")) == 1000
    assert contents(old) == before


def test_no_room_for_a_copy(tmp_path: Path) -> None:
    old = go_file(tmp_path / "old.db", alex_logs=[])
    with writer(old, "DELETE"):
        pass
    with (
        pytest.raises(SourceError, match=r"old.db: a copy has to be made, and cannot: .*/none: No such file"),
        open_database(old, tmp_path / "none"),
    ):
        pass


def test_the_lock_on_what_is_read_stays_until_the_end(tmp_path: Path) -> None:
    old = go_file(tmp_path / "old.db", alex_logs=[row()])
    program = (
        "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1], timeout=0)\n"
        "try: connection.execute('DELETE FROM alex_logs'); connection.commit()\n"
        "except sqlite3.OperationalError as error: print(error)"
    )
    with snapshot(old, tmp_path) as connection:
        done = subprocess.run(
            [sys.executable, "-c", program, old], capture_output=True, text=True, check=True
        )
        assert done.stdout == "database is locked\n"
        assert connection.execute("SELECT count(*) FROM alex_logs").fetchone() == (1,)


#: Empties a store in a transaction that has reached the file when it says so.
_EMPTYING = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 2").fetchone()
connection.execute(f"PRAGMA journal_mode = {sys.argv[2]}").fetchone()
connection.execute("BEGIN EXCLUSIVE")
for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE name GLOB 'event_[0-9]*'").fetchall():
    connection.execute(f"DELETE FROM {name}")
connection.execute("CREATE TABLE filler AS SELECT randomblob(100000) FROM json_each('[1, 2, 3]')")
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_store_is_copied_as_it_was_committed(tmp_path: Path) -> None:
    with daemon_in(tmp_path) as daemon:
        assert daemon.ask("POST", "/api/write", b'job,cluster=alex event="kept"')[0] == 200
        daemon.stop()
    path = tmp_path / "ccstore.db"
    with writer(path, "DELETE", program=_EMPTYING) as number:
        source = SqliteSource(path, tmp_path, wait=0.01)
        with pytest.raises(StoreError, match=f"ccstore.db: is locked by process {number}"):
            source.open()
    before = contents(path)
    assert f"{path.name}-journal" in before
    source = SqliteSource(path, tmp_path)
    source.open()
    try:
        assert source.counts({}) == {("alex", "event"): 1}
    finally:
        source.close()
    assert contents(path) == before
    assert not [*tmp_path.glob("*copy*")]
