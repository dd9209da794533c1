"""The file: whether it is ours, its schema, and what all statements on it share."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Final

from ccstore.errors import StoreError

SCHEMA_VERSION: Final = 1
#: Marks a file as ours ("ccst"), see PRAGMA application_id.
APPLICATION_ID: Final = 0x63637374
#: Larger ones are filled no faster, but a commit of one line writes a whole page, and a query reads one for
#: nearly each row: with 32 KB, that was three times as much to write, and it took twice as long to read.
PAGE_SIZE: Final = 8192
#: Bytes of the write-ahead log at which there is a checkpoint: with 4 MB, that was half of the time.
_LOG_SIZE: Final = 16 << 20
#: Prepared statements of a connection that writes. Those that insert many rows have half a megabyte, and
#: every segment has its own.
STATEMENTS_HELD: Final = 32
#: Tells people, in the log.
Say = Callable[[str], None]
#: What every connection sets, unless the configuration has something else.
PRAGMAS: Final = {
    "busy_timeout": "5000",
    "synchronous": "FULL",
    # Some systems have it otherwise: what expires would be overwritten, and that twice, which takes as much
    # of the disk as what comes in.
    "secure_delete": "OFF",
    "cache_size": "-16384",
    "wal_autocheckpoint": str(_LOG_SIZE // PAGE_SIZE),
}
#: The same for whoever writes, who seldom looks at a page again.
WRITER_PRAGMAS: Final = {**PRAGMAS, "cache_size": "-4096"}


def set_pragmas(connection: sqlite3.Connection, pragmas: Mapping[str, str]) -> None:
    """Set them; their values are plain words and numbers."""
    for name, value in pragmas.items():
        # It is always WAL, but auto_vacuum has to be set before it: see prepare_file.
        if name != "journal_mode":
            connection.execute(f"PRAGMA {name} = {value}")


def prepare_file(connection: sqlite3.Connection) -> None:
    """Make the file ours if it is new, and refuse it if it is not ours or is newer than we are."""
    application, version, objects = (
        connection.execute(statement).fetchone()[0]
        for statement in (
            "PRAGMA application_id",
            "PRAGMA user_version",
            "SELECT count(*) FROM sqlite_schema",
        )
    )
    if application != APPLICATION_ID and objects:
        raise StoreError(
            "it has tables, but ccstore did not make it: give another path"
            " (and if it is cc-event-store's, `ccstore import` takes over what it has)"
        )
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"its schema has version {version}, written by a newer ccstore: this one knows {SCHEMA_VERSION}"
        )
    if not objects:
        # These have to be said before there is a table.
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(
            f"its journal cannot be a write-ahead log (it stays {mode!r}): is it on a network file system?"
        )
    if version == SCHEMA_VERSION:
        return
    with transaction(connection):
        for number in range(version + 1, SCHEMA_VERSION + 1):
            script = resources.files("ccstore.storage.sqlite").joinpath(f"schema/{number}.sql").read_text()
            for statement in statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def checkpoint(connection: sqlite3.Connection) -> None:
    """Bring everything from the write-ahead log into the file and empty it, unless somebody reads."""
    (patience,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {patience}")


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
            self._connection.execute("COMMIT")
        elif self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
