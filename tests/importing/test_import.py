"""Bringing in what cc-event-store has, and files of lines."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccstore.importing import go_database, lines
from ccstore.importing.command import DONE, FAILED, REJECTED, WRONG, main
from ccstore.importing.lines import Lines
from ccstore.importing.position import Positions
from ccstore.importing.progress import Progress
from ccstore.lineprotocol import StreamDecoder
from ccstore.message import Message
from ccstore.storage.dbfile.sql import identifier
from ccstore.storage.sqlite.bulk import BulkWriter
from ccstore.storage.sqlite.sizes import SegmentSizes
from tests.support import strategies
from tests.support.running_daemon import PATIENCE, Daemon, database, environment

#: As the Go daemon makes its tables; the tags without a column are a BLOB there.
SCHEMA = """create table IF NOT EXISTS {} (id integer primary key, timestamp bigint, name text,
hostname text, type text, typeid text, stype text, stypeid text, othertags JSON, field text);"""
COLUMNS = ("timestamp", "name", "hostname", "type", "typeid", "stype", "stypeid", "othertags", "field")
NOW = int(time.time())

Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command, in a directory of its own, on the configuration there."""
    configure(tmp_path)
    monkeypatch.chdir(tmp_path)
    return lambda *words: main(["--config", "ccstore.json", *map(str, words)])


def configure(directory: Path, **storage: Any) -> Path:
    here = {"address": "127.0.0.1", "port": 0}
    content = {
        "receivers": {"tcp": {"type": "tcp", **here}},
        "storage": {"backend": {"type": "sqlite", "database_path": str(directory / "new.db")}, **storage},
        "api": here,
    }
    path = directory / "ccstore.json"
    path.write_text(json.dumps(content))
    return path


def go_file(path: Path, **tables: Sequence[Sequence[object]]) -> Path:
    """A file of the Go daemon with these rows, each the values of its columns without the id."""
    with closing(sqlite3.connect(path)) as connection:
        for name, rows in tables.items():
            connection.execute(SCHEMA.format(identifier(name)))
            places = ", ".join("?" * len(COLUMNS))
            connection.executemany(
                f"INSERT INTO {identifier(name)} ({', '.join(COLUMNS)}) VALUES ({places})", rows
            )
        connection.commit()
    return path


def row(text: object = "text", at: object = NOW, name: object = "job", **more: object) -> tuple[object, ...]:
    given = {"timestamp": at, "name": name, "field": text, **more}
    return tuple(given.get(column) for column in COLUMNS)


def rows(directory: Path, view: str, columns: str = ", ".join(COLUMNS)) -> list[Any]:
    """What the store has, in the order in which it came."""
    with database(directory / "new.db") as connection:
        return connection.execute(f"SELECT {columns} FROM {identifier(view)} ORDER BY id").fetchall()


def texts(directory: Path, view: str) -> list[str]:
    return [text for (text,) in rows(directory, view, "field")]


def table(said: str) -> dict[str, tuple[int, ...]]:
    """The figures of a report: read, stored, expired, not kept, rejected."""
    cells = [line.split() for line in said.splitlines()]
    return {each[0]: tuple(map(int, each[1:])) for each in cells if len(each) == 6 and each[5].isdigit()}


# A database of cc-event-store


def test_everything_is_taken_as_it_is(run: Run, tmp_path: Path, capsys: Any) -> None:
    full = {"hostname": "a0101", "type": "node", "typeid": "0", "stype": "x", "stypeid": "y"}
    tags = b'{"b":"2","a":"\xc3\xa4 \\"quoted\\""}'
    old = go_file(
        tmp_path / "old.db",
        alex_events=[
            row('{"jobId": 1}', **full, othertags=tags),
            row("2", NOW - 5, othertags='{"a": "1"}', hostname="a0102"),
            row("three\nlines\n", NOW - 5),
        ],
        alex_logs=[row("old", 5, "slurmd", hostname="a0101"), row("", NOW + 7200, "slurmd")],
    )
    before = old.read_bytes()
    assert run(old) == DONE
    said = capsys.readouterr()
    assert table(said.out) == {"alex_events": (3, 3, 0, 0, 0), "alex_logs": (2, 2, 0, 0, 0)}
    assert said.err == ""
    assert rows(tmp_path, "alex_events") == [
        (NOW, "job", *full.values(), '{"a": "ä \\"quoted\\"", "b": "2"}', '{"jobId": 1}'),
        (NOW - 5, "job", "a0102", None, None, None, None, '{"a": "1"}', "2"),
        (NOW - 5, "job", None, None, None, None, None, None, "three\nlines\n"),
    ]
    assert [entry[:2] for entry in rows(tmp_path, "alex_logs")] == [(5, "slurmd"), (NOW + 7200, "slurmd")]
    assert old.read_bytes() == before


