"""Asking a daemon over HTTP, timed: one question after the other, or beside something else."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from attrs import frozen

from benchmarks.report import percentile

#: Seconds between two questions that are asked beside something else.
_PAUSE = 0.05


@frozen
class Answer:
    """What came back.

    :ivar seconds: until all of it had come, as ``first`` until some of it had.
    """

    seconds: float
    first: float
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class Asker:
    """Asks the reading side, over one connection.

    :param port: of the REST interface.
    """

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=900)

    def ask(self, path: str, **parameters: object) -> Answer:
        """One question below ``/api/v1/``; raises :class:`SystemExit` if it is refused."""
        query = urlencode({key.rstrip("_"): value for key, value in parameters.items()})
        begun = time.perf_counter()
        self._connection.request("GET", f"/api/v1/{path}?{query}")
        answer = self._connection.getresponse()
        start = answer.read(1)
        first = time.perf_counter() - begun
        body = start + answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path}?{query} is answered with {answer.status}: {body[:300]!r}")
        return Answer(time.perf_counter() - begun, first, body)

    def swallow(self, path: str, **parameters: object) -> tuple[float, int]:
        """The same, with an answer that is read and thrown away: seconds, and lines that it had."""
        begun = time.perf_counter()
        self._connection.request("GET", f"/api/v1/{path}?{urlencode(parameters)}")
        answer = self._connection.getresponse()
        lines = 0
        while piece := answer.read(1 << 18):
            lines += piece.count(b"\n")
        return time.perf_counter() - begun, lines


def median_and_p99(seconds: Sequence[float]) -> dict[str, object]:
    """In milliseconds."""
    return {
        "p50 ms": percentile(seconds, 0.5) * 1000,
        "p99 ms": percentile(seconds, 0.99) * 1000,
        "samples": len(seconds),
    }


@contextmanager
def beside(work: Callable[[Asker, int], float], port: int) -> Iterator[list[float]]:
    """A process that does this again and again while the block runs; the list has its figures after it.

    :param work: is given its number, and gives a figure, such as the seconds that it took.
    """
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_again_and_again, args=(work, port, there), daemon=True)
    process.start()
    figures: list[float] = []
    try:
        yield figures
    finally:
        here.send(None)
        figures += here.recv()
        process.join()


def _again_and_again(work: Callable[[Asker, int], float], port: int, end: Any) -> None:
    asker = Asker(port)
    figures: list[float] = []
    while not end.poll(_PAUSE):
        figures.append(work(asker, len(figures)))
    end.send(figures)
