"""A file of ours as whoever has it open sees it: opened, explained when something fails, and let go."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ccstore.errors import StoreError, StoreUnavailable
from ccstore.permissions import make_empty
from ccstore.storage.dbfile.explain import explain, is_damage
from ccstore.storage.dbfile.lock import FileLock
from ccstore.storage.dbfile.schema import Schema, give_mode
from ccstore.storage.dbfile.sql import Say, checkpoint, leave_log
from ccstore.storage.dbfile.watch import FileChanged, Watch


class DatabaseFile:
    """The file at a path, with its lock and its watch.

    :param path: absolute.
    :param what: the file is, for people.
    :param mode: of the file and those beside it.
    :param say: tells people, such as of an upgrade.
    """

    def __init__(self, path: Path, what: str, schema: Schema, mode: int, say: Say) -> None:
        self.path = path
        self._what = what
        self._schema = schema
        self._mode = mode
        self._say = say
        self.lock = FileLock(path, what, mode)
        self.watch = Watch(path, what, say)

    @contextmanager
    def opening(self) -> Iterator[None]:
        """``with`` the lock taken and a file there, both of which stay if nothing goes wrong.

        Raises :class:`StoreError` in one clear line, such as
        :class:`ccstore.storage.dbfile.lock.InUse`.
        """
        self.lock.take()
        make_empty(self.path, self._mode)
        try:
            yield
        except (sqlite3.Error, OSError, StoreError) as error:
            self.close()
            raise StoreError(f"cannot open the {self._what} {self.path}: {self.explain(error)}") from None

    def prepare(self, connection: sqlite3.Connection) -> None:
        """Bring the file that is open to its schema and its mode, and watch it from now on."""
        self._schema.prepare(connection, self.path, self._mode, self._say)
        give_mode(self.path, self._mode)
        self.watch.begin()

    def explain(self, error: Exception) -> str:
        """What an error means for this file, and what to do."""
        return explain(error, self.path)

    def unavailable(self, error: sqlite3.Error) -> StoreUnavailable:
        """The same as an error of the store: what has become of the file explains any other error."""
        try:
            self.watch.check()
        except FileChanged as changed:
            return changed
        reason = f"the {self._what} {self.path}: {self.explain(error)}"
        if is_damage(error):
            self.watch.condemn(reason)
        return StoreUnavailable(reason)

    def leave(self, connection: Any) -> None:
        """The last thing that is done by the connection that writes: the file is complete without its log.

        If somebody has put another one in the place of the file, the log is left as it is: SQLite would
        write it there.
        """
        (leave_log if self.watch.is_damaged else checkpoint)(connection)

    def close(self) -> None:
        """No connection has it open any more: let it go."""
        self.watch.end()
        self.lock.release()
