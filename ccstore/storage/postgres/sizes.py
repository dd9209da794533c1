"""How large things are, and how much is done at a time; all of it given at construction."""

from __future__ import annotations

from typing import Final

from attrs import frozen


@frozen
class PartitionSizes:
    """What partitions go by.

    :ivar at_once: that are made or dropped in one transaction: it locks each of their tables and indexes.
    :ivar many: of events, above which empty ones of the past are made one.
    :ivar covered: of logs that a copy makes at most, each of a month.
    :ivar divided_size: bytes that one may have to be divided in one transaction; ``divided_rows`` is the same
        in events.
    :ivar thinned_rows: messages that are kept of a partition, at most, for it to be made smaller: they are
        copied in one transaction.
    """

    at_once: int = 16
    many: int = 64
    covered: int = 240
    divided_size: int = 64 << 20
    divided_rows: int = 20_000
    thinned_rows: int = 2_000_000


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
