"""Events of which is known what a query must find."""

from __future__ import annotations

import multiprocessing
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from attrs import frozen

NAMES = ("job", "system")
_PIECE = 5000


@frozen
class Events:
    """So many events in the order of their time, spread evenly over hosts and seconds.

    :ivar begin: the time of the first, in seconds since the epoch.
    :ivar seconds: from the first to the last.
    """

    rows: int
    hosts: int
    begin: int
    seconds: int

    def time(self, number: int) -> int:
        """The time of an event, in seconds since the epoch."""
        return self.begin + number * self.seconds // self.rows

    def lines(self) -> Iterator[bytes]:
        """Line protocol, in pieces."""
        for start in range(0, self.rows, _PIECE):
            yield b"".join(map(self._line, range(start, min(start + _PIECE, self.rows))))

    def _line(self, number: int) -> bytes:
        name = NAMES[number // self.hosts % len(NAMES)]
        return (
            f"{name},cluster=alex,function=start_job,hostname=n{number % self.hosts:05d},type=node,type-id=0 "
            f'event="{{\\"jobId\\": {number}, \\"cluster\\": \\"alex\\", '
            f'\\"user\\": \\"u{number % 97}\\", \\"state\\": \\"running\\"}}" {self.time(number)}\n'
        ).encode()

    def expected(self, host: int, name: str, begin: int, end: int) -> list[tuple[int, int]]:
        """Number and time of the events of a host and a name, in order."""
        step = self.hosts * len(NAMES)
        numbers = range(host + self.hosts * NAMES.index(name), self.rows, step)
        return [(number, at) for number in numbers if begin <= (at := self.time(number)) <= end]


def lines_of_series(count: int, series: int, name: str = "job") -> bytes:
    """Lines without a time, each series in its turn."""
    return "".join(
        f"{name},cluster=alex,function=start_job,hostname=n{number % series:06d},type=node,type-id=0 "
        f'event="{{\\"jobId\\": {number}, \\"cluster\\": \\"alex\\", '
        f'\\"user\\": \\"u{number % 97}\\", \\"state\\": \\"running\\"}}"\n'
        for number in range(count)
    ).encode()


class _Lines(Protocol):
    """What is made while it is sent."""

    def lines(self) -> Iterator[bytes]: ...


@contextmanager
def sending(port: int, pieces: Sequence[bytes] | _Lines, connections: int = 1) -> Iterator[None]:
    """Processes that send this over TCP at full speed, until it is sent or the block is left."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_send, args=(port, pieces), daemon=True) for _ in range(connections)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _send(port: int, pieces: Sequence[bytes] | _Lines) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for piece in pieces if isinstance(pieces, Sequence) else pieces.lines():
            connection.sendall(piece)
        time.sleep(3600)  # a connection that ends would flush what lingers
