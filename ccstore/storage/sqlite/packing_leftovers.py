"""What packing leaves behind, tables of what is in blocks now, blocks of nobody: it goes in small steps."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from ccstore.storage.dbfile.sql import transaction
from ccstore.storage.sqlite import segment_counts
from ccstore.storage.sqlite.segments import is_merged
from ccstore.storage.sqlite.sizes import SegmentSizes


class Leftovers:
    """Takes back their space; runs in the writer's thread. A restart forgets what is left, and drops it."""

    def __init__(self, connection: sqlite3.Connection, sizes: SegmentSizes) -> None:
        self._connection = connection
        self._sizes = sizes
        self._tables: list[str] = []
        self._segments: list[int] = []

    @property
    def has_blocks(self) -> bool:
        """There are blocks of nobody."""
        return bool(self._segments)

    def load(self, connection: sqlite3.Connection) -> None:
        """Drop the blocks that are left of an earlier time; inside of a transaction."""
        self._tables, self._segments = [], []
        connection.execute("DELETE FROM segment WHERE kind = 'packing'")
        for table in ("vocabulary", "block_columns", "block"):
            connection.execute(f"DELETE FROM {table} WHERE segment NOT IN (SELECT id FROM segment)")

    def add_tables(self, tables: Iterable[str]) -> None:
        """What was in these is packed now."""
        self._tables += tables

    def add_segment(self, number: int) -> None:
        """One that was to become a packed one does not."""
        self._segments.append(number)

    def remove(self, number: int) -> None:
        """Drop a packed segment; inside of a transaction. Its blocks go in steps, after that."""
        # Its number must not be given to another segment before its blocks are gone.
        self._connection.execute("UPDATE segment SET kind = 'packing', packed = 0 WHERE id = ?", (number,))
        segment_counts.forget(self._connection, [number])
        self._segments.append(number)

    def step(self) -> bool:
        """Take back some more; False if there is nothing left."""
        connection = self._connection
        if self._tables:
            table = self._tables[-1]
            with transaction(connection):
                if not self._delete_some(table):
                    connection.execute(f"DROP TABLE {table}")
                    self._tables.pop()
        elif self._segments:
            number = self._segments[-1]
            with transaction(connection):
                # What removed it may have been rolled back.
                is_gone = connection.execute(
                    "SELECT 1 FROM segment WHERE id = ? AND kind = 'packing'", (number,)
                ).fetchone()
                if not is_gone:
                    self._segments.pop()
                elif not _delete_blocks(connection, number, self._sizes.deleted_blocks):
                    connection.execute("DELETE FROM segment WHERE id = ?", (number,))
                    self._segments.pop()
        else:
            return False
        return True

    def _delete_some(self, table: str) -> bool:
        """Delete some rows of a table that is too large to be dropped in one; False if it is not."""
        connection, most = self._connection, self._sizes.merged_rows
        if not is_merged(connection, table):
            return False
        last = connection.execute(
            f"SELECT stream, time, id FROM {table} ORDER BY stream, time, id LIMIT 1 OFFSET {most}"
        ).fetchone()
        if last is None:
            return False
        connection.execute(f"DELETE FROM {table} WHERE (stream, time, id) < (?, ?, ?)", last)
        return True


def _delete_blocks(connection: sqlite3.Connection, segment: int, most: int) -> bool:
    """Delete some blocks of a segment; inside of a transaction. False if it has none.

    :param most: how many.
    """
    numbers = connection.execute(
        "SELECT number FROM block WHERE segment = ? ORDER BY number LIMIT ?", (segment, most)
    ).fetchall()
    for table in ("block_columns", "block"):
        connection.executemany(f"DELETE FROM {table} WHERE segment = {segment} AND number = ?", numbers)
    if not numbers:
        connection.execute("DELETE FROM vocabulary WHERE segment = ?", (segment,))
    return bool(numbers)
