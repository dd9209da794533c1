"""Logging: how often a thing is said, which levels are written, and where."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import Logger, LogLevel, capturedLogs
from twisted.web.http import HTTPChannel

from ccstore.logs import LEVELS, RateLimit, Threshold, is_journal, make_observer

# Not saying the same thing too often


def test_a_thing_is_said_once_in_an_interval() -> None:
    clock = Clock()
    limit = RateLimit(clock, 60)
    assert limit.check("a") == 0
    clock.advance(59.9)
    assert limit.check("a") is None
    clock.advance(0.1)
    assert limit.check("a") == 1


def test_what_was_suppressed_is_counted_from_one_time_to_the_next() -> None:
    clock = Clock()
    limit = RateLimit(clock, 60)
    counts = []
    for _ in range(3):
        counts.append(limit.check("a"))
        assert [limit.check("a") for _ in range(4)] == [None] * 4
        clock.advance(60)
    assert counts == [0, 4, 4]
    clock.advance(60)
    assert limit.check("a") == 4
    clock.advance(60)
    assert limit.check("a") == 0


def test_things_do_not_silence_each_other() -> None:
    limit = RateLimit(Clock(), 60)
    assert limit.check(("tcp", "host1")) == 0
    assert limit.check(("tcp", "host2")) == 0
    assert limit.check(("tcp", "host1")) is None


def test_a_clock_that_goes_backwards_silences_nothing() -> None:
    clock = Clock()
    clock.advance(10_000)
    limit = RateLimit(clock, 60)
    assert limit.check("a") == 0
    clock.rightNow -= 5_000
    assert limit.check("a") == 0
    assert limit.check("a") is None
    clock.advance(60)
    assert limit.check("a") == 1


def test_ever_new_things_are_said_only_so_often() -> None:
    clock = Clock()
    limit = RateLimit(clock, 60, size=10)
    assert [limit.check(number) for number in range(15)] == [0] * 10 + [None] * 5
    clock.advance(60)
    assert limit.check("new") == 0
    assert len(limit._said) <= 10


def test_a_full_table_forgets_nothing_that_is_still_silenced() -> None:
    clock = Clock()
    limit = RateLimit(clock, 60, size=10)
    for number in range(9):
        limit.check(number)
    clock.advance(30)
    assert limit.check("late") == 0
    clock.advance(30)
    assert limit.check("new") == 0
    assert limit.check("late") is None


def test_a_full_table_is_usable_after_the_clock_went_backwards() -> None:
    clock = Clock()
    clock.advance(10_000)
    limit = RateLimit(clock, 60, size=10)
    for number in range(10):
        limit.check(number)
    clock.rightNow -= 5_000
    assert limit.check("new") == 0
    assert limit.check(3) == 0


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from([0, 0, 0, 1, 5, -5]))))
def test_the_table_is_bounded(calls: list[tuple[int, int]]) -> None:
    clock = Clock()
    limit = RateLimit(clock, 4, size=5)
    for thing, seconds in calls:
        limit.check(thing)
        assert len(limit._said) <= 5
        clock.rightNow += seconds


# Where the log goes


@pytest.fixture(autouse=True)
def no_signal_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGUSR1, before)


def log_at_every_level(level: str, path: str) -> None:
    log = Logger(namespace="test", observer=make_observer(Threshold(level), path))
    for each in LogLevel.iterconstants():
        log.emit(each, "said at {name}", name=each.name)


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", ["debug", "info", "warn", "error", "critical"]),
        ("info", ["info", "warn", "error", "critical"]),
        ("warn", ["warn", "error", "critical"]),
        ("err", ["error", "critical"]),
        ("crit", ["critical"]),
        ("fatal", ["error", "critical"]),
    ],
)
def test_a_level_lets_itself_and_what_is_worse_pass(level: str, written: list[str], tmp_path: Path) -> None:
    path = tmp_path / "log"
    log_at_every_level(level, str(path))
    lines = path.read_text().splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == written
    assert all("[test#" in line for line in lines)


@pytest.mark.parametrize(("level", "lines"), [("debug", 1), ("info", 0), ("warn", 0)])
def test_idle_clients_fill_no_log(level: str, lines: int, tmp_path: Path) -> None:
    channel = HTTPChannel()
    channel.callLater = Clock().callLater
    channel.makeConnection(StringTransport())
    with capturedLogs() as events:
        channel.timeoutConnection()
    (event,) = events
    path = tmp_path / "log"
    make_observer(Threshold(level), str(path))(event)
    assert len(path.read_text().splitlines()) == lines


def test_every_level_of_the_go_daemon_is_known() -> None:
    assert list(LEVELS) == ["debug", "info", "warn", "err", "fatal", "crit"]


def test_a_dash_is_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    log_at_every_level("err", "-")
    out, err = capsys.readouterr()
    assert [line.rpartition(" ")[2] for line in out.splitlines()] == ["error", "critical"]
    assert err == ""


@pytest.fixture
def journal(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output is what systemd calls its journal."""
    monkeypatch.setattr(sys, "stdout", open(1, "w", buffering=1, closefd=False))  # noqa: SIM115
    status = os.fstat(1)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")


@pytest.mark.usefixtures("journal")
def test_the_journal_gets_priorities_and_has_the_time_itself(capfd: pytest.CaptureFixture[str]) -> None:
    log_at_every_level("debug", "-")
    lines = capfd.readouterr().out.splitlines()
    priorities = {"debug": 7, "info": 6, "warn": 4, "error": 3, "critical": 2}
    assert lines == [f"<{number}>[test#{level}] said at {level}" for level, number in priorities.items()]


@pytest.mark.usefixtures("journal")
def test_the_journal_gets_the_time_too_if_it_is_wanted(capfd: pytest.CaptureFixture[str]) -> None:
    Logger(namespace="test", observer=make_observer(Threshold("info"), "-", with_date=True)).info("a\nb")
    first, second = capfd.readouterr().out.splitlines()
    assert re.fullmatch(r"<6>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} \[test#info\] a", first)
    assert second == "<6>\tb"


@pytest.mark.usefixtures("journal")
def test_a_file_is_no_journal(tmp_path: Path) -> None:
    log_at_every_level("info", str(tmp_path / "log"))
    assert "<6>" not in (tmp_path / "log").read_text()


def test_a_journal_of_somebody_else(capfd: pytest.CaptureFixture[str]) -> None:
    with open(1, "w", closefd=False) as stream:
        assert not is_journal(stream, {})
        assert not is_journal(stream, {"JOURNAL_STREAM": "1:2"})
    assert not is_journal(io.StringIO(), {"JOURNAL_STREAM": "1:2"})


def test_a_log_file_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for _ in range(2):
        log_at_every_level("crit", str(path))
    assert len(path.read_text().splitlines()) == 2


def test_the_file_is_rotated_at_a_signal(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = Logger(observer=make_observer(Threshold("info"), str(path)))
    log.info("before")
    os.kill(os.getpid(), signal.SIGUSR1)
    log.info("after")
    assert "before" in (tmp_path / "log.1").read_text()
    assert "after" in path.read_text()
    assert "before" not in path.read_text()


def test_a_handler_of_that_signal_is_kept(tmp_path: Path) -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    make_observer(Threshold("info"), str(tmp_path / "log"))
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
