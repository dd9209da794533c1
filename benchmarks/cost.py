"""What a line costs as the rows in the database and the distinct series become more."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from attrs import frozen

from benchmarks.daemon import Daemon
from benchmarks.events import lines_of_series, sending
from benchmarks.report import progress

_CHUNK = 100_000
_MARKS = (1, 2, 5, 10, 20, 50, 100, 200, 500)  # chunks
_SERIES = (10, 100, 1000, 10_000, 100_000)
_USUAL_SERIES = 1000
_FLAT = 1.25
_EVERY = 0.05
#: Lines beyond the last mark, so that it is passed at full speed.
_MORE = 20_000


@frozen
class _Sample:
    at: float
    cpu: float
    stored: float


def run(rows: int, lines: int) -> tuple[list[dict[str, object]], list[str]]:
    """Figures, and what is wrong.

    :param rows: to which the database grows.
    :param lines: for each number of series, after those with which the series are made.
    """
    marks = [chunks * _CHUNK for chunks in _MARKS if chunks * _CHUNK < rows] + [max(rows, _CHUNK)]
    found, problems = _grow(_USUAL_SERIES, marks, f"rows: {marks[-1]:,}")
    figures = [
        {"what": f"rows {first:,} to {last:,}", **row}
        for first, last, row in zip([0, *marks], marks, found, strict=False)
    ]
    goals = [_goal("dearest by cheapest, rows", found)]
    new: list[dict[str, object]] = []
    known: list[dict[str, object]] = []
    for series in _SERIES:
        (first, second), wrong = _grow(series, [_CHUNK, _CHUNK + lines], f"series: {series:,}")
        figures.append({"what": f"{series:,} series, all of them new in {_CHUNK:,} lines", **first})
        figures.append({"what": f"{series:,} series, known", **second})
        new.append(first)
        known.append(second)
        problems += wrong
    goals.append(_goal("dearest by cheapest, known series", known))
    goals.append(_goal("dearest by cheapest, new series", new))
    return figures + goals, problems


def _grow(series: int, marks: Sequence[int], title: str) -> tuple[list[dict[str, object]], list[str]]:
    """Send at full speed over one connection; the cost between each two marks."""
    total = marks[-1] + _MORE
    blocks = -(-total // _CHUNK)
    total = blocks * _CHUNK
    block = lines_of_series(_CHUNK, series)
    pieces = [block[start : start + 65536] for start in range(0, len(block), 65536)] * blocks
    with Daemon({"retention_time": "1000h"}) as daemon:
        samples = [_Sample(time.perf_counter(), daemon.cpu(), 0)]
        with sending(daemon.ports["tcp"], pieces):
            while (stored := samples[-1].stored) < total:
                time.sleep(_EVERY)
                now, cpu = time.perf_counter(), daemon.cpu()
                now_stored, lost = daemon.settled()
                if now_stored > stored:
                    samples.append(_Sample(now, cpu, now_stored))
                if lost:
                    return [], [f"{title}: {lost} lines were rejected or dropped"]
                if len(samples) % 20 == 0:
                    progress(f"{title}, {now_stored:,} of {total:,} lines")
        held = daemon.stats()["manager"]["status"]["flushed"]
    problems = [] if held == total else [f"{title}: {total} lines were sent, {held} are stored"]
    points = [_at(samples, mark) for mark in (0, *marks)]
    return [
        {
            "CPU s/100k": (later.cpu - earlier.cpu) / (later.stored - earlier.stored) * 1e5,
            "lines/s": (later.stored - earlier.stored) / (later.at - earlier.at),
        }
        for earlier, later in pairwise(points)
    ], problems


def _at(samples: Sequence[_Sample], stored: float) -> _Sample:
    """When so many lines were stored, between two samples."""
    after = bisect_left(samples, stored, key=lambda sample: sample.stored)
    if after == 0:
        return samples[0]
    one, two = samples[after - 1], samples[after]
    part = (stored - one.stored) / (two.stored - one.stored)
    return _Sample(one.at + part * (two.at - one.at), one.cpu + part * (two.cpu - one.cpu), stored)


def _goal(what: str, rows: Sequence[dict[str, object]]) -> dict[str, object]:
    costs = [float(str(row["CPU s/100k"])) for row in rows]
    rates = [float(str(row["lines/s"])) for row in rows]
    if not costs:
        return {"what": what, "reached": "no"}
    ratio = max(costs) / min(costs)
    return {
        "what": what,
        "CPU s/100k": ratio,
        "lines/s": max(rates) / min(rates),
        "goal": f"CPU ≤ {_FLAT:g}",
        "reached": "yes" if ratio <= _FLAT else "no",
    }
