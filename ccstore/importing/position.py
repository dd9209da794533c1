"""What the store remembers of imports: how far each source was taken, and what became of it."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from attrs import define, frozen

from ccstore.accounting.account import Account
from ccstore.importing.source import Mark

_TABLE = """\
CREATE TABLE IF NOT EXISTS ccstore_import (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,  -- for people
    key TEXT NOT NULL,
    position INTEGER NOT NULL,
    digest TEXT NOT NULL,
    books TEXT NOT NULL,  -- JSON
    is_complete INTEGER NOT NULL,
    updated_at TEXT NOT NULL
)"""


@define(eq=False)
class Books(Account):
    """What became of the lines or rows of a source.

    :ivar undated: how many of them had no time, and were given one.
    """

    undated: int = 0


@frozen
class Position:
    """How far a source was taken.

    :ivar books: of all of it, over all times the import was given.
    """

    id: int
    mark: Mark
    books: Books
    is_complete: bool
    updated_at: str


class Positions:
    """The positions in a store."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute(_TABLE)

    def known(self, key: str) -> Sequence[Position]:
        """All positions in sources with this key."""
        rows = self._connection.execute(
            "SELECT id, position, digest, books, is_complete, updated_at FROM ccstore_import WHERE key = ?",
            (key,),
        )
        return [
            Position(number, Mark(position, digest), _read(books), bool(is_complete), updated_at)
            for number, position, digest, books, is_complete, updated_at in rows.fetchall()
        ]

    @staticmethod
    def note(
        connection: sqlite3.Connection, number: int | None, source: str, key: str, mark: Mark, books: Books
    ) -> int:
        """Note that a source was taken as far as that; inside of the transaction that has what was taken.

        :param number: of a position to replace; returns that, or the one of a new position.
        """
        (number,) = connection.execute(
            "INSERT OR REPLACE INTO ccstore_import "
            "(id, source, key, position, digest, books, is_complete, updated_at) "
            "VALUES (?, ?, ?, ?, ?, ?, 0, ?) RETURNING id",
            (number, source, key, mark.position, mark.digest, _written(books), _now()),
        ).fetchone()
        return int(number)

    def complete(self, number: int) -> None:
        """Note that the source had no more."""
        self._connection.execute(
            "UPDATE ccstore_import SET is_complete = 1, updated_at = ? WHERE id = ?", (_now(), number)
        )


def _written(books: Books) -> str:
    return json.dumps(
        {
            "received": books.received,
            "stored": books.stored,
            "rejected": books.rejected,
            "dropped": books.dropped,
            "fields_not_stored": books.fields_not_stored,
            "undated": books.undated,
        }
    )


def _read(text: str) -> Books:
    given = json.loads(text)
    books = Books("import", "import")
    books.received, books.stored = given["received"], given["stored"]
    books.rejected, books.dropped = Counter(given["rejected"]), Counter(given["dropped"])
    books.fields_not_stored = given["fields_not_stored"]
    books.undated = given.get("undated", 0)  # earlier versions did not take such rows
    return books


def _now() -> str:
    return datetime.now().astimezone().isoformat(" ", "seconds")
