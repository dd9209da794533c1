"""Running the real daemon, as a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.configuration import ports_in

ROOT = Path(__file__).resolve().parents[2]
#: Seconds that nothing here takes, unless it hangs.
PATIENCE = 300.0
RUN = ("-m", "ccstore", "run")
TWISTD = ("-c", "from twisted.scripts.twistd import run; run()")


def environment(**more: str) -> dict[str, str]:
    """The environment of a daemon that runs from the checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", **more}


def as_in_a_terminal() -> None:
    """In the child: take SIGINT as usual, though whoever runs in the background inherits it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(
    directory: Path, *arguments: str | Path, command: tuple[str, ...] = RUN, **environ: str
) -> tuple[int, str]:
    """Run a command that ends by itself: its exit status and all that it says."""
    done = subprocess.run(
        [sys.executable, *command, *map(str, arguments)],
        cwd=directory,
        env=environment(**environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
        preexec_fn=as_in_a_terminal,
    )
    return done.returncode, done.stdout


class Daemon:
    """A daemon in the foreground that has started; ended with the ``with`` block.

    :param until: the line of its log by which it has started.
    :ivar log: its lines so far.
    """

    def __init__(
        self, directory: Path, *arguments: str | Path, until: str = r"ccstore \S+ runs$", **environ: str
    ) -> None:
        self.directory = directory
        self.log: list[str] = []
        self._changed = threading.Condition()
        self._process = self.launch(directory, *arguments, **environ)
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        try:
            self.wait_for(until)
        except BaseException:
            self._end()
            raise
        self.ports = ports_in(self.text)

    @property
    def process_id(self) -> int:
        """The number of its process."""
        return self._process.pid

    #: The words that start it.
    command = RUN

    @classmethod
    def launch(cls, directory: Path, *arguments: str | Path, **environ: str) -> subprocess.Popen[str]:
        """The bare process."""
        return subprocess.Popen(
            [sys.executable, *cls.command, *map(str, arguments)],
            cwd=directory,
            env=environment(**environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=as_in_a_terminal,
        )

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self.log.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    @property
    def text(self) -> str:
        return "\n".join(self.log)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait for a line of the log; the process must not end before."""
        deadline = time.monotonic() + PATIENCE
        seen = 0
        with self._changed:
            while True:
                for line in self.log[seen:]:
                    found = re.search(pattern, line)
                    if found:
                        return found
                seen = len(self.log)
                alive = self._reading.is_alive()
                if not alive or not self._changed.wait(deadline - time.monotonic()):
                    state = "it has ended" if not alive else f"waited {PATIENCE:.0f} s"
                    raise AssertionError(f"no line {pattern!r} in the log ({state}):\n{self.text}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and wait for the end: the exit status, by which twistd shows the signal."""
        self.send_signal(number)
        return self.wait()

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        status = self._process.wait(PATIENCE)
        self._reading.join(PATIENCE)
        return status

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> Daemon:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._process.poll() is None:
            self.send_signal(signal.SIGABRT)  # Python then says where each of its threads is
            self.wait()
        self._end()
        if error is not None:
            print(f"-- what the daemon said, which ran when the test failed:\n{self.text}")

    # -- requests

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, line: str = "REST"
    ) -> tuple[int, bytes]:
        """One request: the status and the body of the answer."""
        with closing(self.connect(line)) as connection:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def connect(self, line: str = "REST") -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.ports[line], timeout=PATIENCE)

    def query(self, *queries: Mapping[str, Any], **more: Any) -> Any:
        """The results of a query."""
        content = {"cluster": "alex", "queries": queries or [{}], **more}
        status, body = self.ask("POST", "/api/query/", json.dumps(content).encode())
        assert status == 200, body
        return json.loads(body)["results"]

    def stats(self) -> Any:
        return json.loads(self.ask("GET", "/api/stats/")[1])

    def arrived(self, receiver: str, lines: int) -> None:
        """Wait until a receiver has that many lines."""
        deadline = time.monotonic() + PATIENCE
        while self.stats()["receivers"][receiver]["received"] < lines:
            assert time.monotonic() < deadline, self.stats()


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """The database of a daemon, to be read with what SQL a site has."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        yield connection


def send_tcp(daemon: Daemon, data: bytes) -> None:
    """Send lines on a connection of their own, until they have been read."""
    with socket.create_connection(("127.0.0.1", daemon.ports["TCP"]), PATIENCE) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def send_udp(daemon: Daemon, data: bytes) -> None:
    """Send a datagram."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, ("127.0.0.1", daemon.ports["UDP"]))


def eventually(what: Any) -> Any:
    """Ask until the answer is true."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := what()):
        assert time.monotonic() < deadline
        os.sched_yield()
    return answer
