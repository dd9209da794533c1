"""A writer that works in this process, in whichever thread calls it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from ccstore.batch import Batch
from ccstore.keeping import KeepRule
from ccstore.storage.dbfile.sql import Say, leave_log
from ccstore.storage.dbfile.watch import FileChanged, Watch
from ccstore.storage.sqlite.housekeeping import Housekeeping
from ccstore.storage.sqlite.sizes import SegmentSizes
from ccstore.storage.sqlite.store_writer import StoreWriter
from ccstore.storage.sqlite.writer import State, Writer

_Result = TypeVar("_Result")


class LocalWriter(StoreWriter):
    """See :class:`ccstore.storage.sqlite.store_writer.StoreWriter`.

    :param connection: to the file; it is closed with the writer.
    :param watch: of the file.
    :param retention: nanoseconds after which events expire that no rule is about.
    :param now: the time in nanoseconds since the epoch.
    :ivar writer: writes the messages.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        watch: Watch,
        retention: int,
        rules: Sequence[KeepRule] | None,
        now: Callable[[], int],
        say: Say,
        sizes: SegmentSizes,
    ) -> None:
        self._connection = connection
        self._watch = watch
        self.writer = Writer(connection, now, say, sizes)
        self.housekeeping = Housekeeping(self.writer, retention, rules, now, say)

    def load(self) -> None:
        """Read the catalogue; has to be called first."""
        self.writer.load()

    @property
    def state(self) -> State:
        return self.writer.state

    def prepare(self, messages: Batch) -> None:
        """There is nothing to be done in advance."""

    def announce(self, parts: Sequence[Batch]) -> None:
        """As :meth:`prepare`: this thread has other things to do."""

    def guard(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        try:
            return self._watch.guard(self._complete, work, *arguments)
        except BaseException:
            # Whatever failed, a transaction that is left open would be in the way of all that comes.
            self.writer.undo()
            self._connection.rollback()
            raise

    def _complete(self) -> None:
        self.writer.undo()
        self.housekeeping.checkpoint()

    def write(self, messages: Batch) -> None:
        self.writer.write(messages)

    def close(self) -> None:
        # If the log is not brought into the file now, it is at the next start.
        with suppress(sqlite3.Error, FileChanged):
            self.guard(self.housekeeping.checkpoint)
        if self._watch.is_damaged:
            # At its close, SQLite would write the log into what somebody has put in the file's place.
            leave_log(self._connection)
        self._connection.close()
