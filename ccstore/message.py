"""The values that travel from the receivers to the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, reduce
from itertools import compress
from json.encoder import encode_basestring as _quoted
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, overload

FieldValue = str | int | float | bool
Kind = Literal["event", "log", "control", "query", "metric", "other"]

#: What is kept; everything else is counted and let go.
STORED_KINDS: Final[tuple[Literal["event"], Literal["log"]]] = ("event", "log")

#: Tags with a column of their own, in the order of the columns.
COLUMN_TAGS: Final = ("hostname", "type", "type-id", "stype", "stype-id")
CLUSTER_TAG: Final = "cluster"
_KIND: Final = attrgetter("kind")
IS_STORABLE: Final = attrgetter("is_storable")
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

    __slots__ = ("_key", "is_storable", "kind", "name", "othertags", "tags")
    name: str
    tags: Mapping[str, str]
    othertags: str | None

    def __init__(self, name: str, tags: Mapping[str, str] | None = None, kind: Kind = "event") -> None:
        self._key: str | None = None
        self.name = name
        self.tags = {} if tags is None else tags
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

    if not TYPE_CHECKING:  # it would be taken to have any attribute

        def __getattr__(self, attribute: str) -> object:
            """What has not been worked out yet."""
            if attribute == "othertags":
                self.othertags = _othertags(self._parts[1])
            elif attribute in ("name", "tags"):
                self.name, self.tags = self._parts
            return object.__getattribute__(self, attribute)

    @property
    def _parts(self) -> tuple[str, Mapping[str, str]]:
        """Name and tags."""
        if self._key is None:
            return self.name, self.tags
        name, *tags = self._key[: self._key.index(" ")].split(",")
        return name, dict([tag.split("=") for tag in tags])

    @property
    def cluster(self) -> str | None:
        """The tag ``cluster``, or None."""
        return self._parts[1].get(CLUSTER_TAG)

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
        name, tags = self._parts
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


class Facts(NamedTuple):
    """What is to be known of a batch as a whole.

    :ivar number: how many messages it has.
    :ivar oldest: the time of one of them, and ``newest`` likewise.
    :ivar size: of their texts in characters, or of the lines they were in, in bytes.
    :ivar is_storable: all of their series are.
    """

    number: int
    oldest: int
    newest: int
    size: int
    is_storable: bool

    def with_those_of(self, others: Facts) -> Facts:
        """Of both batches together."""
        return Facts(
            self.number + others.number,
            min(self.oldest, others.oldest),
            max(self.newest, others.newest),
            self.size + others.size,
            self.is_storable and others.is_storable,
        )


class Batch(Sequence[Message]):
    """Messages that travel together, in columns, so that they can be handled as a whole.

    :ivar series: of each message; ``texts`` and ``times`` likewise.
    :ivar others: the other fields of those messages that have any, by their place.
    :ivar parts: the batches that it was put together from, if it was.
    :ivar packed: what a backend has made of it in advance.
    """

    __slots__ = ("_facts", "others", "packed", "parts", "series", "texts", "times")

    def __init__(
        self,
        series: list[Series] | None = None,
        texts: list[str] | None = None,
        times: list[int] | None = None,
        others: dict[int, Mapping[str, FieldValue]] | None = None,
        facts: Facts | None = None,
    ) -> None:
        self.series: list[Series] = [] if series is None else series
        self.texts: list[str] = [] if texts is None else texts
        self.times: list[int] = [] if times is None else times
        self.others: dict[int, Mapping[str, FieldValue]] = {} if others is None else others
        self.parts: Sequence[Batch] = ()
        self.packed: Any = None
        self._facts = facts

    @classmethod
    def of(cls, messages: Iterable[Message]) -> Batch:
        """These messages in columns."""
        batch = cls()
        for message in messages:
            batch.append(message)
        return batch

    @classmethod
    def together(cls, parts: Sequence[Batch]) -> Batch:
        """Those of all these batches, which must not change any more."""
        if len(parts) == 1:
            return parts[0]
        return _Joined([each for part in parts for each in part.parts or (part,)])

    @property
    def facts(self) -> Facts:
        """What is to be known of all of them. A decoder knows it anyway; else it is found out."""
        facts = self._known_facts
        if facts is None:
            facts = self._facts = Facts(
                len(self.series),
                min(self.times, default=INT64_MAX),
                max(self.times, default=INT64_MIN),
                sum(map(len, self.texts)),
                all(map(IS_STORABLE, self.series)),
            )
        return facts

    @property
    def _known_facts(self) -> Facts | None:
        """Those that are known, unless messages have come since."""
        facts = self._facts
        return facts if facts is not None and facts.number == len(self) else None

    @property
    def has_others(self) -> bool:
        """Some of them have other fields."""
        return bool(self.others)

    def append(self, message: Message) -> None:
        series, text, time, others = message
        if others is not None:
            self.others[len(self.series)] = others
        self.series.append(series)
        self.texts.append(text)
        self.times.append(time)

    def extend(self, batch: Batch) -> None:
        """Put the messages of another batch behind these."""
        mine, theirs = self._known_facts, batch._known_facts
        if not self.series:
            self._facts = theirs
        else:
            self._facts = mine.with_those_of(theirs) if mine and theirs else None
        if batch.others:
            offset = len(self.series)
            self.others.update({offset + place: others for place, others in batch.others.items()})
        self.series += batch.series
        self.texts += batch.texts
        self.times += batch.times

    def by_kind(self) -> Iterator[tuple[str, Batch]]:
        """Events and logs apart, as far as there are any; without the other fields, which are not stored."""
        kinds = [*map(_KIND, self.series)]
        for kind in STORED_KINDS:
            count = kinds.count(kind)
            if not count:
                continue
            if count == len(kinds):
                yield kind, self
            else:
                chosen = [found == kind for found in kinds]
                yield (
                    kind,
                    Batch(
                        [*compress(self.series, chosen)],
                        [*compress(self.texts, chosen)],
                        [*compress(self.times, chosen)],
                    ),
                )

    def __len__(self) -> int:
        return len(self.series)

    @overload
    def __getitem__(self, place: int) -> Message: ...

    @overload
    def __getitem__(self, place: slice) -> Batch: ...

    def __getitem__(self, place: int | slice) -> Message | Batch:
        if isinstance(place, slice):
            places = range(*place.indices(len(self.series)))
            others = {new: self.others[old] for new, old in enumerate(places) if old in self.others}
            return Batch(self.series[place], self.texts[place], self.times[place], others)
        others_of = self.others.get(place % len(self.series)) if self.others else None
        return Message(self.series[place], self.texts[place], self.times[place], others_of)

    def __iter__(self) -> Iterator[Message]:
        others = map(self.others.get, range(len(self.series)))
        return map(Message, self.series, self.texts, self.times, others)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Batch({list(self)!r})"


class _Joined(Batch):
    """Batches as one. They are only put together if somebody looks at the columns."""

    __slots__ = ("_whole",)

    def __init__(self, parts: Sequence[Batch]) -> None:
        self.parts = parts
        self.packed = None
        self._facts = _together([part._known_facts for part in parts])
        self._whole: Batch | None = None

    @property
    def whole(self) -> Batch:
        if self._whole is None:
            self._whole = Batch()
            for part in self.parts:
                self._whole.extend(part)
        return self._whole

    series = property(lambda self: self.whole.series)
    texts = property(lambda self: self.whole.texts)
    times = property(lambda self: self.whole.times)
    others = property(lambda self: self.whole.others)

    @property
    def has_others(self) -> bool:
        return any(part.others for part in self.parts)

    def __len__(self) -> int:
        return sum(map(len, self.parts))


def _together(parts: Sequence[Facts | None]) -> Facts | None:
    """Facts of all of them, if all are known."""
    known = [facts for facts in parts if facts is not None]
    return reduce(Facts.with_those_of, known) if known and len(known) == len(parts) else None


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
