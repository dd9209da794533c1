"""The command ``ccstore import``, what it is given, and what is in the store after it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ccstore.batch import Batch
from ccstore.importing.command import main
from ccstore.importing.source import Sizes
from ccstore.storage.dbfile.sql import identifier
from ccstore.storage.sqlite.bulk import BulkWriter
from tests.support.running_daemon import database

#: As the Go daemon makes its tables; the tags without a column are a BLOB there.
SCHEMA = """create table IF NOT EXISTS {} (id integer primary key, timestamp bigint, name text,
hostname text, type text, typeid text, stype text, stypeid text, othertags JSON, field text);"""
COLUMNS = ("timestamp", "name", "hostname", "type", "typeid", "stype", "stypeid", "othertags", "field")
NOW = int(time.time())

#: Called with the words behind the command's name, and what else :func:`main` may be given.
Run = Callable[..., int]
#: Pieces of few rows, or of few bytes.
SMALL = Sizes(rows=7, fetched=7, block=100)


class Stop(Exception):
    """Somebody pulls the plug."""


class _Breaking(BulkWriter):
    """Breaks in the transaction behind so many pieces, which has its position or not yet."""

    def __init__(self, *arguments: Any, pieces: int, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._pieces = pieces
        self._count = 0

    def write(self, messages: Batch, also: Callable[[sqlite3.Connection], None]) -> None:
        self._count += 1
        is_last = self._count > self._pieces

        def broken(connection: sqlite3.Connection) -> None:
            if not is_last or not self._pieces % 2:
                also(connection)
            if is_last:
                raise Stop

        super().write(messages, broken)


def stopped(run: Run, source: str | Path, pieces: int) -> None:
    """An import in small pieces that breaks behind so many of them."""
    with pytest.raises(Stop):
        run(source, sizes=SMALL, make_writer=partial(_Breaking, pieces=pieces))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command, in a directory of its own, on the configuration there."""
    configure(tmp_path)
    monkeypatch.chdir(tmp_path)
    return lambda *words, **more: main(["--config", "ccstore.json", *map(str, words)], **more)


def configure(directory: Path, **storage: Any) -> Path:
    here = {"address": "127.0.0.1", "port": 0}
    content = {
        "receivers": {"tcp": {"type": "tcp", **here}},
        "storage": {"backend": {"type": "sqlite", "database_path": str(directory / "new.db")}, **storage},
        "api": here,
    }
    path = directory / "ccstore.json"
    path.write_text(json.dumps(content))
    return path


def go_file(path: Path, **tables: Sequence[Sequence[object]]) -> Path:
    """A file of the Go daemon with these rows, each the values of its columns without the id."""
    with closing(sqlite3.connect(path)) as connection:
        for name, rows in tables.items():
            connection.execute(SCHEMA.format(identifier(name)))
            places = ", ".join("?" * len(COLUMNS))
            connection.executemany(
                f"INSERT INTO {identifier(name)} ({', '.join(COLUMNS)}) VALUES ({places})", rows
            )
        connection.commit()
    return path


def row(text: object = "text", at: object = NOW, name: object = "job", **more: object) -> tuple[object, ...]:
    given = {"timestamp": at, "name": name, "field": text, **more}
    return tuple(given.get(column) for column in COLUMNS)


def rows(directory: Path, view: str, columns: str = ", ".join(COLUMNS)) -> list[Any]:
    """What the store has, in the order in which it came."""
    with database(directory / "new.db") as connection:
        return connection.execute(f"SELECT {columns} FROM {identifier(view)} ORDER BY id").fetchall()


def texts(directory: Path, view: str) -> list[str]:
    return [text for (text,) in rows(directory, view, "field")]


def table(said: str) -> dict[str, tuple[int, ...]]:
    """The figures of a report: read, stored, expired, not kept, rejected."""
    cells = [line.split() for line in said.splitlines()]
    return {each[0]: tuple(map(int, each[1:])) for each in cells if len(each) == 6 and each[5].isdigit()}
