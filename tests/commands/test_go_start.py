"""A site's own files and its own command line start the daemon as they started the Go daemon."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from ccstore.config import HttpReceiverConfig, load_config
from tests.support.configuration import write_config
from tests.support.running_daemon import TWISTD, Daemon, run
from tests.support.sinks import event

CCSTORE = ("-m", "ccstore")
HERE = {"address": "127.0.0.1", "port": "0"}


class GoDaemon(Daemon):
    """A daemon that is started without a command."""

    command = CCSTORE


def four_files(directory: Path, central: dict[str, Any] | None = None, **parts: Any) -> Path:
    """The files of a site, of the shape of those that the Go daemon comes with, on free ports."""
    directory.mkdir(exist_ok=True)
    contents = {
        "config": central
        or {
            "main": {},
            "receivers-file": "./receivers.json",
            "api-file": "./api.json",
            "storage-file": "./storage.json",
        },
        "receivers": {"collectors": {"type": "http", **HERE, "path": "/api/write", "idle_timeout": "2m"}},
        "storage": {
            "retention_time": "36h",
            "flush_time": "5s",
            "backend": {
                "type": "sqlite",
                "database_path": "./events.db",
                "flags": ["_journal=WAL", "_timeout=2500"],
                "username": "somebody",
                "password": "something",
            },
        },
        "api": {**HERE, "idle_timeout": "90s", "keep_alives_enabled": True, "jwt_public_key": ""},
        **parts,
    }
    for name, content in contents.items():
        (directory / f"{name}.json").write_text(json.dumps(content, indent="\t"))
    return directory / "config.json"


def check_runs(daemon: Daemon) -> None:
    assert daemon.ask("POST", "/api/write", event("a"), line="HTTP") == (200, b"")
    ((entry,),) = daemon.query()
    assert [row["Event"] for row in entry["data"]] == ["a"]
    assert (daemon.directory / "events.db").exists()
    assert daemon.stop() == -signal.SIGTERM


@pytest.mark.parametrize(
    "words",
    ["-config {} -loglevel info -logdate", "--config={} --logdate=true", "-loglevel=info -config={}"],
)
def test_the_command_line_of_the_go_daemon(tmp_path: Path, words: str) -> None:
    path = four_files(tmp_path / "etc")
    with GoDaemon(tmp_path, *words.format(path).split()) as daemon:
        assert "warn" not in daemon.text
        check_runs(daemon)


def test_the_files_are_in_the_working_directory_if_nothing_is_said(tmp_path: Path) -> None:
    four_files(tmp_path)
    with GoDaemon(tmp_path) as daemon:
        check_runs(daemon)


def test_the_words_are_the_same_for_the_other_ways_to_start(tmp_path: Path) -> None:
    path = four_files(tmp_path)
    for words in (["-m", "ccstore", "run"], ["-m", "ccstore", "check"], [*TWISTD, "ccstore"]):
        done = run(tmp_path, "-check", "-config", path, "-logdate", "-loglevel=crit", command=tuple(words))
        assert done == (0, f"{path}: the configuration is good\n")


def test_the_file_in_the_working_directory_is_also_the_one_to_check(tmp_path: Path) -> None:
    path = four_files(tmp_path)
    done = run(tmp_path, "-check", command=CCSTORE)
    assert done == (0, f"{path}: the configuration is good\n")


def test_the_log_level_of_the_go_daemon(tmp_path: Path) -> None:
    status, said = run(tmp_path, "-loglevel", "loud", "-config", four_files(tmp_path), command=CCSTORE)
    assert status == 1
    assert said.startswith("--loglevel: expected one of debug, info, warn, err, fatal, crit, got 'loud'")


def test_without_a_file_it_says_what_it_looked_for(tmp_path: Path) -> None:
    status, said = run(tmp_path, "-logdate", command=CCSTORE)
    assert (status, said.count("\n")) == (1, 1)
    assert f"{tmp_path}/config.json: got no such file" in said
    status, said = run(tmp_path, command=CCSTORE)
    assert status == 2
    assert said.startswith("Usage: ccstore COMMAND")


def test_receivers_of_nats_start_whether_there_is_a_server_or_not(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens there
        nats = {"type": "nats", "address": "localhost", "port": str(taken.getsockname()[1])}
        receivers = {
            "alexnats": {**nats, "subject": "alex"},
            "fritznats": {**nats, "subject": "fritz"},
            "collectors": {"type": "http", **HERE, "path": "/api/write"},
        }
        with GoDaemon(tmp_path, "-config", four_files(tmp_path, receivers=receivers)) as daemon:
            assert sorted(daemon.stats()["receivers"]) == ["alexnats", "api", "collectors", "fritznats"]
            check_runs(daemon)


def test_what_the_files_say_is_understood(tmp_path: Path) -> None:
    config = load_config(four_files(tmp_path / "etc"), cwd=tmp_path, environ={})
    (receiver,) = config.receivers
    assert isinstance(receiver, HttpReceiverConfig)
    assert (receiver.path, receiver.idle_timeout) == ("/api/write", 120.0)
    assert (config.storage.retention_time, config.storage.flush_time) == (129600.0, 5.0)
    assert config.storage.backend.database_path == tmp_path / "events.db"
    assert dict(config.storage.backend.pragmas) == {"journal_mode": "WAL", "busy_timeout": "2500"}
    assert (config.api.idle_timeout, config.api.jwt_public_key) == (90.0, None)
    assert config.warnings == ()


@pytest.mark.parametrize(
    "central",
    [
        {"receiver-file": "receivers.json", "storage-file": "storage.json", "api-file": "api.json"},
        {"receivers": "./receivers.json", "storage": "./storage.json", "api": "./api.json"},
        {"receiver": "receivers.json", "storage": "storage.json", "api": "api.json", "main": {"x": 1}},
    ],
)
def test_the_names_that_the_parts_have_had(tmp_path: Path, central: dict[str, Any]) -> None:
    configs = [
        load_config(four_files(tmp_path / "etc", given), cwd=tmp_path, environ={})
        for given in (central, None)
    ]
    assert configs[0] == configs[1]


def test_keys_that_the_go_daemon_does_not_know_any_more_are_only_warned_of(tmp_path: Path) -> None:
    # As in files that were written for its first versions.
    path = four_files(tmp_path / "etc", api={"addr": "127.0.0.1", "port": "8098"})
    config = load_config(path, cwd=tmp_path, environ={})
    (warning,) = config.warnings
    assert "api.addr: unknown key, ignored" in warning
    assert (config.api.address, config.api.port) == ("localhost", 8098)


def test_a_misspelt_key_is_said_by_check_and_run(tmp_path: Path) -> None:
    path = write_config(tmp_path, api={**HERE, "jwt_publickey": "abc"})
    for command in (("-m", "ccstore", "check"), ("-m", "ccstore", "run"), (*TWISTD, "ccstore")):
        status, said = run(tmp_path, "--config", path, command=command)
        assert (status, said.count("\n")) == (1, 1)
        assert "api.jwt_publickey: got an unknown key" in said
    status, said = run(tmp_path, "--lenient", "--config", path, command=("-m", "ccstore", "check"))
    assert status == 0
    assert "warning: " in said
    with Daemon(tmp_path, "--config", str(path), "--lenient") as daemon:
        daemon.wait_for("api.jwt_publickey: unknown key, ignored")


def test_check_exits_with_1_for_warnings_if_it_is_strict(tmp_path: Path) -> None:
    check = ("-m", "ccstore", "check")
    doubtful = four_files(tmp_path / "doubtful", api={**HERE, "addr": "127.0.0.1"})
    status, said = run(tmp_path, "-strict", "-config", doubtful, command=check)
    assert (status, said.startswith("warning: ")) == (1, True)
    assert "is good" not in said
    assert run(tmp_path, "-config", doubtful, command=check)[0] == 0
    assert run(tmp_path, "-strict", "-config", four_files(tmp_path / "good"), command=check)[0] == 0
