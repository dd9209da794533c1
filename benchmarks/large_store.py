"""A file of very many packed messages: how large it is, and how fast some questions of it are answered.

One month is written and packed. The others have its messages once more, each a month later.
"""

from __future__ import annotations

import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.month import DAY, DAYS, RARE, RARE_ROWS, Month, host_name
from benchmarks.packed_month import pack_month, reader_of
from benchmarks.packing_costs import BEGIN, RETENTION, fill_month
from benchmarks.report import progress
from ccstore.message import STORED_KINDS
from ccstore.query import Counting, Matcher, Selection, TextCondition
from ccstore.storage.blocks.block_format import Block, PackedBlock, checksum_of
from ccstore.storage.blocks.packed_numbers import pack_distances
from ccstore.storage.reading.counts import CountsQuestion
from ccstore.storage.reading.dialect import Question
from ccstore.storage.reading.moment import Moment
from ccstore.storage.reading.pages import Limits, Pages
from ccstore.storage.sqlite.packer import insert_block

#: Messages of a month.
_MONTH: Final = 5_000_000
_SAMPLES: Final = 5

Row = dict[str, object]


def run(rows: int, keep: Path | None) -> tuple[list[Row], list[str]]:
    """Figures, and what is wrong.

    :param keep: a directory that has the file of an earlier run, or gets it.
    """
    month, months = Month(min(rows, _MONTH), BEGIN), -(-rows // _MONTH)
    with _folder(keep) as folder:
        path = folder / "ccstore.db"
        if not path.exists():
            fill_month(path, month.rows)
            pack_month(path, retention=RETENTION)
            for place in range(1, months):
                _again(path, place)
                progress(f"{(place + 1) * month.rows:,} of {rows:,} messages")
        size, rows = path.stat().st_size, months * month.rows
        found: list[Row] = [
            {
                "what": f"packed, {rows:,} messages",
                "figure": size / rows,
                "unit": "bytes a message",
                "more": f"{size / 1e6:,.0f} MB",
            }
        ]
        asked, problems = _ask_all(path, month, months)
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


def _again(path: Path, place: int) -> None:
    """Add the messages of the month once more.

    :param place: so many months later.
    """
    later = place * DAYS * DAY * 10**9
    with closing(sqlite3.connect(path)) as connection, connection:
        for kind in STORED_KINDS:
            (ids,) = connection.execute(
                "SELECT max(max_id) FROM block WHERE segment IN (SELECT id FROM segment WHERE kind = ?) "
                "AND first_time < ?",
                (kind, (BEGIN + DAYS * DAY) * 10**9),
            ).fetchone()
            for (segment,) in connection.execute(
                "SELECT id FROM segment WHERE kind = ? AND packed > 0 AND min_time < ?",
                (kind, (BEGIN + DAYS * DAY) * 10**9),
            ).fetchall():
                _copy_segment(connection, segment, later, place * ids)
        # Of the open segments, which are empty, the ids come after all these.
        connection.execute(
            "UPDATE segment SET first_id = first_id + ? WHERE sealed_at IS NULL", (place * ids,)
        )


def _copy_segment(connection: sqlite3.Connection, segment: int, later: int, ids: int) -> None:
    (target,) = connection.execute(
        "INSERT INTO segment (kind, first_id, opened_at, sealed_at, min_time, max_time, row_count, packed) "
        "SELECT kind, first_id + ?3, opened_at, sealed_at, min_time + ?2, max_time + ?2, row_count, packed "
        "FROM segment WHERE id = ?1 RETURNING id",
        (segment, later, ids),
    ).fetchone()
    names = PackedBlock._fields
    for number, *row in connection.execute(
        f"SELECT number, {', '.join(names)} FROM block JOIN block_columns USING (segment, number) "
        "WHERE segment = ?",
        (segment,),
    ).fetchall():
        insert_block(connection, target, number, _shifted(PackedBlock(*row), later, ids))
    for table in ("vocabulary", "census"):
        copied = [
            "?1"
            if name == "segment"
            else f"{name} + ?3"
            if name in ("first", "last") and table == "census"
            else name
            for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")
        ]
        connection.execute(
            f"INSERT INTO {table} SELECT {', '.join(copied)} FROM {table} WHERE segment = ?2 AND ?3 = ?3",
            (target, segment, later),
        )


def _shifted(packed: PackedBlock, later: int, ids: int) -> PackedBlock:
    """The same messages so many nanoseconds later, and with greater ids."""
    block = Block.of(packed)
    other = packed._replace(
        first_time=packed.first_time + later,
        last_time=packed.last_time + later,
        min_id=packed.min_id + ids,
        max_id=packed.max_id + ids,
        times=pack_distances([each + later for each in block.times]),
        ids=pack_distances([each + ids for each in block.ids_by_time.all()]),
    )
    return other._replace(checksum=checksum_of(other[:-1]))


def _ask_all(path: Path, month: Month, months: int) -> tuple[list[Row], list[str]]:
    moment = Moment(0)
    middle = (month.middle + (months // 2) * DAYS * DAY) * 10**9
    host = (Matcher("hostname", "=", host_name(17)),)
    rare = Selection(texts=(TextCondition("contains", RARE),))
    names = Counting(Selection(), ("name",), step=3600 * 10**9, with_times=False)
    # What is asked, and how many messages are to be found; None where that is no list of them.
    questions: list[tuple[str, Question[Any], int | None]] = [
        ("a word that few have, the newest ten", Pages([rare], moment, Limits(10)), 10),
        ("all of these", Pages([rare], moment, Limits(1000)), RARE_ROWS * months),
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
            with reader_of(path) as read:
                begun, cpu = time.perf_counter(), time.process_time()
                answer = read(question)
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
