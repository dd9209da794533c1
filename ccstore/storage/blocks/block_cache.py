"""Blocks that were unpacked lately: who goes through messages page by page asks for the same ones again."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

from ccstore.storage.blocks.block_format import Block


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


class BlockCache:
    """The blocks that were asked for last; for any thread.

    :param most: of them, each of which takes up to a few megabytes when all of it is unpacked.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._blocks: OrderedDict[BlockEntry, HeldBlock] = OrderedDict()

    def __reduce__(self) -> tuple[type[BlockCache], tuple[int]]:
        # Another process has its own.
        return BlockCache, (self._most,)

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
