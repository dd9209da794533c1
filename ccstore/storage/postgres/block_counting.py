"""Censuses of packed logs, so that to count them takes no look at their blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ccstore.storage.blocks.block_format import Block
from ccstore.storage.blocks.packed_numbers import Damaged
from ccstore.storage.census import CensusTaker, PackedCensus
from ccstore.storage.levels import Levels
from ccstore.storage.postgres.arrays import numbers
from ccstore.storage.postgres.blocking_sql import BlockingSql

#: Sets of other tags of which the level is kept in mind.
_TAGS_HELD: Final = 1 << 16
_COLUMNS: Final = ("streams", "times", "tag_codes", "tags")
_FIELDS: Final = PackedCensus._fields


class BlockCounter:
    """Takes the censuses of full segments, one in a step.

    :param blocks: that a full segment has.
    """

    def __init__(self, sql: BlockingSql, blocks: int) -> None:
        self._sql = sql
        self._blocks = blocks
        self._levels = Levels(_TAGS_HELD)
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
                    census = self._census(segment, CensusTaker(first, last, rows))
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

    def _census(self, segment: int, taker: CensusTaker) -> PackedCensus:
        first_of: dict[tuple[str, str], int] = {}
        for (number,) in self._sql.all(
            "SELECT number FROM ccstore_packed_block WHERE segment = %s ORDER BY number", segment
        ):
            ((rows, *packed),) = self._sql.all(
                f"SELECT rows, {', '.join(_COLUMNS)} FROM ccstore_packed_block JOIN ccstore_packed_columns "
                "USING (segment, number) WHERE segment = %s AND number = %s",
                *(segment, number),
            )
            block = Block(rows, dict(zip(_COLUMNS, map(bytes, packed), strict=True)))
            names = self._names([stream for stream, _ in block.runs], first_of)
            tags = [*map(block.tag_sets.__getitem__, block.tag_codes)]
            taker.add(block.streams, block.times, names, self._levels.of(tags))
        return taker.packed()

    def _names(self, streams: Sequence[int], first_of: dict[tuple[str, str], int]) -> Mapping[int, int]:
        """For each stream one that has the same cluster and name.

        :param first_of: those that are known, by cluster and name; more are added.
        """
        found = self._sql.all(
            "SELECT id, cluster, name FROM ccstore_stream WHERE id = ANY(%s::bigint[])", numbers(streams)
        )
        return {each: first_of.setdefault((cluster, name), each) for each, cluster, name in found}
