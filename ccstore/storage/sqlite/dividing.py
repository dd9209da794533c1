"""Moving events that came late into segments of their own.

A segment goes as a whole, with its newest event. One that came late would stay with the others of its segment
long after it has expired, and so would those whose segment was made while events were kept longer.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

from ccstore.storage.dbfile.sql import transaction
from ccstore.storage.sqlite import enumerating, expiry, templating
from ccstore.storage.sqlite.expiry import Expired
from ccstore.storage.sqlite.segments import index_by_stream, make_table
from ccstore.storage.sqlite.sizes import SegmentSizes
from ccstore.storage.sqlite.streams import note_in_segment
from ccstore.storage.sqlite.views import refresh_rows_views

#: An event segment spans this part of the retention time, so it goes soon after it may.
SPANS_IN_RETENTION: Final = 16
#: Nanoseconds that a segment may span beyond that: messages are on their way for a while, and segments are
#: sealed once a second. At least, and at most.
_SLACK: Final = (2_000_000_000, 30_000_000_000)
_LEAST, _MOST = -(2**63), 2**63 - 1

#: Id, time and stream.
_Found = tuple[int, int, int]


class Divider:
    """Moves in steps; runs in the writer's thread.

    What came late is what is much older than the newest event of its segment, or than the sealing if that is
    of a clock that is ahead. Events from between the same two moments go into the same segment, which has its
    index from the beginning, and of those there are few at a time. What has expired already is deleted. After
    each step the catalogue is true again, so that there is nothing to keep in mind.

    :ivar deleted: events that were deleted and not asked for yet.
    """

    def __init__(self, sizes: SegmentSizes) -> None:
        self._sizes = sizes
        self.deleted = 0

    def step(self, connection: sqlite3.Connection, retention: int, now: int) -> bool:
        """Do a little; False if there is nothing to do.

        :param retention: nanoseconds after which events expire.
        :param now: the time in nanoseconds since the epoch.
        """
        noted = expiry.noted(connection)
        return self._purge(connection, noted) or self._divide(connection, noted, retention, now)

    def _purge(self, connection: sqlite3.Connection, noted: Sequence[Expired]) -> bool:
        """Delete what had expired before events were kept longer; then nothing need tell of it any more."""
        if len(noted) < 2:
            return False
        expired = noted[0]
        condition = f"time <= {expired.cutoff} AND id <= {expired.last_id}"
        for number, is_open in connection.execute(
            "SELECT id, sealed_at IS NULL FROM segment "
            "WHERE kind = 'event' AND first_id < ? AND (sealed_at IS NULL OR min_time <= ?)",
            (expired.last_id, expired.cutoff),
        ).fetchall():
            found = _find(connection, number, condition, self._sizes.divided_rows)
            if found and is_open:
                return False  # until it is sealed, in a moment
            if found:
                with transaction(connection):
                    _remove(connection, number, found)
                self.deleted += len(found)
                return True
        with transaction(connection):
            expiry.forget(connection, expired)
        return True

    def _divide(
        self,
        connection: sqlite3.Connection,
        noted: Sequence[Expired],
        retention: int,
        now: int,
    ) -> bool:
        """Move some of the oldest events of the segment that has the oldest of all and spans too much."""
        span = max(retention // SPANS_IN_RETENTION, 1)
        width = span + min(max(span, _SLACK[0]), _SLACK[1])
        wide = connection.execute(
            "SELECT id, edge FROM (SELECT id, min_time, min(max_time, sealed_at) AS edge FROM segment "
            "WHERE kind = 'event' AND sealed_at IS NOT NULL) WHERE edge - min_time > ? "
            "ORDER BY min_time LIMIT 1",
            (width,),
        ).fetchone()
        if wide is None:
            return False
        number, edge = wide
        found = _find(connection, number, f"time < {edge - width}", self._sizes.divided_rows)
        parts: dict[int, list[_Found]] = {}
        deleted = 0
        for each in found:
            if any(each[1] <= expired.cutoff and each[0] <= expired.last_id for expired in noted):
                deleted += 1
            else:
                parts.setdefault(each[1] // span, []).append(each)
        with transaction(connection):
            for place, part in sorted(parts.items()):
                times = (max(place * span, _LEAST), min((place + 1) * span, _MOST))
                target = _late_segment(connection, times, part[0], self._sizes.segment_rows, now)
                _append(connection, number, target, part)
                streams = {stream for _, _, stream in part}
                note_in_segment(connection, target, streams, self._sizes.segments_passed)
            _remove(connection, number, found)
        self.deleted += deleted
        return True


def _find(connection: sqlite3.Connection, number: int, condition: str, most: int) -> list[_Found]:
    """Some events of a segment, in the order of their ids."""
    (found,) = connection.execute(
        "SELECT json_group_array(json_array(id, time, stream)) FROM (SELECT id, time, stream "
        f"FROM event_{number} WHERE {condition} LIMIT {most})"
    ).fetchone()
    return [(row[0], row[1], row[2]) for row in json.loads(found)]


def _late_segment(
    connection: sqlite3.Connection, times: tuple[int, int], first: _Found, segment_rows: int, now: int
) -> int:
    """The segment for events that came late, of these times, which is made if there is none with room."""
    there = connection.execute(
        "SELECT id FROM segment WHERE kind = 'event' AND begins_at = ? AND ends_at = ? AND row_count < ?",
        (*times, segment_rows),
    ).fetchone()
    if there is not None:
        return int(there[0])
    (number,) = connection.execute(
        "INSERT INTO segment (kind, first_id, opened_at, sealed_at, min_time, max_time, row_count, "
        "begins_at, ends_at) VALUES ('event', ?1 - 1, ?2, ?2, ?3, ?3, 0, ?4, ?5) RETURNING id",
        (first[0], now, first[1], *times),
    ).fetchone()
    table = f"event_{number}"
    make_table(connection, table)
    index_by_stream(connection, table)
    refresh_rows_views(connection)
    return int(number)


def _append(connection: sqlite3.Connection, source: int, target: int, part: Sequence[_Found]) -> None:
    """Copy events into a segment."""
    ids, times, _ = zip(*part, strict=True)
    connection.execute(
        f"INSERT INTO event_{target} (id, stream, time, text, othertags) SELECT id, stream, time, text, "
        f"othertags FROM event_{source} WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(ids),),
    )
    connection.execute(
        "UPDATE segment SET row_count = row_count + ?, first_id = min(first_id, ? - 1), "
        "min_time = min(min_time, ?), max_time = max(max_time, ?) WHERE id = ?",
        (len(part), ids[0], min(times), max(times), target),
    )
    enumerating.forget(connection, [target])
    templating.forget(connection, [target])


def _remove(connection: sqlite3.Connection, number: int, part: Sequence[_Found]) -> None:
    """Delete events of a segment, which goes with the last of them."""
    connection.execute(
        f"DELETE FROM event_{number} WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps([each[0] for each in part]),),
    )
    enumerating.forget(connection, [number])
    templating.forget(connection, [number])
    left = connection.execute(f"SELECT count(*), min(time), max(time) FROM event_{number}").fetchone()
    if left[0]:
        connection.execute(
            "UPDATE segment SET row_count = ?, min_time = ?, max_time = ? WHERE id = ?", (*left, number)
        )
    else:
        connection.execute("DELETE FROM segment WHERE id = ?", (number,))
        refresh_rows_views(connection)
        connection.execute(f"DROP TABLE event_{number}")
