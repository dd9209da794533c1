"""SIGHUP, and the real daemon."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import certificates
from tests.support.configuration import write_config
from tests.support.running_daemon import PATIENCE, ROOT, TWISTD, Daemon, database, eventually, run
from tests.support.sinks import event

TCP = {"type": "tcp", "address": "127.0.0.1", "port": 0}
DONE = "the configuration has been read again"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, receivers={"tcp": TCP})


def connect(daemon: Daemon) -> socket.socket:
    return socket.create_connection(("127.0.0.1", daemon.ports["TCP"]), PATIENCE)


def texts(directory: Path) -> list[str]:
    with database(directory / "ccstore.db") as connection:
        return [text for (text,) in connection.execute("SELECT field FROM alex_events ORDER BY id")]


def test_a_thousand_lines_and_the_signal_right_behind_them(config: Path) -> None:
    lines = [str(number) for number in range(1000)]
    with Daemon(config.parent, "--config", config) as daemon, connect(daemon) as connection:
        connection.sendall(b"".join(event(line) + b"\n" for line in lines))
        daemon.send_signal(signal.SIGHUP)
        daemon.wait_for(f"{DONE}: nothing has changed")
        daemon.arrived("tcp", 1000)
        connection.sendall(event("more") + b"\n")
        daemon.arrived("tcp", 1001)
        assert daemon.stop() == -signal.SIGTERM
        assert "Traceback" not in daemon.text
    assert texts(config.parent) == [*lines, "more"]


def test_rules_level_and_a_new_receiver(config: Path) -> None:
    with Daemon(config.parent, "--config", config) as daemon, connect(daemon) as connection:
        connection.sendall(event("a") + b"\n")
        daemon.arrived("tcp", 1)
        rules = {"drop_messages": ["job"]}
        write_config(
            config.parent,
            receivers={"tcp": {**TCP, "process_messages": rules}, "other": {**TCP, "type": "http"}},
        )
        daemon.send_signal(signal.SIGHUP)
        daemon.wait_for(re.escape(f"{DONE}: changed receivers.tcp.process_messages, receivers.other (new)"))
        connection.sendall(event("b") + b"\n")
        daemon.arrived("tcp", 2)
        assert daemon.stats()["receivers"]["tcp"]["dropped"] == {"rule": 1}
        content = json.loads(config.read_text())
        config.write_text(json.dumps({**content, "log_level": "err"}))
        daemon.send_signal(signal.SIGHUP)
        config.write_text(json.dumps({**content, "log_level": "loud"}))
        daemon.send_signal(signal.SIGHUP)  # whether or not the first one was read by now
        daemon.wait_for("log_level: got 'loud', expected one of debug")
        assert daemon.stop() == -signal.SIGTERM


def test_a_shorter_retention(config: Path) -> None:
    with Daemon(config.parent, "--config", config) as daemon, connect(daemon) as connection:
        connection.sendall(event("a") + b"\n")
        daemon.arrived("tcp", 1)
        assert daemon.query()[0][0]["data"]
        write_config(config.parent, receivers={"tcp": TCP}, storage={"retention_time": "1s"})
        daemon.send_signal(signal.SIGHUP)
        daemon.wait_for("changed storage.retention_time$")
        assert daemon.stats()["info"]["retention_time"] == "1s"
        eventually(lambda: not daemon.query()[0][0]["data"])
        eventually(lambda: daemon.stats()["backend"]["status"]["expired"] == 1)
        connection.sendall(event("b") + b"\n")
        daemon.arrived("tcp", 2)


def test_mistakes_change_nothing_and_a_restart_is_asked_for(config: Path) -> None:
    with Daemon(config.parent, "--config", config) as daemon, connect(daemon) as connection:
        content = json.loads(config.read_text())
        content["receivers"]["tcp"]["port"] = "x"
        content["storage"]["flush_time"] = -1
        config.write_text(json.dumps(content))
        daemon.send_signal(signal.SIGHUP)
        daemon.wait_for("the configuration has mistakes: nothing has changed")
        assert f"{config}: receivers.tcp.port: got 'x', expected" in daemon.text
        assert f"{config}: storage.flush_time: got -1, expected" in daemon.text
        config.unlink()
        daemon.send_signal(signal.SIGHUP)
        daemon.wait_for("an existing file|No such file|no such file")
        backend = {"type": "sqlite", "database_path": str(config.parent / "other.db")}
        write_config(config.parent, receivers={"tcp": TCP}, storage={"backend": backend})
        daemon.send_signal(signal.SIGHUP)
        daemon.wait_for("only a restart changes storage.backend$")
        connection.sendall(event("a") + b"\n")
        daemon.arrived("tcp", 1)
        assert daemon.stop() == -signal.SIGTERM
    assert texts(config.parent) == ["a"]
    assert not (config.parent / "other.db").exists()


def test_a_configuration_that_came_through_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    content = write_config(tmp_path, receivers={"tcp": TCP}).read_bytes()
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    writing = threading.Thread(target=pipe.write_bytes, args=[content])
    writing.start()
    with Daemon(tmp_path, "--config", pipe) as daemon:
        writing.join(PATIENCE)
        daemon.send_signal(signal.SIGHUP)
        daemon.wait_for("got something else, expected a file")
        daemon.send_signal(signal.SIGHUP)
        assert daemon.stop() == -signal.SIGTERM


@pytest.mark.parametrize("line", ["line protocol over TCP on ", "storing in ", r"ccstore \S+ runs$"])
def test_a_signal_while_it_starts_and_while_it_stops(config: Path, line: str) -> None:
    with Daemon(config.parent, "--config", config, until=line) as daemon:
        daemon.send_signal(signal.SIGHUP)
        daemon.wait_for(DONE)
        with connect(daemon) as connection:
            connection.sendall(event("a") + b"\n")
            daemon.send_signal(signal.SIGTERM)
            daemon.wait_for("info: stopping")
            assert daemon.stop(signal.SIGHUP) == -signal.SIGTERM
        daemon.wait_for("not read again: the daemon is stopping")
        daemon.wait_for(r"tcp: 1 received, 1 stored")
        daemon.wait_for("info: stopped")


def test_a_signal_while_the_configuration_is_read_for_the_first_time(tmp_path: Path) -> None:
    content = write_config(tmp_path, receivers={"tcp": TCP}).read_bytes()
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    process = Daemon.launch(tmp_path, "--config", pipe)
    with process:
        with pipe.open("wb") as end:  # both ends wait for each other: then the daemon is about to read
            process.send_signal(signal.SIGHUP)
            end.write(content)
        assert process.stdout is not None
        for line in process.stdout:
            if "nothing has changed" in line:
                break
        process.terminate()
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGTERM, said


class Group(Daemon):
    """A daemon that is a group of processes by itself, and ignores what nohup does."""

    @classmethod
    def launch(cls, directory: Path, *arguments: str | Path, **environ: str) -> Any:
        signals = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            return super().launch(directory, *arguments, **environ)
        finally:
            signal.signal(signal.SIGHUP, signals)

    command = (
        "-c",
        "import os; os.setsid(); import ccstore.commands.run as s; s.run(__import__('sys').argv[1:])",
    )

    def send_group(self, number: int) -> None:
        os.killpg(self._process.pid, number)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="the writer is a process only on two cores")
def test_signals_to_the_group_end_no_writer(config: Path) -> None:
    with Group(config.parent, "--config", config) as daemon, connect(daemon) as connection:
        connection.sendall(event("a") + b"\n")
        daemon.send_group(signal.SIGHUP)
        daemon.wait_for(f"{DONE}: nothing has changed")
        (writer,) = [
            int(path.parent.name)
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if b"ccstore.storage.sqlite.writer_process" in path.read_bytes()
            and f"PPid:\t{daemon._process.pid}\n" in path.with_name("status").read_text()
        ]
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
            os.kill(writer, number)
        connection.sendall(event("b") + b"\n")
        daemon.arrived("tcp", 2)
        assert daemon.query()[0][0]["data"][-1]["Event"] == "b"
        assert Path(f"/proc/{writer}").exists()
        daemon.send_group(signal.SIGTERM)
        assert daemon.wait() == -signal.SIGTERM
        assert "has ended" not in daemon.text
    assert texts(config.parent) == ["a", "b"]


def test_in_the_background_with_relative_paths(tmp_path: Path) -> None:
    certificates(tmp_path)
    rundir = tmp_path / "elsewhere"
    rundir.mkdir()
    keys = {"tls_certificate": "server.pem", "tls_key": "server.key"}
    config = write_config(tmp_path, receivers={"tcp": {**TCP, **keys}})
    log, pidfile = tmp_path / "log", tmp_path / "pid"
    options = [f"--pidfile={pidfile}", f"--logfile={log}", f"--rundir={rundir}"]
    status, said = run(tmp_path, *options, "ccstore", "--config", config.name, command=TWISTD)
    assert (status, said) == (0, "")
    pid = int(pidfile.read_text())
    try:
        write_config(tmp_path, receivers={"tcp": {**TCP, **keys, "max_connections": 5}})
        os.kill(pid, signal.SIGHUP)
        eventually(lambda: "the configuration has been read again" in log.read_text())
    finally:
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: not pidfile.exists())
    assert "Traceback" not in log.read_text()


def test_the_unit_reloads() -> None:
    unit = (ROOT / "conf" / "ccstore.service").read_text()
    assert "\nExecReload=/bin/kill -HUP $MAINPID\n" in unit
    assert "\nRestartForceExitStatus=SIGHUP\n" in unit
