"""The open segments, to which messages are appended."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Final

from attrs import define, evolve, field

from ccstore.batch import Batch
from ccstore.message import INT64_MAX, INT64_MIN, STORED_KINDS
from ccstore.storage.census import SHORT
from ccstore.storage.sqlite.rows import insert_rows, placeholders
from ccstore.storage.sqlite.segments import index_by_stream, index_in_order, make_table

_OTHERTAGS: Final = attrgetter("othertags")


@define
class OpenSegment:
    """The open segment of a kind, as its writer knows it.

    :ivar first_id: the id before that of its first message.
    :ivar opened_at: nanoseconds since the epoch, as are the other times.
    :ivar may_have_nul: a text may have a NUL in it.
    :ivar written_at: when messages were last written.
    :ivar streams: of each message, as are ``times`` and ``othertags``: for its census.
    """

    kind: str
    id: int
    first_id: int
    opened_at: int
    may_have_nul: bool = False
    rows: int = 0
    is_indexed: bool = False
    written_at: int = 0
    streams: list[int] = field(factory=list)
    times: list[int] = field(factory=list)
    othertags: list[str | None] = field(factory=list)

    @property
    def table(self) -> str:
        """The name of its table."""
        return f"{self.kind}_{self.id}"

    @property
    def last_id(self) -> int:
        """The id of its last message, or of the last before it."""
        return self.first_id + self.rows

    @property
    def min_time(self) -> int:
        """The time of its oldest message, or one that is later than all."""
        return min(self.times, default=INT64_MAX)

    @property
    def max_time(self) -> int:
        """The time of its newest message, or one that is earlier than all."""
        return max(self.times, default=INT64_MIN)

    @property
    def is_spread(self) -> bool:
        """Its messages are from a longer time, so that a census takes long."""
        return self.times[0] // SHORT != self.times[-1] // SHORT


class OpenSegments:
    """One for each kind.

    :param now: the time in nanoseconds since the epoch.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._by_kind: dict[str, OpenSegment] = {}

    def load(self, connection: sqlite3.Connection) -> None:
        """Read what there is of them, and make those that are missing; inside of a transaction."""
        for kind in STORED_KINDS:
            row = connection.execute(
                "SELECT id, first_id, opened_at, has_nul IS NOT 0 FROM segment "
                "WHERE kind = ? AND sealed_at IS NULL",
                (kind,),
            ).fetchone()
            if row is None:
                self._make(connection, kind, first_id=0)
                continue
            segment = self._by_kind[kind] = OpenSegment(kind, *row)
            # As one value each: a row each would take long where somebody else is busy in Python.
            segment.streams, segment.times, segment.othertags = map(
                json.loads,
                connection.execute(
                    "SELECT json_group_array(stream), json_group_array(time), "
                    f"json_group_array(othertags) FROM {segment.table} NOT INDEXED"
                ).fetchone(),
            )
            segment.rows = len(segment.times)
            segment.is_indexed = bool(
                connection.execute(
                    "SELECT 1 FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?", (segment.table,)
                ).fetchone()
            )

    def __getitem__(self, kind: str) -> OpenSegment:
        return self._by_kind[kind]

    def copy(self) -> Mapping[str, OpenSegment]:
        """What is known of them now, for :meth:`restore`."""
        return {kind: evolve(segment) for kind, segment in self._by_kind.items()}

    def restore(self, before: Mapping[str, OpenSegment]) -> None:
        """A transaction was rolled back: this is true again."""
        self._by_kind = {**before}
        for segment in before.values():
            for column in (segment.streams, segment.times, segment.othertags):
                del column[segment.rows :]

    @property
    def most_rows(self) -> int:
        """Rows of the largest of them."""
        return max((segment.rows for segment in self._by_kind.values()), default=0)

    @property
    def written_at(self) -> int:
        """When messages were last written to any of them, in nanoseconds since the epoch."""
        return max((segment.written_at for segment in self._by_kind.values()), default=0)

    @property
    def last_ids(self) -> dict[str, int]:
        """The id of the last message, by kind."""
        return {kind: segment.last_id for kind, segment in self._by_kind.items()}

    def append(
        self, connection: sqlite3.Connection, kind: str, messages: Batch, streams: Sequence[int]
    ) -> None:
        """Insert messages of a kind; inside of a transaction.

        :param streams: one for each of the messages.
        """
        segment = self._by_kind[kind]
        columns: dict[str, Sequence[object]] = {
            "stream": streams,
            "time": messages.times,
            "text": messages.texts,
        }
        othertags = [*map(_OTHERTAGS, messages.series)]
        if any(othertags):
            columns["othertags"] = othertags
        width = len(columns)
        flat: list[object] = [None] * (width * len(messages))
        for place, column in enumerate(columns.values()):
            flat[place::width] = column
        position = 0
        if not segment.rows:
            # Ids go on from one segment to the next: the others follow the first.
            names = f"id, {', '.join(columns)}"
            statement = f"INSERT INTO {segment.table} ({names}) VALUES {placeholders(1, width + 1)}"
            connection.execute(statement, (segment.first_id + 1, *flat[:width]))
            position = width
        insert_rows(connection, segment.table, [*columns], flat[position:])
        if not segment.may_have_nul and "\0" in "".join(messages.texts):
            segment.may_have_nul = True
            connection.execute("UPDATE segment SET has_nul = 1 WHERE id = ?", (segment.id,))
        segment.rows += len(messages)
        segment.streams += streams
        segment.times += messages.times
        segment.othertags += othertags
        segment.written_at = self._now()

    def index(self, connection: sqlite3.Connection, segment: OpenSegment) -> None:
        """Give a segment its index, if it has none yet; inside of a transaction."""
        if segment.is_indexed:
            return
        if segment.kind == "log":
            index_in_order(connection, segment.table)
        else:
            index_by_stream(connection, segment.table)

    def seal(
        self, connection: sqlite3.Connection, segment: OpenSegment, min_time: int, max_time: int
    ) -> None:
        """Close a segment, which has its index, and open the next one; inside of a transaction.

        :param min_time: that of the segment, as is ``max_time``.
        """
        connection.execute(
            "UPDATE segment SET sealed_at = ?, min_time = ?, max_time = ?, row_count = ? WHERE id = ?",
            (self._now(), min_time, max_time, segment.rows, segment.id),
        )
        self._make(connection, segment.kind, first_id=segment.last_id)
        # Else a store that is written to would seem to be idle with each segment.
        self._by_kind[segment.kind].written_at = segment.written_at

    def _make(self, connection: sqlite3.Connection, kind: str, first_id: int) -> None:
        now = self._now()
        (number,) = connection.execute(
            "INSERT INTO segment (kind, first_id, opened_at, has_nul) VALUES (?, ?, ?, 0) RETURNING id",
            (kind, first_id, now),
        ).fetchone()
        segment = self._by_kind[kind] = OpenSegment(kind, number, first_id, now)
        make_table(connection, segment.table)
