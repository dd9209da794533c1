"""Reading the rows of selections, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import ClassVar, Final, TypeVar

from attrs import evolve, field, frozen

from ccstore.message import INT64_MAX, Kind
from ccstore.query import Form, Page, Position, Row, Selection, TextPage
from ccstore.storage.reading.by_block import Bounds, PackedRows
from ccstore.storage.reading.conditions import Conditions, Streams, looks_at_rows, streams_of
from ccstore.storage.reading.dialect import Dialect, Division, Part, Question
from ccstore.storage.reading.expired import Expired, expired_by
from ccstore.storage.reading.gone import gone_of
from ccstore.storage.reading.moment import Moment, moment_of
from ccstore.storage.reading.narrowing import narrowed
from ccstore.storage.reading.statement import Reading, Statement, Values

_T = TypeVar("_T")

_TEXT: Final = attrgetter("text")


@frozen
class Limits:
    """How much an answer may have.

    :ivar rows: of all its pages together; what exceeds them is cut.
    :ivar size: characters of their texts, likewise. The first row of a page may be larger.
    :ivar at_first: rows that the first statement fetches, if it is known that they are not too large.
    :ivar span: nanoseconds that the rows of a page may take, if that is known about.
    """

    rows: int
    size: int = 64 << 20
    at_first: int | None = None
    span: int | None = None

    def rows_of(self, selection: Selection) -> int:
        """Those that the page of a selection may have."""
        return self.rows if selection.limit is None else min(self.rows, selection.limit)


@frozen
class Pages(Question[list[Page]]):
    """A question: one page for each of some selections, from one and the same state of the store.

    :ivar moment: when it is asked.
    :ivar with_tags: the rows have their streams and other tags, and not only time and text.
    """

    selections: Sequence[Selection]
    moment: Moment = field(converter=moment_of)
    limits: Limits
    with_tags: bool = True

    @property
    def count(self) -> int:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        return len(self.selections)

    @property
    def is_long(self) -> bool:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        return any(map(looks_at_rows, self.selections))

    def division(self) -> PageDivision[list[Page]] | None:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        if len(self.selections) > 1 or not self.is_long:
            return None
        (selection,) = self.selections
        return PageDivision(selection, self.moment, self.limits, self.with_tags, _alone)

    def reading(self, dialect: Dialect) -> Reading[list[Page]]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        pages = []
        rows, size = self.limits.rows, self.limits.size
        expired = yield from expired_by(self.moment, self.selections, dialect)
        for selection in self.selections:
            limits = evolve(self.limits, rows=rows, size=size)
            page = yield from PageReading(selection, dialect, expired, limits, self.with_tags).page()
            rows -= len(page.rows)
            size -= size_of(page.rows)
            pages.append(page)
        return pages


@frozen
class PageInText(Question[TextPage]):
    """A question: the first page of a selection, as text.

    :ivar moment: when it is asked.
    :ivar form: puts the page into text. It may be done in another process, and has to be pickled for that.
    """

    selection: Selection
    moment: Moment = field(converter=moment_of)
    limits: Limits
    form: Form

    @property
    def is_long(self) -> bool:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        return True

    def division(self) -> PageDivision[TextPage] | None:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        if not looks_at_rows(self.selection):
            return None
        return PageDivision(self.selection, self.moment, self.limits, True, self._in_text)

    def reading(self, dialect: Dialect) -> Reading[TextPage]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        expired = yield from expired_by(self.moment, [self.selection], dialect)
        page = yield from PageReading(self.selection, dialect, expired, self.limits, True).page()
        return self._in_text(page)

    def _in_text(self, page: Page) -> TextPage:
        return page.in_text(lambda page: [*self.form(page)])


@frozen
class PageDivision(Division[_T]):
    """How a page is read in parts.

    :ivar moment: when it is asked.
    :ivar finish: what is made of the page.
    """

    selection: Selection
    moment: Moment
    limits: Limits
    with_tags: bool
    finish: Callable[[Page], _T]
    may_be_enough: ClassVar[bool] = True

    def about(self, selection: Selection) -> Pages:
        """See :class:`ccstore.storage.reading.dialect.Division`."""
        return Pages([selection], self.moment, self.limits, self.with_tags)

    def is_enough(self, first: list[Page]) -> bool:
        """See :class:`ccstore.storage.reading.dialect.Division`."""
        return first[0].is_cut

    def joined(self, answers: Sequence[list[Page]]) -> _T:
        """See :class:`ccstore.storage.reading.dialect.Division`."""
        pages = [page for (page,) in answers]
        found = [row for page in pages for row in page.rows]
        rows = found[: _fitting(found, self.limits.rows_of(self.selection), self.limits.size)]
        used = {row.stream for row in rows}
        streams = {
            number: stream for page in pages for number, stream in page.streams.items() if number in used
        }
        losses = [*dict.fromkeys(loss for page in pages for loss in page.losses)]
        return self.finish(Page(rows, len(rows) < len(found) or pages[-1].is_cut, streams, losses))


def _alone(page: Page) -> list[Page]:
    return [page]


class PageReading:
    """Reads the page of one selection."""

    def __init__(
        self, selection: Selection, dialect: Dialect, expired: Expired, limits: Limits, with_tags: bool
    ) -> None:
        self._selection = selection
        self._dialect = dialect
        self._expired = expired
        self._most = limits.rows_of(selection)
        self._size = limits.size
        self._span = limits.span
        self._with_tags = with_tags
        self._conditions = Conditions(selection, dialect)
        self._needs_tags = with_tags or self._conditions.needs_tags
        self._fetched = dialect.fetching.rows if limits.at_first is None else limits.at_first
        self._rows: list[Row] = []
        self._is_cut = False

    def page(self) -> Reading[Page]:
        """The page."""
        streams = yield from self._conditions.streams()
        if streams.are_none:
            return Page(())
        packed = PackedRows(self._selection, self._dialect, streams)
        for part in (yield from self._parts(is_scan=not streams.are_probed(self._dialect))):
            if self._is_cut and self._is_behind(part):
                continue
            if part.order == "blocks":
                yield from self._unpack(part, packed)
            else:
                yield from self._read(part, streams)
        losses = packed.losses
        if not self._with_tags:
            return Page(self._rows, self._is_cut, losses=losses)
        used = sorted({row.stream for row in self._rows})
        return Page(self._rows, self._is_cut, (yield from streams_of(used, self._dialect)), losses)

    def _parts(self, *, is_scan: bool) -> Reading[list[Part]]:
        """All that has to be read, in the order in which it is best read."""
        parts: list[Part] = []
        is_newest_first = self._selection.is_newest_first
        for kind in self._selection.kinds:
            begin, end, _ = self._bounds(kind, self._selection.after)
            if begin <= end:
                found = yield from self._dialect.parts(
                    kind,
                    begin,
                    end,
                    is_newest_first=is_newest_first,
                    is_scan=is_scan,
                    is_whole=False,
                    most=None if looks_at_rows(self._selection) else self._most,
                )
                if self._span is None:
                    parts += found
                else:
                    parts += narrowed(found, begin, end, self._span, is_newest_first=is_newest_first)
        return _in_order(parts, is_newest_first=is_newest_first)

    def _is_behind(self, part: Part) -> bool:
        """Whether nothing in there can belong to the page, which is full."""
        last = self._rows[-1].time if self._rows else None
        if self._selection.is_newest_first:
            return part.newest is not None and (last is None or part.newest < last)
        return part.oldest is not None and (last is None or part.oldest > last)

    def _bounds(self, kind: Kind, after: Position | None) -> tuple[int, int, int]:
        """First and last time of what comes behind a position, and the id it comes behind at that time."""
        begin, end = self._expired.span(self._selection, kind)
        is_newest_first = self._selection.is_newest_first
        first_id = INT64_MAX if is_newest_first else -1
        if after is not None:
            # At the position's own time, a kind is either through, or not begun, or somewhere between.
            is_through = (kind > after.kind) if is_newest_first else (kind < after.kind)
            if is_newest_first and after.time <= end:
                end = after.time - is_through
            elif not is_newest_first and after.time >= begin:
                begin = after.time + is_through
            if kind == after.kind and after.time == (end if is_newest_first else begin):
                first_id = after.id
        return begin, end, first_id

    def _bounds_within(self, part: Part, after: Position | None) -> tuple[int, int, int]:
        """The same for a part, and for what can still go before the rows of a page that is full."""
        begin, end, number = self._bounds(part.kind, after)
        oldest, newest = begin, end
        if part.is_window:
            assert part.oldest is not None
            assert part.newest is not None
            oldest, newest = max(begin, part.oldest), min(end, part.newest)
        if self._is_cut and self._rows:
            last = self._rows[-1].time
            if self._selection.is_newest_first:
                oldest = max(oldest, last)
            else:
                newest = min(newest, last)
        if self._selection.is_newest_first:
            return oldest, newest, number if newest == end else INT64_MAX
        return oldest, newest, number if oldest == begin else -1

    def _read(self, part: Part, streams: Streams) -> Reading[None]:
        """Add the rows of a part; of all rows so far, keep those that go first."""
        after = self._selection.after
        test = self._conditions.row_test
        begin, end, _ = self._bounds_within(part, after)
        while begin <= end:
            limit = self._fetched if test is not None else min(self._fetched, self._most + 1)
            found = yield self._statement(part, streams, after, limit)
            rows = [*map(Row._make, found)]
            self._keep(rows if test is None else [row for row in rows if test(row.othertags, row.text)])
            if len(rows) < limit or (self._is_cut and self._comes_behind(rows[-1])):
                return
            after = rows[-1].position
            self._fetched = self._dialect.fetching.after(limit, size_of(rows))

    def _unpack(self, part: Part, packed: PackedRows) -> Reading[None]:
        """The same for a part whose rows are packed."""
        after, is_newest_first = self._selection.after, self._selection.is_newest_first
        begin, end, _ = self._bounds_within(part, after)
        gone = yield from gone_of(self._expired, part.kind, self._dialect)
        for block in _in_order((yield from packed.blocks(part, begin, end)), is_newest_first=is_newest_first):
            if self._is_cut and self._is_behind(block):
                return
            begin, end, number = self._bounds_within(part, after)
            behind = (end if is_newest_first else begin), number
            bounds = Bounds(begin, end, gone)
            rows = yield from packed.rows(
                block, bounds, behind, self._most + 1, is_newest_first=is_newest_first
            )
            self._keep(rows)

    def _keep(self, rows: Sequence[Row]) -> None:
        if rows:
            self._rows += rows
            # That is the order of their positions, which begin each row.
            self._rows.sort(reverse=self._selection.is_newest_first)
            self._cut()

    def _comes_behind(self, row: Row) -> bool:
        if not self._rows:
            return True
        last = self._rows[-1]
        return row < last if self._selection.is_newest_first else row > last

    def _statement(self, part: Part, streams: Streams, after: Position | None, limit: int) -> Statement:
        """The first rows of a part that come behind a position."""
        dialect = self._dialect
        values = Values(dialect.placeholder)
        first, last, number = self._bounds_within(part, after)
        begin, end, behind = values.bind(first), values.bind(last), values.bind(number)
        most = values.bind(limit)
        if self._selection.is_newest_first:
            order, rest = "time DESC, id DESC", f"(time < {end} OR id < {behind})"
        else:
            order, rest = "time, id", f"(time > {begin} OR id > {behind})"
        where = [f"time BETWEEN {begin} AND {end}", rest, *self._conditions.of_rows(part, values)]
        where += self._expired.conditions(part.kind)
        needed = "time, id, stream, text, othertags" if self._needs_tags else "time, id, stream, text"
        backwards = self._selection.is_newest_first
        if part.is_window and not streams.are_probed(dialect):
            chosen = streams.chosen(dialect, values)
            source = dialect.window(needed, part, " AND ".join(where), chosen, backwards=backwards)
        else:
            probed, outside = streams.as_conditions(dialect, values)
            where[:0] = probed
            source = dialect.rows(needed, part, " AND ".join(where), outside, backwards=backwards)
        rest = "stream, text, othertags" if self._needs_tags else "0 AS stream, text, NULL AS othertags"
        # As a Row has them.
        sql = f"SELECT time, '{part.kind}' AS kind, id, {rest} FROM {source} ORDER BY {order} LIMIT {most}"
        return Statement(sql, values.given, Row._fields, self._conditions.tests)

    def _cut(self) -> None:
        fitting = _fitting(self._rows, self._most, self._size)
        if fitting < min(len(self._rows), self._most):
            self._most = fitting
        if fitting < len(self._rows):
            del self._rows[fitting:]
            self._is_cut = True


def _fitting(rows: Sequence[Row], most: int, size: int) -> int:
    """How many rows, of the first ones, a page may have.

    :param size: characters of their texts; the first row may be larger.
    """
    rows = rows[:most]
    if size_of(rows) <= size:
        return len(rows)
    sizes = accumulate(len(row.text) for row in rows)
    return max(1, next(place for place, upto in enumerate(sizes) if upto > size))


def size_of(rows: Iterable[Row]) -> int:
    """Characters of their texts."""
    return sum(map(len, map(_TEXT, rows)))


def _in_order(parts: Iterable[Part], *, is_newest_first: bool) -> list[Part]:
    # What has no known time is mostly newer than all else.
    if is_newest_first:
        return sorted(parts, key=lambda part: INT64_MAX if part.newest is None else part.newest, reverse=True)
    return sorted(parts, key=lambda part: INT64_MAX if part.oldest is None else part.oldest)
