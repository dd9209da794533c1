"""Bringing in what cc-event-store has."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ccstore.importing.command import DONE, REJECTED
from tests.support.importing import (
    NOW,
    SMALL,
    Run,
    configure,
    go_file,
    row,
    rows,
    stopped,
    table,
    texts,
)


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


def test_text_that_is_no_utf_8_costs_nobody_else_anything(run: Run, tmp_path: Path) -> None:
    old = go_file(tmp_path / "old.db", alex_logs=[row(f"{number}") for number in range(40)])
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("UPDATE alex_logs SET field = CAST(X'FF' AS TEXT) WHERE id IN (17, 39)")
        connection.commit()
    stopped(run, old, 4)
    assert run(old, sizes=SMALL) == DONE
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


def test_what_was_begun_goes_on_with_the_time_of_the_row_before(
    run: Run, tmp_path: Path, capsys: Any
) -> None:
    given = [7, *[ZERO] * 20, 9, ZERO, ZERO]
    old = go_file(tmp_path / "old.db", alex_logs=[row(f"{place}", at) for place, at in enumerate(given)])
    for pieces in (0, 1):
        stopped(run, old, pieces)
    assert run(old, sizes=SMALL) == DONE
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
def test_more_than_one_segment(run: Run, tmp_path: Path, is_logs: bool) -> None:
    name = "alex_logs" if is_logs else "alex_events"
    wanted = [(NOW - 1000 + number % 900, f"{number}") for number in range(150_000)]
    old = go_file(tmp_path / "old.db", **{name: [row(text, at) for at, text in wanted]})
    assert run(old) == DONE
    assert rows(tmp_path, name, "timestamp, field") == wanted
