"""The values that travel from the receivers to the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from attrs import field, frozen

FieldValue = str | int | float | bool
Kind = Literal["event", "log", "control", "query", "metric", "other"]

#: What is kept; everything else is counted and let go.
STORED_KINDS: Final[tuple[Literal["event"], Literal["log"]]] = ("event", "log")

#: Tags with a column of their own, in the order of the columns.
COLUMN_TAGS: Final = ("hostname", "type", "type-id", "stype", "stype-id")
CLUSTER_TAG: Final = "cluster"
_NOT_OTHER: Final = frozenset((*COLUMN_TAGS, CLUSTER_TAG))


@frozen(eq=False)
class Series:
    """A measurement name with its tags, as one sender repeats them line after line.

    Compared by identity: decoders intern series, so that whatever is derived from one is derived once.

    :ivar cluster: the tag ``cluster``, or None.
    :ivar columns: ``(name, hostname, type, type-id, stype, stype-id)``; None where the tag is absent.
    :ivar othertags: the remaining tags as a JSON object with sorted keys, or None if there are none.
    """

    name: str
    tags: Mapping[str, str] = field(factory=dict)
    cluster: str | None = field(init=False)
    columns: tuple[str | None, ...] = field(init=False)
    othertags: str | None = field(init=False)

    @cluster.default
    def _cluster(self) -> str | None:
        return self.tags.get(CLUSTER_TAG)

    @columns.default
    def _columns(self) -> tuple[str | None, ...]:
        return (self.name, *map(self.tags.get, COLUMN_TAGS))

    @othertags.default
    def _othertags(self) -> str | None:
        others = {key: value for key, value in self.tags.items() if key not in _NOT_OTHER}
        return json.dumps(others, ensure_ascii=False, sort_keys=True) if others else None

    def in_cluster(self, cluster: str) -> Series:
        """The same series with the tag ``cluster`` set."""
        return Series(self.name, {**self.tags, CLUSTER_TAG: cluster})


class Message(NamedTuple):
    """One decoded line.

    :ivar kind: what the line is, from its fields: see :func:`classify`.
    :ivar text: the string that is stored, empty unless the kind is ``event`` or ``log``.
    :ivar time: nanoseconds since the epoch.
    :ivar others: the fields besides the stored one, or None if there are none.
    """

    series: Series
    kind: Kind
    text: str
    time: int
    others: Mapping[str, FieldValue] | None = None

    @property
    def name(self) -> str:
        return self.series.name

    @property
    def tags(self) -> Mapping[str, str]:
        return self.series.tags

    @property
    def fields(self) -> Mapping[str, FieldValue]:
        if self.kind not in STORED_KINDS:
            return self.others or {}
        return {self.kind: self.text, **(self.others or {})}

    @classmethod
    def of(cls, series: Series, fields: Mapping[str, FieldValue], time: int) -> Message:
        """The message for a line with these fields."""
        kind = classify(series.tags, fields)
        if kind not in STORED_KINDS:
            return cls(series, kind, "", time, fields)
        others = {key: value for key, value in fields.items() if key != kind}
        return cls(series, kind, str(fields[kind]), time, others or None)


def classify(tags: Mapping[str, str], fields: Mapping[str, FieldValue]) -> Kind:
    """What a line is; a line that could be several things is an event before a log before the rest."""
    for kind in STORED_KINDS:
        if isinstance(fields.get(kind), str):
            return kind
    if isinstance(fields.get("control"), str) and tags.get("method") in ("GET", "PUT"):
        return "control"
    if isinstance(fields.get("query"), str):
        return "query"
    if "value" in fields and not isinstance(fields["value"], str):
        return "metric"
    return "other"
