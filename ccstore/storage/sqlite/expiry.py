"""What has expired is noted in the file, so that it stays so, also when events are kept longer."""

from __future__ import annotations

import sqlite3
from typing import Final

from attrs import frozen

from ccstore.message import INT64_MIN, Kind
from ccstore.storage.reading.dialect import Terms

#: The tables that tell of it, see :class:`ccstore.storage.reading.dialect.Dialect`.
TABLES: Final = {name: name for name in ("hold", "held", "lapsed")} | {"streams": "stream"}
#: See :class:`ccstore.storage.reading.dialect.Terms`.
TERMS: Final = (
    "SELECT 'mark' AS what, cutoff AS one, last_id + 1 AS other FROM expired WHERE cutoff >= ?1 "
    "UNION ALL SELECT kind, min(nanoseconds), max(nanoseconds) FROM retention_rule GROUP BY kind "
    "UNION ALL SELECT 'held', min(begins_at), 0 FROM hold "
    "UNION ALL SELECT 'lapsed', max(cutoff), 0 FROM lapsed"
)
# Conditions on the columns id, stream and time of a message.
_BY_MARK: Final = "EXISTS (SELECT 1 FROM expired e WHERE e.cutoff >= time AND e.last_id >= id)"
#: Nothing has expired.
NEVER: Final = "0"
#: It is held.
IS_HELD: Final = (
    "EXISTS (SELECT 1 FROM held h WHERE h.stream_id = stream AND h.begins_at <= time AND h.ends_at >= time)"
)
#: No rule is about its stream.
_HAS_NO_RULE: Final = "EXISTS (SELECT 1 FROM stream k WHERE k.id = stream AND k.keeps IS NULL)"
_HAS_LAPSED: Final = (
    "EXISTS (SELECT 1 FROM lapsed l WHERE l.stream_id = stream AND l.cutoff >= time AND l.last_id >= id)"
)
#: Marks of the retention time are about it.
IS_PLAIN: Final = f"({_HAS_NO_RULE} AND NOT {IS_HELD})"


def has_expired(connection: sqlite3.Connection, kind: Kind) -> str:
    """A condition on a message of a kind: it has expired, by what is noted."""
    terms = terms_of(connection)
    by_mark = _BY_MARK if kind == "event" else NEVER
    if not terms.are_by_stream(kind):
        return by_mark
    return f"(({by_mark} AND {_HAS_NO_RULE} OR {_HAS_LAPSED}) AND NOT {IS_HELD})"


def terms_of(connection: sqlite3.Connection) -> Terms:
    """All that the file says of what has expired."""
    return Terms.of(connection.execute(TERMS, (INT64_MIN,)).fetchall())


def has_period_left(kind: Kind, now: str) -> str:
    """A condition on a message of a kind: it has not expired by its period or the retention time, or is held.

    :param now: the present time, in SQL.
    """
    default = "(SELECT nanoseconds FROM retention)" if kind == "event" else "NULL"
    keeps = f"coalesce((SELECT k.keeps FROM stream k WHERE k.id = stream), {default})"
    return f"(coalesce(time > {now} - {keeps}, 1) OR {IS_HELD})"


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
