"""Which rows have expired, for rows that no statement looks at since they are packed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from ccstore.message import INT64_MIN, Kind
from ccstore.storage.reading.dialect import Dialect
from ccstore.storage.reading.expired import Expired
from ccstore.storage.reading.statement import Reading, Statement


@frozen
class Gone:
    """What has expired of one kind; see :class:`Expired`, whose conditions say the same.

    :ivar edge: the last time (ns) at which anything may have.
    :ivar default: messages at or before this time have expired of whose stream no rule is.
    :ivar own: by stream, the same where there is one.
    :ivar held: by stream, the times that are held; ``lapsed`` are those at or before which messages with ids
        up to the second number had expired by an earlier rule.
    """

    edge: int
    default: int
    marks: Sequence[tuple[int, int]]
    own: Mapping[int, int]
    held: Mapping[int, Sequence[tuple[int, int]]]
    lapsed: Mapping[int, Sequence[tuple[int, int]]]

    def has(self, stream: int, time: int, number: int) -> bool:
        """Whether it has a message of a stream with a time (ns) and an id."""
        if time > self.edge:
            return False
        if any(begin <= time <= end for begin, end in self.held.get(stream, ())):
            return False
        if any(time <= cutoff and number <= last for cutoff, last in self.lapsed.get(stream, ())):
            return True
        if stream in self.own:
            return time <= self.own[stream]
        is_marked = any(time <= cutoff and number < below for cutoff, below in self.marks)
        return is_marked or time <= self.default


def gone_of(expired: Expired, kind: Kind, dialect: Dialect) -> Reading[Gone | None]:
    """What has expired of a kind; None if every message of the times in question is there."""
    edge, terms = expired.edge(kind), expired.terms
    if edge is None:
        return None
    tables = expired.tables
    if expired.only_held:
        return Gone(edge, edge, (), {}, (yield from _by_stream(tables["held"], ("begins_at", "ends_at"))), {})
    marks = terms.marks if kind == "event" else ()
    default = expired.cutoff if kind == "event" else INT64_MIN - 1
    if not terms.are_by_stream(kind):
        return Gone(edge, default, marks, {}, {}, {})
    found = yield Statement(
        f"SELECT id, keeps FROM {tables['streams']} WHERE keeps IS NOT NULL", (), ("id", "keeps")
    )
    own = {stream: max(expired.now - keeps, INT64_MIN) for stream, keeps in found}
    held = yield from _by_stream(tables["held"], ("begins_at", "ends_at"))
    lapsed = yield from _by_stream(tables["lapsed"], ("cutoff", "last_id"))
    return Gone(edge, default, marks, own, held, lapsed)


def _by_stream(table: str, columns: Sequence[str]) -> Reading[Mapping[int, Sequence[tuple[int, int]]]]:
    names = ("stream_id", *columns)
    rows = yield Statement(f"SELECT {', '.join(names)} FROM {table}", (), names)
    found: dict[int, list[tuple[int, int]]] = {}
    for stream, one, other in rows:
        found.setdefault(stream, []).append((one, other))
    return found
