"""Senders that mean no good, one after the other, while somebody honest wants an answer."""

from __future__ import annotations

import gzip
import http.client
import resource
import socket
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from attrs import define, field

from benchmarks.daemon import Daemon
from benchmarks.noise import noise
from benchmarks.report import figure, percentile, progress

_PATIENCE = 60.0
_ANSWER_MS = 100.0
#: Where somebody locks the database: a write waits so long for a lock, and then the answer is 503.
_LOCKED_MS = 1100.0
_MEMORY_MB = 300.0
_SLOW = 1000
_SENDERS = 16
_LINE = 1 << 30
_NAMES = {"TCP": "tcp", "UDP": "udp", "HTTP": "http", "REST": "api"}


@define(eq=False)
class _Honest:
    """Writes a line a second by HTTP, and keeps what was acknowledged."""

    port: int
    answered: list[str] = field(factory=list)
    waited: list[float] = field(factory=list)
    refused: int = 0
    failed: int = 0
    is_over: threading.Event = field(factory=threading.Event)
    asked: int = 0
    ended: int = 0

    def run(self) -> None:
        while not self.is_over.wait(1.0):
            self.asked += 1
            self._ask(f"line {self.asked}")
            self.ended += 1

    def _ask(self, text: str) -> None:
        body = f'job,cluster=honest,hostname=h event="{text}"\n'.encode()
        begun = time.perf_counter()
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)) as there:
                there.request("POST", "/", body)
                status = there.getresponse().status
        except (OSError, http.client.HTTPException):
            self.failed += 1
            return
        self.waited.append((time.perf_counter() - begun) * 1000)
        if status == 200:
            self.answered.append(text)
        else:
            self.refused += 1


def _until(is_so: Callable[[], bool]) -> bool:
    """Wait until something is so, which it may not be in good time."""
    deadline = time.monotonic() + _PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@define(eq=False)
class _Run:
    """One daemon, and what was seen of it.

    :ivar part: seconds of each attack that has no end of its own.
    """

    daemon: Daemon
    honest: _Honest
    part: float
    rows: list[dict[str, object]] = field(factory=list)
    problems: list[str] = field(factory=list)

    def during(self, what: str, attack: Callable[[], None], *, is_locked: bool = False) -> None:
        """Carry out an attack; note how long the honest sender waited meanwhile.

        :param is_locked: the database is, so that it may be told to come again.
        """
        progress(what)
        first, refused, failed = len(self.honest.waited), self.honest.refused, self.honest.failed
        with self._watched(what):
            try:
                attack()
            except (OSError, http.client.HTTPException) as error:
                self.problems.append(f"{what}: {error!r}")
        # Who asked meanwhile may still wait.
        asked = self.honest.asked
        _until(lambda: self.honest.ended >= asked)
        waited = self.honest.waited[first:] or [float("inf")]
        more: dict[str, object] = {
            "median": percentile(waited, 0.5),
            "answers": len(waited),
            "memory MB": self.daemon.memory(),
        }
        self.rows.append(
            figure(what, max(waited), "ms", at_most=_LOCKED_MS if is_locked else _ANSWER_MS, more=more)
        )
        if self.honest.failed > failed or (self.honest.refused > refused and not is_locked):
            self.problems.append(f"{what}: the honest sender was turned away")

    @contextmanager
    def _watched(self, what: str) -> Iterator[None]:
        """The books have to balance all the time."""
        is_over = threading.Event()

        def watch() -> None:
            while not is_over.wait(0.5):
                try:
                    self.daemon.settled()
                except (SystemExit, OSError, ValueError) as error:
                    self.problems.append(f"{what}: {error}")
                    return

        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        try:
            yield
        finally:
            is_over.set()
            watching.join()

    def connect(self, way: str) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.daemon.ports[_NAMES[way]]), _PATIENCE)

    # -- attacks

    def rest(self) -> None:
        time.sleep(3)

    def noise(self) -> None:
        ports = {way: self.daemon.ports[name] for way, name in _NAMES.items()}
        with noise(ports, self.part):
            time.sleep(self.part)
        # What is left of it is none of the next attack.
        _until(lambda: not self.daemon.stats()["receivers"]["tcp"]["connections"])

    def long_line(self) -> None:
        asked = self.honest.asked
        while self.honest.asked == asked:  # it may be over in less than a second
            with self.connect("TCP") as connection:
                connection.sendall(b'm,cluster=alex event="')
                for _ in range(_LINE >> 20):
                    connection.sendall(b"x" * (1 << 20))

    def slow_connections(self) -> None:
        connections = [self.connect("TCP") for _ in range(_SLOW)]
        text = b'job,cluster=alex,hostname=slow event="' + b"x" * 1000
        end = time.monotonic() + self.part
        for place in range(len(text)):
            if time.monotonic() > end:
                break
            for connection in connections:
                connection.send(text[place : place + 1])
            time.sleep(max(0.0, min(1.0, end - time.monotonic())))
        for connection in connections:
            connection.close()

    def gzip_bombs(self) -> None:
        # 16 GB, in 16 MB.
        bomb = gzip.compress(gzip.compress(bytes(1 << 28), 1), 1)
        for packed in (gzip.compress(bytes(1 << 29), 1), bomb):
            for way, path in (("HTTP", "/"), ("REST", "/api/write")):
                port = self.daemon.ports[_NAMES[way]]
                with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)) as there:
                    there.request("POST", path, packed, {"Content-Encoding": "gzip"})
                    status = there.getresponse().status
                if status not in (400, 413):
                    self.problems.append(f"a gzip bomb was answered with {status}")

    def endless_bodies(self) -> None:
        end = time.monotonic() + self.part
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        while time.monotonic() < end:
            for way, path in (("HTTP", b"/"), ("REST", b"/api/write")):
                with self.connect(way) as connection, suppress(ConnectionError):
                    connection.sendall(
                        b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % path
                    )
                    while time.monotonic() < end:
                        connection.sendall(chunk)

    def locked(self) -> None:
        """16 senders at full speed against a database that somebody else holds."""
        is_over = threading.Event()
        block = b"".join(b'job,cluster=alex,hostname=n%d event="text"\n' % number for number in range(1000))

        def send() -> None:
            with self.connect("TCP") as connection, suppress(OSError):
                connection.settimeout(0.5)
                while not is_over.is_set():
                    with suppress(TimeoutError):
                        connection.sendall(block)

        senders = [threading.Thread(target=send, daemon=True) for _ in range(_SENDERS)]
        with closing(sqlite3.connect(self.daemon.database, isolation_level=None, timeout=60)) as other:
            other.execute("BEGIN IMMEDIATE")
            for sender in senders:
                sender.start()
            time.sleep(self.part)
            is_over.set()
            for sender in senders:
                sender.join()
        if not _until(lambda: not any(a["waiting"] for a in self.daemon.stats()["receivers"].values())):
            self.problems.append("the database is free again, and is not written")


