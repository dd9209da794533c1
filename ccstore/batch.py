"""Messages that travel together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import compress
from operator import attrgetter
from typing import Final, NamedTuple, overload

from ccstore.message import INT64_MAX, INT64_MIN, STORED_KINDS, FieldValue, Message, Series

_KIND: Final = attrgetter("kind")
IS_STORABLE: Final = attrgetter("is_storable")


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
    """

    __slots__ = ("_facts", "others", "parts", "series", "texts", "times")

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


def by_kind(messages: Batch) -> Iterator[tuple[str, Batch]]:
    """Events and logs apart, as far as there are any; without the other fields, which are not stored."""
    kinds = [*map(_KIND, messages.series)]
    for kind in STORED_KINDS:
        count = kinds.count(kind)
        if not count:
            continue
        if count == len(kinds):
            yield kind, messages
        else:
            chosen = [found == kind for found in kinds]
            yield (
                kind,
                Batch(
                    [*compress(messages.series, chosen)],
                    [*compress(messages.texts, chosen)],
                    [*compress(messages.times, chosen)],
                ),
            )
