"""Senders that mean no good, in processes: ``python -m benchmarks.noise WAY PORT SEED SECONDS``."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_PATIENCE = 30.0
_REQUESTS = (
    b"POST /api/write?cluster=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET /api/query HTTP/1.1\r\nHost: \xff\r\nContent-Length: 10\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 200\r\n\r\n\x1f\x8b",
    b"GET /%ff%00/\xe9 HTTP/1.0\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
)
_LINES = (
    b'job,cluster=alex,hostname=noise,function=start_job event="{\\"jobId\\": 69}"\n',
    b'slurmd,cluster=alex,hostname=noise log="two\nlines, \\"quoted\\""\n',
    b"load,cluster=alex,hostname=noise value=1.5e3,other=t,third=1i 1700000000000\n",
)
_CHANGES = (b"", b'"', b"\\", b"\n", b"\0", b"\xff", b"=", b",", b" ")
_SIZES = (1, 10, 200, 3000, 60000)


def mutated(chance: random.Random, size: int) -> bytes:
    """At least so many bytes of line protocol, some of them changed."""
    text = bytearray()
    while len(text) < size:
        text += chance.choice(_LINES)
    for _ in range(1 + len(text) // 100):
        place = chance.randrange(len(text))
        text[place : place + chance.randrange(3)] = chance.choice(_CHANGES)
    return bytes(text)


def _noise(chance: random.Random, way: str) -> bytes:
    """Bytes that mean nothing, or nearly something."""
    size = chance.choice(_SIZES)
    if way in ("HTTP", "REST") and chance.randrange(2):
        body = mutated(chance, size)
        if chance.randrange(2):
            path = b"/" if way == "HTTP" else b"/api/write"
            return b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (path, len(body), body)
        return chance.choice(_REQUESTS) + body
    return mutated(chance, size) if chance.randrange(2) else chance.randbytes(size)


def make_noise(way: str, port: int, seed: int, seconds: float) -> int:
    """Send for so many seconds to a port; returns how many bytes that were."""
    chance = random.Random(seed)
    end = time.monotonic() + seconds
    sent = 0
    while time.monotonic() < end:
        kind = socket.SOCK_DGRAM if way == "UDP" else socket.SOCK_STREAM
        with socket.socket(socket.AF_INET, kind) as connection, suppress(OSError):
            connection.settimeout(_PATIENCE)
            connection.connect(("127.0.0.1", port))
            for _ in range(chance.randrange(1, 30)):
                noise = _noise(chance, way)
                connection.sendall(noise)
                sent += len(noise)
    return sent


@contextmanager
def noise(ports: Mapping[str, int], seconds: float, seeds: int = 1) -> Iterator[list[int]]:
    """Noise on these ports until it is over; then the list has how many bytes each has sent.

    :param ports: by TCP, UDP, HTTP and REST.
    :param seeds: processes for each port.
    """
    sent: list[int] = []
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.noise", way, str(port), str(seed), str(seconds)],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
        )
        for way, port in ports.items()
        for seed in range(seeds)
    ]
    try:
        yield sent
        sent += [int(process.communicate(timeout=seconds + _PATIENCE)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


if __name__ == "__main__":
    # Whoever means no good has a machine of his own: to wait for this one is not what is measured.
    os.nice(19)
    print(make_noise(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
