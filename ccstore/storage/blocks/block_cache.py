"""Blocks that were unpacked lately: who goes through messages page by page asks for the same ones again."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from functools import cached_property
from threading import Lock
from typing import Any, Final, NamedTuple

from ccstore.storage.blocks.block_format import Block
from ccstore.storage.blocks.time_ranks import TimeRanks

#: Streams up to which each is looked for.
_FEW: Final = 100
#: The greatest number of a stream that takes 4 bytes.
_MOST_SHORT: Final = 2**32 - 1
#: Rows and spans of time up to which it is worth it to put no more in order than has to be.
_FEW_ROWS: Final = 500
_FEW_SPANS: Final = 40


class BlockEntry(NamedTuple):
    """What the catalogue says of a block.

    :ivar first: the time of its oldest message, in nanoseconds; ``last`` is that of its newest.
    :ivar min_id: the least of its ids, as ``max_id`` is the greatest.
    """

    segment: int
    number: int
    rows: int
    first: int
    last: int
    min_id: int
    max_id: int
    checksum: int


class HeldBlock(Block):
    """A block whose columns are fetched as they are needed.

    :ivar entry: what the catalogue says of it.
    :ivar columns: those that were fetched; more may be added.
    """

    def __init__(self, entry: BlockEntry) -> None:
        self.entry = entry
        self.columns: dict[str, bytes] = {}
        super().__init__(entry.rows, self.columns)

    def ids_of(self, rows: Sequence[int]) -> Sequence[int]:
        """The ids of some rows; of a few it takes less than of all."""
        if len(rows) > _FEW_ROWS or self._ranks.effort(rows) > _FEW_SPANS:
            return [*map(self.ids.__getitem__, rows)]
        ranks = [*map(self._ranks.of, rows)]
        rising = sorted({*ranks})
        ids = dict(zip(rising, self.ids_by_time.at(rising), strict=True))
        return [ids[rank] for rank in ranks]

    @cached_property
    def _ranks(self) -> TimeRanks:
        return TimeRanks(self.times, self.entry.first, self.entry.last)


class BlockCache:
    """The blocks that were asked for last; for any thread.

    :param most: of them, each of which takes up to a few megabytes when all of it is unpacked.
    :param most_known: blocks of which it is known which streams they have, which takes 4 bytes for each; and
        searches of some blocks of which it is known where they may find something, which take less.
    """

    def __init__(self, most: int, most_known: int = 4096) -> None:
        self._most = most
        self._most_known = most_known
        self._lock = Lock()
        self._blocks: OrderedDict[BlockEntry, HeldBlock] = OrderedDict()
        self._streams: OrderedDict[BlockEntry, array[int]] = OrderedDict()
        self._sieved: OrderedDict[tuple[Hashable, ...], int] = OrderedDict()

    def __reduce__(self) -> tuple[type[BlockCache], tuple[int, int]]:
        # Another process has its own.
        return BlockCache, (self._most, self._most_known)

    def get(self, entry: BlockEntry) -> HeldBlock:
        """The block, with what is known of it."""
        with self._lock:
            # What two threads unpack of it at once is unpacked twice, and the same.
            block = self._blocks.pop(entry, None) or HeldBlock(entry)
            self._blocks[entry] = block
            _keep_last(self._blocks, self._most)
            return block

    def forget(self, entry: BlockEntry) -> None:
        """It is of no use any more, such as one that is damaged."""
        with self._lock:
            self._blocks.pop(entry, None)

    def note(self, block: HeldBlock) -> None:
        """Keep in mind which streams a block has."""
        with self._lock:
            if block.entry not in self._streams:
                streams = sorted(block.run_ends[0])
                is_short = not streams or 0 <= streams[0] <= streams[-1] <= _MOST_SHORT
                self._streams[block.entry] = array("I" if is_short else "q", streams)
                _keep_last(self._streams, self._most_known)

    def sieved(self, key: tuple[Hashable, ...]) -> int | None:
        """What was found out of some blocks, or None.

        :param key: their checksums, and what was looked for in them.
        """
        with self._lock:
            return self._sieved.get(key)

    def note_sieved(self, key: tuple[Hashable, ...], blocks: int) -> None:
        """Keep in mind which of some blocks may have what was looked for, a bit for each."""
        with self._lock:
            self._sieved[key] = blocks
            _keep_last(self._sieved, self._most_known)

    def may_have(self, entry: BlockEntry, streams: frozenset[int]) -> bool:
        """Whether a block may have rows of one of these streams, as far as it is known."""
        known = self._streams.get(entry)
        if known is None:
            return True
        if len(streams) > _FEW:
            return not streams.isdisjoint(known)
        places = [bisect_left(known, stream) for stream in streams]
        return any(
            known[place] == stream
            for place, stream in zip(places, streams, strict=True)
            if place < len(known)
        )


def _keep_last(held: OrderedDict[Any, Any], most: int) -> None:
    """Let go of the first ones, where there are more."""
    while len(held) > most:
        held.popitem(last=False)
