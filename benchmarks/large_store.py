"""A file of very many packed messages: how large it is, and how fast some questions of it are answered."""

from __future__ import annotations

import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

from benchmarks.month import DAY, RARE, RARE_ROWS, Month, host_name
from benchmarks.report import progress
from ccstore.lineprotocol import StreamDecoder
from ccstore.message import INT64_MAX, STORED_KINDS
from ccstore.query import Counting, Matcher, Selection, TextCondition
from ccstore.storage.reading.counts import CountsQuestion
from ccstore.storage.reading.dialect import Question
from ccstore.storage.reading.expired import Moment
from ccstore.storage.reading.pages import Limits, Pages
from ccstore.storage.sqlite.asking import Asking
from ccstore.storage.sqlite.bulk import BulkWriter
from ccstore.storage.sqlite.dialect import SqliteDialect
from ccstore.storage.sqlite.packing_offline import OfflinePacking
from ccstore.storage.sqlite.reader import Reader, ReadingConnection

_BEGIN: Final = 1_700_000_000
#: Seconds, long enough that nothing of the month expires.
_RETENTION: Final = 10**9
#: Messages that lie as rows before they are packed, so that the file is never much larger than at its end.
_TURN: Final = 2_000_000
_SAMPLES: Final = 5

Row = dict[str, object]


def run(rows: int, keep: Path | None) -> tuple[list[Row], list[str]]:
    """Figures, and what is wrong.

    :param keep: a directory that has the file of an earlier run, or gets it.
    """
    month = Month(rows, _BEGIN)
    with _folder(keep) as folder:
        path = folder / "ccstore.db"
        cpu = time.process_time()
        if not path.exists():
            _fill(path, month)
        cpu = time.process_time() - cpu
        size = path.stat().st_size
        found = [
            {
                "what": f"packed, {rows:,} messages",
                "figure": size / rows,
                "unit": "bytes a message",
                "more": f"{size / 1e6:,.0f} MB, {cpu * 1e6 / rows:.1f} s of CPU per million to make",
            }
        ]
        asked, problems = _ask_all(path, month)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    memory: Row = {
        "what": "memory",
        "figure": peak,
        "unit": "MB",
        "more": "of one process that does all of it",
    }
    return [*found, *asked, memory], problems


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="ccstore-benchmark-") as name:
        yield Path(name)


def _fill(path: Path, month: Month) -> None:
    """Write the month, and pack it, by turns."""
    decoder, pieces = StreamDecoder(), month.lines()
    written = packed = 0
    while written < month.rows:
        bulk = BulkWriter(path, {"synchronous": "OFF"}, retention=_RETENTION, say=progress)
        bulk.open()
        turn = written + _TURN
        while written < turn and (some := [*islice(pieces, 1)]):
            messages = decoder.feed(some[0], 0).messages
            bulk.write(messages, lambda connection: None)
            written += len(messages)
        for kind in STORED_KINDS:
            bulk.do(bulk.housekeeping.seal, kind)
        bulk.close()
        packing = OfflinePacking(path, {"synchronous": "OFF"}, retention=_RETENTION, say=progress)
        packing.open()
        for step in packing.run(INT64_MAX):
            packed += step.rows
        packing.close()
        progress(f"{written:,} of {month.rows:,} messages, {packed:,} packed")


def _ask_all(path: Path, month: Month) -> tuple[list[Row], list[str]]:
    moment = Moment(0)
    middle = month.middle * 10**9
    host = (Matcher("hostname", "=", host_name(17)),)
    rare = Selection(texts=(TextCondition("contains", RARE),))
    names = Counting(Selection(), ("name",), step=3600 * 10**9, with_times=False)
    # What is asked, and how many messages are to be found; None where that is no list of them.
    questions: list[tuple[str, Question[Any], int | None]] = [
        ("a word that few have", Pages([rare], moment, Limits(100)), RARE_ROWS),
        (
            "a word that none has",
            Pages([Selection(texts=(TextCondition("contains", "axolotl"),))], moment, Limits(100)),
            0,
        ),
        ("newest 100 of a host", Pages([Selection(matchers=host)], moment, Limits(100)), 100),
        ("newest 100 of a cluster", Pages([Selection(("alex",))], moment, Limits(100)), 100),
        (
            "one host, one day",
            Pages([Selection(begin=middle, end=middle + DAY * 10**9, matchers=host)], moment, Limits(100)),
            None,
        ),
        ("histogram by hour and name", CountsQuestion(names, moment), None),
    ]
    found: list[Row] = []
    problems: list[str] = []
    for what, question, expected in questions:
        times, cpus = [], []
        for _ in range(_SAMPLES):
            # Each time by one that has nothing at hand yet.
            with closing(
                sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
            ) as opened:
                reader, connection = Reader(SqliteDialect(), is_alone=True), ReadingConnection(opened)
                begun, cpu = time.perf_counter(), time.process_time()
                answer = reader.read(connection, question, Asking(600))
                times.append(time.perf_counter() - begun)
                cpus.append(time.process_time() - cpu)
        if expected is not None and len(answer[0].rows) != expected:
            problems.append(f"{what}: {len(answer[0].rows)} messages were found and not {expected}")
        progress(f"{what}: {min(times) * 1000:.0f} ms")
        found.append(
            {
                "what": what,
                "figure": statistics.median(times) * 1000,
                "unit": "ms",
                "more": f"{statistics.median(cpus) * 1000:.0f} ms of CPU",
            }
        )
    return found, problems
