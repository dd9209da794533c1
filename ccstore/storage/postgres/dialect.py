"""The SQL of PostgreSQL, and of partitions, which it chooses by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ccstore.holdings import Segment
from ccstore.message import INT64_MAX, Kind
from ccstore.storage.postgres.arrays import numbers as array
from ccstore.storage.postgres.arrays import texts
from ccstore.storage.postgres.blocks import OpenBlocks
from ccstore.storage.postgres.partitions import BLOCK_BITS
from ccstore.storage.reading.dialect import Dialect, Fetching, Part
from ccstore.storage.reading.statement import Reading, Statement, Values

#: Columns of streams of which an index has the beginning.
_INDEXED: Final = ("hostname", "name")


class PostgresDialect(Dialect):
    """See :class:`ccstore.storage.reading.dialect.Dialect`.

    :param open_blocks: those that this daemon is writing into.
    """

    # In one: each method is one thing that the databases say in different ways.
    streams = "ccstore_stream"

    def __init__(self, open_blocks: OpenBlocks, fetching: Fetching | None = None) -> None:
        self._open_blocks = open_blocks
        # To fetch more takes the server another sort of what is left.
        self.fetching = Fetching(rows=1000) if fetching is None else fetching

    def placeholder(self, number: int) -> str:
        return f"%(p{number})s"

    def parts(
        self, kind: Kind, begin: int, end: int, *, is_newest_first: bool, is_scan: bool, most: int | None
    ) -> Reading[Sequence[Part]]:
        """All partitions at once."""
        yield from ()
        return [Part(kind, (f"ccstore_{kind}",), None, None)]

    def marks(self, begin: int) -> Reading[Sequence[tuple[int, int]]]:
        found = yield Statement(
            "SELECT cutoff, below FROM ccstore_expired WHERE cutoff >= %(p1)s", (begin,), ("cutoff", "below")
        )
        return [(cutoff, below) for cutoff, below in found]

    def last_ids(self) -> Reading[Mapping[str, int]]:
        """Events and logs share the blocks of ids that batches take.

        What this daemon is writing has its ids already, and is told of later.
        """
        blocks = self._open_blocks
        is_known = False
        while not is_known:
            # Whatever was open at any time since the number was asked for may not have been seen by anybody.
            before = blocks.all
            ((last,),) = yield Statement(
                "SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END AS last"
                " FROM ccstore_block",
                (),
                ("last",),
            )
            is_known = not blocks.is_one_taken
        number = (min({last} | before | blocks.all) << BLOCK_BITS) - 1
        return {"event": number, "log": number}

    def tables_after(self, kind: Kind, number: int) -> Reading[Sequence[tuple[Sequence[str], int]]]:
        """All partitions at once."""
        yield from ()
        return [([f"ccstore_{kind}"], INT64_MAX)]

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
            goes_by = last if kind == "event" else None
            segments.append(Segment(name, kind, False, known, begins_at, last, size, goes_by))
        return segments

    def streams_are(self, column: str, numbers: Sequence[int], values: Values) -> str:
        if len(numbers) == 1:
            return f"{column} = {values.bind(numbers[0])}"
        return self.streams_are_among(column, numbers, values)

    def streams_are_among(self, column: str, numbers: Sequence[int], values: Values) -> str:
        return f"{column} = ANY({values.bind(array(numbers))}::bigint[])"

    def contains(self, text: str, what: str) -> str:
        return f"position({what} in {text}) > 0"

    def contains_any_case(self, text: str, what: str, values: Values) -> str:
        return f'position(lower({values.bind(what)} COLLATE "C") in lower({text} COLLATE "C")) > 0'

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
        raise NotImplementedError
