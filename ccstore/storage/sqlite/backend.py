"""An SQLite file as a backend: what ties together the file, its writer, its readers and its housekeeping."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from ccstore.accounting.figures import Figures, counter, gauge
from ccstore.batch import Batch
from ccstore.interfaces import IBackend, ICopyTarget
from ccstore.keeping import Hold, KeepRule
from ccstore.permissions import PRIVATE
from ccstore.storage.dbfile.database_file import DatabaseFile
from ccstore.storage.dbfile.schema import Schema
from ccstore.storage.dbfile.sql import set_pragmas
from ccstore.storage.pack_settings import NO_PACKING, Packing
from ccstore.storage.reading.dialect import Question
from ccstore.storage.sqlite.background import BackgroundPacking
from ccstore.storage.sqlite.batches import Batches
from ccstore.storage.sqlite.copying_in import CopyingIn
from ccstore.storage.sqlite.dialect import SqliteDialect
from ccstore.storage.sqlite.means import MEANS, Means
from ccstore.storage.sqlite.pragmas import PRAGMAS, WRITER_PRAGMAS
from ccstore.storage.sqlite.readers import Readers
from ccstore.storage.sqlite.reserve import Reserve
from ccstore.storage.sqlite.sizes import SIZES, Sizes
from ccstore.storage.sqlite.store_writer import StoreHousekeeping
from ccstore.storage.sqlite.tending import Tending
from ccstore.storage.sqlite.versions import DATABASE
from ccstore.storage.sqlite.writer_start import WriterStart
from ccstore.storage.sqlite.writer_thread import WriterThread
from ccstore.timing import nanoseconds

#: What :meth:`Housekeeping.figures` and :meth:`Tending.disk` have.
_OF_THE_FILE: Final = {
    "segments": "Segments in the database.",
    "bytes": "Bytes of the database file.",
    "free_bytes": "Bytes of the file that are free for new messages.",
    "journal_bytes": "Bytes of the write-ahead log beside the file.",
    "reserve_bytes": "Bytes beside it that are kept for getting out of a full disk.",
    "disk_bytes": "Bytes of the file system that has the file.",
    "disk_free_bytes": "Bytes of it that are free for the daemon.",
}
_Result = TypeVar("_Result")


# Fifteen of its methods are those of its two interfaces, and most of them are one line.
@implementer(IBackend, ICopyTarget)
class SqliteBackend:
    """See the module.

    :param path: absolute.
    :param pragmas: for every connection, besides what is always set.
    :param retention: seconds after which events expire that none of the ``rules`` is about; None for
        those rules that the file has.
    :param packing: what is packed.
    :param now: the time in nanoseconds since the epoch.
    :param is_apart: a process of its own writes, and not a thread. It cannot be copied into then.
    :param dialect: how it is read.
    :param mode: of the file and those beside it.
    :param schema: that the file has, or is brought to.
    :param means: what it works with besides the reactor.
    """

    name = "sqlite"
    #: What is read is put into text where it is read, in a thread if not in a process.
    is_busy_elsewhere = True
    #: Batches that may be begun at a time. They are written one after the other, but the next one is at hand.
    writers = 2
    log = Logger()

    def __init__(
        self,
        path: Path,
        pragmas: Mapping[str, str],
        *,
        retention: float,
        rules: Sequence[KeepRule] | None = None,
        now: Callable[[], int],
        reactor: Any,
        is_apart: bool = False,
        dialect: SqliteDialect | None = None,
        mode: int = PRIVATE,
        schema: Schema = DATABASE,
        sizes: Sizes = SIZES,
        means: Means = MEANS,
        packing: Packing = NO_PACKING,
    ) -> None:
        self._pragmas = {**PRAGMAS, **pragmas}
        self._file = DatabaseFile(path, "database", schema, mode, self._say)
        self._reserve = Reserve(path, mode)
        self._start = WriterStart(
            self._file,
            {**WRITER_PRAGMAS, **pragmas},
            nanoseconds(retention),
            rules,
            now,
            self._say,
            sizes,
            means,
            is_apart=is_apart,
        )
        self._thread = WriterThread(self._file)
        self._batches = Batches(self._thread, self._reserve, now)
        self._copying = CopyingIn(self._thread, now)
        dialect = SqliteDialect() if dialect is None else dialect
        self._readers = Readers(
            self._file, self._pragmas, dialect, reactor, sizes.reading, means, is_apart=is_apart
        )
        self._packing = BackgroundPacking(
            self._thread, self._readers, path, packing, means.clock, self._say, sizes
        )
        self._tending = Tending(
            self._thread, self._file, self._reserve, now, means.clock, sizes, self._packing, self._say
        )
        self._make_thread = lambda: means.threads(reactor, 1, "ccstore-writer")

    def _say(self, text: str) -> None:
        self.log.warn("{text}", text=text)

    def describe(self) -> str:
        """See :meth:`IBackend.describe`."""
        return f"{self._file.path} (SQLite {sqlite3.sqlite_version})"

    def open(self) -> None:
        """See :meth:`IBackend.open`."""
        with self._file.opening():
            try:
                self._load()
            except sqlite3.OperationalError:
                # On a full disk, even a start takes space.
                if not self._reserve.release():
                    raise
                self._file.watch.end()
                self._load()
        self._readers.open()

    def _load(self) -> None:
        with closing(sqlite3.connect(self._file.path, isolation_level=None)) as connection:
            set_pragmas(connection, self._pragmas)
            self._file.prepare(connection)
        writer = self._start.writer()
        try:
            self._tending.figures = {**writer.housekeeping.figures(), **self._tending.disk()}
        except BaseException:
            writer.close()
            raise
        self._thread.begin(writer, self._make_thread())

    def retain(self, retention: float, rules: Sequence[KeepRule] = ()) -> Deferred[None]:
        """See :meth:`IBackend.retain`."""
        return Deferred.fromCoroutine(self._retain(nanoseconds(retention), rules))

    async def _retain(self, retention: int, rules: Sequence[KeepRule]) -> None:
        self._start.retention, self._start.rules = retention, rules
        housekeeping = self._thread.writer.housekeeping
        await self._thread.run(housekeeping.retain, retention, [rule.pack() for rule in rules])

    def limit(self, max_size: int | None) -> None:
        """See :meth:`IBackend.limit`."""
        self._tending.max_size = max_size

    def hold(self, hold: Hold) -> Deferred[int]:
        """See :meth:`IBackend.hold`."""
        return Deferred.fromCoroutine(self._change(lambda house: house.hold, hold.pack()))

    def release(self, number: int) -> Deferred[bool]:
        """See :meth:`IBackend.release`."""
        return Deferred.fromCoroutine(self._change(lambda house: house.release, number))

    async def _change(
        self, what: Callable[[StoreHousekeeping], Callable[[Any], _Result]], given: object
    ) -> _Result:
        return await self._thread.do(what(self._thread.writer.housekeeping), given)

    def close(self) -> Deferred[None]:
        """See :meth:`IBackend.close`."""
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        if self._thread.is_open:
            self._readers.close()
            await self._packing.ended()
            await self._thread.close()
            self._file.close()

    # -- work

    def prepare(self, messages: Batch) -> None:
        """See :meth:`IBackend.prepare`."""
        if self._thread.is_open:
            self._thread.writer.prepare(messages)

    def announce(self, parts: Sequence[Batch]) -> None:
        """See :meth:`IBackend.announce`."""
        if self._thread.is_open and not self._thread.is_busy:
            self._thread.writer.announce(parts)

    def write(self, messages: Batch, batch_id: int | None = None) -> Deferred[Mapping[str, int]]:
        """See :meth:`IBackend.write`. Whether a commit succeeded is always known here: ids are not needed."""
        return Deferred.fromCoroutine(self._batches.write(messages))

    def read(self, question: Question[_Result], *, timeout: float) -> Deferred[_Result]:
        """See :meth:`IBackend.read`."""
        return Deferred.fromCoroutine(self._readers.read(question, timeout))

    def expire(self, cutoff: int) -> Deferred[int]:
        """See :meth:`IBackend.expire`."""
        return Deferred.fromCoroutine(self._tending.expire(cutoff))

    def tend(self, now: int) -> Deferred[None]:
        """See :meth:`IBackend.tend`."""
        return Deferred.fromCoroutine(self._tending.tend(now))

    # -- copying

    def prepare_copy(self, log_times: tuple[int, int] | None) -> Deferred[None]:
        """See :meth:`ICopyTarget.prepare_copy`."""
        return self._copying.prepare()

    def copied(self, source: str) -> Deferred[Mapping[str, int]]:
        """See :meth:`ICopyTarget.copied`."""
        return self._copying.copied(source)

    def copy_in(self, messages: Batch, source: str, last: int) -> Deferred[None]:
        """See :meth:`ICopyTarget.copy_in`."""
        return self._copying.copy_in(messages, source, last)

    def count(self) -> Deferred[Mapping[tuple[str, str], int]]:
        """See :meth:`ICopyTarget.count`."""
        return self._copying.count()

    def status(self) -> Figures:
        """See :meth:`IBackend.status`."""
        state = self._thread.state
        limit = self._tending.max_size
        more = {} if limit is None else {"max_bytes": gauge(limit, "Bytes that the database may have.")}
        return Figures(
            **more,
            active_tables=gauge(state.active_tables, "Clusters and kinds that have messages."),
            writes=counter(state.writes, "Transactions that wrote messages."),
            queries=counter(self._readers.queries, "Queries that were answered."),
            packed=counter(self._packing.rows, "Messages that were packed."),
            deletes=counter(state.deletes, "Times that expired events were deleted."),
            **{name: gauge(value, _OF_THE_FILE[name]) for name, value in self._tending.figures.items()},
        )
