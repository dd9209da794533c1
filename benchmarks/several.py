"""Several daemons on one PostgreSQL, one of them killed under load: what is in the database after that."""

from __future__ import annotations

import http.client
import json
import random
import re
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

from attrs import define, field

from benchmarks import nats_load
from benchmarks.daemon import Daemon
from benchmarks.into_postgres import backend
from benchmarks.ledger import Ledger, Offer, content, settle, shortened
from benchmarks.report import figure, progress
from tests.support.postgres_server import Server, newest

#: Seconds after which events expire. A partition of them has a sixteenth of that, so one goes every 19 s;
#: what is sent has to be looked at before it expires itself.
_RETENTION = 300
_GROUP = "several"
_DURABLE = "several"
_LARGEST_BODY = 500
#: Lines that are sent together, and the seconds of rest between those.
_PIECE, _REST = 100, 0.01
#: Seconds for which nothing may move before all is held to have come, and the most that may take: JetStream
#: delivers again what was not acknowledged, after some time.
_STILL, _PATIENCE = 3.0, 150.0
#: Lines by which each daemon is asked for what the others wrote.
_MARKS = 20
_SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "log_min_messages": "warning",
    "log_statement": "ddl",
    "log_line_prefix": "[%p %x] ",
    "max_wal_size": "2GB",
}
#: Process, transaction and what was said.
_SAID = re.compile(r"^\[(\d+) (\d+)\] (\w+):  (.*)", re.MULTILINE)
_DROP = re.compile(r"statement: DROP TABLE IF EXISTS (ccstore_event_\d+)")
#: These are expected: a lock that was not to be had in time, and is tried for again; a partition that another
#: daemon has dropped since it was listed; the server's own upkeep, which makes way for all others.
_EXPECTED = re.compile(
    r'canceling statement due to lock timeout|relation "ccstore_event_\d+" does not exist|autovacuum'
)


