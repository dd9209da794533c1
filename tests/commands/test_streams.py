"""Nobody reads what a command says, or there is no room for it: it ends as it should, without a traceback."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccstore.cli import COMMANDS, main
from ccstore.commands.output import Careful
from tests.support.configuration import write_config
from tests.support.importing import go_file, row
from tests.support.running_daemon import PATIENCE, Daemon, environment
from tests.support.sinks import event

#: Of each command that ends by itself, what makes it say something to standard output.
SAYING = {
    "query": ["query", "--cluster", "alex"],
    "query --json": ["query", "--cluster", "alex", "--json"],
    "query --output csv": ["query", "-o", "csv", "-n", "1000"],
    "clusters": ["clusters"],
    "hosts": ["hosts", "--json"],
    "values": ["values", "name"],
    "histogram": ["histogram", "--by", "host"],
    "stats": ["stats"],
    "doctor": ["doctor"],
    "send": ["send", "--cluster", "alex", "--event", "x", "--json"],
    "check": ["check"],
    "import": ["import", "--config", "other.json", "old.db"],
    "copy": ["copy", "sqlite:other.db", "sqlite:copy.db"],
    "token": ["token", "--key", "jwt.key"],
    "version": ["version"],
    "help": ["--help"],
    **{f"{command.name} --help": [command.name, "--help"] for command in COMMANDS if command.arguments},
}
FAILED = {command.name: command.failed for command in COMMANDS}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with all that the commands need, and a daemon with more rows than a pipe takes."""
    directory = tmp_path_factory.mktemp("site")
    with Daemon(directory, "--config", write_config(directory)) as daemon:
        lines = b"\n".join(event(f"text {number} {'x' * 100}") for number in range(5000))
        assert daemon.ask("POST", "/api/write", lines)[0] == 200
        (directory / "url").write_text(f"http://127.0.0.1:{daemon.ports['REST']}")
        other = (directory / "ccstore.json").read_text().replace("ccstore.db", "other.db")
        (directory / "other.json").write_text(other)
        go_file(directory / "old.db", alex_logs=[row("a")])
        for words in (["token", "--new-key", "jwt.key"], SAYING["import"]):
            subprocess.run([*start(words)], cwd=directory, env=environment(), check=True)
        yield directory


def start(words: list[str]) -> list[str]:
    return [sys.executable, "-m", "ccstore", *words]


def run(directory: Path, words: list[str], **streams: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        start(words),
        cwd=directory,
        env=environment(CCSTORE_URL=(directory / "url").read_text(), PYTHONUNBUFFERED=""),
        timeout=PATIENCE,
        check=False,
        **{"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, **streams},
    )


def wanted(said: bytes) -> list[str]:
    """What stands on standard error, without how far a copy is, and what is said of a configuration."""
    return [
        line
        for line in said.decode().splitlines()
        if not line.startswith("warning: ") and "a second" not in line and "goes on" not in line
    ]


@pytest.mark.parametrize("name", SAYING)
def test_a_full_disk(site: Path, name: str) -> None:
    with open("/dev/full", "w") as full:
        done = run(site, SAYING[name], stdout=full)
    command = SAYING[name][0].lstrip("-")
    assert wanted(done.stderr) == [
        f"ccstore {command}: cannot write to standard output: no space left on device"
    ]
    assert done.returncode == FAILED[command]


@pytest.mark.parametrize("name", SAYING)
def test_a_reader_that_has_gone(site: Path, name: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run(site, SAYING[name], stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, wanted(done.stderr)) == (0, [])


@pytest.mark.parametrize("name", ["query", "copy", "version", "stats --help"])
def test_no_room_for_what_is_said_to_standard_error(site: Path, name: str) -> None:
    with open("/dev/full", "w") as full:
        done = run(site, SAYING[name], stdout=subprocess.PIPE, stderr=full)
        assert (done.returncode, bool(done.stdout)) == (0, True)
        # And where that is all that is said.
        assert run(site, ["query", "--what"], stdout=subprocess.PIPE, stderr=full).returncode == 2


@pytest.mark.parametrize("closed", [0, 1, 2])
@pytest.mark.parametrize("name", ["query", "copy", "version", "send"])
def test_a_stream_that_is_closed(site: Path, name: str, closed: int) -> None:
    done = run(site, SAYING[name], stdout=subprocess.PIPE, preexec_fn=lambda: os.close(closed))
    assert (done.returncode, wanted(done.stderr)) == (0, [])
    assert bool(done.stdout) == (closed != 1)


def test_standard_input_that_cannot_be_read(site: Path) -> None:
    with (site / "written").open("w") as written:
        done = run(site, ["send"], stdin=written, stdout=subprocess.PIPE)
    assert done.returncode == 2
    assert b"ccstore send: cannot read standard input: bad file descriptor" in done.stderr


def test_the_daemon_runs_without_room_for_its_log(tmp_path: Path) -> None:
    place = tmp_path / "rest"
    path = write_config(tmp_path, api={"endpoint": f"unix:{place}", "address": None, "port": None})
    with open("/dev/full", "w") as full:
        words = start(["run", "--config", str(path)])
        process = subprocess.Popen(words, cwd=tmp_path, env=environment(), stdout=full, stderr=full)
    try:
        deadline = time.monotonic() + PATIENCE
        with socket.socket(socket.AF_UNIX) as wire:
            while wire.connect_ex(str(place)):
                assert process.poll() is None
                assert time.monotonic() < deadline
            wire.sendall(b"GET /ready HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            assert wire.recv(1000).startswith(b"HTTP/1.1 200 ")
        process.terminate()
        assert process.wait(PATIENCE) == -signal.SIGTERM
    finally:
        process.kill()
        process.wait()


def test_what_the_terminal_has_no_letters_for(tmp_path: Path) -> None:
    done = subprocess.run(
        start(["send", "--cluster", "ä", "--event", "x", "--hostname", "h", "--time", "1", "--print"]),
        env=environment(PYTHONIOENCODING="ascii"),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b'myevent,cluster=\\xe4,hostname=h event="x" 1000000000\n')


def test_what_was_asked_for_before_is_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    assert main(["version"]) == 0
    assert (sys.stdout, sys.stderr) == before


def test_of_several_errors_the_first_is_kept() -> None:
    class Broken(io.StringIO):
        errors = iter([BrokenPipeError(32, "gone"), OSError(28, "full"), OSError(5, "broken")])

        def write(self, text: str) -> int:
            raise next(self.errors)

    stream = Careful(Broken())
    for _ in range(3):
        assert stream.write("abc") == 3
    assert stream.error is not None
    assert stream.error.strerror == "full"