def run(seconds: float) -> tuple[list[dict[str, object]], list[str]]:
    """Figures, and what is wrong.

    :param seconds: of the noise; the other attacks that have no end of their own take at most a minute each.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="ccstore-benchmark-") as name:
        daemon = Daemon(directory=Path(name))
        honest = _Honest(daemon.ports["http"])
        thread = threading.Thread(target=honest.run, daemon=True)
        thread.start()
        test = _Run(daemon, honest, seconds)
        try:
            test.during("nobody else", test.rest)
            test.during("random bytes and mutated lines on every port", test.noise)
            test.part = min(seconds, 60.0)
            test.during("a line of 1 GB", test.long_line)
            test.during(f"{_SLOW:,} connections, a byte a second", test.slow_connections)
            test.during("gzip bombs", test.gzip_bombs)
            test.during("bodies in chunks without an end", test.endless_bodies)
            test.during(f"a locked database, {_SENDERS} senders", test.locked, is_locked=True)
        finally:
            honest.is_over.set()
            thread.join(2 * _PATIENCE)
        alive = daemon.process.poll() is None
        if not alive:
            test.problems.append(f"the daemon has ended by itself:\n{daemon.log()[-2000:]}")
        else:
            test.rows.append(figure("memory, the most", daemon.memory(), "MB", at_most=_MEMORY_MB))
            if daemon.memory() > _MEMORY_MB:
                test.problems.append(f"the daemon has needed {daemon.memory():.0f} MB")
        daemon.stop()
        before, found_one, after = daemon_log(name).partition("Traceback")
        if found_one:
            test.problems.append(f"the log has a traceback: {before[-300:]}{after[-1000:]}")
        with closing(sqlite3.connect(daemon.database)) as connection:
            found = [text for (text,) in connection.execute("SELECT field FROM honest_events ORDER BY id")]
            if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                test.problems.append("the integrity check fails")
        missing = set(honest.answered).difference(found)
        if missing:
            test.problems.append(f"{len(missing)} acknowledged lines are missing, such as {min(missing)!r}")
        if len(found) != len(set(found)):
            test.problems.append("acknowledged lines are there more than once")
        test.rows.append(figure("lines of the honest sender acknowledged", len(honest.answered), ""))
    return test.rows, test.problems


def daemon_log(directory: str) -> str:
    """What a daemon in this directory has logged."""
    return Path(directory, "log").read_text(errors="replace")