@define(eq=False)
class _Load:
    """Senders in threads, until it is over; those of a daemon that is killed end with it.

    :ivar refused: requests that were answered with 503, which may be.
    """

    ledger: Ledger = field(factory=Ledger)
    is_over: threading.Event = field(factory=threading.Event)
    refused: int = 0
    wrong: list[str] = field(factory=list)
    threads: list[threading.Thread] = field(factory=list)

    def start(self, send: Callable[[int, int], None], port: int) -> int:
        """Begin to send to a port; the number of the sender."""
        number = len(self.threads)
        self.threads.append(threading.Thread(target=send, args=(number, port), daemon=True))
        self.threads[-1].start()
        return number

    def start_for(self, daemon: Daemon) -> list[int]:
        """Begin to send to a daemon itself; the numbers of the senders over TCP."""
        for _ in range(2):
            self.start(self.http, daemon.ports["http"])
        return [self.start(self.tcp, daemon.ports["tcp"])]

    def end(self) -> None:
        self.is_over.set()
        for thread in self.threads:
            thread.join()

    def http(self, sender: int, port: int) -> None:
        """One keep-alive connection, each body once."""
        chance = random.Random()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while not self.is_over.wait(_REST):
            offer = self.ledger.offer("HTTP", sender, chance.randint(1, _LARGEST_BODY))
            offer.open += 1
            try:
                connection.request("POST", "/", offer.body())
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                break
            if answer.status == 200:
                offer.open -= 1
                offer.answers += 1
            elif answer.status == 503:
                self.refused += 1
            else:
                self.wrong.append(f"HTTP answers {answer.status}: {text[:200]!r}")
        connection.close()

    def tcp(self, sender: int, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            while not self.is_over.wait(_REST):
                offer = self.ledger.offer("TCP", sender, _PIECE)
                try:
                    connection.sendall(offer.body())
                except OSError:
                    break

    def nats(self, sender: int, port: int) -> None:
        """A message for each line, once the server has taken those before; a stream answers."""
        with nats_load.publisher(port) as publish:
            while not self.is_over.wait(_REST):
                offer = self.ledger.offer("NATS", sender, _PIECE)
                publish(offer.body().splitlines())


@define(eq=False)
class _Books:
    """What the database has, by the numbers of the lines.

    :ivar copies: how often each is there.
    """

    copies: bytearray
    wrong: list[str] = field(factory=list)

    def read(self, server: Server, database: str) -> None:
        with server.connection(database) as connection, connection.cursor() as cursor:
            for kind in ("event", "log"):
                cursor.execute(
                    "SELECT s.kind, s.cluster, s.name, s.hostname, m.othertags, m.text, m.time "
                    f"FROM ccstore_{kind} m JOIN ccstore_stream s ON s.id = m.stream "
                    "WHERE s.cluster <> %s",
                    (_GROUP,),
                )
                for *row, others, text, time_ns in cursor:
                    self._note((*row, _job(others), text), time_ns)

    def _note(self, row: tuple[object, ...], time_ns: int) -> None:
        found = re.match(r"n=(\d+) ", str(row[-1]))
        number = int(found[1]) if found is not None else len(self.copies)
        if number >= len(self.copies):
            self.wrong.append(f"there is a row nobody sent: {row!r}")
            return
        self.copies[number] = min(255, self.copies[number] + 1)
        if row != content(number, time_ns):
            self.wrong.append(f"line {number} is otherwise than it was sent: {row!r}")

    def of(self, offer: Offer) -> bytes:
        return bytes(self.copies[offer.start : offer.start + offer.count])


def run(daemons: int, seconds: float, version: int | None) -> tuple[list[dict[str, object]], list[str]]:
    """Figures, and what is wrong.

    :param daemons: how many, of which one is killed.
    :param seconds: of load before the kill, and again after it.
    """
    program = nats_load.program()
    if program is None:
        raise SystemExit("there is no nats-server here (Debian has it in a package of that name)")
    if daemons < 2:
        raise SystemExit("--daemons has to be 2 or more: one of them is killed")
    rows: list[dict[str, object]] = []
    problems: list[str] = []
    server = Server(version or newest(), _SETTINGS)
    try:
        server.start()
        for name, stream in (("core NATS", False), ("JetStream", True)):
            with tempfile.TemporaryDirectory(prefix="ccstore-benchmark-") as directory:
                found, wrong = _run(server, program, Path(directory), daemons, seconds, stream=stream)
            rows += [{**row, "what": f"{name}: {row['what']}"} for row in found]
            problems += [f"{name}: {problem}" for problem in wrong]
        found, wrong = _retention(server)
        return rows + found, problems + wrong
    finally:
        server.remove()


def _run(
    server: Server, program: str, directory: Path, daemons: int, seconds: float, *, stream: bool
) -> tuple[list[dict[str, object]], list[str]]:
    begun = time.monotonic()
    database = server.new_database()
    with ExitStack() as stack:
        port, monitor = stack.enter_context(nats_load.monitored(program))
        keys: dict[str, object] = {"port": port, "subject": nats_load.SUBJECT, "queue_group": _GROUP}
        if stream:
            nats_load.make_stream(port)
            keys = {
                "port": port,
                "subject": nats_load.SUBJECT,
                "stream": nats_load.STREAM,
                "durable": _DURABLE,
            }

        def start(number: int) -> Daemon:
            place = directory / str(number)
            place.mkdir(exist_ok=True)
            daemon = Daemon(
                {"retention_time": f"{_RETENTION}s", "backend": backend(server, database)},
                place,
                receivers={"nats": keys},
            )
            stack.callback(daemon.stop)
            nats_load.wait_for(daemon)
            return daemon

        running = [start(number) for number in range(daemons)]
        instances = _instances(running)
        load = _Load()
        stack.callback(load.end)
        load.start(load.nats, port)
        of_killed = load.start_for(running[0])
        for daemon in running[1:]:
            load.start_for(daemon)
        progress(f"load for {seconds:g} s on {daemons} daemons")
        time.sleep(seconds)
        problems = _see_each_other(running, "before")

        progress("kill -9 of one")
        killed, *survivors = running
        killed_at = time.time_ns()
        killed.kill()
        nats_load.until_connected(monitor, daemons - 1)
        after = load.ledger.lines  # what has a number from here on was published when it was gone
        time.sleep(seconds / 2)
        problems += _see_each_other(survivors, "after")
        running = [start(0), *survivors]
        instances += _instances(running[:1])
        load.start_for(running[0])
        time.sleep(seconds / 2)
        problems += _see_each_other(running, "again")
        load.end()
        progress("waiting until all is stored")
        copies = _settle(running, load, server, database, stream=stream)
        for number, daemon in enumerate(running):
            log = daemon.log()
            if "Traceback" in log:
                problems.append(f"the log of daemon {number} has a traceback: {log[-2000:]}")
    if time.monotonic() - begun > _RETENTION - 10:
        raise SystemExit("this took so long that what was sent has expired: try again with fewer --seconds")
    if len(set(instances)) != daemons + 1:
        problems.append(f"the instance ids in /api/stats are not one for each daemon: {instances}")
    problems += [*shortened(load.wrong), *shortened(copies.wrong)]
    rows, wrong = _compare(load, copies, after, killed_at, of_killed, stream=stream)
    server.drop_database(database)
    return rows, problems + wrong


def _settle(running: Sequence[Daemon], load: _Load, server: Server, database: str, *, stream: bool) -> _Books:
    """Wait until nothing moves, and until a stream has delivered again what is missing."""
    last: object = None
    begun = still = time.monotonic()
    while True:
        now = [daemon.settled() for daemon in running]
        waiting = sum(
            account["waiting"] for daemon in running for account in daemon.stats()["receivers"].values()
        )
        if now != last or waiting:
            last, still = now, time.monotonic()
        elif time.monotonic() - still > _STILL:
            books = _Books(bytearray(load.ledger.lines))
            books.read(server, database)
            late = time.monotonic() - begun > _PATIENCE
            if (
                late
                or not stream
                or all(all(books.of(offer)) for offer in load.ledger.offers if offer.way == "NATS")
            ):
                return books
            still = time.monotonic()
        time.sleep(0.2)


def _compare(
    load: _Load, books: _Books, after: int, killed_at: int, of_killed: Sequence[int], *, stream: bool
) -> tuple[list[dict[str, object]], list[str]]:
    """What was sent, beside what is there."""
    offers = {
        way: [offer for offer in load.ledger.offers if offer.way == way] for way in ("HTTP", "TCP", "NATS")
    }
    problems: list[str] = []
    for offer in offers["HTTP"]:
        problems += settle(offer, books.of(offer))
    problems = shortened(problems)

    lost_tcp = 0
    for sender, group in groupby(sorted(offers["TCP"], key=_sender), key=_sender):
        there = b"".join(map(books.of, group))
        if max(there, default=0) > 1:
            problems.append(f"lines of the TCP connection {sender} are there more than once")
        missing = there.count(0)
        if sender in of_killed:
            lost_tcp += missing
            if there.rstrip(b"\0").count(0):
                problems.append(f"the TCP connection {sender}, of the killed daemon, has a gap")
        elif missing:
            problems.append(f"{missing} lines of the TCP connection {sender} are missing")

    before = [offer for offer in offers["NATS"] if offer.start < after]
    later = b"".join(books.of(offer) for offer in offers["NATS"] if offer.start >= after)
    earlier = b"".join(map(books.of, before))
    lost = earlier.count(0)
    again = sum(copies - 1 for copies in earlier + later if copies > 1)
    # JetStream delivers again what was stored when the daemon died and not acknowledged yet.
    if again and not stream:
        problems.append(f"{again} NATS messages are there more than once")
    if later.count(0):
        problems.append(f"{later.count(0)} NATS messages are missing that came after the kill")
    if stream and any(copies > 1 for copies in later):
        problems.append("NATS messages that came after the kill are there more than once")
    if stream and lost:
        problems.append(f"{lost} messages of the stream are missing")
    odd = [offer for offer in before if set(books.of(offer)) != {1}]
    oldest = max(((killed_at - offer.time_ns) / 1e9 for offer in odd), default=0.0)
    unanswered = [offer for offer in offers["HTTP"] if not offer.answers]
    rows = [
        figure(
            "HTTP lines acknowledged", sum(offer.count * offer.answers for offer in offers["HTTP"]), "lines"
        ),
        figure("bodies without an answer", len(unanswered), "bodies"),
        figure("of these stored", sum(1 for offer in unanswered if offer.copies), "bodies"),
        figure("answered with 503", load.refused, "bodies"),
        figure("TCP lines sent", sum(offer.count for offer in offers["TCP"]), "lines"),
        figure("lost with the killed daemon, TCP", lost_tcp, "lines"),
        figure("messages before the kill", len(earlier), "messages"),
        figure("messages after the kill", len(later), "messages"),
        figure("messages lost with the killed daemon", lost, "messages", at_most=0 if stream else None),
        figure("messages stored more than once", again, "messages", at_most=None if stream else 0),
    ]
    what = "twice" if stream else "lost"
    rows.append(figure(f"the oldest that was {what}, before the kill", max(0.0, oldest), "s"))
    return rows, problems


def _see_each_other(running: Sequence[Daemon], when: str) -> list[str]:
    """Write to each, and ask all of them for it once it is acknowledged."""
    problems = []
    for writer, daemon in enumerate(running):
        now = time.time_ns()
        host, texts = f"n{writer}-{when}", [f"mark {number}" for number in range(_MARKS)]
        body = "".join(
            f'job,cluster={_GROUP},hostname={host},type=node event="{text}" {now + number}\n'
            for number, text in enumerate(texts)
        )
        status, said = _post(daemon.ports["http"], "/", body)
        if status not in (200, 503):
            problems.append(f"HTTP answers {status}: {said!r}")
        if status != 200:
            continue
        query = {
            "cluster": _GROUP,
            "from": now // 10**9 - 60,
            "to": now // 10**9 + 60,
            "queries": [{"event": "job", "host": host}],
        }
        for reader, asked in enumerate(running):
            status, said = _post(asked.ports["api"], "/api/query", json.dumps(query))
            found = (
                [row["Event"] for row in json.loads(said)["results"][0][0]["data"]] if status == 200 else None
            )
            if found != texts:
                problems.append(
                    f"daemon {reader} does not see what daemon {writer} has acknowledged, {when} the kill: "
                    f"{status} {said[:200]!r}"
                )
    return problems


def _post(port: int, path: str, body: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, body.encode())
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _instances(running: Sequence[Daemon]) -> list[str]:
    return [str(daemon.stats()["ccstore"]["instance"]) for daemon in running]


def _retention(server: Server) -> tuple[list[dict[str, object]], list[str]]:
    """By the log of the server: each partition is dropped once, by one transaction after the other."""
    log = (server.directory / "log").read_text(errors="replace")
    problems: list[str] = []
    processes: set[str] = set()
    dropped = given_up = 0
    # Tables of a database have the names of those of another one.
    for part in log.split("CREATE DATABASE ")[1:]:
        lines = _SAID.findall(part)
        failed = {transaction for _, transaction, level, _ in lines if level == "ERROR"} - {"0"}
        errors = [f"{level}: {text}" for _, _, level, text in lines if level in ("ERROR", "FATAL", "PANIC")]
        problems += shortened([f"PostgreSQL says {text}" for text in errors if not _EXPECTED.search(text)])
        drops = [
            (process, transaction, found[1])
            for process, transaction, _, text in lines
            if (found := _DROP.search(text)) is not None
        ]
        done = [(process, table) for process, transaction, table in drops if transaction not in failed]
        tables = [table for _, table in done]
        problems += [f"{table} was dropped twice" for table in sorted(set(tables)) if tables.count(table) > 1]
        turns = [transaction for transaction, _ in groupby(transaction for _, transaction, _ in drops)]
        if len(set(turns)) != len(turns):
            problems.append(f"two daemons dropped partitions at the same time: {drops}")
        processes |= {process for process, _ in done}
        dropped += len(done)
        given_up += len(drops) - len(done)
    return [
        figure("retention: partitions dropped", dropped, "tables", at_least=1),
        figure("retention: connections that did so", len(processes), "connections"),
        figure("retention: given up for a lock, and tried again", given_up, "tables"),
    ], problems


def _sender(offer: Offer) -> int:
    return offer.sender


def _job(others: str | None) -> str | None:
    tags: Mapping[str, str] = {} if others is None else json.loads(others)
    return tags.get("jobid")
