"""The schema of a file in its versions: whether the file is ours, and how it is brought up to date."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from importlib import resources
from pathlib import Path

from attrs import frozen

from ccstore.errors import StoreError
from ccstore.permissions import make_empty, set_mode
from ccstore.storage.dbfile.explain import explain
from ccstore.storage.dbfile.sql import PAGE_SIZE, Say, beside, statements, transaction


@frozen
class Schema:
    """What is in a file.

    :ivar application_id: marks a file as ours, see PRAGMA application_id.
    :ivar scripts: the statements that make each version from the one before it, the first from nothing.
    :ivar foreign: what to say of a file that is not ours.
    """

    application_id: int
    scripts: Sequence[str]
    foreign: str

    @property
    def version(self) -> int:
        """The number of its last script."""
        return len(self.scripts)

    def prepare(self, connection: sqlite3.Connection, path: Path, mode: int, say: Say) -> None:
        """Make the file ours if it is new, and bring it up to date if it is older than we are.

        Before that it is copied. If anything goes wrong, it is as it was. Raises :class:`StoreError` for
        that, and if the file is not ours or is newer than we are.

        :param path: of the file, which is open.
        :param mode: that its copy gets.
        """
        application, version, objects = (
            connection.execute(statement).fetchone()[0]
            for statement in (
                "PRAGMA application_id",
                "PRAGMA user_version",
                "SELECT count(*) FROM sqlite_schema",
            )
        )
        if application != self.application_id and objects:
            raise StoreError(self.foreign)
        if version > self.version:
            raise StoreError(
                f"its schema has version {version}, written by a newer ccstore: this one knows {self.version}"
            )
        if not objects:
            # These have to be said before there is a table.
            connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute(f"PRAGMA application_id = {self.application_id}")
        journal = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if journal != "wal":
            raise StoreError(
                f"its journal cannot be a write-ahead log (it stays {journal!r}): is it on a network file"
                " system?"
            )
        if 0 < version < self.version:
            copy = path.with_name(f"{path.name}.v{version}")
            say(
                f"the schema of {path} has version {version} and is brought to {self.version}; before that,"
                f" the file is copied to {copy}"
            )
            _copy(connection, copy, mode)
            self._upgrade(connection, version)
            say(f"{path} has version {self.version} now; when all is well, {copy} may be removed")
        elif not version:
            self._upgrade(connection, version)

    def _upgrade(self, connection: sqlite3.Connection, version: int) -> None:
        with transaction(connection):
            for script in self.scripts[version:]:
                for statement in statements(script):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {self.version}")


def scripts(package: str, versions: int) -> tuple[str, ...]:
    """The schema files of a package."""
    folder = resources.files(package).joinpath("schema")
    return tuple(folder.joinpath(f"{number}.sql").read_text() for number in range(1, versions + 1))


def give_mode(path: Path, mode: int) -> None:
    """Give a file, and what SQLite keeps beside it, its mode; what is made later gets that of the file."""
    for each in (path, *beside(path)):
        set_mode(each, mode)


def _copy(connection: sqlite3.Connection, target: Path, mode: int) -> None:
    """Copy the whole file as it is, on disk when this returns; an earlier copy is replaced at the end."""
    part = target.with_name(f"{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        make_empty(part, mode)
        with closing(sqlite3.connect(part)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
        part.replace(target)
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except (sqlite3.Error, OSError) as error:
        with suppress(OSError):
            part.unlink()
        raise StoreError(
            f"it has to be copied to {target} before its schema is brought up to date, and that failed:"
            f" {explain(error, target)}"
        ) from None
