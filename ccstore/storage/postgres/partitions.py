"""Partitions: made ahead for the time to come, and dropped when everything in them has expired."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import frozen
from psycopg2.errors import UndefinedTable

from ccstore.storage.postgres.connections import Session
from ccstore.storage.postgres.database import LOCK

_SECOND: Final = 1_000_000_000
#: An event partition spans this part of the retention time, so it goes soon after it may, within limits.
_SPANS_IN_RETENTION: Final = 16
_SPAN_LEAST, _SPAN_MOST = 10 * _SECOND, 7 * 86400 * _SECOND
_LOG_SPAN: Final = 30 * 86400 * _SECOND
#: Partitions made ahead, so that there is time to try again.
_AHEAD: Final = 3
#: Milliseconds that a change waits for others to let a table go: they wait behind it meanwhile.
_LOCK_WAIT: Final = 500
_LEAST, _MOST = -(2**63), 2**63 - 1
#: Partitions of logs that a copy makes at most, each of a month.
_COVERED: Final = 240
#: Ids below a block's number shifted by this much are of earlier batches.
BLOCK_BITS: Final = 20


@frozen
class Partition:
    """Times from ``begins_at`` up to, and without, ``ends_at``."""

    id: int
    kind: str
    begins_at: int
    ends_at: int

    @property
    def table(self) -> str:
        return f"ccstore_{self.kind}_{self.id}"


class Partitions:
    """Which partitions there ought to be.

    :param retention: nanoseconds after which events expire.
    """

    def __init__(self, retention: int) -> None:
        self._retention = retention
        self._spans = {
            "event": min(max(retention // _SPANS_IN_RETENTION, _SPAN_LEAST), _SPAN_MOST),
            "log": _LOG_SPAN,
        }
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
        await session.execute("BEGIN")
        await session.execute(f"SET LOCAL lock_timeout = {_LOCK_WAIT}")
        ((is_mine,),) = await session.execute("SELECT pg_try_advisory_xact_lock(%s)", LOCK)
        if is_mine:
            ready = {}
            for kind, span in self._spans.items():
                back = self._retention if kind == "event" else span
                begin = (now - back) // span * span
                end = (now // span + 1 + _AHEAD) * span
                for missing in _missing(await self._of(session, kind), begin, end, span):
                    await self._make(session, kind, *missing)
                ready[kind] = (now, end)
            self._ready = ready
        await session.execute("COMMIT")
        return bool(is_mine)

    async def cover_logs(self, session: Session, begin: int, end: int, now: int) -> None:
        """Make the partitions that are missing for logs from between these times."""
        span = self._spans["log"]
        # Beyond that a clock was off, and such logs are where they always are.
        begin = max(begin, now - _COVERED * span) // span * span
        end = min(end, now + span)
        await session.execute("BEGIN")
        await session.execute("SELECT pg_advisory_xact_lock(%s)", LOCK)
        for missing in _missing(await self._of(session, "log"), begin, end + 1, span):
            await self._make(session, "log", *missing)
        await session.execute("COMMIT")

    async def _of(self, session: Session, kind: str) -> list[Partition]:
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

    # -- what expires

    async def expired(self, session: Session, cutoff: int) -> list[tuple[Partition, int]]:
        """Partitions of events in which nothing is newer than the cutoff, and how many rows they have."""
        found = []
        for partition in await self._of(session, "event"):
            if partition.ends_at - 1 <= cutoff:
                try:
                    ((rows,),) = await session.execute(f"SELECT count(*) FROM {partition.table}")
                except UndefinedTable:
                    continue  # another daemon was faster
                found.append((partition, rows))
        return found

    async def drop(self, session: Session, partitions: Sequence[Partition]) -> list[Partition]:
        """Drop those of the partitions that are still there; none if somebody else is at it."""
        await session.execute("BEGIN")
        await session.execute(f"SET LOCAL lock_timeout = {_LOCK_WAIT}")
        ((is_mine,),) = await session.execute("SELECT pg_try_advisory_xact_lock(%s)", LOCK)
        dropped = []
        if is_mine:
            for partition in partitions:
                there = await session.execute(
                    "DELETE FROM ccstore_partition WHERE id = %s RETURNING id", partition.id
                )
                if there:
                    await session.execute(f"DROP TABLE IF EXISTS {partition.table}")
                    dropped.append(partition)
        await session.execute("COMMIT")
        return dropped

    async def expire_strays(self, session: Session, now: int, cutoff: int) -> int:
        """Delete expired events that are where clocks are off: by their time, or by when they arrived.

        Marks remember which ids had been given out at a time. Partitions far ahead of the time are those of a
        daemon whose own clock was wrong.
        """
        found = await session.execute("SELECT max(id) FROM ccstore_mark WHERE arrived_at <= %s", cutoff)
        below = found[0][0] or 0
        span = self._spans["event"]
        far = (now // span + 2 + _AHEAD) * span
        tables = ["ccstore_event_default"] + [
            partition.table for partition in await self._of(session, "event") if partition.begins_at >= far
        ]
        deleted = 0
        for table in tables:
            ((rows,),) = await session.execute(
                f"WITH gone AS (DELETE FROM {table} WHERE time <= %s OR id < %s RETURNING 1) "
                "SELECT count(*) FROM gone",
                cutoff,
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


def _missing(there: Sequence[Partition], begin: int, end: int, span: int) -> list[tuple[int, int]]:
    """The parts of a time, none longer than a span, in which there is no partition; in their order."""
    missing = []
    position = max(begin, _LEAST)
    for partition in [*there, Partition(0, "", end, _MOST)]:
        while position < min(partition.begins_at, end):
            following = min((position // span + 1) * span, partition.begins_at, end)
            missing.append((position, following))
            position = following
        position = max(position, partition.ends_at)
    return missing
