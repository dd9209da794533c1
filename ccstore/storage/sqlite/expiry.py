"""What has expired is noted in the file, so that it stays so, also when events are kept longer."""

from __future__ import annotations

import sqlite3
from typing import Final

from attrs import frozen

#: A condition on the columns id and time: the event has expired, by what is noted.
HAS_EXPIRED: Final = "EXISTS (SELECT 1 FROM expired e WHERE e.cutoff >= time AND e.last_id >= id)"


@frozen
class Expired:
    """Of the events with ids up to ``last_id``, those at or before ``cutoff`` have expired."""

    cutoff: int
    last_id: int


def noted(connection: sqlite3.Connection) -> list[Expired]:
    """What is noted: the newest comes last, and has the earliest cutoff.

    There are several only after events are kept longer than before, and until those are deleted that are
    known by the others.
    """
    return [
        Expired(*row)
        for row in connection.execute("SELECT cutoff, last_id FROM expired ORDER BY cutoff DESC").fetchall()
    ]


def is_to_be_noted(connection: sqlite3.Connection, cutoff: int, retention: int, now: int) -> bool:
    """Whether anything is different from what is noted, as far as sealed segments go."""
    (is_new,) = connection.execute(
        "SELECT (SELECT nanoseconds FROM retention) IS NOT ?1 OR EXISTS (SELECT 1 FROM segment "
        "WHERE kind = 'event' AND sealed_at IS NOT NULL AND (min_time <= ?2 OR sealed_at > ?3))",
        (retention, cutoff, now),
    ).fetchone()
    return bool(is_new)


def note(connection: sqlite3.Connection, expired: Expired, retention: int, now: int) -> None:
    """Note what has expired now, and how long events are kept; inside of a transaction.

    :param retention: nanoseconds.
    """
    cutoffs = [expired.cutoff]
    (before,) = connection.execute("SELECT nanoseconds FROM retention").fetchone()
    if before != retention:
        # Up to now they were kept so long, also while no daemon was there to note it.
        cutoffs.insert(0, now - before)
        connection.execute("UPDATE retention SET nanoseconds = ?", (retention,))
    for cutoff in cutoffs:
        connection.execute("DELETE FROM expired WHERE cutoff <= ?", (cutoff,))
        connection.execute("INSERT INTO expired VALUES (?, ?)", (expired.last_id, cutoff))
    # The clock was ahead then. Nothing can be said of when that was, but that it was before now.
    connection.execute(
        "UPDATE segment SET sealed_at = ?1 WHERE kind = 'event' AND sealed_at > ?1",
        (now,),
    )


def forget(connection: sqlite3.Connection, expired: Expired) -> None:
    """All that this stands for is deleted; inside of a transaction."""
    connection.execute(
        "DELETE FROM expired WHERE cutoff = ? AND last_id = ?", (expired.cutoff, expired.last_id)
    )
