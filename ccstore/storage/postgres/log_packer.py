"""Packing logs into blocks, in small steps over a connection that blocks.

A step is one transaction: it reads some pages of a partition, puts their messages into blocks, and deletes
them. All of it sees one state of the database, so that what comes in meanwhile is neither packed nor deleted.
It goes from the last page to the first, so that a vacuum gives back what is empty.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import Final

from attrs import evolve
from psycopg2.errors import LockNotAvailable

from ccstore.storage.blocks.block_format import Block, PackedBlock, PlainRow, pack_block
from ccstore.storage.blocks.packed_numbers import Damaged
from ccstore.storage.blocks.plain_rows import searched
from ccstore.storage.blocks.tiles import by_stream, divided
from ccstore.storage.blocks.vocabulary import MOST_BLOCKS, Chunk, VocabularyTaker
from ccstore.storage.columns import BLOCK_ORDER
from ccstore.storage.postgres.blocking_sql import BlockingSql
from ccstore.storage.postgres.database import LOCK
from ccstore.storage.postgres.partitions import LOCK_WAIT
from ccstore.storage.postgres.sizes import PackingSizes

#: The columns of a block by the table that has them.
TABLES: Final[Mapping[str, Sequence[str]]] = {
    "ccstore_packed_block": (
        *("rows", "first_time", "last_time", "min_id", "max_id", "streams", "checksum"),
    ),
    "ccstore_packed_columns": ("times", "ids", "lengths", "tag_codes", "tags", "texts"),
}
_STRAYS: Final = "ccstore_log_default"
_OF_CHUNK: Final = ", ".join(Chunk._fields)


class LogPacker:
    """Packs what is old in partitions that have ended, and what came late in that for clocks that are off.

    :param has_words: what is packed gets an index of words.
    """

    def __init__(self, sql: BlockingSql, sizes: PackingSizes, *, has_words: bool) -> None:
        self._sql = sql
        self._sizes = sizes
        self._has_words = has_words
        self._is_alone = False
        # By table, the page behind the next ones, and when it was through, by a clock that never goes back.
        self._positions: dict[str, int] = {}
        self._through: dict[str, float] = {}

    def step(self, before: int) -> int | None:
        """Do a little; how many messages it packed, or None if there is nothing to do, or another packs.

        Raises :class:`Damaged` if there is something in a table that cannot be packed.

        :param before: what is from before this time (ns) is old.
        """
        if not self.is_alone():
            return None
        if self._has_words and self._index():
            return 0
        for table, pages in self._tables(before):
            if time.monotonic() - self._through.get(table, -inf) >= self._sizes.rest:
                try:
                    return self._go_on(table, pages, before)
                except Damaged:
                    # The others are to be packed all the same.
                    self._through[table] = time.monotonic()
                    raise
        return None

    def is_alone(self) -> bool:
        """Nobody else packs, from now on until the connection ends."""
        if not self._is_alone:
            ((self._is_alone,),) = self._sql.all("SELECT pg_try_advisory_lock(%s, 3)", LOCK)
        return self._is_alone

    def to_do(self, before: int) -> int:
        """How many messages there are to pack; see :meth:`step`."""
        counts = [
            self._sql.all(f"SELECT count(*) FROM {table} WHERE time < %s", before)[0][0]
            for table, _ in self._tables(before)
        ]
        return sum(counts)

    def _tables(self, before: int) -> Sequence[tuple[str, int]]:
        """Those that may have something to pack, the oldest first, and how many pages they have."""
        return self._sql.all(
            "SELECT name, pages FROM (SELECT name, begins_at, pg_relation_size(to_regclass(name)) / "
            "current_setting('block_size')::bigint AS pages FROM (SELECT 'ccstore_log_' || id AS name, "
            "begins_at FROM ccstore_partition WHERE kind = 'log' AND ends_at <= %s "
            f"UNION ALL SELECT '{_STRAYS}', NULL) t) t WHERE pages > 0 AND (begins_at IS NOT NULL "
            "OR pages >= %s) ORDER BY begins_at",
            before,
            self._sizes.stray_pages,
        )

    def _go_on(self, table: str, pages: int, before: int) -> int:
        end = min(self._positions.get(table, pages), pages)
        begin = max(end - self._sizes.step_pages, 0)
        with self._sql.snapshot():
            while end - begin > 1 and self._size(table, begin, end) > self._sizes.tiles.size:
                begin = (begin + end) // 2
            rows = self._pack(table, begin, end, before)
        self._positions[table] = begin
        if not begin:
            self._give_back(table)
            del self._positions[table]
            self._through[table] = time.monotonic()
        return rows

    def _give_back(self, table: str) -> None:
        """Give back the space of what was deleted, as far as nobody needs it still."""
        self._sql.run(f"VACUUM {table}")
        # Of its indexes only this gives back pages. What has no page has no row that anybody may still see.
        is_empty = f"SELECT pg_relation_size('{table}') = 0"
        with suppress(LockNotAvailable), self._sql.transaction():
            self._sql.run(f"SET LOCAL lock_timeout = {LOCK_WAIT}")
            if self._sql.all(is_empty) == [(True,)]:
                self._sql.run(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                if self._sql.all(is_empty) == [(True,)]:
                    self._sql.run(f"TRUNCATE {table}")

    def _size(self, table: str, begin: int, end: int) -> int:
        """Bytes of the texts of some pages."""
        ((size,),) = self._sql.all(
            f"SELECT coalesce(sum(octet_length(text)), 0) FROM {table} WHERE {_within(begin, end)}"
        )
        return int(size)

    def _pack(self, table: str, begin: int, end: int, before: int) -> int:
        meant = f"{_within(begin, end)} AND time < %s"
        rows = self._sql.all(f"SELECT stream, time, id, text, othertags FROM {table} WHERE {meant}", before)
        if not rows:
            return 0
        self._insert([pack_block(part) for part in self._blocks(rows)])
        if self._sql.run(f"DELETE FROM {table} WHERE {meant}", before) != len(rows):
            raise Damaged(f"what is deleted of {table} is not what was read")
        return len(rows)

    def _blocks(self, rows: Sequence[PlainRow]) -> Sequence[Sequence[PlainRow]]:
        """Rows in any order, as those of blocks, which are about as large."""
        runs = by_stream(rows)
        ranked = self._sql.all(
            f"SELECT id FROM ccstore_stream WHERE id = ANY(%s) ORDER BY {BLOCK_ORDER}",
            [*runs],
        )
        ordered = [row for (stream,) in ranked for row in runs[stream]]
        if len(ordered) != len(rows):
            raise Damaged("there are messages of streams that are not there")
        tiles = self._sizes.tiles
        count = -(-len(rows) // tiles.block_rows)
        return divided(ordered, evolve(tiles, block_rows=-(-len(rows) // count)))

    def _insert(self, blocks: Sequence[PackedBlock]) -> None:
        left = [*blocks]
        while left:
            segment, number = self._open_segment()
            some = left[: self._sizes.blocks - number]
            left = left[len(some) :]
            for place, block in enumerate(some, number):
                for table, columns in TABLES.items():
                    values = [getattr(block, name) for name in columns]
                    self._sql.run(
                        f"INSERT INTO {table} (segment, number, {', '.join(columns)}) "
                        f"VALUES (%s, %s{', %s' * len(columns)})",
                        *(segment, place, *values),
                    )
            self._sql.run(
                "UPDATE ccstore_packed SET rows = rows + %s, blocks = blocks + %s, "
                "first_time = least(first_time, %s), last_time = greatest(last_time, %s), "
                "max_id = greatest(max_id, %s) WHERE segment = %s",
                sum([block.rows for block in some]),
                len(some),
                min([block.first_time for block in some]),
                max([block.last_time for block in some]),
                max([block.max_id for block in some]),
                segment,
            )

    def _open_segment(self) -> tuple[int, int]:
        """The segment that gets the next block, and the number of that."""
        found = self._sql.all("SELECT segment, blocks FROM ccstore_packed ORDER BY segment DESC LIMIT 1")
        if found and found[0][1] < self._sizes.blocks:
            return found[0][0], found[0][1]
        ((segment,),) = self._sql.all(
            "INSERT INTO ccstore_packed (rows, blocks, indexed, first_time, last_time, max_id) "
            f"VALUES (0, 0, 0, {2**63 - 1}, {-(2**63)}, {-(2**63)}) RETURNING segment"
        )
        return segment, 0

    def _index(self) -> bool:
        """Take the words of a part that is full; False if there is none."""
        found = self._sql.all(
            "SELECT segment, indexed FROM ccstore_packed WHERE indexed < blocks / %s "
            "ORDER BY segment LIMIT 1",
            MOST_BLOCKS,
        )
        for segment, part in found:
            chunks = self._chunks(segment, part)
            with self._sql.snapshot():
                for place, chunk in enumerate(chunks):
                    self._sql.run(
                        f"INSERT INTO ccstore_packed_words (segment, part, place, {_OF_CHUNK}) "
                        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                        *(segment, part, place, *chunk),
                    )
                self._sql.run("UPDATE ccstore_packed SET indexed = indexed + 1 WHERE segment = %s", segment)
        return bool(found)

    def _chunks(self, segment: int, part: int) -> Sequence[Chunk]:
        """None of a part that has a damaged block: each of its blocks is searched then."""
        taker = VocabularyTaker()
        for number in range(MOST_BLOCKS):
            for rows, lengths, texts in self._sql.all(
                "SELECT rows, lengths, texts FROM ccstore_packed_block JOIN ccstore_packed_columns "
                "USING (segment, number) WHERE segment = %s AND number = %s",
                *(segment, part * MOST_BLOCKS + number),
            ):
                block = Block(rows, {"lengths": bytes(lengths), "texts": bytes(texts)})
                try:
                    taker.add(number, searched(block))
                except Damaged:
                    return ()
        return [*taker.packed()]


def _within(begin: int, end: int) -> str:
    """A condition: a row is in one of the pages from one up to, and without, another."""
    return f"ctid >= '({begin},0)' AND ctid < '({end},0)'"
