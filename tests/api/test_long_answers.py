"""Answers of a real daemon that go on for long: exports of very much, and tails of those who are slow."""

from __future__ import annotations

import http.client
import json
import random
import re
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.api.test_message_answers import BASE
from tests.support.configuration import RECEIVERS, write_config
from tests.support.running_daemon import PATIENCE, Daemon, eventually, send_tcp


def lines(begin: int, end: int) -> bytes:
    """Logs with these numbers as texts, a millisecond from one to the next."""
    head = "syslog,cluster=alex,hostname=a01 log="
    return "".join(
        f'{head}"n{place} ' + "x" * 60 + f'" {BASE + place * 10**6}\n' for place in range(begin, end)
    ).encode()


def number_of(message: Any) -> int:
    return int(message["text"].split()[0][1:])


def held(daemon: Daemon) -> int:
    """Messages in the store."""
    return sum(
        cluster["count"] for cluster in json.loads(daemon.ask("GET", "/api/v1/clusters")[1])["clusters"]
    )


def memory(daemon: Daemon) -> float:
    """The most that the daemon has had, in MB."""
    status = Path(f"/proc/{daemon.process_id}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+)", status)
    assert found is not None
    return int(found[1]) / 1024


def send_all(daemon: Daemon, pieces: list[bytes]) -> None:
    for piece in pieces:
        send_tcp(daemon, piece)


class Follower:
    """A client of a tail, line by line."""

    def __init__(
        self, daemon: Daemon, after: str | None = None, query: str = "", buffer: int | None = None
    ) -> None:
        self.socket = socket.socket()
        if buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", daemon.ports["REST"]))
        last = f"Last-Event-ID: {after}\r\n" if after else ""
        self.socket.sendall(f"GET /api/v1/tail?{query} HTTP/1.0\r\nHost: localhost\r\n{last}\r\n".encode())
        self._file = self.socket.makefile("rb")
        while self._file.readline().strip():
            pass  # the head

    def events(self) -> Iterator[tuple[str, str | None, Any]]:
        """Name, id and data of each; what breaks off in the middle is none."""
        fields: dict[str, str] = {}
        while line := self._file.readline():
            text = line.decode().rstrip("\n")
            if text:
                name, _, value = text.partition(": ")
                fields[name] = value
                continue
            if fields.keys() & {"id", "data"}:
                yield fields.get("event", ""), fields.get("id"), json.loads(fields.get("data", "null"))
            fields = {}

    def close(self) -> None:
        self._file.close()
        self.socket.close()


def test_a_tail_that_is_killed_again_and_again_misses_nothing(tmp_path: Path) -> None:
    """Nor does it get anything twice, also over restarts of the daemon."""
    path = write_config(tmp_path, receivers=RECEIVERS)
    pick = random.Random(5)
    told: list[int] = []
    after: str | None = None
    for restart in range(3):
        with Daemon(tmp_path, "--config", path) as daemon:
            first = Follower(daemon, after)
            if after is None:
                # It has begun once it has an id.
                after = next(number for _, number, _ in first.events())
            first.close()
            begin = restart * 6000
            pieces = [lines(start, start + 300) for start in range(begin, begin + 6000, 300)]
            writer = threading.Thread(target=send_all, args=(daemon, pieces))
            writer.start()
            # The last of them are left to the next daemon.
            while len(told) < begin + 5000:
                with closing(Follower(daemon, after)) as follower:
                    left = pick.randrange(1, 700)
                    for name, number, data in follower.events():
                        after = number or after
                        if name == "message":
                            told.append(number_of(data))
                            left -= 1
                        if not left or len(told) >= begin + 5000:
                            break
            writer.join()
            daemon.stop()
    with Daemon(tmp_path, "--config", path) as daemon, closing(Follower(daemon, after)) as follower:
        for name, _, data in follower.events():
            if name == "message":
                told.append(number_of(data))
            if len(told) == 18_000:
                break
    assert sorted(told) == [*range(18_000)]
    assert told == [*range(18_000)]


