"""Messages to store, and backends that are simpler than a database."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from zope.interface import implementer

from ccstore.accounting.figures import Figures, counter, gauge
from ccstore.batch import Batch
from ccstore.holdings import Holdings, Segment, holdings_of
from ccstore.insight.study import Studied
from ccstore.interfaces import IBackend, QueryTimeout, StoreError, StoreUnavailable
from ccstore.keeping import Hold, KeepRule
from ccstore.message import STORED_KINDS, Message, Series, StreamKey
from ccstore.query import (
    ALL_TAGS,
    LEVEL_TAGS,
    STREAM_LABELS,
    Arrival,
    Count,
    Counts,
    Matcher,
    Page,
    Row,
    Selection,
)
from ccstore.storage.periods import Periods, chosen_test
from ccstore.storage.queue import Bounds
from ccstore.storage.reading.arrived import Arrivals, LastArrival
from ccstore.storage.reading.counts import CountsQuestion, KnownValues
from ccstore.storage.reading.evaluate import evaluate
from ccstore.storage.reading.inventory import Inventory
from ccstore.storage.reading.moment import Moment
from ccstore.storage.reading.pages import Limits, Pages
from ccstore.storage.reading.studying import StudyQuestion
from ccstore.storage.storage_service import StorageService
from tests.support.concluding import conclude
from tests.support.expiring import has_expired

SECOND = 1_000_000_000
#: A time for messages, in nanoseconds.
NOW = 1_700_000_000 * SECOND


def message(
    text: str = "text",
    time: int = NOW,
    kind: Any = "event",
    *,
    cluster: str | None = "alex",
    name: str = "job",
    **tags: str,
) -> Message:
    """A message; a tag such as ``type-id`` is given as ``type_id``."""
    named = {key.replace("_", "-"): value for key, value in tags.items()}
    if cluster is not None:
        named["cluster"] = cluster
    return Message(Series(name, named, kind), text, time)


def messages(texts: Sequence[str], time: int = NOW, **more: Any) -> Batch:
    """Messages of one series with these texts, a nanosecond apart."""
    first = message(**more)
    return Batch.of(first._replace(text=text, time=time + index) for index, text in enumerate(texts))


def read_at(connection: sqlite3.Connection, now: int) -> None:
    """Let the views of an SQLite file be read at a time, in nanoseconds, instead of the present one."""
    connection.create_function("julianday", 1, lambda _: now / 86_400e9 + 2440587.5)


class NoThreads:
    """Does at once, and in this thread, what :class:`ccstore.storage.sqlite.threads.Threads` do in others."""

    def __init__(self, reactor: Any, most: int, name: str) -> None:
        pass

    def run(self, work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        return maybeDeferred(work, *arguments)

    def stop(self) -> None:
        """There is nothing to stop."""


@implementer(IBackend)
class MemoryBackend:
    """Messages in lists: what any other backend does, said as simply as can be.

    :param study_rows: that a study is given at a time.
    """

    name = "memory"
    is_busy_elsewhere = False
    writers = 1

    def __init__(self, study_rows: int = 7) -> None:
        self._study_rows = study_rows
        self.studied: Counter[str] = Counter()  # what studies wanted to know, and how often
        self._stored: dict[str, list[tuple[int, Message]]] = {"event": [], "log": []}
        self._ids = {"event": 0, "log": 0}
        self._batches: set[int] = set()
        self._streams: list[StreamKey] = []
        self._periods = Periods(())
        self._holds: dict[int, tuple[Callable[[StreamKey], bool], tuple[int, int]]] = {}
        self.is_open = False

    def describe(self) -> str:
        return "memory"

    def stored(self, kind: Any) -> list[Message]:
        """All messages of a kind, in the order in which they were written."""
        return [message for _, message in self._stored[kind]]

    def open(self) -> None:
        self.is_open = True

    def retain(self, retention: float, rules: Sequence[KeepRule] = ()) -> Deferred[None]:
        self._periods = Periods(rules)
        return succeed(None)

    def limit(self, max_size: int | None) -> None:
        """See :meth:`IBackend.limit`."""

    def hold(self, hold: Hold) -> Deferred[int]:
        number = max(self._holds, default=0) + 1
        self._holds[number] = (chosen_test(hold.chosen), hold.span)
        return succeed(number)

    def release(self, number: int) -> Deferred[bool]:
        return succeed(self._holds.pop(number, None) is not None)

    def close(self) -> Deferred[None]:
        self.is_open = False
        return succeed(None)

    def prepare(self, messages: Batch) -> None:
        """See :meth:`IBackend.prepare`."""

    def announce(self, parts: Sequence[Batch]) -> None:
        """See :meth:`IBackend.announce`."""

    def write(self, messages: Batch, batch_id: int | None = None) -> Deferred[Mapping[str, int]]:
        if not self.is_open:
            return fail(StoreUnavailable("the database is closed"))
        if batch_id in self._batches:
            return succeed({})
        for message in messages:
            try:
                self._check(message)
            except ValueError as error:
                return fail(StoreError(str(error)))
        if batch_id is not None:
            self._batches.add(batch_id)
        for message in messages:
            self._ids[message.kind] += 1
            self._stored[message.kind].append((self._ids[message.kind], message))
        return succeed({kind: self._ids[kind] for kind in {message.kind for message in messages}})

    def _check(self, message: Message) -> None:
        message.text.encode()
        if message.series.cluster is None:
            raise ValueError("no cluster")
        if not -(2**63) <= message.time < 2**63:
            raise ValueError("the time is out of range")

    def read(self, question: Any, *, timeout: float) -> Deferred[Any]:
        if not self.is_open:
            return fail(StoreUnavailable("the database is closed"))
        if timeout < 0:
            return fail(QueryTimeout("the query took too long"))
        if isinstance(question, Pages):
            return succeed(self._pages(question))
        if isinstance(question, CountsQuestion):
            return succeed(self._counts(question))
        if isinstance(question, KnownValues):
            return succeed(self._known(question.label, question.cluster))
        if isinstance(question, Inventory):
            return succeed(self._inventory(question))
        if isinstance(question, LastArrival):
            return succeed(Arrival(self._ids["event"], self._ids["log"]))
        if isinstance(question, StudyQuestion):
            return succeed(Studied(self._study(question)))
        return succeed(self._arrivals(question))

    def _known(self, label: str, cluster: str | None) -> list[str]:
        streams = [each for each in self._all_streams() if cluster is None or each[0] == cluster]
        values = {stream[STREAM_LABELS.index(label)] for stream in streams}
        return [value for value in values if value is not None]

    def _study(self, question: StudyQuestion[Any]) -> Any:
        """What it finds, asking for a few rows at a time."""
        return conclude(
            question.inquiry.study(),
            lambda selection: self._pages(Pages([selection], question.moment, Limits(self._study_rows)))[0],
            lambda counting: self._counts(CountsQuestion(counting, question.moment)),
            self._known,
            self.studied,
        )

    def _inventory(self, question: Inventory) -> Holdings:
        segments = [
            Segment(f"{kind}s", kind, False, len(times), min(times, default=None), max(times, default=None))
            for kind in STORED_KINDS
            for times in [[each.time for _, each in self._stored[kind]]]
        ]
        return holdings_of("memory", 0, segments, leaving=question.leaving)

    def _all_streams(self) -> list[StreamKey]:
        return [each.series.stream for stored in self._stored.values() for _, each in stored]

    def _counts(self, question: CountsQuestion) -> Counts:
        counting = question.counting
        groups: dict[tuple[tuple[str, ...], int | None], list[int]] = {}
        selection = evolve(counting.selection, after=None, limit=None)
        for row in self._rows(selection, question.moment):
            known = dict(zip(STREAM_LABELS, self._streams[row.stream], strict=True))
            tags = json.loads(row.othertags) if row.othertags else {}
            by = tuple(
                (row.othertags or "")
                if label == ALL_TAGS
                else next((tags[tag] for tag in LEVEL_TAGS if tags.get(tag)), "")
                if label == "level"
                else (known.get(label) or tags.get(label.removeprefix("tag."), ""))
                for label in counting.by
            )
            groups.setdefault((by, counting.start_of(row.time)), []).append(row.time)
        counts = [
            Count(by, start, len(times), min(times), max(times)) for (by, start), times in groups.items()
        ]
        if not counting.with_times:
            counts = [count._replace(oldest=0, newest=0) for count in counts]
        if counting.top is None:
            return Counts(counts)
        totals = Counter[tuple[str, ...]]()
        for count in counts:
            totals[count.by] += count.messages
        ranked = sorted(totals, key=lambda by: (-totals[by], by))
        top, others = ranked[: counting.top], ranked[counting.top :]
        rest: dict[int | None, list[Count]] = {}
        for count in counts:
            if count.by in others:
                rest.setdefault(count.start, []).append(count)
        return Counts(
            [count for count in counts if count.by in top],
            rest=[
                Count(
                    (),
                    start,
                    sum(each.messages for each in found),
                    min(each.oldest for each in found),
                    max(each.newest for each in found),
                )
                for start, found in rest.items()
            ],
            others=len(others),
        )

    def _arrivals(self, question: Arrivals) -> Page:
        selection = evolve(question.selection, after=None, limit=None)
        rows = [
            row
            for row in self._rows(selection, question.moment)
            if question.after.of(row.kind) < row.id <= question.upto.of(row.kind)
        ]
        rows.sort(key=lambda row: (row.kind, row.id))
        is_cut = len(rows) > question.most
        return Page(rows[: question.most], is_cut, dict(enumerate(self._streams)))

    def _pages(self, question: Pages) -> list[Page]:
        pages = []
        most = question.limits.rows
        for selection in question.selections:
            rows = [*self._rows(selection, question.moment)]
            if not question.with_tags:
                rows = [row._replace(stream=0, othertags=None) for row in rows]
            limit = most if selection.limit is None else min(most, selection.limit)
            streams = dict(enumerate(self._streams)) if question.with_tags else {}
            page = Page(rows[:limit], len(rows) > limit, streams)
            pages.append(page)
            most -= len(page.rows)
        return pages

    def _rows(self, selection: Selection, moment: Moment) -> Iterator[Row]:
        """All rows of a selection that come behind its position, in its order."""
        test = evaluate(selection)
        rows = []
        for kind in selection.kinds:
            for number, message in self._stored[kind]:
                series = message.series
                stream = series.stream
                is_meant = test(stream, series.othertags, message.time, message.text)
                if is_meant and not has_expired(
                    stream, message.time, moment, self._periods, self._holds.values()
                ):
                    if stream not in self._streams:
                        self._streams.append(stream)
                    place = self._streams.index(stream)
                    rows.append(Row(message.time, kind, number, place, message.text, series.othertags))
        rows.sort(key=lambda row: row.position, reverse=selection.is_newest_first)
        after = selection.after
        for row in rows:
            if after is None or (row.position < after if selection.is_newest_first else row.position > after):
                yield row

    def expire(self, cutoff: int) -> Deferred[int]:
        events = self._stored["event"]
        self._stored["event"] = [stored for stored in events if stored[1].time > cutoff]
        return succeed(len(events) - len(self._stored["event"]))

    def tend(self, now: int) -> Deferred[None]:
        return succeed(None)

    def status(self) -> Figures:
        return Figures(messages=gauge(sum(map(len, self._stored.values())), "Messages."))


class ToldBackend(MemoryBackend):
    """Does what the test tells it to.

    :ivar refusal: what each write fails with, if anything.
    :ivar refused: fires at the first write that fails with it.
    :ivar hold: a write of messages waits for it, if there is one.
    :ivar held: fires when the first one does.
    :ivar answer: gives the answer to a question and its timeout, unless that is what is stored.
    :ivar figures: gives what :meth:`status` returns, unless that is the truth.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refusal: StoreError | None = None
        self.refused: Deferred[None] = Deferred()
        self.hold: Deferred[None] | None = None
        self.held: Deferred[None] = Deferred()
        self.answer: Callable[[Any, float], Deferred[Any]] | None = None
        self.figures: Callable[[], Figures] | None = None

    def write(self, messages: Batch, batch_id: int | None = None) -> Deferred[Any]:
        if self.refusal is not None:
            if not self.refused.called:
                self.refused.callback(None)
            return fail(self.refusal)
        if self.hold is None or not messages:
            return super().write(messages, batch_id)
        if not self.held.called:
            self.held.callback(None)
        written: Deferred[Any] = Deferred()
        self.hold.addCallback(
            lambda _: super(ToldBackend, self).write(messages, batch_id).chainDeferred(written)
        )
        return written

    def read(self, question: Any, *, timeout: float) -> Deferred[Any]:
        if self.answer is not None:
            return self.answer(question, timeout)
        return super().read(question, timeout=timeout)

    def status(self) -> Figures:
        return super().status() if self.figures is None else self.figures()


