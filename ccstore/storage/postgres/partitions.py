"""Partitions: made ahead for the time to come, and dropped when everything in them has expired."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from psycopg2.errors import UndefinedTable

from ccstore.storage.postgres.connections import Rows, Session
from ccstore.storage.postgres.database import LOCK
from ccstore.storage.postgres.expiry import IS_PLAIN, has_gone
from ccstore.storage.postgres.partition_names import BLOCK_BITS, DEFAULT, Partition
from ccstore.storage.postgres.sizes import PartitionSizes

_SECOND: Final = 1_000_000_000
#: An event partition spans this part of the retention time, so it goes soon after it may, within limits.
_SPANS_IN_PERIOD: Final = 16
_SPAN_LEAST, _SPAN_MOST = 10 * _SECOND, 7 * 86400 * _SECOND
#: Where events are kept for years, weeks would be too many: a statement locks all partitions that it reads.
_MOST_IN_RETENTION: Final = 256
#: Partitions made ahead, so that there is time to try again.
_AHEAD: Final = 3
#: Milliseconds that a change waits for others to let a table go: they wait behind it meanwhile.
LOCK_WAIT: Final = 500
_LEAST, _MOST = -(2**63), 2**63 - 1


class Partitions:
    """Which partitions there ought to be.

    :param retention: nanoseconds after which events expire.
    """

    def __init__(self, retention: int, sizes: PartitionSizes) -> None:
        self._retention = retention
        self._sizes = sizes
        part = retention // _SPANS_IN_PERIOD
        span = min(max(part, _SPAN_LEAST), max(_SPAN_MOST, retention // _MOST_IN_RETENTION))
        self._spans = {"event": span, "log": sizes.log_span}
        #: The most nanoseconds that a partition of events spans.
        self.widest = max(part // span, 1) * span
        #: Whether there are no more empty partitions to merge.
        self.are_merged = False
        #: By kind, the time up to which there are partitions, from that of the last look on.
        self._ready: dict[str, tuple[int, int]] = {}

    def are_ready(self, now: int) -> bool:
        """Whether there are partitions for the next time, as far as is known."""
        for kind, span in self._spans.items():
            begin, end = self._ready.get(kind, (0, 0))
            if not begin <= now <= end - (_AHEAD - 1) * span:
                return False
        return True

    async def ensure(self, session: Session, now: int) -> bool:
        """Make what is missing; False if somebody else is at it just now."""
        if not await drop_wide(session, now, self._sizes):
            return False
        for kind in self._spans:
            wanted = self._wanted(kind, now)
            is_complete = False
            while not is_complete:
                if not await begin_change(session):
                    return False
                missing = _missing(await self.of(session, kind), wanted)
                for begins_at, ends_at in missing[: self._sizes.at_once]:
                    await self._make(session, kind, begins_at, ends_at)
                await session.execute("COMMIT")
                is_complete = len(missing) <= self._sizes.at_once
            self._ready[kind] = (now, wanted[-1][1])
        return True

    def _wanted(self, kind: str, now: int) -> list[tuple[int, int]]:
        """The times for which there ought to be partitions, in their order.

        Those of the past are for what comes late, and so the wider the older they are.
        """
        span = self._spans[kind]
        widest = self.widest if kind == "event" else span
        oldest = now - (self._retention if kind == "event" else span)
        present = position = now // span * span
        width = span
        past: list[tuple[int, int]] = []
        while position > max(oldest, _LEAST):
            past.append((max(position - width, _LEAST), position))
            position -= width
            width = min(2 * width, widest)
        return past[::-1] + [(present + n * span, present + (n + 1) * span) for n in range(1 + _AHEAD)]

    async def cover_logs(self, session: Session, begin: int, end: int, now: int) -> None:
        """Make the partitions that are missing for logs from between these times."""
        span = self._spans["log"]
        # Beyond that a clock was off, and such logs are where they always are.
        begin = max(begin, now - self._sizes.covered * span) // span * span
        end = min(end, now + span)
        wanted = [(begins_at, begins_at + span) for begins_at in range(begin, end + 1, span)]
        is_complete = False
        while not is_complete:
            await session.execute("BEGIN")
            await session.execute("SELECT pg_advisory_xact_lock(%s)", LOCK)
            missing = _missing(await self.of(session, "log"), wanted)
            for begins_at, ends_at in missing[: self._sizes.at_once]:
                await self._make(session, "log", begins_at, ends_at)
            await session.execute("COMMIT")
            is_complete = len(missing) <= self._sizes.at_once

    async def of(self, session: Session, kind: str) -> list[Partition]:
        """The partitions of a kind, besides the default one, in their order."""
        found = await session.execute(
            "SELECT id, kind, begins_at, ends_at FROM ccstore_partition WHERE kind = %s ORDER BY begins_at",
            kind,
        )
        return [Partition(*row) for row in found]

    async def _make(self, session: Session, kind: str, begins_at: int, ends_at: int) -> None:
        ((number,),) = await session.execute(
            "INSERT INTO ccstore_partition (kind, begins_at, ends_at) VALUES (%s, %s, %s) RETURNING id",
            kind,
            begins_at,
            ends_at,
        )
        made = Partition(number, kind, begins_at, ends_at)
        parent = f"ccstore_{kind}"
        # What came from a clock that was fast has to be out of the way.
        await session.execute(f"LOCK TABLE {parent}_default IN ACCESS EXCLUSIVE MODE")
        await session.execute(f"CREATE TABLE {made.table} (LIKE {parent} INCLUDING DEFAULTS)")
        await session.execute(
            f"WITH moved AS (DELETE FROM {parent}_default WHERE time >= %s AND time < %s RETURNING *) "
            f"INSERT INTO {made.table} SELECT * FROM moved",
            begins_at,
            ends_at,
        )
        await session.execute(
            f"ALTER TABLE {parent} ATTACH PARTITION {made.table} FOR VALUES FROM (%s) TO (%s)",
            begins_at,
            ends_at,
        )

    async def merge_empty(self, session: Session, now: int) -> bool:
        """Make one of some empty partitions of the past, where there are many; False if nothing was done.

        Earlier versions made them for all of the retention time, however long it was.
        """
        run = _empty_run(
            await session.execute(
                "SELECT id, kind, begins_at, ends_at, pg_relation_size(to_regclass('ccstore_event_' || id)) "
                "FROM ccstore_partition WHERE kind = 'event' ORDER BY begins_at"
            ),
            now - self._spans["event"],
            self.widest,
            self._sizes,
        )
        if not run:
            self.are_merged = True
            return False
        if not await begin_change(session):
            return False
        await session.execute("LOCK TABLE ONLY ccstore_event IN ACCESS EXCLUSIVE MODE")
        ((is_empty,),) = await session.execute(
            "SELECT NOT EXISTS (SELECT 1 FROM ccstore_event WHERE time >= %s AND time < %s)",
            run[0].begins_at,
            run[-1].ends_at,
        )
        if is_empty:
            for partition in run:
                await drop_one(session, partition)
            await self._make(session, "event", run[0].begins_at, run[-1].ends_at)
        await session.execute("COMMIT")
        return bool(is_empty)

    # -- what expires

    async def expired(self, session: Session, cutoff: int) -> list[tuple[Partition, int]]:
        """Partitions of events in which nothing is newer than the cutoff, and how many rows they have."""
        found = []
        for partition in await self.of(session, "event"):
            if partition.ends_at - 1 <= cutoff:
                try:
                    ((rows,),) = await session.execute(f"SELECT count(*) FROM {partition.table}")
                except UndefinedTable:
                    continue  # another daemon was faster
                found.append((partition, rows))
        return found

    async def drop(self, session: Session, partitions: Sequence[Partition]) -> list[Partition]:
        """Drop those of the partitions that are still there; none if somebody else is at it.

        Of many, the first ones.
        """
        dropped = []
        if await begin_change(session):
            dropped = [each for each in partitions[: self._sizes.at_once] if await drop_one(session, each)]
            await session.execute("COMMIT")
        return dropped

    async def too_wide(self, session: Session, cutoff: int) -> list[Partition]:
        """Partitions that were made while events were kept longer, and have little enough to be divided."""
        found = []
        for partition in await self.of(session, "event"):
            if partition.ends_at - partition.begins_at > self.widest and partition.ends_at - 1 > cutoff:
                ((size,),) = await session.execute("SELECT pg_table_size(to_regclass(%s))", partition.table)
                if size is not None and size <= self._sizes.divided_size:
                    ((rows,),) = await session.execute(
                        f"SELECT count(*) FROM {partition.table} WHERE time > %s", cutoff
                    )
                    if rows <= self._sizes.divided_rows:
                        found.append(partition)
        return found

    async def divide(self, session: Session, partition: Partition, now: int, cutoff: int) -> int:
        """Put narrower partitions in the place of one; how many events have expired and are gone."""
        if not await begin_change(session):
            return 0
        there = await session.execute(
            "DELETE FROM ccstore_partition WHERE id = %s RETURNING id", partition.id
        )
        if not there:
            await session.execute("ROLLBACK")
            return 0
        await session.execute(f"ALTER TABLE ccstore_event DETACH PARTITION {partition.table}")
        # From there they come into their partitions, as what came too early.
        ((kept, rows),) = await session.execute(
            f"WITH kept AS (INSERT INTO {DEFAULT} SELECT * FROM {partition.table} WHERE time > %s "
            "RETURNING 1) "
            f"SELECT (SELECT count(*) FROM kept), (SELECT count(*) FROM {partition.table})",
            cutoff,
        )
        await session.execute(f"DROP TABLE {partition.table}")
        for begins_at, ends_at in _missing(await self.of(session, "event"), self._wanted("event", now)):
            await self._make(session, "event", begins_at, ends_at)
        await session.execute("COMMIT")
        return int(rows - kept)

    async def expire_strays(self, session: Session, now: int, cutoff: int) -> int:
        """Delete expired events that are where clocks are off: by their time, or by when they arrived.

        Marks remember which ids had been given out at a time. Partitions far ahead of the time are those of a
        daemon whose own clock was wrong.
        """
        found = await session.execute("SELECT max(id) FROM ccstore_mark WHERE arrived_at <= %s", cutoff)
        below = found[0][0] or 0
        span = self._spans["event"]
        far = (now // span + 2 + _AHEAD) * span
        tables = [DEFAULT] + [
            partition.table for partition in await self.of(session, "event") if partition.begins_at >= far
        ]
        deleted = 0
        for table in tables:
            ((rows,),) = await session.execute(
                f"WITH gone AS (DELETE FROM {table} r WHERE {has_gone('event', now, cutoff)} "
                f"OR (id < %s AND {IS_PLAIN}) RETURNING 1) SELECT count(*) FROM gone",
                below,
            )
            deleted += rows
        await session.execute(
            "INSERT INTO ccstore_mark SELECT %s, (last_value + is_called::int) << %s FROM ccstore_block "
            "WHERE NOT EXISTS (SELECT 1 FROM ccstore_mark WHERE arrived_at > %s AND arrived_at <= %s)",
            now,
            BLOCK_BITS,
            now - span // 4,
            now,
        )
        await session.execute(
            "DELETE FROM ccstore_mark WHERE arrived_at < (SELECT max(arrived_at) FROM ccstore_mark "
            "WHERE arrived_at <= %s) OR arrived_at > %s",
            cutoff,
            now + span,
        )
        return int(deleted)


async def drop_one(session: Session, partition: Partition) -> bool:
    """Drop a partition in a transaction that changes them; False if it is gone already."""
    there = await session.execute("DELETE FROM ccstore_partition WHERE id = %s RETURNING id", partition.id)
    if there:
        await session.execute(f"DROP TABLE IF EXISTS {partition.table}")
    return bool(there)


async def drop_wide(session: Session, now: int, sizes: PartitionSizes) -> bool:
    """Drop empty partitions of logs that were made ahead and are too wide; False as :func:`drop_packed`."""
    return await _drop_empty(session, f"begins_at > {now} AND ends_at - begins_at > {sizes.log_span}", sizes)


async def drop_packed(session: Session, before: int, sizes: PartitionSizes) -> bool:
    """Drop empty partitions of logs that ended before a time; False if somebody else is at it just now.

    What comes for them later goes where logs of wrong clocks do.
    """
    return await _drop_empty(session, f"ends_at <= {before}", sizes)


async def _drop_empty(session: Session, condition: str, sizes: PartitionSizes) -> bool:
    found = await session.execute(
        f"SELECT id, kind, begins_at, ends_at FROM ccstore_partition WHERE kind = 'log' AND {condition} "
        "AND pg_relation_size(to_regclass('ccstore_log_' || id)) = 0 ORDER BY begins_at LIMIT %s",
        sizes.at_once,
    )
    if not found:
        return True
    if not await begin_change(session):
        return False
    await session.execute("LOCK TABLE ONLY ccstore_log IN ACCESS EXCLUSIVE MODE")
    for partition in [Partition(*row) for row in found]:
        if await session.execute("SELECT to_regclass(%s)", partition.table) == [(None,)]:
            continue  # another daemon was faster
        await session.execute(f"LOCK TABLE {partition.table} IN ACCESS EXCLUSIVE MODE")
        # What has no page has no row that anybody may still see.
        ((size,),) = await session.execute(f"SELECT pg_relation_size('{partition.table}')")
        if not size:
            await drop_one(session, partition)
    await session.execute("COMMIT")
    return True


async def begin_change(session: Session) -> bool:
    """Begin to change partitions; False, and no transaction, if somebody else is at it."""
    await session.execute("BEGIN")
    await session.execute(f"SET LOCAL lock_timeout = {LOCK_WAIT}")
    ((is_mine,),) = await session.execute("SELECT pg_try_advisory_xact_lock(%s)", LOCK)
    if not is_mine:
        await session.execute("ROLLBACK")
    return bool(is_mine)


def _missing(there: Sequence[Partition], wanted: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts of what is wanted in which there is no partition.

    :param there: in their order.
    """
    missing = []
    for begin, end in wanted:
        position = begin
        for partition in there:
            if partition.ends_at > position and partition.begins_at < end:
                if position < partition.begins_at:
                    missing.append((position, partition.begins_at))
                position = partition.ends_at
        if position < end:
            missing.append((position, end))
    return missing


def _empty_run(rows: Rows, until: int, widest: int, sizes: PartitionSizes) -> list[Partition]:
    """The first partitions, one behind the other, that are empty and together span no more than allowed.

    :param rows: of all partitions, in their order, and the bytes of each.
    """
    run: list[Partition] = []
    if len(rows) <= sizes.many:
        return run
    for *columns, size in rows:
        partition = Partition(*columns)
        if (
            size != 0
            or partition.ends_at > until
            or (run and partition.begins_at != run[-1].ends_at)
            or (run and partition.ends_at - run[0].begins_at > widest)
        ):
            if len(run) > 1:
                return run
            run = []
        if size == 0 and partition.ends_at <= until:
            run.append(partition)
            if len(run) == sizes.at_once:
                return run
    return run if len(run) > 1 else []
