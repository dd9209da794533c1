"""The SQL of SQLite, and of segments."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from copy import copy
from itertools import groupby, pairwise
from operator import attrgetter
from typing import Any, Final, NamedTuple

from ccstore.holdings import Segment, Shares
from ccstore.masking import MASK_VERSION
from ccstore.message import INT64_MAX, INT64_MIN, Kind
from ccstore.storage.blocks.block_cache import BlockCache, BlockEntry, HeldBlock
from ccstore.storage.blocks.packed_numbers import Damaged
from ccstore.storage.blocks.vocabulary import Chunk, ChunkHead
from ccstore.storage.census import stream_numbers
from ccstore.storage.census import totals as totals_of
from ccstore.storage.reading.dialect import Dialect, Fetching, Part, StreamSpan, Terms
from ccstore.storage.reading.statement import Reading, Statement, Values
from ccstore.storage.sqlite.expiry import TABLES, TERMS

#: Characters that have a meaning in a pattern of LIKE, and how many a pattern may well have.
_SPECIAL: Final = re.compile("[%_!]")
_MOST_LIKE: Final = 10_000
#: Those of a :class:`BlockEntry`.
_OF_ENTRY: Final = ("segment", "number", "rows", "first_time", "last_time", "min_id", "max_id", "checksum")


class _Arrived(NamedTuple):
    table: str
    first_id: int
    came_late: int
    is_packed: int


class SqliteDialect(Dialect):
    """See :class:`ccstore.storage.reading.dialect.Dialect`.

    :param segments: that one statement reads. To prepare it takes as long as to read a few of them, so that
        there are many which stay prepared, and only those at both ends of a range differ from query to query.
    :param most_sorted: rows of a segment of logs, above which it is not sorted by time as a whole. It was
        merged from others then, and has its rows in the order of streams: it is read in windows of time, for
        each of which every stream is looked for.
    :param window: rows that a window has if they are evenly spread. Smaller segments are read in windows as
        well, since of one kind of messages there may be few in the time of a page.
    :param blocks: of packed segments that are held unpacked: those of two tiles.
    """

    # In one: each method is one thing that the databases say in different ways.
    streams = "stream"
    tables = TABLES
    has_censuses = True

    def __init__(
        self,
        fetching: Fetching | None = None,
        *,
        segments: int = 16,
        most_sorted: int = 150_000,
        window: int = 16_384,
        blocks: int = 16,
    ) -> None:
        self.block_cache = BlockCache(blocks)
        self.fetching = Fetching() if fetching is None else fetching
        self._segments = segments
        self._most_sorted = most_sorted
        self._window = window
        self._unseen: frozenset[str] = frozenset()

    def placeholder(self, number: int) -> str:
        return f"?{number}"

    def parts(
        self,
        kind: Kind,
        begin: int,
        end: int,
        *,
        is_newest_first: bool,
        is_scan: bool,
        is_whole: bool,
        most: int | None,
    ) -> Reading[Sequence[Part]]:
        """Segments; those that are open come first, since nothing is known of them."""
        order = "max_time DESC, id DESC" if is_newest_first else "min_time, id"
        found = yield Statement(
            "SELECT id, min_time, max_time, row_count, packed, has_nul FROM segment "
            "WHERE kind = ?1 AND (sealed_at IS NULL OR (max_time >= ?2 AND min_time <= ?3)) "
            f"ORDER BY sealed_at IS NOT NULL, {order}",
            (kind, begin, end),
            ("id", "min_time", "max_time", "row_count", "packed", "has_nul"),
        )
        if self._unseen:
            found = [segment for segment in found if f"{kind}_{segment[0]}" not in self._unseen]
        parts: list[Part] = []
        # By number, so that a query of another time mostly has the same statements.
        together = 1 if is_scan else self._segments
        for _, group in groupby(found, lambda segment: (segment[4] and segment[0], segment[0] // together)):
            segments = [*group]
            if segments[0][4]:
                number, oldest, newest, *_ = segments[0]
                parts.append(Part(kind, [f"{kind}_{number}"], oldest, newest, "blocks"))
                continue
            tables = [f"{kind}_{number}" for number, *_ in segments]
            may_have_nul = any(has_nul != 0 for *_, has_nul in segments)
            part = Part(kind, tables, segments[0][1], segments[0][2], may_have_nul=may_have_nul)
            rows = segments[0][3]
            if len(segments) == 1:
                is_merged = kind == "log" and rows is not None and rows > self._most_sorted
                part = part._replace(order="stream" if is_merged else "id")
            # There are fewer events than logs in the same time.
            window = self._window if kind == "log" else -(-self._window // 4)
            window = min(window, max(most or 0, -(-self._window // 16)))
            if not is_scan or is_whole or most is None or len(segments) > 1:
                parts.append(part)
            elif rows:
                parts += _windows(part, rows, window)
            elif is_newest_first:
                parts += yield from self._newest_windows(part, window)
            else:
                parts.append(part)
        return parts

    def _newest_windows(self, part: Part, rows: int) -> Reading[Sequence[Part]]:
        """An open segment in two windows, of which the first has the rows that came last."""
        (table,) = part.tables
        ((since,),) = yield Statement(
            f"SELECT min(time) AS since FROM (SELECT time FROM {table} ORDER BY id DESC LIMIT ?1)",
            (rows,),
            ("since",),
        )
        if since is None:
            return []
        newest = part._replace(oldest=since, newest=INT64_MAX, is_window=True)
        if since == INT64_MIN:
            return [newest]
        return [newest, newest._replace(oldest=INT64_MIN, newest=since - 1)]

    def census(self, part: Part, columns: Sequence[str]) -> Reading[Sequence[Any] | None]:
        found = yield Statement(
            f"SELECT {', '.join(columns)} FROM census WHERE segment = ?1",
            (_segment_of(part),),
            columns,
            has_bytes=True,
        )
        return found[0] if found else None

    def templates(
        self, part: Part, begin: int, end: int, columns: Sequence[str]
    ) -> Reading[Sequence[Sequence[Any]] | None]:
        segment = _segment_of(part)
        known = yield Statement(
            "SELECT is_told FROM templates_taken WHERE segment = ?1 AND mask = ?2 AND is_told",
            (segment, MASK_VERSION),
            ("is_told",),
        )
        if not known:
            return None
        return (
            yield Statement(
                f"SELECT {', '.join(columns)} FROM templates "
                "WHERE segment = ?1 AND hour >= ?2 AND hour < ?3 ORDER BY hour",
                (segment, begin, end),
                columns,
                has_bytes=True,
            )
        )

    def without(self, tables: frozenset[str]) -> SqliteDialect:
        other = copy(self)
        other._unseen = self._unseen | tables
        return other

    def blocks(self, part: Part, begin: int, end: int) -> Reading[Sequence[BlockEntry]]:
        found = yield Statement(
            f"SELECT {', '.join(_OF_ENTRY)} FROM block "
            "WHERE segment = ?1 AND last_time >= ?2 AND first_time <= ?3",
            (_segment_of(part), begin, end),
            _OF_ENTRY,
        )
        return [*map(BlockEntry._make, found)]

    def fetch_block(self, block: HeldBlock, columns: Sequence[str]) -> Reading[None]:
        entry = block.entry
        table = "block" if "streams" in columns else "block_columns"
        found = yield Statement(
            f"SELECT {', '.join(columns)} FROM {table} WHERE segment = ?1 AND number = ?2",
            (entry.segment, entry.number),
            columns,
            has_bytes=True,
        )
        if not found or not all(isinstance(value, bytes) for value in found[0]):
            raise Damaged("it has no columns")
        block.columns.update(zip(columns, found[0], strict=True))

    def chunk_heads(self, part: Part, number: int, last: int) -> Reading[Sequence[ChunkHead]]:
        found = yield Statement(
            "SELECT sort, first FROM vocabulary WHERE segment = ?1 AND part = ?2 AND sort <= ?3 "
            "ORDER BY sort, first",
            (_segment_of(part), number, last),
            ChunkHead._fields,
            has_bytes=True,
        )
        return [*map(ChunkHead._make, found)]

    def chunks(self, part: Part, number: int, heads: Sequence[ChunkHead]) -> Reading[Sequence[Chunk]]:
        found = yield Statement(
            f"SELECT {', '.join(Chunk._fields)} FROM vocabulary "
            "WHERE segment = ?1 AND part = ?2 AND sort = ?3 AND first BETWEEN ?4 AND ?5 ORDER BY first",
            (_segment_of(part), number, heads[0].sort, heads[0].first, heads[-1].first),
            Chunk._fields,
            has_bytes=True,
        )
        return [*map(Chunk._make, found)]

    def terms(self, begin: int) -> Reading[Terms]:
        found = yield Statement(TERMS, (begin,), ("what", "one", "other"))
        return Terms.of(found)

    def last_ids(self) -> Reading[Mapping[str, int]]:
        """Ids go on from one segment to the next."""
        lasts = {}
        segments = yield Statement(
            "SELECT kind, id, first_id FROM segment WHERE sealed_at IS NULL", (), ("kind", "id", "first_id")
        )
        for kind, number, first_id in segments:
            ((last,),) = yield Statement(f"SELECT max(id) AS last FROM {kind}_{number}", (), ("last",))
            lasts[kind] = first_id if last is None else last
        return lasts

    def parts_after(self, kind: Kind, number: int) -> Reading[Sequence[tuple[Sequence[Part], int]]]:
        """Of segments in the order of their ids the last of those that begin before it, and all behind.

        What came late has ids from among those of others, and is looked at each time.
        """
        columns = ("name", "first_id", "came_late", "is_packed")
        found = yield Statement(
            "SELECT kind || '_' || id AS name, first_id, begins_at IS NOT NULL AS came_late, "
            "packed > 0 AS is_packed FROM segment WHERE kind = ?1 ORDER BY first_id",
            (kind,),
            columns,
        )
        segments = [*map(_Arrived._make, found)]
        in_order = [each for each in segments if not each.came_late]
        begin = max((place for place, each in enumerate(in_order) if each.first_id <= number), default=0)
        late = [each for each in segments if each.came_late]
        together: list[list[_Arrived]] = []
        for is_packed, run in groupby(in_order[begin:], attrgetter("is_packed")):
            few = [*run]
            step = 1 if is_packed else self._segments
            together += [few[start : start + step] for start in range(0, len(few), step)]
        lasts = [following[0].first_id for following in together[1:]] + [INT64_MAX]
        return [(_parts_of(kind, each + late), last) for each, last in zip(together, lasts, strict=True)]

    def versions(self) -> Reading[tuple[str, int]]:
        ((version, schema),) = yield Statement(
            "SELECT sqlite_version() AS version, (SELECT user_version FROM pragma_user_version) AS number",
            (),
            ("version", "number"),
        )
        return f"SQLite {version}", schema

    def segments(self) -> Reading[Sequence[Segment]]:
        """Of an open segment, the rows at its ends are looked at."""
        columns = ("kind", "id", "first_id", "row_count", "min_time", "max_time", "sealed_at")
        found = yield Statement(f"SELECT {', '.join(columns)} FROM segment ORDER BY id", (), columns)
        segments = []
        for kind, number, first_id, rows, oldest, newest, sealed_at in found:
            name = f"{kind}_{number}"
            if sealed_at is None:
                segments.append((yield from self._open_segment(kind, name, first_id)))
                continue
            # A wrong clock keeps none for ever: it goes by the time of its sealing as well.
            goes_by = min(newest, sealed_at)
            segments.append(Segment(name, kind, True, rows, oldest, newest, None, goes_by))
        return segments

    def shares(self, segment: Segment) -> Reading[Shares | None]:
        """By its census. Of a stream of which anything is held, all is taken to be."""
        found = yield Statement(
            "SELECT streams, totals FROM census WHERE segment = ?1",
            (int(segment.name.rpartition("_")[2]),),
            ("streams", "totals"),
            has_bytes=True,
        )
        if not found:
            return None
        ((streams, totals),) = found
        counts = dict(zip(stream_numbers(streams), totals_of(totals), strict=True))
        told = yield Statement(
            "SELECT id, keeps, EXISTS (SELECT 1 FROM held WHERE stream_id = id AND begins_at <= ?2 "
            "AND ends_at >= ?3) AS held FROM stream WHERE id IN (SELECT value FROM json_each(?1))",
            (json.dumps([*counts]), segment.goes_by, segment.oldest),
            ("id", "keeps", "held"),
        )
        return Shares.by_stream(counts, map(tuple, told), sum(counts[stream] for stream, *_ in told) // 2)

    def _open_segment(self, kind: Kind, table: str, first_id: int) -> Reading[Segment]:
        ((last_id, oldest, newest),) = yield Statement(
            f"SELECT (SELECT max(id) FROM {table}) AS last, "
            f"(SELECT time FROM {table} ORDER BY id LIMIT 1) AS oldest, "
            f"(SELECT time FROM {table} ORDER BY id DESC LIMIT 1) AS newest",
            (),
            ("last", "oldest", "newest"),
        )
        rows = 0 if last_id is None else last_id - first_id
        if rows:
            oldest, newest = min(oldest, newest), max(oldest, newest)
        return Segment(table, kind, False, rows, oldest, newest)

    def streams_are(self, column: str, numbers: Sequence[int], values: Values) -> str:
        if len(numbers) == 1:
            # The most frequent by far: its statement stays prepared, whatever the stream.
            return f"{column} = {values.bind(numbers[0])}"
        return f"{column} IN ({', '.join(map(str, numbers))})"

    def streams_are_among(self, column: str, numbers: Sequence[int], values: Values) -> str:
        listed = values.bind(f"[{','.join(map(str, numbers))}]")
        return f"{column} IN (SELECT value FROM json_each({listed}))"

    def contains(self, column: str, what: str, values: Values, *, may_have_nul: bool) -> str:
        exactly = f"instr({column}, {values.bind(what)})"
        if may_have_nul or not _is_for_like(what):
            return exactly
        return f"({_like(column, what, values)} AND {exactly})"

    def contains_any_case(self, column: str, what: str, values: Values, *, may_have_nul: bool) -> str:
        # lower() is for ASCII alone, as that of bytes in Python, and so is LIKE.
        if not _is_for_like(what):
            return _in_lower_case(column, what, values)
        like = _like(column, what, values)
        if not may_have_nul:
            return like
        # LIKE stops at a NUL, where the characters of a text are not counted, either.
        is_odd = f"length({column}) <> length(CAST({column} AS BLOB))"
        return f"({like} OR ({is_odd} AND {_in_lower_case(column, what, values)}))"

    has_tests: Final = True

    def test(self, number: int, column: str) -> str:
        # As it is in the file: there is nothing to decode.
        return f"ccstore_test({number}, {'CAST(text AS BLOB)' if column == 'text' else column})"

    def equals(self, column: str, what: str) -> str:
        return f"{column} = {what}"

    def is_among(self, column: str, wanted: Sequence[str], values: Values) -> str:
        return f"{column} IN (SELECT value FROM json_each({values.bind(json.dumps(wanted))}))"

    def modulo(self, dividend: str, divisor: int) -> str:
        return f"(({dividend}) % {divisor})"

    def greater(self, one: str, other: str) -> str:
        return f"max({one}, {other})"

    def rows(self, columns: str, part: Part, within: str, outside: str | None, *, backwards: bool) -> str:
        if outside is not None and len(part.tables) == 1:
            # With the +, no index is used for it: it would be probed for each stream.
            within, outside = f"{within} AND +{outside}", None
        arms = " UNION ALL ".join([f"SELECT {columns} FROM {table} WHERE {within}" for table in part.tables])
        if backwards and part.order == "id":
            # Else each row would be a better one than those before it, and be kept until the next ones come.
            arms += " ORDER BY id DESC LIMIT -1"
        if outside is None:
            return f"({arms})"
        # LIMIT -1 keeps the condition outside, where it is prepared once and not for each segment.
        return f"(SELECT * FROM ({arms}) LIMIT -1) WHERE {outside}"

    def window(self, columns: str, part: Part, within: str, streams: str | None, *, backwards: bool) -> str:
        if part.order == "stream":
            where = "" if streams is None else f" WHERE {streams}"
            # Not the other way round, whatever SQLite thinks of it: the streams first.
            each = f"(SELECT id AS chosen FROM stream{where}) CROSS JOIN {part.tables[0]}"
            return f"(SELECT {columns} FROM {each} WHERE stream = chosen AND {within})"
        rows = self.rows(columns, part, within, None, backwards=backwards)
        if streams is None:
            return rows
        # There are few rows, and perhaps many streams that are not among theirs.
        return f"{rows} r WHERE EXISTS (SELECT 1 FROM stream WHERE stream.id = r.stream AND {streams})"

    def spans(
        self, columns: str, part: Part, spans: Sequence[StreamSpan], within: str, values: Values
    ) -> str:
        names = zip(("chosen", "since", "upto"), range(3), strict=True)
        given = ", ".join([f"json_extract(value, '$[{place}]') AS {name}" for name, place in names])
        each = f"(SELECT {given} FROM json_each({values.bind(json.dumps(spans))}))"
        (table,) = part.tables
        # Not the other way round, whatever SQLite thinks of it.
        return (
            f"(SELECT {columns} FROM {each} CROSS JOIN {table} "
            f"WHERE stream = chosen AND time BETWEEN since AND upto AND {within})"
        )


def _is_for_like(what: str) -> bool:
    return len(what) <= _MOST_LIKE and "\0" not in what


def _like(column: str, what: str, values: Values) -> str:
    """What has something in it, in either case: it takes a tenth of the time of ``instr``."""
    pattern = values.bind("%" + _SPECIAL.sub(r"!\g<0>", what) + "%")
    return f"{column} LIKE {pattern} ESCAPE '!'"


def _in_lower_case(column: str, what: str, values: Values) -> str:
    return f"instr(lower({column}), {values.bind(what.lower())})"


def _windows(part: Part, rows: int, window: int) -> list[Part]:
    """A part divided by time, as if its rows were evenly spread."""
    count = -(-rows // window)
    assert part.oldest is not None
    assert part.newest is not None
    span = part.newest + 1 - part.oldest
    edges = [part.oldest + place * span // count for place in range(count + 1)]
    return [
        part._replace(oldest=begin, newest=end - 1, is_window=True)
        for begin, end in pairwise(edges)
        if begin < end
    ]


def _parts_of(kind: Kind, segments: Sequence[_Arrived]) -> Sequence[Part]:
    parts = [Part(kind, [each.table], None, None, "blocks") for each in segments if each.is_packed]
    tables = [each.table for each in segments if not each.is_packed]
    return [*parts, Part(kind, tables, None, None)] if tables else parts


def _segment_of(part: Part) -> int:
    """The number of the segment that is a part."""
    (table,) = part.tables
    return int(table.rpartition("_")[2])
