"""What the writing connection does."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Final, NamedTuple

from attrs import define, evolve

from ccstore.message import STORED_KINDS, Batch
from ccstore.storage.dbfile.sql import PAGE_SIZE, Say, checkpoint, transaction
from ccstore.storage.sqlite import expiry
from ccstore.storage.sqlite.dividing import SPANS_IN_RETENTION, Divider
from ccstore.storage.sqlite.expiry import Expired
from ccstore.storage.sqlite.merging import Merger
from ccstore.storage.sqlite.rows import insert_rows, placeholders
from ccstore.storage.sqlite.segments import index_by_stream, index_in_order, make_table
from ccstore.storage.sqlite.streams import Streams
from ccstore.storage.sqlite.versions import APPLICATION_ID
from ccstore.storage.sqlite.views import refresh_cluster_views, refresh_rows_views

#: Rows after which a segment is sealed: small enough that building its index stalls nobody for long.
SEGMENT_ROWS: Final = 65536
#: Rows of an open segment above which it is worth an index, once nothing is being written.
_INDEX_WHEN_IDLE: Final = 2048
_IDLE: Final = 1_000_000_000
#: Pages given back to the file system in one transaction.
_VACUUM_STEP: Final = (4 << 20) // PAGE_SIZE
#: Free pages that are kept for the segments to come, while messages come in and while they do not.
_FREE_PAGES_KEPT: Final = ((32 << 20) // PAGE_SIZE, (2 << 20) // PAGE_SIZE)

_OTHERTAGS: Final = attrgetter("othertags")


class State(NamedTuple):
    """What others want to know of a writer, after each thing that it does.

    :ivar is_full: a segment is to be sealed.
    :ivar written_at: when messages were last written, in nanoseconds since the epoch.
    :ivar active_tables: pairs of a cluster and a kind, each a table in the historical view.
    :ivar lasts: the id of the last message, by kind.
    """

    is_full: bool = False
    written_at: int = 0
    active_tables: int = 0
    writes: int = 0
    deletes: int = 0
    lasts: Mapping[str, int] = {}

    def is_idle(self, now: int) -> bool:
        """Nothing has been written for a while."""
        return now - self.written_at >= _IDLE


@define
class _Segment:
    """The open segment of a kind, as its writer knows it."""

    id: int
    first_id: int
    opened_at: int
    rows: int = 0
    min_time: int = 2**63 - 1
    max_time: int = -(2**63)
    is_indexed: bool = False
    written_at: int = 0

    def table(self, kind: str) -> str:
        return f"{kind}_{self.id}"


class Writer:
    """What the writing connection does; all of it runs in the writer's thread.

    :param retention: nanoseconds after which events expire.
    """

    def __init__(self, retention: int, now: Callable[[], int], say: Say) -> None:
        self._say = say
        self._retention = retention
        self._now = now
        self._open: dict[str, _Segment] = {}
        self._streams = Streams()
        self._merger = Merger(say)
        self._divider = Divider()
        self._writes = 0
        self._deletes = 0
        self._version: int | None = None  # another one after somebody else's commit
        # The open segments and the count of writes as they were before the transaction that is open.
        self._before: tuple[dict[str, _Segment], int] | None = None

    @property
    def state(self) -> State:
        segments = self._open.values()
        return State(
            any(segment.rows >= SEGMENT_ROWS for segment in segments),
            max((segment.written_at for segment in segments), default=0),
            len(self._streams.clusters),
            self._writes,
            self._deletes,
            {kind: segment.first_id + segment.rows for kind, segment in self._open.items()},
        )

    def _forget(self) -> None:
        self._open.clear()
        self._streams = Streams()
        self._merger = Merger(self._say)

    # -- opening

    def load(self, connection: sqlite3.Connection) -> None:
        """Read the catalogue; make what is missing."""
        with transaction(connection):
            self._merger.load(connection)
            for kind in STORED_KINDS:
                row = connection.execute(
                    "SELECT id, first_id, opened_at FROM segment WHERE kind = ? AND sealed_at IS NULL",
                    (kind,),
                ).fetchone()
                if row is None:
                    self._open[kind] = self._open_segment(connection, kind, first_id=0)
                    continue
                segment = self._open[kind] = _Segment(*row)
                rows, oldest, newest = connection.execute(
                    f"SELECT count(*), min(time), max(time) FROM {segment.table(kind)}"
                ).fetchone()
                if rows:
                    segment.rows, segment.min_time, segment.max_time = rows, oldest, newest
                segment.is_indexed = bool(
                    connection.execute(
                        "SELECT 1 FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?",
                        (segment.table(kind),),
                    ).fetchone()
                )
            self._streams.load(connection)
            refresh_rows_views(connection)
            refresh_cluster_views(connection, self._streams.clusters, self._say)

    # -- writing

    def write(
        self,
        connection: sqlite3.Connection,
        messages: Batch,
        also: Callable[[sqlite3.Connection], None] = lambda connection: None,
    ) -> None:
        """Commit all of these messages, and what ``also`` does to the database."""
        parts = [*messages.by_kind()]
        if not parts and self._before is None:
            # It changes nothing, but takes what a write takes: the lock and space on the disk.
            with transaction(connection):
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                also(connection)
            return
        with self._transaction(connection):
            self._insert_all(connection, parts)
            refresh_cluster_views(connection, self._streams.new_clusters, self._say)
            also(connection)
        self._streams.committed()

    def begin(self, connection: sqlite3.Connection, messages: Batch) -> None:
        """Insert messages that will be committed with those that are written next, unless that is undone.

        May be called several times. If it raises, all of that is undone.
        """
        if self._before is None:
            self._begin(connection)
        try:
            self._insert_all(connection, [*messages.by_kind()])
        except BaseException:
            self.undo(connection)
            raise

    def undo(self, connection: sqlite3.Connection) -> None:
        """Take back what was begun, if anything was."""
        if self._before is not None:
            self._streams.undo()
            self._roll_back(connection)

    @contextmanager
    def _transaction(self, connection: sqlite3.Connection) -> Iterator[None]:
        """A transaction that changes streams, or what is left of one that was begun.

        If it is rolled back, what is known of streams may not be so.
        """
        if self._before is None:
            self._begin(connection)
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            self._streams.forget()
            self._roll_back(connection)
            raise
        self._before = None

    def _begin(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        version = _data_version(connection)
        if self._version not in (None, version):
            # Somebody else has written: what is known of the file may be wrong, as after `.restore`.
            connection.execute("ROLLBACK")
            self._forget()
            self.load(connection)
            connection.execute("BEGIN IMMEDIATE")
            version = _data_version(connection)
        self._version = version
        self._before = ({kind: evolve(segment) for kind, segment in self._open.items()}, self._writes)

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        assert self._before is not None
        (self._open, self._writes), self._before = self._before, None
        if connection.in_transaction:
            connection.execute("ROLLBACK")

    def _insert_all(self, connection: sqlite3.Connection, parts: Sequence[tuple[str, Batch]]) -> None:
        now = self._now()
        for kind, part in parts:
            segment = self._open[kind]
            self._insert(connection, segment, kind, part)
            segment.rows += len(part)
            segment.min_time = min(segment.min_time, min(part.times))
            segment.max_time = max(segment.max_time, max(part.times))
            segment.written_at = now
            self._writes += len(part)

    def _insert(self, connection: sqlite3.Connection, segment: _Segment, kind: str, messages: Batch) -> None:
        table = segment.table(kind)
        columns: dict[str, Sequence[object]] = {
            "stream": self._streams.of(connection, kind, messages.series, segment.id),
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
            statement = f"INSERT INTO {table} (id, {', '.join(columns)}) VALUES {placeholders(1, width + 1)}"
            connection.execute(statement, (segment.first_id + 1, *flat[:width]))
            position = width
        insert_rows(connection, table, [*columns], flat[position:])

    # -- segments

    def retain(self, connection: sqlite3.Connection, retention: int) -> None:
        """From now on, events expire after so many nanoseconds."""
        self._retention = retention

    def tend(self, connection: sqlite3.Connection, now: int) -> None:
        """Seal what is large or old enough, and index what lies idle."""
        for kind, segment in list(self._open.items()):
            # It may have been opened by a clock that was ahead.
            age = abs(now - segment.opened_at)
            is_old = kind == "event" and segment.rows and age >= self._retention // SPANS_IN_RETENTION
            if segment.rows >= SEGMENT_ROWS or is_old:
                self.seal(connection, kind)
            elif (
                segment.rows >= _INDEX_WHEN_IDLE
                and not segment.is_indexed
                and now - segment.written_at >= _IDLE
            ):
                with transaction(connection):
                    self._index(connection, segment, kind)
                segment.is_indexed = True

    def seal(self, connection: sqlite3.Connection, kind: str) -> None:
        """Close the open segment of a kind, and open the next one."""
        segment = self._open[kind]
        table = segment.table(kind)
        with self._transaction(connection):
            self._index(connection, segment, kind)
            self._streams.note(connection, kind, segment.id, table)
            connection.execute(
                "UPDATE segment SET sealed_at = ?, min_time = ?, max_time = ?, row_count = ? WHERE id = ?",
                (self._now(), segment.min_time, segment.max_time, segment.rows, segment.id),
            )
            following = self._open_segment(connection, kind, first_id=segment.first_id + segment.rows)
            refresh_rows_views(connection)
        self._open[kind] = following

    def _open_segment(self, connection: sqlite3.Connection, kind: str, first_id: int) -> _Segment:
        now = self._now()
        (number,) = connection.execute(
            "INSERT INTO segment (kind, first_id, opened_at) VALUES (?, ?, ?) RETURNING id",
            (kind, first_id, now),
        ).fetchone()
        segment = _Segment(number, first_id, now)
        make_table(connection, segment.table(kind))
        return segment

    def _index(self, connection: sqlite3.Connection, segment: _Segment, kind: str) -> None:
        if segment.is_indexed:
            return
        table = segment.table(kind)
        if kind == "log":
            index_in_order(connection, table)
        else:
            index_by_stream(connection, table)

    def expire(self, connection: sqlite3.Connection, cutoff: int) -> int:
        """Note what has expired, and drop event segments in which nothing is newer than the cutoff.

        Returns how many rows are gone since the last time.
        """
        self._note_expired(connection, cutoff)
        # A wrong clock must not keep a segment for ever: what was sealed before the cutoff goes too.
        expired = connection.execute(
            "SELECT id, row_count FROM segment WHERE kind = 'event' AND sealed_at IS NOT NULL "
            "AND (max_time <= ? OR sealed_at <= ?) ORDER BY id",
            (cutoff, cutoff),
        ).fetchall()
        for number, _ in expired:
            with transaction(connection):
                connection.execute("DELETE FROM segment WHERE id = ?", (number,))
                refresh_rows_views(connection)
                connection.execute(f"DROP TABLE event_{number}")
        if expired:
            with self._transaction(connection):
                self._streams.drop(connection, self._open["event"].table("event"))
            self._deletes += 1
        deleted, self._divider.deleted = self._divider.deleted, 0
        return deleted + sum(int(rows) for _, rows in expired)

    def _note_expired(self, connection: sqlite3.Connection, cutoff: int) -> None:
        now = self._now()
        retention = min(self._retention, 2**63 - 1)
        if self._open["event"].min_time <= cutoff or expiry.is_to_be_noted(
            connection, cutoff, retention, now
        ):
            with self._transaction(connection):
                last_id = self._open["event"].first_id + self._open["event"].rows
                expiry.note(connection, Expired(cutoff, last_id), retention, now)
        segment = self._open["event"]
        if any(
            each.cutoff > cutoff and each.cutoff >= segment.min_time and each.last_id > segment.first_id
            for each in expiry.noted(connection)
        ):
            # It has events that had expired before they were kept longer, and that are to be deleted.
            self.seal(connection, "event")

    def divide(self, connection: sqlite3.Connection) -> bool:
        """Go one step on in moving events that came late; False if there is nothing to do."""
        return self._divider.step(connection, self._retention, SEGMENT_ROWS, self._now())

    def merge(self, connection: sqlite3.Connection) -> bool:
        """Go one step on in the merging of log segments; False if there is nothing to do."""
        return self._merger.step(connection, SEGMENT_ROWS)

    def give_back(self, connection: sqlite3.Connection) -> bool:
        """Give a step's worth of free pages back to the file system; True if there is more to give."""
        free = connection.execute("PRAGMA freelist_count").fetchone()[0]
        kept = _FREE_PAGES_KEPT[self.state.is_idle(self._now())]
        if free <= kept:
            return False
        step = min(_VACUUM_STEP, free - kept)
        # It gives back a page at each step, and executescript() is what goes on to the last.
        connection.executescript(f"PRAGMA incremental_vacuum({step})")
        return bool(free - step > kept)

    def checkpoint(self, connection: sqlite3.Connection) -> None:
        """See :func:`ccstore.storage.dbfile.sql.checkpoint`."""
        checkpoint(connection)

    def figures(self, connection: sqlite3.Connection) -> dict[str, int]:
        """Figures that need the database."""
        segments = connection.execute("SELECT count(*) FROM segment").fetchone()[0]
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return {"segments": segments, "bytes": pages * size, "free_bytes": free * size}


def _data_version(connection: sqlite3.Connection) -> int:
    """Another number after each commit of another connection."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])
