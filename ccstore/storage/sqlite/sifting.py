"""Which segments go as a whole, where rules and holds keep some messages longer than others.

A segment of which nothing is kept is dropped. One of which little is kept has that moved into segments of
its own, in small steps, and is dropped then; a packed one is packed again with that alone. One of which most
is kept stays: what has expired in it is not seen.
"""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Collection, Mapping, Sequence

from attrs import evolve, frozen

from ccstore.message import INT64_MAX, INT64_MIN, Kind
from ccstore.storage.census import stream_numbers, totals
from ccstore.storage.dbfile.sql import transaction
from ccstore.storage.sqlite import moving
from ccstore.storage.sqlite.expiry import IS_HELD
from ccstore.storage.sqlite.moving import HELD, Found, Place, place_of
from ccstore.storage.sqlite.packing_plan import Remnant
from ccstore.storage.sqlite.sizes import SegmentSizes


@frozen
class _Sealed:
    """A sealed segment.

    :ivar edge: the time (ns) that it goes by: that of its newest message, or of its sealing if its clock was
        wrong.
    :ivar packed: it has blocks and no table: what is kept of it keeps all of it.
    """

    id: int
    kind: Kind
    rows: int
    oldest: int
    edge: int
    packed: int


@frozen
class Kept:
    """What there is of a segment that stays.

    :ivar streams: all of whose messages are kept.
    :ivar held: streams of which what is held is kept.
    :ivar rows: that are kept, at most; ``held_rows`` are those of the streams of ``held``.
    """

    streams: Sequence[int]
    held: Sequence[int]
    rows: int
    held_rows: int


@frozen
class Streams:
    """What rules and holds say of streams now.

    :ivar cutoffs: by kind, the time (ns) at or before which messages have expired of which no rule is about
        the stream; a kind that has none does not expire.
    :ivar has_logs: there is a rule for logs.
    :ivar own: by stream, the same where a rule is about it.
    :ivar held: by stream, the times that are held.
    """

    cutoffs: Mapping[Kind, int]
    has_logs: bool
    own: Mapping[int, int]
    held: Mapping[int, Sequence[tuple[int, int]]]

    @property
    def newest(self) -> int:
        """The time after which nothing has expired."""
        return max([INT64_MIN, *self.cutoffs.values(), *self.own.values()])

    def kept(self, segment: _Sealed, streams: Sequence[int], counts: Sequence[int]) -> Kept:
        """What is kept of a segment, of which it is known how many messages each stream has."""
        kept, held, rows, held_rows = [], [], 0, 0
        default = self.cutoffs.get(segment.kind, INT64_MIN)
        for stream, count in zip(streams, counts, strict=True):
            if self.own.get(stream, default) < segment.edge:
                kept.append(stream)
                rows += count
            elif any(
                begin <= segment.edge and end >= segment.oldest for begin, end in self.held.get(stream, ())
            ):
                held.append(stream)
                held_rows += count
        return Kept(kept, held, rows + held_rows, held_rows)


def all_expired(streams: Streams) -> Streams:
    """The same, as if all had expired that ever does."""
    own = dict.fromkeys(streams.own, INT64_MAX)
    return evolve(streams, cutoffs=dict.fromkeys(streams.cutoffs, INT64_MAX), own=own)


def streams_now(connection: sqlite3.Connection, cutoff: int, now: int) -> Streams:
    """What rules and holds say now.

    :param cutoff: the time (ns) at or before which events have expired that no rule is about.
    """
    (found,) = connection.execute(
        "SELECT json_group_array(json_array(id, keeps)) FROM stream WHERE keeps IS NOT NULL"
    ).fetchone()
    own = {stream: max(now - keeps, INT64_MIN) for stream, keeps in json.loads(found)}
    (found,) = connection.execute(
        "SELECT json_group_array(json_array(stream_id, begins_at, ends_at)) FROM held"
    ).fetchone()
    held: dict[int, list[tuple[int, int]]] = {}
    for stream, begin, end in json.loads(found):
        held.setdefault(stream, []).append((begin, end))
    (has_logs,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM retention_rule WHERE kind = 'log')"
    ).fetchone()
    return Streams({"event": cutoff}, bool(has_logs), own, held)


@frozen
class _Task:
    """A segment from which is moved what is kept."""

    segment: _Sealed
    kept: Kept


