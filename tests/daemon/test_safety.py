"""What becomes of messages when the database cannot be written, and when senders mean no good.

Each with the real daemon, and each time anybody looks at its figures the books have to balance.
"""

from __future__ import annotations

import gzip
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from benchmarks.noise import noise
from tests.support.faulty_daemon import (
    Datagrams,
    Honest,
    SmallDisk,
    Stream,
    WatchedDaemon,
    all_of,
    daemon_in,
    line,
    locked,
    raise_file_limit,
    stored,
    unwritable,
    write,
)
from tests.support.running_daemon import PATIENCE, database

#: Megabytes that the daemon may need, whatever happens.
MOST_MEMORY = 300
#: Seconds of the tests that take a while; ``CCSTORE_SAFETY_SECONDS=60`` makes them thorough.
SECONDS = float(os.environ.get("CCSTORE_SAFETY_SECONDS", "3"))
#: Seconds after which another sender must have its answer; much less is measured by ``benchmarks fuzz``.
ANSWER_WITHIN = 10.0
#: So that a locked database is noticed at once.
NO_PATIENCE = ["_timeout=50"]


@define
class Trouble:
    """What keeps a database from being written.

    :ivar word: that the daemon has for it.
    :ivar path: of the database.
    :ivar begin: begins it; it ends with the ``with`` block.
    """

    word: str
    path: Path
    begin: Callable[[WatchedDaemon], AbstractContextManager[Any]]
    disk: SmallDisk | None = None


@pytest.fixture(params=["locked", "full", "I/O error"])
def trouble(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Trouble]:
    path = tmp_path / "ccstore.db"
    if request.param == "full":
        with SmallDisk(tmp_path, 64 << 20) as disk:
            yield Trouble("full", disk.path / "ccstore.db", lambda daemon: disk.full(), disk)
    elif request.param == "locked":
        yield Trouble("locked", path, lambda daemon: locked(path))
    else:
        yield Trouble("I/O error", path, unwritable)


# -- a database that cannot be written


def test_nothing_is_lost_while_the_database_cannot_be_written(tmp_path: Path, trouble: Trouble) -> None:
    path, word = trouble.path, trouble.word
    with daemon_in(tmp_path, trouble.disk, flags=NO_PATIENCE, max_waiting=8000) as daemon:
        assert write(daemon, line("before", "h"))[0] == 200
        with Stream(daemon) as stream, Datagrams(daemon) as datagrams:
            daemon.until(lambda stats: stats["receivers"]["tcp"]["stored"] > 1000)
            with trouble.begin(daemon):
                assert word in daemon.until_ready(503)
                for where in ("HTTP", "REST"):
                    status, headers, body = write(daemon, line("refused", "h"), where)
                    assert (status, headers.get("Retry-After")) == (503, "5"), body
                    assert word in body.decode()
                found = daemon.until(
                    lambda stats: (
                        stats["receivers"]["tcp"]["pauses"]
                        and stats["receivers"]["udp"]["dropped"].get("overload", 0) > 1000
                    )
                )
                received = found["receivers"]["tcp"]["received"]
                pending = found["receivers"]["tcp"]["waiting"]
                assert pending > 0
                rows = daemon.query({"host": "h"})[0][0]["data"]
                assert [row["Event"] for row in rows] == ["before"]
                # Held back, and not just slow.
                assert daemon.account("tcp")["received"] == received
                assert daemon.account("tcp")["waiting"] == pending
                assert word in daemon.stats()["manager"]["errors"]["unavailable"]
            daemon.until_ready()
            assert write(daemon, line("after", "h"))[0] == 200
        daemon.arrived("tcp", stream.sent)
        daemon.until(lambda stats: not stats["receivers"]["tcp"]["waiting"])
        assert daemon.stop() == -signal.SIGTERM
        books = daemon.closing_books()
        assert books["tcp"] == (stream.sent, stream.sent, 0, 0)
        assert books["udp"][0] <= datagrams.sent
        assert stored(path, stream.host) == [str(number) for number in range(stream.sent)]
        numbers = [int(text) for text in stored(path, datagrams.host)]
        assert len(numbers) == books["udp"][1]
        assert numbers == sorted(set(numbers))
        assert stored(path, "h") == ["before", "after"]


