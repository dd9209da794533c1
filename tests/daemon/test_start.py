"""How the daemon starts, or says why it cannot, and its pid file."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import certificates
from tests.support.configuration import RECEIVERS, write_config
from tests.support.running_daemon import (
    TWISTD,
    Daemon,
    eventually,
    run,
)
from tests.support.sinks import event


def check_wrong_start(status: int, said: str, *expected: str) -> None:
    """A start that fails has one clear line, and no traceback."""
    assert status == 1, said
    assert "Traceback" not in said
    clear = [line for line in said.splitlines() if all(words in line for words in expected)]
    assert len(clear) == 1, said


# -- starts that fail


@contextmanager
def taken(kind: int) -> Iterator[int]:
    """A port that somebody else has."""
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        yield other.getsockname()[1]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"receivers": {"r": {"type": "tcp", "port": "x"}}}, ["receivers.r.port: got 'x', expected a port"]),
        (
            {"receivers": {"r": {"type": "tpc"}}},
            ["receivers.r.type: got 'tpc', expected one of tcp, udp, http"],
        ),
        ({"storage": {"retention_time": "1y"}}, ["storage.retention_time: got '1y', expected a duration"]),
        ({"api": {"max_rows": "many"}}, ["api.max_rows: got 'many', expected a whole number"]),
        ({"api": {"jwt_public_key": "AAAA"}}, ["api.jwt_public_key: got", "Ed25519"]),
    ],
    ids=["wrong type", "unknown receiver", "days", "wrong type in api", "bad key"],
)
def test_a_wrong_configuration(tmp_path: Path, parts: dict[str, Any], expected: list[str]) -> None:
    path = write_config(tmp_path, **parts)
    for options in ([], ["--check"]):
        status, said = run(tmp_path, "--config", path, *options)
        check_wrong_start(status, said, str(path), *expected)
        assert len(said.splitlines()) == 1
    assert not (tmp_path / "ccstore.db").exists()


def test_several_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = write_config(tmp_path, receivers={"r": {"type": "x"}}, storage={"flush_time": 3}, api={"port": -1})
    status, said = run(tmp_path, "--config", path)
    assert status == 1
    assert [line.split(": ")[1] for line in said.splitlines()] == [
        "receivers.r.type",
        "storage.flush_time",
        "api.port",
    ]


def test_a_configuration_file_that_is_not_there(tmp_path: Path) -> None:
    status, said = run(tmp_path, "--config", "nowhere.yaml")
    check_wrong_start(status, said, "nowhere.yaml", "no such file")


def test_a_bad_log_level(tmp_path: Path, config: Path) -> None:
    status, said = run(tmp_path, "--config", config, "--loglevel", "loud")
    check_wrong_start(status, said, "--loglevel: expected one of debug, info,", "got 'loud'")


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("tcp", "receivers.r.port"),
        ("udp", "receivers.r.port"),
        ("http", "receivers.r.port"),
        ("api", "api.port"),
    ],
)
def test_a_port_in_use(tmp_path: Path, kind: str, key: str) -> None:
    with taken(socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as port:
        listening = {"address": "127.0.0.1", "port": port}
        parts = {"api": listening} if kind == "api" else {"receivers": {"r": {"type": kind, **listening}}}
        status, said = run(tmp_path, "--config", write_config(tmp_path, **parts))
        check_wrong_start(status, said, f"cannot start: {key}: cannot listen on ", f"127.0.0.1:{port}: ")
    assert not (tmp_path / "ccstore.db").exists()


def test_everything_that_keeps_it_from_starting_is_told_at_once(tmp_path: Path) -> None:
    with taken(socket.SOCK_STREAM) as port, taken(socket.SOCK_DGRAM) as other:
        here = {"address": "127.0.0.1"}
        receivers = {
            "nodes": {"type": "tcp", **here, "port": port},
            "more": {"type": "udp", **here, "port": other},
            "far": {"type": "http", "address": "192.0.2.1", "port": 0},
            "local": {"type": "tcp", "endpoint": f"unix:{tmp_path}/nowhere/socket"},
        }
        backend = {"type": "sqlite", "database_path": "missing/ccstore.db"}
        config = write_config(tmp_path, receivers=receivers, storage={"backend": backend})
        status, said = run(tmp_path, "--config", config)
    assert status == 1
    assert "Traceback" not in said
    problems = [line.split("cannot start: ")[1] for line in said.splitlines() if "cannot start: " in line]
    assert [problem.split(": ")[0] for problem in problems] == [
        "receivers.nodes.port",
        "receivers.more.port",
        "receivers.far.address",
        "receivers.local.endpoint",
        "storage.backend.database_path",
    ]
    assert problems[0] == f"receivers.nodes.port: cannot listen on 127.0.0.1:{port}: address already in use"
    assert problems[3].endswith(f": the folder {tmp_path}/nowhere does not exist")
    assert f"the folder {tmp_path}/missing does not exist" in problems[4]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/proc/ccstore.db", "/proc/ccstore.db"),
        ("nowhere/ccstore.db", "/nowhere does not exist"),
        ("ccstore.json/ccstore.db", "/ccstore.json is not a folder"),
    ],
)
def test_a_database_that_cannot_be_written(tmp_path: Path, path: str, said: str) -> None:
    backend = {"type": "sqlite", "database_path": path}
    config = write_config(tmp_path, receivers=RECEIVERS, storage={"backend": backend})
    status, text = run(tmp_path, "--config", config)
    check_wrong_start(status, text, "cannot start: storage.backend.database_path: ", said)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may go everywhere")
def test_a_database_in_a_folder_that_is_closed_to_us(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(0)
    backend = {"type": "sqlite", "database_path": "closed/folder/ccstore.db"}
    config = write_config(tmp_path, receivers=RECEIVERS, storage={"backend": backend})
    status, said = run(tmp_path, "--config", config)
    key = "cannot start: storage.backend.database_path: "
    check_wrong_start(status, said, key, "/closed/folder cannot be reached: permission denied")


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp:0:foo=bar",
        "ssl:0:privateKey=ccstore.json",
        "ssl:0:privateKey=missing.pem",
        "systemd:domain=INET:index=0",
        "stdio:",
        "unix:/nowhere/ccstore.socket",
    ],
)
def test_an_endpoint_that_is_none(tmp_path: Path, endpoint: str) -> None:
    for part, key in (({"receivers": {"r": {"type": "tcp"}}}, "receivers.r"), ({}, "api")):
        config = write_config(tmp_path, **part)
        content = json.loads(config.read_text())
        section = content["receivers"]["r"] if part else content["api"]
        section.pop("address", None)
        section.pop("port", None)
        section["endpoint"] = endpoint
        config.write_text(json.dumps(content))
        status, said = run(tmp_path, "--config", config)
        check_wrong_start(status, said, f"{key}.endpoint: ", endpoint)
    assert not (tmp_path / "ccstore.db").exists()


def test_a_certificate_and_a_key_that_do_not_belong_together(tmp_path: Path) -> None:
    certificates(tmp_path)
    keys = {"tls_certificate": "server.pem", "tls_key": "client.key"}
    config = write_config(tmp_path, receivers={"r": {"type": "tcp", "port": 0, **keys}})
    for options in ([], ["--check"]):
        status, said = run(tmp_path, "--config", config, *options)
        check_wrong_start(status, said, "receivers.r.tls_key: got 'client.key', expected the private key of ")


def test_wrong_options_are_told_in_the_words_of_the_command(tmp_path: Path) -> None:
    for command in ("run", "check"):
        status, said = run(tmp_path, command, "--nope", command=("-m", "ccstore"))
        line = (
            f"ccstore {command}: option --nope not recognized; `ccstore {command} --help` lists the options"
        )
        assert (status, said) == (1, line + "\n")


def test_a_database_of_somebody_else(tmp_path: Path, config: Path) -> None:
    (tmp_path / "ccstore.db").write_text("this is no database, " * 100)
    status, said = run(tmp_path, "--config", config)
    check_wrong_start(status, said, "cannot start: ", "cannot open the database", "ccstore.db")


def test_a_database_in_use_by_another_daemon(config: Path) -> None:
    with Daemon(config.parent, "--config", config) as daemon:
        status, said = run(config.parent, "--config", config)
        check_wrong_start(status, said, "cannot start: ", "ccstore.db is in use by another ccstore")
        assert daemon.ask("POST", "/", event("a"), line="HTTP") == (200, b"")
        assert daemon.query()[0][0]["data"][0]["Event"] == "a"


def test_check_is_content_with_a_good_configuration(tmp_path: Path) -> None:
    config = write_config(tmp_path, receivers={"r": {"type": "tcp", "port": 0, "zzz": 1}})
    status, said = run(tmp_path, "--config", config, "--check")
    assert status == 0
    *warnings, verdict = said.splitlines()
    assert verdict == f"{config}: the configuration is good"
    assert len(warnings) == 1
    assert "receivers.r.zzz: unknown key" in warnings[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ccstore.json"]


# -- pid files


def test_the_foreground_leaves_no_pid_file(config: Path) -> None:
    with Daemon(config.parent, "--config", config) as daemon:
        there = sorted(path.name for path in config.parent.iterdir())
        assert daemon.stop() == -signal.SIGTERM
    assert [name for name in there if "pid" in name] == []


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_in_the_background_it_has_a_pid_file_and_takes_it_along(config: Path) -> None:
    directory = config.parent
    pidfile, log = directory / "ccstore.pid", directory / "ccstore.log"
    options = [f"--pidfile={pidfile}", f"--logfile={log}", "ccstore", "--config", config]
    status, said = run(directory, *options, command=TWISTD)
    assert (status, said) == (0, "")
    eventually(lambda: log.exists() and re.search(r"ccstore \S+ runs", log.read_text()))
    pid = int(pidfile.read_text())
    try:
        status, said = run(directory, *options, command=TWISTD)
        assert status == 1
        assert "Another twistd server is running" in said
        assert pidfile.exists()
    finally:
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: not is_alive(pid))
    assert not pidfile.exists()
    assert "Traceback" not in log.read_text()


def test_a_start_in_the_background_that_fails_leaves_no_pid_file(tmp_path: Path) -> None:
    pidfile, log = tmp_path / "ccstore.pid", tmp_path / "ccstore.log"
    with taken(socket.SOCK_STREAM) as port:
        config = write_config(tmp_path, api={"port": port})
        options = [f"--pidfile={pidfile}", f"--logfile={log}", "ccstore", "--config", config]
        status, said = run(tmp_path, *options, command=TWISTD)
    check_wrong_start(status, said, "An error has occurred: b'api.port: cannot listen on 127.0.0.1:")
    check_wrong_start(1, log.read_text(), "cannot start: api.port: cannot listen on")
    assert not pidfile.exists()
