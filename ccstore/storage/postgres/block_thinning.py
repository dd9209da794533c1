"""Packed logs that rules of retention are about: what has gone of a block is taken out of it.

A block of which nothing is kept is deleted, and one of which half or less is kept gets smaller. One of which
most is kept stays: what has expired in it is not seen.
"""

from __future__ import annotations

import time
from collections import deque
from math import inf
from typing import Final

from ccstore.storage.blocks.block_format import PackedBlock, pack_block
from ccstore.storage.blocks.packed_numbers import Damaged
from ccstore.storage.blocks.plain_rows import plain_rows
from ccstore.storage.postgres import packed_logs
from ccstore.storage.postgres.blocking_sql import BlockingSql
from ccstore.storage.postgres.database import at_once
from ccstore.storage.postgres.expiry import has_gone
from ccstore.storage.postgres.log_packer import TABLES

_WHERE: Final = "WHERE segment = %s AND number = %s"


class BlockThinner:
    """Looks through blocks, one in a step.

    :param rest: seconds between two looks at which there are.
    """

    def __init__(self, sql: BlockingSql, rest: float) -> None:
        self._sql = sql
        self._rest = rest
        self._looked_at = -inf
        self._left: deque[tuple[packed_logs.Place, object]] = deque()
        # By block, which rules had passed it when it was looked at, and what was held.
        self._seen: dict[packed_logs.Place, object] = {}

    def step(self, now: int) -> bool:
        """Do a little; False if there is nothing to do.

        :param now: the time in nanoseconds since the epoch.
        """
        if not self._left and time.monotonic() - self._looked_at >= self._rest:
            self._looked_at = time.monotonic()
            self._look(now)
        if not self._left:
            return False
        place, seen = self._left.popleft()
        with self._sql.snapshot():
            self._thin(place, now)
        self._seen[place] = seen
        return True

    def _look(self, now: int) -> None:
        """Find the blocks that a rule has passed since they were looked at last."""
        periods = [
            period
            for (period,) in self._sql.all(
                "SELECT nanoseconds FROM ccstore_retention_rule WHERE kind = 'log' ORDER BY nanoseconds"
            )
        ]
        if not periods:
            return
        holds = tuple(self._sql.all("SELECT id FROM ccstore_hold ORDER BY id"))
        for segment, number, last in self._sql.all(
            "SELECT segment, number, last_time FROM ccstore_packed_block WHERE last_time <= %s "
            "ORDER BY segment, number",
            now - periods[0],
        ):
            place = segment, number
            seen = (*[period for period in periods if last <= now - period], holds)
            if self._seen.get(place) != seen:
                self._left.append((place, seen))

    def _thin(self, place: packed_logs.Place, now: int) -> None:
        session = self._sql.session
        try:
            rows = plain_rows(at_once(packed_logs.read_block(session, place)))
        except Damaged:
            return
        gone = at_once(packed_logs.those(session, rows, has_gone("log", now, 0)))
        kept = [
            (stream, time, number, text, None if tags is None else str(tags))
            for number, stream, time, text, tags in rows
            if number not in gone
        ]
        if not kept:
            self._delete(place)
        elif 2 * len(kept) <= len(rows):
            self._replace(place, pack_block(kept))
        else:
            return
        self._sql.run(
            "UPDATE ccstore_packed SET rows = rows - %s WHERE segment = %s",
            len(rows) - len(kept),
            place[0],
        )
        # It is taken again when there is nothing more to take out.
        self._sql.run("DELETE FROM ccstore_packed_census WHERE segment = %s", place[0])
        if self._sql.run("DELETE FROM ccstore_packed WHERE segment = %s AND rows = 0", place[0]):
            self._sql.run("DELETE FROM ccstore_packed_words WHERE segment = %s", place[0])

    def _delete(self, place: packed_logs.Place) -> None:
        for table in TABLES:
            self._sql.run(f"DELETE FROM {table} {_WHERE}", *place)

    def _replace(self, place: packed_logs.Place, block: PackedBlock) -> None:
        # The words that it had are still told of it, and a few more blocks than need be are looked at.
        for table, columns in TABLES.items():
            changed = ", ".join([f"{name} = %s" for name in columns])
            values = [getattr(block, name) for name in columns]
            self._sql.run(f"UPDATE {table} SET {changed} {_WHERE}", *values, *place)
