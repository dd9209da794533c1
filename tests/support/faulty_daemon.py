"""What goes wrong around a daemon, made to go wrong on purpose, and senders that do not care."""

from __future__ import annotations

import json
import re
import resource
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.configuration import write_config
from tests.support.running_daemon import PATIENCE, RUN, Daemon, database, environment

SOCKETS = {kind: {"type": kind, "address": "127.0.0.1", "port": 0} for kind in ("tcp", "udp", "http")}
_SUMMARY = re.compile(
    r"(\w+): (\d+) received, (\d+) stored, (\d+) rejected, (\d+) dropped, (\d+) waiting$", re.MULTILINE
)


def check_books(receivers: Mapping[str, Any]) -> None:
    """received = stored + rejected + dropped + waiting, for each receiver."""
    for name, account in receivers.items():
        gone = sum(account["rejected"].values()) + sum(account["dropped"].values())
        assert account["received"] == account["stored"] + gone + account["waiting"], (name, account)
        assert account["waiting"] >= 0, (name, account)


class WatchedDaemon(Daemon):
    """A daemon whose books have to balance whenever anybody looks at its figures.

    :param disk: where it runs, instead of where everybody does.
    :param command: what Python runs.
    :param environ: variables besides.
    """

    def __init__(
        self,
        directory: Path,
        *arguments: str | Path,
        disk: SmallDisk | None = None,
        command: Sequence[str] = RUN,
        **environ: str,
    ) -> None:
        self._command = command if disk is None else disk.command
        super().__init__(directory, *arguments, **environ)

    def launch(self, directory: Path, *arguments: str | Path, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *self._command, *map(str, arguments)],
            cwd=directory,
            env=environment(**environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def pids(self) -> list[int]:
        """Of the daemon, and of the process that writes for it."""
        pid = self._process.pid
        children = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children")]
        return [pid, *map(int, " ".join(children).split())]

    def stats(self) -> Any:
        found = super().stats()
        check_books(found["receivers"])
        return found

    def account(self, receiver: str) -> Any:
        return self.stats()["receivers"][receiver]

    def until(self, what: Callable[[Any], bool]) -> Any:
        """Wait until this is true of the statistics, and return them."""
        deadline = time.monotonic() + PATIENCE
        while not what(found := self.stats()):
            assert time.monotonic() < deadline, found
        return found

    def until_ready(self, status: int = 200) -> str:
        """Wait until ``/ready`` answers so, and return what it says."""
        deadline = time.monotonic() + PATIENCE
        while (answer := self.ask("GET", "/ready"))[0] != status:
            assert time.monotonic() < deadline, answer
            self.stats()
        return str(json.loads(answer[1]).get("error", ""))

    def peak(self) -> float:
        """The most resident memory there was, in MB."""
        status = "".join(Path(f"/proc/{pid}/status").read_text() for pid in self.pids)
        return sum(map(int, re.findall(r"VmHWM:\s+(\d+)", status))) / 1024

    def closing_books(self) -> dict[str, tuple[int, int, int, int]]:
        """Of a daemon that has ended: received, stored, rejected and dropped lines of each receiver."""
        books = {}
        for name, *figures in _SUMMARY.findall(self.text):
            received, stored, rejected, dropped, waiting = map(int, figures)
            assert received == stored + rejected + dropped, (name, figures)
            assert waiting == 0, (name, figures)
            books[name] = (received, stored, rejected, dropped)
        return books


@contextmanager
def daemon_in(directory: Path, disk: SmallDisk | None = None, **storage: Any) -> Iterator[WatchedDaemon]:
    """A daemon with all receivers; ``flags`` and all else go to its storage."""
    place = directory if disk is None else disk.mountpoint
    backend = {
        "type": "sqlite",
        "database_path": str(place / "ccstore.db"),
        "flags": storage.pop("flags", []),
    }
    config = write_config(directory, receivers=SOCKETS, storage={"backend": backend, **storage})
    with WatchedDaemon(directory, "--config", config, disk=disk) as daemon:
        yield daemon


# -- trouble


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody else writes, and does not come to an end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA busy_timeout = 10000")
        other.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def unwritable(daemon: WatchedDaemon) -> Iterator[None]:
    """The system refuses whatever the daemon writes into a file."""
    pids = daemon.pids
    _, most = resource.prlimit(pids[0], resource.RLIMIT_FSIZE)
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, most))
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))