def test_who_waits_already_is_answered_once_it_is_stored(tmp_path: Path, trouble: Trouble) -> None:
    """The first request that meets the trouble may not know yet; whatever it is told has to be true."""
    path = trouble.path
    answers: list[int] = []
    with daemon_in(tmp_path, trouble.disk, flags=NO_PATIENCE) as daemon:
        assert write(daemon, line("0", "h"))[0] == 200
        with trouble.begin(daemon):
            first = threading.Thread(target=lambda: answers.append(write(daemon, line("1", "h"))[0]))
            first.start()
            daemon.until_ready(503)
        first.join(PATIENCE)
        daemon.until_ready()
        daemon.until(lambda stats: not stats["receivers"]["http"]["waiting"])
        assert stored(path, "h") == (["0", "1"] if answers == [200] else ["0"])


def test_bodies_that_wait_cost_no_stream_its_lines(tmp_path: Path) -> None:
    """Whoever waits for an answer can be told to come again; a stream cannot, so room is left for it."""
    path = tmp_path / "ccstore.db"
    with daemon_in(tmp_path, flags=["_timeout=2000"], max_waiting=8000) as daemon, ExitStack() as stack:
        assert write(daemon, line("0", "h"))[0] == 200
        connections = [stack.enter_context(closing(daemon.connect("HTTP"))) for _ in range(20)]
        stream = Stream(daemon)
        with ExitStack() as sending, locked(path):
            # Before the first try has failed, nobody knows of the lock.
            for number, connection in enumerate(connections):
                connection.request("POST", "/", line(number, "h") * 790)
            daemon.until(lambda stats: stats["receivers"]["http"]["received"] == 1 + 20 * 790)
            sending.enter_context(stream)
            daemon.until(lambda stats: stats["receivers"]["tcp"]["received"] > 2000)
        answers = [connection.getresponse().status for connection in connections]
        assert {*answers} <= {200, 503}
        daemon.until_ready()
        daemon.arrived("tcp", stream.sent)
        daemon.stop()
        assert daemon.closing_books()["tcp"] == (stream.sent, stream.sent, 0, 0)
        assert len(stored(path, "h")) == 1 + 790 * answers.count(200)


def test_events_expire_on_a_full_disk_and_make_room(tmp_path: Path) -> None:
    """Nobody has to come and tidy up: the sender goes on, and the disk is full again and again."""
    with SmallDisk(tmp_path, 48 << 20) as disk:
        path = disk.path / "ccstore.db"
        with daemon_in(tmp_path, disk, retention_time="3s") as daemon:
            logs = b"".join(line(number, "h", "log") for number in range(100))
            assert write(daemon, logs)[0] == 200
            with Stream(daemon) as stream:
                daemon.until(lambda stats: stats["manager"]["errors"])
                rows = daemon.query({"kind": "log"})[0][0]["data"]
                assert len(rows) == 100
                failed = daemon.account("tcp")["stored"]
                daemon.until(lambda stats: stats["receivers"]["tcp"]["stored"] > failed + 50_000)
            daemon.until(lambda stats: stats["receivers"]["tcp"]["received"] == stream.sent)
            daemon.until(lambda stats: not stats["receivers"]["tcp"]["waiting"])
            daemon.stop()
            assert daemon.closing_books()["tcp"] == (stream.sent, stream.sent, 0, 0)
            assert stored(path, "h", "alex_logs") == [str(number) for number in range(100)]
            texts = stored(path, stream.host)
            assert texts == [str(number) for number in range(stream.sent - len(texts), stream.sent)]


def test_a_start_on_a_full_disk(tmp_path: Path) -> None:
    """What is stored can be read, and events go on to expire."""
    with SmallDisk(tmp_path, 64 << 20) as disk:
        with daemon_in(tmp_path, disk, retention_time="1s") as daemon:
            assert write(daemon, line("kept", "h", "log") + line("gone", "h"))[0] == 200
            daemon.stop()
        disk.fill()
        with daemon_in(tmp_path, disk, retention_time="1s") as daemon:
            assert [row["Event"] for row in daemon.query({"kind": "log"})[0][0]["data"]] == ["kept"]
            assert write(daemon, line("more", "h"))[0] == 503
            disk.clear()
            daemon.until(lambda stats: not stats["manager"]["errors"])
            assert write(daemon, line("more", "h"))[0] == 200


