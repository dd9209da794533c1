"""What is done to the segments besides appending: sealing, expiring, merging, counting, giving back space."""

from __future__ import annotations

from collections.abc import Callable

from ccstore.message import STORED_KINDS
from ccstore.storage.census import Tally
from ccstore.storage.dbfile.sql import Say, checkpoint, transaction
from ccstore.storage.sqlite import enumerating, expiry, templating
from ccstore.storage.sqlite.dividing import SPANS_IN_RETENTION, Divider
from ccstore.storage.sqlite.enumerating import Enumerator, Names
from ccstore.storage.sqlite.expiry import Expired
from ccstore.storage.sqlite.merging import Merger
from ccstore.storage.sqlite.open_segments import OpenSegment
from ccstore.storage.sqlite.packer import Packer
from ccstore.storage.sqlite.templating import TemplateCounter
from ccstore.storage.sqlite.views import refresh_rows_views
from ccstore.storage.sqlite.writer import IDLE, Writer


class Housekeeping:
    """Keeps the file of a writer in order; all of it runs in the writer's thread, in short transactions.

    To be made before the writer loads the file.

    :param retention: nanoseconds after which events expire.
    :param now: the time in nanoseconds since the epoch.
    :param say: tells people of segments that cannot be merged.
    :ivar packer: does what packing takes of a writer.
    """

    def __init__(self, writer: Writer, retention: int, now: Callable[[], int], say: Say) -> None:
        self._writer = writer
        self._connection = writer.connection
        self._sizes = writer.sizes
        self._retention = retention
        self._now = now
        self._names = Names(writer.sizes.streams_held)
        self._merger = Merger(say, writer.sizes, self._names)
        self._divider = Divider(writer.sizes)
        self._enumerator = Enumerator(writer.sizes, self._names)
        self._templates = TemplateCounter(writer.sizes)
        self.packer = Packer(self._connection, say, writer.sizes, self._names)
        writer.loading += [
            *(self._names.forget, self.packer.load, self._merger.load, self._enumerator.forget),
            self._templates.forget,
        ]

    def retain(self, retention: int) -> None:
        """From now on, events expire after so many nanoseconds."""
        self._retention = retention

    def tend(self, now: int) -> None:
        """Seal what is large or old enough, and index what lies idle."""
        for kind in STORED_KINDS:
            segment = self._writer.segments[kind]
            # It may have been opened by a clock that was ahead.
            age = abs(now - segment.opened_at)
            is_old = kind == "event" and segment.rows and age >= self._retention // SPANS_IN_RETENTION
            is_idle = now - segment.written_at >= IDLE
            if segment.rows >= self._sizes.segment_rows or is_old:
                self.seal(kind)
            elif segment.rows >= self._sizes.indexed_rows and not segment.is_indexed and is_idle:
                with transaction(self._connection):
                    self._writer.segments.index(self._connection, segment)
                segment.is_indexed = True

    def seal(self, kind: str) -> None:
        """Close the open segment of a kind, if it has any messages, and open the next one."""
        writer = self._writer
        with writer.transaction():
            segment = writer.segments[kind]
            if not segment.rows:
                return
            writer.segments.index(self._connection, segment)
            streams, times = self._count_at_once(segment)
            writer.streams.note(self._connection, kind, segment.id, streams)
            writer.segments.seal(self._connection, segment, *times)
            refresh_rows_views(self._connection)

    def _count_at_once(self, segment: OpenSegment) -> tuple[set[int], tuple[int, int]]:
        """Take the census of a segment, unless it has to be taken in steps.

        Returns its streams, and the times of its oldest and newest message.
        """
        if segment.is_spread:
            return {*segment.streams}, (segment.min_time, segment.max_time)
        tally = Tally(segment.streams, segment.times)
        streams = {*tally.totals}
        census = tally.census(self._names.of(self._connection, streams))
        if census is not None:
            enumerating.keep(self._connection, segment.id, census)
        return streams, tally.span

    def expire(self, cutoff: int) -> int:
        """Note what has expired, and drop event segments in which nothing is newer than the cutoff (ns).

        Returns how many rows are gone since the last time.
        """
        self._note_expired(cutoff)
        connection = self._connection
        # A wrong clock must not keep a segment for ever: what was sealed before the cutoff goes too.
        expired = connection.execute(
            "SELECT id, row_count FROM segment WHERE kind = 'event' AND sealed_at IS NOT NULL "
            "AND (max_time <= ? OR sealed_at <= ?) ORDER BY id",
            (cutoff, cutoff),
        ).fetchall()
        for number, _ in expired:
            with transaction(connection):
                connection.execute("DELETE FROM segment WHERE id = ?", (number,))
                enumerating.forget(connection, [number])
                templating.forget(connection, [number])
                refresh_rows_views(connection)
                connection.execute(f"DROP TABLE event_{number}")
        if expired:
            with self._writer.transaction():
                self._writer.streams.drop(connection, self._writer.segments["event"].table)
            self._writer.deletes += 1
        deleted, self._divider.deleted = self._divider.deleted, 0
        return deleted + sum(int(rows) for _, rows in expired)

    def _note_expired(self, cutoff: int) -> None:
        connection, segments = self._connection, self._writer.segments
        now = self._now()
        retention = min(self._retention, 2**63 - 1)
        if segments["event"].min_time <= cutoff or expiry.is_to_be_noted(connection, cutoff, retention, now):
            with self._writer.transaction():
                last_id = self._writer.segments["event"].last_id
                expiry.note(connection, Expired(cutoff, last_id), retention, now)
        segment = self._writer.segments["event"]
        if any(
            each.cutoff > cutoff and each.cutoff >= segment.min_time and each.last_id > segment.first_id
            for each in expiry.noted(connection)
        ):
            # It has events that had expired before they were kept longer, and that are to be deleted.
            self.seal("event")

    def divide(self) -> bool:
        """Go one step on in moving events that came late; False if there is nothing to do."""
        is_done = self._divider.step(self._connection, self._retention, self._now())
        if is_done:
            self._enumerator.forget(self._connection)
            self._templates.forget(self._connection)
        return is_done

    def merge(self) -> bool:
        """Go one step on in the merging of log segments; False if there is nothing to do."""
        return self._merger.step(self._connection)

    def count(self) -> bool:
        """Go one step on in taking the censuses of segments; False if there is nothing to do."""
        return self._enumerator.step(self._connection)

    def mask(self) -> bool:
        """Go one step on in taking the templates of segments; False if there is nothing to do."""
        return self._templates.step(self._connection)

    def give_back(self) -> bool:
        """Give a step's worth of free pages back to the file system; True if there is more to give."""
        free = self._connection.execute("PRAGMA freelist_count").fetchone()[0]
        is_idle = self._writer.state.is_idle(self._now())
        kept = self._sizes.free_pages_idle if is_idle else self._sizes.free_pages
        if free <= kept:
            return False
        step = min(self._sizes.vacuum_pages, free - kept)
        # It gives back a page at each step, and executescript() is what goes on to the last.
        self._connection.executescript(f"PRAGMA incremental_vacuum({step})")
        return bool(free - step > kept)

    def checkpoint(self) -> None:
        """See :func:`ccstore.storage.dbfile.sql.checkpoint`."""
        checkpoint(self._connection)

    def figures(self) -> dict[str, int]:
        """Figures that need the database."""
        connection = self._connection
        segments = connection.execute("SELECT count(*) FROM segment").fetchone()[0]
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return {"segments": segments, "bytes": pages * size, "free_bytes": free * size}
