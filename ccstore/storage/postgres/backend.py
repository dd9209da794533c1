"""A PostgreSQL database as a backend: its parts, put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import psycopg2
from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from ccstore.accounting.figures import Figures, counter, gauge
from ccstore.batch import Batch
from ccstore.interfaces import Followers, IBackend, ICopyTarget, IShared, Published, StoreError
from ccstore.keeping import Hold, KeepRule
from ccstore.storage.pack_settings import NO_PACKING, Packing
from ccstore.storage.postgres.copying_in import CopyingIn
from ccstore.storage.postgres.database import (
    Address,
    BlockingSession,
    at_once,
    check_server,
    check_writable,
    complaint_about,
    connected,
    prepare,
)
from ccstore.storage.postgres.dialect import PostgresDialect
from ccstore.storage.postgres.driver_errors import translated
from ccstore.storage.postgres.horizon import Horizon
from ccstore.storage.postgres.housekeeping import Housekeeping, noted_for
from ccstore.storage.postgres.pack_client import PackingApart, PackProcess
from ccstore.storage.postgres.pools import Pools
from ccstore.storage.postgres.reader import Reader
from ccstore.storage.postgres.sizes import DAY, SIZES, Sizes
from ccstore.storage.postgres.stream_rules import PostgresKeeper
from ccstore.storage.postgres.streams import Streams
from ccstore.storage.postgres.telling import PACE, Pace, Telling
from ccstore.storage.postgres.text_index import TextIndex
from ccstore.storage.postgres.views import Views
from ccstore.storage.postgres.writer import Writer
from ccstore.storage.reading.dialect import Fetching, Question

_T = TypeVar("_T")


@implementer(IBackend, ICopyTarget, IShared)
class PostgresBackend:
    """See the package. It has more methods than others may: those of its three interfaces.

    :param dsn: a connection string of libpq, or empty.
    :param parameters: what libpq is told besides.
    :param connection_timeout: seconds.
    :param retention: seconds after which events expire that none of the ``rules`` is about; None for those
        rules that the database has.
    :param now: the time in nanoseconds since the epoch.
    :param instance: tells this daemon from others.
    :param packing: which logs are packed while the backend is open.
    :param text_index: words are to be found by an index, which is made while the backend is open.
    """

    name = "postgres"
    #: It is the server that is busy: what it answers is put into text by the reactor.
    is_busy_elsewhere = False

    def __init__(
        self,
        dsn: str,
        parameters: Mapping[str, str],
        *,
        connection_timeout: float,
        retention: float,
        rules: Sequence[KeepRule] | None = None,
        now: Callable[[], int],
        instance: str,
        reactor: Any,
        text_index: bool = False,
        packing: Packing = NO_PACKING,
        sizes: Sizes = SIZES,
        pace: Pace = PACE,
    ) -> None:
        if packing.after:
            # A day of logs is packed when it is over.
            sizes = evolve(sizes, partitions=evolve(sizes.partitions, log_span=DAY))
        self.writers = sizes.writers
        self._timeout = connection_timeout
        self._where = "PostgreSQL"
        self._views = Views()
        self._keeper = PostgresKeeper(rules, lambda: self._housekeeping.retention, now)
        streams = Streams(noted_for(retention), self._keeper)
        pools = self._pools = Pools(reactor, Address(dsn, parameters), connection_timeout, sizes)
        self._writer = Writer(pools.writing, streams, self._views, instance, now)
        horizon = Horizon(self._writer.open)
        self._text_index = TextIndex(pools, reactor, is_wanted=text_index)
        self._reader = Reader(
            pools.reading,
            reactor,
            PostgresDialect(horizon, self._text_index, thinned=sizes.partitions.thinned_rows),
        )
        dialect = PostgresDialect(horizon, self._text_index, Fetching(rows=pace.rows))
        following = Reader(pools.following, reactor, dialect)
        self._telling = Telling(horizon, following, reactor, self._writer.open, pace)
        self._housekeeping = Housekeeping(pools, streams, self._writer, self._keeper, retention, now, sizes)
        process = PackProcess(pools.address, connection_timeout, sizes.packing, has_words=packing.has_words)
        self._packing = PackingApart(process, pools, packing, sizes, reactor, lambda: self._writer.writes)
        self._copying = CopyingIn(pools.keeping, self._writer, self._housekeeping)

    def describe(self) -> str:
        """See :meth:`IBackend.describe`."""
        return self._where

    def open(self) -> None:
        """See :meth:`IBackend.open`."""
        address = self._pools.address
        try:
            address.parse()
        except psycopg2.Error as error:
            raise StoreError(f"cannot use its address: {complaint_about(error)}") from None
        try:
            with connected(address, self._timeout) as connection:
                version = check_server(connection)
                session = BlockingSession(connection)
                at_once(prepare(session, self._timeout))
                at_once(self._housekeeping.begin(session))
                at_once(self._views.load(session))
                at_once(self._text_index.look(session))
                at_once(check_writable(session))
        except StoreError as error:
            raise StoreError(f"cannot open the database {address}: {error}") from None
        self._where = f"{address} (PostgreSQL {version})"

    def retain(self, retention: float, rules: Sequence[KeepRule] = ()) -> Deferred[None]:
        """See :meth:`IBackend.retain`."""
        self._keeper.change(rules)
        self._housekeeping.retain(retention)
        return succeed(None)

    def limit(self, max_size: int | None) -> None:
        """See :meth:`IBackend.limit`."""
        self._housekeeping.thinner.max_size = max_size

    def hold(self, hold: Hold) -> Deferred[int]:
        """See :meth:`IBackend.hold`."""
        return Deferred.fromCoroutine(translated(self._hold(hold), self._pools.address))

    async def _hold(self, hold: Hold) -> int:
        async with self._pools.keeping.connection() as link:
            return await self._keeper.hold(link, hold)

    def release(self, number: int) -> Deferred[bool]:
        """See :meth:`IBackend.release`."""
        return Deferred.fromCoroutine(translated(self._release(number), self._pools.address))

    async def _release(self, number: int) -> bool:
        async with self._pools.keeping.connection() as link:
            return await self._keeper.release(link, number)

    def close(self) -> Deferred[None]:
        """See :meth:`IBackend.close`."""
        self._telling.end()
        self._text_index.end()
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        await self._packing.end()
        await self._pools.close()

    def tell(self, followers: Followers) -> Published:
        """See :meth:`IShared.tell`."""
        return self._telling.begin(followers)

    def prepare(self, messages: Batch) -> None:
        """See :meth:`IBackend.prepare`."""

    def announce(self, parts: Sequence[Batch]) -> None:
        """See :meth:`IBackend.announce`; nothing is begun here."""

    def write(self, messages: Batch, batch_id: int | None = None) -> Deferred[Mapping[str, int]]:
        """See :meth:`IBackend.write`."""
        return Deferred.fromCoroutine(self._writer.write(messages, batch_id))

    def read(self, question: Question[_T], *, timeout: float) -> Deferred[_T]:
        """See :meth:`IBackend.read`."""
        return self._reader.read(question, timeout)

    def expire(self, cutoff: int) -> Deferred[int]:
        """See :meth:`IBackend.expire`."""
        return Deferred.fromCoroutine(translated(self._housekeeping.expire(cutoff), self._pools.address))

    def tend(self, now: int) -> Deferred[None]:
        """See :meth:`IBackend.tend`."""
        return Deferred.fromCoroutine(translated(self._tend(now), self._pools.address))

    async def _tend(self, now: int) -> None:
        await self._housekeeping.tend(now)
        await self._packing.tend(now)
        await self._text_index.tend()
        if self._telling.is_followed:
            await self._housekeeping.summarise()

    def prepare_copy(self, log_times: tuple[int, int] | None) -> Deferred[None]:
        """See :meth:`ICopyTarget.prepare_copy`."""
        return Deferred.fromCoroutine(translated(self._copying.prepare(log_times), self._pools.address))

    def copied(self, source: str) -> Deferred[Mapping[str, int]]:
        """See :meth:`ICopyTarget.copied`."""
        return Deferred.fromCoroutine(translated(self._copying.copied(source), self._pools.address))

    def copy_in(self, messages: Batch, source: str, last: int) -> Deferred[None]:
        """See :meth:`ICopyTarget.copy_in`."""
        return Deferred.fromCoroutine(self._copying.copy_in(messages, source, last))

    def count(self) -> Deferred[Mapping[tuple[str, str], int]]:
        """See :meth:`ICopyTarget.count`."""
        return Deferred.fromCoroutine(translated(self._copying.count(), self._pools.address))

    def status(self) -> Figures:
        """See :meth:`IBackend.status`."""
        return (
            Figures(
                active_tables=gauge(self._views.count, "Clusters and kinds that have messages."),
                writes=counter(self._writer.writes, "Transactions that wrote messages."),
                packed=counter(self._packing.rows, "Messages that were packed."),
                queries=counter(self._reader.queries, "Queries that were answered."),
                deletes=counter(self._housekeeping.deletes, "Times that expired events were deleted."),
                settled=counter(
                    self._writer.settled,
                    "Batches whose commit was not heard of, and that were found to be there.",
                    # Its name has always been this one, without the suffix of a counter.
                    metric="backend_settled",
                ),
            )
            | self._housekeeping.figures
        )
