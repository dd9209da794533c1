"""Reading messages in the order in which they came in."""

from __future__ import annotations

from operator import attrgetter
from typing import Final

from attrs import field, frozen

from ccstore.message import Kind
from ccstore.query import Arrival, Page, Row, Selection
from ccstore.storage.reading.by_block import Bounds, PackedRows
from ccstore.storage.reading.conditions import Conditions, Streams, streams_of
from ccstore.storage.reading.dialect import Dialect, Part, Question
from ccstore.storage.reading.expired import Expired, expired_by
from ccstore.storage.reading.gone import gone_of
from ccstore.storage.reading.moment import Moment, moment_of
from ccstore.storage.reading.statement import Reading, Statement, Values

_ID: Final = attrgetter("id")
_COLUMNS = ("time", "id", "text", "stream", "othertags")


@frozen
class LastArrival(Question[Arrival]):
    """A question: how far messages have come in."""

    def reading(self, dialect: Dialect) -> Reading[Arrival]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        lasts = yield from dialect.last_ids()
        return Arrival(lasts["event"], lasts["log"])


@frozen
class Arrivals(Question[Page]):
    """A question: the messages of a selection that came in after one moment, and not after another.

    Events come before logs. The order, the limit and the position of the selection do not matter.

    :ivar moment: when it is asked.
    :ivar most: rows, of which there may be more.
    """

    selection: Selection
    after: Arrival
    upto: Arrival
    moment: Moment = field(converter=moment_of)
    most: int

    def reading(self, dialect: Dialect) -> Reading[Page]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        expired = yield from expired_by(self.moment, [self.selection], dialect)
        return (yield from _ArrivalReading(self, dialect, expired).page())


class _ArrivalReading:
    """Reads what came in."""

    def __init__(self, question: Arrivals, dialect: Dialect, expired: Expired) -> None:
        self._question = question
        self._dialect = dialect
        self._expired = expired
        self._conditions = Conditions(question.selection, dialect)
        self._rows: list[Row] = []

    def page(self) -> Reading[Page]:
        """The page."""
        streams = yield from self._conditions.streams()
        if streams.are_none:
            return Page(())
        packed = PackedRows(self._question.selection, self._dialect, streams)
        for kind in self._question.selection.kinds:
            yield from self._of_kind(kind, streams, packed)
        rows, most = self._rows, self._question.most
        is_cut = len(rows) > most
        del rows[most:]
        used = sorted({row.stream for row in rows})
        return Page(rows, is_cut, (yield from streams_of(used, self._dialect)), packed.losses)

    @property
    def _is_full(self) -> bool:
        return len(self._rows) > self._question.most

    def _of_kind(self, kind: Kind, streams: Streams, packed: PackedRows) -> Reading[None]:
        after, upto = self._question.after.of(kind), self._question.upto.of(kind)
        begin, end = self._expired.span(self._question.selection, kind)
        if after >= upto or begin > end or self._is_full:
            return
        for parts, last in (yield from self._dialect.parts_after(kind, after)):
            while after < min(last, upto) and not self._is_full:
                rows: list[Row] = []
                through = min(last, upto)
                for part in parts:
                    found, is_all = yield from self._of_part(part, packed, streams, after, min(last, upto))
                    rows += found
                    if not is_all:
                        # What the other parts have behind that comes next time.
                        through = min(through, found[-1].id)
                rows.sort(key=_ID)
                test = self._conditions.row_test
                self._rows += [
                    row
                    for row in rows
                    if row.id <= through and (test is None or test(row.othertags, row.text))
                ]
                after = through

    def _of_part(
        self, part: Part, packed: PackedRows, streams: Streams, after: int, upto: int
    ) -> Reading[tuple[list[Row], bool]]:
        """The first rows of a part with ids above one up to another, by id, and whether they are all."""
        most = self._dialect.fetching.rows
        if part.order == "blocks":
            gone = yield from gone_of(self._expired, part.kind, self._dialect)
            bounds = Bounds(*self._expired.span(self._question.selection, part.kind), gone)
            return (yield from packed.arrived(part, bounds, after, upto, most))
        found = yield self._statement(part, streams, after, upto)
        rows = [Row(row[0], part.kind, row[1], row[3], row[2], row[4]) for row in found]
        return rows, len(rows) < most

    def _statement(self, part: Part, streams: Streams, after: int, upto: int) -> Statement:
        dialect = self._dialect
        values = Values(dialect.placeholder)
        begin, end = self._expired.span(self._question.selection, part.kind)
        where = [
            f"id > {values.bind(after)} AND id <= {values.bind(upto)}",
            f"time BETWEEN {values.bind(begin)} AND {values.bind(end)}",
            *self._conditions.of_rows(part, values),
            *self._expired.conditions(part.kind),
        ]
        probed, outside = streams.as_conditions(dialect, values)
        columns = ", ".join(_COLUMNS)
        source = dialect.rows(columns, part, " AND ".join([*probed, *where]), outside, backwards=False)
        sql = f"SELECT {columns} FROM {source} ORDER BY id LIMIT {dialect.fetching.rows}"
        return Statement(sql, values.given, _COLUMNS, self._conditions.tests)
