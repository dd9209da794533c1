"""Counting by the censuses of parts, without a look at their rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from ccstore.message import INT64_MAX, INT64_MIN
from ccstore.query import STREAM_LABELS, Count, Counting
from ccstore.storage.census import HOUR, Cells, stream_numbers, times, totals
from ccstore.storage.columns import LABEL_COLUMNS
from ccstore.storage.reading.conditions import Streams
from ccstore.storage.reading.dialect import Dialect, Part
from ccstore.storage.reading.pages import Expired
from ccstore.storage.reading.statement import Reading, Statement, Values

#: First and last time (ns) of what is left to be looked at.
Span = tuple[int, int]
#: The messages of a group of labels, in steps that begin then.
Groups = Mapping[tuple[tuple[str, ...], int | None], Count]


def can_tell(counting: Counting) -> bool:
    """Whether a census knows it: streams in whole hours; when they were seen only of a part as a whole."""
    selection, step = counting.selection, counting.step
    return (
        not selection.texts
        and all(matcher.label in STREAM_LABELS for matcher in selection.matchers)
        and all(label in LABEL_COLUMNS for label in counting.by)
        and (step is None or not (counting.with_times or step % HOUR or counting.origin % HOUR))
    )


class CensusCounting:
    """Counts a selection for which :func:`can_tell` is true.

    :param streams: those of the selection.
    :param named: what a group is counted as, by its labels.
    """

    def __init__(
        self,
        counting: Counting,
        dialect: Dialect,
        expired: Expired,
        streams: Streams,
        named: Callable[[tuple[str, ...]], tuple[str, ...]],
    ) -> None:
        self._counting = counting
        self._dialect = dialect
        self._marks = [cutoff for cutoff, _ in expired.marks]
        self._chosen = streams
        self._named = named
        # The groups by their places, and the place of each stream.
        self._groups: list[tuple[str, ...]] = []
        self._places: dict[int, int] | None = None
        self._counted: defaultdict[int | None, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
        # Parts that are counted as a whole, with the places of their streams.
        self._parts: list[tuple[Part, list[int | None]]] = []

    def take(self, part: Part, begin: int, end: int) -> Reading[Sequence[Span]]:
        """Count what there is in a part from one time (ns) to another, both included.

        What is left has to be looked at by its rows.
        """
        counting = self._counting
        if part.oldest is None or part.newest is None or self._is_marked(part):
            return [(begin, end)]
        start = counting.start_of(part.oldest)
        if begin <= part.oldest and part.newest <= end and start == counting.start_of(part.newest):
            is_counted = yield from self._as_a_whole(part, start)
            return [] if is_counted else [(begin, end)]
        if counting.with_times:
            return [(begin, end)]
        first = part.oldest // HOUR if begin <= part.oldest else -(-begin // HOUR)
        last = part.newest // HOUR if part.newest <= end else (end + 1) // HOUR - 1
        if first > last or not (yield from self._in_hours(part, first, last)):
            return [(begin, end)]
        left = []
        if begin > part.oldest and begin < first * HOUR:
            left.append((begin, first * HOUR - 1))
        if end < part.newest and (last + 1) * HOUR <= end:
            left.append(((last + 1) * HOUR, end))
        return left

    def _is_marked(self, part: Part) -> bool:
        """Perhaps some of its events have expired, and others of the same time have not."""
        assert part.oldest is not None
        return part.kind == "event" and any(part.oldest <= cutoff for cutoff in self._marks)

    def _as_a_whole(self, part: Part, start: int | None) -> Reading[bool]:
        found = yield from self._dialect.census(part, ("streams", "totals"))
        if found is None:
            return False
        places = yield from self._places_of(stream_numbers(found[0]))
        counted = self._counted[start]
        for place, number in zip(places, totals(found[1]), strict=True):
            if place is not None:
                counted[place] += number
        if self._counting.with_times:
            self._parts.append((part, places))
        return True

    def _in_hours(self, part: Part, first: int, last: int) -> Reading[bool]:
        """Count what there is from one hour since the epoch to another, both included."""
        found = yield from self._dialect.census(part, ("first", "hours", "streams", "cells"))
        if found is None or found[3] is None:
            return False
        streams = stream_numbers(found[2])
        places = yield from self._places_of(streams)
        cells = Cells(found[3], len(streams), found[1])
        rows: dict[int, int] = {}
        for place, row in zip(places, cells.rows(), strict=True):
            if place is not None:
                rows[place] = rows.get(place, 0) + row
        begin = found[0] // HOUR
        counted = [self._counted[self._counting.start_of(hour * HOUR)] for hour in range(first, last + 1)]
        for place, row in rows.items():
            numbers = cells.by_hour(row)[first - begin : last + 1 - begin]
            for of_step, number in zip(counted, numbers, strict=True):
                if number:
                    of_step[place] += number
        return True

    def _places_of(self, streams: Sequence[int]) -> Reading[list[int | None]]:
        """The place of the group of each stream; None for one that is not meant."""
        if self._places is None:
            self._places = yield from self._find_places()
        return [*map(self._places.get, streams)]

    def _find_places(self) -> Reading[dict[int, int]]:
        dialect = self._dialect
        values = Values(dialect.placeholder)
        columns = ("id", *(LABEL_COLUMNS[label] for label in self._counting.by))
        condition = self._chosen.chosen(dialect, values)
        where = "" if condition is None else f" WHERE {condition}"
        found = yield Statement(
            f"SELECT {', '.join(columns)} FROM {dialect.streams}{where}", values.given, columns
        )
        places: dict[int, int] = {}
        by_labels: dict[tuple[str, ...], int] = {}
        for stream, *labels in found:
            group = self._named(tuple([label or "" for label in labels]))
            places[stream] = by_labels.setdefault(group, len(by_labels))
        self._groups = [*by_labels]
        return places

    def counts(self, known: Groups) -> Reading[Iterator[Count]]:
        """What was counted.

        :param known: what was counted by rows, which may have the times that are looked for.
        """
        oldest: dict[int, int] = {}
        newest: dict[int, int] = {}
        if self._counting.with_times:
            for place, group in enumerate(self._groups):
                if (count := known.get((group, None))) is not None:
                    oldest[place], newest[place] = count.oldest, count.newest
            yield from self._add_oldest(oldest)
            yield from self._add_newest(newest)
        return (
            Count(self._groups[place], start, number, oldest.get(place, 0), newest.get(place, 0))
            for start, counted in self._counted.items()
            for place, number in counted.items()
        )

    def _add_newest(self, newest: dict[int, int]) -> Reading[None]:
        """The newest parts first: most of the others have nothing newer of any group."""
        for part, places in sorted(self._parts, key=lambda each: each[0].newest or 0, reverse=True):
            latest = part.newest or 0
            here = {*places} - {None}
            if all(newest.get(place, INT64_MIN) >= latest for place in here):  # type: ignore[arg-type]
                continue
            found = yield from self._dialect.census(part, ("first", "newest"))
            assert found is not None
            for place, time in zip(places, times(found[1], found[0]), strict=True):
                if place is not None and time >= newest.get(place, INT64_MIN):
                    newest[place] = time

    def _add_oldest(self, oldest: dict[int, int]) -> Reading[None]:
        """The same from the other end."""
        for part, places in sorted(self._parts, key=lambda each: each[0].oldest or 0):
            earliest = part.oldest or 0
            here = {*places} - {None}
            if all(oldest.get(place, INT64_MAX) <= earliest for place in here):  # type: ignore[arg-type]
                continue
            found = yield from self._dialect.census(part, ("first", "oldest"))
            assert found is not None
            for place, time in zip(places, times(found[1], found[0]), strict=True):
                if place is not None and time <= oldest.get(place, INT64_MAX):
                    oldest[place] = time