def test_a_slow_reader_gets_gaps_that_are_exact(tmp_path: Path) -> None:
    """And neither slows the writer nor makes the daemon grow."""
    path = write_config(tmp_path, receivers=RECEIVERS)
    most = 120_000
    with Daemon(tmp_path, "--config", path) as daemon, closing(Follower(daemon, buffer=4096)) as follower:
        events = follower.events()
        next(events)
        for start in range(0, most, 20_000):
            send_tcp(daemon, lines(start, start + 20_000))
        eventually(lambda: held(daemon) >= most)
        assert memory(daemon) < 200
        send_tcp(daemon, lines(most, most + 1))
        told: set[int] = set()
        last = -1
        gaps = 0
        for name, _, data in events:
            if name == "message":
                assert number_of(data) > last
                last = number_of(data)
                told.add(last)
            elif name == "gap":
                gaps += 1
                begin = (last + 1, data["messages"])
                query = f"from={data['from']}&to={data['to']}&format=ndjson&order=oldest"
                status, body = daemon.ask("GET", f"/api/v1/messages?{query}")
                assert status == 200
                missed = [number_of(json.loads(line)) for line in body.splitlines()]
                assert missed == [*range(begin[0], sum(begin))]
                told |= {*missed}
                last = missed[-1]
            if last == most:
                break
        assert told == {*range(most + 1)}
        assert gaps > 0


def test_a_long_past_is_whole_while_more_comes_in(tmp_path: Path) -> None:
    """More than is held for a reader, while it reads what was before."""
    path = write_config(tmp_path, receivers=RECEIVERS)
    with Daemon(tmp_path, "--config", path) as daemon:
        send_tcp(daemon, lines(0, 60_000))
        eventually(lambda: held(daemon) >= 60_000)
        with closing(Follower(daemon, query="from=-3d", buffer=4096)) as follower:
            events = follower.events()
            told = [number_of(next(events)[2])]
            for start in range(60_000, 120_000, 20_000):
                send_tcp(daemon, lines(start, start + 20_000))
            eventually(lambda: held(daemon) >= 120_000)
            for name, _, data in events:
                assert name in ("message", "")
                if name == "message":
                    told.append(number_of(data))
                if len(told) == 120_000:
                    break
        assert told == [*range(120_000)]


def test_a_million_rows_are_exported_in_little_memory(tmp_path: Path) -> None:
    """By a client that is slow at times."""
    path = write_config(tmp_path, receivers=RECEIVERS)
    most = 1_000_000
    with Daemon(tmp_path, "--config", path) as daemon:
        for start in range(0, most, 50_000):
            send_tcp(daemon, lines(start, start + 50_000))
        eventually(lambda: held(daemon) >= most)
        with closing(daemon.connect()) as connection:
            connection.request("GET", "/api/v1/messages?format=ndjson&order=oldest&end=true")
            answer = connection.getresponse()
            for place in range(most):
                assert answer.readline().split(b'"text":"n')[1].startswith(b"%d " % place)
                if place % 200_000 == 0:
                    # Others are answered meanwhile, and nothing piles up here.
                    assert daemon.ask("GET", "/api/v1/messages?limit=1")[0] == 200
            assert json.loads(answer.readline()) == {"end": {"messages": most}}
            assert answer.read() == b""
        assert memory(daemon) < 250


def test_a_packed_export_that_is_taken_slowly(tmp_path: Path) -> None:
    """What is not taken is not made: memory stays flat, and others are answered meanwhile."""
    path = write_config(tmp_path, receivers=RECEIVERS)
    most = 60_000
    pick = random.Random(7)
    head = "syslog,cluster=alex,hostname=a01 log="
    with Daemon(tmp_path, "--config", path) as daemon:
        for start in range(0, most, 10_000):
            # Hardly anything is gained by packing it.
            block = [
                f'{head}"n{place} {pick.getrandbits(8000):x}" {BASE + place * 10**6}\n'
                for place in range(start, start + 10_000)
            ]
            send_tcp(daemon, "".join(block).encode())
        eventually(lambda: held(daemon) >= most)
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            client.settimeout(PATIENCE)
            client.connect(("127.0.0.1", daemon.ports["REST"]))
            target = "/api/v1/messages?format=ndjson&order=oldest&end=true"
            client.sendall(
                f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n".encode()
            )
            answer = http.client.HTTPResponse(client)
            answer.begin()
            assert answer.getheader("content-encoding") == "gzip"
            unpacker = zlib.decompressobj(wbits=31)
            rest = unpacker.decompress(answer.read(1000))
            before = memory(daemon)
            for _ in range(300):  # in which all of it could be made
                rest += unpacker.decompress(answer.read(100))
                assert daemon.ask("GET", "/api/v1/messages?limit=1")[0] == 200
            # Packed, all of it are 60 MB, of which 40 may be on their way.
            assert memory(daemon) < before + 60
            place = 0
            while data := answer.read(1 << 16):
                *found, rest = (rest + unpacker.decompress(data)).split(b"\n")
                for line in found[: most - place]:
                    assert b'"text":"n%d ' % place in line
                    place += 1
            assert unpacker.eof
            assert found[-1] == b'{"end": {"messages": %d}}' % most
            assert place == most
        assert memory(daemon) < 250