def test_expired_events_are_counted_and_logs_are_kept(run: Run, tmp_path: Path, capsys: Any) -> None:
    configure(tmp_path, retention_time="1h")
    old = go_file(
        tmp_path / "old.db",
        alex_events=[row("old", NOW - 3700), row("new", NOW - 60), row("first second", 1)],
        eventx_logs=[row("old", NOW - 10**8)],
    )
    assert run(old) == DONE
    assert table(capsys.readouterr().out) == {"alex_events": (3, 1, 2, 0, 0), "eventx_logs": (1, 1, 0, 0, 0)}
    assert texts(tmp_path, "alex_events") == ["new"]
    assert texts(tmp_path, "eventx_logs") == ["old"]


def test_logs_that_are_not_to_be_stored_are_counted(run: Run, tmp_path: Path, capsys: Any) -> None:
    configure(tmp_path, store_logs=False)
    assert run(go_file(tmp_path / "old.db", alex_logs=[row()])) == DONE
    said = capsys.readouterr().out
    assert table(said) == {"alex_logs": (1, 0, 0, 1, 0)}
    assert "alex_logs: 1 not kept, log" in said


@pytest.mark.parametrize("is_stored", [False, True])
def test_heartbeats_are_kept_as_receivers_keep_them(
    run: Run, tmp_path: Path, capsys: Any, is_stored: bool
) -> None:
    configure(tmp_path, store_heartbeats=is_stored)
    tags = b'{"function": "heartbeat"}'
    old = go_file(tmp_path / "old.db", alex_events=[row("secret", name="fleet", othertags=tags)])
    assert run(old) == DONE
    figures = (1, 1, 0, 0, 0) if is_stored else (1, 0, 0, 1, 0)
    assert table(capsys.readouterr().out) == {"alex_events": figures}


def test_clusters_of_any_name(run: Run, tmp_path: Path, capsys: Any) -> None:
    names = ["my-cl", "eventx", 'x"; drop table y', "a_events", "ü", "x y", "events"]
    old = go_file(tmp_path / "old.db", **{f"{name}_events": [row(name)] for name in names})
    assert run(old) == DONE
    for name in names:
        assert texts(tmp_path, f"{name}_events") == [name]
    assert "  events_events  " in capsys.readouterr().out


def test_names_that_are_none_are_rejected_by_row(run: Run, tmp_path: Path, capsys: Any) -> None:
    old = go_file(tmp_path / "old.db", **{"_events": [row("a"), row("b")], "x\ny_logs": [row("c")]})
    assert run(old) == REJECTED
    said = capsys.readouterr()
    assert "_events: row 2: the cluster's name is empty" in said.err
    assert "2 rejected, bad_cluster" in said.out


def test_values_that_are_odd(run: Run, tmp_path: Path, capsys: Any) -> None:
    old = go_file(
        tmp_path / "old.db",
        alex_logs=[
            row(None, name=None),
            row(b"\xff bytes", hostname=b"a\xfe", othertags=b"\xff"),
            row(3, name=4, hostname=""),
            row("a", othertags="not json"),
            row("b", othertags='[1, "x"]'),
            row("c", othertags='{"n": 1, "o": {"p": null}, "s": "\\ud800", "hostname": "other"}'),
            row("d", othertags="{}"),
            row("e", othertags=""),
            row("f", othertags="null"),
            row("g", float(NOW)),
            row("nul\0here"),
        ],
    )
    with closing(sqlite3.connect(old)) as connection:
        connection.execute(
            "INSERT INTO alex_logs (timestamp, name, field) VALUES (?, 'x', CAST(X'61FF62' AS TEXT))", (NOW,)
        )
        connection.execute("INSERT INTO alex_logs (timestamp, name, field) VALUES (?, 'x', 'last')", (NOW,))
        connection.commit()
    assert run(old) == DONE
    assert table(capsys.readouterr().out) == {"alex_logs": (13, 13, 0, 0, 0)}
    assert rows(tmp_path, "alex_logs", "name, hostname, othertags, field") == [
        ("", None, None, ""),
        ("job", "a\ufffd", '{"othertags": "\ufffd"}', "\ufffd bytes"),
        ("4", "", None, "3"),
        ("job", None, '{"othertags": "not json"}', "a"),
        ("job", None, '{"othertags": "[1, \\"x\\"]"}', "b"),
        ("job", "other", '{"n": "1", "o": "{\\"p\\": null}", "s": "?"}', "c"),
        ("job", None, None, "d"),
        ("job", None, None, "e"),
        ("job", None, '{"othertags": "null"}', "f"),
        ("job", None, None, "g"),
        ("job", None, None, "nul\0here"),
        ("x", None, None, "a\ufffdb"),
        ("x", None, None, "last"),
    ]


