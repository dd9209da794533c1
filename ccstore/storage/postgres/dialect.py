"""The SQL of PostgreSQL, and of partitions, of which it chooses by itself those that a statement needs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import starmap
from typing import Any, Final

from ccstore.holdings import Segment, Share, Shares
from ccstore.message import INT64_MAX, Kind
from ccstore.storage.blocks.block_cache import BlockCache, BlockEntry, HeldBlock
from ccstore.storage.blocks.block_format import runs_of
from ccstore.storage.blocks.packed_numbers import Damaged
from ccstore.storage.blocks.vocabulary import Chunk, ChunkHead
from ccstore.storage.postgres.arrays import numbers as array
from ccstore.storage.postgres.arrays import texts
from ccstore.storage.postgres.expiry import IS_HELD, TABLES, TERMS
from ccstore.storage.postgres.horizon import Horizon
from ccstore.storage.postgres.partition_names import PACKED_SIZE
from ccstore.storage.postgres.text_index import EXPRESSION, TextIndex
from ccstore.storage.postgres.windows import Extent, windows
from ccstore.storage.reading.dialect import Dialect, Fetching, Part, StreamSpan, Terms
from ccstore.storage.reading.statement import Reading, Statement, Values

#: Columns of streams of which an index has the beginning.
_INDEXED: Final = ("hostname", "name")
#: Characters that have a meaning in a pattern of LIKE.
_SPECIAL: Final = re.compile(r"[%_\\]")
#: What has to be in a text, in one piece, for the index to find it; of other letters it may think otherwise.
_WORDS: Final = re.compile(r"[\x01-\x7f]+")
#: Pages of a partition that are looked at to know about how long its messages are kept.
_SAMPLED: Final = 200
#: How the names of packed segments begin.
PACKED: Final = "ccstore_packed_"
#: Partitions that overlap a time, until when there may be something in them, and how many bytes.
_EXTENTS: Final = (
    "SELECT begins_at, CASE WHEN begins_at < now THEN least(ends_at, now) ELSE ends_at END AS reaches,"
    " coalesce(pg_relation_size(to_regclass('ccstore_' || kind || '_' || id)), 0) AS size"
    " FROM ccstore_partition, (SELECT (extract(epoch FROM now()) * 1000000000)::bigint AS now) n"
    " WHERE kind = %(p1)s AND ends_at > %(p2)s AND begins_at <= %(p3)s ORDER BY begins_at"
)


class PostgresDialect(Dialect):
    """See :class:`ccstore.storage.reading.dialect.Dialect`.

    :param horizon: how far messages have come in.
    :param window: bytes of a table that are read first, where there is no index to go by but that of time.
    :param blocks: of packed logs that are held unpacked.
    :param thinned: messages that are kept of a partition, at most, for the rest to go.
    """

    # In one: each method is one thing that the databases say in different ways.
    streams = "ccstore_stream"
    tables = TABLES
    has_censuses = True

    def __init__(
        self,
        horizon: Horizon,
        index: TextIndex,
        fetching: Fetching | None = None,
        *,
        window: int = 2 << 20,
        thinned: int = 2_000_000,
        blocks: int = 16,
    ) -> None:
        self.block_cache = BlockCache(blocks)
        self._horizon = horizon
        self._index = index
        self._window = window
        self._thinned = thinned
        # To fetch more takes the server another sort of what is left.
        self.fetching = Fetching(rows=1000) if fetching is None else fetching

    def placeholder(self, number: int) -> str:
        return f"%(p{number})s"

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
        """All partitions at once where there is an index; else windows of time, so that little is sorted."""
        part = Part(kind, (f"ccstore_{kind}",), None, None)
        packed = yield from self._packed(kind, "last_time >= %(p1)s AND first_time <= %(p2)s", begin, end)
        if not is_scan or is_whole:
            return [part, *packed]
        found = yield Statement(_EXTENTS, (kind, begin, end), ("begins_at", "reaches", "size"))
        return packed + [
            part._replace(oldest=oldest, newest=newest, is_window=True)
            for oldest, newest in windows(
                starmap(Extent, found),
                begin,
                end,
                is_newest_first=is_newest_first,
                first=self._window,
            )
        ]

    def _packed(self, kind: Kind, condition: str, *parameters: int) -> Reading[list[Part]]:
        """The packed segments of a kind that meet a condition, the newest first."""
        if kind != "log":
            return []
        found = yield Statement(
            f"SELECT segment, first_time, last_time FROM ccstore_packed WHERE {condition} "
            "ORDER BY last_time DESC",
            parameters,
            ("segment", "first_time", "last_time"),
        )
        return [Part(kind, [f"{PACKED}{number}"], first, last, "blocks") for number, first, last in found]

    def blocks(self, part: Part, begin: int, end: int) -> Reading[Sequence[BlockEntry]]:
        found = yield Statement(
            "SELECT segment, number, rows, first_time, last_time, min_id, max_id, checksum "
            "FROM ccstore_packed_block WHERE segment = %(p1)s AND last_time >= %(p2)s "
            "AND first_time <= %(p3)s ORDER BY number",
            (_segment_of(part), begin, end),
            BlockEntry._fields,
            # None of these are, but what is done with them takes as long.
            has_bytes=True,
        )
        return [*map(BlockEntry._make, found)]

    def fetch_block(self, block: HeldBlock, columns: Sequence[str]) -> Reading[None]:
        entry = block.entry
        table = "block" if "streams" in columns else "columns"
        found = yield Statement(
            f"SELECT {', '.join(columns)} FROM ccstore_packed_{table} "
            "WHERE segment = %(p1)s AND number = %(p2)s",
            (entry.segment, entry.number),
            columns,
            has_bytes=True,
        )
        if not found:
            raise Damaged("it has no columns")
        block.columns.update(zip(columns, map(bytes, found[0]), strict=True))

    def census(self, part: Part, columns: Sequence[str]) -> Reading[Sequence[Any] | None]:
        """Only full segments of packed logs have one."""
        if part.order != "blocks":
            return None
        found = yield Statement(
            f"SELECT {', '.join(columns)} FROM ccstore_packed_census WHERE segment = %(p1)s",
            (_segment_of(part),),
            columns,
            has_bytes=True,
        )
        if not found:
            return None
        return [bytes(value) if isinstance(value, memoryview) else value for value in found[0]]

    def chunk_heads(self, part: Part, number: int, last: int) -> Reading[Sequence[ChunkHead]]:
        found = yield Statement(
            "SELECT sort, first FROM ccstore_packed_words "
            "WHERE segment = %(p1)s AND part = %(p2)s AND sort <= %(p3)s ORDER BY sort, first",
            (_segment_of(part), number, last),
            ChunkHead._fields,
            has_bytes=True,
        )
        return [ChunkHead(sort, bytes(first)) for sort, first in found]

    def chunks(self, part: Part, number: int, heads: Sequence[ChunkHead]) -> Reading[Sequence[Chunk]]:
        found = yield Statement(
            f"SELECT {', '.join(Chunk._fields)} FROM ccstore_packed_words WHERE segment = %(p1)s "
            "AND part = %(p2)s AND sort = %(p3)s AND first BETWEEN %(p4)s AND %(p5)s ORDER BY first",
            (_segment_of(part), number, heads[0].sort, heads[0].first, heads[-1].first),
            Chunk._fields,
            has_bytes=True,
        )
        return [Chunk(sort, *map(bytes, rest)) for sort, *rest in found]

    def terms(self, begin: int) -> Reading[Terms]:
        found = yield Statement(TERMS, (begin,), ("what", "one", "other"))
        return Terms.of(found)

    def last_ids(self) -> Reading[Mapping[str, int]]:
        """Events and logs share the blocks of ids that batches take."""
        event, log = yield from self._horizon.last_arrival()
        return {"event": event, "log": log}

    def parts_after(self, kind: Kind, number: int) -> Reading[Sequence[tuple[Sequence[Part], int]]]:
        """All partitions and packed segments at once."""
        packed = yield from self._packed(kind, "max_id > %(p1)s", number)
        return [([Part(kind, [f"ccstore_{kind}"], None, None), *packed], INT64_MAX)]

    def versions(self) -> Reading[tuple[str, int]]:
        ((version, schema),) = yield Statement(
            "SELECT current_setting('server_version') AS version, max(version) AS number FROM ccstore_schema",
            (),
            ("version", "number"),
        )
        # A distribution puts its own name behind it.
        return f"PostgreSQL {version.split()[0]}", schema

    def segments(self) -> Reading[Sequence[Segment]]:
        """Partitions; how many rows they have is what the server's statistics say."""
        columns = ("kind", "id", "begins_at", "ends_at", "blocks", "rows", "size")
        found = yield Statement(
            "SELECT p.kind, p.id, p.begins_at, p.ends_at, pg_relation_size(c.oid) AS blocks,"
            " greatest(c.reltuples::bigint, pg_stat_get_live_tuples(c.oid)) AS rows,"
            " pg_total_relation_size(c.oid) AS size"
            " FROM (SELECT kind, id, begins_at, ends_at FROM ccstore_partition UNION ALL"
            " SELECT kind, NULL, NULL, NULL FROM (VALUES ('event'), ('log')) v (kind)) p JOIN pg_class c"
            " ON c.oid = to_regclass('ccstore_' || p.kind || '_' || coalesce(p.id::text, 'default'))"
            " ORDER BY p.kind, p.begins_at",
            (),
            columns,
        )
        segments = []
        for kind, number, begins_at, ends_at, blocks, rows, size in found:
            name = f"ccstore_{kind}_{'default' if number is None else number}"
            last = None if ends_at is None else ends_at - 1
            known = 0 if not blocks else (rows or None)
            segments.append(Segment(name, kind, False, known, begins_at, last, size, last))
        return segments + (yield from self._packed_segments())

    def _packed_segments(self) -> Reading[list[Segment]]:
        """Each is said to be as large as its messages are a part of all that are packed."""
        found = yield Statement(
            "SELECT segment, rows, first_time, last_time, "
            f"(({PACKED_SIZE}) * rows / greatest(sum(rows) OVER (), 1))::bigint AS size FROM ccstore_packed",
            (),
            ("segment", "rows", "first_time", "last_time", "size"),
        )
        return [
            Segment(f"{PACKED}{number}", "log", True, rows, first, last, size, last)
            for number, rows, first, last, size in found
        ]

    def shares(self, segment: Segment) -> Reading[Shares | None]:
        """By a sample of its pages; all of them, if these are few."""
        if segment.name.startswith(PACKED):
            return (yield from self._packed_shares(segment))
        found = yield Statement(
            f"SELECT k.keeps, count(*) AS rows, count(*) FILTER (WHERE {IS_HELD}) AS held "
            # By the table of all partitions: this one may be gone by now.
            f"FROM ccstore_{segment.kind} r TABLESAMPLE SYSTEM (least(100, 100.0 * {_SAMPLED} / greatest(1, "
            f"pg_relation_size(to_regclass('{segment.name}')) / 8192))) REPEATABLE (0) "
            "JOIN ccstore_stream k ON k.id = r.stream "
            f"WHERE r.time BETWEEN {segment.oldest} AND {segment.goes_by} GROUP BY k.keeps",
            (),
            ("keeps", "rows", "held"),
        )
        seen = sum(rows for _, rows, _ in found)
        if not seen:
            return None
        part = min(1.0, seen / segment.rows) if segment.rows else 1.0
        return Shares([Share(*each) for each in found], min(seen // 2, round(self._thinned * part)))

    def _packed_shares(self, segment: Segment) -> Reading[Shares | None]:
        """By the streams of its blocks. Of one of which anything is held, all is taken to be."""
        found = yield Statement(
            "SELECT rows, streams FROM ccstore_packed_block WHERE segment = %(p1)s",
            (int(segment.name.removeprefix(PACKED)),),
            ("rows", "streams"),
            has_bytes=True,
        )
        counts: Counter[int] = Counter()
        for rows, streams in found:
            with suppress(Damaged):
                counts.update(dict(runs_of(bytes(streams), rows)))
        told = yield Statement(
            "SELECT r.id, keeps, EXISTS (SELECT 1 FROM ccstore_held WHERE stream_id = r.id "
            "AND begins_at <= %(p2)s AND ends_at >= %(p3)s) AS held FROM ccstore_stream r "
            "WHERE id = ANY(%(p1)s::bigint[])",
            (array(counts), segment.newest, segment.oldest),
            ("id", "keeps", "held"),
        )
        return Shares.by_stream(counts, map(tuple, told), 0)

    def streams_are(self, column: str, numbers: Sequence[int], values: Values) -> str:
        if len(numbers) == 1:
            return f"{column} = {values.bind(numbers[0])}"
        return self.streams_are_among(column, numbers, values)

    def streams_are_among(self, column: str, numbers: Sequence[int], values: Values) -> str:
        return f"{column} = ANY({values.bind(array(numbers))}::bigint[])"

    def contains(self, column: str, what: str, values: Values, *, may_have_nul: bool) -> str:
        condition = f"position({values.bind(what)} in {column}) > 0"
        longest = max(_WORDS.findall(what), key=len, default="")
        if column == "text" and self._index.is_there and longest:
            # By the index those that may; what it finds is looked at.
            return f"({self._is_like(longest, values)} AND {condition})"
        return condition

    def contains_any_case(self, column: str, what: str, values: Values, *, may_have_nul: bool) -> str:
        if column == "text" and self._index.is_there:
            return self._is_like(what, values)
        return f'position(lower({values.bind(what)} COLLATE "C") in lower({column} COLLATE "C")) > 0'

    def _is_like(self, what: str, values: Values) -> str:
        """A condition on a text that the index helps with."""
        pattern = _SPECIAL.sub(r"\\\g<0>", what.lower())
        return f"{EXPRESSION} LIKE {values.bind(f'%{pattern}%')}"

    def is_among(self, column: str, wanted: Sequence[str], values: Values) -> str:
        listed = f"{values.bind(texts(wanted))}::text[]"
        if column in _INDEXED:
            beginnings = f"{values.bind(texts([*{value[:64] for value in wanted}]))}::text[]"
            return f"({column} = ANY({listed}) AND left({column}, 64) = ANY({beginnings}))"
        return f"{column} = ANY({listed})"

    #: To ask is to fetch.
    has_tests: Final = False

    def test(self, number: int, column: str) -> str:
        raise NotImplementedError

    def equals(self, column: str, what: str) -> str:
        if column in _INDEXED:
            return f"({column} = {what} AND left({column}, 64) = left({what}, 64))"
        return f"{column} = {what}"

    def modulo(self, dividend: str, divisor: int) -> str:
        return f"mod({dividend}, {divisor})"

    def greater(self, one: str, other: str) -> str:
        return f"greatest({one}, {other})"

    def rows(self, columns: str, part: Part, within: str, outside: str | None, *, backwards: bool) -> str:
        condition = within if outside is None else f"{within} AND {outside}"
        (table,) = part.tables
        return f"{table} WHERE {condition}"

    def window(self, columns: str, part: Part, within: str, streams: str | None, *, backwards: bool) -> str:
        outside = None if streams is None else f"stream IN (SELECT id FROM {self.streams} WHERE {streams})"
        return self.rows(columns, part, within, outside, backwards=backwards)

    def spans(
        self, columns: str, part: Part, spans: Sequence[StreamSpan], within: str, values: Values
    ) -> str:
        arrays = ", ".join([f"{values.bind(array(each))}::bigint[]" for each in zip(*spans, strict=True)])
        (table,) = part.tables
        # With the OFFSET it stays a question for each span, for which it goes by the index.
        return (
            f"unnest({arrays}) w (chosen, since, upto) CROSS JOIN LATERAL (SELECT {columns} FROM {table} "
            f"WHERE stream = chosen AND time BETWEEN since AND upto AND {within} OFFSET 0) r"
        )


def _segment_of(part: Part) -> int:
    """The number of the packed segment that is a part."""
    (name,) = part.tables
    return int(name.removeprefix(PACKED))
