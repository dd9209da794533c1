"""Reading the rows of packed segments: which blocks are unpacked, and what is looked at in each."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from heapq import nlargest, nsmallest
from itertools import chain, compress
from operator import attrgetter
from typing import Final, NamedTuple, TypeVar

from ccstore.message import Kind
from ccstore.query import STREAM_LABELS, Counting, Row, Selection
from ccstore.storage.blocks.block_cache import BlockEntry, HeldBlock
from ccstore.storage.blocks.damaged_block import DamagedBlock
from ccstore.storage.blocks.packed_numbers import Damaged
from ccstore.storage.blocks.text_search import Rows, TextSearch
from ccstore.storage.reading.by_words import WordSieve
from ccstore.storage.reading.conditions import Streams
from ccstore.storage.reading.dialect import Dialect, Part
from ccstore.storage.reading.evaluate import encoded_test, tags_test
from ccstore.storage.reading.gone import Gone
from ccstore.storage.reading.statement import Reading, Statement, Values

_T = TypeVar("_T")

#: What of a block is fetched by itself: to know when its rows were takes little.
TIMES: Final = ("times", "ids")
_OTHERS: Final = ("lengths", "tag_codes", "tags", "texts")
_ID: Final = attrgetter("id")
#: The part of a block within bounds, up to which its rows are found before it is looked at their texts.
_SMALL: Final = 0.25

#: A stream, and from which up to (and without) which row of a block it is.
Run = tuple[int, int, int]
#: A stream, other tags, the beginning of a step, how many messages, and the times of the first and the last.
Group = tuple[int, "str | None", "int | None", int, int, int]


class Bounds(NamedTuple):
    """Which rows of a kind are meant.

    :ivar begin: first time, in nanoseconds; ``end`` is the last, included.
    :ivar gone: what has expired of the kind.
    """

    begin: int
    end: int
    gone: Gone | None = None


class PackedRows:
    """Finds the rows of a selection in packed segments; its times, order and limit do not matter.

    :param streams: its streams.
    :ivar losses: what could not be read, since what it is packed in is damaged; in words.
    """

    def __init__(self, selection: Selection, dialect: Dialect, streams: Streams) -> None:
        self._dialect = dialect
        self._cache = dialect.block_cache
        self._streams = streams
        self._wanted: frozenset[int] | None = None
        self._knows_wanted = False
        texts = selection.texts
        self._search = TextSearch(texts, [*map(encoded_test, texts)]) if texts else None
        self._sieve = None if self._search is None else WordSieve(self._search.needed, dialect)
        of_tags = [each for each in selection.matchers if each.label not in STREAM_LABELS]
        self._tags_test = tags_test(of_tags) if of_tags else None
        self.losses: list[str] = []

    def blocks(self, part: Part, begin: int, end: int) -> Reading[Sequence[Part]]:
        """Those of a part that may have rows from one time (ns) to another; they are parts themselves."""
        entries = yield from self._dialect.blocks(part, begin, end)
        if self._sieve is not None:
            entries = self._sieve.expect(entries)
        kind, tables, order, is_window = part.kind, part.tables, part.order, part.is_window
        return [Part(kind, tables, entry.first, entry.last, order, is_window, entry) for entry in entries]

    def candidates(self, part: Part, begin: int, end: int) -> Reading[Sequence[BlockEntry]]:
        """Of the blocks of a part those that have to be looked at."""
        found = []
        for block in (yield from self.blocks(part, begin, end)):
            if (yield from self._may_have(block)):
                found.append(_entry_of(block))
        return found

    def rows(
        self, block: Part, bounds: Bounds, behind: tuple[int, int] | None, most: int, *, is_newest_first: bool
    ) -> Reading[Sequence[Row]]:
        """The first rows of a block within bounds, in an order, and perhaps some more.

        :param behind: time and id of a row; only what comes behind it.
        """

        def read(held: HeldBlock) -> Reading[Sequence[Row]]:
            chosen = yield from self._chosen(held, bounds)
            if chosen is not None and not chosen:
                return ()
            yield from self._fetch(held, ("streams",))
            yield from self._fetch(held, TIMES)
            picked = _first_rows(held, chosen, behind, most, is_newest_first=is_newest_first)
            return (yield from self._made(block.kind, held, picked))

        return (yield from self._read(block, read))

    def arrived(
        self, part: Part, bounds: Bounds, after: int, upto: int, most: int
    ) -> Reading[tuple[list[Row], bool]]:
        """The first rows of a part within bounds with ids above one up to another, in the order of the ids.

        :return: these, and whether they are all.
        """
        found: list[Row] = []
        blocks = yield from self.blocks(part, bounds.begin, bounds.end)
        for block in sorted(blocks, key=lambda block: _entry_of(block).min_id):
            entry = _entry_of(block)
            if len(found) > most and found[most].id < entry.min_id:
                break
            if entry.max_id > after and entry.min_id <= upto:
                found += yield from self._arrived(block, bounds, after, upto)
                found.sort(key=_ID)
        return found[:most], len(found) <= most

    def _arrived(self, block: Part, bounds: Bounds, after: int, upto: int) -> Reading[Sequence[Row]]:
        def read(held: HeldBlock) -> Reading[Sequence[Row]]:
            chosen = yield from self._chosen(held, bounds)
            if chosen is not None and not chosen:
                return ()
            yield from self._fetch(held, TIMES)
            ids, times = held.ids, held.times
            rows = range(held.rows) if chosen is None else chosen
            picked = [(times[row], ids[row], row) for row in rows if after < ids[row] <= upto]
            return (yield from self._made(block.kind, held, picked))

        return (yield from self._read(block, read))

    def groups(
        self, block: Part, bounds: Bounds, counting: Counting, *, with_tags: bool
    ) -> Reading[Sequence[Group]]:
        """The rows of a block within bounds, counted by stream and step.

        :param with_tags: and by their other tags.
        """

        needs_times = with_tags or counting.with_times or counting.step is not None

        def read(held: HeldBlock) -> Reading[Sequence[Group]]:
            if not (self._search or self._tags_test or with_tags or _may_be_gone(held, bounds)):
                # None of the rows has to be looked at by itself.
                runs = yield from self._runs(held, bounds)
                if not runs:
                    return ()
                if needs_times:
                    yield from self._fetch(held, TIMES)
                return _counted_in_runs(held, runs, counting)
            chosen = yield from self._chosen(held, bounds)
            if chosen is not None and not chosen:
                return ()
            yield from self._fetch(held, ("streams",))
            if needs_times:
                yield from self._fetch(held, TIMES)
            if with_tags:
                yield from self._fetch(held, _OTHERS)
                return _counted_with_tags(held, chosen, counting)
            if chosen is None:
                return _counted_in_runs(held, [*each_run(held)], counting)
            return _counted_in_rows(held, chosen, counting)

        return (yield from self._read(block, read))

    def _read(self, block: Part, read: Callable[[HeldBlock], Reading[Sequence[_T]]]) -> Reading[Sequence[_T]]:
        """What is made of a block; nothing if it need not be looked at, or is damaged."""
        if not (yield from self._may_have(block)):
            return ()
        try:
            return (yield from read(self._cache.get(_entry_of(block))))
        except Damaged as error:
            self._lose(block, str(error))
            return ()

    def _may_have(self, block: Part) -> Reading[bool]:
        """Whether it has to be looked at for rows that are meant."""
        yield from self._find_wanted()
        if self._wanted is not None and not self._cache.may_have(_entry_of(block), self._wanted):
            return False
        return self._sieve is None or (yield from self._sieve.may_have(block, _entry_of(block)))

    def _chosen(self, held: HeldBlock, bounds: Bounds) -> Reading[Rows]:
        """The rows that are meant."""
        chosen: Rows = None
        if self._wanted is not None:
            chosen = [
                row for _, begin, end in (yield from self._runs(held, bounds)) for row in range(begin, end)
            ]
            if len(chosen) == held.rows:
                chosen = None
        is_cut = self._wanted is None and _is_cut(held.entry, bounds)
        if is_cut and self._search is not None and _part_within(held.entry, bounds) <= _SMALL:
            # Such as behind the first blocks of a page. Many are searched sooner all together.
            yield from self._fetch(held, TIMES)
            chosen, is_cut = _within(held, bounds, None), False
        if self._search is not None and (chosen is None or chosen):
            yield from self._fetch(held, _OTHERS)
            chosen = self._search.rows(held, chosen)
        if is_cut and (chosen is None or chosen):
            yield from self._fetch(held, TIMES)
            chosen = _within(held, bounds, chosen)
        if self._tags_test is not None and (chosen is None or chosen):
            yield from self._fetch(held, _OTHERS)
            good = {code for code, tags in enumerate(held.tag_sets) if self._tags_test(tags)}
            codes = held.tag_codes
            chosen = [row for row in (range(held.rows) if chosen is None else chosen) if codes[row] in good]
        if _may_be_gone(held, bounds) and (chosen is None or chosen):
            yield from self._fetch(held, ("streams",))
            yield from self._fetch(held, TIMES)
            chosen = alive(held, bounds, range(held.rows) if chosen is None else chosen)
        return chosen

    def _runs(self, held: HeldBlock, bounds: Bounds) -> Reading[Sequence[Run]]:
        """The rows of the streams that are meant that are within bounds."""
        wanted = self._wanted
        yield from self._fetch(held, ("streams",))
        self._cache.note(held)
        every = each_run(held)
        runs = [*(every if wanted is None else compress(every, map(wanted.__contains__, held.run_ends[0])))]
        if not runs or not _is_cut(held.entry, bounds):
            return runs
        yield from self._fetch(held, TIMES)
        times = held.times
        # In a run they rise.
        cut = [
            (
                stream,
                bisect_left(times, bounds.begin, begin, end),
                bisect_right(times, bounds.end, begin, end),
            )
            for stream, begin, end in runs
        ]
        return [(stream, begin, end) for stream, begin, end in cut if begin < end]

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

    def _made(
        self, kind: Kind, held: HeldBlock, picked: Sequence[tuple[int, int, int]]
    ) -> Reading[Sequence[Row]]:
        """Rows of which times, ids and numbers are known."""
        if not picked:
            return ()
        yield from self._fetch(held, ("streams",))
        yield from self._fetch(held, _OTHERS)
        stream, text, tags = held.stream, held.text, held.tags
        return [Row(time, kind, number, stream(row), text(row), tags(row)) for time, number, row in picked]

    def _fetch(self, held: HeldBlock, columns: Sequence[str]) -> Reading[None]:
        if columns[0] not in held.columns:
            yield from self._dialect.fetch_block(held, columns)

    def _lose(self, block: Part, why: str) -> None:
        entry = _entry_of(block)
        self._cache.forget(entry)
        lost = DamagedBlock(entry.segment, entry.number, block.kind, entry.rows, entry.first, entry.last, why)
        loss = str(lost)
        if loss not in self.losses:
            self.losses.append(loss)


def _entry_of(block: Part) -> BlockEntry:
    assert block.block is not None
    return block.block


def _is_cut(entry: BlockEntry, bounds: Bounds) -> bool:
    return entry.first < bounds.begin or entry.last > bounds.end


def _part_within(entry: BlockEntry, bounds: Bounds) -> float:
    """How much of a block is within bounds, if its rows are evenly spread."""
    begin, end = max(entry.first, bounds.begin), min(entry.last, bounds.end)
    return (end - begin + 1) / (entry.last - entry.first + 1)


def _within(held: HeldBlock, bounds: Bounds, among: Rows) -> Rows:
    """The rows of some that are within bounds."""
    times, begin, end = held.times, bounds.begin, bounds.end
    rows = range(held.rows) if among is None else among
    within = [row for row in rows if begin <= times[row] <= end]
    return None if len(within) == held.rows else within


def _may_be_gone(held: HeldBlock, bounds: Bounds) -> bool:
    return bounds.gone is not None and held.entry.first <= bounds.gone.edge


def alive(held: HeldBlock, bounds: Bounds, rows: Sequence[int]) -> Sequence[int]:
    """Those of some rows that have not expired; streams and times of the block are at hand."""
    if bounds.gone is None or not _may_be_gone(held, bounds):
        return rows
    has, streams, times, ids = bounds.gone.has, held.streams, held.times, held.ids
    return [row for row in rows if not has(streams[row], times[row], ids[row])]


def _first_rows(
    held: HeldBlock, chosen: Rows, behind: tuple[int, int] | None, most: int, *, is_newest_first: bool
) -> Sequence[tuple[int, int, int]]:
    """Time, id and number of the first rows."""
    rows = range(held.rows) if chosen is None else chosen
    times = held.times
    if behind is not None and held.entry.first <= behind[0] <= held.entry.last:
        # What has that very time is told apart by its id.
        edge, number = behind
        rows = [
            row
            for row in rows
            if times[row] != edge or (held.ids[row] < number if is_newest_first else held.ids[row] > number)
        ]
    if len(rows) > most:
        pick = nlargest if is_newest_first else nsmallest
        limit = pick(most, [times[row] for row in rows])[-1]
        # Those of the same time as the last one are told apart by their ids, too.
        rows = [row for row in rows if (times[row] >= limit if is_newest_first else times[row] <= limit)]
    picked = zip([times[row] for row in rows], held.ids_of(rows), rows, strict=True)
    return sorted(picked, reverse=is_newest_first)


def _counted_in_runs(held: HeldBlock, runs: Sequence[Run], counting: Counting) -> Sequence[Group]:
    step = counting.step
    if step is None and not counting.with_times:
        return [(stream, None, None, end - begin, 0, 0) for stream, begin, end in runs]
    times = held.times
    if step is None:
        return [
            (stream, None, None, end - begin, times[begin], times[end - 1]) for stream, begin, end in runs
        ]
    groups: list[Group] = []
    for stream, begin, end in runs:
        while begin < end:
            start = counting.start_of(times[begin])
            assert start is not None
            behind = bisect_left(times, start + step, begin, end)
            groups.append((stream, None, start, behind - begin, times[begin], times[behind - 1]))
            begin = behind
    return groups


def each_run(held: HeldBlock) -> Iterator[Run]:
    """The runs of a block."""
    streams, ends = held.run_ends
    return zip(streams, chain((0,), ends), ends, strict=False)


def _counted_in_rows(held: HeldBlock, chosen: Sequence[int], counting: Counting) -> Sequence[Group]:
    """Of rows that rise, those of a stream stand together, and those of a step of it."""
    streams, ends = held.run_ends
    times = held.times if counting.with_times or counting.step is not None else None
    step, start_of = counting.step, counting.start_of
    groups: list[Group] = []
    start: int | None = None
    oldest = newest = 0
    place, count = 0, len(chosen)
    while place < count:
        row = chosen[place]
        run = bisect_right(ends, row)
        behind = bisect_left(chosen, ends[run], place + 1)
        if times is not None:
            oldest = times[row]
            if step is not None:
                start = start_of(oldest)
                assert start is not None
                if behind > place + 1:
                    behind = bisect_left(chosen, start + step, place + 1, behind, key=times.__getitem__)
            newest = times[chosen[behind - 1]]
        groups.append((streams[run], None, start, behind - place, oldest, newest))
        place = behind
    return groups


def _counted_with_tags(held: HeldBlock, chosen: Rows, counting: Counting) -> Sequence[Group]:
    times, stream, codes = held.times, held.stream, held.tag_codes
    start_of = counting.start_of
    counted: dict[tuple[int, int, int | None], list[int]] = {}
    for row in range(held.rows) if chosen is None else chosen:
        time = times[row]
        key = stream(row), codes[row], start_of(time)
        known = counted.get(key)
        if known is None:
            counted[key] = [1, time, time]
        else:
            # Within a stream they rise; that is counted by tags as well.
            known[0] += 1
            known[2] = time
    sets = held.tag_sets
    return [
        (stream, sets[code], start, number, oldest, newest)
        for (stream, code, start), (number, oldest, newest) in counted.items()
    ]
