"""Which messages have expired: by the retention time, by rules, and by what is noted; and which are held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from attrs import field, frozen

from ccstore.message import INT64_MAX, INT64_MIN, Kind
from ccstore.query import Selection
from ccstore.storage.reading.dialect import Dialect, Terms
from ccstore.storage.reading.moment import Moment
from ccstore.storage.reading.statement import Reading

_LEAST: Final = f"({INT64_MIN + 1} - 1)"  # as one number it is none of 64 bits in every database


@frozen
class Expired:
    """Which messages have expired, and are not held.

    :ivar cutoff: see :class:`Moment`, as ``now``.
    :ivar terms: what the database says besides.
    :ivar tables: see :class:`Dialect`.
    :ivar only_held: all that is not held has expired.
    """

    cutoff: int
    now: int = 0
    terms: Terms = field(factory=Terms)
    tables: Mapping[str, str] = field(factory=dict)
    only_held: bool = False

    def span(self, selection: Selection, kind: Kind) -> tuple[int, int]:
        """First and last time (ns) at which a selection may have messages of a kind."""
        oldest = self._oldest(kind)
        begin = selection.begin if oldest is None else max(selection.begin, oldest)
        return begin, selection.end - 1

    def _oldest(self, kind: Kind) -> int | None:
        """The first time at which there may be anything; None if that is any."""
        if self.only_held:
            return self.terms.held_since
        if kind != "event":
            return None
        longest = self.terms.periods.get(kind)
        oldest = self.cutoff + 1
        if longest is not None:
            oldest = min(oldest, self.now - longest[1] + 1)
        if self.terms.held_since is not None:
            oldest = min(oldest, self.terms.held_since)
        return oldest

    def edge(self, kind: Kind) -> int | None:
        """The last time (ns) of which a message may have expired, or be held, while others have not.

        None if there is none: then all of a kind is alike.
        """
        if self.only_held:
            return INT64_MAX
        found = []
        periods = self.terms.periods.get(kind)
        if periods is not None:
            found.append(self.now - periods[0])
        if kind == "event":
            found += [cutoff for cutoff, _ in self.terms.marks]
            if periods is not None or self.terms.held_since is not None:
                found.append(self.cutoff)
        if self.terms.lapsed is not None:
            found.append(self.terms.lapsed)
        return max(found, default=None)

    def conditions(self, kind: Kind) -> list[str]:
        """Conditions on each row of a kind."""
        edge = self.edge(kind)
        if edge is None:
            return []
        if self.only_held:
            return [self._held()]
        if not self.terms.are_by_stream(kind):
            return [f"(time > {cutoff} OR id >= {below})" for cutoff, below in self.terms.marks]
        keeps = f"(SELECT k.keeps FROM {self.tables['streams']} k WHERE k.id = stream)"
        if kind == "event":
            alive = [f"time > coalesce({self.now} - {keeps}, {self.cutoff})"]
        else:
            alive = [f"time >= coalesce({self.now} - {keeps} + 1, {_LEAST})"]
        if kind == "event":
            alive += [
                f"(time > {cutoff} OR id >= {below} OR {keeps} IS NOT NULL)"
                for cutoff, below in self.terms.marks
            ]
        if self.terms.lapsed is not None:
            alive.append(
                f"NOT EXISTS (SELECT 1 FROM {self.tables['lapsed']} l WHERE l.stream_id = stream"
                " AND l.cutoff >= time AND l.last_id >= id)"
            )
        either = [f"time > {edge}", f"({' AND '.join(alive)})"]
        if self.terms.held_since is not None:
            either.append(self._held())
        return [f"({' OR '.join(either)})"]

    def _held(self) -> str:
        return (
            f"EXISTS (SELECT 1 FROM {self.tables['held']} h WHERE h.stream_id = stream"
            " AND h.begins_at <= time AND h.ends_at >= time)"
        )


def expired_by(moment: Moment, selections: Sequence[Selection], dialect: Dialect) -> Reading[Expired]:
    """What has expired at a moment."""
    cutoff, now, only_held = moment
    if only_held:
        held_since = (yield from dialect.terms(INT64_MIN)).held_since
        return Expired(cutoff, 0, Terms(held_since=held_since), dialect.tables, only_held)
    if now is None and not any("event" in selection.kinds for selection in selections):
        return Expired(cutoff)
    terms = yield from dialect.terms(cutoff + 1)
    if now is None:
        return Expired(cutoff, 0, Terms(terms.marks))
    return Expired(cutoff, now, terms, dialect.tables)
