"""Writing messages: transactions, and the streams and segments that belong to them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from ccstore.batch import Batch, by_kind
from ccstore.storage.dbfile.sql import Say, transaction
from ccstore.storage.sqlite.open_segments import OpenSegment, OpenSegments
from ccstore.storage.sqlite.sizes import SegmentSizes
from ccstore.storage.sqlite.streams import Placing, Streams
from ccstore.storage.sqlite.versions import APPLICATION_ID
from ccstore.storage.sqlite.views import refresh_cluster_views, refresh_rows_views

#: Nanoseconds without a message after which nothing is being written.
IDLE: Final = 1_000_000_000


class State(NamedTuple):
    """What others want to know of a writer, after each thing that it does.

    :ivar is_full: a segment is to be sealed.
    :ivar written_at: when messages were last written, in nanoseconds since the epoch.
    :ivar active_tables: pairs of a cluster and a kind, each a table in the historical view.
    :ivar writes: messages that were written.
    :ivar deletes: times that expired events were deleted.
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
        return now - self.written_at >= IDLE


class Writer:
    """Writes by one connection; all of it runs in one thread.

    :param connection: to a file of ours, which nobody else writes to with a writer.
    :param now: the time in nanoseconds since the epoch.
    :param say: tells people, such as of clusters that can have no view.
    :ivar loading: what else has to be read when the file is; called inside of that transaction.
    :ivar placing: notes more of streams that are made, inside of the transaction in which they are; to be set
        before anything is loaded.
    :ivar deletes: times that expired events were deleted, counted by the housekeeping.
    """

    def __init__(
        self, connection: sqlite3.Connection, now: Callable[[], int], say: Say, sizes: SegmentSizes
    ) -> None:
        self.connection = connection
        self.sizes = sizes
        self.segments = OpenSegments(now)
        self.placing: Placing = lambda connection, made: None
        self.streams = Streams(sizes, self.placing)
        self.loading: list[Callable[[sqlite3.Connection], None]] = []
        self.deletes = 0
        self._now = now
        self._say = say
        self._writes = 0
        self._version: int | None = None  # another one after somebody else's commit
        # The open segments and the count of writes as they were before the transaction that is open.
        self._before: tuple[Mapping[str, OpenSegment], int] | None = None

    @property
    def state(self) -> State:
        """What others want to know of it."""
        segments = self.segments
        return State(
            segments.most_rows >= self.sizes.segment_rows,
            segments.written_at,
            len(self.streams.clusters),
            self._writes,
            self.deletes,
            segments.last_ids,
        )

    def load(self) -> None:
        """Read the catalogue; make what is missing."""
        self.segments = OpenSegments(self._now)
        self.streams = Streams(self.sizes, self.placing)
        with transaction(self.connection):
            for load in self.loading:
                load(self.connection)
            self.segments.load(self.connection)
            self.streams.load(self.connection)
            refresh_rows_views(self.connection)
            self._refresh_cluster_views(self.streams.clusters)

    def _refresh_cluster_views(self, clusters: set[tuple[str, str]]) -> None:
        refresh_cluster_views(self.connection, clusters, self._say, most_names=self.sizes.names)

    def write(
        self, messages: Batch, also: Callable[[sqlite3.Connection], None] = lambda connection: None
    ) -> None:
        """Commit all of these messages, and what ``also`` does to the database."""
        parts = [*by_kind(messages)]
        if not parts and self._before is None:
            # It changes nothing, but takes what a write takes: the lock and space on the disk.
            with transaction(self.connection):
                self.connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                also(self.connection)
            return
        with self.transaction():
            self._insert(parts)
            self._refresh_cluster_views(self.streams.new_clusters)
            also(self.connection)
        self.streams.committed()

    def begin(self, messages: Batch) -> None:
        """Insert messages that will be committed with those that are written next, unless that is undone.

        May be called several times. If it raises, all of that is undone.
        """
        if self._before is None:
            self._begin()
        try:
            self._insert([*by_kind(messages)])
        except BaseException:
            self.undo()
            raise

    def undo(self) -> None:
        """Take back what was begun, if anything was."""
        if self._before is not None:
            self.streams.undo()
            self._roll_back()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """``with`` a transaction that may change streams and open segments, or what is left of one begun.

        If it is rolled back, what is known of streams may not be so.
        """
        if self._before is None:
            self._begin()
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            self.streams.forget()
            self._roll_back()
            raise
        self._before = None

    def _begin(self) -> None:
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = _data_version(connection)
            if self._version not in (None, version):
                # Somebody else has written: what is known of the file may be wrong, as after `.restore`.
                connection.execute("ROLLBACK")
                self.load()
                connection.execute("BEGIN IMMEDIATE")
                version = _data_version(connection)
        except BaseException:
            connection.rollback()
            raise
        self._version = version
        self._before = (self.segments.copy(), self._writes)

    def _roll_back(self) -> None:
        assert self._before is not None
        (segments, self._writes), self._before = self._before, None
        self.segments.restore(segments)
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def _insert(self, parts: Sequence[tuple[str, Batch]]) -> None:
        for kind, part in parts:
            segment = self.segments[kind]
            streams = self.streams.of(self.connection, kind, part.series, segment.id)
            self.segments.append(self.connection, kind, part, streams)
            self._writes += len(part)


def _data_version(connection: sqlite3.Connection) -> int:
    """Another number after each commit of another connection."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])
