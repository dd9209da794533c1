"""How long answers take: to one written line, and to queries, idle and under load."""

from __future__ import annotations

import http.client
import json
import random
import time
from typing import Any

from benchmarks.daemon import Daemon
from benchmarks.events import NAMES, Events, lines_of_series, sending
from benchmarks.report import percentile, progress

_SMALL = 100_000
_SMALL_HOSTS = 1000
_RANGE = 36_000
#: For as many rows as are asked for: a host has so many of them, but there are at most so many hosts.
_ROWS_OF_A_HOST = 100
_MOST_HOSTS = 10_000
#: The newest segment gets its index when nothing was written for a second, which is looked for each second.
_REST = 3.0
_LOAD_SENDERS = 4
_LOAD_LINES = 100_000


class _Times:
    """Seconds until the answer had come, of one kind of request."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.rows = 0
        self.wrong: list[str] = []

    def row(
        self, what: str, held: int, *, p50: float | None = None, p99: float | None = None, **more: object
    ) -> dict[str, object]:
        """Figures in milliseconds, beside the goals."""
        found = {
            "p50 ms": percentile(self.seconds, 0.5) * 1000,
            "p99 ms": percentile(self.seconds, 0.99) * 1000,
            "longest ms": max(self.seconds) * 1000,
        }
        goals = [(key, goal) for key, goal in (("p50 ms", p50), ("p99 ms", p99)) if goal is not None]
        return {
            "what": what,
            **found,
            "goal": ", ".join(f"{key.split()[0]} ≤ {goal:g}" for key, goal in goals),
            "reached": "yes" if all(found[key] <= goal for key, goal in goals) else "no",
            "rows held": held,
            "rows in an answer": round(self.rows / len(self.seconds)),
            "samples": len(self.seconds),
            **more,
        }


def run(rows: int, samples: int) -> tuple[list[dict[str, object]], list[str]]:
    """Figures, and what is wrong."""
    figures: list[dict[str, object]] = []
    problems: list[str] = []
    small = Events(_SMALL, _SMALL_HOSTS, int(time.time()) - _RANGE - 60, _RANGE)
    with Daemon({"retention_time": "1000h"}) as daemon:
        fill(daemon, small)
        times = _write(daemon, samples)
        figures.append(times.row("write of one line, idle", _SMALL, p99=10))
        problems += times.wrong
        time.sleep(_REST)
        times = query(daemon, small, samples)
        figures.append(times.row("query, idle", _SMALL, p50=1.5, p99=10))
        problems += times.wrong
        before = sum(daemon.settled())
        block = [lines_of_series(_LOAD_LINES, _SMALL_HOSTS, "load")] * 1000
        with sending(daemon.ports["tcp"], block, _LOAD_SENDERS):
            time.sleep(1.0)
            begun = time.perf_counter()
            at_begin = sum(daemon.settled())
            times = query(daemon, small, max(1, samples // 2), up_to_now=True)
            rate = (sum(daemon.settled()) - at_begin) / (time.perf_counter() - begun)
        held = sum(daemon.settled()) - before + _SMALL
        row = times.row("query, under full ingest", held, p99=50)
        figures.append({**row, "ingest, lines/s": rate})
        problems += times.wrong
    hosts = max(1, min(_MOST_HOSTS, rows // _ROWS_OF_A_HOST))
    large = Events(rows, hosts, int(time.time()) - _RANGE - 60, _RANGE)
    with Daemon({"retention_time": "1000h"}) as daemon:
        fill(daemon, large)
        time.sleep(_REST)
        times = query(daemon, large, samples)
        figures.append(times.row("query, many rows, idle", rows, p99=25))
        problems += times.wrong
    return figures, problems


def fill(daemon: Daemon, events: Events) -> None:
    """Send events until all are stored; ends the program if any is lost."""
    with sending(daemon.ports["tcp"], events):
        while True:
            stored, lost = daemon.settled()
            progress(f"filling: {stored:,} of {events.rows:,}")
            if lost:
                raise SystemExit(f"{lost} lines were rejected or dropped:\n{daemon.log()[-2000:]}")
            if stored >= events.rows:
                return
            time.sleep(0.3)


def _write(daemon: Daemon, samples: int) -> _Times:
    """One line in each request, over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.ports["http"], timeout=60)
    before = daemon.stats()["receivers"]["http"]["stored"]
    times = _Times()
    for number in range(samples):
        body = f'single,cluster=alex,hostname=n00001,type=node event="{{\\"jobId\\": {number}}}"\n'.encode()
        status, text = _ask(times, connection, "/", body)
        if status != 200:
            times.wrong.append(f"a write is answered with {status}: {text[:200]!r}")
            break
        if number % 100 == 99:
            progress(f"writing single lines: {number + 1} of {samples}")
    stored = daemon.stats()["receivers"]["http"]["stored"] - before
    if stored != samples and not times.wrong:
        times.wrong.append(f"{samples} single lines were acknowledged, {stored} are stored")
    return times


def query(daemon: Daemon, events: Events, samples: int, *, up_to_now: bool = False) -> _Times:
    """A host and an event, at random, over half the range; the answers must be right.

    :param up_to_now: take the latter half and all that came since, so that no segment can be skipped for its
        time.
    """
    chance = random.Random(1)
    connection = http.client.HTTPConnection("127.0.0.1", daemon.ports["api"], timeout=60)
    times = _Times()
    half = events.seconds // 2
    for number in range(samples):
        host, name = chance.randrange(events.hosts), chance.choice(NAMES)
        begin = events.begin + (half if up_to_now else chance.randrange(half))
        end = begin + half + (3600 if up_to_now else 0)
        query = {
            "cluster": "alex",
            "from": begin,
            "to": end,
            "queries": [{"event": name, "host": f"n{host:05d}"}],
        }
        status, text = _ask(times, connection, "/api/query", json.dumps(query).encode())
        found = _answer(text) if status == 200 else None
        if found != (wanted := events.expected(host, name, begin, end)):
            times.wrong.append(
                f"{query} is answered with {status} and {'nothing' if found is None else len(found)} rows "
                f"instead of {len(wanted)}, or other ones: {text[:200]!r}"
            )
            if len(times.wrong) > 4:
                break
        times.rows += len(wanted)
        if number % 100 == 99:
            progress(f"querying: {number + 1} of {samples}")
    return times


def _ask(times: _Times, connection: http.client.HTTPConnection, path: str, body: bytes) -> tuple[int, bytes]:
    """One request that is timed, after a short rest."""
    time.sleep(random.uniform(0, 0.003))
    begun = time.perf_counter()
    connection.request("POST", path, body)
    answer = connection.getresponse()
    text = answer.read()
    times.seconds.append(time.perf_counter() - begun)
    return answer.status, text


def _answer(text: bytes) -> list[tuple[int, int]]:
    entry: dict[str, Any] = json.loads(text)["results"][0][0]
    return [(json.loads(row["Event"])["jobId"], row["timestamp"]) for row in entry["data"]]