def test_memory_is_bounded_while_the_database_is_locked(tmp_path: Path) -> None:
    """16 streams and datagrams at full speed, against nothing but the limits."""
    path = tmp_path / "ccstore.db"
    with daemon_in(tmp_path, flags=NO_PATIENCE) as daemon:
        streams = [Stream(daemon, f"h{number}") for number in range(16)]
        with all_of([*streams, Datagrams(daemon)]), locked(path):
            end = time.monotonic() + SECONDS
            daemon.until(lambda stats: stats["receivers"]["tcp"]["pauses"] and time.monotonic() > end)
            account = daemon.until(lambda stats: stats["receivers"]["udp"]["dropped"])["receivers"]["tcp"]
            assert account["waiting"] == account["received"] - account["stored"] > 0
            assert daemon.peak() < MOST_MEMORY
        sent = sum(stream.sent for stream in streams)
        daemon.until(lambda stats: stats["receivers"]["tcp"]["stored"] == sent)
        assert daemon.peak() < MOST_MEMORY
        for stream in streams:
            assert stored(path, stream.host) == [str(number) for number in range(stream.sent)]


def test_a_stop_while_the_database_is_locked(tmp_path: Path) -> None:
    """With the patience that is usual, it ends in time, and says what is lost."""
    path = tmp_path / "ccstore.db"
    with daemon_in(tmp_path) as daemon, closing(daemon.connect("HTTP")) as waiting:
        assert write(daemon, line("0", "h"))[0] == 200
        with locked(path):
            waiting.request("POST", "/", line("1", "h"))
            with socket.create_connection(("127.0.0.1", daemon.ports["TCP"]), PATIENCE) as connection:
                connection.sendall(b"".join(line(number) for number in range(30_000)))
                daemon.arrived("tcp", 30_000)
                begun = time.monotonic()
                assert daemon.stop() == -signal.SIGTERM
                assert time.monotonic() - begun < 10
        received, kept, rejected, dropped = daemon.closing_books()["tcp"]
        assert (received, rejected) == (30_000, 0)
        assert dropped > 0
        assert len(stored(path, "a0101")) == kept
        assert re.search(r"tcp.*could not be stored: .*database is locked", daemon.text)
        assert "Traceback" not in daemon.text


# -- senders that mean no good


@contextmanager
def others_served(daemon: WatchedDaemon, path: Path) -> Iterator[None]:
    """Meanwhile somebody else is served, nothing of theirs is lost, and memory is bounded."""
    with Honest(daemon) as honest:
        yield
        daemon.until(lambda stats: len(honest.waited) > 3)
    assert not honest.refused
    assert max(honest.waited) < ANSWER_WITHIN
    assert stored(path, honest.HOST) == honest.answered
    assert daemon.peak() < MOST_MEMORY


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[WatchedDaemon]:
    with daemon_in(tmp_path) as running:
        yield running
        assert running.stop() == -signal.SIGTERM
        running.closing_books()
        assert "Traceback" not in running.text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ccstore.db"


