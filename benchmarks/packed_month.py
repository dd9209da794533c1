"""Packing the month before it is read, and reading it without a daemon."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.report import progress
from ccstore.message import INT64_MAX
from ccstore.storage.dbfile.sql import set_pragmas
from ccstore.storage.sqlite.asking import Asking
from ccstore.storage.sqlite.dialect import SqliteDialect
from ccstore.storage.sqlite.packing_offline import OfflinePacking
from ccstore.storage.sqlite.pragmas import PRAGMAS
from ccstore.storage.sqlite.reader import Reader, ReadingConnection

#: Seconds, long enough that nothing of the month expires.
_RETENTION = 10_000 * 3600.0


def pack_month(path: Path, retention: float = _RETENTION) -> dict[str, object]:
    """Pack all of a file that nobody has open.

    :param retention: seconds after which events expire.
    """
    packing = OfflinePacking(path, {}, retention=retention, say=progress)
    packing.open()
    try:
        before, cpu, rows = packing.size, time.process_time(), 0
        packing.begin(INT64_MAX)
        for packed in packing.run(INT64_MAX):
            rows += packed.rows
            progress(f"packing: {rows:,}")
        cpu = time.process_time() - cpu
        after = packing.size
    finally:
        packing.close()
    return {
        "what": f"packing, {rows:,} messages",
        "figure": cpu * 1e6 / max(rows, 1),
        "unit": "s of CPU per million",
        "more": f"{before / 1e6:,.0f} MB before, {after / 1e6:,.0f} MB after",
    }


@contextmanager
def reader_of(path: Path) -> Iterator[Callable[[Any], Any]]:
    """Answers as the processes do that read beside a daemon."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)) as connection:
        set_pragmas(connection, PRAGMAS)
        reader, reading = Reader(SqliteDialect(), is_alone=True), ReadingConnection(connection)
        yield lambda question: reader.read(reading, question, Asking(3600))
