"""Reading what some hosts said, each in times of its own, in few statements."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Final

from ccstore.insight.study import Place, Spanned, WantedSpans
from ccstore.message import STORED_KINDS, Kind, StreamKey
from ccstore.query import STREAM_LABELS, Row, Selection
from ccstore.storage.columns import LABEL_COLUMNS
from ccstore.storage.reading.dialect import Dialect, Part, StreamSpan
from ccstore.storage.reading.expired import Expired, expired_by
from ccstore.storage.reading.gone import gone_of
from ccstore.storage.reading.moment import Moment
from ccstore.storage.reading.packed_spans import PackedSpans
from ccstore.storage.reading.statement import Reading, Statement, Values

#: Spans that one statement is about at first, and at most.
_FEW: Final = 100
_MOST: Final = 5000
#: To look for a stream takes about as long as a row in so many spans; a packed block as so many rows.
_PROBES: Final = 4
_BLOCK: Final = 150
_CLUSTER, _KIND, _HOST = map(STREAM_LABELS.index, ("cluster", "kind", "hostname"))
_COLUMNS: Final = "time, id, stream, text, othertags"
_LAST: Final = attrgetter("last")


class SpanReading:
    """Reads the rows of spans.

    :param moment: when it is asked.
    """

    def __init__(self, wanted: WantedSpans, moment: Moment, dialect: Dialect) -> None:
        self._wanted = wanted
        self._moment = moment
        self._dialect = dialect
        self._streams: dict[int, StreamKey] = {}
        self._rows: list[Row] = []
        self._effort = 0
        self._losses: list[str] = []

    def spanned(self) -> Reading[Spanned]:
        """What is found."""
        spans = yield from self._spans()
        times = [time for _, first, last in spans for time in (first, last)]
        if times:
            selection = Selection(begin=min(times), end=max(times) + 1)
            expired = yield from expired_by(self._moment, [selection], self._dialect)
            for kind in STORED_KINDS:
                of_kind = [each for each in spans if self._streams[each.stream][_KIND] == kind]
                yield from self._of_kind(kind, of_kind, expired, selection)
        self._rows.sort(reverse=True)
        rows = self._newest(spans)
        used = {row.stream for row in rows}
        streams = {number: self._streams[number] for number in used}
        is_cut = len(rows) < len(self._rows)
        return Spanned(rows, streams, is_cut, self._effort + len(self._rows), self._losses)

    def _spans(self) -> Reading[Sequence[StreamSpan]]:
        """The spans of each stream, in the order of their ends."""
        hosts: dict[str, list[str]] = {}
        for cluster, host in self._wanted.spans:
            hosts.setdefault(cluster, []).append(host)
        spans = []
        for cluster, some in hosts.items():
            for number, stream in (yield from self._streams_of(cluster, some)):
                self._streams[number] = stream
                of_host = self._wanted.spans.get(_place(stream), ())
                spans += [StreamSpan(number, begin, end - 1) for begin, end in of_host]
        return sorted(spans, key=_LAST)

    def _streams_of(self, cluster: str, hosts: Sequence[str]) -> Reading[list[tuple[int, StreamKey]]]:
        dialect = self._dialect
        values = Values(dialect.placeholder)
        is_cluster = dialect.equals("cluster", values.bind(cluster))
        is_host = dialect.is_among("hostname", hosts, values)
        # With the kinds, the index of streams finds the hosts.
        kinds = ", ".join([f"'{kind}'" for kind in STORED_KINDS])
        columns = (*LABEL_COLUMNS.values(), "id")
        sql = (
            f"SELECT {', '.join(columns)} FROM {dialect.streams} "
            f"WHERE {is_cluster} AND kind IN ({kinds}) AND {is_host}"
        )
        found = yield Statement(sql, values.given, columns)
        return [(number, tuple(stream)) for *stream, number in found]

    def _of_kind(
        self, kind: Kind, spans: Sequence[StreamSpan], expired: Expired, selection: Selection
    ) -> Reading[None]:
        begin, end = expired.span(selection, kind)
        if begin > selection.begin:
            spans = [each._replace(first=max(begin, each.first)) for each in spans if each.last >= begin]
        if not spans:
            return
        parts = yield from self._dialect.parts(
            kind, begin, end, is_newest_first=True, is_scan=True, is_whole=True, most=None
        )
        longest = max([last - first for _, first, last in spans])
        for part in parts:
            some = _within(spans, longest, part)
            if some and part.order == "blocks":
                yield from self._unpack(part, some, longest, expired)
            elif some:
                yield from self._read(part, some, expired)

    def _read(self, part: Part, spans: Sequence[StreamSpan], expired: Expired) -> Reading[None]:
        """Take the rows of a part: of many spans in one go, as long as it is known that these are all."""
        self._effort += len(spans) // _PROBES
        fetching = self._dialect.fetching
        most = fetching.most if self._dialect.has_tests else fetching.rows
        place, step = 0, _FEW
        while place < len(spans):
            some = spans[place : place + step]
            limit = most if len(some) > 1 else self._wanted.most + 1
            found = yield self._statement(part, some, expired, limit)
            if len(found) == limit and len(some) > 1:
                step = -(-len(some) // 4)
                continue
            self._rows += map(Row._make, found)
            place += len(some)
            if len(found) < limit // 4:
                step = min(2 * step, _MOST)

    def _statement(self, part: Part, spans: Sequence[StreamSpan], expired: Expired, limit: int) -> Statement:
        values = Values(self._dialect.placeholder)
        begin, end = min([each.first for each in spans]), spans[-1].last
        # All of them together say which partitions there is to look at.
        where = [f"time BETWEEN {values.bind(begin)} AND {values.bind(end)}", *expired.conditions(part.kind)]
        source = self._dialect.spans(_COLUMNS, part, spans, " AND ".join(where), values)
        # Of a span by itself, it is the newest that are wanted.
        order = "" if len(spans) > 1 else "ORDER BY time DESC, id DESC "
        sql = (
            f"SELECT time, '{part.kind}' AS kind, id, stream, text, othertags FROM {source} "
            f"{order}LIMIT {values.bind(limit)}"
        )
        return Statement(sql, values.given, Row._fields)

    def _unpack(
        self, part: Part, spans: Sequence[StreamSpan], longest: int, expired: Expired
    ) -> Reading[None]:
        """The same for a part whose rows are packed."""
        cache = self._dialect.block_cache
        packed = PackedSpans(self._dialect)
        gone = yield from gone_of(expired, part.kind, self._dialect)
        begin, end = min([each.first for each in spans]), spans[-1].last
        for block in (yield from packed.blocks(part, begin, end)):
            some = _by_stream(_within(spans, longest, block))
            if some and block.block is not None and cache.may_have(block.block, frozenset(some)):
                self._effort += _BLOCK
                self._rows += yield from packed.spanned(block, some, self._wanted.most + 1, gone)
        self._losses += packed.losses

    def _newest(self, spans: Sequence[StreamSpan]) -> Sequence[Row]:
        """Of the rows of each span, which stand in order, as many as are wanted."""
        most = self._wanted.most
        told = Counter([row.stream for row in self._rows])
        many = {stream for stream, count in told.items() if count > most}
        if not many:
            return self._rows
        of_many = _by_stream(each for each in spans if each.stream in many)
        ends = {stream: [last for _, last in of_stream] for stream, of_stream in of_many.items()}
        counts: Counter[tuple[int, int]] = Counter()
        found = []
        for row in self._rows:
            if row.stream in many:
                span = row.stream, bisect_left(ends[row.stream], row.time)
                counts[span] += 1
                if counts[span] > most:
                    continue
            found.append(row)
        return found


def _place(stream: StreamKey) -> Place:
    return stream[_CLUSTER] or "", stream[_HOST] or ""


def _within(spans: Sequence[StreamSpan], longest: int, part: Part) -> Sequence[StreamSpan]:
    """Of spans in the order of their ends, none of them longer, those in which a part may have anything."""
    if part.oldest is None or part.newest is None:
        return spans
    begin = bisect_left(spans, part.oldest, key=_LAST)
    end = bisect_right(spans, part.newest + longest, key=_LAST)
    return [each for each in spans[begin:end] if each.first <= part.newest]


def _by_stream(spans: Iterable[StreamSpan]) -> dict[int, list[tuple[int, int]]]:
    found: dict[int, list[tuple[int, int]]] = {}
    for stream, first, last in spans:
        found.setdefault(stream, []).append((first, last))
    return found
