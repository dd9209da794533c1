"""What can be asked of a store, and what it answers: the one value that every reader makes."""

from __future__ import annotations

import base64
import binascii
import json
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from attrs import field, frozen

from ccstore.message import COLUMN_TAGS, INT64_MAX, INT64_MIN, STORED_KINDS, Kind, StreamKey

#: Labels of streams, in the order of :data:`ccstore.message.StreamKey`. Every other tag is a label, too.
STREAM_LABELS: Final = ("cluster", "kind", "name", *COLUMN_TAGS)

#: Before the name of a tag, it is the label of that tag, whatever other labels are called so.
TAG_PREFIX: Final = "tag."

#: The label of the level: what the first of these tags says that a message has, as it is said there. The tag
#: of this name is ``tag.level``.
LEVEL: Final = "level"
LEVEL_TAGS: Final = ("loglevel", "level", "severity", "priority")

#: Such a tag in the JSON that :func:`tags_in` reads. A key stands behind a brace or a space; a quote
#: in a value stands behind a backslash.
_SAYS_LEVEL: Final = re.compile(rf'(?<=[{{ ])"({"|".join(LEVEL_TAGS)})": "([^"\\]*)(["\\])')

#: A label to count by: all tags that are none of :data:`STREAM_LABELS`, as a JSON object.
ALL_TAGS: Final = "tag.*"

_CURSOR: Final = struct.Struct(">BqBq")
_CURSOR_VERSION: Final = 1
_ARRIVAL: Final = struct.Struct(">Bqq")
_ARRIVAL_VERSION: Final = 2
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


class Position(NamedTuple):
    """A place in the order in which all messages of a store stand; no two have the same.

    :ivar time: nanoseconds since the epoch.
    :ivar kind: at one time, events stand before logs.
    :ivar id: rises with the order of arrival among the messages of one kind.
    """

    time: int
    kind: str
    id: int

    def encode(self) -> str:
        """As a cursor: text that can stand in a URL, and that only this program has to understand."""
        kind = STORED_KINDS.index(self.kind)
        return _as_text(_CURSOR.pack(_CURSOR_VERSION, self.time, kind, self.id))

    @classmethod
    def decode(cls, cursor: str) -> Position:
        """Undo :meth:`encode`; raises :class:`ValueError` for anything else."""
        try:
            version, time, kind, number = _CURSOR.unpack(_from_text(cursor))
            if version != _CURSOR_VERSION:
                raise ValueError(cursor)
            position = cls(time, STORED_KINDS[kind], number)
        except (UnicodeEncodeError, binascii.Error, struct.error, IndexError, ValueError):
            raise ValueError(f"{cursor[:60]!r} is no cursor that this store has given") from None
        return position


def level_of(tags: Mapping[str, str]) -> str:
    """How bad a message with these tags says it is, in its own word; an empty text if it does not say."""
    return next((tags[tag] for tag in LEVEL_TAGS if tags.get(tag)), "")


def label_reader(label: str) -> Callable[[Mapping[str, str]], str]:
    """Reads a label that is none of :data:`STREAM_LABELS` from the other tags of a message."""
    if label == LEVEL:
        return level_of
    tag = label.removeprefix(TAG_PREFIX)
    return lambda tags: tags.get(tag, "")


def tags_in(othertags: str | None) -> Mapping[str, str]:
    """The other tags of a message, which are kept as a JSON object, or None."""
    tags: Mapping[str, str] = json.loads(othertags) if othertags else {}
    return tags


def level_in(othertags: str | None) -> str:
    """The same as :func:`level_of` of :func:`tags_in`, in a fraction of the time."""
    found = _SAYS_LEVEL.findall(othertags or "")
    if not found:
        return ""
    if any(end != '"' for _, _, end in found):
        return level_of(tags_in(othertags))
    return level_of({tag: value for tag, value, _ in found})


def _as_tuple(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


class Arrival(NamedTuple):
    """How far a store has been followed, in the order in which messages came in.

    :ivar event: the id of the last event, as ``log`` is that of the last log.
    """

    event: int
    log: int

    def of(self, kind: str) -> int:
        """The id of the last message of a kind."""
        return self.log if kind == "log" else self.event

    def after(self, kind: str, number: int) -> Arrival:
        """As far as this, and to a message with this id."""
        return self._replace(log=number) if kind == "log" else self._replace(event=number)

    def upto(self, other: Arrival) -> Arrival:
        """As far as either."""
        return Arrival(max(self.event, other.event), max(self.log, other.log))

    def encode(self) -> str:
        """As a cursor, see :meth:`Position.encode`."""
        return _as_text(_ARRIVAL.pack(_ARRIVAL_VERSION, *self))

    @classmethod
    def decode(cls, cursor: str) -> Arrival:
        """Undo :meth:`encode`; raises :class:`ValueError` for anything else."""
        try:
            version, event, log = _ARRIVAL.unpack(_from_text(cursor))
        except (binascii.Error, struct.error, ValueError):
            version = None
        if version != _ARRIVAL_VERSION:
            raise ValueError(f"{cursor[:60]!r} is no cursor of a tail that this store has given")
        return cls(event, log)


def _as_text(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).translate(_URL_SAFE, b"=").decode()


def _from_text(cursor: str) -> bytes:
    return base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))


