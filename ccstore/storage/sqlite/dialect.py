"""The SQL of SQLite, and of segments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from ccstore.message import Kind
from ccstore.storage.reading.dialect import Fetching, Part
from ccstore.storage.reading.statement import Reading, Statement, Values


class SqliteDialect:
    """See :class:`ccstore.storage.reading.dialect.Dialect`.

    :param segments: that one statement reads. To prepare it takes as long as to read a few of them, so that
        there are many which stay prepared, and only those at both ends of a range differ from query to query.
    """

    streams: Final = "stream"

    def __init__(self, fetching: Fetching | None = None, *, segments: int = 16) -> None:
        self.fetching = Fetching() if fetching is None else fetching
        self._segments = segments

    def placeholder(self, number: int) -> str:
        return f"?{number}"

    def parts(self, kind: Kind, begin: int, end: int, *, is_newest_first: bool) -> Reading[Sequence[Part]]:
        """Segments; those that are open come first, since nothing is known of them."""
        order = "max_time DESC, id DESC" if is_newest_first else "min_time, id"
        found = yield Statement(
            "SELECT id, min_time, max_time FROM segment "
            "WHERE kind = ?1 AND (sealed_at IS NULL OR (max_time >= ?2 AND min_time <= ?3)) "
            f"ORDER BY sealed_at IS NOT NULL, {order}",
            (kind, begin, end),
            ("id", "min_time", "max_time"),
        )
        parts = []
        # By number, so that a query of another time mostly has the same statements.
        for _, group in groupby(found, lambda segment: segment[0] // self._segments):
            segments = [*group]
            tables = [f"{kind}_{number}" for number, _, _ in segments]
            parts.append(Part(kind, tables, segments[0][1], segments[0][2]))
        return parts

    def marks(self, begin: int) -> Reading[Sequence[tuple[int, int]]]:
        found = yield Statement(
            "SELECT cutoff, last_id + 1 AS below FROM expired WHERE cutoff >= ?1",
            (begin,),
            ("cutoff", "below"),
        )
        return [(cutoff, below) for cutoff, below in found]

    def streams_are(self, column: str, numbers: Sequence[int], values: Values) -> str:
        if len(numbers) == 1:
            # The most frequent by far: its statement stays prepared, whatever the stream.
            return f"{column} = {values.bind(numbers[0])}"
        return f"{column} IN ({', '.join(map(str, numbers))})"

    def streams_are_among(self, column: str, numbers: Sequence[int], values: Values) -> str:
        listed = values.bind(f"[{','.join(map(str, numbers))}]")
        return f"{column} IN (SELECT value FROM json_each({listed}))"

    def contains(self, text: str, what: str) -> str:
        return f"instr({text}, {what})"

    def contains_any_case(self, text: str, what: str) -> str:
        # lower() is for ASCII alone, as that of bytes in Python; LIKE would stop at a NUL.
        return f"instr(lower({text}), lower({what}))"

    def equals(self, column: str, what: str) -> str:
        return f"{column} = {what}"

    def is_among(self, column: str, wanted: Sequence[str], values: Values) -> str:
        return f"{column} IN (SELECT value FROM json_each({values.bind(json.dumps(wanted))}))"

    def rows(self, columns: str, tables: Sequence[str], within: str, outside: str | None) -> str:
        arms = " UNION ALL ".join([f"SELECT {columns} FROM {table} WHERE {within}" for table in tables])
        if outside is None:
            return f"({arms})"
        # LIMIT -1 keeps the condition outside, where it is prepared once and not for each segment.
        return f"(SELECT * FROM ({arms}) LIMIT -1) WHERE {outside}"
