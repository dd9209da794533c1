"""The limit of open files: whom it keeps out, who hears of it, and what is kept for the daemon itself."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent

from ccstore.daemon.process import raise_limit
from ccstore.network.open_files import AdmittingFactory, OpenFiles
from tests.support.configuration import write_config
from tests.support.loopback import Loopback
from tests.support.running_daemon import PATIENCE, ROOT, Daemon, environment, run
from tests.support.sinks import event


def limited(limit: int) -> tuple[str, ...]:
    """The words that start a daemon which may have so many files open."""
    return (
        "-c",
        f"import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}));"
        "from ccstore.cli import main; sys.exit(main(['run', *sys.argv[1:]]))",
    )


class _Files:
    """A process of which only the numbers of open files are there."""

    def __init__(self, limit: int) -> None:
        self.clock = Clock()
        self.limit = limit
        self.lowest: int | None = 10
        self.files = OpenFiles(self.clock, lambda: self.limit, lambda: self.lowest)


def test_connections_leave_files_to_others_and_questions_leave_half_of_those() -> None:
    process = _Files(1024)
    for lowest, lines, questions in ((959, True, True), (960, False, True), (991, False, True)):
        process.lowest = lowest
        assert process.files.has_room(for_questions=False) == lines
        assert process.files.has_room(for_questions=True) == questions
    for last in (992, None):
        process.lowest = last
        assert not process.files.has_room(for_questions=True)


def test_a_low_limit_is_not_all_kept() -> None:
    assert _Files(128).files.reserve == 32


def test_a_limit_that_is_changed_from_outside_counts_at_once() -> None:
    process = _Files(1024)
    process.lowest = 100
    assert process.files.has_room(for_questions=False)
    process.limit = 128
    assert not process.files.has_room(for_questions=False)


def test_a_shortage_is_a_problem_for_a_minute() -> None:
    process = _Files(128)
    assert process.files.problems() == []
    process.lowest = 120
    process.files.has_room(for_questions=False)
    assert process.files.problems() == [
        "connections are refused, since too many files are open: the limit is 128"
    ]
    process.clock.advance(60)
    assert process.files.problems() == []


def test_a_limit_below_what_receivers_may_take_is_told_of_with_one_that_would_do() -> None:
    process = _Files(1024)
    assert process.files.too_few_for(950) is None
    said = process.files.too_few_for(20_000)
    assert said is not None
    assert "1,024 open files" in said
    assert "enough for 950 connections" in said
    assert "Allow 20,074 files" in said
    process.limit = 20_074
    assert process.files.too_few_for(20_000) is None


def test_what_twisted_only_logs_is_counted_and_warned_of() -> None:
    clock = Loopback()
    process = _Files(1024)
    factory = AdmittingFactory(Any, process.files, "receiver 'r'", for_questions=False)  # type: ignore[arg-type]
    port = clock.listenTCP(0, factory)
    factory.watch(port)
    with capturedLogs() as logs:
        for _ in range(3):
            port._logger.info("EMFILE recovery: closed {address}", address="x")  # type: ignore[attr-defined]
        port._logger.info("Could not accept ({acceptError})", acceptError="ENFILE")  # type: ignore[attr-defined]
    assert factory.refused == 3
    said = [formatEvent(entry) for entry in logs if entry["log_level"] is LogLevel.warn]
    assert said == [
        "receiver 'r': a connection was refused, since too many files are open: the limit is 1,024",
        "receiver 'r': connections cannot be taken: ENFILE",
    ]


def test_the_limit_is_raised_as_far_as_it_may_be() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200));"
        "from ccstore.daemon.process import raise_limit; raise_limit();"
        "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    said = subprocess.check_output([sys.executable, "-c", code], env=environment(), cwd=ROOT, text=True)
    assert said.split() == ["200", "200"]


def test_a_limit_that_cannot_be_raised_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(which: int, limits: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (10, 20))
    raise_limit()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    receivers = {
        "tcp": {"type": "tcp", "address": "127.0.0.1", "port": 0, "max_connections": 20_500},
        "http": {"type": "http", "address": "127.0.0.1", "port": 0},
    }
    return write_config(tmp_path, receivers=receivers)


class _Limited(Daemon):
    command = limited(128)


def test_more_connections_than_files(config: Path) -> None:
    count = 200
    with _Limited(config.parent, "--config", config) as daemon, ExitStack() as stack:
        daemon.wait_for(r"128 open files are allowed, .* Allow 20,\d+ files")
        for number in range(count):
            sender = stack.enter_context(
                socket.create_connection(("127.0.0.1", daemon.ports["TCP"]), PATIENCE)
            )
            with suppress(OSError):  # it may have been refused already
                sender.sendall(event(str(number)) + b"\n")

        deadline = time.monotonic() + PATIENCE
        while True:
            figures = daemon.stats()["receivers"]["tcp"]
            if figures["stored"] + figures["refused_no_files"] == count:
                break
            assert time.monotonic() < deadline, figures
        # Each line is stored, or its sender was turned away and counted.
        assert figures["connections"] == figures["stored"] > 50
        daemon.wait_for(r"receiver 'tcp': a connection was refused, since too many files are open")
        ready = json.loads(daemon.ask("GET", "/ready")[1])
        assert ready["status"] == "ok"
        assert "the limit is 128" in ready["problems"][0]
        # There is still a file for the database and for whoever asks.
        assert len(daemon.query()[0][0]["data"]) == figures["stored"]
        assert b"ccstore_receiver_refused_no_files_total" in daemon.ask("GET", "/metrics")[1]
        status, said = run(
            config.parent,
            f"--url=http://127.0.0.1:{daemon.ports['REST']}",
            command=("-m", "ccstore", "doctor"),
        )
        assert status == 1
        assert f"{figures['refused_no_files']} connections were refused, since the daemon had" in said
        # As soon as others have gone there is room again.
        stack.close()
        answer = None
        while answer != (200, b""):
            assert time.monotonic() < deadline
            with suppress(OSError):
                answer = daemon.ask("POST", "/", event("later"), line="HTTP")
        assert "EMFILE" not in daemon.text


def test_a_limit_with_which_nothing_works(config: Path) -> None:
    status, said = run(config.parent, "--config", config, command=limited(20))
    assert status == 1
    assert "Traceback" not in said
    assert "cannot start: 20 open files are allowed, and at least 48 are needed" in said
    assert not os.path.exists(config.parent / "ccstore.db")
