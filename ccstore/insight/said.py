"""What hosts said in a time, by template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import define, field

from ccstore.insight.statistics_of_counts import log_likelihood_ratio
from ccstore.masking import template_of
from ccstore.message import StreamKey
from ccstore.query import STREAM_LABELS, Row, level_of, tags_in
from ccstore.timing import SECOND

#: A host that says a thing once or a hundred times within this (ns) says it once, as far as chance goes.
SLOT: Final = 300 * SECOND
#: Levels at which something is wrong, in words and as syslog numbers them.
_BAD: Final = frozenset(
    (
        *("emerg", "emergency", "panic", "alert", "crit", "critical", "fatal", "severe", "failure", "err"),
        *("error", "0", "1", "2", "3"),
    )
)
HOST: Final = STREAM_LABELS.index("hostname")
NAME: Final = STREAM_LABELS.index("name")


@define(eq=False)
class Said:
    """One template, and where and when it was seen.

    :ivar slots: of hosts and times in which it was, with how often.
    :ivar example: the first of its messages.
    :ivar hosts: with how often each said it.
    """

    template: str
    example: Row
    name: str
    count: int = 0
    first: int = 0
    last: int = 0
    slots: dict[tuple[str, int], int] = field(factory=dict)
    hosts: dict[str, int] = field(factory=dict)

    def add(self, host: str, time: int) -> None:
        """It was seen once more."""
        self.first = time if not self.count else min(self.first, time)
        self.last = time if not self.count else max(self.last, time)
        self.count += 1
        slot = host, time // SLOT
        self.slots[slot] = self.slots.get(slot, 0) + 1
        self.hosts[host] = self.hosts.get(host, 0) + 1


class Tally:
    """Counts rows by their templates.

    :ivar rows: that it has counted.
    :ivar hours: of hosts, in which these were said; for whoever knows them to set.
    """

    def __init__(self) -> None:
        self.said: dict[str, Said] = {}
        self.rows = 0
        self.hours = 0.0

    def take(self, row: Row, stream: StreamKey) -> None:
        """Count a row, unless it only says that a job began or ended."""
        self.rows += 1
        if is_of_a_job(row):
            return
        host = stream[HOST] or ""
        template = template_of(row.text, host)
        said = self.said.get(template)
        if said is None:
            said = self.said[template] = Said(template, row, stream[NAME] or "")
        elif row < said.example:
            said.example = row
        said.add(host, row.time)

    def slots(self, template: str) -> int:
        """In how many slots of hosts and times it was seen."""
        said = self.said.get(template)
        return 0 if said is None else len(said.slots)

    def rate(self, template: str) -> float:
        """Of these, how many there were in an hour of a host."""
        return self.slots(template) / self.hours if self.hours else 0.0

    def compared(self, template: str, other: Tally) -> float:
        """How much more surprising it is here than elsewhere: G² with a sign."""
        return log_likelihood_ratio(self.slots(template), self.hours, other.slots(template), other.hours)

    def figures(self, template: str) -> Mapping[str, object]:
        """The counts, for an answer."""
        said = self.said.get(template)
        return {
            "count": 0 if said is None else said.count,
            "slots": self.slots(template),
            "host_hours": round(self.hours, 3),
            "rate": round(self.rate(template), 6),
        }


def is_bad(said: Said) -> bool:
    """Whether its message says of itself, by a tag, that something is wrong."""
    return level_of(tags_in(said.example.othertags)).lower() in _BAD


def is_of_a_job(row: Row) -> bool:
    """Whether it says that a job began or ended, and nothing of what happens."""
    tags = row.othertags
    return tags is not None and row.kind == "event" and ('"start_job"' in tags or '"stop_job"' in tags)
