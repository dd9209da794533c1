"""When events go: from what is shown at once, from the file in time, whatever the order of their times."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from benchmarks.audit import Audit, snapshot
from ccstore.batch import Batch
from ccstore.message import Message
from ccstore.storage.queue import Bounds
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.dividing import Divider
from ccstore.storage.sqlite.export import SqliteSource
from ccstore.storage.sqlite.means import Means
from ccstore.storage.sqlite.sizes import SegmentSizes, Sizes
from ccstore.storage.sqlite.versions import DATABASE
from ccstore.storage.storage_service import StorageService
from tests.support.stores import NOW, SECOND, NoThreads, asking, message, read_at, storage_service

RETENTION = 160  # seconds


class Store:
    """The storage service on an SQLite file, with a clock that only the test moves."""

    sizes = SegmentSizes()

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self.clock.advance(NOW // SECOND)
        self.service: StorageService | None = None

    @property
    def now(self) -> int:
        return int(self.clock.seconds() * SECOND)

    def open(self, retention: float = RETENTION) -> None:
        """Start it, or start it again."""
        self.close()
        self.backend = SqliteBackend(
            self.path,
            {"synchronous": "OFF"},
            retention=retention,
            now=lambda: self.now,
            reactor=self.clock,
            sizes=Sizes(self.sizes),
            means=Means(threads=NoThreads),
        )
        self.service = storage_service(
            self.backend, self.clock, retention=retention, batch_size=1000, max_waiting=10**6
        )
        self.service.startService()

    def close(self) -> None:
        if self.service is not None:
            get(self.service.stopService())
            self.service = None

    def store(self, **ages: float) -> None:
        """Store events with these names as texts that are so many seconds old."""
        self.accept([message(text, self.now - int(age * SECOND)) for text, age in ages.items()])

    def accept(self, messages: Sequence[Message]) -> None:
        assert self.service is not None
        get(self.service.accept(Batch.of(messages), urgent=True))

    def tick(self, seconds: float) -> None:
        """Let time pass, a second after the other."""
        for _ in range(int(seconds)):
            self.clock.advance(1)

    def found(self) -> list[str]:
        """What a query finds."""
        assert self.service is not None
        (page,) = get(self.service.answers.pages([asking("alex")], max_rows=10**6, timeout=60))
        return sorted(row.text for row in page.rows)

    def shown(self, now: int | None = None) -> list[str]:
        """What somebody sees who opens the file."""
        with closing(sqlite3.connect(self.path)) as connection:
            read_at(connection, self.now if now is None else now)
            return sorted(text for (text,) in connection.execute("SELECT field FROM alex_events"))

    def kept(self) -> list[str]:
        """What is in the file, whether anybody sees it or not."""
        with snapshot(self.path) as connection:
            assert Audit().problems(connection) == []
            segments = connection.execute("SELECT id FROM segment WHERE kind = 'event'").fetchall()
            rows = [
                row
                for (number,) in segments
                for row in connection.execute(f"SELECT text FROM event_{number}")
            ]
        return sorted(text for (text,) in rows)


def get(deferred: Deferred[Any]) -> Any:
    results: list[Any] = []
    deferred.addCallback(results.append)
    return results[0]


@pytest.fixture
def store(tmp_path: Path) -> Any:
    made = Store(tmp_path / "events.db")
    made.open()
    yield made
    made.close()


def test_an_old_event_in_one_request_with_a_new_one(store: Store) -> None:
    store.store(old=155, new=0)
    store.tick(4)
    assert store.shown() == store.found() == ["new", "old"]
    store.tick(1)
    assert store.shown() == store.found() == ["new"]
    store.tick(RETENTION / 16 + 10)
    assert store.kept() == ["new"]


def test_events_of_all_ages_in_each_request(store: Store) -> None:
    """A request a second, its events spread over the retention time: each goes when it has expired."""
    most = RETENTION / 16 + 60
    ages: dict[str, float] = {}
    for step in range(2 * RETENTION):
        if step < RETENTION:
            batch = {f"{step} {place}": float((step * 37 + place * 53) % RETENTION) for place in range(3)}
            store.store(**batch)
            ages |= {text: store.clock.seconds() - age for text, age in batch.items()}
        store.tick(1)
        if step % 16 == 0:
            age = {text: store.clock.seconds() - time for text, time in ages.items()}
            assert store.shown() == store.found() == sorted(text for text in ages if age[text] < RETENTION)
            assert [text for text in store.kept() if age[text] > RETENTION + most] == []
    store.tick(most)
    assert store.kept() == []


def test_a_clock_that_is_ahead_keeps_nothing_alive(store: Store) -> None:
    store.store(future=-(10**6), old=150, new=0)
    store.tick(RETENTION / 16 + 20)
    assert store.shown() == ["future", "new"]
    assert store.kept() == ["future", "new"]
    store.tick(RETENTION + 5)
    assert store.kept() == []


def test_a_daemon_whose_own_clock_was_ahead(store: Store) -> None:
    """A segment that it opened, and one that it sealed, would stay for a year."""
    year = 365 * 86400
    store.clock.rightNow += year
    store.store(first=0)
    store.tick(RETENTION / 16 + 2)
    store.store(second=0)
    store.clock.rightNow -= year
    store.open()
    store.store(third=0)
    store.tick(RETENTION / 16 + 2)
    assert store.kept() == ["first", "second", "third"]
    store.tick(RETENTION + RETENTION / 16 + 60)
    assert store.kept() == []


def test_events_are_kept_shorter(store: Store) -> None:
    store.open(16 * RETENTION)
    for step in range(20):
        store.store(**{f"{step:02}": 0})
        store.tick(20)
    store.open()
    # The last was 20 seconds ago.
    left = [f"{step:02}" for step in range(20 - RETENTION // 20 + 1, 20)]
    assert store.found() == store.shown() == left
    store.tick(RETENTION / 16 + 9)
    assert store.shown() == store.found() == store.kept() == left


def test_events_are_kept_longer(store: Store) -> None:
    """What had expired does not come back; what comes then may be older."""
    store.store(a=150, b=20, c=0)
    store.tick(15)
    store.open(16 * RETENTION)
    assert store.found() == store.shown() == ["b", "c"]
    store.store(late=10 * RETENTION)
    assert store.found() == store.shown() == ["b", "c", "late"]
    store.tick(5)
    assert store.kept() == ["b", "c", "late"]
    with snapshot(store.path) as connection:
        # Nothing that queries have to look at is left of it.
        assert connection.execute("SELECT count(*) FROM expired").fetchone() == (1,)
    store.tick(RETENTION * 2)
    assert store.found() == store.shown() == ["b", "c", "late"]


def test_events_are_kept_longer_after_a_stop(store: Store) -> None:
    """What expired meanwhile had expired, too: the views have not shown it any more."""
    store.store(a=100, b=0)
    store.close()
    store.clock.advance(70)
    assert store.shown() == ["b"]
    store.open(16 * RETENTION)
    assert store.found() == store.shown() == ["b"]


def test_another_retention_time_while_the_daemon_runs(store: Store) -> None:
    """It counts for views at once, and what had expired a moment before does not come back."""
    store.open(10**4)
    store.store(a=9000, b=7500, c=3000, d=0)
    for retention, left in ((8000, "bcd"), (10**4, "bcd"), (2000, "d"), (10**5, "d")):
        assert store.service is not None
        get(
            Deferred.fromCoroutine(
                store.service.reconfigure(
                    retention=retention, flush_time=1.0, bounds=Bounds(10**6, 1000), max_spooled=None
                )
            )
        )
        assert store.found() == store.shown() == [*left]


def test_the_file_is_read_while_no_daemon_runs(store: Store) -> None:
    """The views go by the time at which they are read."""
    store.store(a=100, b=50, c=0)
    store.close()
    for later, shown in ((0, "abc"), (60, "bc"), (61, "bc"), (110, "c"), (RETENTION, ""), (10**9, "")):
        assert store.shown(store.now + later * SECOND) == [*shown]


def test_the_present_time_is_that_of_the_machine(store: Store) -> None:
    store.clock.rightNow = time.time()
    store.open(7200)
    store.store(old=3600, new=0)
    # A daemon that keeps them shorter, and that has not yet found that the old one has expired.
    store.clock.rightNow -= 86400
    store.open(1800)
    store.close()
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT field FROM alex_events").fetchall() == [("new",)]


def test_late_events_are_moved_a_few_at_a_time(store: Store) -> None:
    """Between two steps there is room for a commit; and after each, everything is there."""
    store.sizes = SegmentSizes(segment_rows=100, divided_rows=7)
    store.open()
    store.accept([message(f"{age:03}", store.now - age * SECOND) for age in range(120)])
    divider = Divider(store.sizes)
    expected = [f"{age:03}" for age in range(120)]
    steps = 0
    is_at_it = True
    while is_at_it:
        with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
            is_at_it = divider.step(connection, RETENTION * SECOND, store.now)
            # A row, its index, the streams, and what is noted of two segments.
            assert connection.total_changes <= 7 * 2 + 20
        assert store.found() == store.shown() == store.kept() == expected
        steps += 1
    assert steps > 100 / 7


def test_late_segments_are_few(store: Store) -> None:
    """As many as there are parts in the retention time, however many segments they come from."""
    for _ in range(20):
        store.store(**{str(age): age for age in range(RETENTION - 1)})
        store.tick(RETENTION / 16 + 1)
    with snapshot(store.path) as connection:
        (late,) = connection.execute("SELECT count(*) FROM segment WHERE begins_at IS NOT NULL").fetchone()
    assert 0 < late <= 2 * 17


def test_a_copy_leaves_out_what_had_expired_and_is_in_order(store: Store, tmp_path: Path) -> None:
    for step in range(3):
        store.store(**{f"{step} {age}": age for age in (0, 40, 80, 155)})
        store.tick(RETENTION / 16 + 2)
    store.close()
    source = SqliteSource(store.path, tmp_path)
    source.open()
    try:
        for after in (0, 6):
            found = [
                each
                for page in source.pages("event", after)
                for each in zip(page.ids, page.messages, strict=True)
            ]
            ids = [number for number, _ in found]
            assert ids == sorted(set(ids))
            assert sum(source.counts({"event": after}).values()) == len(found)
            texts = {event.text for _, event in found}
            assert texts <= {*store.kept()}
            assert not any(text.endswith("155") for text in texts)
    finally:
        source.close()


def test_a_file_of_the_first_version(store: Store) -> None:
    """Its views show nothing that has expired either, and it is as a new one."""
    new = store.path.with_name("new.db")
    store.close()
    store.path.rename(new)
    first = evolve(DATABASE, scripts=DATABASE.scripts[:1])
    with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        first.prepare(connection, store.path, 0o600, print)
        connection.execute(
            "INSERT INTO segment (id, kind, first_id, opened_at, sealed_at, min_time, max_time, row_count) "
            "VALUES (1, 'event', 0, 1, 1, ?, ?, 2), (2, 'event', 2, 2, NULL, NULL, NULL, NULL)",
            (store.now - 155 * SECOND, store.now),
        )
        connection.execute("UPDATE segment SET sealed_at = ?1, opened_at = ?1 WHERE id = 1", (store.now,))
        for number in (1, 2):
            connection.execute(
                f"CREATE TABLE event_{number} (id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, "
                "time INTEGER NOT NULL, text TEXT NOT NULL, othertags TEXT)"
            )
        connection.execute("CREATE INDEX event_1_by_stream ON event_1 (stream)")
        connection.execute(
            "INSERT INTO stream VALUES (1, 'alex', 'event', 'job', 'a', NULL, NULL, NULL, NULL, 1)"
        )
        for number, text, age in ((1, "old", 155), (2, "new", 0)):
            connection.execute(
                "INSERT INTO event_1 VALUES (?, 1, ?, ?, NULL)", (number, store.now - age * SECOND, text)
            )
    store.open()
    assert store.shown() == ["new", "old"]
    store.tick(5)
    assert store.shown() == ["new"]
    store.tick(2)
    assert store.kept() == ["new"]
    assert schema(store.path) == schema(new)


def schema(path: Path) -> list[tuple[Any, ...]]:
    """Columns of the tables that are not segments, and views."""
    with closing(sqlite3.connect(path)) as connection:
        return [
            (table, [row[1:] for row in connection.execute(f"PRAGMA table_info({table})")])
            for table in ("stream", "segment", "retention", "expired", "ccstore_event_rows")
        ]


@pytest.mark.parametrize("hours", [1, 24, 876_000, 10**7, 10**12])
def test_any_retention_time_will_do(store: Store, hours: int) -> None:
    store.open(hours * 3600)
    store.store(a=3000, b=0)
    store.tick(70)
    assert store.found() == store.shown() == store.kept() == ["a", "b"]
