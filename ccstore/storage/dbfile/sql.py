"""What every connection to such a file needs: pragmas, transactions, checkpoints, quoting."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

#: Larger ones are filled no faster, but a commit of one line writes a whole page, and a query reads one for
#: nearly each row: with 32 KB, that was three times as much to write, and it took twice as long to read.
PAGE_SIZE: Final = 8192
_NO_CHECKPOINT_ON_CLOSE: Final = 1006  # of sqlite3_db_config()
#: Tells people, in the log.
Say = Callable[[str], None]


def set_pragmas(connection: sqlite3.Connection, pragmas: Mapping[str, str]) -> None:
    """Set them; their values are plain words and numbers."""
    for name, value in pragmas.items():
        # It is always WAL, but auto_vacuum has to be set before it: see Schema.prepare.
        if name != "journal_mode":
            connection.execute(f"PRAGMA {name} = {value}")


def beside(path: Path) -> tuple[str, str]:
    """What SQLite keeps beside a file that is open: its write-ahead log, and the index of that.

    Not beside a link to the file, but where it really is.
    """
    there = os.path.realpath(path)
    return f"{there}-wal", f"{there}-shm"


def checkpoint(connection: sqlite3.Connection) -> None:
    """Bring everything from the write-ahead log into the file and empty it, unless somebody reads."""
    (patience,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {patience}")


def leave_log(connection: Any) -> None:
    """Keep the write-ahead log out of the file when this connection is closed; only Python 3.12 can."""
    if hasattr(connection, "setconfig"):
        connection.setconfig(_NO_CHECKPOINT_ON_CLOSE, True)


def statements(script: str) -> list[str]:
    """The statements of a schema file; executescript() would commit the transaction they belong into."""
    return [part for part in re.sub(r"--[^\n]*", "", script).split(";") if part.strip()]


class transaction:
    """``with`` a write transaction: committed at the end, rolled back at an exception."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        if kind is None:
            try:
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.rollback()
                raise
        elif self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def identifier(name: str) -> str:
    """A name as it stands in a statement, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as it stands in a statement, whatever is in it."""
    return "'" + text.replace("'", "''") + "'"
