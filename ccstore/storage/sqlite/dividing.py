"""Moving events that came late into segments of their own.

A segment goes as a whole, with its newest event. One that came late would stay with the others of its segment
long after it has expired, and so would those whose segment was made while events were kept longer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ccstore.storage.dbfile.sql import transaction
from ccstore.storage.sqlite import expiry
from ccstore.storage.sqlite.expiry import IS_PLAIN, Expired
from ccstore.storage.sqlite.moving import Found, Place, find, move, place_of, remove, width_of
from ccstore.storage.sqlite.sizes import SegmentSizes


class Divider:
    """Moves in steps; runs in the writer's thread. What is packed stays where it is.

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
        for expired in noted[:-1]:
            condition = f"time <= {expired.cutoff} AND id <= {expired.last_id} AND {IS_PLAIN}"
            segments = connection.execute(
                "SELECT id, sealed_at IS NULL, packed > 0 FROM segment "
                "WHERE kind = 'event' AND first_id < ? AND (sealed_at IS NULL OR min_time <= ?)",
                (expired.last_id, expired.cutoff),
            ).fetchall()
            for number, is_open, is_packed in segments:
                if is_packed:
                    continue
                found = find(connection, f"event_{number}", condition, self._sizes.divided_rows)
                if found and is_open:
                    return False  # until it is sealed, in a moment
                if found:
                    with transaction(connection):
                        remove(connection, "event", number, found)
                    self.deleted += len(found)
                    return True
            if not any(is_packed for *_, is_packed in segments):
                with transaction(connection):
                    expiry.forget(connection, expired)
                return True
        return False

    def _divide(
        self,
        connection: sqlite3.Connection,
        noted: Sequence[Expired],
        retention: int,
        now: int,
    ) -> bool:
        """Move some of the oldest events of the segment that has the oldest of all and spans too much."""
        width = width_of(retention)
        wide = connection.execute(
            "SELECT id, edge FROM (SELECT id, min_time, min(max_time, sealed_at) AS edge FROM segment "
            "WHERE kind = 'event' AND sealed_at IS NOT NULL AND keeps IS NULL AND packed = 0) "
            "WHERE edge - min_time > ? "
            "ORDER BY min_time LIMIT 1",
            (width,),
        ).fetchone()
        if wide is None:
            return False
        number, edge = wide
        found = find(
            connection,
            f"event_{number}",
            f"time < {edge - width}",
            self._sizes.divided_rows,
            chosen=expiry.has_expired(connection, "event"),
        )
        parts: dict[Place, list[Found]] = {}
        deleted = 0
        for each in found:
            if each.is_chosen:
                deleted += 1
            else:
                place = place_of(each.time, each.keeps, retention if each.keeps is None else each.keeps)
                parts.setdefault(place, []).append(each)
        with transaction(connection):
            move(connection, "event", number, parts, self._sizes, now)
            remove(connection, "event", number, found)
        self.deleted += deleted
        return True
