"""All rows of blocks: as a copy reads them, and as words are taken from them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Final, TypeVar

from ccstore.message import INT64_MAX
from ccstore.storage.blocks.block_format import Block, PackedBlock
from ccstore.storage.export import PAGE_ROWS, StoredRow

_ID: Final = itemgetter(0)
_Key = TypeVar("_Key")


def plain_rows(packed: PackedBlock) -> Sequence[StoredRow]:
    """The rows of a block: id, stream, time, text, other tags; raises :class:`Damaged`."""
    block = Block.of(packed)
    texts = [block.texts[start:end].decode() for start, end in pairwise(block.starts)]
    tags = map(block.tag_sets.__getitem__, block.tag_codes)
    return [*zip(block.ids, block.streams, block.times, texts, tags, strict=True)]


def in_order_of_ids(
    blocks: Sequence[tuple[_Key, int]], read: Callable[[_Key], Sequence[StoredRow]]
) -> Iterator[Sequence[StoredRow]]:
    """The rows of blocks in the order of their ids, in parts.

    :param blocks: which ones, and the least id of each, in the order of these ids.
    :param read: gives the rows of one that are wanted.
    """
    waiting: list[StoredRow] = []
    for place, (key, _) in enumerate(blocks):
        waiting += read(key)
        waiting.sort(key=_ID)
        # What comes before all that the following blocks have.
        limit = blocks[place + 1][1] if place + 1 < len(blocks) else INT64_MAX
        ready = bisect_left(waiting, limit, key=_ID)
        for start in range(0, ready, PAGE_ROWS):
            yield waiting[start : min(start + PAGE_ROWS, ready)]
        del waiting[:ready]


def searched(block: Block) -> bytes:
    """The texts of a block, in lines and in the lower case of ASCII, for its words."""
    texts = [block.texts[begin:end] for begin, end in pairwise(block.starts)]
    return b"\n".join(texts).lower()
