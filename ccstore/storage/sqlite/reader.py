"""What the reading connections do."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from twisted.internet.defer import CancelledError

from ccstore.interfaces import StoreUnavailable
from ccstore.query import Page, Query, Row
from ccstore.storage.query import stream_condition
from ccstore.storage.sqlite.asking import Asking

#: Streams up to which an index is probed for each.
_STREAMS_PROBED: Final = 200
#: Segments that one statement reads. To prepare it takes as long as to read a few of them, so that there are
#: many which stay prepared, and only those at both ends of a range differ from query to query.
_SEGMENTS_READ: Final = 16
#: Prepared statements of a connection that reads.
PREPARED: Final = 64
#: Rows that one statement fetches at first; after that as many as have about this many characters.
_ROWS_FETCHED: Final = 500
_SIZE_FETCHED: Final = 4 * 1024 * 1024
#: Characters of text in an answer, above which it is cut.
_SIZE_ANSWERED: Final = 64 * 1024 * 1024
CLOSED: Final = "the database is closed"


class Reader:
    """Answers queries; runs in the threads of the reading connections, one query in each."""

    def __init__(self) -> None:
        self._running: set[Asking] = set()
        self._is_closed = False

    def close(self) -> None:
        """End the queries that run; called from the reactor's thread."""
        self._is_closed = True
        for asking in tuple(self._running):
            asking.give_up()

    def query(
        self,
        connection: sqlite3.Connection,
        queries: Sequence[Query],
        cutoff: int,
        max_rows: int,
        asking: Asking,
    ) -> list[Page]:
        """See :meth:`IBackend.query`."""
        self._running.add(asking)
        size = 0
        try:
            with asking.on(connection):
                connection.execute("BEGIN")
                pages = []
                for query in queries:
                    page = _PageReader(
                        connection, query, cutoff, max_rows, _SIZE_ANSWERED - size, asking
                    ).page()
                    max_rows -= len(page.rows)
                    size += sum(len(row.text) for row in page.rows)
                    pages.append(page)
                return pages
        except (sqlite3.OperationalError, CancelledError):
            if self._is_closed:
                raise StoreUnavailable(CLOSED) from None
            asking.check()
            raise
        finally:
            self._running.discard(asking)
            if connection.in_transaction:
                connection.execute("ROLLBACK")


class _PageReader:
    """Reads the page of one query.

    :param max_rows: what exceeds them is cut; so is what exceeds ``max_size`` characters of text.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        query: Query,
        cutoff: int,
        max_rows: int,
        max_size: int,
        asking: Asking,
    ) -> None:
        self._connection = connection
        self._asking = asking
        self._query = query
        self._begin = max(query.begin, cutoff + 1) if query.kind == "event" else query.begin
        self._max_rows = max_rows
        self._max_size = max_size
        self._streams: list[int] = []
        self._has_not_expired = ""  # a condition, where the time alone does not tell
        self._rows: list[Row] = []
        self._is_cut = False

    def page(self) -> Page:
        """The page."""
        self._asking.check()
        condition, parameters = stream_condition(self._query, "?")
        (streams,) = self._connection.execute(
            f"SELECT json_group_array(id) FROM stream WHERE {condition}", parameters
        ).fetchone()
        self._streams = json.loads(streams)
        if not self._streams:
            return Page(())
        for segments, oldest in self._groups():
            if self._is_cut and oldest is not None and (not self._rows or oldest > self._rows[-1].time):
                break
            self._read(segments)
        return Page(self._rows, self._is_cut)

    def _groups(self) -> Iterator[tuple[list[int], int | None]]:
        """The segments that may have such messages, by their oldest, and that; the open one is the first."""
        found, expired = self._connection.execute(
            "SELECT (SELECT json_group_array(json_array(id, min_time)) "
            "FROM (SELECT id, min_time FROM segment WHERE kind = ?1 "
            "AND (sealed_at IS NULL OR (max_time >= ?2 AND min_time <= ?3)) ORDER BY min_time, id)), "
            "(SELECT json_group_array(json_array(cutoff, last_id)) FROM expired "
            "WHERE cutoff >= ?2 AND ?1 = 'event')",
            (self._query.kind, self._begin, self._query.end),
        ).fetchone()
        self._has_not_expired = "".join(
            f" AND (time > {cutoff} OR id > {last_id})" for cutoff, last_id in json.loads(expired)
        )
        # By number, so that a query of another time mostly has the same statements.
        for _, group in groupby(json.loads(found), lambda segment: segment[0] // _SEGMENTS_READ):
            segments = [*group]
            yield [number for number, _ in segments], segments[0][1]

    def _read(self, segments: list[int]) -> None:
        """Add the rows of some segments, page by page; of all rows so far, keep those that go first."""
        begin, after = self._begin, -1
        fetched = _ROWS_FETCHED
        while True:
            limit = min(fetched, self._max_rows + 1)
            self._asking.check()
            rows = self._fetch(segments, begin, after, limit)
            if rows:
                self._rows += rows
                self._rows.sort()
                self._cut()
            if len(rows) < limit or not self._rows or (self._is_cut and rows[-1] > self._rows[-1]):
                return
            begin, after = rows[-1].time, rows[-1].id
            size = sum(len(row.text) for row in rows)
            fetched = max(1, min(20 * limit, limit * _SIZE_FETCHED // (size + 1)))

    def _fetch(self, segments: list[int], begin: int, after: int, limit: int) -> list[Row]:
        """The first rows of some segments that come behind this time and id, in one step for all of them."""
        where = f"time BETWEEN ?1 AND ?2 AND (time > ?1 OR id > ?3){self._has_not_expired}"
        parameters: list[object] = [begin, self._query.end, after, limit]
        rows = "SELECT time, id, text"
        if len(self._streams) > _STREAMS_PROBED:
            # LIMIT -1 keeps the condition outside, where it is prepared once and not for each segment.
            arms = self._arms(f"{rows}, stream", segments, where)
            source = f"(SELECT * FROM ({arms}) LIMIT -1) WHERE stream IN (SELECT value FROM json_each(?5))"
            parameters.append(json.dumps(self._streams))
        elif len(self._streams) > 1:
            source = f"({self._arms(rows, segments, f'stream IN ({str(self._streams)[1:-1]}) AND {where}')})"
        else:
            # The most frequent query by far: its statement stays prepared, whatever the stream.
            source = f"({self._arms(rows, segments, f'stream = ?5 AND {where}')})"
            parameters += self._streams
        (found,) = self._connection.execute(
            f"SELECT json_group_array(json_array(time, id, text)) FROM ({rows} FROM {source} "
            "ORDER BY time, id LIMIT ?4)",
            parameters,
        ).fetchone()
        return [*map(Row._make, json.loads(found))]

    def _arms(self, select: str, segments: list[int], where: str) -> str:
        kind = self._query.kind
        return " UNION ALL ".join(f"{select} FROM {kind}_{number} WHERE {where}" for number in segments)

    def _cut(self) -> None:
        rows = self._rows
        if len(rows) > self._max_rows:
            del rows[self._max_rows :]
            self._is_cut = True
        size = 0
        for index, row in enumerate(rows):
            size += len(row.text)
            if size > self._max_size and index:
                del rows[index:]
                self._is_cut = True
                self._max_rows = index
                break
