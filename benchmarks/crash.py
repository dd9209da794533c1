"""kill -9, or SIGTERM, at random moments under load, and what is in the file after it."""

from __future__ import annotations

import http.client
import random
import re
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from attrs import define, field

from benchmarks.audit import Audit, snapshot
from benchmarks.daemon import Daemon
from benchmarks.ledger import Ledger, Offer, Reading, settle, shortened
from benchmarks.report import percentile, progress

_LARGEST_BODY = 2000
_PIECE = 500
_DATAGRAM = 20
_DATAGRAMS_PER_SECOND = 500
#: Seconds of load before the signal, at random between these.
_LOAD = (0.02, 1.2)
_STOP_WITHIN = 10.0
#: Seconds after which nothing more is expected to change in a database at rest, and the most it may take.
_QUIET, _MOST_REST = 3.0, 60.0
#: Of so many bodies, one is sent again after it was acknowledged.
_AGAIN = 20
_SUMMARY = re.compile(
    r"(tcp|udp|http): (\d+) received, (\d+) stored, (\d+) rejected, (\d+) dropped, (\d+) waiting"
)


@define(eq=False)
class _Load:
    """Senders in threads, until the daemon is gone.

    :ivar bad_answers: statuses other than 200, which nobody should see here.
    """

    ledger: Ledger
    ports: Mapping[str, int]
    is_over: threading.Event = field(factory=threading.Event)
    bad_answers: list[str] = field(factory=list)
    threads: list[threading.Thread] = field(factory=list)

    def start(self, send: Callable[[int], None], senders: int) -> None:
        for _ in range(senders):
            number = len(self.threads)
            thread = threading.Thread(target=send, args=(number,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def end(self) -> None:
        self.is_over.set()
        for thread in self.threads:
            thread.join()

    def http(self, sender: int) -> None:
        """One keep-alive connection; what was acknowledged is sent again at times, and counts twice."""
        chance = random.Random()
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["http"], timeout=60)
        offer: Offer | None = None
        while not self.is_over.is_set():
            if offer is None or not offer.answers or chance.randrange(_AGAIN):
                largest = chance.choice((10, _LARGEST_BODY, _LARGEST_BODY))
                offer = self.ledger.offer("HTTP", sender, chance.randint(1, largest))
            body = offer.body()
            offer.open += 1
            try:
                connection.request("POST", "/", body)
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                break
            if answer.status == 200:
                offer.open -= 1
                offer.answers += 1
            else:
                self.bad_answers.append(f"HTTP answers {answer.status}: {text[:200]!r}")
        connection.close()

    def tcp(self, sender: int) -> None:
        """One connection at full speed."""
        with socket.create_connection(("127.0.0.1", self.ports["tcp"])) as connection:
            while not self.is_over.is_set():
                offer = self.ledger.offer("TCP", sender, _PIECE)
                offer.open += 1
                try:
                    connection.sendall(offer.body())
                except OSError:
                    break

    def udp(self, sender: int) -> None:
        """Datagrams of several lines, at a rate that should not be too much."""
        chance = random.Random()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
            connection.connect(("127.0.0.1", self.ports["udp"]))
            while not self.is_over.wait(1 / _DATAGRAMS_PER_SECOND):
                offer = self.ledger.offer("UDP", sender, chance.randint(1, _DATAGRAM))
                offer.open += 1
                try:
                    connection.send(offer.body())
                except OSError:
                    break


@define(eq=False)
class _Books:
    """Everything that was sent, and the database it must be in."""

    database: Path
    retention: float | None
    ledger: Ledger = field(factory=Ledger)
    reading: Reading = field(factory=Reading)
    audit: Audit = field(factory=Audit)
    settled: int = 0  # offers that were looked at

    def check(self, *, everything: bool = False) -> list[str]:
        """Look at what is new, or at everything again; returns what is wrong."""
        before = self.reading.copies
        if everything:
            self.reading = Reading()
            self.audit.forget()
            self.settled = 0
        # What is as old as this may be gone by the time it is looked at.
        cutoff = time.time_ns() - int(self.retention * 1e9) if self.retention is not None else 0
        with snapshot(self.database) as connection:
            found = self.audit.problems(connection)
            found += self.reading.read(connection, self.ledger.lines)
        wrong: list[str] = []
        for offer in self.ledger.offers[self.settled :]:
            if offer.way == "HTTP":
                is_old = self.retention is not None and offer.time_ns <= cutoff + 10**9
                wrong += settle(offer, self.reading.of(offer, logs_only=is_old))
        self.settled = len(self.ledger.offers)
        if everything and self.retention is None and self.reading.copies != before:
            found.append("lines that were there after their round are not there at the end, or more often")
        return found + shortened(wrong)


def run(rounds: int, *, term: bool, retention: float | None) -> tuple[list[dict[str, object]], list[str]]:
    """So many rounds on one file; returns figures and what is wrong.

    :param term: end with SIGTERM under TCP, UDP and HTTP, instead of kill -9 under HTTP.
    :param retention: seconds after which events expire; None for never, as far as this goes.
    """
    storage = {"retention_time": "1000h" if retention is None else f"{retention:g}s"}
    with tempfile.TemporaryDirectory(prefix="ccstore-benchmark-") as name:
        directory = Path(name)
        books = _Books(directory / "ccstore.db", retention)
        rows, problems = (_terminate if term else _kill)(books, directory, storage, rounds)
        progress("checking everything once more")
        problems += books.check(everything=True)
        size = books.database.stat().st_size / 1e6
    return [
        *rows,
        {"what": "rows in the file", "figure": books.reading.rows},
        _row("file MB", size),
    ], problems


def _kill(
    books: _Books, directory: Path, storage: Mapping[str, object], rounds: int
) -> tuple[list[dict[str, object]], list[str]]:
    chance = random.Random()
    problems: list[str] = []
    starts: list[float] = []
    daemon = Daemon(storage, directory)
    for number in range(1, rounds + 1):
        load = _Load(books.ledger, daemon.ports)
        load.start(load.http, chance.randint(2, 8))
        time.sleep(chance.uniform(*_LOAD))
        if daemon.process.poll() is not None:
            problems.append(f"round {number}: the daemon has ended by itself:\n{daemon.log()[-2000:]}")
        daemon.kill(wholly=number % 2 == 0)
        load.end()
        begun = time.perf_counter()
        daemon = Daemon(storage, directory)
        starts.append(time.perf_counter() - begun)
        found = [*shortened(load.bad_answers), *books.check(), *_complaints(daemon)]
        problems += [f"round {number}: {problem}" for problem in found]
        progress(f"round {number} of {rounds}: {books.reading.rows:,} rows, {len(problems)} problems")
    progress("waiting until nothing is merged any more")
    _rest(books.database)
    daemon.kill()
    offers = books.ledger.offers
    unanswered = [offer for offer in offers if offer.open]
    rows = [
        {"what": "rounds", "figure": rounds},
        {"what": "bodies acknowledged", "figure": sum(offer.answers for offer in offers)},
        {"what": "lines acknowledged", "figure": sum(offer.answers * offer.count for offer in offers)},
        {"what": "bodies without an answer", "figure": len(unanswered)},
        {
            "what": "of these in the file",
            "figure": sum((offer.copies or 0) > offer.answers for offer in unanswered),
        },
        _row("start after the kill, s, median", percentile(starts, 0.5)),
        _row("start after the kill, s, longest", max(starts)),
    ]
    return rows, problems


def _rest(database: Path) -> None:
    """Wait until the tables of the database stay as they are."""
    tables: list[object] = []
    quiet = time.monotonic()
    for _ in range(round(_MOST_REST / _QUIET * 10)):
        before = tables
        with snapshot(database) as connection:
            tables = connection.execute("SELECT name, rootpage FROM sqlite_schema ORDER BY name").fetchall()
            merging = connection.execute("SELECT 1 FROM segment WHERE kind = 'merging'").fetchall()
        if tables != before or merging:
            quiet = time.monotonic()
        if time.monotonic() - quiet > _QUIET:
            return
        time.sleep(_QUIET / 10)


def _terminate(
    books: _Books, directory: Path, storage: Mapping[str, object], rounds: int
) -> tuple[list[dict[str, object]], list[str]]:
    chance = random.Random()
    problems: list[str] = []
    stops: list[float] = []
    counters: dict[str, list[int]] = {}
    sent = dict.fromkeys(("tcp", "udp", "http"), 0)
    for number in range(1, rounds + 1):
        first = len(books.ledger.offers)
        daemon = Daemon(storage, directory)
        load = _Load(books.ledger, daemon.ports)
        load.start(load.http, 3)
        load.start(load.tcp, 2)
        load.start(load.udp, 1)
        time.sleep(chance.uniform(*_LOAD))
        stops.append(daemon.stop())
        load.end()
        summaries = {
            name: [int(figure) for figure in figures] for name, *figures in _SUMMARY.findall(daemon.log())
        }
        found = [*shortened(load.bad_answers), *_complaints(daemon), *books.check()]
        if stops[-1] > _STOP_WITHIN:
            found.append(f"the stop took {stops[-1]:.1f} s")
        if daemon.process.returncode != -signal.SIGTERM:
            found.append(f"the daemon ended with {daemon.process.returncode}")
        offers = books.ledger.offers[first:]
        found += _closing(offers, summaries, books.reading)
        problems += [f"round {number}: {problem}" for problem in found]
        for name, figures in summaries.items():
            total = counters.setdefault(name, [0] * len(figures))
            counters[name] = [old + new for old, new in zip(total, figures, strict=True)]
        for offer in offers:
            sent[offer.way.lower()] += offer.count * (offer.answers + offer.open)
        progress(f"round {number} of {rounds}: {books.reading.rows:,} rows, {len(problems)} problems")
    rows: list[dict[str, object]] = [
        {"what": "rounds", "figure": rounds},
        _row("stop, s, median", percentile(stops, 0.5)),
        _row("stop, s, longest", max(stops), goal=f"≤ {_STOP_WITHIN:g}"),
    ]
    for name, figures in counters.items():
        rows.append({"what": f"{name}: lines given to the kernel", "figure": sent[name]})
        for what, value in zip(
            ("received", "stored", "rejected", "dropped", "waiting"), figures, strict=True
        ):
            rows.append({"what": f"{name}: {what}", "figure": value})
    return rows, problems


def _closing(offers: Sequence[Offer], summaries: Mapping[str, Sequence[int]], reading: Reading) -> list[str]:
    """Compare the closing counters of one round with what it brought into the file."""
    found = []
    streams = 0
    for way in ("TCP", "UDP", "HTTP"):
        there = [(offer, reading.of(offer)) for offer in offers if offer.way == way]
        rows = sum(sum(copies) for _, copies in there)
        received, stored, rejected, dropped, waiting = summaries.get(way.lower(), (0, 0, 0, 0, 0))
        if received != stored + rejected + dropped + waiting or waiting:
            found.append(f"the books of {way} do not balance: {summaries[way.lower()]}")
        if stored != rows:
            found.append(f"{way} says {stored} lines are stored, and {rows} are there")
        if way != "HTTP" and any(max(copies) > 1 for _, copies in there):
            found.append(f"{way}: lines are there more than once")
        if way == "TCP":
            for sender, parts in groupby(sorted(there, key=_sender), key=_sender):
                streams += 1
                whole = b"".join(copies for _, copies in parts)
                if whole.rstrip(b"\0").count(b"\0"):
                    found.append(f"TCP connection {sender} has a gap in what is stored")
        # A connection that is closed may end in the middle of a line; nothing else is wrong with these.
        if rejected > (streams if way == "TCP" else 0) or (dropped and way != "UDP"):
            found.append(f"{way} has lines rejected or dropped: {summaries[way.lower()]}")
    return found


def _sender(part: tuple[Offer, bytes]) -> int:
    return part[0].sender


def _complaints(daemon: Daemon) -> list[str]:
    """Mistakes in the daemon's log."""
    log = daemon.log()
    mistakes = [
        line for line in log.splitlines() if "Traceback" in line or re.search(r" (error|critical): ", line)
    ]
    return [f"the log has: {line[:300]}" for line in shortened(mistakes)]


def _row(what: str, value: float, **more: object) -> dict[str, object]:
    return {"what": what, "figure": float(value), **more}
