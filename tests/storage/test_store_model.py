"""The store against a plain list, through whatever happens to a store.

A state machine writes, asks, moves the clock, restarts, crashes and lets statements fail. All of it goes
through the real :class:`StorageService` and :class:`SqliteBackend` on a real file; only the threads are left
out, and the limits are small, so that a few messages make many segments.
"""

from __future__ import annotations

import itertools
import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from benchmarks.audit import Audit, snapshot
from ccstore.batch import Batch
from ccstore.interfaces import StoreUnavailable
from ccstore.message import Message, Series
from ccstore.query import Page, Selection
from ccstore.storage.reading.dialect import Fetching
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.dialect import SqliteDialect
from ccstore.storage.sqlite.means import Means
from ccstore.storage.sqlite.sizes import SegmentSizes, Sizes
from tests.support.store_drafts import CLUSTERS, RETENTION, Stored, asked, batches
from tests.support.stores import SECOND, NoThreads, asking, read_at, storage_service

#: What a restart may make of it.
RETENTIONS = (RETENTION // 8, RETENTION, 4 * RETENTION)
#: When all of it happens, in seconds.
START = 1_700_000_000
SIZES = SegmentSizes(
    segment_rows=6,
    indexed_rows=2,
    streams_held=5,
    streams_sought=2,
    segments_passed=1,
    merged_segments=3,
    merged_rows=5,
    divided_rows=2,
)


class Faulty(sqlite3.Connection):
    """A connection that refuses a statement, or calls somebody before it.

    :ivar countdown: statements until then; None for never.
    """

    countdown: int | None = None

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        self._count()
        return super().execute(*arguments)

    def executescript(self, *arguments: Any) -> sqlite3.Cursor:
        self._count()
        return super().executescript(*arguments)

    def _count(self) -> None:
        if self.countdown is not None:
            self.countdown -= 1
            if self.countdown < 0:
                self.countdown = None
                self.strike()

    def strike(self) -> None:
        raise sqlite3.OperationalError("disk I/O error")


class StoreMachine(RuleBasedStateMachine):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.directory = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.files = 0
        self.clock = Clock()
        self.clock.advance(START)
        self.audit = Audit(SIZES)
        self.retention = RETENTION
        self.logged: list[str] = []
        globalLogPublisher.addObserver(self.observe)
        self.stack.callback(globalLogPublisher.removeObserver, self.observe)
        self.texts = 0
        self.told_to_come_again = 0
        self.series: dict[Any, Series] = {}  # as decoders keep them
        self.list: dict[str, list[Stored]] = {"event": [], "log": []}
        self.last = {"event": 0, "log": 0}  # ids

    @initialize()
    def begin(self) -> None:
        self.path = self.directory / "0.db"
        self.open()

    def connect(self, address: str, **more: Any) -> Faulty:
        connection = sqlite3.connect(address, factory=Faulty, **more)
        if address.endswith("rw"):
            self.connection = connection  # of the writer
        return connection

    def open(self) -> None:
        pragmas = {"synchronous": "OFF", "busy_timeout": "0"}
        self.backend = SqliteBackend(
            self.path,
            pragmas,
            retention=self.retention,
            now=lambda: self.now,
            reactor=self.clock,
            sizes=Sizes(SIZES),
            means=Means(connect=self.connect, threads=NoThreads),
            dialect=SqliteDialect(Fetching(rows=2, size=20, streams=2), segments=2, most_sorted=3, window=2),
        )
        self.service = storage_service(
            self.backend, self.clock, retention=self.retention, batch_size=5, max_waiting=10**6
        )
        self.told_to_come_again = 0
        self.backend_expires = self.backend.expire
        self.backend.expire = self.expire  # type: ignore[method-assign]
        self.service.startService()

    def teardown(self) -> None:
        if hasattr(self, "service"):
            self.close()
        self.stack.close()

    def observe(self, entry: Any) -> None:
        # Not what is left over of other tests, and said when it is collected.
        if "log_failure" in entry and entry.get("log_namespace", "").startswith("ccstore."):
            self.logged.append(formatEvent(entry) + entry["log_failure"].getTraceback())

    @property
    def now(self) -> int:
        return int(self.clock.seconds() * 1e9)

    @property
    def cutoff(self) -> int:
        return int((self.clock.seconds() - self.retention) * 1e9)

    # -- what the list does

    def keep(self, messages: Sequence[Message]) -> None:
        for each in messages:
            self.last[each.kind] += 1
            self.list[each.kind].append(Stored(self.last[each.kind], each))

    def expire(self, cutoff: int) -> Deferred[int]:
        """What the service calls instead of the backend's own, so that the list follows."""
        last = self.last_stored("event")
        before = self.sealed(cutoff)
        # Up to now events may have been kept for a shorter time.
        with snapshot(self.path) as connection:
            (kept,) = connection.execute("SELECT nanoseconds FROM retention").fetchone()
        hidden = cutoff if kept == self.retention * SECOND else max(cutoff, self.now - kept)

        def follow(result: Any) -> Any:
            with snapshot(self.path) as connection:
                (is_noted,) = connection.execute(
                    "SELECT count(*) FROM expired WHERE cutoff = ?", (cutoff,)
                ).fetchone()
            left = self.sealed(cutoff) if isinstance(result, Failure) else {}
            # What was sealed too long ago goes whatever its time, since clocks may be ahead.
            gone = {number for segment, ids in before.items() if segment not in left for number in ids}
            if is_noted or not isinstance(result, Failure):
                gone |= {
                    event.id
                    for event in self.list["event"]
                    if event.message.time <= hidden and event.id <= last
                }
            self.list["event"] = [event for event in self.list["event"] if event.id not in gone]
            return result

        return self.backend_expires(cutoff).addBoth(follow)

    def last_stored(self, kind: str) -> int:
        """The id of the last message of a kind that is in the file, or was."""
        with snapshot(self.path) as connection:
            number, first_id = connection.execute(
                "SELECT id, first_id FROM segment WHERE kind = ? AND sealed_at IS NULL", (kind,)
            ).fetchone()
            (rows,) = connection.execute(f"SELECT count(*) FROM {kind}_{number}").fetchone()
        return int(first_id + rows)

    def sealed(self, until: int) -> dict[int, list[int]]:
        """The ids of the events in each segment that was sealed until then."""
        with snapshot(self.path) as connection:
            segments = connection.execute(
                "SELECT id FROM segment WHERE kind = 'event' AND sealed_at <= ?", (until,)
            ).fetchall()
            return {
                number: [row[0] for row in connection.execute(f"SELECT id FROM event_{number}")]
                for (number,) in segments
            }

    def expected(self, queries: Sequence[Selection], cutoff: int, max_rows: int) -> list[tuple[Any, ...]]:
        pages = []
        for query in queries:
            rows = sorted(
                (stored.message.time, stored.id, stored.message.text)
                for stored in self.list[query.kinds[0]]
                if stored.matches(query) and (query.kinds == ("log",) or stored.message.time > cutoff)
            )
            pages.append((rows[:max_rows], len(rows) > max_rows))
            max_rows -= len(pages[-1][0])
        return pages

    # -- doing

    def batch(self, batch: Sequence[tuple[Any, ...]]) -> Batch:
        messages = []
        for kind, cluster, name, host, other, offset in batch:
            self.texts += 1
            tags = {"cluster": cluster, "hostname": host, "other": other}
            key = (kind, name, *tags.values())
            if key not in self.series:
                given = {tag: value for tag, value in tags.items() if value is not None}
                self.series[key] = Series(name, given, kind)
            messages.append(Message(self.series[key], f"text {self.texts}", self.now + offset))
        return Batch.of(messages)

    def get(self, deferred: Deferred[Any]) -> Any:
        """What it has fired with."""
        results: list[Any] = []
        deferred.addBoth(results.append)
        assert results, "it has not fired"
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]

    def tick(self, seconds: float) -> None:
        """Let time pass, and housekeeping and retries happen, each at its time."""
        end = self.clock.seconds() + seconds
        while True:
            calls = [call.getTime() for call in self.clock.getDelayedCalls()]
            step = min([*calls, end]) - self.clock.seconds()
            self.clock.advance(max(0.0, step))
            if self.clock.seconds() >= end and not any(call <= end for call in calls):
                return

    # -- rules

    @rule(batch=batches)
    def write(self, batch: Any) -> None:
        messages = self.batch(batch)
        self.keep(messages)
        assert list(self.get(self.service.accept(messages, urgent=True))) == []

    @rule(batch=batches)
    def write_without_hurry(self, batch: Any) -> None:
        """A query sees it all the same."""
        messages = self.batch(batch)
        self.keep(messages)
        self.service.accept(messages, urgent=False)

    @rule(asked=asked, max_rows=st.integers(0, 12) | st.just(1000))
    def query(self, asked: Any, max_rows: int) -> None:
        queries = [
            asking(
                cluster,
                kind,
                name=name,
                hostname=hostname,
                begin=-(2**63) if begin is None else self.now + begin,
                end=2**63 - 1 if end is None else self.now + end,
            )
            for kind, cluster, name, hostname, begin, end in asked
        ]
        self.check(queries, max_rows)

    def check(self, queries: Sequence[Selection], max_rows: int) -> None:
        pages: Sequence[Page] = self.get(self.service.answers.pages(queries, max_rows=max_rows, timeout=60))
        found = [([(row.time, row.id, row.text) for row in page.rows], page.is_cut) for page in pages]
        assert found == self.expected(queries, self.cutoff, max_rows)

    @rule(seconds=st.sampled_from((0.5, 1.0, 2.5, RETENTION / 16, RETENTION / 3, RETENTION)))
    def wait(self, seconds: float) -> None:
        self.tick(seconds)

    @rule(seconds=st.integers(-3 * RETENTION, 3 * RETENTION))
    def jump(self, seconds: int) -> None:
        """Somebody sets the clock; what was to happen happens by the new time, as with a real reactor."""
        calls = self.clock.getDelayedCalls()
        if seconds > 0 and calls:
            self.tick(seconds)
        else:
            self.clock.rightNow += seconds

    @rule()
    def housekeeping(self) -> None:
        """Whenever the clock would have it."""
        self.get(self.backend.tend(self.now))
        self.get(self.backend.expire(self.cutoff))

    @rule(retention=st.none() | st.sampled_from(RETENTIONS))
    def restart(self, retention: int | None) -> None:
        """Perhaps somebody wants events to be kept for another time; what has expired does not come back."""
        self.close()
        self.retention = retention or self.retention
        self.open()

    @rule()
    def wait_for_space(self) -> None:
        """What has expired is gone from the file a sixteenth of the retention time and a minute later."""
        self.service.flush()
        # After the clock was set back, everything that is to happen waits for its time to come again.
        self.tick(
            max([0.0, *(call.getTime() - self.clock.seconds() for call in self.clock.getDelayedCalls())])
        )
        cutoff = self.cutoff
        self.tick(self.retention / 16 + 60)
        with snapshot(self.path) as connection:
            numbers = connection.execute("SELECT id FROM segment WHERE kind = 'event'").fetchall()
            for (number,) in numbers:
                (oldest,) = connection.execute(f"SELECT min(time) FROM event_{number}").fetchone()
                assert oldest is None or oldest > cutoff

    def close(self) -> None:
        self.get(self.service.stopService())

    @rule()
    def crash(self) -> None:
        """The process is gone, and with it what nobody was told is stored."""
        self.service.flush()
        self.go_on_with(self.copy())

    def copy(self) -> Path:
        """The files as they are now."""
        self.files += 1
        copy = self.directory / f"{self.files}.db"
        for suffix in ("", "-wal"):
            if Path(f"{self.path}{suffix}").exists():
                shutil.copyfile(f"{self.path}{suffix}", f"{copy}{suffix}")
        return copy

    def go_on_with(self, copy: Path) -> None:
        self.close()
        self.path = copy
        self.audit.forget()
        self.open()

    @rule(batch=batches, statements=st.integers(0, 30), is_urgent=st.booleans())
    def fail(self, batch: Any, statements: int, is_urgent: bool) -> None:
        """A statement of the next write, or of the housekeeping behind it, fails; later it works again.

        Nothing is stored of what somebody was told to send again.
        """
        messages = self.batch(batch)
        self.service.flush()
        self.connection.countdown = statements
        committed = self.service.accept(messages, urgent=is_urgent)
        self.service.flush()
        is_unready = self.service.unreadiness() is not None
        assert committed.called == (is_urgent or not is_unready)
        if not (is_urgent and is_unready):
            self.keep(messages)
        self.tick(0.2)
        self.connection.countdown = None
        self.tick(1.0)
        assert self.service.unreadiness() is None
        if is_urgent and is_unready:
            with pytest.raises(StoreUnavailable):
                self.get(committed)
            self.told_to_come_again += len(messages)
        else:
            assert list(self.get(committed)) == []

    @rule(statements=st.integers(0, 40))
    def fail_in_housekeeping(self, statements: int) -> None:
        self.connection.countdown = statements
        for work in (lambda: self.backend.tend(self.now), lambda: self.backend.expire(self.cutoff)):
            try:
                self.get(work())
            except StoreUnavailable:
                # What was begun is done as if it had never been tried.
                self.get(work())
        self.connection.countdown = None

    @rule(batch=batches, statements=st.integers(0, 30))
    def crash_in_the_middle(self, batch: Any, statements: int) -> None:
        """Before some statement of a write or what follows: all of the write is there, or nothing."""
        self.service.flush()
        messages = self.batch(batch)
        copies: list[Path] = []
        self.connection.strike = lambda: copies.append(self.copy())  # type: ignore[method-assign]
        self.connection.countdown = statements
        self.get(self.service.accept(messages, urgent=True))
        self.get(self.backend.tend(self.now))
        self.connection.countdown = None
        del self.connection.strike
        if not copies:
            self.keep(messages)
            return
        self.close()
        self.path = copies[0]
        self.audit.forget()
        with closing(sqlite3.connect(self.path)) as connection:
            last = {}
            for kind in self.last:
                (number, last[kind]) = connection.execute(
                    "SELECT id, first_id FROM segment WHERE kind = ? AND sealed_at IS NULL", (kind,)
                ).fetchone()
                (rows,) = connection.execute(f"SELECT count(*) FROM {kind}_{number}").fetchone()
                last[kind] += rows
        if any(last[each.kind] > self.last[each.kind] for each in messages):
            self.keep(messages)
        self.open()

    # -- what is always so

    @invariant()
    def nothing_unexpected_is_in_the_log(self) -> None:
        mistakes = [text for text in self.logged if "disk I/O error" not in text]
        assert not mistakes, mistakes[0]

    @invariant()
    def books_balance(self) -> None:
        if hasattr(self, "service"):
            status: Any = self.service.stats()["manager"]
            status = status["status"]
            assert status["processed"] == status["flushed"] + status["waiting"] + self.told_to_come_again

    @rule()
    def look_at_everything(self) -> None:
        """All there is, and whether the file is sound and its catalogue true."""
        self.check([asking(cluster, kind) for cluster in CLUSTERS for kind in ("event", "log")], 10**6)
        with snapshot(self.path) as connection:
            assert self.audit.problems(connection) == []
            self.check_views(connection)

    def check_views(self, connection: sqlite3.Connection) -> None:
        """They show what has not expired at the time at which they are read."""
        read_at(connection, self.now)
        for cluster, kind in itertools.product(CLUSTERS, ("event", "log")):
            stored = [each for each in self.list[kind] if each.message.series.cluster == cluster]
            name = f"{cluster}_{kind}s"
            if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)).fetchone():
                assert not stored
                continue
            shown = {number for (number,) in connection.execute(f'SELECT id FROM "{name}"')}
            # Some milliseconds of what has not expired may be missing.
            for margin, is_more in ((0, False), (4_000_000, True)):
                expected = {
                    each.id for each in stored if kind == "log" or each.message.time > self.cutoff + margin
                }
                assert shown >= expected if is_more else shown <= expected


StoreMachine.TestCase.settings = settings(
    deadline=None,
    max_examples=60,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
StoreModelTests = StoreMachine.TestCase