def asking(
    cluster: str, kind: Any = "event", *, begin: int = -(2**63), end: int = 2**63 - 1, **labels: str | None
) -> Selection:
    """The oldest messages of a cluster and kind, up to and including ``end``, with these labels."""
    names = {"typeid": "type-id", "stypeid": "stype-id"}
    matchers = [
        Matcher(names.get(label, label), "=", value) for label, value in labels.items() if value is not None
    ]
    return Selection((cluster,), (kind,), begin, end + 1, tuple(matchers), is_newest_first=False)


def ask(
    backend: Any, selections: Sequence[Selection], *, cutoff: int, max_rows: int, timeout: float
) -> Deferred[Sequence[Page]]:
    """A page for each selection, with time and text."""
    pages: Deferred[Sequence[Page]] = backend.read(
        Pages(selections, cutoff, Limits(max_rows), with_tags=False), timeout=timeout
    )
    return pages


def storage_service(
    backend: Any,
    clock: Any,
    *,
    flush_time: float = 1.0,
    batch_size: int = 100,
    max_waiting: int = 1000,
    largest: int = 8192,
    size: int = 64 << 20,
    **more: Any,
) -> StorageService:
    """A service that is not started yet."""
    bounds = Bounds(max_waiting, batch_size, largest, size)
    return StorageService(backend, clock, flush_time=flush_time, bounds=bounds, **more)