@pytest.mark.usefixtures("small")
def test_text_that_is_no_utf_8_costs_nobody_else_anything(run: Run, tmp_path: Path) -> None:
    old = go_file(tmp_path / "old.db", alex_logs=[row(f"{number}") for number in range(40)])
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("UPDATE alex_logs SET field = CAST(X'FF' AS TEXT) WHERE id IN (17, 39)")
        connection.commit()
    stopped(run, old, 4)
    assert run(old) == DONE
    wanted = [f"{number}" if number not in (16, 38) else "\ufffd" for number in range(40)]
    assert texts(tmp_path, "alex_logs") == wanted


def test_times_that_are_none_are_rejected_by_row(run: Run, tmp_path: Path, capsys: Any) -> None:
    wrong = ["yesterday", 2**62, -(2**62), 1.5, b"1", float("inf")]
    old = go_file(
        tmp_path / "old.db", alex_logs=[row("good"), *(row("bad", at) for at in wrong), row("good")]
    )
    assert run(old) == REJECTED
    said = capsys.readouterr()
    assert table(said.out) == {"alex_logs": (8, 2, 0, 0, 6)}
    assert "alex_logs: row 2: 'yesterday' is no time in seconds: 'bad'\n" in said.err
    assert said.err.count("is no time in seconds") == 6
    assert texts(tmp_path, "alex_logs") == ["good", "good"]


#: What Go writes for a time that was never set.
ZERO = -62135596800


@pytest.mark.parametrize("at", [ZERO, None])
def test_a_row_without_a_time_gets_that_of_the_row_before(
    run: Run, tmp_path: Path, capsys: Any, at: int | None
) -> None:
    events = [NOW - 30, at, NOW - 20, at, at, "bad", at, NOW - 10]
    old = go_file(
        tmp_path / "old.db",
        alex_events=[row(f"{place}", time) for place, time in enumerate(events)],
        alex_logs=[row("0", at), row("1", 5)],
        fritz_logs=[row("0", at)],
    )
    os.utime(old, (77, 77))
    assert run(old) == REJECTED
    said = capsys.readouterr()
    assert table(said.out) == {
        "alex_events": (8, 7, 0, 0, 1),
        "alex_logs": (2, 2, 0, 0, 0),
        "fritz_logs": (1, 1, 0, 0, 0),
    }
    assert (
        "alex_events: 4 had no time, and were given that of the row before (see --missing-time)" in said.out
    )
    times = [NOW - ago for ago in (30, 30, 20, 20, 20, 20, 10)]
    assert [time for (time,) in rows(tmp_path, "alex_events", "timestamp")] == times
    # Where there is none before, that of the first behind; where there is none at all, that of the file.
    assert rows(tmp_path, "alex_logs", "timestamp") == [(5,), (5,)]
    assert rows(tmp_path, "fritz_logs", "timestamp") == [(77,)]


