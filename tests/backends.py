"""Messages to store, and backends that are simpler than a database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field
from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from zope.interface import implementer

from ccstore.figures import Figures, counter, gauge
from ccstore.interfaces import IBackend, QueryTimeout, StoreError, StoreUnavailable
from ccstore.message import Batch, Message, Series
from ccstore.query import Page, Query, Row

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


class PoolWithoutThreads(ConnectionPool):
    """Does at once, and in this thread, what the real one does in others."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        more["cp_reactor"] = self
        super().__init__(*arguments, **more)

    def callWhenRunning(self, start: object) -> None:
        """Never: there is nothing to start."""

    def runWithConnection(self, work: Any, *arguments: Any, **more: Any) -> Deferred[Any]:
        return maybeDeferred(self._runWithConnection, work, *arguments, **more)


@implementer(IBackend)
class MemoryBackend:
    """Messages in lists: what any other backend does, said as simply as can be."""

    name = "memory"
    writers = 1

    def __init__(self) -> None:
        self._stored: dict[str, list[tuple[int, Message]]] = {"event": [], "log": []}
        self._ids = {"event": 0, "log": 0}
        self._batches: set[int] = set()
        self.is_open = False

    def describe(self) -> str:
        return "memory"

    def open(self) -> None:
        self.is_open = True

    def retain(self, retention: float) -> Deferred[None]:
        return succeed(None)

    def close(self) -> Deferred[None]:
        self.is_open = False
        return succeed(None)

    def prepare(self, messages: Batch) -> None:
        """See :meth:`IBackend.prepare`."""

    def announce(self, parts: Sequence[Batch]) -> None:
        """See :meth:`IBackend.announce`."""

    def write(self, messages: Batch, batch_id: int | None = None) -> Deferred[None]:
        if not self.is_open:
            return fail(StoreUnavailable("the database is closed"))
        if batch_id in self._batches:
            return succeed(None)
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
        return succeed(None)

    def _check(self, message: Message) -> None:
        message.text.encode()
        if message.series.cluster is None:
            raise ValueError("no cluster")
        if not -(2**63) <= message.time < 2**63:
            raise ValueError("the time is out of range")

    def query(
        self, queries: Sequence[Query], *, cutoff: int, max_rows: int, timeout: float
    ) -> Deferred[Sequence[Page]]:
        if not self.is_open:
            return fail(StoreUnavailable("the database is closed"))
        if timeout < 0:
            return fail(QueryTimeout("the query took too long"))
        pages = []
        for query in queries:
            rows = sorted(
                Row(message.time, number, message.text)
                for number, message in self._stored[query.kind]
                if _matches(message, query) and (query.kind == "log" or message.time > cutoff)
            )
            pages.append(Page(rows[:max_rows], is_cut=len(rows) > max_rows))
            max_rows -= len(pages[-1].rows)
        return succeed(pages)

    def expire(self, cutoff: int) -> Deferred[int]:
        events = self._stored["event"]
        self._stored["event"] = [stored for stored in events if stored[1].time > cutoff]
        return succeed(len(events) - len(self._stored["event"]))

    def tend(self, now: int) -> Deferred[None]:
        return succeed(None)

    def status(self) -> Figures:
        return Figures(messages=gauge(sum(map(len, self._stored.values())), "Messages."))


def _matches(message: Message, query: Query) -> bool:
    asked = (query.name, query.hostname, query.type, query.typeid, query.stype, query.stypeid)
    return (
        message.series.cluster == query.cluster
        and query.begin <= message.time <= query.end
        and all(
            want is None or want == have for want, have in zip(asked, message.series.stream[2:], strict=True)
        )
    )


@define(eq=False)
class Call:
    """A call of a backend's method that waits for the test to answer it."""

    argument: Any
    answer: Deferred[Any] = field(factory=Deferred)

    def succeed(self, result: object = None) -> None:
        self.answer.callback(result)

    def fail(self, error: Exception) -> None:
        self.answer.errback(error)


@implementer(IBackend)
class ScriptedBackend:
    """Does nothing but write down what it is asked for; the test fires or fails the Deferreds.

    :ivar writes: each with the messages as its argument.
    :ivar batch_ids: of each of them.
    :ivar queries: each with the arguments of :meth:`query` in a dictionary.
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

    def retain(self, retention: float) -> Deferred[None]:
        return succeed(None)

    def close(self) -> Deferred[None]:
        self.is_open = False
        return succeed(None)

    def prepare(self, messages: Batch) -> None:
        """See :meth:`IBackend.prepare`."""

    def announce(self, parts: Sequence[Batch]) -> None:
        """See :meth:`IBackend.announce`."""
        self.announced.append([message.text for part in parts for message in part])

    def write(self, messages: Batch, batch_id: int | None = None) -> Deferred[None]:
        self.writes.append(Call(messages))
        self.batch_ids.append(batch_id)
        return self.writes[-1].answer

    def query(
        self, queries: Sequence[Query], *, cutoff: int, max_rows: int, timeout: float
    ) -> Deferred[Sequence[Page]]:
        asked = {"queries": queries, "cutoff": cutoff, "max_rows": max_rows, "timeout": timeout}
        self.queries.append(Call(asked))
        return self.queries[-1].answer

    def expire(self, cutoff: int) -> Deferred[int]:
        self.cutoffs.append(cutoff)
        return self.expiring()

    def tend(self, now: int) -> Deferred[None]:
        self.tended.append(now)
        return self.tending()

    def status(self) -> Figures:
        return Figures(writes=counter(len(self.writes), "Batches."))
