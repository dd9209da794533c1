"""Which writer a backend has: a process of its own, or itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twisted.logger import Logger

from ccstore.keeping import KeepRule
from ccstore.storage.dbfile.database_file import DatabaseFile
from ccstore.storage.dbfile.sql import Say, set_pragmas
from ccstore.storage.sqlite.local_writer import LocalWriter
from ccstore.storage.sqlite.means import Means
from ccstore.storage.sqlite.pragmas import STATEMENTS_HELD
from ccstore.storage.sqlite.remote_writer import RemoteWriter
from ccstore.storage.sqlite.sizes import Sizes
from ccstore.storage.sqlite.store_writer import StoreWriter
from ccstore.storage.sqlite.writer_calls import Opening
from ccstore.storage.sqlite.writer_client import ProcessEnded, WriterProcess


class WriterStart:
    """Starts the writer of a file that is open.

    :param pragmas: for the connection that writes.
    :param now: the time in nanoseconds since the epoch.
    :param is_apart: a process of its own writes, if there can be one.
    :ivar retention: nanoseconds after which events expire that no rule in ``rules`` is about.
    """

    log = Logger()

    def __init__(
        self,
        file: DatabaseFile,
        pragmas: Mapping[str, str],
        retention: int,
        rules: Sequence[KeepRule] | None,
        now: Callable[[], int],
        say: Say,
        sizes: Sizes,
        means: Means,
        *,
        is_apart: bool,
    ) -> None:
        self._file = file
        wait = min(int(pragmas["busy_timeout"]), sizes.lock_wait)
        self._pragmas = {**pragmas, "busy_timeout": str(wait)}
        self.retention = retention
        self.rules = rules
        self._now = now
        self._say = say
        self._sizes = sizes
        self._means = means
        self._is_apart = is_apart

    def writer(self) -> StoreWriter:
        """A writer that has read the file; raises sqlite3.Error or :class:`StoreError` if it cannot."""
        if self._is_apart:
            try:
                return self._remote()
            except ProcessEnded as error:
                self.log.warn("a thread writes instead of a process: {why}", why=error)
        return self._local()

    def _remote(self) -> RemoteWriter:
        process = WriterProcess(
            Opening(
                str(self._file.path),
                self._pragmas,
                self.retention,
                None if self.rules is None else [rule.pack() for rule in self.rules],
                self._now(),
                self._sizes.segments,
            ),
            self._now,
            lambda: self._file.lock.descriptor,
            self._say,
            self._means.spawn,
            self._means.open_channel,
        )
        process.start()
        self._file.watch.look(is_used=True)
        return RemoteWriter(process, self._file.watch, self._sizes.announcing)

    def _local(self) -> LocalWriter:
        connection = self._means.connected(self._file.path, "rw", STATEMENTS_HELD)
        try:
            set_pragmas(connection, self._pragmas)
            writer = LocalWriter(
                connection,
                self._file.watch,
                self.retention,
                self.rules,
                self._now,
                self._say,
                self._sizes.segments,
            )
            writer.load()
        except BaseException:
            connection.close()
            raise
        return writer
