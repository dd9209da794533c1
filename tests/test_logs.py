"""Logging: how often a thing is said, which levels are written, and where."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from grp import getgrgid
from pathlib import Path
from pwd import getpwuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import Logger, LogLevel, capturedLogs, globalLogPublisher
from twisted.python import log as legacy_log
from twisted.web.http import HTTPChannel

from ccstore.daemon.log import Log, leads_to_journal, make_log
from ccstore.daemon.log_file import LogFile
from ccstore.logs import LEVELS, RateLimit
from tests.support.running_daemon import ROOT

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


# What the log has


class _AtOnce:
    """A reactor that calls at once."""

    def callFromThread(self, function: Callable[[], object]) -> None:
        function()


class _Lines:
    """A target that keeps what is written, or cannot be written to."""

    def __init__(self) -> None:
        self.text = ""
        self.error: OSError | None = None

    def write(self, text: str) -> None:
        if self.error is not None:
            raise self.error
        self.text += text


@pytest.fixture(autouse=True)
def no_signal_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGUSR1, before)


def logger(level: str, path: str | Path, namespace: str = "ccstore.test", **more: Any) -> Logger:
    return Logger(namespace=namespace, observer=make_log(level, str(path), _AtOnce(), **more))


def log_at_every_level(level: str, path: str | Path, **more: Any) -> None:
    log = logger(level, path, **more)
    for each in LogLevel.iterconstants():
        log.emit(each, "said at {name}", name=each.name)


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", ["debug", "info", "warning", "error", "critical"]),
        ("info", ["info", "warning", "error", "critical"]),
        ("warn", ["warning", "error", "critical"]),
        ("err", ["error", "critical"]),
        ("crit", ["critical"]),
        ("fatal", ["error", "critical"]),
    ],
)
def test_a_level_lets_itself_and_what_is_worse_pass(level: str, written: list[str], tmp_path: Path) -> None:
    path = tmp_path / "log"
    log_at_every_level(level, path)
    lines = path.read_text().splitlines()
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}"
    found = [re.fullmatch(rf"{time} (\w+): said at \w+", line) for line in lines]
    assert [match and match[1] for match in found] == written


def test_the_level_may_be_set_while_it_runs() -> None:
    lines = _Lines()
    observer = Log("warn", lines)
    log = Logger(namespace="ccstore.test", observer=observer)
    for level in ("warn", "info", "err"):
        observer.set_level(level)
        log.info(f"info at {level}")
        log.warn(f"warn at {level}")
    assert [line.partition(" ")[2] for line in lines.text.splitlines()] == [
        "warning: warn at warn",
        "info: info at info",
        "warning: warn at info",
    ]


@pytest.mark.parametrize(
    ("level", "written"), [("debug", [*"diwec"]), ("info", [*"wec"]), ("warn", [*"wec"]), ("err", [*"ec"])]
)
def test_of_libraries_there_are_only_problems(level: str, written: list[str], tmp_path: Path) -> None:
    for namespace in ("twisted.internet.base", "txpostgres", "log_legacy", "ccstoreother"):
        path = tmp_path / namespace
        log_at_every_level(level, path, namespace=namespace)
        assert [line.rpartition(" ")[2][0] for line in path.read_text().splitlines()] == written


def test_what_is_only_said_in_the_old_way_of_twisted_is_left_out() -> None:
    lines = _Lines()
    observer = Log("info", lines)
    globalLogPublisher.addObserver(observer)
    try:
        legacy_log.msg("DB API module not DB API 2.0 compliant.")
        legacy_log.msg("(TCP Port 8094 Closed)")
    finally:
        globalLogPublisher.removeObserver(observer)
    assert lines.text == ""


@pytest.mark.parametrize(("level", "lines"), [("debug", 1), ("info", 0), ("warn", 0)])
def test_idle_clients_fill_no_log(level: str, lines: int) -> None:
    channel = HTTPChannel()
    channel.callLater = Clock().callLater
    channel.makeConnection(StringTransport())
    with capturedLogs() as events:
        channel.timeoutConnection()
    (event,) = events
    written = _Lines()
    Log(level, written)(event)
    assert len(written.text.splitlines()) == lines


def test_no_text_passes_for_another_event_and_a_traceback_is_there() -> None:
    lines = _Lines()
    log = Logger(namespace="ccstore.test", observer=Log("info", lines))
    log.info("{text}", text="a\n2026-01-01T00:00:00+0000 info: forged")
    try:
        raise KeyError("here")
    except KeyError:
        log.failure("it failed")
    _, forged, failed, *traceback = lines.text.splitlines()
    assert forged == "\t2026-01-01T00:00:00+0000 info: forged"
    assert failed.endswith(" critical: it failed")
    assert all(line.startswith("\t") for line in traceback)
    assert "KeyError: 'here'" in traceback[-1]


def test_every_level_of_the_go_daemon_is_known() -> None:
    assert list(LEVELS) == ["debug", "info", "warn", "err", "fatal", "crit"]


# Where the log goes


@pytest.fixture
def stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output is an open file, as it is for a program."""
    monkeypatch.setattr(sys, "stdout", open(1, "w", buffering=1, closefd=False))  # noqa: SIM115


