"""What the parts reach alone: the decoder, and SQLite segments with sealing, expiry and full sync."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.lines import block, stamped
from benchmarks.report import progress
from ccstore.batch import Batch
from ccstore.lineprotocol import SeriesCache, StreamDecoder
from ccstore.permissions import PRIVATE
from ccstore.storage.dbfile.sql import set_pragmas
from ccstore.storage.sqlite.housekeeping import Housekeeping
from ccstore.storage.sqlite.pragmas import STATEMENTS_HELD, WRITER_PRAGMAS
from ccstore.storage.sqlite.sizes import SIZES
from ccstore.storage.sqlite.versions import DATABASE
from ccstore.storage.sqlite.writer import Writer

_PIECE = 65536
_BATCH = 8192


def decoder_alone(lines: bytes, rounds: int) -> float:
    """Lines a second, decoded in pieces as they come from a socket."""
    count = lines.count(b"\n") * rounds
    decoder = StreamDecoder(SeriesCache(), max_line_length=1 << 20)
    lines = stamped(lines)
    begun = time.perf_counter()
    for _ in range(rounds):
        for start in range(0, len(lines), _PIECE):
            decoder.feed(lines[start : start + _PIECE], 0)
    return count / (time.perf_counter() - begun)


def segments_alone(lines: bytes, rounds: int, retention: float) -> float:
    """Rows a second into SQLite, decoded beforehand, in batches, with expiry going on."""
    decoder = StreamDecoder(SeriesCache())
    messages = decoder.feed(stamped(lines), 0).messages
    with tempfile.TemporaryDirectory(prefix="ccstore-benchmark-") as directory:
        path = Path(directory) / "ccstore.db"
        with closing(
            sqlite3.connect(path, isolation_level=None, cached_statements=STATEMENTS_HELD)
        ) as connection:
            set_pragmas(connection, WRITER_PRAGMAS)
            DATABASE.prepare(connection, path, PRIVATE, progress)
            writer = Writer(connection, time.time_ns, progress, SIZES.segments)
            housekeeping = Housekeeping(writer, int(retention * 1e9), (), time.time_ns, progress)
            writer.load()
            looked = begun = time.perf_counter()
            for batch in _batches(messages, rounds):
                writer.write(batch)
                if writer.state.is_full:
                    housekeeping.tend(time.time_ns())
                if time.perf_counter() - looked > 0.25:
                    looked = time.perf_counter()
                    housekeeping.expire(time.time_ns() - int(retention * 1e9))
            return len(messages) * rounds / (time.perf_counter() - begun)


def _batches(messages: Batch, rounds: int) -> Iterator[Batch]:
    for _ in range(rounds):
        for start in range(0, len(messages), _BATCH):
            yield messages[start : start + _BATCH]


def run(count: int, retention: float, lines: bytes | None = None) -> list[dict[str, object]]:
    """Both limits, a row each.

    :param lines: that are decoded and written again and again, by default 100,000 events and logs.
    """
    lines = block(100_000) if lines is None else lines
    rounds = max(1, count // lines.count(b"\n"))
    return [
        {"what": "decoder alone", "lines/s": decoder_alone(lines, rounds)},
        {"what": "SQLite segments alone, FULL sync", "lines/s": segments_alone(lines, rounds, retention)},
    ]
