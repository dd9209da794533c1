"""Which partitions go as a whole, where rules and holds keep some messages longer than others.

A partition of which nothing is kept is dropped. In the place of one of which little is kept comes a smaller
one with that. One of which most is kept stays: what has expired in it is not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from attrs import frozen
from psycopg2.errors import UndefinedTable
from twisted.logger import Logger

from ccstore.storage.postgres.connections import Session
from ccstore.storage.postgres.expiry import has_gone
from ccstore.storage.postgres.partition_names import Partition
from ccstore.storage.postgres.partitions import Partitions, begin_change
from ccstore.storage.postgres.pools import Pools
from ccstore.storage.postgres.stream_rules import PostgresKeeper


@frozen
class Look:
    """What is done to partitions.

    :ivar gone: of these nothing is kept, with how many messages they have.
    :ivar thin: of these little is kept.
    """

    gone: dict[Partition, int]
    thin: Sequence[Partition]


class Thinner:
    """Looks through partitions, and puts smaller ones in the place of those of which little is kept.

    :ivar keeper: knows rules and holds.
    :ivar max_size: bytes that the tables may have, or None.
    :param most: messages that are kept of one for that, at most: they are copied in one transaction.
    """

    log = Logger()

    def __init__(self, pools: Pools, keeper: PostgresKeeper, most: int) -> None:
        self.keeper = keeper
        self.max_size: int | None = None
        self._is_near = False
        self._pools = pools
        self._most = most
        # By partition, what had expired of it when it was looked at, and what was held.
        self._seen: dict[int, tuple[object, ...]] = {}

    async def look(self, session: Session, partitions: Partitions, cutoff: int, now: int) -> Look:
        """Find out what there is to do.

        :param cutoff: the time (ns) at or before which events have expired that no rule is about.
        """
        rules = await session.execute("SELECT kind, nanoseconds FROM ccstore_retention_rule")
        holds = await session.execute("SELECT id FROM ccstore_hold ORDER BY id")
        gone: dict[Partition, int] = {}
        thin = []
        for kind in ("event", "log"):
            cutoffs = [now - period for of_kind, period in rules if of_kind == kind]
            cutoffs += [cutoff] if kind == "event" else []
            if not cutoffs:
                continue
            for partition in await partitions.of(session, kind):
                last = partition.ends_at - 1
                past = sum(each >= last for each in cutoffs)
                seen = (past, *rules, *holds)
                if not past or self._seen.get(partition.id) == seen:
                    continue
                try:
                    ((rows, kept),) = await session.execute(
                        f"SELECT count(*), count(*) FILTER (WHERE NOT {has_gone(kind, now, cutoff)}) "
                        f"FROM {partition.table} r"
                    )
                except UndefinedTable:
                    continue  # another daemon was faster
                self._seen[partition.id] = seen
                if not kept:
                    gone[partition] = rows
                    del self._seen[partition.id]
                elif 2 * kept <= rows and kept <= self._most:
                    thin.append(partition)
        return Look(gone, thin)

    async def make_room(
        self, session: Session, partitions: Partitions, used: int, now: int
    ) -> Mapping[Partition, int]:
        """The oldest partitions, if there is more than there may be; with how many messages they have.

        :param used: bytes of the tables.
        """
        most = self.max_size
        if most is None:
            return {}
        is_near = used >= NEAR * most
        if is_near and not self._is_near:
            self.log.warn(
                "the tables have {used} MB of the {most} MB of storage.max_size: when they have all of "
                "them, the oldest events are deleted that are not held, whatever their period",
                used=used >> 20,
                most=most >> 20,
            )
        self._is_near = is_near
        if used <= most:
            return {}
        return await first_to_go(session, await partitions.of(session, "event"), now, used - most)

    async def thin(self, partition: Partition, cutoff: int, now: int) -> int:
        """Put a smaller partition in the place of one; how many messages are gone.

        What is kept is copied while others read and write. If something came in meanwhile, it is for naught.
        """
        async with self._pools.thinning.connection() as link:
            if not await begin_change(link):
                return 0
            made = f"{partition.table}_kept"
            parent = f"ccstore_{partition.kind}"
            await link.execute(
                f"CREATE TABLE {made} (LIKE {parent} INCLUDING DEFAULTS INCLUDING INDEXES, "
                f"CHECK (time >= {partition.begins_at} AND time < {partition.ends_at}))"
            )
            ((kept, rows),) = await link.execute(
                f"WITH kept AS (INSERT INTO {made} SELECT r.* FROM {partition.table} r "
                f"WHERE NOT {has_gone(partition.kind, now, cutoff)} RETURNING 1) "
                f"SELECT (SELECT count(*) FROM kept), (SELECT count(*) FROM {partition.table})"
            )
            async with self._pools.writing.nobody():
                await link.execute(f"LOCK TABLE {parent} IN ACCESS EXCLUSIVE MODE")
                ((there,),) = await link.execute(f"SELECT count(*) FROM {partition.table}")
                if there != rows:
                    await link.execute("ROLLBACK")
                    self._seen.pop(partition.id, None)
                    return 0
                await link.execute(f"DROP TABLE {partition.table}")
                await link.execute(f"ALTER TABLE {made} RENAME TO {partition.table}")
                await link.execute(
                    f"ALTER TABLE {parent} ATTACH PARTITION {partition.table} "
                    f"FOR VALUES FROM ({partition.begins_at}) TO ({partition.ends_at})"
                )
                await link.execute("COMMIT")
        return int(rows - kept)


#: Part of the bytes that there may be, from which on it is said that there is little room left.
NEAR: Final = 0.8


async def first_to_go(
    session: Session, partitions: Sequence[Partition], now: int, size: int
) -> dict[Partition, int]:
    """The oldest partitions of events of which nothing is held, that have so many bytes together.

    :param partitions: of events, in their order; those of the present stay.
    """
    found: dict[Partition, int] = {}
    for partition in partitions:
        if size <= 0 or partition.ends_at > now:
            break
        ((is_held, of_it),) = await session.execute(
            "SELECT EXISTS (SELECT 1 FROM ccstore_held WHERE begins_at < %s AND ends_at >= %s), "
            "pg_total_relation_size(to_regclass(%s))",
            partition.ends_at,
            partition.begins_at,
            partition.table,
        )
        if of_it is not None and not is_held:
            ((rows,),) = await session.execute(f"SELECT count(*) FROM {partition.table}")
            if rows:
                found[partition] = rows
                size -= of_it
    return found
