"""The tables of segments."""

from __future__ import annotations

import sqlite3


def make_table(connection: sqlite3.Connection, table: str) -> None:
    """Make the table of a segment, without an index: rows are only appended to it."""
    connection.execute(
        f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, time INTEGER NOT NULL, "
        "text TEXT NOT NULL, othertags TEXT)"
    )


def index_by_stream(connection: sqlite3.Connection, table: str) -> None:
    """Make the index of a segment of events."""
    # Not by time, too: within a segment that is nearly the order of the rows.
    connection.execute(f"CREATE INDEX {table}_by_stream ON {table} (stream)")


def index_in_order(connection: sqlite3.Connection, table: str) -> None:
    """Make the index of a segment of logs, which has its rows in the order in which they are merged."""
    connection.execute(f"CREATE INDEX {table}_by_time ON {table} (stream, time)")
