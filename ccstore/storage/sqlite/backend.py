"""An SQLite file as a backend: its life, its connections and their threads."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ccstore.accounting.figures import Figures, counter, gauge
from ccstore.interfaces import IBackend, ICopyTarget, StoreError, StoreUnavailable
from ccstore.message import STORED_KINDS, Batch
from ccstore.permissions import PRIVATE, make_empty
from ccstore.storage.cancelling import cancellable
from ccstore.storage.reading.dialect import Question
from ccstore.storage.sqlite import apart
from ccstore.storage.sqlite.apart import ProcessEnded, WriterApart, WriterProcess
from ccstore.storage.sqlite.asking import Asking
from ccstore.storage.sqlite.dialect import SqliteDialect
from ccstore.storage.sqlite.explain import explain, is_damage
from ccstore.storage.sqlite.file import PRAGMAS, STATEMENTS_HELD, WRITER_PRAGMAS, leave_log, set_pragmas
from ccstore.storage.sqlite.lock import FileLock, InUse
from ccstore.storage.sqlite.reader import CLOSED
from ccstore.storage.sqlite.readers import Readers
from ccstore.storage.sqlite.reserve import Reserve
from ccstore.storage.sqlite.versions import DATABASE, Schema, give_mode
from ccstore.storage.sqlite.views import STORED_ROWS
from ccstore.storage.sqlite.watch import FileChanged, Watch
from ccstore.storage.sqlite.writer import Writer

#: Milliseconds that a write waits for a lock at most: it is tried again, and the stop waits for it.
_LOCK_WAIT: Final = 1000
#: Seconds in a second that merging and dividing may take, while messages come in and while they do not.
_MERGING_TIME: Final = (0.05, 0.5)
_DIVIDING_TIME: Final = (0.25, 0.5)
#: What SQLite says when a message itself is at fault; anything else may pass.
_REFUSED: Final = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    ValueError,
    OverflowError,
)
#: What :meth:`Writer.figures` has.
_OF_THE_FILE: Final = {
    "segments": "Segments in the database.",
    "bytes": "Bytes of the database file.",
    "free_bytes": "Bytes of the file that are free for new messages.",
}
_Result = TypeVar("_Result")


@implementer(IBackend, ICopyTarget)
class SqliteBackend:
    """See the module.

    :param path: absolute.
    :param pragmas: for every connection, besides what is always set.
    :param retention: seconds after which events expire.
    :param now: the time in nanoseconds since the epoch.
    :param is_apart: a process of its own writes, and not a thread. It cannot be copied into then.
    :param dialect: how it is read.
    :param mode: of the file and those beside it.
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
        now: Callable[[], int],
        reactor: Any,
        is_apart: bool = False,
        dialect: SqliteDialect | None = None,
        mode: int = PRIVATE,
        schema: Schema = DATABASE,
    ) -> None:
        self._path = path
        self._mode = mode
        self._schema = schema
        self._pragmas = {**PRAGMAS, **pragmas}
        self._writer_pragmas = {**WRITER_PRAGMAS, **pragmas}
        wait = int(self._writer_pragmas["busy_timeout"])
        self._writer_pragmas["busy_timeout"] = str(min(wait, _LOCK_WAIT))
        self._retention = int(retention * 1e9)
        self._is_apart = is_apart
        self._writer: Writer | WriterApart = Writer(self._retention, now, self._say)
        self._readers = Readers(path, self._pragmas, dialect or SqliteDialect(), reactor, is_apart=is_apart)
        self._reserve = Reserve(path, mode)
        # What the writer knows of the file would be wrong with two daemons.
        self._lock = FileLock(path, "database", mode)
        self._watch = Watch(path, "database", self._say)
        # What was committed, but to a file that is not at the path: if that is put back, it is there.
        self._misplaced: list[Batch] = []
        self._now = now
        self._reactor = reactor
        self._writing: ConnectionPool | None = None
        self._running = 0  # works of the writer's thread that have not ended
        self._writes_begun = 0  # and not ended
        self._has_failed = False  # one of them, and so all that were begun after it
        self._queries = 0
        self._figures: dict[str, int] = {}

    def _say(self, text: str) -> None:
        self.log.warn("{text}", text=text)

    def describe(self) -> str:
        return f"{self._path} (SQLite {sqlite3.sqlite_version})"

    # -- life

    def open(self) -> None:
        """See :meth:`IBackend.open`."""
        self._lock.take()
        make_empty(self._path, self._mode)
        try:
            try:
                self._load()
            except sqlite3.OperationalError:
                # On a full disk, even a start takes space.
                if not self._reserve.release():
                    raise
                self._load()
        except (sqlite3.Error, OSError, StoreError) as error:
            self._watch.end()
            self._lock.release()
            raise StoreError(f"cannot open the database {self._path}: {explain(error, self._path)}") from None
        if self._writing is None:
            self._writing = self._pool()
        self._readers.start()

    def _load(self) -> None:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            self._prepare(connection)
            self._schema.prepare(connection, self._path, self._mode, self._say)
        give_mode(self._path, self._mode)
        self._watch.begin()
        if self._is_apart and self._start_process():
            return
        writer = self._writer = Writer(self._retention, self._now, self._say)
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            self._prepare(connection)
            writer.load(connection)
            self._figures = writer.figures(connection)

    def _start_process(self) -> bool:
        """Let a process write; False if there can be none."""
        process = WriterProcess(
            self._path,
            self._writer_pragmas,
            self._retention,
            self._now,
            lambda: self._lock.descriptor,
            self._say,
        )
        try:
            process.start()
        except ProcessEnded as error:
            self.log.warn("a thread writes instead of a process: {why}", why=error)
            return False
        self._watch.look(is_used=True)
        self._writer = WriterApart(process)
        self._figures = self._writer.figures(process)
        self._writing = ConnectionPool(
            apart.__name__, process, cp_reactor=self._reactor, cp_min=1, cp_max=1, cp_noisy=False
        )
        return True

    def retain(self, retention: float) -> Deferred[None]:
        """See :meth:`IBackend.retain`."""
        self._retention = int(retention * 1e9)
        return self._run(self._writer.retain, self._retention)

    def close(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        if self._writing is None:
            return
        self._readers.stop()
        # So that the file is complete without its write-ahead log. If not, that is read at the next start.
        with suppress(StoreError):
            await self._do(self._writer.checkpoint)
        writing, self._writing = self._writing, None
        if self._watch.is_damaged:
            # At its close, SQLite would write the log into what somebody has put in the file's place.
            if isinstance(self._writer, WriterApart):
                self._writer.kill()
            else:
                await writing.runWithConnection(leave_log)
        writing.close()
        self._watch.end()
        self._lock.release()

    def _pool(self) -> ConnectionPool:
        return ConnectionPool(
            "sqlite3",
            # It must not make a file where there is none any more.
            f"{self._path.as_uri()}?mode=rw",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=STATEMENTS_HELD,
            cp_reactor=self._reactor,
            cp_min=1,
            cp_max=1,
            cp_noisy=False,
            cp_openfun=self._prepare_writer,
        )

    def _prepare(self, connection: sqlite3.Connection) -> None:
        set_pragmas(connection, self._pragmas)

    def _prepare_writer(self, connection: sqlite3.Connection) -> None:
        set_pragmas(connection, self._writer_pragmas)

    # -- work

    def prepare(self, messages: Batch) -> None:
        """See :meth:`IBackend.prepare`."""
        if isinstance(self._writer, WriterApart):
            self._writer.prepare(messages)

    def announce(self, parts: Sequence[Batch]) -> None:
        """See :meth:`IBackend.announce`."""
        if isinstance(self._writer, WriterApart) and not self._running:
            self._writer.announce(parts)

    def write(self, messages: Batch, batch_id: int | None = None) -> Deferred[Mapping[str, int]]:
        """See :meth:`IBackend.write`. Whether a commit succeeded is always known here: ids are not needed."""
        return Deferred.fromCoroutine(self._write(messages))

    async def _write(self, messages: Batch) -> Mapping[str, int]:
        if not self._writes_begun:
            self._has_failed = False
        self._writes_begun += 1
        try:
            lasts = await self._run(self._write_now, messages)
        finally:
            self._writes_begun -= 1
        if self._writer.state.is_full:
            # Behind this write and before the next: nobody who waits for this one waits for it.
            sealing = self._do(self._writer.tend, self._now())
            sealing.addErrback(lambda failure: self.log.warn("cannot seal now: {why}", why=failure.value))
        return lasts

    def _write_now(self, connection: Any, messages: Batch) -> Mapping[str, int]:
        if self._has_failed:
            raise sqlite3.OperationalError("a batch that was to be written before this one was not")
        try:
            if self._misplaced:
                messages = self._without_misplaced(messages)
            self._reserve.keep()
            self._watched(connection, self._writer.write, connection, messages)
            if messages:
                self._misplaced.clear()
        except BaseException as error:
            if isinstance(error, FileChanged) and error.is_done:
                self._misplaced += _parts(messages)
            self._has_failed = True
            raise
        return self._writer.state.lasts

    def _without_misplaced(self, messages: Batch) -> Batch:
        """What is not in the file already."""
        parts = [part for part in _parts(messages) if not any(part is each for each in self._misplaced)]
        return Batch.together(parts) if parts else Batch()

    def read(self, question: Question[_Result], *, timeout: float) -> Deferred[_Result]:
        """See :meth:`IBackend.read`."""
        return Deferred.fromCoroutine(self._read(question, timeout))

    async def _read(self, question: Question[_Result], timeout: float) -> _Result:
        if self._writing is None:
            raise StoreUnavailable(CLOSED)
        self._queries += question.count
        asking = Asking(timeout)
        try:
            self._watch.check()
            running = self._readers.read(question, asking)
            running.addErrback(self._translate)
            answer: _Result = await cancellable(running, asking.give_up)
            # It may have been read from another file that was put there meanwhile.
            self._watch.check()
        except StoreUnavailable:
            try:
                self._watch.check()
            except FileChanged:
                # A connection that is made now may be to another file.
                self._readers.stop()
                raise
            raise
        return answer

    def expire(self, cutoff: int) -> Deferred[int]:
        """See :meth:`IBackend.expire`."""
        return Deferred.fromCoroutine(self._expire(cutoff))

    async def _expire(self, cutoff: int) -> int:
        try:
            expired = await self._do(self._writer.expire, cutoff)
        except FileChanged:
            raise
        except StoreUnavailable:
            if not self._reserve.release():
                raise
            expired = await self._do(self._writer.expire, cutoff)
        while await self._do(self._writer.give_back):
            pass  # each a transaction of its own, with room for writes between them
        if not self._reserve.is_kept:
            await self._do(self._writer.checkpoint)
        return expired

    def tend(self, now: int) -> Deferred[None]:
        """See :meth:`IBackend.tend`."""
        return Deferred.fromCoroutine(self._tend(now))

    def _keep_lock(self, connection: Any) -> None:
        try:
            self._lock.keep()
        except InUse as error:
            self._watch.condemn(f"{error}, which was started while the lock was removed: stop one of them")
            self._watch.check_content()

    async def _tend(self, now: int) -> None:
        await self._do(self._writer.tend, now)
        await self._run(self._keep_lock)
        for step, seconds in ((self._writer.divide, _DIVIDING_TIME), (self._writer.merge, _MERGING_TIME)):
            end = time.monotonic() + seconds[self._is_idle]
            while await self._do(step) and time.monotonic() < end:
                pass  # as above
        if self._is_idle and self._log_size():
            # Only now the file gets smaller by what was given back. If somebody reads it, next time will do.
            with suppress(StoreUnavailable):
                await self._do(self._writer.checkpoint)
        self._figures = await self._do(self._writer.figures)

    @property
    def _is_idle(self) -> bool:
        return self._writer.state.is_idle(self._now())

    def _log_size(self) -> int:
        """Bytes of the write-ahead log."""
        try:
            return self._path.with_name(self._path.name + "-wal").stat().st_size
        except OSError:
            return 0

    # -- copying

    def prepare_copy(self, log_times: tuple[int, int] | None) -> Deferred[None]:
        """See :meth:`ICopyTarget.prepare_copy`."""
        return self._do(_make_copied)

    def copied(self, source: str) -> Deferred[Mapping[str, int]]:
        """See :meth:`ICopyTarget.copied`."""

        def find(connection: sqlite3.Connection) -> Mapping[str, int]:
            return dict(connection.execute("SELECT kind, last FROM copied WHERE source = ?", (source,)))

        return self._do(find)

    def copy_in(self, messages: Batch, source: str, last: int) -> Deferred[None]:
        """See :meth:`ICopyTarget.copy_in`."""
        position = (source, messages.series[0].kind, last)

        def note(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO copied VALUES (?, ?, ?)", position)

        def write(connection: sqlite3.Connection) -> None:
            assert isinstance(self._writer, Writer), "copied into by another process"
            self._writer.write(connection, messages, note)
            if self._writer.state.is_full:
                self._writer.tend(connection, self._now())

        return self._do(write)

    def count(self) -> Deferred[Mapping[tuple[str, str], int]]:
        """See :meth:`ICopyTarget.count`."""
        return self._do(_count)

    def status(self) -> Figures:
        """See :meth:`IBackend.status`."""
        state = self._writer.state
        return Figures(
            active_tables=gauge(state.active_tables, "Clusters and kinds that have messages."),
            writes=counter(state.writes, "Transactions that wrote messages."),
            queries=counter(self._queries, "Queries that were answered."),
            deletes=counter(state.deletes, "Times that expired events were deleted."),
            **{name: gauge(value, _OF_THE_FILE[name]) for name, value in self._figures.items()},
        )

    def _do(self, work: Callable[..., _Result], *arguments: Any) -> Deferred[_Result]:
        """Do something with the file, in the writer's thread."""
        return self._run(lambda connection: self._watched(connection, work, connection, *arguments))

    def _run(self, work: Callable[..., _Result], *arguments: Any) -> Deferred[_Result]:
        """Do something in the writer's thread."""
        if self._writing is None:
            return fail(StoreUnavailable(CLOSED))
        self._running += 1
        running: Deferred[_Result] = self._writing.runWithConnection(work, *arguments)
        running.addBoth(self._ran)
        return running.addErrback(self._translate)

    def _watched(self, connection: Any, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """Do something while the file is the one that is open, before and after it."""
        if not isinstance(self._writer, WriterApart):
            return self._watch.guard(partial(self._writer.checkpoint, connection), work, *arguments)
        # The process sees to it itself. Started again, it could not know which file it is to be.
        self._watch.check_content()
        if self._writer.is_running:
            return work(*arguments)
        self._watch.forget_others()
        self._watch.check()
        result = work(*arguments)
        self._watch.look(is_used=True)
        return result

    def _translate(self, failure: Failure) -> Failure:
        """Errors of sqlite3 as errors of the store."""
        error = failure.value
        if isinstance(error, _REFUSED):
            return Failure(StoreError(f"{error}"))
        if isinstance(error, FileChanged) and error.is_content and not self._watch.is_damaged:
            self._watch.overwritten(str(error))
        if isinstance(error, sqlite3.Error):
            try:
                self._watch.check()
            except FileChanged as changed:
                return Failure(changed)
            reason = f"the database {self._path}: {explain(error, self._path)}"
            if is_damage(error):
                self._watch.condemn(reason)
            return Failure(StoreUnavailable(reason))
        return failure

    def _ran(self, result: _Result | Failure) -> _Result | Failure:
        self._running -= 1
        return result


def _parts(messages: Batch) -> Sequence[Batch]:
    return messages.parts or (messages,)


def _make_copied(connection: sqlite3.Connection) -> None:
    # Only where a store is copied into this one: what is not used needs no version of the schema.
    connection.execute(
        "CREATE TABLE IF NOT EXISTS copied (source TEXT, kind TEXT, last INTEGER, PRIMARY KEY (source, kind))"
    )


def _count(connection: sqlite3.Connection) -> Mapping[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for kind in STORED_KINDS:
        rows = connection.execute(
            f"SELECT s.cluster, sum(r.n) FROM (SELECT stream, count(*) AS n FROM {STORED_ROWS[kind]} "
            "GROUP BY stream) r JOIN stream s ON s.id = r.stream GROUP BY s.cluster"
        )
        found.update({(cluster, kind): count for cluster, count in rows})
    return found
