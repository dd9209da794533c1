"""Packing the rows of segments into blocks: it only reads, so that whoever writes need not do it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from attrs import frozen

from ccstore.message import INT64_MAX, INT64_MIN
from ccstore.storage.blocks.block_census import COLUMNS, BlockCensus, of_one_name
from ccstore.storage.blocks.block_format import Block, PackedBlock, PlainRow, is_whole, pack_block
from ccstore.storage.blocks.packed_numbers import Damaged
from ccstore.storage.blocks.plain_rows import searched
from ccstore.storage.blocks.tiles import TileSizes, by_stream, divided
from ccstore.storage.blocks.vocabulary import MOST_BLOCKS, Chunk, VocabularyTaker
from ccstore.storage.census import CensusTaker, PackedCensus, stream_numbers
from ccstore.storage.columns import BLOCK_ORDER
from ccstore.storage.reading.dialect import Dialect, Question, T_co
from ccstore.storage.reading.statement import Reading, Statement
from ccstore.storage.sqlite.packing_plan import Remnant, SourceTable


@frozen
class Tile:
    """Messages from one time (ns) and id, up to and without another.

    :ivar end: None if there are no more behind it.
    """

    begin: tuple[int, int]
    end: tuple[int, int] | None


class _PackingQuestion(Question[T_co], Protocol[T_co]):
    @property
    def count(self) -> int:
        """Nobody asked for it."""
        return 0

    @property
    def is_long(self) -> bool:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        return True


@frozen
class TilesOf(_PackingQuestion[list[Tile]]):
    """A question: how the messages of segments are divided by time into tiles."""

    kind: str
    sources: Sequence[SourceTable]
    sizes: TileSizes

    def reading(self, dialect: Dialect) -> Reading[list[Tile]]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        sizes = self.sizes
        arms = " UNION ALL ".join(
            [f"SELECT time, id, length(text) AS size FROM {source.table}" for source in self.sources]
        )
        # Where a step of rows begins, or so many characters as a part of a tile may have are reached.
        part = max(sizes.size // sizes.blocks, 1)
        found = yield Statement(
            "SELECT time, id, place, size FROM (SELECT time, id, size AS own, "
            "row_number() OVER ordered - 1 AS place, sum(size) OVER ordered AS size "
            f"FROM ({arms}) WINDOW ordered AS (ORDER BY time, id ROWS UNBOUNDED PRECEDING)) "
            f"WHERE place % {sizes.step} = 0 OR size / {part} <> (size - own) / {part}",
            (),
            ("time", "id", "place", "size"),
        )
        begins: list[tuple[int, int]] = []
        first, before = 0, 0
        for time, number, place, size in found:
            is_full = place - first >= sizes.blocks * sizes.block_rows or size - before > sizes.size
            if not begins or is_full:
                begins.append((time, number))
                first, before = place, size
        return [Tile(begin, end) for begin, end in zip(begins, [*begins[1:], None], strict=True)]


@frozen
class PackedTile(_PackingQuestion[list[PackedBlock]]):
    """A question: the messages of a tile in blocks, by cluster, host, name and the rest of a stream."""

    kind: str
    sources: Sequence[SourceTable]
    tile: Tile
    sizes: TileSizes

    def reading(self, dialect: Dialect) -> Reading[list[PackedBlock]]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        found = yield self._rows()
        return (yield from _packed([*map(tuple, found)], self.sizes))

    def _rows(self) -> Statement:
        """The rows, in any order."""
        begin = self.tile.begin
        end = (INT64_MAX, INT64_MAX) if self.tile.end is None else self.tile.end
        columns = ("stream", "time", "id", "text", "othertags")
        within = "time BETWEEN ?1 AND ?3 AND (time > ?1 OR id >= ?2) AND (time < ?3 OR id < ?4)"
        arms = []
        for source in self.sources:
            if source.last < begin[0] or source.first > end[0]:
                continue
            table = source.table
            if source.is_merged:
                # Each stream is looked for: what a stream has of one time stands together.
                chosen = f"SELECT id AS chosen FROM main.stream WHERE kind = '{self.kind}'"
                names = ", ".join([f"{table}.{column} AS {column}" for column in columns])
                condition = within.replace("time", f"{table}.time").replace("id ", f"{table}.id ")
                arms.append(
                    f"SELECT {names} FROM ({chosen}) CROSS JOIN {table} "
                    f"WHERE {table}.stream = chosen AND {condition}"
                )
            else:
                arms.append(f"SELECT {', '.join(columns)} FROM {table} WHERE {within}")
        return Statement(" UNION ALL ".join(arms), (*begin, *end), columns)


@frozen
class PackedRemnant(_PackingQuestion[list[PackedBlock]]):
    """A question: what is kept of some blocks, in blocks. One that is damaged raises :class:`Damaged`.

    :ivar begin: the number of the first of as many blocks as a tile has.
    """

    remnant: Remnant
    begin: int
    sizes: TileSizes

    def reading(self, dialect: Dialect) -> Reading[list[PackedBlock]]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        spans = {stream: [(INT64_MIN, INT64_MAX)] for stream in self.remnant.streams}
        held = yield Statement(
            "SELECT stream_id, begins_at, ends_at FROM held "
            "WHERE stream_id IN (SELECT value FROM json_each(?1))",
            (json.dumps([*self.remnant.held]),),
            ("stream_id", "begins_at", "ends_at"),
        )
        for stream, *span in held:
            spans.setdefault(stream, []).append((span[0], span[1]))
        rows: list[PlainRow] = []
        found = yield _blocks(self.remnant.number, self.begin, self.sizes.blocks, PackedBlock._fields)
        for packed in found:
            rows += _kept(PackedBlock(*packed), spans)
        return (yield from _packed(rows, self.sizes)) if rows else []


def _blocks(segment: int, begin: int, count: int, columns: Sequence[str]) -> Statement:
    """Some columns of so many blocks, from a number on, as far as they are there."""
    return Statement(
        f"SELECT {', '.join(columns)} FROM block JOIN block_columns USING (segment, number) "
        "WHERE segment = ?1 AND number >= ?2 AND number < ?2 + ?3",
        (segment, begin, count),
        columns,
        has_bytes=True,
    )


def _kept(packed: PackedBlock, spans: Mapping[int, Sequence[tuple[int, int]]]) -> Iterator[PlainRow]:
    """The rows of a block whose streams are kept at their times."""
    if not is_whole(packed):
        raise Damaged("the checksum of a block is wrong")
    block = Block.of(packed)
    row = 0
    for stream, count in block.runs:
        kept = spans.get(stream, ())
        for place in range(row, row + count if kept else row):
            time = block.times[place]
            if any(begin <= time <= end for begin, end in kept):
                yield stream, time, block.ids[place], block.text(place), block.tags(place)
        row += count


def _packed(rows: list[PlainRow], sizes: TileSizes) -> Reading[list[PackedBlock]]:
    """The rows of a tile, in any order, as blocks."""
    runs = by_stream(rows)
    ranked = yield Statement(
        f"SELECT id FROM stream WHERE id IN (SELECT value FROM json_each(?1)) ORDER BY {BLOCK_ORDER}",
        (json.dumps([*runs]),),
        ("id",),
    )
    ordered = [row for (stream,) in ranked for row in runs[stream]]
    return [pack_block(part) for part in divided(ordered, sizes)]


@frozen
class WordsOf(_PackingQuestion[list[Chunk]]):
    """A question: the words of some blocks of a packed segment, which may not be there for others yet.

    :ivar part: the numbers of the blocks divided by :data:`MOST_BLOCKS`.
    """

    target: int
    part: int

    def reading(self, dialect: Dialect) -> Reading[list[Chunk]]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        taker = VocabularyTaker()
        for number in range(MOST_BLOCKS):
            place = self.part * MOST_BLOCKS + number
            found = yield _blocks(self.target, place, 1, ("rows", "lengths", "texts"))
            for rows, lengths, packed in found:
                block = Block(rows, {"lengths": lengths, "texts": packed})
                taker.add(number, searched(block))
        return [*taker.packed()]


@frozen
class CensusOf(_PackingQuestion[PackedCensus]):
    """A question: the census of segments together, each of which has one.

    :ivar rows: of all of them.
    """

    segments: Sequence[int]
    first: int
    last: int
    rows: int

    def reading(self, dialect: Dialect) -> Reading[PackedCensus]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        taker = CensusTaker(self.first, self.last, self.rows)
        first_of: dict[tuple[str, str], int] = {}
        columns = PackedCensus._fields
        for segment in self.segments:
            (row,) = yield Statement(
                f"SELECT {', '.join(columns)} FROM census WHERE segment = ?1",
                (segment,),
                columns,
                has_bytes=True,
            )
            census = PackedCensus(*row)
            found = yield _named(stream_numbers(census.names))
            taker.add_census(census, of_one_name(found, first_of))
        return taker.packed()


@frozen
class CensusOfBlocks(_PackingQuestion["PackedCensus | None"]):
    """A question: the census of packed messages, which may not be there for others yet.

    None if blocks are missing, as when the run that makes them was given up.

    :ivar blocks: how many there are, with numbers from 0.
    """

    target: int
    blocks: int

    def reading(self, dialect: Dialect) -> Reading[PackedCensus | None]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        of_all = ("first", "last", "rows")
        (known,) = yield Statement(
            "SELECT min(first_time) AS first, max(last_time) AS last, sum(rows) AS rows FROM block "
            "WHERE segment = ?1",
            (self.target,),
            of_all,
        )
        if known[2] is None:
            return None
        census = BlockCensus(*known)
        for number in range(self.blocks):
            found = yield _blocks(self.target, number, 1, ("rows", *COLUMNS))
            if not found:
                return None
            ((rows, *packed),) = found
            block = Block(rows, dict(zip(COLUMNS, packed, strict=True)))
            census.add(block, (yield _named([stream for stream, _ in block.runs])))
        return census.packed()


def _named(streams: Sequence[int]) -> Statement:
    """Streams with their clusters and names."""
    return Statement(
        "SELECT id, cluster, name FROM stream WHERE id IN (SELECT value FROM json_each(?1))",
        (json.dumps([*streams]),),
        ("id", "cluster", "name"),
    )
