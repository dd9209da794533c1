"""Reading the rows of packed segments that streams have, each in times of its own."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

from ccstore.query import Row, Selection
from ccstore.storage.blocks.block_cache import HeldBlock
from ccstore.storage.reading.by_block import TIMES, Bounds, PackedRows, alive, each_run
from ccstore.storage.reading.conditions import Streams
from ccstore.storage.reading.dialect import Dialect, Part
from ccstore.storage.reading.gone import Gone
from ccstore.storage.reading.statement import Reading


class PackedSpans(PackedRows):
    """Finds rows of any streams."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(Selection(), dialect, Streams(None, None))

    def spanned(
        self, block: Part, spans: Mapping[int, Sequence[tuple[int, int]]], most: int, gone: Gone | None
    ) -> Reading[Sequence[Row]]:
        """The rows of a block that are in spans; of a span the newest.

        :param spans: by their streams, first and last times (ns).
        """

        def read(held: HeldBlock) -> Reading[Sequence[Row]]:
            yield from self._fetch(held, ("streams",))
            self._cache.note(held)
            runs = [run for run in each_run(held) if run[0] in spans]
            if not runs:
                return ()
            yield from self._fetch(held, TIMES)
            times = held.times
            # What has expired does not count.
            longest = most if gone is None else held.rows
            rows: list[int] = []
            for stream, begin, end in runs:
                for first, last in spans[stream]:
                    # In a run they rise.
                    behind = bisect_right(times, last, begin, end)
                    rows += range(max(bisect_left(times, first, begin, end), behind - longest), behind)
            bounds = Bounds(held.entry.first, held.entry.last, gone)
            left = alive(held, bounds, rows)
            picked = zip([times[row] for row in left], held.ids_of(left), left, strict=True)
            return (yield from self._made(block.kind, held, [*picked]))

        return (yield from self._read(block, read))
