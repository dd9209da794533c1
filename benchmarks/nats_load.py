"""A NATS server for the occasion, and a sender that speaks to it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path

from benchmarks.daemon import Daemon
from benchmarks.lines import bodies, stamped

SUBJECT = "alex.events.job"
STREAM = "BENCHMARK"
#: Messages that are given their time together: it must not be old when they arrive.
_PIECE = 2000
#: Lines that may be on their way, and after how many that is looked at.
_AHEAD, _CHECK_EVERY = 100_000, 20_000


def program() -> str | None:
    """The server's program, if there is one: beside this Python, or the system's."""
    here = Path(sys.executable).parent / "nats-server"
    return str(here) if here.exists() else shutil.which("nats-server")


@contextmanager
def server(program: str) -> Iterator[int]:
    """A server on a port of its own, which holds whatever we are too slow for, so that all of it counts."""
    with monitored(program) as (port, _):
        yield port


@contextmanager
def monitored(program: str) -> Iterator[tuple[int, int]]:
    """The same, with the port where it tells about itself over HTTP."""
    with tempfile.TemporaryDirectory(prefix="ccstore-nats-") as directory:
        path = Path(directory) / "nats.conf"
        path.write_text(
            f'host: "127.0.0.1"\nport: -1\nhttp: "127.0.0.1:-1"\nports_file_dir: "{directory}"\n'
            'max_pending: 8GB\nwrite_deadline: "600s"\n'
            f'jetstream {{ store_dir: "{directory}", max_memory_store: 8GB }}\n'
        )
        process = subprocess.Popen(
            [program, "-c", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield _ports(Path(directory), process)
        finally:
            process.terminate()
            process.wait(30)


def _ports(directory: Path, process: subprocess.Popen[bytes]) -> tuple[int, int]:
    for _ in range(600):
        for place in directory.glob("*.ports"):
            try:
                said = json.loads(place.read_text())
                (url,), (monitor,) = said["nats"], said["monitoring"]
            except (OSError, ValueError):
                continue
            return int(url.rpartition(":")[2]), int(monitor.rpartition(":")[2])
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit("nats-server does not start")


def make_stream(port: int) -> None:
    """A stream in memory for all that is sent."""
    request = json.dumps({"name": STREAM, "subjects": [SUBJECT], "storage": "memory"}).encode()
    with _connection(port) as connection:
        subject = f"$JS.API.STREAM.CREATE.{STREAM}".encode()
        connection.sendall(b"SUB answer 1\r\nPUB %b answer %d\r\n%b\r\n" % (subject, len(request), request))
        answer = _until(connection, b"stream_create_response")
        if b'"error"' in answer:
            raise SystemExit(f"nats-server makes no stream: {answer!r}")


def wait_for(daemon: Daemon) -> None:
    """Wait until the daemon has subscribed."""
    for _ in range(600):
        if daemon.stats()["receivers"]["nats"]["connected"]:
            return
        time.sleep(0.05)
    raise SystemExit("the daemon does not connect to nats-server")


def until_connected(monitor: int, daemons: int) -> None:
    """Wait until so many daemons are connected, as the server sees it; senders have no name."""
    for _ in range(600):
        with urllib.request.urlopen(f"http://127.0.0.1:{monitor}/connz", timeout=60) as answer:
            names = [each.get("name", "") for each in json.load(answer)["connections"]]
        if sum(name.startswith("ccstore") for name in names) == daemons:
            return
        time.sleep(0.05)
    raise SystemExit(f"nats-server has connections of {names}, which should be {daemons} daemons")


@contextmanager
def publisher(port: int) -> Iterator[Callable[[Sequence[bytes]], None]]:
    """What publishes messages, and returns when the server, and the stream if there is one, has them."""
    answers = _is_stream(port)
    with _connection(port) as connection:
        connection.sendall(b"SUB answer 1\r\n")

        def publish(messages: Sequence[bytes]) -> None:
            *others, last = messages
            said = [b"PUB %b %d\r\n%b\r\n" % (SUBJECT.encode(), len(each), each) for each in others]
            said.append(b"PUB %b answer %d\r\n%b\r\n" % (SUBJECT.encode(), len(last), last))
            connection.sendall(b"".join(said) + (b"" if answers else b"PING\r\n"))
            _until(connection, b"MSG answer " if answers else b"PONG\r\n")

        yield publish


def send(port: int, api: int, lines: bytes, per_message: int, rounds: int, go: Event) -> None:
    """Publish as fast as it goes, but no further ahead of the daemon than a part of the retention time.

    :param api: the port of the daemon's REST interface.
    """
    with _connection(port) as connection:
        connection.sendall(b"SUB answer 1\r\n")
        begin = f"PUB {SUBJECT} ".encode()
        pieces = []
        for piece in bodies(lines, max(_PIECE, per_message)):
            messages = [body.removesuffix(b"\n") for body in bodies(piece, per_message)]
            said = [b"%b%d\r\n%b\r\n" % (begin, len(each), each) for each in messages]
            # A stream answers to the last; it throws away what comes faster than it can take it.
            said[-1] = said[-1].replace(begin, begin + b"answer ", 1)
            pieces.append((b"".join(said), piece.count(b"\n")))
        answers = _is_stream(port)
        go.wait()
        sent = checked = 0
        for _ in range(rounds):
            for piece, count in pieces:
                connection.sendall(stamped(piece))
                sent += count
                if answers:
                    _until(connection, b"MSG answer ")
                if sent - checked >= _CHECK_EVERY:
                    checked = sent
                    while sent - _received(api) > _AHEAD:
                        time.sleep(0.01)
        connection.sendall(b"PING\r\n")
        _until(connection, b"PONG\r\n")


def _received(api: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{api}/api/stats", timeout=60) as answer:
        return int(json.load(answer)["receivers"]["nats"]["received"])


def _is_stream(port: int) -> bool:
    with _connection(port) as connection:
        connection.sendall(b"SUB answer 1\r\nPUB $JS.API.STREAM.INFO.%b answer 0\r\n\r\n" % STREAM.encode())
        return b'"config"' in _until(connection, b"}\r\n")


def _until(connection: socket.socket, part: bytes) -> bytes:
    """Read until this has come."""
    answer = b""
    while part not in answer:
        data = connection.recv(65536)
        if not data:
            raise SystemExit("nats-server has closed the connection")
        answer += data
    return answer


def _connection(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), 600)
    _until(connection, b"\r\n")
    connection.sendall(b'CONNECT {"verbose": false}\r\n')
    return connection
