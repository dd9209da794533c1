"""What messages take in PostgreSQL: as the tables of ccstore, and as packed blocks.

Its own compression of values (TOAST, by pglz or lz4) begins at rows of 2 kB, which these are not.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from benchmarks.report import progress
from ccstore.message import STORED_KINDS
from ccstore.storage.blocks.block_format import COLUMNS
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
    _copy(server, database, path)
    found: list[dict[str, object]] = []
    with closing(sqlite3.connect(path)) as connection:
        for kind in STORED_KINDS:
            ((rows, size, indexes),) = server.sql(
                "SELECT sum(c.reltuples)::float8, sum(pg_total_relation_size(inhrelid))::float8, "
                "sum(pg_indexes_size(inhrelid))::float8 FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid "
                f"WHERE inhparent = 'ccstore_{kind}'::regclass",
                database=database,
            )
            found.append(
                {
                    "what": f"{rows:,.0f} {kind}s in PostgreSQL",
                    "figure": size / rows,
                    "unit": f"bytes of each {kind}",
                    "more": f"of which the indexes have {indexes / rows:.1f}",
                }
            )
            size = _as_blocks(server, database, connection, kind)
            found.append(
                {"what": "as blocks in a table", "figure": size / rows, "unit": f"bytes of each {kind}"}
            )
    return found


def _copy(server: Server, database: str, path: Path) -> None:
    config = path.with_name("postgres.json")
    storage = {"backend": server.backend(database), "retention_time": "100000h", "store_logs": True}
    config.write_text(json.dumps({"receivers": {}, "storage": storage}))
    source = path.with_name("sqlite.json")
    storage = {"backend": {"type": "sqlite", "database_path": str(path)}, "retention_time": "100000h"}
    source.write_text(json.dumps({"receivers": {}, "storage": storage}))
    progress("copying into PostgreSQL")
    copying = subprocess.run(
        [sys.executable, "-m", "ccstore", "copy", source, config],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if copying.returncode:
        raise SystemExit(copying.stderr)
    with server.connection(database) as connection:
        connection.autocommit = True
        connection.cursor().execute("VACUUM ANALYZE")


def _as_blocks(server: Server, database: str, source: sqlite3.Connection, kind: str) -> float:
    """Bytes of a table with the blocks of a kind, without an index of words."""
    table = f"{kind}_block"
    names = ", ".join(COLUMNS)
    with server.connection(database) as connection:
        cursor = connection.cursor()
        columns = ", ".join([f"{name} bytea" for name in COLUMNS])
        cursor.execute(
            f"CREATE TABLE {table} (segment int, number int, {columns}, PRIMARY KEY (segment, number))"
        )
        for name in COLUMNS:
            # They are compressed already.
            cursor.execute(f"ALTER TABLE {table} ALTER {name} SET STORAGE EXTERNAL")
        for row in source.execute(
            f"SELECT segment, number, {names} FROM block JOIN block_columns USING (segment, number) "
            "WHERE segment IN (SELECT id FROM segment WHERE kind = ?)",
            (kind,),
        ):
            places = ", ".join(["%s"] * len(row))
            cursor.execute(f"INSERT INTO {table} VALUES ({places})", row)
        connection.commit()
    ((size,),) = server.sql(f"SELECT pg_total_relation_size('{table}')::float8", database=database)
    return float(size)