class Sifter:
    """Finds out what goes, and moves what stays; runs in the writer's thread.

    :param remnants: by the numbers of packed segments: what stays of them, which is packed again.
    :ivar deleted: messages that were deleted and not asked for yet.
    """

    def __init__(self, sizes: SegmentSizes, remnants: dict[int, Remnant]) -> None:
        self._sizes = sizes
        self._remnants = remnants
        self._tasks: deque[_Task] = deque()
        # By segment, which rows it had and what had expired of it when it was looked at.
        self._seen: dict[int, tuple[object, ...]] = {}
        # Packed segments that were to be packed again so that there is room.
        self._waited: set[int] = set()
        self.deleted = 0

    def forget(self, connection: sqlite3.Connection) -> None:
        """Segments, rules or holds may be others than before."""
        self._tasks.clear()
        self._seen.clear()
        self._waited.clear()

    @property
    def segments(self) -> Collection[int]:
        """Those from which is moved what is kept."""
        return [task.segment.id for task in self._tasks]

    def plan(
        self, connection: sqlite3.Connection, streams: Streams, busy: Collection[int]
    ) -> list[tuple[int, Kind]]:
        """Find out what there is to do; the segments of which nothing is kept.

        :param busy: segments that are being made something else.
        """
        gone: list[tuple[int, Kind]] = []
        expired_periods = sorted({*streams.own.values(), *streams.cutoffs.values()})
        for row in connection.execute(
            "SELECT id, kind, row_count, min_time, min(max_time, sealed_at), packed FROM segment "
            "WHERE kind IN (?, 'event') AND sealed_at IS NOT NULL AND min(max_time, sealed_at) <= ? "
            "ORDER BY max_time",
            ("log" if streams.has_logs else "event", streams.newest),
        ).fetchall():
            segment = _Sealed(*row)
            if segment.id in busy or segment.id in self.segments:
                continue
            past = sum(cutoff >= segment.edge for cutoff in expired_periods)
            if self._seen.get(segment.id) == (segment.rows, past):
                continue
            counted = _counted(connection, segment.id)
            if counted is None:
                continue  # it soon is
            self._seen[segment.id] = (segment.rows, past)
            kept = _exactly(connection, segment, streams.kept(segment, *counted))
            if not kept.rows:
                gone.append((segment.id, segment.kind))
            elif 2 * kept.rows <= segment.rows:
                self._plan_rest(connection, segment, kept)
        return gone

    def _plan_rest(self, connection: sqlite3.Connection, segment: _Sealed, kept: Kept) -> None:
        """Have what is kept of a segment moved, or packed again."""
        if segment.packed:
            self._remnants[segment.id] = Remnant(
                segment.kind, segment.id, segment.rows, segment.packed, kept.streams, kept.held
            )
            return
        with transaction(connection):
            # Nothing more is put into it, if it is for messages that were moved: that would go with the rest.
            connection.execute("UPDATE segment SET ends_at = begins_at WHERE id = ?", (segment.id,))
        self._tasks.append(_Task(segment, kept))

    def oldest(
        self, connection: sqlite3.Connection, streams: Streams, busy: Collection[int]
    ) -> tuple[int, Kind] | None:
        """The segment that goes first when there is no more room: of events, and of logs behind all of them.

        One of which little may not go has that moved first, and is none until then, or is packed again.
        """
        for row in connection.execute(
            "SELECT id, kind, row_count, min_time, min(max_time, sealed_at) AS edge, packed FROM segment "
            "WHERE kind IN (?, 'event') AND sealed_at IS NOT NULL ORDER BY kind, edge",
            ("log" if streams.has_logs else "event",),
        ).fetchall():
            segment = _Sealed(*row)
            counted = None if segment.id in busy else _counted(connection, segment.id)
            if counted is None:
                continue
            if segment.id in self.segments:
                return None
            kept = _exactly(connection, segment, streams.kept(segment, *counted))
            if not kept.rows:
                return segment.id, segment.kind
            if 2 * kept.rows > segment.rows or segment.id in self._waited:
                continue
            if segment.packed:
                # Once: to be packed again may fail, and there has to be room.
                self._waited.add(segment.id)
            self._plan_rest(connection, segment, kept)
            return None
        return None

    def step(self, connection: sqlite3.Connection, retention: int, now: int, busy: Collection[int]) -> bool:
        """Move a little; False if there is nothing to do.

        :param busy: segments that are being made something else, and that are left alone until they are.
        :param retention: nanoseconds after which events expire that no rule is about.
        """
        if not self._tasks or self._tasks[0].segment.id in busy:
            return False
        task = self._tasks[0]
        kind, number = task.segment.kind, task.segment.id
        left = connection.execute("SELECT row_count FROM segment WHERE id = ?", (number,)).fetchone()
        if left is None:
            self._tasks.popleft()  # it has become empty
            return True
        condition = f"stream IN ({_list(task.kept.streams)})"
        if task.kept.held:
            condition += f" OR (stream IN ({_list(task.kept.held)}) AND {IS_HELD})"
        found = moving.find(connection, f"{kind}_{number}", condition, self._sizes.divided_rows)
        with transaction(connection):
            if found:
                own = {*task.kept.streams}
                parts: dict[Place, list[Found]] = {}
                for each in found:
                    keeps = each.keeps if each.stream in own else HELD
                    period = keeps if keeps is not None and keeps != HELD else retention
                    parts.setdefault(place_of(each.time, keeps, period), []).append(each)
                moving.move(connection, kind, number, parts, self._sizes, now)
                moving.remove(connection, kind, number, found)
            else:
                moving.drop(connection, kind, number)
        if not found:
            self.deleted += left[0]
            self._tasks.popleft()
        return True


def _counted(connection: sqlite3.Connection, number: int) -> tuple[Sequence[int], Sequence[int]] | None:
    """The streams of a segment, and how many messages each has; None if that is not known."""
    found = connection.execute("SELECT streams, totals FROM census WHERE segment = ?", (number,)).fetchone()
    return None if found is None else (stream_numbers(found[0]), totals(found[1]))


def _exactly(connection: sqlite3.Connection, segment: _Sealed, kept: Kept) -> Kept:
    """The same with the number of what is really held, which may be little of some streams."""
    if not kept.held or segment.packed:
        return kept
    (held,) = connection.execute(
        f"SELECT count(*) FROM {segment.kind}_{segment.id} WHERE stream IN ({_list(kept.held)}) AND {IS_HELD}"
    ).fetchone()
    return evolve(kept, rows=kept.rows - kept.held_rows + held)


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
