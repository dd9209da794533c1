"""How fast the reading side answers, over a month of messages."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from benchmarks.asker import Asker, beside, median_and_p99
from benchmarks.daemon import Daemon
from benchmarks.events import sending
from benchmarks.month import CLUSTERS, COMMON, DAY, RARE, RARE_ROWS, REGEX, Month, host_name
from benchmarks.packed_month import pack_month
from benchmarks.peers import Loki, Peer, VictoriaLogs, compare
from benchmarks.report import percentile, progress

if TYPE_CHECKING:
    from benchmarks.into_postgres import Held

#: Long enough that nothing of the month expires.
_STORAGE: Final = {"retention_time": "10000h"}
#: What takes longer than it should still has a figure.
_API: Final = {"query_timeout": "600s"}
_ROWS: Final = 10_000_000
_ROWS_IN_POSTGRES: Final = 1_000_000
#: Of a month with fewer, many hosts have nothing on a day.
_ROWS_OF_ALL_DAYS: Final = 1_000_000
_QUICK_SAMPLES: Final = 300
_SLOW_SAMPLES: Final = 5
_EXPORTED: Final = 1_000_000
_TAILS: Final = 200
_TAIL_RATE: Final = 100_000
#: Seconds after which no merge is under way any more.
_MERGE_TIME: Final = 40.0
#: Seconds that each rate is measured.
_RATE_TIME: Final = 8.0
_PIECE: Final = 1000

Row = dict[str, object]


class _Store(Protocol):
    """Where the month is."""

    def settle(self, daemon: Daemon) -> None:
        """Wait until it is in the order in which it stays."""

    def size(self, daemon: Daemon) -> float:
        """MB that it takes."""


def run(
    rows: int | None,
    *,
    keep: Path | None = None,
    use: Path | None = None,
    is_postgres: bool = False,
    text_index: bool = False,
    is_packed: bool = False,
    is_table: bool = False,
    victorialogs: str | None = None,
    victorialogs_by_name: str | None = None,
    loki: str | None = None,
) -> tuple[list[Row], list[str]]:
    """Figures, and what is wrong.

    :param rows: if None, 10 million, or a tenth of that in PostgreSQL, which takes longer to read them all.
    :param keep: a directory that gets the database, for other runs.
    :param use: such a directory.
    :param text_index: of PostgreSQL, see the configuration.
    :param is_packed: all is packed before it is read; in PostgreSQL all logs.
    :param is_table: only what others are asked as well is asked.
    :param victorialogs: the URL of one that is asked the same, as is ``loki``; it has streams of hosts, and
        ``victorialogs_by_name`` is one that has fewer.
    """
    if rows is None:
        rows = _ROWS_IN_POSTGRES if is_postgres else _ROWS
    month = Month(rows, (int(time.time()) // DAY - 30) * DAY)
    store: _Store = _File()
    held: Held | None = None
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ccstore-month-")))
        storage: dict[str, object] = dict(_STORAGE)
        if is_postgres:
            # It takes packages that the others can do without.
            from benchmarks import into_postgres

            store = held = stack.enter_context(into_postgres.Held(text_index=text_index))
            storage["backend"] = held.backend
            if is_packed:
                # With partitions of a day, which are packed later on.
                storage["pack_after"] = "90000h"
        elif use is not None:
            month = Month(rows, int((use / "begin").read_text()))
            progress(f"copying {use}")
            # What the measurements write must not be in the next ones.
            shutil.copyfile(use / "ccstore.db", directory / "ccstore.db")
        figures: list[Row] = []
        if use is None:
            with Daemon(storage, directory) as daemon:
                figures.append(_fill(daemon, month, store))
            if keep is not None and not is_postgres:
                keep.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(directory / "ccstore.db", keep / "ccstore.db")
                (keep / "begin").write_text(str(month.begin))
        if is_packed:
            figures += [pack_month(directory / "ccstore.db")] if held is None else held.pack(directory)
        with Daemon(storage, directory, api=_API) as daemon:
            progress("waiting until the daemon has little to do")
            daemon.wait_for_rest()
            others: list[Peer] = []
            if victorialogs is not None:
                others.append(VictoriaLogs(victorialogs, month, ("cluster", "hostname", "name")))
            if victorialogs_by_name is not None:
                others.append(VictoriaLogs(victorialogs_by_name, month, ("cluster", "name")))
            if loki is not None:
                others.append(Loki(loki, month))
            if others or is_table:
                return compare(daemon.ports["api"], month, others), []
            measured = _Measured(daemon, month)
            for measure in (
                measured.quick,
                measured.search,
                measured.count,
                measured.export,
                measured.beside_ingest,
                measured.tails,
            ):
                figures += measure()
    return figures, measured.wrong


def _fill(daemon: Daemon, month: Month, store: _Store) -> Row:
    """Send all over TCP until it is stored, and wait until the store is in order."""
    begun = time.perf_counter()
    with sending(daemon.ports["tcp"], month):
        stored = 0
        while stored < month.rows:
            time.sleep(0.5)
            stored, lost = daemon.settled()
            progress(f"filling: {stored:,} of {month.rows:,}")
            if lost:
                raise SystemExit(f"{lost} lines were rejected or dropped:\n{daemon.log()[-2000:]}")
    seconds = time.perf_counter() - begun
    memory = daemon.memory()
    store.settle(daemon)
    return {
        "what": f"filling, {month.rows:,} rows",
        "figure": month.rows / seconds,
        "unit": "rows/s",
        "more": f"{store.size(daemon) * 1e6 / month.rows:.0f} bytes a row, {memory:.0f} MB of memory",
    }


class _File:
    """A file of SQLite."""

    def settle(self, daemon: Daemon) -> None:
        """Wait until no segments are merged any more; each merge takes a while."""
        segments, since = -1, time.monotonic()
        while time.monotonic() - since < _MERGE_TIME:
            found = daemon.stats()["backend"]["status"].get("segments")
            if found != segments:
                segments, since = found, time.monotonic()
                progress(f"merging: {segments} segments")
            time.sleep(0.5)

    def size(self, daemon: Daemon) -> float:
        """MB, without its write-ahead log."""
        return daemon.file_size()


class _Measured:
    """The measurements, one after the other, of a daemon that has the month.

    :ivar wrong: what was answered wrongly.
    """

    def __init__(self, daemon: Daemon, month: Month) -> None:
        self._daemon = daemon
        self._month = month
        self._asker = Asker(daemon.ports["api"])
        self._chance = random.Random(5)
        self._range = {"from": month.begin, "to": month.end}
        self.wrong: list[str] = []

    # -- pages

    def quick(self) -> list[Row]:
        """Pages that are answered at once."""

        def host(_: int) -> float:
            return self._rows(limit=100, host=self._host())

        def cluster(_: int) -> float:
            return self._rows(limit=100, cluster=self._chance.choice(CLUSTERS))

        def day(_: int) -> float:
            begin = self._month.begin + self._chance.randrange(29) * DAY
            asked = {"limit": 1000, "host": self._host(), "from": begin, "to": begin + DAY}
            return self._rows(is_there=self._month.rows >= _ROWS_OF_ALL_DAYS, **asked)

        def common(_: int) -> float:
            return self._rows(limit=100, text=COMMON)

        return [
            self._times("newest 100 of one host", host, _QUICK_SAMPLES, p99=10),
            self._times("newest 100 of a cluster", cluster, _QUICK_SAMPLES, p99=20),
            self._times("one host, one day", day, _QUICK_SAMPLES, p99=20),
            self._times("newest 100 with a word that is everywhere", common, _QUICK_SAMPLES // 3, p99=50),
        ]

    def search(self) -> list[Row]:
        """What has to look at everything."""
        figures = []
        first: list[float] = []

        def rare(_: int) -> float:
            answer = self._asker.ask("messages", text=RARE, format="ndjson")
            first.append(answer.first)
            self._expect("a rare word", answer.body.count(b"\n"), RARE_ROWS)
            return answer.seconds

        row = self._times("a rare word in everything", rare, _SLOW_SAMPLES, p99=1500)
        figures.append({**row, "more": f"first hit after {statistics.median(first) * 1000:.0f} ms"})
        found = []

        def regex(_: int) -> float:
            answer = self._asker.ask("messages", regex=REGEX, limit=10_000)
            found.append(len(answer.json["messages"]))
            return answer.seconds

        row = self._times("regular expression over everything", regex, 3, p99=6000)
        figures.append({**row, "more": f"{found[0]} hits"})
        figures += self._parts_of_texts()
        with beside(_honest(self._month), self._daemon.ports["api"]) as honest:
            regex(0)
        figures.append(_row("a query of a host beside it", honest, p99=50))
        return figures

    def _parts_of_texts(self) -> list[Row]:
        """A job, a part of a word that is in ten texts, and who says something most often."""

        def job(_: int) -> float:
            number = self._chance.randrange(100_000, 100_000 + 100 * self._month.hosts // 8)
            return self._rows(limit=1000, text=f"job {number} ", kind="log", is_there=False)

        def part(_: int) -> float:
            answer = self._asker.ask("messages", text=RARE[2:-2], format="ndjson")
            self._expect("a part of a rare word", answer.body.count(b"\n"), RARE_ROWS)
            return answer.seconds

        def top(_: int) -> float:
            asked = {"text": "not responding, retry 19", "limit": 10, **self._range}
            return self._asker.ask("values/host", **asked).seconds

        return [
            self._times("what a job logged", job, _SLOW_SAMPLES, p99=1500),
            self._times("a part of a word in everything", part, _SLOW_SAMPLES, p99=1500),
            self._times("top 10 hosts of a phrase", top, _SLOW_SAMPLES, p99=6000),
        ]

    def count(self) -> list[Row]:
        """Counts."""

        def histogram(by: str) -> Callable[[int], float]:
            def ask(_: int) -> float:
                answer = self._asker.ask("histogram", by=by, top=10, **self._range)
                self._expect(f"the histogram by {by}", answer.json["total"], self._month.rows)
                return answer.seconds

            return ask

        def values(_: int) -> float:
            answer = self._asker.ask("values/host", limit=100_000, **self._range)
            total = sum(each["count"] for each in answer.json["values"])
            self._expect("values of host", total, self._month.rows)
            return answer.seconds

        return [
            self._times("histogram of 30 days by name", histogram("name"), _SLOW_SAMPLES, p99=300),
            self._times("histogram of 30 days by host, top 10", histogram("host"), _SLOW_SAMPLES, p99=300),
            self._times("values of host with counts", values, _SLOW_SAMPLES, p99=100),
        ]

    def export(self) -> list[Row]:
        """A million rows, with somebody else beside it."""
        before = self._daemon.memory("VmRSS")
        wanted = min(_EXPORTED, self._month.rows)
        alone, lines = self._asker.swallow("messages", format="ndjson", limit=wanted)
        self._expect("rows of an export", lines, wanted)
        with beside(_honest(self._month), self._daemon.ports["api"]) as honest:
            seconds, _ = self._asker.swallow("messages", format="ndjson", limit=wanted)
        growth = self._daemon.memory() - before
        return [
            {
                "what": f"{wanted:,} rows as NDJSON",
                "figure": wanted / alone,
                "unit": "rows/s",
                "goal": "≥ 100,000",
                "reached": _yes(wanted / alone >= 100_000),
                "more": f"{wanted / seconds:,.0f} with queries beside it; memory {before:.0f} MB, "
                f"at most {growth:.0f} MB more",
            },
            _row("a query of a host beside it", honest, p99=50),
        ]

    # -- beside what comes in

    def beside_ingest(self) -> list[Row]:
        """Lines at full speed, alone and with a search over everything again and again."""

        def regex(asker: Asker, _: int) -> float:
            return asker.ask("messages", regex=REGEX, limit=10_000, to=self._month.end).seconds

        with self._flood():
            alone = self._rate()
            with beside(regex, self._daemon.ports["api"]) as searches:
                searching = self._rate()
            again = self._rate()
        alone = (alone + again) / 2
        more = f"{searching:,.0f} lines/s instead of {alone:,.0f}"
        if searches:
            more += f"; a search takes {statistics.median(searches):.1f} s"
        return [
            _share("lines that come in at full speed beside regular expressions", searching, alone, 0.9, more)
        ]

    @contextmanager
    def _flood(self, rate: float | None = None) -> Iterator[None]:
        context = multiprocessing.get_context("fork")
        sender = context.Process(target=_send, args=(self._daemon.ports["tcp"], rate), daemon=True)
        sender.start()
        time.sleep(2)
        try:
            yield
        finally:
            sender.terminate()
            sender.join()
            self._drain()

    def _drain(self) -> None:
        before = -1
        while (now := sum(self._daemon.settled())) != before:
            before = now
            time.sleep(1)

    def _rate(self) -> float:
        """Lines a second that are stored."""
        begun, before = time.perf_counter(), sum(self._daemon.settled())
        time.sleep(_RATE_TIME)
        return (sum(self._daemon.settled()) - before) / (time.perf_counter() - begun)

    def tails(self) -> list[Row]:
        """Many who follow a host each."""
        with self._flood(_TAIL_RATE):
            alone = self._rate()
        with _Followers(self._daemon.ports["api"]) as followers, self._flood(_TAIL_RATE):
            followed = self._rate()
        delays = followers.delays
        row: Row = {"what": f"{_TAILS} tails, delay of a message", "more": f"{len(delays):,} messages"}
        if delays:
            row |= median_and_p99(delays)
            worst = max(delays) * 1000
            row |= {"goal": "longest ≤ 1,000", "reached": _yes(worst <= 1000)}
            row["more"] = f"longest {worst:,.0f} ms, {len(delays):,} messages, {followers.gaps} gaps"
        more = f"{followed:,.0f} lines/s instead of {alone:,.0f}, of {_TAIL_RATE:,} that are sent"
        return [row, _share("lines that come in beside tails", followed, alone, 0.8, more)]

    # -- what they share

    def _host(self) -> str:
        return host_name(self._chance.randrange(self._month.hosts))

    def _rows(self, *, is_there: bool = True, **parameters: object) -> float:
        answer = self._asker.ask("messages", **parameters)
        if is_there and not answer.json["messages"]:
            self.wrong.append(f"nothing is found with {parameters}")
        return answer.seconds

    def _expect(self, what: str, found: int, wanted: int) -> None:
        if found != wanted:
            self.wrong.append(f"{what}: {found} instead of {wanted}")

    def _times(self, what: str, ask: Callable[[int], float], samples: int, *, p99: float) -> Row:
        ask(0)  # warm
        seconds = []
        for number in range(samples):
            if number % 50 == 0:
                progress(f"{what}: {number + 1} of {samples}")
            seconds.append(ask(number))
            if sum(seconds) > 60:
                break
        return _row(what, seconds, p99=p99)


def _honest(month: Month) -> Callable[[Asker, int], float]:
    """Asks for the newest of a host."""
    chance = random.Random(9)
    return lambda asker, _: (
        asker.ask("messages", limit=100, host=host_name(chance.randrange(month.hosts))).seconds
    )


def _row(what: str, seconds: list[float], *, p99: float) -> Row:
    found = median_and_p99(seconds)
    reached = percentile(seconds, 0.99) * 1000 <= p99
    return {"what": what, **found, "goal": f"p99 ≤ {p99:,g}", "reached": _yes(reached)}


def _share(what: str, beside: float, alone: float, least: float, more: str) -> Row:
    share = beside / alone
    goal = {"goal": f"≥ {least:g}", "reached": _yes(share >= least)}
    return {"what": what, "figure": share, "unit": "of those alone", **goal, "more": more}


def _yes(is_reached: bool) -> str:
    return "yes" if is_reached else "no"


def _send(port: int, rate: float | None) -> None:
    """Lines with the time of now in their texts, as fast as they are taken or so many a second."""
    chance = random.Random(3)
    hosts = [host_name(chance.randrange(2000)) for _ in range(100 * _PIECE)]
    lines = [f'flood,cluster=alex,hostname={host},type=node log="sent at @ by a sender"' for host in hosts]
    pieces = ["\n".join(lines[start : start + _PIECE]) + "\n" for start in range(0, len(lines), _PIECE)]
    begun = time.perf_counter()
    number = 0
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while True:
            connection.sendall(pieces[number % len(pieces)].replace("@", str(time.time())).encode())
            number += 1
            if rate is not None:
                time.sleep(max(0.0, begun + number * _PIECE / rate - time.perf_counter()))


class _Followers:
    """A process that follows a host in each of its connections.

    :ivar delays: seconds from when a message was sent to when it was seen.
    :ivar gaps: that the followers were told of.
    """

    def __init__(self, port: int) -> None:
        context = multiprocessing.get_context("fork")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_follow, args=(port, there), daemon=True)
        self.delays: Sequence[float] = []
        self.gaps = 0

    def __enter__(self) -> _Followers:
        self._process.start()
        self._here.recv()
        return self

    def __exit__(self, *why: object) -> None:
        self._here.send(None)
        self.delays, self.gaps = self._here.recv()
        self._process.join()


def _follow(port: int, end: Any) -> None:
    import selectors

    selector = selectors.DefaultSelector()
    rests: dict[socket.socket, bytes] = {}
    for number in range(_TAILS):
        connection = socket.create_connection(("127.0.0.1", port))
        target = f"/api/v1/tail?host={host_name(number)}"
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        selector.register(connection, selectors.EVENT_READ)
        rests[connection] = b""
    end.send(None)
    delays: list[float] = []
    gaps = 0
    while not end.poll():
        for key, _ in selector.select(0.2):
            connection = key.fileobj  # type: ignore[assignment]
            text = rests[connection] + connection.recv(1 << 20)
            now = time.time()
            *messages, rests[connection] = text.split(b"\n\n")
            for message in messages:
                _, sent, rest = message.partition(b'"text":"sent at ')
                if sent:
                    delays.append(now - float(rest.partition(b" ")[0]))
                gaps += b"event: gap" in message
    end.send((delays, gaps))