@pytest.mark.usefixtures("stdout")
def test_a_dash_is_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    log_at_every_level("err", "-")
    out, err = capfd.readouterr()
    assert [line.rpartition(" ")[2] for line in out.splitlines()] == ["error", "critical"]
    assert err == ""


def test_without_standard_output_it_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    log_at_every_level("info", "-")


@pytest.fixture
def journal(capfd: pytest.CaptureFixture[str], stdout: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output is what systemd calls its journal."""
    status = os.fstat(1)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")


@pytest.mark.usefixtures("journal")
def test_the_journal_gets_priorities_and_has_the_time_itself(capfd: pytest.CaptureFixture[str]) -> None:
    log_at_every_level("debug", "-")
    assert capfd.readouterr().out.splitlines() == [
        "<7>debug: said at debug",
        "<6>info: said at info",
        "<4>warning: said at warn",
        "<3>error: said at error",
        "<2>critical: said at critical",
    ]


@pytest.mark.usefixtures("journal")
def test_the_journal_gets_the_time_too_if_it_is_wanted(capfd: pytest.CaptureFixture[str]) -> None:
    logger("info", "-", with_date=True).info("a\nb")
    first, second = capfd.readouterr().out.splitlines()
    assert re.fullmatch(r"<6>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} info: a", first)
    assert second == "<6>\tb"


@pytest.mark.usefixtures("journal")
def test_a_file_is_no_journal(tmp_path: Path) -> None:
    log_at_every_level("info", tmp_path / "log")
    assert "<6>" not in (tmp_path / "log").read_text()


def test_a_journal_of_somebody_else() -> None:
    assert not leads_to_journal(1, {})
    assert not leads_to_journal(1, {"JOURNAL_STREAM": "1:2"})


def test_what_cannot_be_written_is_counted_and_told_of_later() -> None:
    lines = _Lines()
    log = Logger(namespace="ccstore.test", observer=Log("info", lines))
    log.info("before")
    lines.error = OSError(errno.ENOSPC, "No space left on device")
    for _ in range(3):
        log.info("lost")
    lines.error = None
    log.info("after")
    log.info("and more")
    assert [line.partition(" ")[2] for line in lines.text.splitlines()] == [
        "info: before",
        "warning: 3 lines are missing here, since they could not be written: no space left on device",
        "info: after",
        "info: and more",
    ]


def test_a_full_disk_stops_nothing() -> None:
    log_at_every_level("info", "/dev/full")


# The file


def said(path: Path) -> list[str]:
    return [line.rpartition(" ")[2] for line in path.read_text().splitlines()]


def test_a_log_file_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for _ in range(2):
        log_at_every_level("crit", path)
    assert len(path.read_text().splitlines()) == 2


def test_a_file_that_cannot_be_opened_is_told_of_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LogFile(str(tmp_path / "no" / "log"))


def test_the_file_is_renamed_at_a_signal_unless_somebody_else_has(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = logger("info", path)
    log.info("first")
    path.rename(tmp_path / "log.moved")
    os.kill(os.getpid(), signal.SIGUSR1)
    assert path.read_text() == ""  # it is there before the next line
    log.info("second")
    os.kill(os.getpid(), signal.SIGUSR1)
    log.info("third")
    assert [said(tmp_path / name) for name in ("log.moved", "log.1", "log")] == [
        ["first"],
        ["second"],
        ["third"],
    ]


def test_a_handler_of_that_signal_is_kept(tmp_path: Path) -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    logger("info", tmp_path / "log")
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN


class _File:
    """A file of which the test has the clock."""

    def __init__(self, path: Path, **limits: int) -> None:
        self.clock = Clock()
        self.file = LogFile(str(path), clock=self.clock.seconds, **limits)

    def write(self, text: str) -> None:
        """A line, after a while."""
        self.clock.advance(1)
        self.file.write(f"{text}\n")


def test_a_renamed_or_removed_file_is_noticed_without_a_signal(tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = _File(path)
    path.chmod(0o640)
    file.write("a")
    path.rename(tmp_path / "old")
    file.write("b")
    assert (said(tmp_path / "old"), said(path)) == (["a"], ["b"])
    assert path.stat().st_mode & 0o777 == 0o640
    path.unlink()
    file.write("c")
    assert said(path) == ["c"]
    # As logrotate does with `create`.
    path.rename(tmp_path / "old")
    path.touch(0o600)
    file.write("d")
    assert (said(path), path.stat().st_mode & 0o777) == (["d"], 0o600)


def test_a_file_that_is_cut_has_no_hole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = _File(path)
    file.write("a" * 1000)
    os.truncate(path, 0)
    file.write("b")
    assert path.read_bytes() == b"b\n"


def test_where_no_new_file_can_be_made_the_old_one_stays_in_use(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    file = _File(folder / "log")
    folder.rename(tmp_path / "moved")
    file.write("a")
    file.file.reopen()
    file.write("b")
    assert said(tmp_path / "moved" / "log") == ["a", "b"]
    folder.mkdir()
    file.write("c")
    assert said(folder / "log") == ["c"]


def test_a_large_file_gets_a_number_and_the_oldest_goes(tmp_path: Path) -> None:
    file = _File(tmp_path / "log", most=5, kept=2)
    for text in ("first-one", "second", "third-one", "fourth"):
        file.write(text)
    assert {each.name: said(each) for each in tmp_path.iterdir()} == {
        "log": ["fourth"],
        "log.1": ["third-one"],
        "log.2": ["second"],
    }


def test_a_device_keeps_its_name() -> None:
    file = LogFile("/dev/null")
    file.reopen()
    file.write("a\n")
    assert Path("/dev/null").is_char_device()


def test_a_line_that_was_cut_short_is_not_continued_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    file = _File(path)
    write = os.write
    pieces = iter([3])

    def fill_up(number: int, data: bytes) -> int:
        for size in pieces:
            return write(number, data[:size])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", fill_up)
    with pytest.raises(OSError, match="No space"):
        file.write("a long line")
    monkeypatch.undo()
    file.write("b")
    assert path.read_text() == "a l\nb\n"


# With logrotate

SNIPPET = ROOT / "conf" / "ccstore.logrotate"


def test_the_snippet_has_nothing_sent_to_the_daemon() -> None:
    text = SNIPPET.read_text()
    assert "/var/log/ccstore/ccstore.log {" in text
    directives = {line.split()[0] for line in text.splitlines() if line.startswith("    ")}
    assert {"missingok", "compress", "delaycompress", "notifempty"} <= directives
    assert "postrotate" not in directives


@pytest.mark.parametrize("extra", ["", "    copytruncate\n", "    create 0600\n"])
def test_real_logrotate(extra: str, tmp_path: Path) -> None:
    program = shutil.which("logrotate", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"]))
    if program is None:
        pytest.skip("logrotate is not installed")
    path = tmp_path / "ccstore.log"
    text = SNIPPET.read_text().replace("/var/log/ccstore/ccstore.log", str(path))
    owner = f"    su {getpwuid(os.getuid()).pw_name} {getgrgid(os.getgid()).gr_name}\n"
    config = tmp_path / "conf"
    config.write_text(text.replace("    su ccstore ccstore\n", owner).replace("}", f"{extra}}}"))
    config.chmod(0o600)
    file = _File(path)
    for text in ("first", "second", "third"):
        file.write(text)
        subprocess.run([program, "--force", f"--state={tmp_path}/state", config], check=True, timeout=60)
        file.write("after")
        assert path.read_bytes() == b"after\n"
    assert (tmp_path / "ccstore.log.1").read_bytes() == b"after\nthird\n"
