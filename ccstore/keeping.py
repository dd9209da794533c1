"""How long messages are kept beyond the one retention time: rules, and holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import evolve, frozen

from ccstore.message import INT64_MAX, STORED_KINDS, Kind
from ccstore.query import STREAM_LABELS, Matcher, Selection

#: Nanoseconds after which nothing is kept any more than for ever.
LONGEST_PERIOD: Final = INT64_MAX


@frozen
class KeepRule:
    """Messages of some streams are kept for a time of their own.

    :ivar chosen: the streams, by labels of streams alone; its times do not matter.
    :ivar period: seconds after which their messages expire.
    :ivar match: what the streams are chosen by, for people.
    """

    chosen: Selection
    period: float
    match: str

    @property
    def nanoseconds(self) -> int:
        """The period in nanoseconds; one that a database takes."""
        return min(int(self.period * 1_000_000_000), LONGEST_PERIOD)

    def pack(self) -> tuple[str, float, str]:
        """As plain values, for another process and for the database."""
        return pack_streams(self.chosen), float(self.period), self.match

    def by_kind(self) -> list[tuple[Kind, int, str, str]]:
        """As a database notes it, for each kind that it is about: kind, nanoseconds, streams and match."""
        streams = pack_streams(self.chosen)
        kinds = [kind for kind in STORED_KINDS if kind in self.chosen.kinds]
        return [(kind, self.nanoseconds, streams, self.match) for kind in kinds]

    @classmethod
    def unpack(cls, packed: Sequence[Any]) -> KeepRule:
        """Undo :meth:`pack`."""
        streams, period, match = packed
        return cls(unpack_streams(streams), period, match)


@frozen
class Hold:
    """Messages that are not deleted until somebody releases them.

    :ivar chosen: which of them, by labels of streams and by time.
    :ivar match: the same, for people.
    :ivar who: asked for it, and ``reason`` is why.
    :ivar created_at: nanoseconds since the epoch.
    :ivar id: in its database; 0 as long as it has none.
    """

    chosen: Selection
    match: str
    reason: str
    who: str
    created_at: int
    id: int = 0

    @property
    def span(self) -> tuple[int, int]:
        """Its first and its last time (ns)."""
        return self.chosen.begin, min(self.chosen.end - 1, INT64_MAX)

    def pack(self) -> tuple[str, int, int, str, str, str, int]:
        """As plain values: streams, first and last time, match, reason, who and when."""
        return (pack_streams(self.chosen), *self.span, self.match, self.reason, self.who, self.created_at)

    @classmethod
    def unpack(cls, packed: Sequence[Any], number: int = 0) -> Hold:
        """Undo :meth:`pack`.

        :param number: its id.
        """
        streams, begin, last, match, reason, who, created_at = packed
        chosen = evolve(unpack_streams(streams), begin=begin, end=last + 1)
        return cls(chosen, match, reason, who, created_at, number)


def is_of_streams(selection: Selection) -> bool:
    """Whether it goes by time and labels of streams alone, so that no message has to be looked at."""
    return not selection.texts and all(each.label in STREAM_LABELS for each in selection.matchers)


def pack_streams(selection: Selection) -> str:
    """The streams of a selection as JSON."""
    matchers = [(each.label, each.op, each.values) for each in selection.matchers]
    return json.dumps([selection.clusters, selection.kinds, matchers])


def unpack_streams(packed: str) -> Selection:
    """Undo :func:`pack_streams`."""
    clusters, kinds, matchers = json.loads(packed)
    return Selection(
        tuple(clusters),
        tuple(kinds),
        matchers=tuple(Matcher(label, op, tuple(values)) for label, op, values in matchers),
    )


def shown(match: Mapping[str, Sequence[str]]) -> str:
    """What streams are chosen by, as people write it on a line: ``kind=log host=a[01-10]``."""
    return " ".join(f"{name}={value}" for name, values in match.items() for value in values)


def bounds(retention: float, rules: Sequence[KeepRule]) -> tuple[float, float]:
    """The shortest time (s) after which anything expires, and that after which every event has.

    :param retention: seconds after which events expire that none of the rules is about.
    """
    shortest = min([retention, *(rule.period for rule in rules)])
    return shortest, max([retention, *(rule.period for rule in rules if "event" in rule.chosen.kinds)])


@frozen
class Leaving:
    """Messages that are deleted.

    :ivar rows: how many; ``held`` is how many would be, if they were not held.
    :ivar oldest: the time (ns) of the first of all of them, and ``newest`` of the last; None without any.
    """

    rows: int
    held: int
    oldest: int | None
    newest: int | None


@frozen
class RuleReport:
    """What is deleted of the messages of one kind that are kept for the same time.

    :ivar matches: the rules that say so, for people; ``retention_time`` is that of all other events.
    :ivar period: nanoseconds.
    :ivar now: has expired, and goes as soon as its segment or partition does.
    :ivar within_a_day: expires within a day.
    """

    matches: tuple[str, ...]
    kind: Kind
    period: int
    now: Leaving
    within_a_day: Leaving


@frozen
class Kept:
    """What is held, and what is deleted next, by rule."""

    holds: Sequence[Hold]
    reports: Sequence[RuleReport]
