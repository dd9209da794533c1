"""Reading the rows of packed segments: which blocks are unpacked, and what is looked at in each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import nlargest, nsmallest
from operator import attrgetter
from typing import Final, NamedTuple

from attrs import frozen

from ccstore.instants import show_moment
from ccstore.message import Kind
from ccstore.query import STREAM_LABELS, Row, Selection
from ccstore.storage.blocks.block_cache import HeldBlock
from ccstore.storage.blocks.packed_numbers import Damaged
from ccstore.storage.blocks.text_search import TextSearch
from ccstore.storage.reading.conditions import Streams
from ccstore.storage.reading.dialect import Dialect, Part
from ccstore.storage.reading.evaluate import encoded_test, tags_test
from ccstore.storage.reading.statement import Reading, Statement, Values

#: What of a block is fetched by itself: to know when its rows were takes little.
_TIMES: Final = ("times", "ids")
_OTHERS: Final = ("lengths", "tag_codes", "tags", "texts")
_ID: Final = attrgetter("id")


class Bounds(NamedTuple):
    """Which rows of a kind are meant.

    :ivar begin: first time, in nanoseconds; ``end`` is the last, included.
    :ivar marks: rows at or before the first of these (ns) have expired, but for ids from the second on.
    """

    begin: int
    end: int
    marks: Sequence[tuple[int, int]] = ()


@frozen
class Loss:
    """Rows that cannot be read, since what they are packed in is damaged.

    :ivar first: the time of the oldest, in nanoseconds; ``last`` is that of the newest.
    """

    kind: Kind
    segment: int
    block: int
    rows: int
    first: int
    last: int
    why: str

    def __str__(self) -> str:
        return (
            f"block {self.block} of segment {self.segment} is damaged ({self.why}): {self.rows} {self.kind}s "
            f"from {show_moment(self.first)} to {show_moment(self.last)} cannot be read"
        )


class PackedRows:
    """Finds the rows of a selection in packed segments; its times, order and limit do not matter.

    :param streams: its streams.
    :ivar losses: what could not be read.
    """

    def __init__(self, selection: Selection, dialect: Dialect, streams: Streams) -> None:
        self._dialect = dialect
        self._streams = streams
        self._wanted: frozenset[int] | None = None
        self._knows_wanted = False
        texts = selection.texts
        self._search = TextSearch(texts, [*map(encoded_test, texts)]) if texts else None
        of_tags = [each for each in selection.matchers if each.label not in STREAM_LABELS]
        self._tags_test = tags_test(of_tags) if of_tags else None
        self.losses: list[Loss] = []

    def blocks(self, part: Part, begin: int, end: int, *, is_newest_first: bool) -> Reading[Sequence[Part]]:
        """Those of a part that may have rows of the selection, from one time (ns) to another.

        They are parts themselves, in the order in which they are best read.
        """
        entries = yield from self._dialect.blocks(part, begin, end)
        if is_newest_first:
            entries = sorted(entries, key=lambda entry: entry.last, reverse=True)
        else:
            entries = sorted(entries, key=lambda entry: entry.first)
        return [part._replace(oldest=entry.first, newest=entry.last, block=entry) for entry in entries]

    def rows(
        self, part: Part, bounds: Bounds, behind: tuple[int, int] | None, most: int, *, is_newest_first: bool
    ) -> Reading[Sequence[Row]]:
        """The first rows of a block within bounds, in an order, and perhaps some more.

        :param behind: time and id of a row; only what comes behind it.
        """
        found: Sequence[Row] = ()
        assert part.block is not None
        block = self._dialect.block_cache.get(part.block)
        try:
            chosen = yield from self._chosen(part, block)
            if chosen is None or chosen:
                yield from self._fetch(block, _TIMES)
                picked = _first_rows(block, chosen, bounds, behind, most, is_newest_first=is_newest_first)
                found = yield from self._made(part.kind, block, picked)
        except Damaged as error:
            self._lose(part, str(error))
        return found

    def arrived(
        self, part: Part, bounds: Bounds, after: int, upto: int, most: int
    ) -> Reading[tuple[list[Row], bool]]:
        """The first rows of a part within bounds with ids above one up to another, in the order of the ids.

        :return: these, and whether they are all.
        """
        entries = yield from self._dialect.blocks(part, bounds.begin, bounds.end)
        found: list[Row] = []
        for entry in sorted(entries, key=lambda entry: entry.min_id):
            if entry.max_id <= after or entry.min_id > upto:
                continue
            if len(found) > most and found[most].id < entry.min_id:
                break
            block = self._dialect.block_cache.get(entry)
            try:
                chosen = yield from self._chosen(part, block)
                if chosen is None or chosen:
                    yield from self._fetch(block, _TIMES)
                    rows, times = _in_bounds(block, chosen, bounds)
                    ids = block.ids
                    picked = [(times[row], ids[row], row) for row in rows if after < ids[row] <= upto]
                    found += yield from self._made(part.kind, block, picked)
                    found.sort(key=_ID)
            except Damaged as error:
                self._lose(part._replace(block=entry), str(error))
        return found[:most], len(found) <= most

    def _made(
        self, kind: Kind, block: HeldBlock, picked: Sequence[tuple[int, int, int]]
    ) -> Reading[Sequence[Row]]:
        """Rows of which times, ids and numbers are known."""
        if not picked:
            return ()
        yield from self._fetch(block, _OTHERS)
        return [
            Row(time, kind, number, block.streams[row], block.text(row), block.tags(row))
            for time, number, row in picked
        ]

    def groups(
        self, part: Part, bounds: Bounds, start_of: Callable[[int], int | None], *, with_tags: bool
    ) -> Reading[Iterator[tuple[int, str | None, int | None, int, int, int]]]:
        """The rows of a block within bounds, counted.

        :param start_of: to what of a time (ns) they are counted together.
        :param with_tags: those with the same other tags are counted together.
        :return: stream, other tags, what ``start_of`` gave, how many, and the times of the first and last.
        """
        assert part.block is not None
        block = self._dialect.block_cache.get(part.block)
        counted: dict[tuple[int, int, int | None], list[int]] = {}
        sets: Sequence[str | None] = (None,)
        try:
            chosen = yield from self._chosen(part, block)
            if chosen is None or chosen:
                yield from self._fetch(block, ("times", "ids") if bounds.marks else ("times",))
                if with_tags:
                    yield from self._fetch(block, _OTHERS)
                    sets = block.tag_sets
                counted = _counted(block, chosen, bounds, start_of, with_tags=with_tags)
        except Damaged as error:
            self._lose(part, str(error))
            counted = {}
        return (
            (stream, sets[code], start, number, oldest, newest)
            for (stream, code, start), (number, oldest, newest) in counted.items()
        )

    def _chosen(self, part: Part, block: HeldBlock) -> Reading[Sequence[int] | None]:
        """The rows that are meant whatever their times are; None for all of them."""
        yield from self._find_wanted()
        yield from self._fetch(block, ("streams",))
        chosen: Sequence[int] | None = None
        if self._wanted is not None:
            chosen = [*_of_streams(block, self._wanted)]
            if len(chosen) == block.rows:
                chosen = None
            elif not chosen:
                return chosen
        if self._search is not None:
            yield from self._fetch(block, _OTHERS)
            found = self._search.rows(block)
            if chosen is None:
                chosen = found
            elif found is not None:
                chosen = sorted({*chosen}.intersection(found))
        if self._tags_test is not None and (chosen is None or chosen):
            yield from self._fetch(block, _OTHERS)
            good = {code for code, tags in enumerate(block.tag_sets) if self._tags_test(tags)}
            codes = block.tag_codes
            chosen = [row for row in (range(block.rows) if chosen is None else chosen) if codes[row] in good]
        return chosen

    def _find_wanted(self) -> Reading[None]:
        if self._knows_wanted:
            return
        self._knows_wanted = True
        streams = self._streams
        if streams.numbers is not None:
            self._wanted = frozenset(streams.numbers)
        elif streams.condition is not None:
            values = Values(self._dialect.placeholder)
            sql = f"SELECT id FROM {self._dialect.streams} WHERE {streams.condition(values)}"
            found = yield Statement(sql, values.given, ("id",))
            self._wanted = frozenset([number for (number,) in found])

    def _fetch(self, block: HeldBlock, columns: Sequence[str]) -> Reading[None]:
        missing = [column for column in columns if column not in block.columns]
        if missing:
            yield from self._dialect.fetch_block(block, missing)

    def _lose(self, part: Part, why: str) -> None:
        entry = part.block
        assert entry is not None
        self._dialect.block_cache.forget(entry)
        loss = Loss(part.kind, entry.segment, entry.number, entry.rows, entry.first, entry.last, why)
        if loss not in self.losses:
            self.losses.append(loss)


def _of_streams(block: HeldBlock, wanted: frozenset[int]) -> Iterator[int]:
    begin = 0
    for stream, count in block.runs:
        if stream in wanted:
            yield from range(begin, begin + count)
        begin += count


def _in_bounds(
    block: HeldBlock, chosen: Sequence[int] | None, bounds: Bounds
) -> tuple[Sequence[int], Sequence[int]]:
    """Numbers of rows, and their times."""
    times = block.times
    rows: Sequence[int] = range(block.rows) if chosen is None else chosen
    begin, end = bounds.begin, bounds.end
    entry = block.entry
    if entry.first < begin or entry.last > end:
        rows = [row for row in rows if begin <= times[row] <= end]
    for cutoff, below in bounds.marks:
        if entry.first <= cutoff:
            rows = [row for row in rows if times[row] > cutoff or block.ids[row] >= below]
    return rows, times


def _first_rows(
    block: HeldBlock,
    chosen: Sequence[int] | None,
    bounds: Bounds,
    behind: tuple[int, int] | None,
    most: int,
    *,
    is_newest_first: bool,
) -> Sequence[tuple[int, int, int]]:
    """Time, id and number of the first rows."""
    rows, times = _in_bounds(block, chosen, bounds)
    if behind is not None and block.entry.first <= behind[0] <= block.entry.last:
        # What has that very time is told apart by its id.
        edge, number = behind
        ids = block.ids if any(times[row] == edge for row in rows) else ()
        rows = [
            row
            for row in rows
            if times[row] != edge or (ids[row] < number if is_newest_first else ids[row] > number)
        ]
    if len(rows) > most:
        pick = nlargest if is_newest_first else nsmallest
        limit = pick(most, [times[row] for row in rows])[-1]
        # Those of the same time as the last one are told apart by their ids, too.
        rows = [row for row in rows if (times[row] >= limit if is_newest_first else times[row] <= limit)]
    ids_of = _ids_of(block, rows)
    return sorted(
        [(times[row], number, row) for row, number in zip(rows, ids_of, strict=True)],
        reverse=is_newest_first,
    )


def _ids_of(block: HeldBlock, rows: Sequence[int]) -> Sequence[int]:
    return [block.ids[row] for row in rows]


def _counted(
    block: HeldBlock,
    chosen: Sequence[int] | None,
    bounds: Bounds,
    start_of: Callable[[int], int | None],
    *,
    with_tags: bool,
) -> dict[tuple[int, int, int | None], list[int]]:
    rows, times = _in_bounds(block, chosen, bounds)
    streams = block.streams
    codes = block.tag_codes if with_tags else None
    counted: dict[tuple[int, int, int | None], list[int]] = {}
    for row in rows:
        time = times[row]
        key = streams[row], 0 if codes is None else codes[row], start_of(time)
        known = counted.get(key)
        if known is None:
            counted[key] = [1, time, time]
        else:
            known[0] += 1
            if time < known[1]:
                known[1] = time
            elif time > known[2]:
                known[2] = time
    return counted
