"""How large things are, and how much is done at a time; all of it given at construction."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from ccstore.storage.blocks.tiles import TILES, TileSizes

#: Nanoseconds.
DAY: Final = 86_400 * 10**9


@frozen
class PartitionSizes:
    """What partitions go by.

    :ivar at_once: that are made or dropped in one transaction: it locks each of their tables and indexes.
    :ivar log_span: nanoseconds of a partition of logs.
    :ivar many: of events, above which empty ones of the past are made one.
    :ivar covered: of logs that a copy makes at most.
    :ivar divided_size: bytes that one may have to be divided in one transaction; ``divided_rows`` is the same
        in events.
    :ivar thinned_rows: messages that are kept of a partition, at most, for it to be made smaller: they are
        copied in one transaction.
    """

    at_once: int = 16
    log_span: int = 30 * DAY
    many: int = 64
    covered: int = 240
    divided_size: int = 64 << 20
    divided_rows: int = 20_000
    thinned_rows: int = 2_000_000


@frozen
class PackingSizes:
    """What packing goes by.

    :ivar tiles: how much is in a block; ``size`` characters of texts are read at a time at most.
    :ivar blocks: of a segment.
    :ivar step_pages: of a table that are read at a time.
    :ivar stray_pages: that the partition for clocks that are off has to have, for it to be worth it.
    :ivar rest: seconds until a table is looked at again that was looked through.
    :ivar share: times as long as a step took that nothing is packed after it while messages come in.
    :ivar retry: seconds until it is tried again after it failed, or there was nothing to do.
    :ivar drop: seconds between two looks at which partitions are empty.
    """

    tiles: TileSizes = TILES
    blocks: int = 64
    step_pages: int = 1024
    stray_pages: int = 1024
    rest: float = 600.0
    share: float = 3.0
    retry: float = 60.0
    drop: float = 30.0


@frozen
class Sizes:
    """All of them, for a backend.

    :ivar writers: connections that write, and batches that may be written at a time.
    :ivar readers: connections that read.
    :ivar batch_time: seconds that a batch may take.
    :ivar longest_time: seconds that anything may take that is done once in a while.
    :ivar indexing_time: seconds after which the making of an index is begun again, with what is missing.
    :ivar patience: seconds that the end waits for what was begun.
    :ivar sweeping_time: seconds in a second that are spent on deleting expired events one by one.
    :ivar step_blocks: of a table, that are looked through in one step: somebody may wait for it.
    """

    partitions: PartitionSizes = PartitionSizes()
    packing: PackingSizes = PackingSizes()
    writers: int = 2
    readers: int = 3
    batch_time: float = 60.0
    longest_time: float = 600.0
    indexing_time: float = 7 * 86400.0
    patience: float = 5.0
    sweeping_time: float = 0.25
    step_blocks: int = 256


#: Those of a daemon.
SIZES: Final = Sizes()
