"""What rules of a configuration file would delete of the SQLite file that it names, without a daemon."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from ccstore.api.keeping_answers import report_as_json
from ccstore.client.session import ClientError
from ccstore.config import ConfigError, SqliteConfig, load_config
from ccstore.instants import show_moment
from ccstore.storage.reading.inventory import Inventory
from ccstore.storage.reading.leaving import KeepingQuestion
from ccstore.storage.sqlite.asking import Asking
from ccstore.storage.sqlite.dialect import SqliteDialect
from ccstore.storage.sqlite.reader import Reader, ReadingConnection
from ccstore.storage.sqlite.versions import DATABASE
from ccstore.timing import nanoseconds

#: Seconds that may be spent on it.
_PATIENCE: Final = 3600.0


def leaving_in_file(name: str) -> Mapping[str, Any]:
    """What ``/api/v1/retention`` would answer with the rules of a configuration file.

    Raises :class:`ClientError` in one line.
    """
    try:
        storage = load_config(Path(name), cwd=Path.cwd(), environ=os.environ).storage
    except ConfigError as error:
        raise ClientError(str(error)) from None
    if not isinstance(storage.backend, SqliteConfig):
        raise ClientError(f"{name}: only an SQLite file is read by --config: ask the daemon, without it")
    path = storage.backend.database_path
    now = time.time_ns()
    try:
        opened = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
        with closing(opened) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != DATABASE.version:
                raise ClientError(
                    f"{path}: its schema has version {version}, and this ccstore reads {DATABASE.version}: "
                    "start the daemon on it once, which brings an older one up to date"
                )
            reader, reading = Reader(SqliteDialect(), is_alone=True), ReadingConnection(connection)
            retention = nanoseconds(storage.retention_time)
            question = KeepingQuestion(storage.rules, retention, now)
            reports = reader.read(reading, question, Asking(_PATIENCE)).reports
            holdings = reader.read(reading, Inventory(retention), Asking(_PATIENCE))
    except sqlite3.Error as error:
        raise ClientError(f"cannot read {path}: {error}") from None
    rows = sum(each.rows or 0 for each in holdings.kinds)
    of_a_row = path.stat().st_size / rows if rows else 0.0
    return {"time": show_moment(now), "rules": [report_as_json(each, of_a_row) for each in reports]}
