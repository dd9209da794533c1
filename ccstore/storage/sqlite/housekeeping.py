"""What is done to the segments besides appending: sealing, expiring, merging, counting, giving back space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ccstore.keeping import KeepRule
from ccstore.message import STORED_KINDS
from ccstore.storage.census import Tally
from ccstore.storage.dbfile.sql import Say, checkpoint, transaction
from ccstore.storage.levels import Levels
from ccstore.storage.sqlite import enumerating
from ccstore.storage.sqlite.departures import Departures
from ccstore.storage.sqlite.dividing import Divider
from ccstore.storage.sqlite.enumerating import Enumerator, Names
from ccstore.storage.sqlite.merging import Merger
from ccstore.storage.sqlite.moving import SPANS_IN_PERIOD
from ccstore.storage.sqlite.open_segments import OpenSegment
from ccstore.storage.sqlite.packer import Packer
from ccstore.storage.sqlite.packing_choice import PackingChoice
from ccstore.storage.sqlite.packing_leftovers import Leftovers
from ccstore.storage.sqlite.packing_plan import Remnant
from ccstore.storage.sqlite.segments import drop_strays
from ccstore.storage.sqlite.sifting import Sifter
from ccstore.storage.sqlite.templating import TemplateCounter
from ccstore.storage.sqlite.views import refresh_rows_views
from ccstore.storage.sqlite.writer import IDLE, Writer


class Housekeeping:
    """Keeps the file of a writer in order; all of it runs in the writer's thread, in short transactions.

    To be made before the writer loads the file.

    :param retention: nanoseconds after which events expire that no rule is about.
    :param now: the time in nanoseconds since the epoch.
    :param say: tells people of segments that cannot be merged.
    :ivar packer: does what packing takes of a writer.
    """

    # In one: each method is one call of the process that writes, and most of them are one line.
    def __init__(
        self,
        writer: Writer,
        retention: int,
        rules: Sequence[KeepRule] | None,
        now: Callable[[], int],
        say: Say,
    ) -> None:
        self._writer = writer
        self._connection = writer.connection
        self._now = now
        self._names = Names(writer.sizes.streams_held)
        self._levels = Levels(writer.sizes.streams_held)
        self._merger = Merger(say, writer.sizes, self._names)
        self._divider = Divider(writer.sizes)
        remnants: dict[int, Remnant] = {}
        self._sifter = Sifter(writer.sizes, remnants)
        self._enumerator = Enumerator(writer.sizes, self._names, self._levels)
        self._templates = TemplateCounter(writer.sizes)
        choice = PackingChoice(writer.sizes, lambda kind: self._departures.lifetime_of(kind), now)
        leftovers = Leftovers(self._connection, writer.sizes)
        self.packer = Packer(
            self._connection,
            say,
            choice,
            leftovers,
            lambda: [*self._sifter.segments, *self._enumerator.unchecked],
            remnants,
        )
        writer.loading += [
            *(self._names.forget, self.packer.load, self._merger.load, self._enumerator.load),
            *(self._templates.forget, drop_strays),
        ]
        self._departures = Departures(
            writer,
            retention,
            rules,
            now,
            self._sifter,
            (self._merger, self.packer, leftovers),
            lambda: self.seal("event"),
        )

    def retain(self, retention: int, rules: Sequence[Any] = ()) -> None:
        """From now on, events expire after so many nanoseconds.

        :param rules: as they are sent, see :meth:`KeepRule.pack`. They count from the next look for what has
            expired.
        """
        self._departures.retain(retention, rules)

    def hold(self, packed: Sequence[Any]) -> int:
        """See :meth:`Departures.hold`."""
        return self._departures.hold(packed)

    def release(self, number: int) -> bool:
        """See :meth:`Departures.release`."""
        return self._departures.release(number)

    def tend(self, now: int) -> None:
        """Seal what is large or old enough, and index what lies idle."""
        for kind in STORED_KINDS:
            segment = self._writer.segments[kind]
            # It may have been opened by a clock that was ahead.
            age = abs(now - segment.opened_at)
            period = self._departures.period_of(kind)
            is_old = period is not None and segment.rows and age >= period // SPANS_IN_PERIOD
            is_idle = now - segment.written_at >= IDLE
            if segment.rows >= self._writer.sizes.segment_rows or is_old:
                self.seal(kind)
            elif segment.rows >= self._writer.sizes.indexed_rows and not segment.is_indexed and is_idle:
                with transaction(self._connection):
                    self._writer.segments.index(self._connection, segment)
                segment.is_indexed = True

    def seal_before(self, before: int) -> None:
        """Close the open segments of which all came in before a time (ns)."""
        for kind in STORED_KINDS:
            # As of sealed ones: a wrong clock of a sender does not matter.
            if min(self._writer.segments[kind].max_time, self._now()) < before:
                self.seal(kind)

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
        levels = self._levels.of(segment.othertags)
        census = tally.census(self._names.of(self._connection, streams), levels)
        if census is not None:
            enumerating.keep(self._connection, segment.id, census)
        return streams, tally.span

    def expire(self, cutoff: int) -> int:
        """See :meth:`Departures.expire`; returns how many rows are gone since the last time."""
        deleted = self._departures.expire(cutoff)
        for mover in (self._divider, self._sifter, self.packer):
            deleted, mover.deleted = deleted + mover.deleted, 0
        if deleted:
            with self._writer.transaction():
                self._writer.streams.drop(self._connection, self._writer.segments["event"].table)
            self._writer.deletes += 1
        return deleted

    def make_room(self) -> int:
        """See :meth:`Departures.make_room`."""
        return self._departures.make_room()

    def divide(self) -> bool:
        """Go one step on in moving what came late, and what is kept; False if there is nothing to do."""
        connection, now = self._connection, self._now()
        is_done = self._divider.step(connection, self._departures.retention, now)
        is_done = is_done or self._sifter.step(
            connection, self._departures.retention, now, self._departures.busy
        )
        if is_done:
            self._enumerator.forget(connection)
            self._templates.forget(connection)
        return is_done

    def merge(self) -> bool:
        """Go one step on in the merging of log segments; False if there is nothing to do."""
        return self._merger.step(self._connection, [*self._sifter.segments, *self.packer.sources])

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
        kept = self._writer.sizes.free_pages_idle if is_idle else self._writer.sizes.free_pages
        if free <= kept:
            return False
        step = min(self._writer.sizes.vacuum_pages, free - kept)
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
