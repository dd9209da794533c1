"""The tables of segments."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from ccstore.message import STORED_KINDS

#: What comes behind a row in a merged table, whose order is that of (stream, time, id). As one comparison of
#: three values it would read all that has the same stream, or the same stream and time.
_BEHIND: Final = ("stream = ?1 AND time = ?2 AND id > ?3", "stream = ?1 AND time > ?2", "stream > ?1")


def next_rows(tables: Iterable[str], columns: str, *, is_merged: bool, most: int) -> str:
    """A query for the rows of some tables that come next; its parameters are stream, time and id of the last.

    :param columns: that it gives; stream, time and id are among them.
    :param is_merged: they have the order of merged tables; if not, that of ids.
    """
    conditions, order = (_BEHIND, "stream, time, id") if is_merged else (("id > ?3",), "id")
    arms = [
        f"SELECT {columns} FROM {table} WHERE {condition}" for table in tables for condition in conditions
    ]
    return f"{' UNION ALL '.join(arms)} ORDER BY {order} LIMIT {most}"


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


def make_merged_table(connection: sqlite3.Connection, table: str) -> None:
    """Make the table of a segment of logs that others are merged into; it is its own index."""
    connection.execute(
        f"CREATE TABLE {table} (id INTEGER NOT NULL, stream INTEGER NOT NULL, time INTEGER NOT NULL, "
        "text TEXT NOT NULL, othertags TEXT, PRIMARY KEY (stream, time, id)) WITHOUT ROWID"
    )


def drop_strays(connection: sqlite3.Connection) -> None:
    """Drop tables of segments that became others, or that nobody has seen; inside of a transaction."""
    for kind in STORED_KINDS:
        number = f"CAST(substr(name, {len(kind) + 2}) AS INTEGER)"
        strays = connection.execute(
            f"SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB '{kind}_[0-9]*' "
            f"AND {number} NOT IN (SELECT id FROM segment)"
        ).fetchall()
        for (name,) in strays:
            connection.execute(f"DROP TABLE {name}")


def is_there(connection: sqlite3.Connection, segment: int, rows: int) -> bool:
    """It is not gone, nor a part of another, and has as many rows: its number may be given to another."""
    found = connection.execute(
        "SELECT 1 FROM segment WHERE id = ? AND row_count = ? AND kind IN ('event', 'log')", (segment, rows)
    )
    return found.fetchone() is not None


def is_merged(connection: sqlite3.Connection, table: str) -> bool:
    """It was made by :func:`make_merged_table`."""
    (sql,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    return str(sql).endswith("WITHOUT ROWID")
