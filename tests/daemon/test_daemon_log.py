"""What an admin reads in the log of a real daemon, and that nothing that befalls the log stops it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support.configuration import ports_in, write_config
from tests.support.running_daemon import PATIENCE, RUN, TWISTD, Daemon, environment, run
from tests.support.sinks import event

RECEIVERS = {
    "nodes": {"type": "tcp", "address": "127.0.0.1", "port": 0, "max_connections": 10},
    "datagrams": {"type": "udp", "address": "127.0.0.1", "port": 0},
    "web": {
        "type": "http",
        "address": "127.0.0.1",
        "port": 0,
        "username": "node",
        "password": "secret",
        "access_log": True,
    },
}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} "


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(
        tmp_path, receivers=RECEIVERS, storage={"retention_time": "36h"}, api={"access_log": True}
    )


def test_the_log_of_a_start_a_few_requests_and_a_stop(config: Path) -> None:
    with Daemon(config.parent, "--config", config) as daemon:
        assert daemon.ask("GET", "/health")[0] == 200
        assert daemon.ask("POST", "/", event("a"), line="HTTP")[0] == 401
        assert daemon.ask("POST", "/api/write", event("a"))[0] == 200
        daemon.stop()
        port = r"127\.0\.0\.1:\d+"
        expected = [
            r"info: ccstore \S+ starts, process \d+: Python \S+, Twisted \S+",
            rf"info: configuration: {re.escape(str(config))}",
            rf"info: receiver nodes: line protocol over TCP on {port}, at most 10 connections",
            rf"info: receiver datagrams: line protocol over UDP on {port}",
            rf"info: receiver web: line protocol over HTTP on {port}, user name and password are required",
            rf"info: REST on {port}, no token is required",
            rf"info: storing in {re.escape(str(config.parent))}/ccstore\.db \(SQLite \S+\)",
            r"info: events are kept for 36h, logs for ever",
            r"info: at most 200,000 messages wait in memory to be stored",
            r"info: at most [\d,]+ files may be open",
            r"info: ccstore \S+ runs",
            # With the time once.
            r'info: api: "127\.0\.0\.1" "GET /health HTTP/1\.1" 200 \d+ "-" "-"',
            r'info: web: "127\.0\.0\.1" "POST / HTTP/1\.1" 401 \d+ "-" "-"',
            r'info: api: "127\.0\.0\.1" "POST /api/write HTTP/1\.1" 200 - "-" "-"',
            r"info: stopping: SIGTERM",
            r"info: api: 1 received, 1 stored, 0 rejected, 0 dropped, 0 waiting",
            r"info: stopped",
        ]
        assert len(daemon.log) == len(expected), daemon.text
        for line, pattern in zip(daemon.log, expected, strict=True):
            assert re.fullmatch(TIME + pattern, line), line


def test_without_a_configuration_it_says_so(tmp_path: Path) -> None:
    # Its ports are fixed, and may be taken; that is said after this.
    process = Daemon.launch(tmp_path)
    with process:
        assert process.stdout is not None
        _, second = process.stdout.readline(), process.stdout.readline()
        process.kill()
    assert second.endswith(" info: configuration: none, so it serves only this machine\n")


class _Logging:
    """A daemon that writes its log to a file, with a line for each request."""

    def __init__(self, directory: Path, log: Path) -> None:
        web = {"type": "http", "address": "127.0.0.1", "port": 0, "access_log": True}
        config = write_config(directory, receivers={"web": web})
        self.log = log
        words = (*TWISTD, "-n", "--pidfile=", f"--logfile={log}", "ccstore", "--config", str(config))
        self.process = subprocess.Popen([sys.executable, *words], cwd=directory, env=environment())

    def port(self) -> int:
        """Wait until it runs: its port for lines."""
        text = self.until(lambda text: " runs\n" in text)
        return ports_in(text)["HTTP"]

    def until(self, has: Callable[[str], bool]) -> str:
        """Wait until the log has something: the log."""
        deadline = time.monotonic() + PATIENCE
        while not has(text := self.log.read_text() if self.log.exists() else ""):
            assert self.process.poll() is None
            assert time.monotonic() < deadline, text
            os.sched_yield()
        return text

    def __enter__(self) -> _Logging:
        return self

    def __exit__(self, *what: object) -> None:
        self.process.kill()
        self.process.wait()


def send(port: int, text: str) -> int:
    """One line over HTTP: the status."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("POST", f"/{text}", event(text))
        return connection.getresponse().status


def test_a_log_that_logrotate_renames_is_begun_anew(tmp_path: Path) -> None:
    log = tmp_path / "the.log"
    with _Logging(tmp_path, log) as daemon:
        port = daemon.port()
        # With the signal, the new file is there at once; before the next line without it.
        log.rename(tmp_path / "old")
        daemon.process.send_signal(signal.SIGUSR1)
        daemon.until(lambda text: log.exists())
        assert send(port, "a") == 200
        daemon.until(lambda text: "POST /a " in text)
        log.rename(tmp_path / "older")
        while not log.exists():
            assert send(port, "b") == 200
        daemon.until(lambda text: "POST /b " in text)
        # As copytruncate does.
        os.truncate(log, 0)
        assert send(port, "c") == 200
        assert "\0" not in daemon.until(lambda text: "POST /c " in text)
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(PATIENCE) == -signal.SIGTERM
    assert "info: stopped" in log.read_text()
    assert {each.name for each in tmp_path.iterdir() if "log" in each.name} == {"the.log"}


def test_a_log_without_room_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    # The log cannot tell a port, so it has a name.
    config = write_config(tmp_path, api={"endpoint": f"unix:{path}", "address": None, "port": None})
    with open("/dev/full", "w") as full:
        process = subprocess.Popen(
            [sys.executable, *RUN, "--config", str(config)], cwd=tmp_path, env=environment(), stdout=full
        )
    with process:
        try:
            deadline = time.monotonic() + PATIENCE
            with socket.socket(socket.AF_UNIX) as client:
                while client.connect_ex(str(path)) != 0:
                    assert process.poll() is None
                    assert time.monotonic() < deadline
                    os.sched_yield()
                head = b"POST /api/write HTTP/1.0\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                client.sendall(head % len(event("a")) + event("a"))
                assert b" 200 OK" in client.recv(1000)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == -signal.SIGTERM
        finally:
            process.kill()


def test_a_log_that_cannot_be_opened_is_told_of_in_a_line(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    words = ["-n", "--pidfile=", f"--logfile={tmp_path}/no/log", "ccstore", "--config", config]
    status, said = run(tmp_path, *words, command=TWISTD)
    assert (status, said) == (1, f"cannot write the log {tmp_path}/no/log: no such file or directory\n")