class SmallDisk:
    """A file system in memory with so many bytes, that goes with the ``with`` block.

    It is seen only from a namespace of its own, which any user may have.

    :ivar mountpoint: where it is, inside.
    :ivar path: the same from outside. SQLite does not find it there, but all else does.
    :ivar command: for Python, to run a daemon inside.
    """

    def __init__(self, directory: Path, size: int) -> None:
        self.mountpoint = directory / "disk"
        self.mountpoint.mkdir()
        unshare, nsenter = shutil.which("unshare"), shutil.which("nsenter")
        if unshare is None or nsenter is None:
            pytest.skip("there are no unshare(1) and nsenter(1) to make a small disk with")
        script = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && echo mounted && exec cat'
        self._holder = subprocess.Popen(
            [unshare, "-rm", "sh", "-c", script, "sh", str(size), str(self.mountpoint)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._holder.stdout is not None
        said = self._holder.stdout.readline()
        if said != b"mounted\n":
            self.__exit__()
            pytest.skip(f"cannot make a small disk here: {said.decode().strip()}")
        self.path = Path(f"/proc/{self._holder.pid}/root{self.mountpoint}")
        enter = [nsenter, "-t", str(self._holder.pid), "-U", "-m", "--preserve-credentials", sys.executable]
        script = f"import os, sys; os.execv({nsenter!r}, [*{[*enter, *RUN]!r}, *sys.argv[1:]])"
        self.command = ("-c", script)

    def fill(self) -> None:
        """Leave no room at all."""
        with (self.path / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
            for size in (1 << 16, 1 << 12):
                with suppress(OSError):
                    while ballast.write(bytes(size)) == size:
                        pass

    def clear(self) -> None:
        (self.path / "ballast").unlink()

    @contextmanager
    def full(self) -> Iterator[None]:
        self.fill()
        try:
            yield
        finally:
            self.clear()

    def __enter__(self) -> SmallDisk:
        return self

    def __exit__(self, *exception: object) -> None:
        self._holder.kill()
        self._holder.wait()
        for pipe in (self._holder.stdin, self._holder.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def whole(path: Path) -> Iterator[sqlite3.Connection]:
    """The database of a daemon, wherever it lies; SQLite itself finds nothing wrong with it."""
    with tempfile.TemporaryDirectory() as name:
        if path.is_relative_to("/proc"):
            copy = Path(name, "copy.db")
            for suffix in ("", "-wal"):
                with suppress(FileNotFoundError):
                    shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
            path = copy
        with database(path) as connection:
            assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
            yield connection


# -- senders


def line(text: object, host: str = "a0101", kind: str = "event") -> bytes:
    return f'job,cluster=alex,hostname={host} {kind}="{text}"\n'.encode()


def stored(path: Path, host: str, view: str = "alex_events") -> list[str]:
    """The texts that are in the file for a host, in the order of arrival."""
    with whole(path) as connection:
        statement = f"SELECT field FROM {view} WHERE hostname = ? ORDER BY id"
        return [text for (text,) in connection.execute(statement, (host,))]


def write(daemon: Daemon, body: bytes, where: str = "HTTP") -> tuple[int, Mapping[str, str], bytes]:
    """Write by HTTP to the receiver or to the REST interface: status, headers and body of the answer."""
    with closing(daemon.connect(where)) as connection:
        connection.request("POST", "/" if where == "HTTP" else "/api/write", body)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


class Sender:
    """Sends from a thread until the ``with`` block ends; what goes wrong in it is raised there."""

    def __init__(self, daemon: WatchedDaemon) -> None:
        self.daemon = daemon
        self.is_over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def send(self) -> None:
        raise NotImplementedError

    def _run(self) -> None:
        try:
            self.send()
        except BaseException as error:
            self._error = error

    def end(self) -> None:
        """Wait until everything is sent."""
        self.is_over.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), f"{type(self).__name__} does not end"
        if self._error is not None:
            raise self._error

    def start(self) -> None:
        """Begin, without a ``with`` block."""
        self._thread.start()

    def join(self) -> None:
        """Wait until it has ended by itself, whatever went wrong in it."""
        self._thread.join(PATIENCE)

    def __enter__(self) -> Any:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.end()
        else:
            self.is_over.set()


class Stream(Sender):
    """Numbered events of one host over one TCP connection, without a pause.

    :ivar sent: how many lines so far.
    """

    def __init__(self, daemon: WatchedDaemon, host: str = "a0101") -> None:
        super().__init__(daemon)
        self.host = host
        self.sent = 0

    def send(self) -> None:
        with socket.create_connection(("127.0.0.1", self.daemon.ports["TCP"]), PATIENCE) as connection:
            while not self.is_over.is_set():
                numbers = range(self.sent, self.sent + 100)
                connection.sendall(b"".join(line(number, self.host) for number in numbers))
                self.sent += 100
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""


class Datagrams(Sender):
    """Numbered events of one host over UDP, without a pause."""

    def __init__(self, daemon: WatchedDaemon, host: str = "u0101") -> None:
        super().__init__(daemon)
        self.host = host
        self.sent = 0

    def send(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
            connection.connect(("127.0.0.1", self.daemon.ports["UDP"]))
            while not self.is_over.is_set():
                connection.send(line(self.sent, self.host))
                self.sent += 1


class Honest(Sender):
    """Somebody who writes a line now and then by HTTP, and waits for each answer.

    :ivar answered: the texts that were acknowledged.
    :ivar refused: how often the answer was not 200.
    :ivar waited: seconds, for each answer.
    """

    HOST = "honest"

    def __init__(self, daemon: WatchedDaemon, every: float = 0.02) -> None:
        super().__init__(daemon)
        self._every = every
        self.answered: list[str] = []
        self.refused = 0
        self.waited: list[float] = []

    def send(self) -> None:
        with closing(self.daemon.connect("HTTP")) as connection:
            number = 0
            while not self.is_over.wait(self._every):
                number += 1
                begun = time.monotonic()
                connection.request("POST", "/", line(number, self.HOST))
                answer = connection.getresponse()
                answer.read()
                self.waited.append(time.monotonic() - begun)
                if answer.status == 200:
                    self.answered.append(str(number))
                else:
                    self.refused += 1


def raise_file_limit(files: int) -> None:
    """Allow so many open files to this process and those it starts, or skip the test."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < files:
        if most != resource.RLIM_INFINITY and most < files:
            pytest.skip(f"{files} open files are needed, and {most} are allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))


@contextmanager
def all_of(senders: Sequence[Sender]) -> Iterator[None]:
    """Several senders at once."""
    with ExitStack() as stack:
        for sender in senders:
            stack.enter_context(sender)
        yield
        for sender in senders:
            sender.is_over.set()
