"""How much is packed together: blocks of messages, and tiles of blocks with messages of the same time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

from attrs import frozen

from ccstore.storage.blocks.block_format import PlainRow

_STREAM: Final = itemgetter(0)


@frozen
class TileSizes:
    """How much is packed together.

    :ivar block_rows: of a block.
    :ivar block_size: characters of its texts, above which it has fewer rows.
    :ivar blocks: of a tile.
    :ivar size: characters of the texts of a tile, above which it has fewer blocks.
    :ivar step: rows, in which both are counted.
    """

    block_rows: int = 8192
    block_size: int = 8 << 20
    blocks: int = 8
    size: int = 32 << 20
    step: int = 1024


#: Those of a daemon.
TILES: Final = TileSizes()


def divided(rows: Sequence[PlainRow], sizes: TileSizes) -> list[Sequence[PlainRow]]:
    """The rows of a tile, divided into those of each block."""
    parts: list[Sequence[PlainRow]] = []
    first = size = 0
    for place, row in enumerate(rows):
        size += len(row[3])
        if place - first >= sizes.block_rows or (size > sizes.block_size and place > first):
            parts.append(rows[first:place])
            first, size = place, len(row[3])
    return [*parts, rows[first:]]


def by_stream(rows: Iterable[PlainRow]) -> Mapping[int, list[PlainRow]]:
    """Rows in any order, those of each stream by time and id."""
    return {stream: [*run] for stream, run in groupby(sorted(rows), _STREAM)}
