"""How large things are, and how much is done at a time; all of it given at construction."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from ccstore.storage.blocks.tiles import TILES, TileSizes
from ccstore.storage.dbfile.sql import PAGE_SIZE


# There are more of them than a class should have, since all of them are sent together.
@frozen
class SegmentSizes:
    """What whoever writes goes by. Whole numbers only: they are sent to the process that writes.

    :ivar segment_rows: after which a segment is sealed: building the index of so many stalls nobody for long.
    :ivar indexed_rows: of an open segment from which it is worth an index, once nothing is being written.
    :ivar vacuum_pages: given back to the file system in one transaction.
    :ivar free_pages: kept for the segments to come while messages come in.
    :ivar free_pages_idle: the same while none come in.
    :ivar merged_segments: of logs that become one.
    :ivar merged_rows: copied in one step; a commit that comes in between waits for no more than that.
    :ivar packed_rows: of logs that become a packed segment.
    :ivar deleted_blocks: of such a segment in one step.
    :ivar divided_rows: of events that came late, moved in one step.
    :ivar counted_rows: for a census, in one step.
    :ivar masked_rows: of which the templates are taken in one step.
    :ivar template_entries: templates of streams that are kept in memory meanwhile.
    :ivar segments_passed: in which a stream may be after the one it is known to be in: to note each would
        cost a row each.
    :ivar streams_held: in memory, of which it is known that they are there.
    :ivar streams_sought: by one statement.
    :ivar clusters_held: pairs of a cluster and a kind that are counted.
    :ivar names: in the schema, from which on clusters get no views: SQLite reads all of it whenever it
        changes, and what is called a cluster is up to the senders.
    """

    segment_rows: int = 65536
    indexed_rows: int = 2048
    vacuum_pages: int = (4 << 20) // PAGE_SIZE
    free_pages: int = (32 << 20) // PAGE_SIZE
    free_pages_idle: int = (2 << 20) // PAGE_SIZE
    merged_segments: int = 16
    merged_rows: int = 4096
    packed_rows: int = 1 << 20
    deleted_blocks: int = 8
    divided_rows: int = 2048
    counted_rows: int = 4096
    masked_rows: int = 512
    template_entries: int = 16384
    segments_passed: int = 16
    streams_held: int = 1 << 17
    streams_sought: int = 128
    clusters_held: int = 100_000
    names: int = 2000


@frozen
class AnnouncingLimits:
    """When messages are sent to the process that writes before it is asked to write them.

    :ivar worth: new messages from which on it is worth it.
    :ivar size: bytes that may be announced, packed: so much is sent without waiting for the process.
    :ivar series: that may be sent with them, for the same reason.
    :ivar rests: how often nothing is announced after something else was written instead.
    :ivar series_held: that have numbers, before the numbers begin anew.
    """

    worth: int = 100
    size: int = 1 << 17
    series: int = 300
    rests: int = 100
    series_held: int = 1 << 17


@frozen
class ReadingLimits:
    """How the connections that read are used.

    :ivar readers: connections, and threads.
    :ivar processes: beside the daemon that answer what takes long, if there are any.
    :ivar statements: that stay prepared in each of them.
    :ivar progress_steps: of SQLite, after which it asks whether to go on with a query; each time it has to
        wait for the interpreter lock.
    """

    readers: int = 3
    processes: int = 3
    statements: int = 64
    progress_steps: int = 500_000


@frozen
class Sizes:
    """All of them, for a backend.

    :ivar merging_seconds: in a second that merging may take, while messages come in and while they do not.
    :ivar dividing_seconds: the same for moving events that came late.
    :ivar counting_seconds: the same for taking censuses.
    :ivar masking_seconds: the same for taking templates.
    :ivar masking_rate: messages a second, above which none are taken: it costs more than to write them.
    :ivar packing_margin: bytes that have to be free on the disk for packing to begin.
    :ivar packing_rest: times as long as it took that nothing is packed after a tile while messages come in.
    :ivar packing_retry: seconds until it is tried again after it failed.
    :ivar lock_wait: milliseconds that a write waits for a lock at most: it is tried again, and the stop waits
        for it.
    """

    segments: SegmentSizes = SegmentSizes()
    announcing: AnnouncingLimits = AnnouncingLimits()
    reading: ReadingLimits = ReadingLimits()
    tiles: TileSizes = TILES
    merging_seconds: tuple[float, float] = (0.05, 0.5)
    dividing_seconds: tuple[float, float] = (0.25, 0.5)
    counting_seconds: tuple[float, float] = (0.05, 0.5)
    masking_seconds: tuple[float, float] = (0.2, 0.5)
    masking_rate: float = 5000.0
    packing_margin: int = 128 << 20
    packing_rest: float = 3.0
    packing_retry: float = 60.0
    lock_wait: int = 1000


#: Those of a daemon.
SIZES: Final = Sizes()
