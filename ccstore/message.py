"""The values that travel from the receivers to the store."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

FieldValue = str | int | float | bool
Kind = Literal["event", "log", "control", "query", "metric", "other"]

#: What is kept; everything else is counted and let go.
STORED_KINDS: Final[tuple[Literal["event"], Literal["log"]]] = ("event", "log")

#: Tags with a column of their own, in the order of the columns.
COLUMN_TAGS: Final = ("hostname", "type", "type-id", "stype", "stype-id")
CLUSTER_TAG: Final = "cluster"
INT64_MAX: Final = 2**63 - 1
INT64_MIN: Final = -(2**63)
_NOT_OTHER: Final = frozenset((*COLUMN_TAGS, CLUSTER_TAG))
_HOSTNAME: Final = f",{COLUMN_TAGS[0]}="
#: What is derived from a series and kept, because many have it in common.
_DERIVED_HELD: Final = 4096

#: Of a series: see :attr:`Series.source`.
Source = str | tuple[str, dict[str, str], Kind]
#: Of a series: see :attr:`Series.stream`.
StreamKey = tuple[str | None, ...]


class Series:
    """A measurement name with its tags, and what its lines are, as one sender repeats it line after line.

    Compared by identity: decoders intern series, so that whatever is derived from one is derived once. It
    never changes, but what is not needed in order to pass its lines on is only worked out when somebody asks.

    :ivar kind: what the lines are, from their fields: see :func:`classify`.
    :ivar is_storable: its lines are events or logs of a cluster whose name is fit for use, and nothing about
        them wants a second look.
    :ivar othertags: the tags without a column as a JSON object with sorted keys, or None if there are none.
    """

    __slots__ = ("_key", "_parts", "is_storable", "kind", "othertags")
    othertags: str | None

    def __init__(self, name: str, tags: Mapping[str, str] | None = None, kind: Kind = "event") -> None:
        self._key: str | None = None
        self._parts: tuple[str, Mapping[str, str]] | None = (name, {} if tags is None else tags)
        self.kind = kind
        cluster = self.cluster
        self.is_storable: bool = (
            kind in STORED_KINDS and cluster is not None and is_cluster(cluster) and not self.is_heartbeat
        )

    @classmethod
    def of_key(cls, key: str) -> Series:
        """The series of lines in which this stands before the string, such as ``job,cluster=a event=``.

        It must be storable, and nothing in it escaped.
        """
        made = cls.__new__(cls)
        made._key = key
        made._parts = None
        made.kind = "event" if key.endswith("event=") else "log"
        made.is_storable = True
        return made

    @property
    def source(self) -> Source:
        """What :meth:`of_source` takes, made of plain values: a key, or else name, tags and kind."""
        return (self.name, dict(self.tags), self.kind) if self._key is None else self._key

    @classmethod
    def of_source(cls, source: Source) -> Series:
        """A series like one that had this source."""
        return cls.of_key(source) if isinstance(source, str) else cls(*source)

    @property
    def name(self) -> str:
        """Of the measurement."""
        return self._keep_parts()[0]

    @property
    def tags(self) -> Mapping[str, str]:
        """All of them, with their values."""
        return self._keep_parts()[1]

    if not TYPE_CHECKING:  # it would be taken to have any attribute

        def __getattr__(self, attribute: str) -> object:
            """The other tags, at first: a property would take too long, as they are read for each row."""
            if attribute == "othertags":
                self.othertags = _othertags(self._split()[1])
            return object.__getattribute__(self, attribute)

    @property
    def cluster(self) -> str | None:
        """The tag ``cluster``, or None."""
        return self._split()[1].get(CLUSTER_TAG)

    @property
    def place(self) -> tuple[str, str]:
        """The tags ``cluster`` and ``hostname``, each empty if there is none."""
        tags = self._split()[1]
        return tags.get(CLUSTER_TAG) or "", tags.get(COLUMN_TAGS[0]) or ""

    def _keep_parts(self) -> tuple[str, Mapping[str, str]]:
        """Name and tags. Whoever asks for them will do so again."""
        parts = self._parts
        if parts is None:
            parts = self._parts = self._split()
        return parts

    def _split(self) -> tuple[str, Mapping[str, str]]:
        """The same without holding them, which takes memory for each series."""
        if self._parts is not None:
            return self._parts
        assert self._key is not None
        name, *tags = self._key[: self._key.index(" ")].split(",")
        return name, dict([tag.split("=") for tag in tags])

    @property
    def is_heartbeat(self) -> bool:
        """The sign of life of a fleet's member, whose text has a credential that lets one in there."""
        return self.name == "fleet" and self.tags.get("function") == "heartbeat"

    @property
    def stream(self) -> StreamKey:
        """What tells its stream from others.

        It is ``(cluster, kind, name, hostname, type, type-id, stype, stype-id)``, with None where there is no
        such tag.
        """
        # Whoever asks for it wants to have the other tags as well.
        if self._key is not None:
            before, found, after = self._key.partition(_HOSTNAME)
            if found and _HOSTNAME not in after:
                end = after.find(",")
                if end < 0:
                    end = after.index(" ")
                first, last, self.othertags = _but_the_host(before + after[end:])
                return (*first, after[:end], *last)
        name, tags = self._split()
        self.othertags = _othertags(tags)
        return (tags.get(CLUSTER_TAG), self.kind, name, *map(tags.get, COLUMN_TAGS))

    def in_cluster(self, cluster: str) -> Series:
        """The same series with the tag ``cluster`` set."""
        return Series(self.name, {**self.tags, CLUSTER_TAG: cluster}, self.kind)


@lru_cache(_DERIVED_HELD)
def _but_the_host(key: str) -> tuple[StreamKey, StreamKey, str | None]:
    """Of a series' key without a tag ``hostname``: what is before it in a stream, behind it, and othertags.

    A new series mostly differs from another one in its host alone.
    """
    series = Series.of_key(key)
    cluster, kind, name, _, *others = series.stream
    return (cluster, kind, name), tuple(others), series.othertags


def _othertags(tags: Mapping[str, str]) -> str | None:
    if _NOT_OTHER.issuperset(tags):
        return None
    return _json(tuple(sorted([tag for tag in tags.items() if tag[0] not in _NOT_OTHER])))


@lru_cache(_DERIVED_HELD)
def _json(tags: tuple[tuple[str, str], ...]) -> str:
    # As json.dumps() does it, in a third of the time: a site may tag each line with a job of its own.
    return f"{{{', '.join([f'{_quoted(key)}: {_quoted(value)}' for key, value in tags])}}}"


class Message(NamedTuple):
    """One decoded line.

    :ivar text: the string that is stored, empty unless the kind is ``event`` or ``log``.
    :ivar time: nanoseconds since the epoch.
    :ivar others: the fields besides the stored one, or None if there are none.
    """

    series: Series
    text: str
    time: int
    others: Mapping[str, FieldValue] | None = None

    @property
    def kind(self) -> Kind:
        return self.series.kind

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
        """The message for a line with these fields; the series must be of their kind."""
        kind = series.kind
        if kind not in STORED_KINDS:
            return cls(series, "", time, fields)
        others = {key: value for key, value in fields.items() if key != kind}
        return cls(series, str(fields[kind]), time, others or None)


def classify(tags: Mapping[str, str], fields: Mapping[str, FieldValue]) -> Kind:
    """What a line is; a line that could be several things is an event before a log before the rest."""
    if "event" in fields and isinstance(fields["event"], str):
        return "event"
    if "log" in fields and isinstance(fields["log"], str):
        return "log"
    if "control" in fields and isinstance(fields["control"], str) and tags.get("method") in ("GET", "PUT"):
        return "control"
    if "query" in fields and isinstance(fields["query"], str):
        return "query"
    if "value" in fields and not isinstance(fields["value"], str):
        return "metric"
    return "other"


def is_cluster(name: str) -> bool:
    """Whether a cluster may be called so."""
    return 0 < len(name) <= 255 and name.isprintable()
