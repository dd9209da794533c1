"""A PostgreSQL database as a backend: its life, its connections and its housekeeping."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import psycopg2
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from zope.interface import implementer

from ccstore.accounting.figures import Figures, counter, gauge
from ccstore.interfaces import IBackend, ICopyTarget, StoreError, StoreUnavailable
from ccstore.message import STORED_KINDS, Batch
from ccstore.storage.cancelling import cancellable
from ccstore.storage.postgres.asking import Asking
from ccstore.storage.postgres.connections import CLOSED, Connections
from ccstore.storage.postgres.database import (
    Address,
    BlockingSession,
    at_once,
    check_server,
    complaint_about,
    connected,
    prepare,
)
from ccstore.storage.postgres.dialect import PostgresDialect
from ccstore.storage.postgres.errors import translate
from ccstore.storage.postgres.expiry import HAS_EXPIRED, Sweeper, note, noted
from ccstore.storage.postgres.partitions import Partitions
from ccstore.storage.postgres.reader import Reader
from ccstore.storage.postgres.streams import Streams
from ccstore.storage.postgres.views import Views
from ccstore.storage.postgres.writer import Writer
from ccstore.storage.reading.dialect import Question

_T = TypeVar("_T")

_READERS: Final = 3
_WRITERS: Final = 2
#: A stream's use is noted this often at most, in nanoseconds, however short the retention time.
_LEAST_NOTED: Final = 3600 * 1_000_000_000
#: Nanoseconds between two looks at how large it is.
_FIGURES_EVERY: Final = 30 * 1_000_000_000
#: Nanoseconds above which a retention time is as good as for ever, and three of which can still be added up.
_LONGEST, _LONGEST_NOTED = 2**63 - 1, 2**61
#: Seconds in a second that are spent on deleting expired events one by one.
_SWEEPING_TIME: Final = 0.25
#: Seconds that anything may take: a batch, and what is done once in a while.
_LIMITS: Final = (60.0, 600.0)
#: Seconds that the end waits for what was begun.
_PATIENCE: Final = 5.0
#: What a connection that writes sets. A daemon that is cut off must not hold up what others do for longer.
_WRITING: Final = (
    "SET idle_in_transaction_session_timeout = '60s'; SET tcp_keepalives_idle = 30; "
    "SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"
)
_READING: Final = f"{_WRITING}; SET jit = off"


@implementer(IBackend, ICopyTarget)
class PostgresBackend:
    """See the package.

    :param dsn: a connection string of libpq, or empty.
    :param parameters: what libpq is told besides.
    :param connection_timeout: seconds.
    :param retention: seconds after which events expire.
    :param now: the time in nanoseconds since the epoch.
    :param instance: tells this daemon from others.
    """

    name = "postgres"
    #: It is the server that is busy: what it answers is put into text by the reactor.
    is_busy_elsewhere = False
    log = Logger()
    #: Batches that may be written at a time.
    writers = _WRITERS

    def __init__(
        self,
        dsn: str,
        parameters: Mapping[str, str],
        *,
        connection_timeout: float,
        retention: float,
        now: Callable[[], int],
        instance: str,
        reactor: Any,
    ) -> None:
        self._dsn = dsn
        self._parameters = parameters
        self._timeout = connection_timeout
        self._now = now
        self._instance = instance
        self._reactor = reactor
        self._retention = _nanoseconds(retention)
        self._partitions = Partitions(self._retention)
        self._streams = Streams(_noted(self._retention))
        self._sweeper = Sweeper()
        self._views = Views()
        self._where = "PostgreSQL"
        self._pools: tuple[Connections, Connections, Connections] | None = None
        self._writer: Writer | None = None
        self._reader: Reader | None = None
        self._queries = 0
        self._deletes = 0
        self._figures = Figures()
        self._figures_at = 0

    def describe(self) -> str:
        return self._where

    # -- life

    def open(self) -> None:
        """See :meth:`IBackend.open`."""
        try:
            address = Address(self._dsn, self._parameters)
        except psycopg2.Error as error:
            raise StoreError(f"cannot use its address: {complaint_about(error)}") from None
        try:
            with connected(address, self._timeout) as connection:
                version = check_server(connection)
                at_once(self._load(BlockingSession(connection)))
        except StoreError as error:
            raise StoreError(f"cannot open the database {address}: {error}") from None
        self._where = f"{address} (PostgreSQL {version})"

        def pool(size: int, setup: str, limit: float) -> Connections:
            return Connections(
                self._reactor,
                address.next_dsn,
                where=str(address),
                size=size,
                setup=setup,
                timeout=self._timeout,
                limit=limit,
            )

        writing, reading, _ = self._pools = (
            pool(_WRITERS, _WRITING, _LIMITS[0]),
            # The time of a query is its own.
            pool(_READERS, _READING, _LIMITS[1]),
            pool(1, _WRITING, _LIMITS[1]),
        )
        self._writer = Writer(writing, self._streams, self._views, self._instance, self._now)
        self._reader = Reader(reading, self._reactor, PostgresDialect())

    async def _load(self, session: BlockingSession) -> None:
        await prepare(session, self._timeout)
        await self._partitions.ensure(session, self._now())
        await self._views.load(session)
        # Whether it is writable at all.
        await session.execute("BEGIN; INSERT INTO ccstore_batch (id, instance) VALUES (0, ''); ROLLBACK")

    def retain(self, retention: float) -> Deferred[None]:
        """See :meth:`IBackend.retain`; missing partitions are made in a moment, as after a start."""
        self._retention = _nanoseconds(retention)
        self._partitions = Partitions(self._retention)
        self._streams.retain(_noted(self._retention))
        return succeed(None)

    def close(self) -> Deferred[None]:
        """See :meth:`IBackend.close`."""
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        if self._pools is None:
            return
        pools, self._pools = self._pools, None
        self._writer = self._reader = None
        reading = pools[1]
        reading.abort()

        def abort() -> None:
            for pool in pools:
                pool.abort()

        timer = self._reactor.callLater(_PATIENCE, abort)
        for pool in pools:
            await pool.close()
        if timer.active():
            timer.cancel()

    # -- work

    def prepare(self, messages: Batch) -> None:
        """See :meth:`IBackend.prepare`."""

    def announce(self, parts: Sequence[Batch]) -> None:
        """See :meth:`IBackend.announce`; nothing is begun here."""

    def write(self, messages: Batch, batch_id: int | None = None) -> Deferred[Mapping[str, int]]:
        """See :meth:`IBackend.write`."""
        if self._writer is None:
            return fail(StoreUnavailable(CLOSED))
        return Deferred.fromCoroutine(self._writer.write(messages, batch_id))

    # -- copying

    def prepare_copy(self, log_times: tuple[int, int] | None) -> Deferred[None]:
        """See :meth:`ICopyTarget.prepare_copy`."""
        return Deferred.fromCoroutine(self._keep(self._prepare_copy, log_times))

    async def _prepare_copy(
        self, writing: Connections, keeping: Connections, log_times: tuple[int, int] | None
    ) -> None:
        if log_times is not None:
            async with writing.nobody(), keeping.connection() as link:
                await self._partitions.cover_logs(link, *log_times, self._now())

    def copied(self, source: str) -> Deferred[Mapping[str, int]]:
        """See :meth:`ICopyTarget.copied`."""
        return Deferred.fromCoroutine(self._keep(self._copied, source))

    async def _copied(self, writing: Connections, keeping: Connections, source: str) -> Mapping[str, int]:
        async with keeping.connection() as link:
            rows = await link.execute("SELECT kind, last FROM ccstore_copied WHERE source = %s", source)
        return dict(rows)

    def copy_in(self, messages: Batch, source: str, last: int) -> Deferred[None]:
        """See :meth:`ICopyTarget.copy_in`."""
        if self._writer is None:
            return fail(StoreUnavailable(CLOSED))
        position = (source, messages.series[0].kind, last)
        writing = Deferred.fromCoroutine(self._writer.write(messages, position=position))
        return writing.addCallback(lambda lasts: None)

    def count(self) -> Deferred[Mapping[tuple[str, str], int]]:
        """See :meth:`ICopyTarget.count`."""
        return Deferred.fromCoroutine(self._keep(self._count, None))

    async def _count(
        self, writing: Connections, keeping: Connections, moment: None
    ) -> Mapping[tuple[str, str], int]:
        async with keeping.connection() as link:
            rows = await link.execute(
                " UNION ALL ".join(
                    f"SELECT s.cluster, '{kind}', sum(r.n)::bigint FROM (SELECT stream, count(*) AS n FROM "
                    f"ccstore_{kind} r{f' WHERE NOT {HAS_EXPIRED}' if kind == 'event' else ''} "
                    f"GROUP BY stream) r JOIN ccstore_stream s ON s.id = r.stream "
                    "GROUP BY s.cluster"
                    for kind in STORED_KINDS
                )
            )
        return {(cluster, kind): rows for cluster, kind, rows in rows}

    def read(self, question: Question[_T], *, timeout: float) -> Deferred[_T]:
        """See :meth:`IBackend.read`."""
        if self._reader is None:
            return fail(StoreUnavailable(CLOSED))
        self._queries += question.count
        asking = Asking(self._reactor)
        running = Deferred.fromCoroutine(self._reader.read(question, timeout, asking))
        return cancellable(running, asking.give_up)

    def expire(self, cutoff: int) -> Deferred[int]:
        """See :meth:`IBackend.expire`."""
        return Deferred.fromCoroutine(self._keep(self._expire, cutoff))

    def tend(self, now: int) -> Deferred[None]:
        """See :meth:`IBackend.tend`."""
        return Deferred.fromCoroutine(self._keep(self._tend, now))

    async def _keep(self, work: Callable[..., Any], moment: Any) -> Any:
        if self._pools is None:
            raise StoreUnavailable(CLOSED)
        writing, _, keeping = self._pools
        try:
            return await work(writing, keeping, moment)
        except Exception as error:
            translated = translate(error, writing.where)
            if translated is error:
                raise
            raise translated from error

    async def _expire(self, writing: Connections, keeping: Connections, cutoff: int) -> int:
        now = self._now()
        async with keeping.connection() as link:
            await note(link, cutoff, self._retention, now)
            expired = dict(await self._partitions.expired(link, cutoff))
        left = [*expired]
        while left:
            # A partition cannot go while somebody writes, and whoever writes must not wait for one another.
            async with writing.nobody(), keeping.connection() as link:
                dropped = await self._partitions.drop(link, left)
            if not dropped:
                break
            left = [partition for partition in left if partition not in dropped]
        rows = sum(count for partition, count in expired.items() if partition not in left)
        async with keeping.connection() as link:
            wide = await self._partitions.too_wide(link, cutoff)
        for partition in wide:
            async with writing.nobody(), keeping.connection() as link:
                rows += await self._partitions.divide(link, partition, now, cutoff)
        async with keeping.connection() as link:
            rows += await self._partitions.expire_strays(link, now, cutoff)
            if len(left) < len(expired):
                await self._streams.forget(link, now)
            there = await self._partitions.events(link)
            self._sweeper.plan(await noted(link), there, self._partitions.widest)
        rows += self._sweeper.deleted
        self._sweeper.deleted = 0
        self._deletes += bool(rows)
        return rows

    async def _tend(self, writing: Connections, keeping: Connections, now: int) -> None:
        if not self._partitions.are_ready(now):
            async with writing.nobody(), keeping.connection() as link:
                await self._partitions.ensure(link, now)
        elif not self._partitions.are_merged:
            async with writing.nobody(), keeping.connection() as link:
                await self._partitions.merge_empty(link, now)
        await self._sweep(keeping)
        if now - self._figures_at >= _FIGURES_EVERY or now < self._figures_at:
            async with keeping.connection() as link:
                if self._writer is not None:
                    await self._writer.tidy(link)
                ((partitions, size),) = await link.execute(
                    "SELECT count(*), coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint "
                    "FROM pg_inherits WHERE inhparent IN ('ccstore_event'::regclass, 'ccstore_log'::regclass)"
                )
            self._figures = Figures(
                partitions=gauge(partitions, "Partitions of the tables with messages."),
                bytes=gauge(size, "Bytes of these, with their indexes."),
            )
            self._figures_at = now

    async def _sweep(self, keeping: Connections) -> None:
        end = time.monotonic() + _SWEEPING_TIME
        is_at_it = True
        while is_at_it and time.monotonic() < end:
            async with keeping.connection() as link:
                is_at_it = await self._sweeper.step(link)

    def status(self) -> Figures:
        """See :meth:`IBackend.status`."""
        writer = self._writer
        return (
            Figures(
                active_tables=gauge(self._views.count, "Clusters and kinds that have messages."),
                writes=counter(
                    writer.writes if writer is not None else 0, "Transactions that wrote messages."
                ),
                queries=counter(self._queries, "Queries that were answered."),
                deletes=counter(self._deletes, "Times that expired events were deleted."),
                settled=counter(
                    writer.settled if writer is not None else 0,
                    "Batches whose commit was not heard of, and that were found to be there.",
                    # Its name has always been this one, without the suffix of a counter.
                    metric="backend_settled",
                ),
            )
            | self._figures
        )


def _nanoseconds(retention: float) -> int:
    """A retention time as a number that the database takes."""
    return min(int(retention * 1e9), _LONGEST)


def _noted(retention: int) -> int:
    """The retention time for streams, in nanoseconds."""
    return min(max(retention, _LEAST_NOTED), _LONGEST_NOTED)
