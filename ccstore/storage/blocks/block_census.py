"""The census of packed messages, block by block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ccstore.storage.blocks.block_format import Block
from ccstore.storage.census import CensusTaker, PackedCensus
from ccstore.storage.levels import Levels

#: The columns of a block that are needed, besides how many rows it has.
COLUMNS: Final = ("streams", "times", "tag_codes", "tags")
#: Sets of other tags of which the level is kept in mind.
_TAGS_HELD: Final = 1 << 16


def of_one_name(found: Iterable[Sequence[Any]], first_of: dict[tuple[str, str], int]) -> Mapping[int, int]:
    """For each stream one that has the same cluster and name.

    :param found: the streams, each with its cluster and name.
    :param first_of: those that are known, by cluster and name; more are added.
    """
    return {each: first_of.setdefault((cluster, name), each) for each, cluster, name in found}


class BlockCensus:
    """Takes a census; see :class:`CensusTaker`. What is damaged raises :class:`Damaged`."""

    def __init__(self, first: int, last: int, messages: int) -> None:
        self._taker = CensusTaker(first, last, messages)
        self._levels = Levels(_TAGS_HELD)
        self._first_of: dict[tuple[str, str], int] = {}

    def add(self, block: Block, found: Iterable[Sequence[Any]]) -> None:
        """Count the messages of a block.

        :param found: its streams, each with its cluster and name.
        """
        levels = self._levels.of([*map(block.tag_sets.__getitem__, block.tag_codes)])
        self._taker.add(block.streams, block.times, of_one_name(found, self._first_of), levels)

    def packed(self) -> PackedCensus:
        """The census."""
        return self._taker.packed()