@pytest.mark.parametrize(
    ("words", "time", "says"),
    [
        (["--missing-time", "file"], 77, "that of the file"),
        (["-missing-time=2026-01-31T12:00:00Z"], 1769860800, "2026-01-31 12:00:00"),
        (["--missing-time", "1000"], 1000, "1970-01-01 00:16:40"),
    ],
)
def test_the_time_of_rows_without_one_can_be_said(
    run: Run,
    tmp_path: Path,
    capsys: Any,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    time: int,
    says: str,
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    old = go_file(tmp_path / "old.db", alex_logs=[row("a", 5), row("b", ZERO)])
    os.utime(old, (77, 77))
    assert run(old, *words) == DONE
    assert f"alex_logs: 1 had no time, and were given {says} (see" in capsys.readouterr().out
    assert rows(tmp_path, "alex_logs", "timestamp") == [(5,), (time,)]


def test_now_is_the_time_of_the_import(run: Run, tmp_path: Path) -> None:
    old = go_file(tmp_path / "old.db", alex_events=[row("b", ZERO)])
    assert run("-missing-time", "now", old) == DONE
    ((found,),) = rows(tmp_path, "alex_events", "timestamp")
    assert NOW <= found <= time.time()


@pytest.mark.usefixtures("small")
def test_what_was_begun_goes_on_with_the_time_of_the_row_before(
    run: Run, tmp_path: Path, capsys: Any
) -> None:
    given = [7, *[ZERO] * 20, 9, ZERO, ZERO]
    old = go_file(tmp_path / "old.db", alex_logs=[row(f"{place}", at) for place, at in enumerate(given)])
    for pieces in (0, 1):
        stopped(run, old, pieces)
    assert run(old) == DONE
    assert "alex_logs: 22 had no time" in capsys.readouterr().out
    assert rows(tmp_path, "alex_logs", "timestamp") == [(7,)] * 21 + [(9,)] * 3


def test_of_very_many_bad_rows_a_hundred_are_named(run: Run, tmp_path: Path, capsys: Any) -> None:
    assert run(go_file(tmp_path / "old.db", alex_logs=[row(at=b"")] * 250)) == REJECTED
    said = capsys.readouterr()
    assert said.err.count("is no time") == 100
    assert "there are more rows that are not taken" in said.err
    assert table(said.out) == {"alex_logs": (250, 0, 0, 0, 250)}


def test_other_tables_are_left_out_and_said(run: Run, tmp_path: Path, capsys: Any) -> None:
    old = go_file(tmp_path / "old.db", alex_events=[row()], empty_logs=[])
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("CREATE TABLE notes (id integer)")
        connection.execute("CREATE TABLE odd_events (id integer, text text)")
        connection.execute("CREATE VIEW view_events AS SELECT * FROM alex_events")
        connection.commit()
    assert run(old) == DONE
    said = capsys.readouterr()
    assert table(said.out) == {"alex_events": (1, 1, 0, 0, 0), "empty_logs": (0, 0, 0, 0, 0)}
    assert "left out the table 'notes'" in said.err
    assert "left out the table 'odd_events'" in said.err


def test_a_table_with_fewer_columns(run: Run, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        connection.execute("CREATE TABLE alex_logs (TimeStamp bigint, Field text, hostname text)")
        connection.execute("INSERT INTO alex_logs VALUES (?, 'x', 'a0101')", (NOW,))
        connection.commit()
    assert run("old.db") == DONE
    assert rows(tmp_path, "alex_logs", "timestamp, name, hostname, field") == [(NOW, "", "a0101", "x")]


def test_what_lies_in_a_write_ahead_log_is_taken(run: Run, tmp_path: Path, capsys: Any) -> None:
    old = go_file(tmp_path / "old.db", alex_logs=[row("a")])
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO alex_logs (timestamp, name, field) VALUES (1, 'x', 'b')")
        connection.commit()
        assert run(old) == DONE
    assert texts(tmp_path, "alex_logs") == ["a", "b"]


@pytest.mark.parametrize("is_logs", [False, True])
def test_more_than_one_segment(
    run: Run, tmp_path: Path, is_logs: bool, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(go_database, "_ROWS", 64)
    monkeypatch.setattr(go_database, "_ROWS_FETCHED", 64)
    name = "alex_logs" if is_logs else "alex_events"
    wanted = [(NOW - 1000 + number % 900, f"{number}") for number in range(5000)]
    old = go_file(tmp_path / "old.db", **{name: [row(text, at) for at, text in wanted]})
    make_writer = partial(BulkWriter, sizes=SegmentSizes(segment_rows=100))
    assert main(["--config", "ccstore.json", str(old)], make_writer) == DONE
    assert rows(tmp_path, name, "timestamp, field") == wanted
    with database(tmp_path / "new.db") as connection:
        assert connection.execute("SELECT count(*) FROM segment").fetchone()[0] > 4


# What was begun goes on


class _Stop(Exception):
    pass


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of few rows, or of few bytes."""
    monkeypatch.setattr(go_database, "_ROWS", 7)
    monkeypatch.setattr(go_database, "_ROWS_FETCHED", 7)
    monkeypatch.setattr(lines, "_BLOCK", 100)


def stopped(run: Run, source: Path, pieces: int) -> None:
    """An import that breaks in the transaction behind so many pieces, which has its position or not yet."""
    note = Positions.note
    count = 0

    def broken(*arguments: Any) -> int:
        nonlocal count
        count += 1
        number = None if count > pieces and pieces % 2 else note(*arguments)
        if number is None or count > pieces:
            raise _Stop
        return number

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Positions, "note", staticmethod(broken))
        with pytest.raises(_Stop):
            run(source)


@pytest.mark.usefixtures("small")
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
    assert run(moved) == DONE
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


# Files of lines


def lp(*more: str) -> bytes:
    return "\n".join(more).encode()


@pytest.mark.parametrize("is_packed", [False, True])
def test_lines(run: Run, tmp_path: Path, capsys: Any, is_packed: bool) -> None:
    body = lp(
        f'job,cluster=alex,hostname=a0101,x=y event="a" {NOW}',
        "# a comment",
        "bad",
        f'job,cluster=alex event="b\nb",more=1 {NOW}000000000',
        f'job event="no cluster" {NOW}',
        f'job event="{{\\"cluster\\": \\"fritz\\"}}" {NOW}',
        'job,cluster=alex event="old" 1000',
        'slurmd,cluster=alex log="old" 1000',
        "load,cluster=alex value=1",
        'job,cluster=alex event="now"',
    )
    path = tmp_path / ("x.lp.gz" if is_packed else "x.lp")
    path.write_bytes(gzip.compress(body) if is_packed else body)
    assert run(path) == REJECTED
    said = capsys.readouterr()
    assert table(said.out) == {str(path): (9, 5, 1, 1, 2)}
    assert f"{path}: line 3: no field: 'bad'\n" in said.err
    assert f"{path}: line 6: no cluster: neither a tag, nor" in said.err
    assert f"{path}: 1 not kept, metric" in said.out
    assert f"{path}: 1 fields besides the event or the log were not kept" in said.out
    assert texts(tmp_path, "alex_events") == ["a", "b\nb", "now"]
    assert texts(tmp_path, "fritz_events") == ['{"cluster": "fritz"}']
    assert rows(tmp_path, "alex_logs", "timestamp") == [(1000,)]


def test_what_lines_do_not_say_may_be_said_with_the_command(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.lp").write_bytes(lp('slurmd log="a" 30', 'slurmd,cluster=alex log="b"'))
    assert run("--cluster", "fritz", "--precision", "m", "x.lp") == DONE
    assert rows(tmp_path, "fritz_logs", "timestamp, field") == [(1800, "a")]
    assert texts(tmp_path, "alex_logs") == ["b"]


def test_lines_from_stdin(run: Run, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'a,cluster=alex log="a"\nbad')))
        assert run("-") == REJECTED
        said = capsys.readouterr()
        assert table(said.out) == {"stdin": (2, 1, 0, 0, 1)}
        assert "stdin: line 2: " in said.err
    assert texts(tmp_path, "alex_logs") == ["a", "a"]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("is_packed", [False, True])
def test_lines_go_on_where_they_were(run: Run, tmp_path: Path, capsys: Any, is_packed: bool) -> None:
    wanted = [f"line {number}" for number in range(60)]
    body = lp(*(f'job,cluster=alex log="{text}"\nbad' for text in wanted), 'job log="no cluster"', "")
    pack = gzip.compress if is_packed else bytes
    path = tmp_path / "x.lp"
    path.write_bytes(pack(body))
    for pieces in (0, 2, 9):
        stopped(run, path, pieces)
    capsys.readouterr()
    assert run(path) == REJECTED
    said = capsys.readouterr()
    assert list(table(said.out).values()) == [(121, 60, 0, 0, 61)]
    assert f"{path}: line 120: no field" in said.err
    assert f"{path}: line 121: no cluster" in said.err
    assert f"{path}: line 2: " not in said.err  # told the first time
    # And what is appended later, to a copy as well.
    path.rename(tmp_path / "y.lp").write_bytes(pack(body + b'job,cluster=alex log="appended"\nbad'))
    assert run("y.lp") == REJECTED
    said = capsys.readouterr()
    assert list(table(said.out).values()) == [(123, 61, 0, 0, 62)]
    assert "y.lp: line 123: no field" in said.err
    assert texts(tmp_path, "alex_logs") == [*wanted, "appended"]


def test_a_line_that_is_too_long_costs_only_itself(
    run: Run, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "_BLOCK", 100)
    monkeypatch.setattr(lines, "LONGEST", 300)
    long = 'job,cluster=alex log="' + "x" * 1000 + '"'
    body = lp('job,cluster=alex log="a"', long, 'job log="b"', 'job,cluster=alex log="c"', long, long[:900])
    (tmp_path / "x.lp").write_bytes(body)
    assert run("x.lp") == REJECTED
    said = capsys.readouterr()
    assert table(said.out) == {"x.lp": (6, 2, 0, 0, 4)}
    numbers = [line.split(": ")[1] for line in said.err.splitlines()]
    assert numbers == ["line 2", "line 3", "line 5", "line 6"]
    assert texts(tmp_path, "alex_logs") == ["a", "c"]


def test_a_line_that_is_too_long_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_BLOCK", 1000)
    monkeypatch.setattr(lines, "LONGEST", 3000)
    source = _InMemory(b"x" * 20_000_000 + b"\n" + b"bad\n")
    tracemalloc.start()
    try:
        bad = [each.number for piece in source.pieces(None) for each in piece.bad]
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    assert bad == [1, 2]


def test_a_packed_file_that_ends_too_early(run: Run, tmp_path: Path, capsys: Any) -> None:
    body = b"".join(
        b'job,cluster=alex log="%d %s"\n' % (i, os.urandom(40).hex().encode()) for i in range(30000)
    )
    (tmp_path / "x.lp.gz").write_bytes(gzip.compress(body)[:-100])
    assert run("x.lp.gz") == FAILED
    assert "x.lp.gz: cannot be read: compressed file ended before" in capsys.readouterr().err
    there = len(texts(tmp_path, "alex_logs"))
    assert 0 < there < 30000
    (tmp_path / "x.lp.gz").write_bytes(gzip.compress(body))
    assert run("x.lp.gz") == DONE
    assert len(set(texts(tmp_path, "alex_logs"))) == len(texts(tmp_path, "alex_logs")) == 30000


@given(
    st.lists(strategies.hostile | strategies.plain_lines, max_size=5),
    st.integers(1, 40),
    st.integers(1, 100) | st.just(10**6),
    st.randoms(),
)
@example([b"a f=1\n", b"x" * 50, b" f=1\n", b"a f=2\n"], 10, 20, random.Random(1))
def test_pieces_are_what_the_whole_is(
    parts: list[bytes], block: int, longest: int, chance: random.Random
) -> None:
    """Whatever the pieces, and wherever it was begun again, messages, mistakes and numbers are the same."""
    data = b"".join(parts)
    decoder = StreamDecoder(max_line_length=longest)
    whole = decoder.feed(data, 7)
    rest = decoder.finish(7)
    whole.messages.extend(rest.messages)
    whole.errors.extend(rest.errors)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_BLOCK", block)
        patch.setattr(lines, "LONGEST", longest)
        source = _InMemory(data)
        messages: list[Message] = []
        bad: list[tuple[int, str]] = []
        after = None
        while True:
            went_on = False
            for piece in source.pieces(after):
                messages += piece.messages
                bad += [(each.number, each.reason) for each in piece.bad]
                places = [*range(len(piece.messages))]
                numbers = piece.numbers(places)
                for number, message in zip(numbers, piece.messages, strict=True):
                    line = data.split(b"\n")[number - 1].decode(errors="replace")
                    assert message.name[:1] in line
                if chance.random() < 0.3:
                    after = source.find([piece.mark])
                    assert after == piece.mark
                    went_on = True
                    break
            if not went_on:
                break
    assert [plain(message) for message in messages] == [plain(message) for message in whole.messages]
    assert bad == [(error.line, error.reason) for error in whole.errors]


def plain(message: Message) -> tuple[object, ...]:
    return (message.name, dict(message.tags), message.kind, message.text, message.time, message.others)


class _InMemory(Lines):
    def __init__(self, data: bytes) -> None:
        super().__init__(None, "auto", now=lambda: 7)
        self._data = data

    def _open(self) -> Any:
        self._stream = io.BytesIO(self._data)
        return super()._open()


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
