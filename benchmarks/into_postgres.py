"""The daemon with PostgreSQL, beside what the server alone takes in: ``psql \\copy`` into the same tables."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from benchmarks.daemon import Daemon
from benchmarks.events import Events
from benchmarks.ingest import measure, send_tcp
from benchmarks.latency import fill, query
from benchmarks.lines import block
from benchmarks.packed_postgres import pack
from benchmarks.report import figure, progress
from tests.support.postgres_server import Server, newest

_BLOCK = 100_000
_RANGE = 36_000
_ROWS_OF_A_HOST = 100
#: As a server of its own would have; what a test does without is on.
SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
}


def run(
    count: int, rows: int, samples: int, version: int | None
) -> tuple[list[dict[str, object]], list[str]]:
    """Figures, and what is wrong. The server, the sender and the daemon share the machine."""
    server = Server(version or newest(), SETTINGS)
    try:
        server.start()
        return _run(server, count, rows, samples)
    finally:
        server.remove()


def _run(server: Server, count: int, rows: int, samples: int) -> tuple[list[dict[str, object]], list[str]]:
    figures: list[dict[str, object]] = []
    lines = block(_BLOCK, logs=False)
    rounds = max(1, count // _BLOCK)
    best = 0.0
    for connections in (1, 4):
        database = server.new_database()
        with Daemon({"retention_time": "24h", "backend": backend(server, database)}) as daemon:
            part = max(1, rounds // connections)
            sent = part * connections * _BLOCK
            found = measure(
                f"TCP, {connections} connections",
                daemon,
                send_tcp,
                [(daemon.ports["tcp"], lines, part)] * connections,
                sent,
            )
        ((size,),) = server.sql(
            "SELECT sum(pg_total_relation_size(inhrelid))::float8 FROM pg_inherits "
            "WHERE inhparent = 'ccstore_event'::regclass",
            database=database,
        )
        stored = server.sql("SELECT count(*), count(DISTINCT id) FROM ccstore_event", database=database)
        if stored != [(sent, sent)]:
            return figures, [f"{sent} lines were sent, the table has {stored}"]
        rate = float(str(found["lines/s"]))
        best = max(best, rate)
        figures.append(
            figure(f"TCP, {connections} connections", rate, "lines/s", at_least=45_000)
            | {"CPU s/100k": found["CPU s/100k"], "memory MB": found["memory MB"], "bytes a row": size / sent}
        )
        if connections == 1:
            copied = _copy(server, database, sent)
            figures.append(figure("psql \\copy into the same tables", copied, "rows/s"))
        server.drop_database(database)
    figures.append(figure("the daemon's share of that", best / copied, "", at_least=0.6))

    hosts = max(1, rows // _ROWS_OF_A_HOST)
    events = Events(rows, hosts, int(time.time()) - _RANGE - 60, _RANGE)
    storage = {"retention_time": "48h", "backend": backend(server, server.new_database())}
    with Daemon(storage) as daemon:
        fill(daemon, events)
        times = query(daemon, events, samples)
    row = times.row(f"query of a host and an event, {rows:,} rows", rows, p99=15)
    figures.append(row)
    return figures, times.wrong


class Held:
    """A database of a server of its own, that is there while the block runs, and is filled by one daemon.

    :param text_index: words are found by an index.
    """

    def __init__(self, *, text_index: bool) -> None:
        self._server = Server(newest(), SETTINGS)
        self._text_index = text_index
        self._database = ""

    def __enter__(self) -> Held:
        self._server.start()
        self._database = self._server.new_database()
        return self

    def __exit__(self, *why: object) -> None:
        self._server.remove()

    @property
    def backend(self) -> dict[str, object]:
        """The daemon's configuration."""
        return {**backend(self._server, self._database), "text_index": self._text_index}

    def pack(self, directory: Path) -> list[dict[str, object]]:
        """Pack all logs; no daemon that packs may be there."""
        config = directory / "packing.json"
        config.write_text(json.dumps({"receivers": {}, "storage": {"backend": self.backend}}))
        return pack(self._server, self._database, config)

    def settle(self, daemon: Daemon) -> None:
        """Do what the server does by itself in a while."""
        progress("vacuum")
        self._server.sql("VACUUM ANALYZE", database=self._database)

    def size(self, daemon: Daemon) -> float:
        """MB of the tables with messages, and of their indexes."""
        ((size,),) = self._server.sql(
            "SELECT sum(pg_total_relation_size(inhrelid))::float8 FROM pg_inherits "
            "WHERE inhparent IN ('ccstore_event'::regclass, 'ccstore_log'::regclass)",
            database=self._database,
        )
        return float(size) / 1e6


def backend(server: Server, database: str) -> dict[str, object]:
    """The daemon's configuration for a database of this server."""
    parameters = server.parameters(database)
    return {
        "type": "postgres",
        "server": parameters["host"],
        "port": server.port,
        "database_path": database,
        "username": parameters["user"],
    }


def _copy(server: Server, database: str, rows: int) -> float:
    """Rows a second that psql copies into the emptied table from a file of what was in it."""
    path = Path(server.directory) / "rows"
    psql = [
        str(server.program("psql")),
        *("-X", "-q", "-h", str(server.directory), "-p", str(server.port), "-U", "ccstore", "-d", database),
    ]
    progress("copying")
    # Outside of the directory of the server: psql runs as whoever runs this.
    subprocess.run([*psql, "-c", f"\\copy (SELECT * FROM ccstore_event ORDER BY id) TO '{path}'"], check=True)
    subprocess.run([*psql, "-c", "TRUNCATE ccstore_event; CHECKPOINT"], check=True)
    begun = time.perf_counter()
    subprocess.run([*psql, "-c", f"\\copy ccstore_event FROM '{path}'"], check=True)
    return rows / (time.perf_counter() - begun)
