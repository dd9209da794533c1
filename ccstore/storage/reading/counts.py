"""Counting the rows of a selection, by time and by labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from heapq import nsmallest
from typing import ClassVar, Final, TypeVar

from attrs import evolve, field, frozen

from ccstore.message import INT64_MAX, Kind, StreamKey
from ccstore.query import (
    ALL_TAGS,
    STREAM_LABELS,
    Count,
    Counting,
    Counts,
    Matcher,
    Row,
    Selection,
    label_reader,
    tags_in,
)
from ccstore.storage.columns import LABEL_COLUMNS
from ccstore.storage.reading.by_block import Bounds, PackedRows
from ccstore.storage.reading.by_census import CensusCounting, Span, StreamGroups, are_many, can_tell
from ccstore.storage.reading.by_level import LevelCounting, tells_levels
from ccstore.storage.reading.conditions import Conditions, Streams, streams_of
from ccstore.storage.reading.dialect import Dialect, Division, Part, Question
from ccstore.storage.reading.evaluate import row_test
from ccstore.storage.reading.expired import Expired, expired_by
from ccstore.storage.reading.gone import gone_of
from ccstore.storage.reading.moment import Moment, moment_of
from ccstore.storage.reading.pages import Limits, PageReading
from ccstore.storage.reading.statement import Reading, Rows, Statement, Values

#: Groups of one statement, above which its answer is cut.
_MOST_GROUPS: Final = 200_000
#: Rows that are looked at in one go where no statement can count them.
_ROWS: Final = 20_000
#: Groups of packed rows that are added up before it is looked at what their tags are.
_MOST_UNPACKED: Final = 50_000
#: The times of the first and the last in a statement's groups, of a row, and in all of it; or none.
_TIMES: Final = (
    ", min(time) AS oldest, max(time) AS newest",
    ", time AS oldest, time AS newest",
    ", min(r.oldest) AS oldest, max(r.newest) AS newest",
)
_NO_TIMES: Final = ("", "", ", 0 AS oldest, 0 AS newest")
#: It takes about as long to find a stream as to look at so many rows.
_SHORT: Final = 8
#: What is counted together: values of labels, and the beginning of a step.
_Group = tuple[tuple[str, ...], int | None]
_Key = TypeVar("_Key")


@frozen
class CountsQuestion(Question[Counts]):
    """A question: how many messages there are.

    :ivar moment: when it is asked.
    """

    counting: Counting
    moment: Moment = field(converter=moment_of)

    @property
    def is_long(self) -> bool:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        return True

    def division(self) -> CountsDivision | None:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        counting = self.counting
        if can_tell(counting) or tells_levels(counting):
            return None
        # The groups of all values and steps are too many to be handed on.
        is_wide = counting.top is not None and counting.step is not None and counting.by
        return None if is_wide else CountsDivision(counting, self.moment)

    def reading(self, dialect: Dialect) -> Reading[Counts]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        counting = self.counting
        expired = yield from expired_by(self.moment, [counting.selection], dialect)
        if counting.top is None:
            return (yield from _CountReading(counting, dialect, expired).counts())
        return (yield from _top_counts(counting, counting.top, dialect, expired))


@frozen
class CountsDivision(Division[Counts]):
    """How messages are counted in parts.

    :ivar moment: when it is asked.
    """

    counting: Counting
    moment: Moment
    may_be_enough: ClassVar[bool] = False

    @property
    def selection(self) -> Selection:
        """See :class:`ccstore.storage.reading.dialect.Division`."""
        return self.counting.selection

    def about(self, selection: Selection) -> CountsQuestion:
        """See :class:`ccstore.storage.reading.dialect.Division`."""
        return CountsQuestion(evolve(self.counting, selection=selection, top=None), self.moment)

    def is_enough(self, first: Counts) -> bool:
        """See :class:`ccstore.storage.reading.dialect.Division`."""
        return False

    def joined(self, answers: Sequence[Counts]) -> Counts:
        """See :class:`ccstore.storage.reading.dialect.Division`."""
        found = _Gathered(self.counting.with_times)
        for answer in answers:
            for count in answer.counts:
                found.add(*count)
        is_cut = found.is_cut or any(answer.is_cut for answer in answers)
        losses = [*dict.fromkeys(loss for answer in answers for loss in answer.losses)]
        counted = Counts([*found.groups.values()], is_cut, losses=losses)
        return counted if self.counting.top is None else _only_top(counted, self.counting.top)


def _top_counts(counting: Counting, top: int, dialect: Dialect, expired: Expired) -> Reading[Counts]:
    """The counts of those with the most messages, and what the others have together."""

    def counted(each: Counting) -> Reading[Counts]:
        return (yield from _CountReading(each, dialect, expired).counts())

    counting = evolve(counting, top=None)
    totals = evolve(counting, step=None, with_times=False)
    is_told = can_tell(totals) and not tells_levels(counting)
    if counting.with_times or not counting.by or not dialect.has_censuses or not is_told:
        return _only_top((yield from counted(counting)), top)
    # To count everything is soon done, and to count the few; it is all of them by step that would take long.
    chosen, others = _most_frequent((yield from counted(totals)).counts, top)
    if not others:
        return (yield from counted(counting))
    matchers = [
        Matcher(label, "=", [*{by[place] for by in chosen}]) for place, label in enumerate(counting.by)
    ]
    selection = counting.selection
    few = evolve(counting, selection=evolve(selection, matchers=(*selection.matchers, *matchers)))
    found = yield from counted(few)
    everything = yield from counted(evolve(counting, by=()))
    counts = [count for count in found.counts if count.by in chosen]
    left = Counter({count.start: count.messages for count in everything.counts})
    for count in counts:
        left[count.start] -= count.messages
    rest = [Count((), start, messages, 0, 0) for start, messages in left.items() if messages]
    losses = [*dict.fromkeys([*found.losses, *everything.losses])]
    return Counts(counts, found.is_cut or everything.is_cut, rest, others, losses)


def _most_frequent(counts: Iterable[Count], top: int) -> tuple[frozenset[tuple[str, ...]], int]:
    """The values with the most messages, and how many others there are."""
    totals: Counter[tuple[str, ...]] = Counter()
    for count in counts:
        totals[count.by] += count.messages
    chosen = nsmallest(top, totals, key=lambda by: (-totals[by], by))
    return frozenset(chosen), len(totals) - len(chosen)


def _only_top(counted: Counts, top: int) -> Counts:
    chosen, others = _most_frequent(counted.counts, top)
    rest: dict[_Group, Count] = {}
    for count in counted.counts:
        if count.by not in chosen:
            _add(rest, count._replace(by=()))
    counts = [count for count in counted.counts if count.by in chosen]
    return Counts(counts, counted.is_cut, [*rest.values()], others, counted.losses)


def _add(groups: dict[_Group, Count], count: Count) -> None:
    group = count.by, count.start
    before = groups.get(group)
    if before is not None:
        messages = before.messages + count.messages
        oldest, newest = min(before.oldest, count.oldest), max(before.newest, count.newest)
        count = Count(*group, messages, oldest, newest)
    groups[group] = count


def _merge(groups: dict[_Key, list[int]], group: _Key, number: int, oldest: int, newest: int) -> None:
    """The same where there are very many, as lists of these numbers."""
    before = groups.get(group)
    if before is None:
        groups[group] = [number, oldest, newest]
        return
    before[0] += number
    if oldest < before[1]:
        before[1] = oldest
    if newest > before[2]:
        before[2] = newest


@frozen
class KnownValues(Question[list[str]]):
    """A question: the values of a label of streams, whether or not there are messages of them at the moment.

    :ivar most: so many of them are given.
    :ivar cluster: of whose streams; None for all.
    """

    label: str
    most: int
    cluster: str | None = None

    def reading(self, dialect: Dialect) -> Reading[list[str]]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        column = LABEL_COLUMNS[self.label]
        values = Values(dialect.placeholder)
        where = [f"{column} IS NOT NULL"]
        if self.cluster is not None:
            where.append(dialect.equals("cluster", values.bind(self.cluster)))
        sql = f"SELECT DISTINCT {column} FROM {dialect.streams} WHERE {' AND '.join(where)} LIMIT {self.most}"
        found = yield Statement(sql, values.given, (column,))
        return [value for (value,) in found]


class _Gathered:
    """Groups that were found, as many as there may be.

    :param with_times: their times are kept.
    """

    def __init__(self, with_times: bool) -> None:
        self._with_times = with_times
        self.groups: dict[_Group, Count] = {}
        self.is_cut = False

    def add(self, by: tuple[str, ...], start: int | None, number: int, oldest: int, newest: int) -> None:
        if not self._with_times:
            oldest = newest = 0
        if len(self.groups) >= _MOST_GROUPS and (by, start) not in self.groups:
            self.is_cut = True
            return
        _add(self.groups, Count(by, start, number, oldest, newest))


class _CountReading:
    """Counts one selection."""

    def __init__(self, counting: Counting, dialect: Dialect, expired: Expired) -> None:
        self._counting = counting
        self._selection = counting.selection
        self._dialect = dialect
        self._expired = expired
        self._conditions = Conditions(counting.selection, dialect)
        of_tags = [each for each in counting.selection.matchers if each.label not in STREAM_LABELS]
        # Many rows have the same other tags, so that these are looked at once for all of them.
        self._test = row_test(of_tags, ()) if of_tags and not dialect.has_tests else None
        self._names = tuple(LABEL_COLUMNS[label] for label in counting.by if label in LABEL_COLUMNS)
        self._readers = [(label, label_reader(label)) for label in counting.by]
        needs_tags = self._test is not None or len(self._names) < len(counting.by)
        self._rest = tuple(
            name for name, is_needed in (("othertags", needs_tags), ("start", counting.step)) if is_needed
        )
        self._found = _Gathered(counting.with_times)
        self._names_known: dict[int, tuple[str, ...]] = {}
        # What packed rows are counted by: these names, other tags, the beginning of a step.
        self._unpacked: dict[tuple[tuple[str, ...], str | None, int | None], list[int]] = {}

    def counts(self) -> Reading[Counts]:
        """The counts."""
        losses: Sequence[str] = ()
        streams = yield from self._conditions.streams()
        if streams.are_none:
            pass
        elif self._conditions.has_text_test:
            yield from self._row_by_row()
        else:
            packed = PackedRows(self._selection, self._dialect, streams)
            yield from self._in_groups(streams, packed)
            losses = packed.losses
        return Counts([*self._found.groups.values()], self._found.is_cut, losses=losses)

    # -- by statements

    def _in_groups(self, streams: Streams, packed: PackedRows) -> Reading[None]:
        counting, dialect = self._counting, self._dialect
        census: CensusCounting | LevelCounting | None = None
        if dialect.has_censuses and tells_levels(counting):
            census = LevelCounting(counting, dialect, streams)
        elif dialect.has_censuses and can_tell(counting):
            groups = StreamGroups(counting.by, dialect, streams)
            census = CensusCounting(counting, dialect, groups)
        for kind in self._selection.kinds:
            yield from self._of_kind(kind, streams, packed, census)
        self._take_unpacked()
        if census is not None:
            for count in (yield from census.counts(self._found.groups)):
                self._found.add(*count)

    def _of_kind(
        self,
        kind: Kind,
        streams: Streams,
        packed: PackedRows,
        census: CensusCounting | LevelCounting | None,
    ) -> Reading[None]:
        begin, end = self._expired.span(self._selection, kind)
        if begin > end:
            return
        parts = yield from self._parts(kind, begin, end, is_scan=True)
        if streams.are_probed(self._dialect):
            assert streams.numbers is not None
            if census is not None and not (yield from are_many(self._dialect, parts, streams.numbers)):
                census = None
            if census is None:
                parts = yield from self._parts(kind, begin, end, is_scan=False)
        # Up to there, each row has to be looked at.
        edge = self._expired.edge(kind)
        since = begin if edge is None else max(begin, edge + 1)
        for part in parts:
            spans: list[Span] = [Span(begin, end)]
            if census is not None:
                spans = (
                    [Span(begin, min(end, since - 1))]
                    if since > begin and not _is_behind(part, since)
                    else []
                )
                if since <= end and (part.newest is None or part.newest >= since):
                    spans += yield from census.take(part, since, end)
            for span in spans:
                if part.order == "blocks":
                    yield from self._unpack(part, packed, span.begin, span.end)
                    continue
                found = yield self._statement(part, streams, *span)
                self._take(found)

    def _unpack(self, part: Part, packed: PackedRows, begin: int, end: int) -> Reading[None]:
        """The same for a part whose rows are packed."""
        counting = self._counting
        gone = yield from gone_of(self._expired, part.kind, self._dialect)
        bounds = Bounds(begin, end, gone)
        with_tags = len(self._names) < len(counting.by)
        names, counted = self._names_known, self._unpacked
        for block in (yield from packed.blocks(part, begin, end)):
            groups = yield from packed.groups(block, bounds, counting, with_tags=with_tags)
            yield from self._learn({stream for stream, *_ in groups})
            for stream, tags, start, number, oldest, newest in groups:
                _merge(counted, (names[stream], tags, start), number, oldest, newest)
            if len(counted) > _MOST_UNPACKED:
                self._take_unpacked()

    def _learn(self, streams: set[int]) -> Reading[None]:
        """Look up the labels of streams that are counted by, of those that are not known yet."""
        unknown = streams.difference(self._names_known)
        if unknown:
            found = yield from streams_of([*unknown], self._dialect, self._names)
            for number, stream in found.items():
                self._names_known[number] = tuple([name or "" for name in stream])

    def _take_unpacked(self) -> None:
        are_names = len(self._names) == len(self._counting.by)
        for (names, tags, start), numbers in self._unpacked.items():
            self._found.add(names if are_names else self._values(names, tags), start, *numbers)
        self._unpacked.clear()

    def _parts(self, kind: Kind, begin: int, end: int, *, is_scan: bool) -> Reading[Sequence[Part]]:
        return (
            yield from self._dialect.parts(
                kind, begin, end, is_newest_first=True, is_scan=is_scan, is_whole=True, most=None
            )
        )

    def _take(self, found: Rows) -> None:
        self._found.is_cut |= len(found) > _MOST_GROUPS
        for row in found[:_MOST_GROUPS]:
            *group, number, oldest, newest = row
            labels = group[: len(self._names)]
            rest = dict(zip(self._rest, group[len(self._names) :], strict=True))
            tags = rest.get("othertags")
            if self._test is None or self._test(tags, ""):
                by = self._values(labels, tags)
                self._found.add(by, rest.get("start"), int(number), oldest, newest)

    def _statement(
        self, part: Part, streams: Streams, begin: int, end: int, condition: str | None
    ) -> Statement:
        """The rows of a part, in groups of those that are counted together."""
        dialect = self._dialect
        values = Values(dialect.placeholder)
        where = [f"time BETWEEN {values.bind(begin)} AND {values.bind(end)}"]
        where += [] if condition is None else [condition]
        where += self._conditions.of_rows(part, values)
        where += self._expired.conditions(part.kind)
        needed = ", ".join(["stream", "time", *(name for name in self._rest if name != "start")])
        if _is_short(part, begin, end) and not streams.are_probed(dialect):
            meant = streams.chosen(dialect, values)
            source = dialect.window(needed, part, " AND ".join(where), meant, backwards=False)
        else:
            probed, outside = streams.as_conditions(dialect, values)
            source = dialect.rows(needed, part, " AND ".join([*probed, *where]), outside, backwards=False)
        # With the +, no index is used to have them in this order: rows would be read all over the table.
        by_stream = "+stream" if part.order == "id" else "stream"
        # By its number first: a stream is looked up once for each group, and not for each row.
        chosen = [self._start(part, begin, end) if name == "start" else name for name in self._rest]
        of_group, of_row, of_all = _TIMES if self._counting.with_times else _NO_TIMES
        inner = (
            f"SELECT {', '.join(['stream', *chosen])}, count(*) AS n{of_group} FROM {source}"
            f" GROUP BY {', '.join([by_stream, *self._rest])}"
        )
        groups = [*(f"s.{name}" for name in self._names), *(f"r.{name}" for name in self._rest)]
        if self._rest == ("start",):
            # A stream has few rows in a step: to count these first would make it no shorter.
            inner = f"SELECT stream, {chosen[0]}, 1 AS n{of_row} FROM {source}"
        by = f" GROUP BY {', '.join(groups)}" if groups else " HAVING count(*) > 0"
        sql = (
            f"SELECT {', '.join([*groups, 'sum(r.n) AS n'])}{of_all}"
            f" FROM ({inner}) r JOIN {dialect.streams} s ON s.id = r.stream{by} LIMIT {_MOST_GROUPS + 1}"
        )
        columns = (*self._names, *self._rest, "n", "oldest", "newest")
        return Statement(sql, values.given, columns, self._conditions.tests)

    def _start(self, part: Part, begin: int, end: int) -> str:
        """See :meth:`Counting.start_of`; here, what is left of a division has the sign of what is divided.

        :param begin: no row that is counted is before that, or behind ``end``.
        """
        step, origin = self._counting.step, self._counting.origin
        assert step is not None
        modulo = self._dialect.modulo
        if len(part.tables) == 1 and part.oldest is not None and part.newest is not None:
            begin, end = max(begin, part.oldest), min(end, part.newest)
        if begin >= 0 and end < INT64_MAX - step:
            # As it mostly is: nothing is from before the epoch, and nothing too large.
            return f"time - {modulo(f'time + {step - origin % step}', step)} AS start"
        time = self._dialect.greater("time", str(self._counting.earliest))
        behind = modulo(f"{modulo(time, step)} + {2 * step - origin % step}", step)
        return f"{time} - {behind} AS start"

    def _values(self, names: Sequence[str | None], othertags: str | None) -> tuple[str, ...]:
        if len(self._names) == len(self._counting.by):
            return tuple(name or "" for name in names)
        left = iter(names)
        tags = tags_in(othertags)
        return tuple(
            (next(left) or "")
            if label in LABEL_COLUMNS
            else (othertags or "")
            if label == ALL_TAGS
            else read(tags)
            for label, read in self._readers
        )

    # -- by looking at each

    def _row_by_row(self) -> Reading[None]:
        selection = evolve(self._selection, limit=_ROWS, after=None)
        while True:
            limits = Limits(_ROWS)
            page = yield from PageReading(selection, self._dialect, self._expired, limits, True).page()
            for row in page.rows:
                self._add_row(row, page.streams[row.stream])
            if not page.is_cut:
                return
            selection = evolve(selection, after=page.rows[-1].position)

    def _add_row(self, row: Row, stream: StreamKey) -> None:
        start = self._counting.start_of(row.time)
        by = self._values(self._names_of(stream), row.othertags)
        self._found.add(by, start, 1, row.time, row.time)

    def _names_of(self, stream: StreamKey) -> list[str | None]:
        """The values of its labels that are counted by."""
        known = dict(zip(LABEL_COLUMNS, stream, strict=True))
        return [known[label] for label in self._counting.by if label in LABEL_COLUMNS]


def _is_behind(part: Part, time: int) -> bool:
    """Whether all of a part is at or behind a time."""
    return part.oldest is not None and part.oldest >= time


def _is_short(part: Part, begin: int, end: int) -> bool:
    """Most of a part is not meant, and it has the order of the streams, each of which is soon found."""
    if part.order != "stream" or part.oldest is None or part.newest is None:
        return False
    return (min(end, part.newest) - max(begin, part.oldest)) * _SHORT < part.newest - part.oldest
