"""What packing takes and saves: bytes a row, CPU, memory, and how long it holds up commits."""

from __future__ import annotations

import resource
import sqlite3
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from benchmarks import packed_postgres
from benchmarks.month import Month
from benchmarks.report import progress
from ccstore.lineprotocol import StreamDecoder
from ccstore.message import INT64_MAX, STORED_KINDS
from ccstore.storage.blocks.block_format import COLUMNS
from ccstore.storage.sqlite.asking import Asking
from ccstore.storage.sqlite.bulk import BulkWriter
from ccstore.storage.sqlite.dialect import SqliteDialect
from ccstore.storage.sqlite.packing_run import Ask, Do, pack_once, tidy
from ccstore.storage.sqlite.reader import Reader, ReadingConnection
from ccstore.storage.sqlite.sizes import SIZES

#: When the month begins, in seconds since the epoch.
BEGIN: Final = 1_700_000_000
#: Seconds, long enough that nothing of the month expires.
RETENTION: Final = 10**9
#: The columns of blocks that are not numbers.
_COLUMNS: Final = "+".join([f"length({name})" for name in COLUMNS])
_WORDS: Final = "length(first) + length(words) + length(codes) + length(masks)"


def run(rows: int, *, has_words: bool, has_postgres: bool = False) -> list[dict[str, object]]:
    """Figures of packing a month.

    :param rows: messages of the month, of which three fourths are logs, and the others job events.
    :param has_postgres: with what they take in PostgreSQL.
    """
    with tempfile.TemporaryDirectory(prefix="ccstore-benchmark-") as name:
        path = Path(name, "ccstore.db")
        fill_month(path, rows)
        with closing(sqlite3.connect(path)) as connection:
            before = _used(connection) / rows
            of_kind = {kind: _bytes(connection, f"name GLOB '{kind}_[0-9]*'") for kind in STORED_KINDS}
        # By a process that has done nothing else, for its memory.
        with get_context("spawn").Pool(1) as pool:
            times, peak = pool.apply(_pack, (path, has_words))
        with closing(sqlite3.connect(path)) as connection:
            after = _used(connection) / rows
            census = _bytes(connection, "name = 'census'") / rows
            kinds = [row for kind in STORED_KINDS for row in _of_kind(connection, kind, of_kind[kind])]
        if has_postgres:
            kinds += packed_postgres.run(path)
    reader_cpu, writer_cpu = sum(times["reader CPU"]), sum(times["writer CPU"])
    longest, most_cpu = max(times["writer"]), max(times["writer CPU"])
    index = "with the index of words" if has_words else "without an index"
    return [
        _row(f"as rows, {rows:,.0f} messages", before, "bytes a message", "the whole file"),
        _row("packed", after, "bytes a message", f"the whole file, {index}"),
        _row("their census", census, "bytes a message", "before and after"),
        *kinds,
        _row("reading, packing, comparing", reader_cpu * 1e6 / rows, "s of CPU per million"),
        _row("inserting, and dropping rows", writer_cpu * 1e6 / rows, "s of CPU per million"),
        _row("a commit waits, at most", longest * 1000, "ms", f"{most_cpu * 1000:.1f} ms of CPU"),
        _row("memory", peak, "MB", "of one process that does all of it"),
    ]


def _of_kind(connection: sqlite3.Connection, kind: str, before: float) -> list[dict[str, object]]:
    """Figures of the messages of a kind.

    :param before: bytes of their tables before.
    """
    rows, size = connection.execute(
        f"SELECT total(rows), total({_COLUMNS}) FROM block JOIN block_columns USING (segment, number) "
        "WHERE segment IN (SELECT id FROM segment WHERE kind = ?)",
        (kind,),
    ).fetchone()
    (words,) = connection.execute(
        f"SELECT total({_WORDS}) FROM vocabulary WHERE segment IN (SELECT id FROM segment WHERE kind = ?)",
        (kind,),
    ).fetchone()
    what = f"{rows:,.0f} {kind}s"
    return [
        _row(f"{what} as rows", before / rows, f"bytes of each {kind}"),
        _row(f"{what} packed", size / rows, f"bytes of each {kind}", f"and {words / rows:.1f} of the index"),
    ]


def _row(what: str, figure: float, unit: str, more: str = "") -> dict[str, object]:
    return {"what": what, "figure": figure, "unit": unit, "more": more}


def fill_month(path: Path, rows: int) -> None:
    """Write a month into a new file: segments of rows that are sealed and counted."""
    bulk = BulkWriter(path, {}, retention=RETENTION, say=progress)
    bulk.open()
    decoder = StreamDecoder()
    written = 0
    for piece in Month(rows, BEGIN).lines():
        messages = decoder.feed(piece, 0).messages
        bulk.write(messages, lambda connection: None)
        written += len(messages)
        progress(f"writing: {written:,} of {rows:,}")
    for kind in STORED_KINDS:
        bulk.do(bulk.housekeeping.seal, kind)
    _count(bulk)
    bulk.close()


def _count(bulk: BulkWriter) -> None:
    """Take the censuses, or check them: nothing is packed before."""
    while bulk.do(bulk.housekeeping.count):
        pass


def _pack(path: Path, has_words: bool) -> tuple[Mapping[str, list[float]], float]:
    """Seconds that each step took, and MB of memory."""
    times: dict[str, list[float]] = defaultdict(list)
    bulk = BulkWriter(path, {}, retention=RETENTION, say=progress)
    bulk.open()
    _count(bulk)
    connection = sqlite3.connect(path, isolation_level=None)
    reader, reading = Reader(SqliteDialect(), is_alone=True), ReadingConnection(connection)
    packer = bulk.housekeeping.packer

    def measured(who: str, work: Callable[..., Any], *arguments: Any) -> Any:
        begun, cpu = time.perf_counter(), time.thread_time()
        result = work(*arguments)
        times[f"{who} CPU"].append(time.thread_time() - cpu)
        times[who].append(time.perf_counter() - begun)
        return result

    is_done = True
    while is_done:
        is_done = False
        for steps in (
            pack_once(packer, INT64_MAX, INT64_MAX, SIZES.tiles, has_words=has_words),
            tidy(packer),
        ):
            result: Any = None
            while True:
                try:
                    step = steps.send(result)
                except StopIteration as stop:
                    is_done = is_done or bool(stop.value)
                    break
                result = None
                if isinstance(step, Do):
                    result = measured("writer", bulk.do, step.work, *step.arguments)
                elif isinstance(step, Ask):
                    result = measured("reader", reader.read, reading, step.question, Asking(3600))
                else:
                    progress(f"packing: {step.rows:,} messages")
    connection.close()
    bulk.close()
    return times, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _bytes(connection: sqlite3.Connection, condition: str) -> float:
    (found,) = connection.execute(f"SELECT total(pgsize) FROM dbstat WHERE {condition}").fetchone()
    return float(found)


def _used(connection: sqlite3.Connection) -> float:
    """Bytes of the pages of a file that are not free."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return float((pages - free) * size)
