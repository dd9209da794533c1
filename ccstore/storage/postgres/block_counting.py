"""Censuses of packed logs, so that to count them takes no look at their blocks."""

from __future__ import annotations

from typing import Final

from ccstore.storage.blocks.block_census import COLUMNS, BlockCensus
from ccstore.storage.blocks.block_format import Block
from ccstore.storage.blocks.packed_numbers import Damaged
from ccstore.storage.census import PackedCensus
from ccstore.storage.postgres.arrays import numbers
from ccstore.storage.postgres.blocking_sql import BlockingSql

_FIELDS: Final = PackedCensus._fields


class BlockCounter:
    """Takes the censuses of full segments, one in a step.

    :param blocks: that a full segment has.
    """

    def __init__(self, sql: BlockingSql, blocks: int) -> None:
        self._sql = sql
        self._blocks = blocks
        self._damaged: set[int] = set()

    def step(self) -> bool:
        """Take one; False if there is none to be taken."""
        found = self._sql.all(
            "SELECT segment, rows, first_time, last_time FROM ccstore_packed p WHERE blocks >= %s "
            "AND segment <> ALL(%s::bigint[]) AND NOT EXISTS (SELECT 1 FROM ccstore_packed_census c "
            "WHERE c.segment = p.segment) ORDER BY segment LIMIT 1",
            self._blocks,
            numbers(self._damaged),
        )
        for segment, rows, first, last in found:
            with self._sql.snapshot():
                try:
                    census = self._count(segment, BlockCensus(first, last, rows))
                except Damaged:
                    self._damaged.add(segment)  # its blocks are looked at, which tell of it
                    continue
                self._sql.run(
                    f"INSERT INTO ccstore_packed_census (segment, {', '.join(_FIELDS)}) "
                    f"VALUES (%s{', %s' * len(_FIELDS)})",
                    segment,
                    *census,
                )
        return bool(found)

    def _count(self, segment: int, census: BlockCensus) -> PackedCensus:
        for (number,) in self._sql.all(
            "SELECT number FROM ccstore_packed_block WHERE segment = %s ORDER BY number", segment
        ):
            ((rows, *packed),) = self._sql.all(
                f"SELECT rows, {', '.join(COLUMNS)} FROM ccstore_packed_block JOIN ccstore_packed_columns "
                "USING (segment, number) WHERE segment = %s AND number = %s",
                *(segment, number),
            )
            block = Block(rows, dict(zip(COLUMNS, map(bytes, packed), strict=True)))
            found = self._sql.all(
                "SELECT id, cluster, name FROM ccstore_stream WHERE id = ANY(%s::bigint[])",
                numbers(stream for stream, _ in block.runs),
            )
            census.add(block, found)
        return census.packed()
