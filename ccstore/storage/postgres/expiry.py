"""What has expired: noted in the database, so that it stays so, and deleted where its partition stays.

A partition goes as a whole when all in it has expired. One that was made while events were kept longer than
now spans too much for that, and when they are kept longer again, it has what had expired before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from attrs import define, frozen
from psycopg2.errors import UndefinedTable

from ccstore.message import Kind
from ccstore.storage.postgres.connections import Rows, Session
from ccstore.storage.postgres.partition_names import BLOCK_BITS, DEFAULT, Partition

#: The tables that tell of it, see :class:`ccstore.storage.reading.dialect.Dialect`.
TABLES: Final = {name: f"ccstore_{name}" for name in ("hold", "held", "lapsed")} | {
    "streams": "ccstore_stream"
}
#: See :class:`ccstore.storage.reading.dialect.Terms`.
TERMS: Final = (
    "SELECT 'mark' AS what, cutoff AS one, below AS other FROM ccstore_expired WHERE cutoff >= %(p1)s "
    "UNION ALL SELECT kind, min(nanoseconds), max(nanoseconds) FROM ccstore_retention_rule GROUP BY kind "
    "UNION ALL SELECT 'held', min(begins_at), 0 FROM ccstore_hold "
    "UNION ALL SELECT 'lapsed', max(cutoff), 0 FROM ccstore_lapsed"
)
# Conditions on a message ``r``.
_BY_MARK: Final = "EXISTS (SELECT 1 FROM ccstore_expired e WHERE e.cutoff >= r.time AND e.below > r.id)"
_HAS_NO_RULE: Final = "EXISTS (SELECT 1 FROM ccstore_stream k WHERE k.id = r.stream AND k.keeps IS NULL)"
_HAS_LAPSED: Final = (
    "EXISTS (SELECT 1 FROM ccstore_lapsed l WHERE l.stream_id = r.stream AND l.cutoff >= r.time "
    "AND l.last_id >= r.id)"
)
#: It is held.
IS_HELD: Final = (
    "EXISTS (SELECT 1 FROM ccstore_held h WHERE h.stream_id = r.stream AND h.begins_at <= r.time "
    "AND h.ends_at >= r.time)"
)
#: Marks of the retention time are about it.
IS_PLAIN: Final = f"({_HAS_NO_RULE} AND NOT {IS_HELD})"


#: There are no rules of retention and no holds, and there were none of which it still matters.
IS_WITHOUT_RULES: Final = (
    "SELECT NOT (EXISTS (SELECT 1 FROM ccstore_retention_rule) OR EXISTS (SELECT 1 FROM ccstore_hold) "
    "OR EXISTS (SELECT 1 FROM ccstore_lapsed))"
)


def has_expired(kind: Kind) -> str:
    """A condition on a message ``r`` of a kind: it has expired, by what is noted."""
    by_mark = f"{_BY_MARK} AND {_HAS_NO_RULE} OR " if kind == "event" else ""
    return f"(({by_mark}{_HAS_LAPSED}) AND NOT {IS_HELD})"


def has_gone(kind: str, now: int, cutoff: int) -> str:
    """The same, or by its period; events go by ``cutoff`` (ns) if no rule is about them."""
    period = "(SELECT k.keeps FROM ccstore_stream k WHERE k.id = r.stream)"
    by_mark = f"{_BY_MARK} AND {_HAS_NO_RULE} OR " if kind == "event" else ""
    default = cutoff if kind == "event" else "NULL"
    by_period = f"coalesce(r.time <= coalesce({now} - {period}, {default}), false)"
    return f"(({by_period} OR {by_mark}{_HAS_LAPSED}) AND NOT {IS_HELD})"


@frozen
class Expired:
    """Of the events with ids below ``below``, those at or before ``cutoff`` have expired."""

    cutoff: int
    below: int

    @property
    def condition(self) -> str:
        """For SQL: an event ``r`` has expired."""
        return f"r.time <= {self.cutoff} AND r.id < {self.below} AND {IS_PLAIN}"


async def note(session: Session, cutoff: int, retention: int, now: int) -> None:
    """Note what has expired now, and how long (ns) events are kept."""
    cutoffs = [cutoff]
    await session.execute("BEGIN")
    ((before,),) = await session.execute("SELECT nanoseconds FROM ccstore_retention FOR UPDATE")
    if before != retention:
        # Up to now they were kept so long, also while no daemon was there to note it.
        cutoffs.insert(0, now - before)
        await session.execute("UPDATE ccstore_retention SET nanoseconds = %s", retention)
    for each in cutoffs:
        # What a batch inserts that is just being written has come before, and has expired as well.
        await session.execute(
            "WITH earlier AS (DELETE FROM ccstore_expired WHERE cutoff <= %s) "
            "INSERT INTO ccstore_expired (below, cutoff) "
            "SELECT (last_value + is_called::int) << %s, %s FROM ccstore_block",
            each,
            BLOCK_BITS,
            each,
        )
    await session.execute("COMMIT")


async def noted(session: Session) -> list[Expired]:
    """What is noted: the newest comes last, and has the earliest cutoff.

    There are several only after events are kept longer than before, and until those are deleted that are
    known by the others.
    """
    return parse(
        await session.execute("SELECT cutoff, below FROM ccstore_expired ORDER BY cutoff DESC, below")
    )


def parse(rows: Rows) -> list[Expired]:
    """What is noted, from rows of a cutoff and an id."""
    return [Expired(*row) for row in rows]


@define
class _Pass:
    """Looking through a table for expired events, from its beginning to its end."""

    table: str
    condition: str
    block: int = 0


class Sweeper:
    """Deletes expired events from partitions that stay, in small steps.

    :param step_blocks: of a table, that are looked through in one step.
    :ivar deleted: events that were deleted and not asked for yet.
    """

    def __init__(self, step_blocks: int) -> None:
        self._step_blocks = step_blocks
        self.deleted = 0
        self._passes: deque[_Pass] = deque()
        self._passed: dict[str, int] = {}  # by table, the cutoff of the last pass
        self._earlier: Expired | None = None  # that is to be forgotten when all passes are over

    def plan(self, expired: Sequence[Expired], partitions: Sequence[Partition], most: int) -> None:
        """Find out what there is to do, unless there is something still.

        :param expired: what is noted.
        :param partitions: of events.
        :param most: nanoseconds for which what has expired may stay.
        """
        if self._passes or not expired:
            return
        newest = expired[-1]
        if len(expired) > 1:
            self._earlier = expired[0]
            tables = [each.table for each in partitions if each.begins_at <= self._earlier.cutoff]
            self._passes += [_Pass(table, self._earlier.condition) for table in (*tables, DEFAULT)]
            return
        self._passed = {each.table: self._passed.get(each.table, each.begins_at) for each in partitions}
        for table, since in self._passed.items():
            if newest.cutoff - since > most:
                self._passes.append(_Pass(table, newest.condition))
                self._passed[table] = newest.cutoff

    async def step(self, session: Session) -> bool:
        """Do a little; False if there is nothing to do."""
        if not self._passes:
            return False
        current = self._passes[0]
        following = current.block + self._step_blocks
        try:
            ((is_over, deleted),) = await session.execute(
                f"WITH gone AS (DELETE FROM {current.table} r WHERE ctid >= '({current.block},0)' "
                f"AND ctid < '({following},0)' AND {current.condition} RETURNING 1) "
                f"SELECT pg_relation_size('{current.table}') <= %s * current_setting('block_size')::bigint, "
                "(SELECT count(*) FROM gone)",
                following,
            )
        except UndefinedTable:
            is_over, deleted = True, 0  # it was dropped meanwhile
        self.deleted += deleted
        current.block = following
        if is_over:
            self._passes.popleft()
        if not self._passes and self._earlier is not None:
            await session.execute(
                "DELETE FROM ccstore_expired WHERE cutoff = %s AND below = %s",
                self._earlier.cutoff,
                self._earlier.below,
            )
            self._earlier = None
        return True