def connect(daemon: WatchedDaemon, where: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", daemon.ports[where]), PATIENCE)


def test_a_line_without_an_end(daemon: WatchedDaemon, path: Path) -> None:
    """Also inside of a string, where newlines end nothing."""
    with others_served(daemon, path):
        for piece in (b"x" * (1 << 20), b"\n" * 1000 + b"y" * (1 << 20)):
            with connect(daemon, "TCP") as connection:
                connection.sendall(b'm,cluster=alex,hostname=long event="')
                for _ in range(100):
                    connection.sendall(piece)
                    daemon.stats()
                connection.sendall(b'\n\n"\n' + line("next", "long"))
                connection.shutdown(socket.SHUT_WR)
                assert connection.recv(1) == b""
        assert daemon.account("tcp")["rejected"]["malformed"] > 2
        daemon.until(lambda stats: stats["receivers"]["tcp"]["stored"] == 2)
    assert stored(path, "long") == 2 * ["next"]


def test_a_byte_at_a_time_on_a_thousand_connections(daemon: WatchedDaemon, path: Path) -> None:
    count = 1000
    raise_file_limit(count + 200)
    text = line("slow", "s" * 10)
    with others_served(daemon, path), ExitStack() as stack:
        connections = [stack.enter_context(connect(daemon, "TCP")) for _ in range(count)]
        daemon.until(lambda stats: stats["receivers"]["tcp"]["connections"] == count)
        for number in range(len(text)):
            for connection in connections:
                connection.send(text[number : number + 1])
            daemon.stats()
        daemon.until(lambda stats: stats["receivers"]["tcp"]["stored"] == count)
    assert stored(path, "s" * 10) == count * ["slow"]


#: Lines that are wrong, each in its own way.
BAD = (
    b'm,cluster=alex event="\xff\xfe"',
    b'm\xc3,cluster=alex event="x"',
    b'm\0,cluster=alex event="x"',
    b'm,clu\0ster=alex event="x"',
    b"\0",
    b"\xff" * 1000,
    b'm,cluster=alex event="x" 99999999999999999999',
)


@pytest.mark.parametrize("where", ["TCP", "UDP", "HTTP", "REST"])
def test_lines_of_bytes_that_are_no_text(daemon: WatchedDaemon, path: Path, where: str) -> None:
    good = [line(f"{number} \0 ü", "good") for number in range(len(BAD))]
    body = b"".join(first + second + b"\n" for first, second in zip(good, BAD, strict=True))
    name = "api" if where == "REST" else where.lower()
    with others_served(daemon, path):
        before = daemon.account(name)["rejected"].get("malformed", 0)
        if where == "TCP":
            with connect(daemon, where) as connection:
                connection.sendall(body)
        elif where == "UDP":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(body, ("127.0.0.1", daemon.ports["UDP"]))
        else:
            assert write(daemon, body, where)[0] == 400
        daemon.until(
            lambda stats: stats["receivers"][name]["rejected"].get("malformed", 0) == before + len(BAD)
        )
        assert daemon.query({"host": "good"})[0][0]["data"]
    assert stored(path, "good") == [f"{number} \0 ü" for number in range(len(BAD))]


def test_a_gzip_bomb(daemon: WatchedDaemon, path: Path) -> None:
    zeros = gzip.compress(bytes(200 << 20), 1)
    events = gzip.compress(line("bomb") * (4 << 20), 1)
    with others_served(daemon, path):
        for bomb in 2 * (zeros, events):
            for where, target in (("HTTP", "/"), ("REST", "/api/write")):
                with closing(daemon.connect(where)) as connection:
                    connection.request("POST", target, bomb, {"Content-Encoding": "gzip"})
                    assert connection.getresponse().status == 413
                daemon.stats()
    assert stored(path, "a0101") == []


def send_for_ever(connection: socket.socket, data: bytes) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        connection.sendall(data)


def test_a_body_without_an_end(daemon: WatchedDaemon, path: Path) -> None:
    """In chunks; refused when it is too large, and the sender who goes on all the same is cut off."""
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with others_served(daemon, path):
        for where, target in (("HTTP", b"/"), ("REST", b"/api/write")):
            with connect(daemon, where) as connection:
                connection.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\n" % target)
                connection.sendall(b"Transfer-Encoding: chunked\r\n\r\n")
                with pytest.raises(ConnectionError):
                    send_for_ever(connection, chunk)
            daemon.stats()


def test_many_bodies_that_do_not_end(daemon: WatchedDaemon, path: Path) -> None:
    """Each is small enough by itself."""
    with others_served(daemon, path), ExitStack() as stack:
        for number in range(40):
            where = ("HTTP", "REST")[number % 2]
            connection = stack.enter_context(connect(daemon, where))
            try:
                connection.sendall(b"POST /api/write HTTP/1.1\r\nHost: x\r\nContent-Length: 16000000\r\n\r\n")
                for _ in range(15):
                    connection.sendall(bytes(1_000_000))
            except ConnectionError:
                continue  # who is cut off cannot do any more harm
            daemon.stats()


def test_noise_on_every_port(daemon: WatchedDaemon, path: Path) -> None:
    with others_served(daemon, path), noise(daemon.ports, SECONDS) as sent:
        end = time.monotonic() + SECONDS
        daemon.until(lambda stats: time.monotonic() > end)
    assert len(sent) == 4
    assert all(sent)
    with database(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
