"""Moving messages from one sealed segment into others, in small steps.

Messages from between the same two moments that are kept for the same time go into the same segment, which
has its index from the beginning. After each step the catalogue is true again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ccstore.message import INT64_MAX, INT64_MIN, Kind
from ccstore.storage.sqlite import segment_counts
from ccstore.storage.sqlite.expiry import IS_HELD
from ccstore.storage.sqlite.segments import index_by_stream, index_in_order, is_merged, make_table
from ccstore.storage.sqlite.sizes import SegmentSizes
from ccstore.storage.sqlite.streams import note_in_segment
from ccstore.storage.sqlite.views import refresh_rows_views

#: A segment spans this part of the time that its messages are kept for, so it goes soon after it may.
SPANS_IN_PERIOD: Final = 16
#: Nanoseconds that it may span beyond that: messages are on their way for a while, and segments are sealed
#: once a second. At least, and at most.
_SLACK: Final = (2_000_000_000, 30_000_000_000)
#: Instead of a period: the messages are held.
HELD: Final = -1


class Found(NamedTuple):
    """A message of a segment.

    :ivar keeps: nanoseconds after which it expires by a rule, if one is about it.
    :ivar is_chosen: what was asked of it.
    """

    id: int
    time: int
    stream: int
    keeps: int | None
    is_held: int
    is_chosen: int


class Place(NamedTuple):
    """What a segment is for: times from ``begins_at`` up to, and without, ``ends_at``.

    :ivar keeps: see :class:`Found`; :data:`HELD` for what is held.
    """

    keeps: int | None
    begins_at: int
    ends_at: int


def place_of(time: int, keeps: int | None, period: int) -> Place:
    """Where a message goes that is kept for a period (ns)."""
    span = max(period // SPANS_IN_PERIOD, 1)
    begin = time // span * span
    return Place(keeps, max(begin, INT64_MIN), min(begin + span, INT64_MAX))


def width_of(period: int) -> int:
    """Nanoseconds that a segment may span at most of which the messages are kept for a period (ns)."""
    span = max(period // SPANS_IN_PERIOD, 1)
    return span + min(max(span, _SLACK[0]), _SLACK[1])


def find(
    connection: sqlite3.Connection, table: str, condition: str, most: int, *, chosen: str = "0"
) -> list[Found]:
    """Some messages of a segment.

    :param chosen: a condition of which it is told whether it is true for them.
    """
    keeps = "(SELECT k.keeps FROM stream k WHERE k.id = stream)"
    (found,) = connection.execute(
        "SELECT json_group_array(json_array(id, time, stream, keeps, is_held, is_chosen)) FROM ("
        f"SELECT id, time, stream, {keeps} AS keeps, {IS_HELD} AS is_held, {chosen} AS is_chosen "
        f"FROM {table} WHERE {condition} LIMIT {most})"
    ).fetchone()
    return [Found(*row) for row in json.loads(found)]


def move(
    connection: sqlite3.Connection,
    kind: Kind,
    source: int,
    parts: Mapping[Place, Sequence[Found]],
    sizes: SegmentSizes,
    now: int,
) -> None:
    """Copy messages of a segment to where they belong; inside of a transaction that removes them there."""
    (edge,) = connection.execute(
        "SELECT min(max_time, sealed_at) FROM segment WHERE id = ?", (source,)
    ).fetchone()
    for place, part in sorted(parts.items(), key=lambda each: each[0][1:]):
        # It must not go later than it would have gone, whatever its clock was.
        sealed_at = now if place.keeps is None else min(now, edge)
        target = _target(connection, kind, source, place, part, sizes.segment_rows, (now, sealed_at))
        _append(connection, kind, source, target, part)
        streams = {each.stream for each in part}
        note_in_segment(connection, target, streams, sizes.segments_passed)


def _target(
    connection: sqlite3.Connection,
    kind: Kind,
    source: int,
    place: Place,
    part: Sequence[Found],
    most: int,
    made_at: tuple[int, int],
) -> int:
    """The segment for a place, which is made if there is none with room."""
    there = connection.execute(
        "SELECT id FROM segment WHERE kind = ? AND keeps IS ? AND begins_at = ? AND ends_at = ? "
        "AND packed = 0 AND row_count < ? AND id <> ?",
        (kind, *place, most, source),
    ).fetchone()
    if there is not None:
        connection.execute(
            "UPDATE segment SET sealed_at = max(sealed_at, ?) WHERE id = ?", (made_at[1], there[0])
        )
        return int(there[0])
    first = part[0]
    (number,) = connection.execute(
        "INSERT INTO segment (kind, first_id, opened_at, sealed_at, min_time, max_time, row_count, keeps, "
        "begins_at, ends_at, has_nul) VALUES (?1, ?2 - 1, ?4, ?5, ?3, ?3, 0, ?6, ?7, ?8, 0) RETURNING id",
        (kind, first.id, first.time, *made_at, *place),
    ).fetchone()
    table = f"{kind}_{number}"
    make_table(connection, table)
    (index_in_order if kind == "log" else index_by_stream)(connection, table)
    refresh_rows_views(connection)
    return int(number)


def _append(
    connection: sqlite3.Connection, kind: Kind, source: int, target: int, part: Sequence[Found]
) -> None:
    condition, given = _these(connection, f"{kind}_{source}", part)
    connection.execute(
        f"INSERT INTO {kind}_{target} (id, stream, time, text, othertags) SELECT id, stream, time, text, "
        f"othertags FROM {kind}_{source} WHERE {condition}",
        (given,),
    )
    times = [each.time for each in part]
    connection.execute(
        "UPDATE segment SET row_count = row_count + ?, first_id = min(first_id, ? - 1), "
        "min_time = min(min_time, ?), max_time = max(max_time, ?), has_nul = max(has_nul IS NOT 0, "
        "(SELECT has_nul IS NOT 0 FROM segment WHERE id = ?)) WHERE id = ?",
        (len(part), min(each.id for each in part), min(times), max(times), source, target),
    )
    segment_counts.forget(connection, [target])


def _these(connection: sqlite3.Connection, table: str, part: Sequence[Found]) -> tuple[str, str]:
    """A condition for these messages, and its parameter."""
    if is_merged(connection, table):
        keys = [(each.stream, each.time, each.id) for each in part]
        columns = ", ".join(f"json_extract(value, '$[{place}]')" for place in range(3))
        return f"(stream, time, id) IN (SELECT {columns} FROM json_each(?))", json.dumps(keys)
    return "id IN (SELECT value FROM json_each(?))", json.dumps([each.id for each in part])


def remove(connection: sqlite3.Connection, kind: Kind, number: int, part: Sequence[Found]) -> None:
    """Delete messages of a segment, which goes with the last of them; inside of a transaction."""
    table = f"{kind}_{number}"
    condition, given = _these(connection, table, part)
    connection.execute(f"DELETE FROM {table} WHERE {condition}", (given,))
    segment_counts.forget(connection, [number])
    left = connection.execute(f"SELECT count(*), min(time), max(time) FROM {table}").fetchone()
    if left[0]:
        connection.execute(
            "UPDATE segment SET row_count = ?, min_time = ?, max_time = ? WHERE id = ?", (*left, number)
        )
    else:
        drop(connection, kind, number)


def drop(connection: sqlite3.Connection, kind: Kind, number: int) -> None:
    """Delete a segment with all that it has; inside of a transaction."""
    connection.execute("DELETE FROM segment WHERE id = ?", (number,))
    segment_counts.forget(connection, [number])
    refresh_rows_views(connection)
    connection.execute(f"DROP TABLE {kind}_{number}")
