"""Rules of retention and holds, and for each stream what they say of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from ccstore.keeping import Hold, KeepRule
from ccstore.message import INT64_MIN, StreamKey
from ccstore.storage.columns import HOLD_COLUMNS, KEY_COLUMNS
from ccstore.storage.periods import Periods, chosen_test
from ccstore.storage.postgres.arrays import numbers
from ccstore.storage.postgres.connections import Session
from ccstore.storage.postgres.database import LOCK
from ccstore.storage.postgres.partition_names import BLOCK_BITS

_KEY: Final = ", ".join(KEY_COLUMNS)
_HOLD: Final = ", ".join(HOLD_COLUMNS)


class PostgresKeeper:
    """Notes for each stream how long its messages are kept, and what of them is held.

    So whoever reads need not know the rules. Holds are those that are in the database, whoever made them.

    :param rules: None for those that the database has.
    :param retention: gives the nanoseconds after which events expire that no rule is about.
    """

    def __init__(
        self, rules: Sequence[KeepRule] | None, retention: Callable[[], int], now: Callable[[], int]
    ) -> None:
        self._wanted = rules
        self._noted: Sequence[KeepRule] | None = None
        self._retention = retention
        self._now = now
        self._periods = Periods(rules or ())

    def change(self, rules: Sequence[KeepRule]) -> None:
        """There are to be these rules; :meth:`settle` notes it."""
        self._wanted = rules

    async def settle(self, session: Session) -> None:
        """Note the rules, if they are not those that are noted, and for each stream what they say of it."""
        if self._wanted is None or self._noted == self._wanted:
            return
        periods = Periods(self._wanted)
        wanted = [row for rule in self._wanted for row in rule.by_kind()]
        await session.execute("BEGIN")
        await session.execute("SELECT pg_advisory_xact_lock(%s, 2)", LOCK)
        noted = await session.execute("SELECT kind, nanoseconds, streams, match FROM ccstore_retention_rule")
        self._periods = periods  # of streams that are made meanwhile
        if sorted(wanted) != sorted(map(tuple, noted)):
            await session.execute("DELETE FROM ccstore_retention_rule")
            for row in wanted:
                await session.execute("INSERT INTO ccstore_retention_rule VALUES (%s, %s, %s, %s)", *row)
            await self._apply(session, periods)
        await session.execute("COMMIT")
        self._noted = self._wanted

    async def _apply(self, session: Session, periods: Periods) -> None:
        ((default, marks, last_id),) = await session.execute(
            "SELECT nanoseconds, coalesce((SELECT max(cutoff) FROM ccstore_expired), %s), "
            "((SELECT last_value + is_called::int FROM ccstore_block) << %s) - 1 FROM ccstore_retention",
            INT64_MIN,
            BLOCK_BITS,
        )
        changed: dict[int | None, list[int]] = defaultdict(list)
        lapsed: dict[int, list[int]] = defaultdict(list)
        for stream, before, *columns in await session.execute(
            f"SELECT id, keeps, {_KEY} FROM ccstore_stream"
        ):
            keeps = periods.of(tuple(columns))
            if keeps == before:
                continue
            changed[keeps].append(stream)
            is_event = columns[1] == "event"
            was = default if before is None and is_event else before
            is_to_be = self._retention() if keeps is None and is_event else keeps
            # What has expired stays so, also where its stream is kept longer from now on.
            if was is not None and (is_to_be is None or is_to_be > was):
                since = max(self._now() - was, INT64_MIN)
                lapsed[max(since, marks) if before is None else since].append(stream)
        for keeps, streams in changed.items():
            await session.execute(
                "UPDATE ccstore_stream SET keeps = %s WHERE id = ANY(%s::bigint[])", keeps, numbers(streams)
            )
        for cutoff, streams in lapsed.items():
            await session.execute(
                "INSERT INTO ccstore_lapsed (stream_id, last_id, cutoff) SELECT unnest(%s::bigint[]), %s, %s",
                numbers(streams),
                last_id,
                cutoff,
            )

    async def place(self, session: Session, made: Sequence[tuple[int, StreamKey]]) -> None:
        """Streams were made, of which there are no messages yet."""
        by_period: dict[int, list[int]] = defaultdict(list)
        for stream, key in made:
            keeps = self._periods.of(key)
            if keeps is not None:
                by_period[keeps].append(stream)
        for keeps, streams in by_period.items():
            await session.execute(
                "UPDATE ccstore_stream SET keeps = %s WHERE id = ANY(%s::bigint[])", keeps, numbers(streams)
            )
        for hold in await holds(session):
            test = chosen_test(hold.chosen)
            await _hold(session, hold.id, [(stream, *hold.span) for stream, key in made if test(key)])

    async def hold(self, session: Session, hold: Hold) -> int:
        """Hold messages; what has expired stays so. Returns the id of the hold."""
        await session.execute("BEGIN")
        ((number,),) = await session.execute(
            f"INSERT INTO ccstore_hold ({_HOLD}) VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
            *hold.pack(),
        )
        test = chosen_test(hold.chosen)
        begin, end = hold.span
        found = []
        for stream, gone_by, *columns in await session.execute(
            # What has expired until then is not held: by its period, by marks, or by an earlier rule.
            "SELECT id, greatest(%s - keeps, CASE WHEN keeps IS NULL AND kind = 'event' THEN greatest(%s, "
            "(SELECT max(cutoff) FROM ccstore_expired)) END, "
            "(SELECT max(cutoff) FROM ccstore_lapsed l WHERE l.stream_id = s.id), %s), "
            f"{_KEY} FROM ccstore_stream s",
            hold.created_at,
            hold.created_at - self._retention(),
            INT64_MIN,
        ):
            if test(tuple(columns)):
                since = max(begin, int(gone_by) + 1)
                if since <= end:
                    found.append((stream, since, end))
        await _hold(session, number, found)
        await session.execute("COMMIT")
        return int(number)

    async def release(self, session: Session, number: int) -> bool:
        """End a hold; False if there is none with this id."""
        await session.execute("BEGIN")
        gone = await session.execute("DELETE FROM ccstore_hold WHERE id = %s RETURNING id", number)
        await session.execute("DELETE FROM ccstore_held WHERE hold = %s", number)
        await session.execute("COMMIT")
        return bool(gone)

    async def forget_lapsed(self, session: Session) -> None:
        """Forget what has expired by now in any case."""
        await session.execute(
            "DELETE FROM ccstore_lapsed l WHERE NOT EXISTS (SELECT 1 FROM ccstore_stream s "
            "WHERE s.id = l.stream_id AND (s.keeps IS NULL AND s.kind = 'log' "
            "OR l.cutoff > %s - coalesce(s.keeps, %s)))",
            self._now(),
            self._retention(),
        )


async def holds(session: Session) -> list[Hold]:
    """All holds, the oldest first."""
    found = await session.execute(f"SELECT id, {_HOLD} FROM ccstore_hold ORDER BY id")
    return [Hold.unpack(row, number) for number, *row in found]


async def _hold(session: Session, number: int, found: Sequence[tuple[int, int, int]]) -> None:
    """Note what is held of streams, given as stream, first and last time."""
    if found:
        streams, begins, ends = zip(*found, strict=True)
        await session.execute(
            "INSERT INTO ccstore_held (stream_id, hold, begins_at, ends_at) "
            "SELECT stream, %s, begins_at, ends_at FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) "
            "AS given (stream, begins_at, ends_at) ON CONFLICT DO NOTHING",
            number,
            numbers(streams),
            numbers(begins),
            numbers(ends),
        )
