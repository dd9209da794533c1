"""Blocks that were unpacked lately: who goes through messages page by page asks for the same ones again."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Collection, Sequence
from threading import Lock
from typing import Final, NamedTuple

from ccstore.storage.blocks.block_format import Block

#: Streams up to which each is looked for.
_FEW: Final = 20
#: Rows up to which it is worth it to put no more in order than has to be.
_FEW_ROWS: Final = 1000
#: Rows up to which each is looked for by itself.
_VERY_FEW_ROWS: Final = 6


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
        """The ids of some rows; of a few it takes less than of all. The streams have to be at hand."""
        if not rows:
            return ()
        times = self.times
        if len(rows) <= _VERY_FEW_ROWS:
            return [self.ids_by_time[self._rank(row)] for row in rows]
        if len(rows) < _FEW_ROWS:
            # The last ones in time are soon put in order, and so are the first ones.
            least, greatest = min([times[row] for row in rows]), max([times[row] for row in rows])
            behind = [row for row, time in enumerate(times) if time >= least]
            if len(behind) < _FEW_ROWS:
                behind.sort(key=times.__getitem__)
                return self._picked(behind, len(times) - len(behind), rows)
            before = [row for row, time in enumerate(times) if time <= greatest]
            if len(before) < _FEW_ROWS:
                before.sort(key=times.__getitem__)
                return self._picked(before, 0, rows)
        ids = self.ids
        return [ids[row] for row in rows]

    def _rank(self, row: int) -> int:
        """The place of a row in the order of times: within a stream they rise."""
        times = self.times
        time = times[row]
        rank = begin = 0
        for end in self.run_ends[1]:
            # Those of the same time stand as the rows do.
            if end <= row:
                rank += bisect_right(times, time, begin, end) - begin
            elif begin <= row:
                rank += row - begin
            else:
                rank += bisect_left(times, time, begin, end) - begin
            begin = end
        return rank

    def _picked(self, in_order: Sequence[int], begin: int, rows: Sequence[int]) -> Sequence[int]:
        numbers = dict(zip(in_order, self.ids_by_time[begin:], strict=False))
        return [numbers[row] for row in rows]


class BlockCache:
    """The blocks that were asked for last; for any thread.

    :param most: of them, each of which takes up to a few megabytes when all of it is unpacked.
    :param most_known: blocks of which it is known which streams they have, which takes 8 bytes for each.
    """

    def __init__(self, most: int, most_known: int = 4096) -> None:
        self._most = most
        self._most_known = most_known
        self._lock = Lock()
        self._blocks: OrderedDict[BlockEntry, HeldBlock] = OrderedDict()
        self._streams: OrderedDict[BlockEntry, bytes] = OrderedDict()

    def __reduce__(self) -> tuple[type[BlockCache], tuple[int, int]]:
        # Another process has its own.
        return BlockCache, (self._most, self._most_known)

    def get(self, entry: BlockEntry) -> HeldBlock:
        """The block, with what is known of it."""
        with self._lock:
            # What two threads unpack of it at once is unpacked twice, and the same.
            block = self._blocks.pop(entry, None) or HeldBlock(entry)
            self._blocks[entry] = block
            while len(self._blocks) > self._most:
                self._blocks.popitem(last=False)
            return block

    def forget(self, entry: BlockEntry) -> None:
        """It is of no use any more, such as one that is damaged."""
        with self._lock:
            self._blocks.pop(entry, None)

    def note(self, block: HeldBlock) -> None:
        """Keep in mind which streams a block has."""
        with self._lock:
            if block.entry not in self._streams:
                self._streams[block.entry] = array("q", block.run_ends[0]).tobytes()
                while len(self._streams) > self._most_known:
                    self._streams.popitem(last=False)

    def may_have(self, entry: BlockEntry, streams: Collection[int]) -> bool:
        """Whether a block may have rows of one of these streams, as far as it is known."""
        known = self._streams.get(entry)
        if known is None or len(streams) > _FEW:
            return True
        # Bytes that belong to two of them may look like one: it is not too few that are found.
        return any(array("q", [stream]).tobytes() in known for stream in streams)
