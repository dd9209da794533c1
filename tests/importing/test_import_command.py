"""The command `ccstore import`: what it says while it runs, and what it refuses."""

from __future__ import annotations

import io
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ccstore.importing.command import DONE, FAILED, WRONG, main
from ccstore.importing.display import Progress
from tests.support.importing import (
    NOW,
    Run,
    configure,
    go_file,
    row,
    table,
    texts,
)
from tests.support.running_daemon import Daemon, environment

# What cannot be done


def test_not_while_the_daemon_runs(tmp_path: Path, run: Run, capsys: Any) -> None:
    old = go_file(tmp_path / "old.db", alex_events=[row("a", NOW, hostname="a0101")])
    with Daemon(tmp_path, "--config", tmp_path / "ccstore.json"):
        assert run(old) == FAILED
        said = capsys.readouterr().err
        assert said == (
            f"the database {tmp_path / 'new.db'} is in use by another ccstore: "
            "stop it for the time of the import\n"
        )
    assert run(old) == DONE
    with Daemon(tmp_path, "--config", tmp_path / "ccstore.json") as daemon:
        ((entry,),) = daemon.query({"host": "a0101"})
        assert entry["data"] == [{"Event": "a", "timestamp": NOW}]


def test_the_store_is_locked_for_the_time_of_the_import(run: Run, tmp_path: Path, capsys: Any) -> None:
    assert run(go_file(tmp_path / "old.db", alex_events=[row()])) == DONE
    with closing(sqlite3.connect(tmp_path / "new.db")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        content = json.loads((tmp_path / "ccstore.json").read_text())
        content["storage"]["backend"]["flags"] = ["_timeout=1"]
        (tmp_path / "ccstore.json").write_text(json.dumps(content))
        assert run("old.db") == FAILED
    assert "database is locked" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gone.db"], "gone.db: is not there, or may not be read"),
        (["."], ".: is a folder, expected a file"),
        (["empty.db"], "empty.db: has no table with events or logs of a cluster"),
        (["broken.db"], "broken.db: cannot be read: "),
        (["new.db"], "new.db: is a file of ccstore already"),
    ],
)
def test_what_is_no_source(run: Run, tmp_path: Path, capsys: Any, words: list[str], said: str) -> None:
    assert run(go_file(tmp_path / "old.db", alex_events=[row()])) == DONE
    with closing(sqlite3.connect(tmp_path / "empty.db")) as connection:
        connection.execute("CREATE TABLE x (y)")
    (tmp_path / "broken.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    assert run(*words) == FAILED
    error = capsys.readouterr().err
    assert error.startswith(said)
    assert error.count("\n") == 1


def test_a_target_that_is_none(run: Run, tmp_path: Path, capsys: Any) -> None:
    old = go_file(tmp_path / "old.db", alex_events=[row()])
    go_file(tmp_path / "new.db", alex_events=[row()])
    assert run(old) == FAILED
    assert "it has tables, but ccstore did not make it" in capsys.readouterr().err
    (tmp_path / "new.db").unlink()
    content = json.loads((tmp_path / "ccstore.json").read_text())
    content["storage"]["backend"]["database_path"] = "none/new.db"
    (tmp_path / "ccstore.json").write_text(json.dumps(content))
    assert run(old) == FAILED
    assert "storage.backend.database_path: the folder" in capsys.readouterr().err
    (tmp_path / "ccstore.json").write_text("{}")
    assert run(old) == FAILED
    assert "ccstore.json: storage: got nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [[], ["--precision", "x", "a"], ["--cluster", "", "a"], ["--what", "a"], ["-missing-time", "x", "a"]],
)
def test_words_that_are_wrong(run: Run, words: list[str], capsys: Any) -> None:
    assert run(*words) == WRONG
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("ccstore import: ")
    assert "`ccstore import --help` lists the options" in err


# Progress


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal() -> None:
    now = 0.0
    terminal = _Terminal()
    progress = Progress(terminal, lambda: now)
    progress.begin("alex_events", "row")
    progress.move(0.01, 10)  # too soon
    assert terminal.getvalue() == ""
    now = 2.0
    progress.move(0.25, 5000)
    assert terminal.getvalue() == f"\ralex_events  [{'#' * 6}{'.' * 18}]  25%  5000 rows  2500/s  0:06 left"
    progress.say("a row is bad")
    assert terminal.getvalue().endswith(" \ra row is bad\n")
    now = 4000.0
    progress.move(0.5, 10000)
    assert terminal.getvalue().endswith("1:06:40 left")
    now = 4001.0
    progress.begin("stdin", "line")
    now = 4002.0
    progress.move(None, 5)
    assert terminal.getvalue().split("\r")[-1].rstrip() == "stdin  5 lines  5/s"


def test_lines_now_and_then_elsewhere() -> None:
    now = 0.0
    stream = io.StringIO()
    progress = Progress(stream, lambda: now)
    progress.begin("alex_events", "row")
    for now in range(0, 31):
        progress.move(now / 40, now * 100)
    progress.clear()
    assert stream.getvalue().splitlines() == [
        "alex_events: 25%  1000 rows  100/s  0:30 left",
        "alex_events: 50%  2000 rows  100/s  0:20 left",
        "alex_events: 75%  3000 rows  100/s  0:10 left",
    ]


# The command


def test_one_dash_is_enough_wherever_it_stands(run: Run, tmp_path: Path) -> None:
    old = go_file(tmp_path / "old.db", alex_logs=[row("a")])
    other = configure(tmp_path).rename(tmp_path / "other.json")
    assert main(["-config", str(other), "-precision", "s", str(old)]) == DONE
    assert main([str(old), f"-config={other}"]) == DONE
    assert texts(tmp_path, "alex_logs") == ["a"]


def test_the_console_script_has_it(tmp_path: Path) -> None:
    configure(tmp_path)
    go_file(tmp_path / "old.db", alex_logs=[row("a")])
    words = [sys.executable, "-m", "ccstore", "import"]
    done = subprocess.run(
        [*words, "--config", "ccstore.json", "old.db"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert table(done.stdout) == {"alex_logs": (1, 1, 0, 0, 0)}
    said = subprocess.run([*words, "--help"], env=environment(), capture_output=True, text=True, check=True)
    assert said.stdout.startswith("Usage: ccstore import [options] SOURCE")
