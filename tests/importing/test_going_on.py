"""An import that was begun goes on where it was, and what is imported is imported once."""

from __future__ import annotations

import gzip
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ccstore.importing.command import DONE, REJECTED
from tests.support.importing import (
    SMALL,
    Run,
    configure,
    go_file,
    row,
    stopped,
    table,
    texts,
)
from tests.support.running_daemon import PATIENCE, database, environment


def test_it_goes_on_where_it_was(run: Run, tmp_path: Path, capsys: Any) -> None:
    wanted = [f"{number}" for number in range(100)]
    old = go_file(
        tmp_path / "old.db",
        alex_events=[row(text) for text in wanted],
        alex_logs=[row(text, 1) for text in wanted],
    )
    for pieces in (0, 3, 10, 8):
        stopped(run, old, pieces)
    assert 0 < len(texts(tmp_path, "alex_logs")) < 100
    capsys.readouterr()
    # Wherever the file is now.
    moved = old.rename(tmp_path / "moved.db")
    assert run(moved, sizes=SMALL) == DONE
    said = capsys.readouterr().out
    assert table(said) == {"alex_events": (100, 100, 0, 0, 0), "alex_logs": (100, 100, 0, 0, 0)}
    assert "alex_events: nothing new, it was imported at " in said
    assert "of the rows read were imported earlier" in said
    assert texts(tmp_path, "alex_events") == texts(tmp_path, "alex_logs") == wanted


def test_the_same_twice_is_imported_once_and_what_is_new_then(run: Run, tmp_path: Path, capsys: Any) -> None:
    old = go_file(tmp_path / "old.db", alex_events=[row("a"), row("b", b"")])
    for _ in range(2):
        assert run(old) == REJECTED
        # A bad row behind the last good one is not told again.
        assert table(capsys.readouterr().out) == {"alex_events": (2, 1, 0, 0, 1)}
    go_file(old, alex_events=[row("c")])
    assert run(old) == REJECTED
    assert table(capsys.readouterr().out) == {"alex_events": (3, 2, 0, 0, 1)}
    assert texts(tmp_path, "alex_events") == ["a", "c"]


def test_another_file_with_the_same_tables_is_another(run: Run, tmp_path: Path, capsys: Any) -> None:
    go_file(tmp_path / "one.db", alex_events=[row("a"), row("b")])
    go_file(tmp_path / "two.db", alex_events=[row("c"), row("d"), row("e")])
    assert run("one.db", "two.db") == DONE
    assert run("two.db", "one.db") == DONE
    assert texts(tmp_path, "alex_events") == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("kind", ["database", "lines", "packed"])
def test_it_may_be_killed_at_any_time(tmp_path: Path, kind: str) -> None:
    count = 150_000
    wanted = [f"text {number}" for number in range(count)]
    if kind == "database":
        source = go_file(tmp_path / "old.db", alex_logs=[row(text, 7) for text in wanted])
    else:
        body = "".join(f'job,cluster=alex log="{text}" 7000000000\n' for text in wanted).encode()
        source = tmp_path / "old.lp"
        source.write_bytes(gzip.compress(body, 1) if kind == "packed" else body)
    configure(tmp_path)
    words = [sys.executable, "-m", "ccstore", "import", "--config", "ccstore.json", str(source)]
    pause = random.Random(kind)
    kills = 0
    while True:
        process = subprocess.Popen(
            words, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        # At some moment between the first commit and the end.
        begun = stored_now(tmp_path)
        deadline = time.monotonic() + PATIENCE
        while kills < 4 and process.poll() is None and stored_now(tmp_path) == begun:
            assert time.monotonic() < deadline
        if kills < 4:
            for _ in range(pause.randrange(2000)):
                pass
            process.send_signal(signal.SIGKILL)
        out, err = process.communicate(timeout=PATIENCE)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, err
        kills += 1
        # At every moment, the books are about what is there.
        with database(tmp_path / "new.db") as connection:
            books = connection.execute("SELECT books FROM ccstore_import").fetchall()
            there = connection.execute("SELECT count(*) FROM ccstore_log_rows").fetchone()
        assert [json.loads(text)["stored"] for (text,) in books] == [*there]
    assert kills >= 1
    assert list(table(out).values()) == [(count, count, 0, 0, 0)]
    assert texts(tmp_path, "alex_logs") == wanted


def stored_now(directory: Path) -> int:
    try:
        with database(directory / "new.db") as connection:
            return int(connection.execute("SELECT count(*) FROM ccstore_log_rows").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