@frozen
class Matcher:
    """A condition on a label: one of :data:`STREAM_LABELS`, :data:`LEVEL`, or any other tag.

    :ivar op: with ``=`` it has one of the values, with ``!=`` none of them. With ``=~`` and ``!~`` the values
        are regular expressions (RE2), of which one, or none, matches the whole value of the label.
    :ivar values: a label that a message lacks is the empty string. One value may be given by itself.
    """

    label: str
    op: Literal["=", "!=", "=~", "!~"]
    values: tuple[str, ...] = field(converter=_as_tuple)


@frozen
class TextCondition:
    """A condition on the text of a message.

    :ivar op: ``matches`` takes a regular expression (RE2) that may match anywhere.
    :ivar value: what is looked for.
    :ivar ignores_case: upper and lower case are the same; for a text to be found that is ASCII, only the
        letters of ASCII are looked at so.
    """

    op: Literal["contains", "lacks", "matches", "fails"]
    value: str
    ignores_case: bool = False


@frozen
class Selection:
    """Which messages, and in which order; everything that is asked of a store is asked by one of these.

    :ivar clusters: one of them; none given is any.
    :ivar kinds: likewise.
    :ivar begin: nanoseconds since the epoch, included; ``end`` is not.
    :ivar matchers: each of them has to hold, as has each of ``texts``.
    :ivar limit: messages of a page, or None for as many as whoever reads allows.
    :ivar after: only what comes behind this position, in the order of the selection.
    """

    clusters: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = STORED_KINDS
    begin: int = INT64_MIN
    end: int = INT64_MAX + 1
    matchers: tuple[Matcher, ...] = ()
    texts: tuple[TextCondition, ...] = ()
    is_newest_first: bool = True
    limit: int | None = None
    after: Position | None = None


@frozen
class Counting:
    """How many messages of a selection there are; its order, limit and position do not matter.

    :ivar by: labels; messages that have the same values are counted together.
    :ivar step: nanoseconds; messages of the same step are counted together. None if that is all of them.
    :ivar origin: a time at which a step begins.
    :ivar top: so many different values of the labels are told of, those with the most messages; the others
        are counted together. None for all of them.
    :ivar with_times: it is asked when the first and the last of them were.
    """

    selection: Selection
    by: tuple[str, ...] = ()
    step: int | None = None
    origin: int = 0
    top: int | None = None
    with_times: bool = True

    @property
    def earliest(self) -> int:
        """Before this time (ns), a step could begin before all times; what is older counts as this."""
        return INT64_MIN + 2 * (self.step or 0)

    def start_of(self, time: int) -> int | None:
        """The beginning of the step that a time (ns) belongs to."""
        if self.step is None:
            return None
        time = max(time, self.earliest)
        return time - (time - self.origin) % self.step


class Count(NamedTuple):
    """Messages that are counted together.

    :ivar by: the values of the labels; an empty one is a label that they lack.
    :ivar start: of their step, in ns; None without steps.
    :ivar oldest: time of the first of them, in ns, as is ``newest`` of the last; 0 if that is not asked.
    """

    by: tuple[str, ...]
    start: int | None
    messages: int
    oldest: int
    newest: int


@frozen
class Counts:
    """What was counted.

    :ivar is_cut: there are too many different ones, and some of them are left out.
    :ivar rest: all those together that are not among the top, without values of labels.
    :ivar others: how many different values these have.
    :ivar losses: what was not counted since it cannot be read, in words.
    """

    counts: Sequence[Count]
    is_cut: bool = False
    rest: Sequence[Count] = ()
    others: int = 0
    losses: Sequence[str] = ()


class Row(NamedTuple):
    """A message that was found.

    :ivar time: nanoseconds since the epoch.
    :ivar id: see :class:`Position`.
    :ivar stream: its number in the ``streams`` of its page.
    :ivar othertags: the tags that are not its stream's, as a JSON object, or None.
    """

    time: int
    kind: str
    id: int
    stream: int
    text: str
    othertags: str | None

    @property
    def position(self) -> Position:
        return Position(self.time, self.kind, self.id)


@frozen
class Page:
    """The first rows of a selection, in its order.

    :ivar is_cut: there are more.
    :ivar streams: the streams of its rows, by their numbers.
    :ivar losses: what may belong to it and cannot be read, in words.
    """

    rows: Sequence[Row]
    is_cut: bool = False
    streams: Mapping[int, StreamKey] = field(factory=dict)
    losses: Sequence[str] = ()

    @property
    def count(self) -> int:
        """How many rows it has."""
        return len(self.rows)

    @property
    def last(self) -> Position | None:
        """Where its last row stands."""
        return self.rows[-1].position if self.rows else None

    def in_text(self, form: Form) -> TextPage:
        """The same as text."""
        return TextPage(form(self), self.count, self.last, self.is_cut, self.losses)


@frozen
class TextPage:
    """A page as text.

    :ivar pieces: of its text, as UTF-8; they may be made as they are asked for.
    :ivar count: how many rows it has.
    :ivar last: where its last row stands.
    :ivar is_cut: there are more.
    :ivar losses: see :class:`Page`.
    """

    pieces: Iterable[bytes]
    count: int
    last: Position | None
    is_cut: bool
    losses: Sequence[str] = ()


#: Puts a page into text, in pieces.
Form = Callable[[Page], Iterable[bytes]]