@define(eq=False)
class Call:
    """A call of a backend's method that waits for the test to answer it."""

    argument: Any
    answer: Deferred[Any] = field(factory=Deferred)

    def succeed(self, result: object = None) -> None:
        """Answer; with no ids, to a write."""
        self.answer.callback({} if result is None else result)

    def fail(self, error: Exception) -> None:
        self.answer.errback(error)


@implementer(IBackend)
class ScriptedBackend:
    """Does nothing but write down what it is asked for; the test fires or fails the Deferreds.

    :ivar writes: each with the messages as its argument.
    :ivar batch_ids: of each of them.
    :ivar queries: each with the question and the timeout.
    :ivar cutoffs: those that :meth:`expire` was called with.
    :ivar announced: the texts of what was announced, each time.
    :ivar tended: the times that :meth:`tend` was called with.
    :ivar expiring: gives what :meth:`expire` returns.
    :ivar tending: gives what :meth:`tend` returns.
    """

    name = "scripted"
    writers = 1

    def __init__(self) -> None:
        self.writes: list[Call] = []
        self.batch_ids: list[int | None] = []
        self.queries: list[Call] = []
        self.cutoffs: list[int] = []
        self.tended: list[int] = []
        self.announced: list[list[str]] = []
        self.expiring: Callable[[], Deferred[int]] = lambda: succeed(0)
        self.tending: Callable[[], Deferred[None]] = lambda: succeed(None)
        self.is_open = False

    @property
    def written(self) -> list[list[str]]:
        """The texts of each batch."""
        return [[message.text for message in call.argument] for call in self.writes]

    def describe(self) -> str:
        return "nowhere"

    def open(self) -> None:
        self.is_open = True

    def retain(self, retention: float, rules: Sequence[KeepRule] = ()) -> Deferred[None]:
        return succeed(None)

    def limit(self, max_size: int | None) -> None:
        """See :meth:`IBackend.limit`."""

    def hold(self, hold: Hold) -> Deferred[int]:
        return fail(StoreUnavailable("nothing is held here"))

    def release(self, number: int) -> Deferred[bool]:
        return succeed(False)

    def close(self) -> Deferred[None]:
        self.is_open = False
        return succeed(None)

    def prepare(self, messages: Batch) -> None:
        """See :meth:`IBackend.prepare`."""

    def announce(self, parts: Sequence[Batch]) -> None:
        """See :meth:`IBackend.announce`."""
        self.announced.append([message.text for part in parts for message in part])

    def write(self, messages: Batch, batch_id: int | None = None) -> Deferred[Mapping[str, int]]:
        self.writes.append(Call(messages))
        self.batch_ids.append(batch_id)
        return self.writes[-1].answer

    def read(self, question: Any, *, timeout: float) -> Deferred[Any]:
        self.queries.append(Call((question, timeout)))
        return self.queries[-1].answer

    def expire(self, cutoff: int) -> Deferred[int]:
        self.cutoffs.append(cutoff)
        return self.expiring()

    def tend(self, now: int) -> Deferred[None]:
        self.tended.append(now)
        return self.tending()

    def status(self) -> Figures:
        return Figures(writes=counter(len(self.writes), "Batches."))
