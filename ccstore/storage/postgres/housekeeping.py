"""What is done once in a while: partitions are made, divided and dropped, and figures are taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from psycopg2.errors import LockNotAvailable

from ccstore.accounting.figures import Figures, gauge
from ccstore.storage.postgres.connections import Session
from ccstore.storage.postgres.expiry import IS_WITHOUT_RULES, Sweeper, note, noted
from ccstore.storage.postgres.partition_names import PACKED_SIZE, Partition
from ccstore.storage.postgres.partitions import Partitions
from ccstore.storage.postgres.pools import Pools
from ccstore.storage.postgres.sizes import Sizes
from ccstore.storage.postgres.stream_rules import PostgresKeeper
from ccstore.storage.postgres.streams import Streams
from ccstore.storage.postgres.thinning import Thinner
from ccstore.storage.postgres.writer import Writer

#: A stream's use is noted this often at most, in nanoseconds, however short the retention time.
_LEAST_NOTED: Final = 3600 * 1_000_000_000
#: Milliseconds that a table is waited for in order to summarise it.
_SUMMARY_WAIT: Final = 100
#: Nanoseconds between two looks at how large it is.
_FIGURES_EVERY: Final = 30 * 1_000_000_000
#: Nanoseconds above which a retention time is as good as for ever, and three of which can still be added up.
_LONGEST, _LONGEST_NOTED = 2**63 - 1, 2**61


class Housekeeping:
    """Keeps the tables in order, over a connection of its own.

    :param retention: seconds after which events expire.
    :param now: the time in nanoseconds since the epoch.
    :ivar deletes: how often expired events were deleted.
    :ivar thinner: finds out which partitions go where messages are kept for different times.
    :ivar figures: of the tables, as they were at the last look.
    """

    def __init__(
        self,
        pools: Pools,
        streams: Streams,
        writer: Writer,
        keeper: PostgresKeeper,
        retention: float,
        now: Callable[[], int],
        sizes: Sizes,
    ) -> None:
        self._pools = pools
        self._streams = streams
        self._writer = writer
        self._now = now
        self._sizes = sizes
        self._sweeper = Sweeper(sizes.step_blocks)
        self.thinner = Thinner(pools, keeper, sizes.partitions.thinned_rows)
        self.deletes = 0
        self.figures = Figures()
        self._figures_at = 0
        self.retain(retention)

    def retain(self, retention: float) -> None:
        """From now on, events expire after so many seconds; missing partitions are made in a moment."""
        self._retention = nanoseconds_of(retention)
        self._partitions = Partitions(self._retention, self._sizes.partitions)
        self._streams.retain(noted_for(retention))

    @property
    def retention(self) -> int:
        """Nanoseconds after which events expire that no rule is about."""
        return self._retention

    async def begin(self, session: Session) -> None:
        """Note the rules, and make the partitions that are missing at the start."""
        await self.thinner.keeper.settle(session)
        await self._partitions.ensure(session, self._now())

    async def cover_logs(self, oldest: int, newest: int) -> None:
        """Make the partitions that are missing for logs from between these times (ns)."""
        async with self._pools.writing.nobody(), self._pools.keeping.connection() as link:
            await self._partitions.cover_logs(link, oldest, newest, self._now())

    async def expire(self, cutoff: int) -> int:
        """See :meth:`ccstore.interfaces.IBackend.expire`."""
        keeping, partitions, now = self._pools.keeping, self._partitions, self._now()
        async with keeping.connection() as link:
            await self.thinner.keeper.settle(link)
            await note(link, cutoff, self._retention, now)
            ((is_plain,),) = await link.execute(IS_WITHOUT_RULES)
        if not is_plain:
            return await self._expire_by_rules(cutoff, now)
        async with keeping.connection() as link:
            expired = dict(await partitions.expired(link, cutoff))
        rows = await self._drop(expired)
        async with keeping.connection() as link:
            wide = await partitions.too_wide(link, cutoff)
        for partition in wide:
            async with self._pools.writing.nobody(), keeping.connection() as link:
                rows += await partitions.divide(link, partition, now, cutoff)
        async with keeping.connection() as link:
            rows += await self._sweep_strays(link, now, cutoff)
        return self._deleted(rows + await self._make_room(now))

    async def _make_room(self, now: int) -> int:
        """Drop the oldest partitions, as long as there is more than there may be; how many messages."""
        if self.thinner.max_size is None:
            return 0
        async with self._pools.keeping.connection() as link:
            await self._take_figures(link)
            used = int(self.figures["bytes"])
            leaving = await self.thinner.make_room(link, self._partitions, used, now)
        return await self._drop(leaving)

    async def _expire_by_rules(self, cutoff: int, now: int) -> int:
        """The same where messages are kept for different times."""
        keeping = self._pools.keeping
        async with keeping.connection() as link:
            await self.thinner.keeper.forget_lapsed(link)
            look = await self.thinner.look(link, self._partitions, cutoff, now)
        rows = await self._drop(look.gone)
        for partition in look.thin:
            rows += await self.thinner.thin(partition, cutoff, now)
        async with keeping.connection() as link:
            rows += await self._sweep_strays(link, now, cutoff)
        return self._deleted(rows + await self._make_room(now))

    async def _sweep_strays(self, link: Session, now: int, cutoff: int) -> int:
        rows = await self._partitions.expire_strays(link, now, cutoff)
        there = await self._partitions.of(link, "event")
        self._sweeper.plan(await noted(link), there, self._partitions.widest)
        return rows

    def _deleted(self, rows: int) -> int:
        """With those that were deleted one by one."""
        rows += self._sweeper.deleted
        self._sweeper.deleted = 0
        self.deletes += bool(rows)
        return rows

    async def _drop(self, expired: Mapping[Partition, int]) -> int:
        """Drop partitions, given with the number of their messages; the number of those that are gone."""
        keeping, partitions = self._pools.keeping, self._partitions
        left = [*expired]
        while left:
            # A partition cannot go while somebody writes, and whoever writes must not wait for one another.
            async with self._pools.writing.nobody(), keeping.connection() as link:
                dropped = await partitions.drop(link, left)
            if not dropped:
                break
            left = [partition for partition in left if partition not in dropped]
        if len(left) < len(expired):
            async with keeping.connection() as link:
                await self._streams.forget(link, self._now())
        return sum(count for partition, count in expired.items() if partition not in left)

    async def tend(self, now: int) -> None:
        """See :meth:`ccstore.interfaces.IBackend.tend`."""
        writing, keeping = self._pools.writing, self._pools.keeping
        if not self._partitions.are_ready(now):
            async with writing.nobody(), keeping.connection() as link:
                await self._partitions.ensure(link, now)
        elif not self._partitions.are_merged:
            async with writing.nobody(), keeping.connection() as link:
                await self._partitions.merge_empty(link, now)
        await self._sweep()
        if now - self._figures_at >= _FIGURES_EVERY or now < self._figures_at:
            async with keeping.connection() as link:
                await self._writer.tidy(link)
                await self._take_figures(link)
            self._figures_at = now

    async def summarise(self) -> None:
        """Bring the indexes by id up to date, which whoever follows reads by."""
        async with self._pools.keeping.connection() as link:
            # A vacuum that has the table does the same, and would be cancelled for who waits for a second.
            await link.execute(f"BEGIN; SET LOCAL lock_timeout = {_SUMMARY_WAIT}")
            try:
                await link.execute(
                    "SELECT brin_summarize_new_values(c.oid) "
                    "FROM pg_inherits JOIN pg_index ON indrelid = inhrelid "
                    "JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = relam AND amname = 'brin' "
                    "WHERE inhparent IN ('ccstore_event'::regclass, 'ccstore_log'::regclass)"
                )
            except LockNotAvailable:
                await link.execute("ROLLBACK")
            else:
                await link.execute("COMMIT")

    async def _sweep(self) -> None:
        end = time.monotonic() + self._sizes.sweeping_time
        is_at_it = True
        while is_at_it and time.monotonic() < end:
            async with self._pools.keeping.connection() as link:
                is_at_it = await self._sweeper.step(link)

    async def _take_figures(self, link: Session) -> None:
        ((partitions, size),) = await link.execute(
            "SELECT count(*), coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint "
            "FROM pg_inherits WHERE inhparent IN ('ccstore_event'::regclass, 'ccstore_log'::regclass)"
        )
        ((packed,),) = await link.execute(f"SELECT ({PACKED_SIZE})::bigint")
        size += packed
        most = self.thinner.max_size
        more = {} if most is None else {"max_bytes": gauge(most, "Bytes that the database may have.")}
        self.figures = Figures(
            partitions=gauge(partitions, "Partitions of the tables with messages."),
            bytes=gauge(size, "Bytes of these and of packed logs, with their indexes."),
            **more,
        )


def nanoseconds_of(retention: float) -> int:
    """A retention time in seconds as a number of nanoseconds that the database takes."""
    return min(int(retention * 1e9), _LONGEST)


def noted_for(retention: float) -> int:
    """The retention time in nanoseconds that streams go by, of one in seconds."""
    return min(max(nanoseconds_of(retention), _LEAST_NOTED), _LONGEST_NOTED)
