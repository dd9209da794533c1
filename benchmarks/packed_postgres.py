"""What messages take in PostgreSQL: as the tables of ccstore, and as packed blocks.

Its own compression of values (TOAST, by pglz or lz4) begins at rows of 2 kB, which these are not.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.report import progress
from ccstore.message import STORED_KINDS
from ccstore.storage.postgres.partition_names import PACKED_SIZE
from tests.support.postgres_server import Server, newest


def run(path: Path) -> list[dict[str, object]]:
    """Figures of the messages of a file of SQLite, all of which are packed."""
    server = Server(newest())
    try:
        server.start()
        return _run(server, path)
    finally:
        server.remove()


def _run(server: Server, path: Path) -> list[dict[str, object]]:
    database = server.new_database()
    config = _copy(server, database, path)
    rows = [_row_of(server, database, kind) for kind in STORED_KINDS]
    return [*rows, *pack(server, database, config)]


def pack(server: Server, database: str, config: Path) -> list[dict[str, object]]:
    """Pack all logs of a database by ``ccstore pack``, and say what that took and gave."""
    progress("packing the logs")
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    said = _ccstore("pack", "--config", str(config), "--older-than", "0s")
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    spent = time.perf_counter() - begun
    progress(said.strip())
    ((rows, size, words, left),) = server.sql(
        f"SELECT (SELECT sum(rows) FROM ccstore_packed)::float8, ({PACKED_SIZE})::float8, "
        "pg_total_relation_size('ccstore_packed_words')::float8, "
        "(SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits "
        "WHERE inhparent = 'ccstore_log'::regclass)::float8",
        database=database,
    )
    each = "bytes of each log"
    return [
        _row(
            f"{rows:,.0f} logs packed there", size / rows, each, f"of which the index has {words / rows:.1f}"
        ),
        _row("what is left of their tables", left / rows, each),
        _row(
            "packing",
            cpu * 1e6 / rows,
            "s of CPU per million",
            f"{spent * 1e6 / rows:.1f} s in all",
        ),
    ]


def _row_of(server: Server, database: str, kind: str) -> dict[str, object]:
    ((rows, size, indexes),) = server.sql(
        "SELECT sum(c.reltuples)::float8, sum(pg_total_relation_size(inhrelid))::float8, "
        "sum(pg_indexes_size(inhrelid))::float8 FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid "
        f"WHERE inhparent = 'ccstore_{kind}'::regclass",
        database=database,
    )
    more = f"of which the indexes have {indexes / rows:.1f}"
    return _row(f"{rows:,.0f} {kind}s in PostgreSQL", size / rows, f"bytes of each {kind}", more)


def _row(what: str, figure: float, unit: str, more: str = "") -> dict[str, object]:
    return {"what": what, "figure": figure, "unit": unit, "more": more}


def _ccstore(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "ccstore", *words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def _copy(server: Server, database: str, path: Path) -> Path:
    config = path.with_name("postgres.json")
    storage = {"backend": server.backend(database), "retention_time": "100000h", "store_logs": True}
    config.write_text(json.dumps({"receivers": {}, "storage": storage}))
    source = path.with_name("sqlite.json")
    storage = {"backend": {"type": "sqlite", "database_path": str(path)}, "retention_time": "100000h"}
    source.write_text(json.dumps({"receivers": {}, "storage": storage}))
    progress("copying into PostgreSQL")
    _ccstore("copy", str(source), str(config))
    with server.connection(database) as connection:
        connection.autocommit = True
        connection.cursor().execute("VACUUM ANALYZE")
    return config
