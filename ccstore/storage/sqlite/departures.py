"""What goes: messages that have expired, and what has to make room; and what is held back from that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ccstore.keeping import Hold, KeepRule
from ccstore.message import Kind
from ccstore.storage.dbfile.sql import transaction
from ccstore.storage.sqlite import expiry
from ccstore.storage.sqlite.expiry import Expired
from ccstore.storage.sqlite.keeper import Keeper
from ccstore.storage.sqlite.merging import Merger
from ccstore.storage.sqlite.moving import drop
from ccstore.storage.sqlite.packer import Packer
from ccstore.storage.sqlite.packing_leftovers import Leftovers
from ccstore.storage.sqlite.sifting import Sifter, all_expired, streams_now
from ccstore.storage.sqlite.writer import Writer


class Departures:
    """Drops segments; runs in the writer's thread.

    To be made before the writer loads the file.

    :param rules: None for those that the file has.
    :param now: the time in nanoseconds since the epoch.
    :param others: those that must not lose a segment that they are at.
    :param seal_events: closes the open segment of events.
    :ivar retention: nanoseconds after which events expire that no rule is about.
    """

    def __init__(
        self,
        writer: Writer,
        retention: int,
        rules: Sequence[KeepRule] | None,
        now: Callable[[], int],
        sifter: Sifter,
        others: tuple[Merger, Packer, Leftovers],
        seal_events: Callable[[], None],
    ) -> None:
        self.retention = retention
        self._writer = writer
        self._connection = writer.connection
        self._now = now
        self._sifter = sifter
        self._merger, self._packer, self._leftovers = others
        self._seal_events = seal_events
        self._keeper = Keeper(rules, lambda: self.retention, now)
        writer.placing = self._keeper.place
        writer.loading += [self._keeper.load, sifter.forget]

    @property
    def busy(self) -> Sequence[int]:
        """The segments that are being made something else."""
        return [*self._merger.sources, *self._packer.sources]

    def period_of(self, kind: Kind) -> int | None:
        """A time (ns) of which a segment of a kind should span only a part, so that it goes soon; or None."""
        return self.retention if kind == "event" else min(self._keeper.periods_of(kind), default=None)

    def lifetime_of(self, kind: Kind) -> tuple[int, int] | None:
        """See :class:`ccstore.storage.sqlite.packing_choice.PackingChoice`."""
        if kind != "event":
            return None
        return self.retention, max([self.retention, *self._keeper.periods_of(kind)])

    def retain(self, retention: int, rules: Sequence[Any]) -> None:
        """See :meth:`Housekeeping.retain`."""
        self.retention = retention
        self._keeper.change([*map(KeepRule.unpack, rules)])

    def hold(self, packed: Sequence[Any]) -> int:
        """Hold messages until they are released; the id of the hold.

        :param packed: see :meth:`Hold.pack`.
        """
        with transaction(self._connection):
            number = self._keeper.hold(self._connection, Hold.unpack(packed))
        self._forget_plans()
        return number

    def release(self, number: int) -> bool:
        """End a hold; False if there is none with this id."""
        with transaction(self._connection):
            is_gone = self._keeper.release(self._connection, number)
        self._forget_plans()
        return is_gone

    def _forget_plans(self) -> None:
        """What is kept may be more than before."""
        self._sifter.forget(self._connection)
        self._packer.forget_remnants()

    def expire(self, cutoff: int) -> int:
        """Note what has expired, and drop segments in which nothing is newer than the cutoff (ns), or kept.

        Returns how many rows they had.
        """
        connection = self._connection
        if self._keeper.is_due:
            with transaction(connection):
                self._keeper.settle(connection)
            self._forget_plans()
        self._note_expired(cutoff)
        dropped = 0
        for number, kind in self._leaving(cutoff):
            dropped += self._drop(number, kind)
        return dropped

    def make_room(self) -> int:
        """Drop the segment that goes first when there is no more room; its rows, 0 if there is none."""
        connection = self._connection
        streams = all_expired(streams_now(connection, 0, self._now()))
        found = self._sifter.oldest(connection, streams, self.busy)
        if found is None:
            return 0
        self._writer.deletes += 1
        return self._drop(*found)

    def _drop(self, number: int, kind: Kind) -> int:
        """Drop a segment; how many rows it had."""
        connection = self._connection
        with transaction(connection):
            rows, packed = connection.execute(
                "SELECT row_count, packed FROM segment WHERE id = ?", (number,)
            ).fetchone()
            if packed:
                self._leftovers.remove(number)
            else:
                drop(connection, kind, number)
        return int(rows)

    def _leaving(self, cutoff: int) -> Sequence[tuple[int, Kind]]:
        """The segments that go as a whole."""
        connection = self._connection
        if self._keeper.is_needed:
            with transaction(connection):
                self._keeper.forget_lapsed(connection)
            streams = streams_now(connection, cutoff, self._now())
            return self._sifter.plan(connection, streams, self.busy)
        # A wrong clock must not keep a segment for ever: what was sealed before the cutoff goes too.
        found = connection.execute(
            "SELECT id FROM segment WHERE kind = 'event' AND sealed_at IS NOT NULL "
            "AND (max_time <= ? OR sealed_at <= ?) ORDER BY id",
            (cutoff, cutoff),
        )
        busy = self.busy
        return [(number, "event") for (number,) in found.fetchall() if number not in busy]

    def _note_expired(self, cutoff: int) -> None:
        connection, segments = self._connection, self._writer.segments
        now = self._now()
        retention = min(self.retention, 2**63 - 1)
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
            self._seal_events()
