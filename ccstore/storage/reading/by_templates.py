"""Templates of messages as they were counted with the parts of a store, without a look at their rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from ccstore.insight.study import ToldTemplate, ToldTemplates, WantedTemplates
from ccstore.message import StreamKey
from ccstore.query import STREAM_LABELS, Position, Selection
from ccstore.storage.census import HOUR, SHORT, stream_numbers
from ccstore.storage.reading.by_census import StreamGroups
from ccstore.storage.reading.conditions import Conditions, Streams, looks_at_rows
from ccstore.storage.reading.dialect import Dialect, Part
from ccstore.storage.reading.expired import Expired, expired_by
from ccstore.storage.reading.moment import Moment
from ccstore.storage.reading.statement import Reading
from ccstore.storage.template_counts import STEPS, PackedTemplates, figures_of, places_of, texts_of

_ALL: Final = PackedTemplates._fields
#: What all streams of a template have in common, see :class:`PackedTemplates`.
_SAME: Final = frozenset(("cluster", "kind", "name"))


def told_templates(wanted: WantedTemplates, moment: Moment, dialect: Dialect) -> Reading[ToldTemplates]:
    """What was counted of a selection: streams in whole hours.

    Where some streams of a template are meant and others are not, it is left to the rows of that hour.

    :param moment: of the question.
    """
    selection = wanted.selection
    first, last = -(-selection.begin // HOUR), selection.end // HOUR
    is_known = dialect.has_censuses and first < last and not wanted.step % SHORT
    if not is_known or selection.after is not None or looks_at_rows(selection):
        return ToldTemplates({}, (), [(selection.begin, selection.end, frozenset())])
    streams = yield from Conditions(selection, dialect).streams()
    if streams.are_none:
        return ToldTemplates({}, (), ())
    expired = yield from expired_by(moment, [selection], dialect)
    telling = _Telling(wanted, dialect, streams, range(first, last))
    for kind in selection.kinds:
        for part in (
            yield from dialect.parts(
                kind,
                first * HOUR,
                last * HOUR - 1,
                is_newest_first=True,
                is_scan=True,
                is_whole=True,
                most=None,
            )
        ):
            if not _may_have_expired(part, expired):
                yield from telling.look_at(part)
    yield from telling.tell()
    return ToldTemplates(
        telling.templates,
        telling.streams,
        [*_spans(selection, range(first, last), telling.divided, frozenset(telling.tables))],
    )


class _Telling:
    """Adds up what was counted of parts.

    :ivar tables: of which something was counted.
    :ivar divided: hours that are left to the rows.
    :ivar templates: with the numbers of their streams, until all is added up.
    """

    def __init__(self, wanted: WantedTemplates, dialect: Dialect, streams: Streams, hours: range) -> None:
        self._step = wanted.step
        self._dialect = dialect
        labels = {matcher.label for matcher in wanted.selection.matchers}
        self._are_whole = labels <= _SAME
        self._groups = StreamGroups(STREAM_LABELS, dialect, streams)
        self._hours = hours
        self._parts: list[Part] = []
        self.divided: set[int] = set()
        self.templates: dict[str, ToldTemplate] = {}

    @property
    def tables(self) -> Collection[str]:
        return [table for part in self._parts for table in part.tables]

    @property
    def streams(self) -> Sequence[StreamKey]:
        """By their places."""
        return [_stream(labels) for labels in self._groups.groups]

    def look_at(self, part: Part) -> Reading[None]:
        """See whether anything was counted of a part, and in which hours that does not tell enough."""
        columns = ("hour",) if self._are_whole else ("hour", "streams", "places")
        found = yield from self._fetched(part, columns)
        if found is None:
            return
        self._parts.append(part)
        if self._are_whole:
            return
        for hour, streams, packed in found:
            if hour in self.divided:
                continue
            groups = yield from self._groups.places(streams)
            if groups.here and None in groups.each and _are_divided(groups.each, packed):
                self.divided.add(hour)

    def tell(self) -> Reading[None]:
        """Add up what was counted of all parts."""
        for part in self._parts:
            for row in (yield from self._fetched(part, _ALL)) or ():
                packed = PackedTemplates._make(row)
                if packed.hour not in self.divided:
                    yield from self._add(part, packed)
        used = [*set[int]().union(*(found.streams for found in self.templates.values()))]
        places = dict(zip(used, (yield from self._groups.places_of(used)), strict=True))
        told, self.templates = self.templates, {}
        for template, found in told.items():
            stream = places[found.stream]
            if stream is not None:
                found.stream = stream
                found.streams = {
                    place for place in map(places.__getitem__, found.streams) if place is not None
                }
                self.templates[template] = found

    def _fetched(self, part: Part, columns: Sequence[str]) -> Reading[Sequence[Sequence[Any]] | None]:
        if part.oldest is None or part.newest is None:
            return None
        begin = max(self._hours.start, part.oldest // HOUR)
        end = min(self._hours.stop, part.newest // HOUR + 1)
        return (yield from self._dialect.templates(part, begin, end, columns))

    def _add(self, part: Part, packed: PackedTemplates) -> Reading[None]:
        streams = stream_numbers(packed.streams)
        texts = texts_of(packed.templates)
        places = places_of(packed.places)
        # All of the streams of a template are meant, or none.
        meant = yield from self._groups.places_of([streams[each[0]] for each in places], streams)
        if meant.count(None) == len(meant):
            return
        figures = figures_of(packed.figures, packed.hour)
        for number, text in enumerate(texts):
            if meant[number] is None:
                continue
            stream = streams[figures.newest_streams[number]]
            newest = Position(figures.newest[number], part.kind, figures.newest_ids[number])
            found = self.templates.get(text)
            if found is None:
                found = self.templates[text] = ToldTemplate(figures.oldest[number], newest, stream)
            if newest > found.newest:
                found.newest, found.stream = newest, stream
            found.oldest = min(found.oldest, figures.oldest[number])
            found.count += figures.counts[number]
            found.streams.update(map(streams.__getitem__, places[number]))
            points = figures.points[number * STEPS : (number + 1) * STEPS]
            for place, count in enumerate(points):
                if count:
                    time = packed.hour * HOUR + place * SHORT
                    found.points[time - time % self._step] += count


def _are_divided(each: Sequence[int | None], packed: bytes) -> bool:
    """Of a template, some streams are meant, and others are not.

    :param packed: see :attr:`PackedTemplates.places`.
    """
    meant = frozenset([place for place, stream in enumerate(each) if stream is not None])
    for places in places_of(packed):
        number = len(meant.intersection(places))
        if number and number < len(places):
            return True
    return False


def _may_have_expired(part: Part, expired: Expired) -> bool:
    """Perhaps some of its messages have expired, and others of the same hour have not."""
    if part.oldest is None:
        return False
    first, _ = expired.span(Selection(), part.kind)
    edge = expired.edge(part.kind)
    return part.oldest < (first if edge is None else max(first, edge + 1))


def _spans(
    selection: Selection, hours: range, divided: Collection[int], tables: frozenset[str]
) -> Iterator[tuple[int, int, frozenset[str]]]:
    """See :attr:`ToldTemplates.spans`."""
    if not tables:
        yield selection.begin, selection.end, tables
        return
    nothing: frozenset[str] = frozenset()
    first, end = hours.start * HOUR, hours.stop * HOUR
    if end < selection.end:
        yield end, selection.end, nothing
    for hour in sorted(divided, reverse=True):
        if (hour + 1) * HOUR < end:
            yield (hour + 1) * HOUR, end, tables
        end = hour * HOUR
        yield end, end + HOUR, nothing
    if first < end:
        yield first, end, tables
    if selection.begin < first:
        yield selection.begin, first, nothing


def _stream(labels: Sequence[str]) -> StreamKey:
    cluster, kind, name, *tags = labels
    return (cluster, kind, name, *(tag or None for tag in tags))
