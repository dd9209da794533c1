"""The other tags of rows as JSON in each row, and as numbers of sets of tags: what each takes."""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import median

from benchmarks.month import Month
from benchmarks.report import progress
from ccstore.lineprotocol import StreamDecoder
from ccstore.storage.sqlite.rows import insert_rows

#: Rows of a segment that is filled, as the backend has them.
_SEGMENT = 65_536
_BEGIN = 1_700_000_000
_Row = tuple[int, int, str, "str | None"]
_LAYOUTS = ("JSON in each row", "a number for each set", "a number where a set comes again")


def run(rows: int, repeat: int) -> list[dict[str, object]]:
    """Figures of each layout, by turns; the medians of them.

    :param rows: messages of the month of the read benchmark.
    """
    found = [*_rows(rows)]
    shown = []
    turns: dict[str, list[Mapping[str, float]]] = {layout: [] for layout in _LAYOUTS}
    for turn in range(repeat):
        for layout in _LAYOUTS:
            progress(f"{layout}, turn {turn + 1} of {repeat}")
            turns[layout].append(_measure(layout, found))
    for layout, figures in turns.items():
        shown.append({"what": layout, **{key: median(each[key] for each in figures) for key in figures[0]}})
    return shown


def _rows(count: int) -> list[_Row]:
    decoder = StreamDecoder()
    streams: dict[object, int] = {}
    rows: list[_Row] = []
    for piece in Month(count, _BEGIN).lines():
        messages = decoder.feed(piece, 0).messages
        for series, moment, text in zip(messages.series, messages.times, messages.texts, strict=True):
            number = streams.setdefault(series.stream, len(streams))
            rows.append((number, moment, text, series.othertags))
    return rows


def _measure(layout: str, rows: Sequence[_Row]) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="ccstore-benchmark-") as name:
        path = Path(name, "rows.db")
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.create_function("has", 3, _has, deterministic=True)
            begun = time.process_time()
            segments = range(0, len(rows), _SEGMENT)
            for number, start in enumerate(segments):
                _write(connection, number, rows[start : start + _SEGMENT], layout)
            written = time.process_time() - begun
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            tables = [f"segment_{number}" for number in range(len(segments))]
            job = json.loads(rows[len(rows) // 3 * 2 + 1][3] or "{}").get("jobid", "100001")
            return {
                "bytes/row": path.stat().st_size / len(rows),
                "CPU s/100k": written / len(rows) * 1e5,
                "count loglevel=error, ms": _timed(
                    lambda: _count(connection, tables, layout, "loglevel", "error")
                ),
                "count of a jobid, ms": _timed(lambda: _count(connection, tables, layout, "jobid", job)),
            }
        finally:
            connection.close()


@lru_cache(100_000)
def _has(othertags: str | None, key: str, value: str) -> bool:
    return othertags is not None and json.loads(othertags).get(key) == value


def _write(connection: sqlite3.Connection, number: int, rows: Sequence[_Row], layout: str) -> None:
    """A segment, in batches as they come at full load."""
    is_json, is_inline = layout == _LAYOUTS[0], layout == _LAYOUTS[2]
    connection.execute(
        f"CREATE TABLE segment_{number} (id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, "
        "time INTEGER NOT NULL, text TEXT NOT NULL, othertags)"
    )
    if not is_json:
        connection.execute(f"CREATE TABLE tags_{number} (id INTEGER PRIMARY KEY, tags TEXT NOT NULL)")
    known: dict[str | None, int] = {}
    seen: set[str | None] = set()
    for start in range(0, len(rows), 4096):
        part = rows[start : start + 4096]
        connection.execute("BEGIN IMMEDIATE")
        tags: list[int | str | None] = [row[3] for row in part]
        if not is_json:
            texts = {row[3] for row in part} - {None}
            if is_inline:  # a set that was seen once stays in its row
                texts, seen = texts & seen, seen | texts
            fresh = [text for text in texts if text not in known]
            known.update(zip(fresh, range(len(known), len(known) + len(fresh)), strict=True))
            flat = [value for text in fresh for value in (known[text], text)]
            insert_rows(connection, f"tags_{number}", ("id", "tags"), flat)
            tags = [known.get(row[3], row[3]) for row in part]
        flat = [value for row, tag in zip(part, tags, strict=True) for value in (row[0], row[1], row[2], tag)]
        insert_rows(connection, f"segment_{number}", ("stream", "time", "text", "othertags"), flat)
        connection.execute("COMMIT")


def _timed(call: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        _has.cache_clear()
        begun = time.process_time()
        call()
        times.append((time.process_time() - begun) * 1000)
    return median(times)


def _count(connection: sqlite3.Connection, tables: Sequence[str], layout: str, key: str, value: str) -> int:
    """How many rows have a tag, as the reading side asks for it: the letters of its value are found first."""
    found = 0
    inline = "(instr(othertags, ?3) AND has(othertags, ?1, ?2))"
    for table in tables:
        condition = inline
        if layout != _LAYOUTS[0]:
            number = table.rpartition("_")[2]
            condition = (
                f"othertags IN (SELECT id FROM tags_{number} WHERE instr(tags, ?3) AND has(tags, ?1, ?2))"
            )
            if layout == _LAYOUTS[2]:
                condition = f"({condition} OR typeof(othertags) = 'text' AND {inline})"
        sql = f"SELECT count(*) FROM {table} WHERE {condition}"
        found += connection.execute(sql, (key, value, value)).fetchone()[0]
    return found
