"""The commands of ``ccstore`` as processes, and what they said."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.running_daemon import PATIENCE, ROOT, Daemon, as_in_a_terminal, environment

COPY = (sys.executable, "-m", "ccstore", "copy")


class Done(NamedTuple):
    """A command that ended: its exit status, and what it said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What was printed for programs."""
        return json.loads(self.out)


def start(directory: Path, *words: str | Path, **environ: str) -> subprocess.Popen[bytes]:
    """Start a command; variables of the environment that are empty are not set."""
    kept = {name: value for name, value in environment(**environ).items() if value}
    return subprocess.Popen(
        [sys.executable, "-m", "ccstore", *map(str, words)],
        cwd=directory,
        env=kept,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=as_in_a_terminal,
    )


class Site:
    """A daemon, and commands that talk to it."""

    def __init__(self, daemon: Daemon, scheme: str = "http") -> None:
        self.daemon = daemon
        self.directory = daemon.directory
        self.url = f"{scheme}://127.0.0.1:{daemon.ports['REST']}"

    def run(self, *words: str | Path, stdin: bytes = b"", **environ: str) -> Done:
        """Run a command to its end."""
        process = start(self.directory, *words, **{"CCSTORE_URL": self.url, **environ})
        out, err = process.communicate(stdin, timeout=2 * PATIENCE)
        assert b"Traceback" not in err, err.decode()
        return Done(process.returncode, out.decode(), err.decode())


def nothing_listens() -> str:
    """The URL of a port that is free."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def copy(*words: str | Path, directory: Path = ROOT) -> tuple[int, str, str]:
    """Run the command: its status, and what it says."""
    done = subprocess.run(
        [*COPY, *map(str, words)],
        cwd=directory,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr
