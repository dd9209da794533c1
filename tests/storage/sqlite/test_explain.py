"""What SQLite says, explained: it is made to say it, as far as that can be done."""

from __future__ import annotations

import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from ccstore.interfaces import StoreError, StoreUnavailable
from ccstore.storage.dbfile.explain import explain
from ccstore.storage.spool import Spool, SpoolFile
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.bulk import BulkWriter
from ccstore.storage.sqlite.export import SqliteSource
from tests.support.scratch import as_somebody_else, scratch
from tests.support.stores import NOW, messages

NO_FILES = "raise the limit of open files (LimitNOFILE= in the unit, or ulimit -n)"


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process may open no more files."""
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def said(path: Path, statement: str = "CREATE TABLE x (x)") -> str:
    """What is made of what SQLite says to this statement."""
    with pytest.raises(sqlite3.Error) as caught, closing(sqlite3.connect(path, timeout=0)) as connection:
        connection.execute(statement)
    return explain(caught.value, path)


@pytest.fixture
def path(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path / "x.db"
    with closing(sqlite3.connect(found)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE y (y)")
    # Somebody else is to come as far as here. Each process that runs tests has a directory of its own in that
    # of the run, which is in the user's.
    base = tmp_path_factory.getbasetemp()
    for each in (base.parent.parent, base.parent, base, tmp_path, found):
        if each.stat().st_uid == os.geteuid():
            each.chmod(each.stat().st_mode | 0o755)
    return found


def test_a_folder_that_may_not_be_written(path: Path) -> None:
    path.chmod(0o666)
    path.parent.chmod(0o555)
    with as_somebody_else():
        told = said(path)
    path.parent.chmod(0o755)
    assert told.startswith(("attempt to write a readonly database: ", "unable to open database file: "))
    assert "SQLite makes files beside it, but the user " in told
    assert f"may not write into the folder {path.parent} (owner " in told


def test_a_file_that_may_not_be_written(path: Path) -> None:
    path.parent.chmod(0o777)
    path.chmod(0o444)
    with as_somebody_else():
        told = said(path)
    assert told.startswith("attempt to write a readonly database: the user ")
    assert f"may not read and write {path} (owner " in told
    assert told.endswith("mode 0444)")


def test_a_file_that_may_not_be_read(path: Path) -> None:
    path.parent.chmod(0o777)
    path.chmod(0o200)
    with as_somebody_else():
        assert f"may not read and write {path} (owner " in said(path)


def test_what_somebody_else_has_left_beside_it(path: Path) -> None:
    """As when root has looked into it with sqlite3."""
    if os.geteuid():
        pytest.skip("only root can leave a file of somebody else")
    path.parent.chmod(0o777)
    path.chmod(0o666)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO y VALUES (1)")
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").chmod(0o600)
        with as_somebody_else():
            assert f"may not read and write {path}-wal (owner root:root, mode 0600)" in said(path)


def test_no_more_open_files(path: Path) -> None:
    with no_more_files():
        told = said(path)
    assert told == f"unable to open database file: too many open files: {NO_FILES}"


def test_no_such_folder(tmp_path: Path) -> None:
    assert said(tmp_path / "none" / "x.db").endswith(f"there is no folder {tmp_path / 'none'}")


def test_a_folder_and_not_a_file(tmp_path: Path) -> None:
    assert said(tmp_path).endswith("this is a folder; give the path of a file")


def test_no_database(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_text("no database" * 100)
    assert said(path).startswith("file is not a database: it is no SQLite file, or its beginning is damaged")


def test_a_damaged_one(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 500)
    told = said(path, "SELECT * FROM y")
    assert told.startswith("database disk image is malformed: the file is damaged; stop whatever uses it")
    assert f"sqlite3 {path} .recover | sqlite3 NEW" in told


def test_locked(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert said(path) == (
            "database is locked: another program has a transaction open in it; end that"
            f" (`fuser -v {path}` shows who has it open)"
        )


def test_a_full_one(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.Error) as caught:
            connection.execute("CREATE TABLE x (x)")
    told = explain(caught.value, path)
    assert told == (
        f"database or disk is full: make room on the file system of {path.parent}, or raise the quota"
    )


def test_what_is_not_known_is_said_as_it_is(path: Path) -> None:
    assert explain(sqlite3.OperationalError("no such table: z"), path) == "no such table: z"


class WhereTests(TestCase):
    """Whoever has to do with a file says it so."""

    def setUp(self) -> None:
        self.path = scratch(self) / "x.db"
        self.path.write_text("no database" * 100)

    def backend(self) -> Any:
        return SqliteBackend(self.path, {}, retention=1600, now=lambda: NOW, reactor=reactor)

    def test_at_the_start(self) -> None:
        for it in (
            self.backend(),
            Spool(self.path, SpoolFile(10**9), reactor),
            BulkWriter(self.path, {}, retention=1600, say=print),
            SqliteSource(self.path, self.path.parent),
        ):
            says = f"{self.path}: (cannot be read: )?file is not a database: it is no SQLite"
            with self.assertRaisesRegex(StoreError, says):
                it.open()

    async def test_while_it_runs(self) -> None:
        self.path.unlink()
        backend = self.backend()
        backend.open()
        self.addCleanup(backend.close)
        await backend.write(messages("a"))
        backend._reserve.is_kept = False
        with no_more_files():
            error = await self.assertFailure(backend.write(messages("a")), StoreUnavailable)
        self.assertIn(f"cannot make {self.path}.reserve: Too many open files: {NO_FILES}", str(error))
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            error = await self.assertFailure(backend.write(messages("a")), StoreUnavailable)
        self.assertIn(f"the database {self.path}: database is locked: another program", str(error))
