"""The SQLite backend: what the file looks like from outside, segments, and what may go wrong with a file."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from ccstore.interfaces import QueryTimeout, StoreError, StoreUnavailable
from ccstore.message import Batch
from ccstore.storage.reading.dialect import Fetching
from ccstore.storage.sqlite import asking as asking_module
from ccstore.storage.sqlite import backend as backend_module
from ccstore.storage.sqlite import dividing, merging, streams, views, writer
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.dialect import SqliteDialect
from ccstore.storage.sqlite.versions import DATABASE
from tests.support.scratch import as_somebody_else, scratch
from tests.support.store_contract import CLUSTERS, StoreContract
from tests.support.stores import NOW, SECOND, MemoryBackend, ask, asking, message, messages, read_at

RETENTION = 1600  # seconds
#: Age at which a segment of events is sealed.
SPAN = RETENTION // dividing.SPANS_IN_RETENTION * SECOND
HISTORICAL = [
    "id",
    "timestamp",
    "name",
    "hostname",
    "type",
    "typeid",
    "stype",
    "stypeid",
    "othertags",
    "field",
]
#: What a test that commits a thousand times does without.
NO_SYNC = {"synchronous": "OFF"}


class _Files:
    """A file for a test case, and a time that only the test moves."""

    now = NOW
    dialect: SqliteDialect | None = None

    @property
    def path(self) -> Path:
        if not hasattr(self, "_path"):
            self._path = scratch(self) / "events.db"
        return self._path

    def backend_at(self, path: Path, pragmas: dict[str, str] | None = None) -> SqliteBackend:
        return SqliteBackend(
            path,
            pragmas or {},
            retention=RETENTION,
            now=lambda: self.now,
            reactor=reactor,
            dialect=self.dialect,
        )

    def open(self, path: Path | None = None, **pragmas: str) -> SqliteBackend:
        """An open backend, on the file of the test if no other is given."""
        backend = self.backend_at(path or self.path, pragmas)
        backend.open()
        self.addCleanup(backend.close)
        return backend

    def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What somebody else sees who opens the file."""
        with closing(sqlite3.connect(self.path)) as connection:
            read_at(connection, self.now)
            return connection.execute(statement, parameters).fetchall()

    def value(self, statement: str) -> Any:
        ((value,),) = self.sql(statement)
        return value

    async def shown(self) -> list[str]:
        return [text for (text,) in self.sql("SELECT field FROM alex_events")]

    def segments(self, kind: str = "event") -> list[tuple[Any, ...]]:
        """The sealed ones, as the catalogue has them."""
        return self.sql(
            "SELECT id, min_time, max_time, row_count FROM segment "
            "WHERE kind = ? AND sealed_at IS NOT NULL ORDER BY id",
            kind,
        )

    def counts(self, kind: str = "event") -> list[int]:
        return [segment[-1] for segment in self.segments(kind)]


async def texts(backend: Any, cluster: str = "alex", *, cutoff: int = 0, **asked: Any) -> list[str]:
    query = asking(cluster, **asked)
    (page,) = await ask(backend, [query], cutoff=cutoff, max_rows=10**6, timeout=60)
    return [row.text for row in page.rows]


class SqliteContractTests(_Files, StoreContract, TestCase):
    now = NOW + SPAN

    def make_backend(self) -> SqliteBackend:
        return self.backend_at(self.path)


class SmallSegmentsContractTests(_Files, StoreContract, TestCase):
    """The same, where nearly everything is in a sealed segment."""

    now = NOW + SPAN

    def make_backend(self) -> SqliteBackend:
        self.patch(writer, "SEGMENT_ROWS", 3)
        return self.backend_at(self.path)


class ViewTests(_Files, TestCase):
    """``<cluster>_events`` and ``<cluster>_logs``, for a site's own SQL."""

    def columns(self, view: str) -> list[str]:
        return [row[1] for row in self.sql(f"PRAGMA table_info({view})")]

    async def test_have_the_historical_columns(self) -> None:
        await self.open().write(Batch.of([message(), message(kind="log")]))
        self.assertEqual(self.columns("alex_events"), HISTORICAL)
        self.assertEqual(self.columns("alex_logs"), HISTORICAL)

    async def test_show_every_column(self) -> None:
        full = message(
            "text", 7 * SECOND + 999, hostname="h", type="t", type_id="1", stype="s", stype_id="2", zone="z"
        )
        await self.open().write(Batch.of([full]))
        expected = (1, 7, "job", "h", "t", "1", "s", "2", '{"zone": "z"}', "text")
        self.assertEqual(self.sql("SELECT * FROM alex_events"), [expected])

    async def test_show_null_for_what_is_absent(self) -> None:
        await self.open().write(Batch.of([message("text", 7 * SECOND)]))
        self.assertEqual(
            self.sql("SELECT * FROM alex_events"),
            [(1, 7, "job", None, None, None, None, None, None, "text")],
        )

    async def test_other_tags_are_a_json_object(self) -> None:
        tags = {"z": 'a "quoted" one', "a": "日本", "function": "start_job"}
        await self.open().write(Batch.of([message(hostname="h", **tags)]))
        othertags = self.value("SELECT othertags FROM alex_events")
        self.assertEqual(json.loads(othertags), tags)
        self.assertEqual(list(json.loads(othertags)), sorted(tags))

    async def test_other_tags_belong_to_the_message_and_not_to_the_stream(self) -> None:
        await self.open().write(
            Batch.of([message(hostname="h", job=str(job)) for job in range(3)] + [message(hostname="h")])
        )
        self.assertEqual(
            self.sql("SELECT othertags FROM alex_events ORDER BY id"),
            [('{"job": "0"}',), ('{"job": "1"}',), ('{"job": "2"}',), (None,)],
        )
        self.assertEqual(self.value("SELECT count(*) FROM stream"), 1)

    async def test_there_is_one_for_each_cluster_and_kind(self) -> None:
        stored = [(name, kind) for name in CLUSTERS for kind in ("event", "log")]
        await self.open().write(
            Batch.of(message(f"{kind} of {name}", kind=kind, cluster=name) for name, kind in stored)
        )
        without = {"alex", "sqlite"}  # cannot be told from Alex, and a name that SQLite keeps to itself
        for name, kind in stored:
            if name not in without:
                view = f"{name}_{kind}s".replace('"', '""')
                self.assertEqual(self.sql(f'SELECT field FROM "{view}"'), [(f"{kind} of {name}",)])

    async def test_last_while_segments_come_and_go(self) -> None:
        """Also those whose names are like the views that the store makes for itself."""
        self.patch(writer, "SEGMENT_ROWS", 2)
        self.now += SPAN
        backend = self.open()
        for index in range(3):
            await backend.write(
                Batch.of([message(str(index), NOW + index, cluster=name) for name in CLUSTERS])
            )
            await backend.tend(NOW)
        await backend.expire(NOW)
        for name in ("my-cluster", "ccstore_event_rows", "ccstore_event_rows-x"):
            self.assertEqual(self.sql(f'SELECT field FROM "{name}_events" ORDER BY id'), [("1",), ("2",)])

    async def test_too_many_clusters_get_no_views(self) -> None:
        self.patch(views, "_MOST_NAMES", 12)
        backend = self.open()
        with capturedLogs() as logs:
            await backend.write(Batch.of(message(f"{n}", cluster=f"c{n}") for n in range(20)))
        self.assertLess(self.value("SELECT count(*) FROM sqlite_schema"), 13)
        self.assertEqual(self.value("SELECT count(*) FROM c0_events"), 1)
        (text,) = [formatEvent(entry) for entry in logs]
        self.assertIn("too many clusters", text)
        self.assertEqual(await texts(backend, "c19"), ["19"])

    async def test_a_missing_view_is_said_once(self) -> None:
        backend = self.open()
        with capturedLogs() as logs:
            for host in ("a", "b", "c"):
                for cluster in ("Alex", "alex", "sqlite"):
                    await backend.write(Batch.of([message(cluster=cluster, hostname=host)]))
        said = [formatEvent(entry) for entry in logs]
        self.assertEqual(len(said), 2)
        self.assertIn("no view 'alex_events': SQLite cannot tell it from 'Alex_events'", said[0])
        self.assertIn("no view 'sqlite_events' for cluster 'sqlite'", said[1])

    async def test_ids_and_order_are_those_of_arrival(self) -> None:
        self.patch(writer, "SEGMENT_ROWS", 3)
        backend = self.open()
        for index in range(10):
            await backend.write(Batch.of([message(str(index), NOW - index), message("log", kind="log")]))
        self.assertEqual(
            self.sql("SELECT id, field FROM alex_events ORDER BY id"),
            [(index + 1, str(index)) for index in range(10)],
        )
        self.assertEqual(
            self.sql("SELECT id FROM alex_logs ORDER BY id"), [(number,) for number in range(1, 11)]
        )


class SegmentTests(_Files, TestCase):
    """How the open segment becomes a sealed one, and goes."""

    def indexes(self) -> list[str]:
        return [
            table
            for (table,) in self.sql(
                "SELECT tbl_name FROM sqlite_schema WHERE type = 'index' AND tbl_name GLOB '*_[0-9]*'"
            )
        ]

    async def seal(self, backend: SqliteBackend) -> None:
        """Let the open segment of events grow old."""
        self.now += SPAN
        await backend.tend(self.now)

    async def test_is_sealed_when_it_is_large(self) -> None:
        self.patch(writer, "SEGMENT_ROWS", 4)
        backend = self.open()
        await backend.write(messages("abc"))
        await backend.tend(NOW)
        self.assertEqual(self.counts(), [])
        await backend.write(messages("de"))
        await backend.write(messages("f"))
        self.assertEqual(self.counts(), [5])
        self.assertEqual(await texts(backend), list("adfbec"))

    async def test_is_sealed_when_it_is_old(self) -> None:
        backend = self.open()
        await backend.write(messages("ab"))
        await backend.tend(NOW + SPAN - 1)
        self.assertEqual(self.counts(), [])
        await backend.tend(NOW + SPAN)
        self.assertEqual(self.counts(), [2])

    async def test_its_age_counts_from_its_opening(self) -> None:
        """And not from what is written last, which would keep a busy one open for ever."""
        backend = self.open()
        self.now += SPAN // 2
        await backend.write(messages("ab"))
        await backend.tend(NOW + SPAN)
        self.assertEqual(self.counts(), [2])

    async def test_an_empty_one_stays_open(self) -> None:
        backend = self.open()
        await self.seal(backend)
        self.assertEqual(self.counts(), [])

    async def test_logs_are_sealed_by_size_alone(self) -> None:
        self.patch(writer, "SEGMENT_ROWS", 3)
        backend = self.open()
        await backend.write(messages("ab", kind="log"))
        await self.seal(backend)
        self.assertEqual(self.counts("log"), [])
        await backend.write(messages("c", kind="log"))
        await backend.tend(self.now)
        self.assertEqual(self.counts("log"), [3])

    async def test_has_an_index_once_it_is_sealed(self) -> None:
        backend = self.open()
        await backend.write(messages("ab"))
        self.assertEqual(self.indexes(), [])
        await self.seal(backend)
        await backend.write(messages("cd"))
        self.assertEqual(self.indexes(), [f"event_{self.segments()[0][0]}"])

    async def test_an_open_one_gets_its_index_when_idle(self) -> None:
        self.patch(writer, "_INDEX_WHEN_IDLE", 3)
        backend = self.open()
        self.now += 5 * SECOND
        await backend.write(messages("abc"))
        await backend.tend(self.now + SECOND - 1)
        self.assertEqual(self.indexes(), [])
        await backend.tend(self.now + SECOND)
        self.assertEqual(len(self.indexes()), 1)
        await backend.write(messages("d", NOW + 9))
        await self.seal(backend)
        self.assertEqual(len(self.indexes()), 1)
        self.assertEqual(await texts(backend), list("abcd"))

    async def test_a_small_one_gets_none(self) -> None:
        backend = self.open()
        await backend.write(messages("abc"))
        await backend.tend(self.now + SECOND)
        self.assertEqual(self.indexes(), [])

    async def test_an_index_of_an_open_one_is_known_after_a_restart(self) -> None:
        self.patch(writer, "_INDEX_WHEN_IDLE", 3)
        backend = self.open()
        await backend.write(messages("abc"))
        await backend.tend(self.now + SECOND)
        await backend.close()
        backend = self.open()
        await self.seal(backend)
        self.assertEqual((self.counts(), len(self.indexes())), ([3], 1))

    async def test_the_catalogue_agrees_with_the_tables(self) -> None:
        self.patch(writer, "SEGMENT_ROWS", 20)
        backend = self.open()
        numbers = random.Random(1)
        for _ in range(30):
            times = [NOW + numbers.randrange(-(10**12), 10**12) for _ in range(numbers.randrange(1, 9))]
            await backend.write(
                Batch.of([message(time=time, kind=numbers.choice(("event", "log"))) for time in times])
            )
        await backend.tend(NOW)
        for kind in ("event", "log"):
            sealed = self.segments(kind)
            self.assertGreater(len(sealed), 1)
            for number, *rest in sealed:
                counted = self.sql(f"SELECT min(time), max(time), count(*) FROM {kind}_{number}")
                self.assertEqual(counted, [tuple(rest)])

    async def test_there_may_be_more_than_a_statement_can_unite(self) -> None:
        self.patch(writer, "SEGMENT_ROWS", 1)
        backend = self.open(**NO_SYNC)
        expected = [str(index) for index in range(520)]
        for text in expected:
            await backend.write(Batch.of([message(text)]))
        await backend.tend(NOW)
        self.assertEqual(len(self.segments()), 520)
        self.assertEqual(
            self.sql("SELECT field FROM alex_events ORDER BY id"), [(text,) for text in expected]
        )
        self.assertEqual(self.sql("SELECT field FROM alex_events WHERE id = 519"), [("518",)])
        self.assertEqual(await texts(backend), expected)
        await backend.close()
        self.assertEqual(await texts(self.open()), expected)

    async def test_answers_are_those_of_a_list(self) -> None:
        """Whatever the segments; with cutoffs, filters, ranges and cut pages."""
        self.patch(writer, "SEGMENT_ROWS", 7)
        self.patch(merging, "MERGED_TOGETHER", 3)
        self.patch(merging, "_STEP_ROWS", 5)
        self.dialect = SqliteDialect(Fetching(rows=3, streams=3), segments=2, most_sorted=4, window=3)
        backend, memory = self.open(**NO_SYNC), MemoryBackend()
        memory.open()
        pick = random.Random(2)
        for _ in range(60):
            batch = Batch.of(
                message(
                    str(pick.random()),
                    NOW + pick.randrange(40),
                    pick.choice(("event", "event", "log")),
                    cluster=pick.choice("ab"),
                    hostname=str(pick.randrange(4)),
                )
                for _ in range(pick.randrange(9))
            )
            await gatherResults([backend.write(batch), memory.write(batch)])
            await backend.tend(NOW)
        self.assertLess(len(self.segments("log")), 10)
        for _ in range(300):
            asked = [
                asking(
                    pick.choice("ab"),
                    pick.choice(("event", "log")),
                    begin=NOW + pick.randrange(-2, 30),
                    end=NOW + pick.randrange(10, 42),
                    hostname=pick.choice((None, None, "0", "3")),
                )
                for _ in range(pick.randrange(1, 4))
            ]
            limits = {"cutoff": NOW + pick.randrange(-1, 20), "max_rows": pick.randrange(60), "timeout": 60}
            found, expected = await gatherResults([ask(each, asked, **limits) for each in (backend, memory)])
            self.assertEqual(
                [(list(page.rows), page.is_cut) for page in found],
                [(list(page.rows), page.is_cut) for page in expected],
            )

    # -- expiring

    async def test_expires_whole_when_its_newest_event_may_go(self) -> None:
        backend = self.open()
        await backend.write(Batch.of([message("a", NOW), message("b", NOW + 10)]))
        await self.seal(backend)
        await backend.write(Batch.of([message("c", NOW + 5), message("d", NOW + 20)]))
        await self.seal(backend)
        self.assertEqual(await backend.expire(NOW + 9), 0)
        self.assertEqual(self.counts(), [2, 2])
        self.assertEqual(await backend.expire(NOW + 10), 2)
        self.assertEqual(self.counts(), [2])
        self.assertEqual(self.sql("SELECT field FROM alex_events ORDER BY id"), [("d",)])
        self.assertEqual(await texts(backend, cutoff=NOW + 10), ["d"])

    async def test_expires_by_its_sealing_if_a_clock_ran_ahead(self) -> None:
        backend = self.open()
        await backend.write(Batch.of([message("from the future", NOW + 10**6 * SECOND)]))
        await self.seal(backend)
        self.assertEqual(await backend.expire(self.now - 1), 0)
        self.assertEqual(await backend.expire(self.now), 1)
        self.assertEqual(self.sql("SELECT * FROM alex_events"), [])

    async def test_an_open_one_never_expires(self) -> None:
        backend = self.open()
        await backend.write(messages("abc"))
        self.assertEqual(await backend.expire(NOW + RETENTION * SECOND), 0)
        self.assertEqual(self.value("SELECT count(*) FROM alex_events"), 0)
        (number,) = self.sql("SELECT id FROM segment WHERE kind = 'event'")[0]
        self.assertEqual(self.value(f"SELECT count(*) FROM event_{number}"), 3)

    async def test_logs_never_expire(self) -> None:
        self.patch(writer, "SEGMENT_ROWS", 2)
        backend = self.open()
        for kind in ("event", "log"):
            for cluster in ("eventx", "alex"):
                await backend.write(messages("abc", kind=kind, cluster=cluster))
        await backend.tend(NOW)
        await backend.expire(NOW + 10 * RETENTION * SECOND)
        self.assertEqual(self.value("SELECT count(*) FROM eventx_events"), 0)
        for cluster in ("eventx", "alex"):
            self.assertEqual(await texts(backend, cluster, kind="log", cutoff=NOW + 1000), list("abc"))

    async def test_ids_go_on_after_everything_expired(self) -> None:
        backend = self.open()
        await backend.write(messages("abc"))
        await self.seal(backend)
        await backend.expire(NOW + SECOND)
        await backend.write(messages("d"))
        await backend.close()
        backend = self.open()
        await backend.write(messages("e"))
        self.assertEqual(self.sql("SELECT id, field FROM alex_events ORDER BY id"), [(4, "d"), (5, "e")])

    async def fill_and_expire(self, backend: SqliteBackend) -> tuple[int, int]:
        """Pages of the database, before and after 8 MB of events have expired."""
        await backend.write(messages([str(index) * 1000 for index in range(2000)]))
        await self.seal(backend)
        before = self.value("PRAGMA page_count")
        await backend.expire(self.now)
        return before, self.value("PRAGMA page_count")

    async def test_the_file_shrinks(self) -> None:
        self.patch(writer, "_VACUUM_STEP", 100)
        backend = self.open()
        before, after = await self.fill_and_expire(backend)
        size = self.value("PRAGMA page_size")
        self.assertGreater(before * size, 6_000_000)
        self.assertLess(after * size, 3_000_000)
        await backend.close()
        self.assertLess(self.path.stat().st_size, 3_000_000)

    async def test_the_file_shrinks_while_the_daemon_goes_on(self) -> None:
        backend = self.open()
        await backend.write(messages([str(index) * 1000 for index in range(4000)]))
        await self.seal(backend)
        await backend.tend(self.now)
        before = self.path.stat().st_size
        await backend.expire(self.now)
        await backend.tend(self.now + 2 * SECOND)
        self.assertLess(self.path.stat().st_size, before // 3)
        self.assertEqual(self.path.with_name(f"{self.path.name}-wal").stat().st_size, 0)

    async def test_the_file_shrinks_with_the_journal_of_the_go_daemons_flags(self) -> None:
        before, after = await self.fill_and_expire(self.open(journal_mode="WAL"))
        self.assertLess(after, before // 3)

    async def test_some_free_pages_are_kept_for_what_comes(self) -> None:
        backend = self.open()
        await self.fill_and_expire(backend)
        self.assertGreater(self.value("PRAGMA freelist_count"), 50)

    async def test_streams_of_events_that_are_gone_are_forgotten(self) -> None:
        self.patch(streams, "SEGMENTS_PASSED", 0)
        backend = self.open()

        async def write(*hosts: str) -> None:
            await backend.write(Batch.of([message(host, self.now, hostname=host) for host in hosts]))

        await backend.write(Batch.of([message("log", kind="log", hostname="only in a log")]))
        await write("gone", "in a sealed one", "in the open one")
        await self.seal(backend)
        cutoff = self.now
        await write("in a sealed one")
        await self.seal(backend)
        await write("in the open one")
        await backend.expire(cutoff - 1)
        self.assertEqual(len(self.counts()), 1)
        left = self.sql("SELECT hostname FROM stream ORDER BY id")
        self.assertEqual(left, [("only in a log",), ("in a sealed one",), ("in the open one",)])
        await write("gone", "in a sealed one")
        self.assertEqual(await texts(backend, hostname="gone"), ["gone"])
        self.assertEqual(await texts(backend, hostname="in a sealed one"), 2 * ["in a sealed one"])

    async def test_close_waits_for_an_expiry_that_has_begun(self) -> None:
        self.patch(writer, "_VACUUM_STEP", 100)
        backend = self.open()
        await backend.write(messages([str(index) * 1000 for index in range(2000)]))
        await self.seal(backend)
        expiring = backend.expire(self.now)
        await backend.close()
        try:
            self.assertEqual(await expiring, 2000)
        except StoreUnavailable as error:
            # What it had not come to is done next time.
            self.assertEqual(str(error), "the database is closed")
        self.assertEqual(self.value("SELECT count(*) FROM alex_events"), 0)


class MergingTests(_Files, TestCase):
    """Log segments become larger ones, and nobody notices."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(writer, "SEGMENT_ROWS", 4)
        self.patch(merging, "MERGED_TOGETHER", 3)
        self.patch(merging, "_STEP_ROWS", 5)
        self.patch(backend_module, "_MERGING_TIME", (60, 60))

    async def fill(self, backend: SqliteBackend, segments: int = 3) -> list[str]:
        """Segments of logs; the texts in their order."""
        expected = [str(index) for index in range(4 * segments)]
        for start in range(0, len(expected), 4):
            hosts = ("b", "a", "b", "c")
            await backend.write(
                Batch.of(
                    message(text, NOW + int(text), "log", hostname=host)
                    for text, host in zip(expected[start : start + 4], hosts, strict=True)
                )
            )
        await backend.expire(0)  # behind the sealing of the last one
        return expected

    def tables(self) -> int:
        return int(
            self.value("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name GLOB 'log_[0-9]*'")
        )

    async def test_enough_of_them_become_one(self) -> None:
        backend = self.open()
        expected = await self.fill(backend)
        await backend.tend(NOW)
        self.assertEqual(self.counts("log"), [12])
        self.assertEqual(self.tables(), 2)  # the merged one, and the open one
        self.assertEqual(await texts(backend, kind="log"), expected)
        self.assertEqual(await texts(backend, kind="log", hostname="a"), ["1", "5", "9"])
        rows = self.sql("SELECT id, field FROM alex_logs ORDER BY id")
        self.assertEqual(rows, [(index + 1, text) for index, text in enumerate(expected)])

    async def test_too_few_stay_as_they_are(self) -> None:
        backend = self.open()
        await self.fill(backend, 2)
        await backend.tend(NOW)
        self.assertEqual(self.counts("log"), [4, 4])

    async def test_a_merged_one_is_not_merged_again(self) -> None:
        backend = self.open()
        expected = await self.fill(backend, 9)
        await backend.tend(NOW)
        self.assertEqual(self.counts("log"), [12, 12, 12])
        self.assertEqual(await texts(backend, kind="log"), expected)

    async def test_events_are_not_merged(self) -> None:
        backend = self.open()
        for text in map(str, range(12)):
            await backend.write(messages([text] * 4))
        await backend.tend(NOW)
        self.assertEqual(self.counts(), [4] * 12)

    async def test_answers_do_not_change_on_the_way_and_a_restart_begins_anew(self) -> None:
        for steps in range(10):
            self.path.unlink(missing_ok=True)
            backend = self.open()
            expected = await self.fill(backend)
            with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
                merger = merging.Merger(self.fail)
                for _ in range(steps):
                    merger.step(connection, 4)
            self.assertEqual(await texts(backend, kind="log"), expected)
            await backend.close()
            backend = self.open()
            self.assertEqual(await texts(backend, kind="log"), expected)
            await backend.tend(NOW)
            self.assertEqual((self.counts("log"), self.tables()), ([12], 2))
            self.assertEqual(self.sql("SELECT field FROM alex_logs ORDER BY id"), [(e,) for e in expected])
            self.assertEqual(self.value("SELECT count(*) FROM segment WHERE kind = 'merging'"), 0)
            await backend.close()

    async def test_a_step_takes_as_long_as_any_other(self) -> None:
        self.patch(writer, "SEGMENT_ROWS", 1000)
        self.patch(merging, "_STEP_ROWS", 50)
        hundreds: list[None] = []  # of instructions of SQLite
        for apart in (1, 0):  # all of one stream, and then at one time, too
            self.path.unlink(missing_ok=True)
            backend = self.open()
            for start in range(0, 3000, 1000):
                times = [NOW + apart * number for number in range(start, start + 1000)]
                await backend.write(Batch.of(message(time=time, kind="log") for time in times))
            await backend.expire(0)
            with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
                merger = merging.Merger(self.fail)
                connection.set_progress_handler(lambda: hundreds.append(None), 100)
                while self.counts("log") != [3000]:
                    hundreds.clear()
                    self.assertTrue(merger.step(connection, 1000))
                    self.assertLess(len(hundreds), 100)  # to look at every row takes 400 and more
            await backend.close()

    async def test_segments_of_an_early_version_get_their_order_first(self) -> None:
        backend = self.open()
        expected = await self.fill(backend)
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_schema WHERE name GLOB 'log_*_by_time'"
            ).fetchall():
                connection.execute(f"DROP INDEX {name}")
                table = name.removesuffix("_by_time")
                connection.execute(f"CREATE INDEX {table}_by_stream ON {table} (stream)")
        await backend.tend(NOW)
        self.assertEqual((self.counts("log"), self.tables()), ([12], 2))
        self.assertEqual(await texts(backend, kind="log"), expected)

    async def test_segments_that_do_not_have_what_they_should_are_left_alone(self) -> None:
        backend = self.open()
        expected = await self.fill(backend)
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute(
                "UPDATE segment SET row_count = 5 WHERE kind = 'log' AND sealed_at IS NOT NULL"
            )
        with capturedLogs() as logs:
            await backend.tend(NOW)
        self.assertIn("12 rows and not 15", formatEvent(logs[0]))
        self.assertEqual(self.tables(), 4)
        self.assertEqual(await texts(backend, kind="log"), expected)


class RestartTests(_Files, TestCase):
    """A file outlives whoever wrote it."""

    async def test_finds_everything_after_a_close(self) -> None:
        self.patch(writer, "SEGMENT_ROWS", 2)
        backend = self.open()
        await backend.write(Batch.of([*messages("abc", hostname="h"), *messages("xy", kind="log")]))
        await backend.close()
        self.assertFalse(self.path.with_name("events.db-wal").exists())
        backend = self.open()
        await backend.write(messages("de", NOW + 10, hostname="h"))
        self.assertEqual(await texts(backend, hostname="h"), list("abcde"))
        self.assertEqual(await texts(backend, kind="log"), list("xy"))
        self.assertEqual([number for (number,) in self.sql("SELECT id FROM alex_events")], [1, 2, 3, 4, 5])
        self.assertEqual(self.value("SELECT count(*) FROM stream WHERE kind = 'event'"), 1)

    async def test_finds_everything_after_a_crash(self) -> None:
        self.patch(writer, "SEGMENT_ROWS", 4)
        backend = self.open()
        for text in "abcdef":
            await backend.write(Batch.of([message(text, kind="log"), message(text, hostname="h")]))
        await backend.tend(NOW)
        copy = scratch(self) / "copy.db"
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{self.path}{suffix}", f"{copy}{suffix}")
        self._path = copy
        backend = self.open()
        await backend.write(Batch.of([message("g", hostname="h")]))
        self.assertEqual(await texts(backend, hostname="h"), list("abcdefg"))
        self.assertEqual(await texts(backend, kind="log"), list("abcdef"))
        self.assertEqual([number for (number,) in self.sql("SELECT id FROM alex_events")], list(range(1, 8)))

    async def test_a_cluster_keeps_its_view(self) -> None:
        backend = self.open()
        await backend.write(Batch.of([message("a", cluster="my-cluster")]))
        await backend.close()
        backend = self.open()
        await backend.write(Batch.of([message("b", cluster="my-cluster")]))
        self.assertEqual(self.sql('SELECT field FROM "my-cluster_events"'), [("a",), ("b",)])

    async def test_may_be_closed_twice(self) -> None:
        backend = self.open()
        await backend.close()
        await backend.close()
        self.open()


class WrongFileTests(_Files, TestCase):
    """What cannot be opened is said in one line, and nothing is touched."""

    def refused(self, path: Path | None = None) -> str:
        """What is said."""
        path = path or self.path
        with self.assertRaises(StoreError) as caught:
            self.backend_at(path).open()
        said = str(caught.exception)
        self.assertIn(str(path), said)
        self.assertNotIn("\n", said)
        self.assertNotIsInstance(caught.exception, StoreUnavailable)
        return said

    def make_file(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    async def test_in_use(self) -> None:
        first = self.open()
        self.assertIn("in use by another ccstore", self.refused())
        await first.close()
        self.open()

    async def test_of_a_newer_version(self) -> None:
        await self.open().close()
        self.make_file(f"PRAGMA user_version = {DATABASE.version + 1}")
        self.assertIn(f"version {DATABASE.version + 1}, written by a newer ccstore", self.refused())
        self.assertEqual(self.value("PRAGMA user_version"), DATABASE.version + 1)

    def test_of_somebody_else(self) -> None:
        self.make_file(
            "CREATE TABLE alex_events (id INTEGER PRIMARY KEY, timestamp INTEGER, name TEXT, field TEXT)",
            "INSERT INTO alex_events VALUES (1, 2, 'job', 'text')",
        )
        before = self.path.read_bytes()
        for pragmas in ({}, {"journal_mode": "WAL"}):
            with self.assertRaises(StoreError) as caught:
                self.backend_at(self.path, pragmas).open()
            self.assertIn("ccstore did not make it: give another path", str(caught.exception))
        self.assertEqual(self.path.read_bytes(), before)

    def test_not_a_database(self) -> None:
        self.path.write_text("nothing of the kind\n" * 100)
        self.assertIn("not a database", self.refused())

    def test_a_directory(self) -> None:
        self.path.mkdir()
        self.assertIn("unable to open", self.refused())

    def test_in_a_directory_that_is_not_there(self) -> None:
        self.assertIn("No such file or directory", self.refused(self.path.parent / "none" / "events.db"))

    def test_in_a_directory_that_cannot_be_written(self) -> None:
        self.path.parent.chmod(0o555)
        with as_somebody_else():
            self.assertIn("Permission denied", self.refused())

    async def test_that_cannot_be_written(self) -> None:
        await self.open().close()
        self.path.chmod(0o444)
        self.path.with_name("events.db.lock").chmod(0o666)
        self.path.parent.chmod(0o777)
        with as_somebody_else():
            self.assertIn("readonly", self.refused())

    async def test_may_be_opened_once_it_is_right(self) -> None:
        self.path.mkdir()
        backend = self.backend_at(self.path)
        self.assertRaises(StoreError, backend.open)
        self.path.rmdir()
        backend.open()
        await backend.close()


class ConnectionTests(_Files, TestCase):
    """What the connections are told, and what holds them up."""

    async def pragma(self, name: str) -> tuple[int, int]:
        """Its value for whoever writes and for whoever reads."""
        return tuple(
            await gatherResults(
                [
                    pool.runWithConnection(
                        lambda connection: connection.execute(f"PRAGMA {name}").fetchone()[0]
                    )
                    for pool in (self.backend._writing, self.backend._readers._threads)
                ]
            )
        )

    async def test_pragmas_of_the_configuration_are_set_everywhere(self) -> None:
        self.backend = self.open(cache_size="-1234", synchronous="NORMAL", busy_timeout="77")
        self.assertEqual(await self.pragma("cache_size"), (-1234, -1234))
        self.assertEqual(await self.pragma("synchronous"), (1, 1))
        self.assertEqual(await self.pragma("busy_timeout"), (77, 77))

    async def test_commits_are_durable_unless_told_otherwise(self) -> None:
        self.backend = self.open()
        self.assertEqual((await self.pragma("secure_delete"))[0], 0)
        self.assertEqual(await self.pragma("synchronous"), (2, 2))
        self.assertEqual(await self.pragma("journal_mode"), ("wal", "wal"))

    async def test_readers_cannot_write(self) -> None:
        backend = self.open()
        await backend.write(Batch.of([message()]))
        with self.assertRaises(sqlite3.OperationalError):
            await backend._readers._threads.runWithConnection(
                lambda connection: connection.execute("DELETE FROM stream")
            )

    async def test_a_path_is_only_a_path(self) -> None:
        self._path = scratch(self) / "what? 100% #1;&mode=memory.db"
        backend = self.open()
        await backend.write(Batch.of([message()]))
        self.assertEqual(await texts(backend), ["text"])
        self.assertTrue(self.path.exists())

    async def test_a_locked_file_is_unavailable_for_a_while(self) -> None:
        backend = self.open(busy_timeout="1")
        await backend.write(messages("a"))
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with self.assertRaises(StoreUnavailable) as caught:
                await backend.write(messages("b", hostname="new"))
            self.assertIn("locked", str(caught.exception))
            self.assertEqual(await texts(backend), ["a"])
        await backend.write(messages("b", hostname="new"))
        self.assertEqual(await texts(backend, hostname="new"), ["b"])

    async def test_a_failed_sealing_is_made_up_for(self) -> None:
        self.patch(writer, "SEGMENT_ROWS", 2)
        backend = self.open(busy_timeout="1")
        await backend.write(messages("a"))
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            self.patch(writer, "SEGMENT_ROWS", 1)
            with self.assertRaises(StoreUnavailable):
                await backend.tend(NOW)
        await backend.write(messages("b"))
        await backend.tend(NOW)
        self.assertEqual(self.sql("SELECT row_count FROM segment WHERE sealed_at IS NOT NULL"), [(2,)])
        self.assertEqual(self.sql("SELECT id, field FROM alex_events"), [(1, "a"), (2, "b")])

    async def test_a_sealing_that_fails_behind_a_write_is_only_said(self) -> None:
        def full(*arguments: object) -> None:
            raise sqlite3.OperationalError("disk is full")

        self.patch(writer, "SEGMENT_ROWS", 1)
        self.patch(writer.Writer, "seal", full)
        backend = self.open()
        with capturedLogs() as logs:
            await backend.write(messages("a"))
            await backend.write(messages("b"))
        self.assertEqual(formatEvent(logs[0]), f"cannot seal now: the database {self.path}: disk is full")
        self.assertEqual(await texts(backend), ["a", "b"])

    async def test_a_query_that_takes_too_long_is_ended_in_the_middle(self) -> None:
        backend = self.open()
        await backend.write(messages(map(str, range(5000))))
        ticks = count()
        self.patch(asking_module, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
        self.patch(asking_module, "_PROGRESS_STEPS", 100)
        for _ in range(5):
            with self.assertRaises(QueryTimeout):
                # Enough to begin with: it is the rows that take the rest.
                await ask(backend, [asking("alex")], cutoff=0, max_rows=10, timeout=10)
        await backend.write(messages(["last"], NOW - 1))
        # Whichever of the connections it is: it sees what is new, and takes its time.
        found = await gatherResults(
            [ask(backend, [asking("alex")], cutoff=0, max_rows=1, timeout=10**9) for _ in range(8)]
        )
        self.assertEqual([page.rows[0].text for (page,) in found], 8 * ["last"])

    async def test_queries_that_nobody_waits_for_any_more_make_room_for_others(self) -> None:
        backend = self.open()
        await backend.write(messages(map(str, range(5000))))
        # Each takes minutes, and only three can be answered at a time.
        queries = [
            ask(backend, [asking("alex", begin=2 * NOW)] * 10**6, cutoff=0, max_rows=10, timeout=10**6)
            for _ in range(5)
        ]
        await deferLater(reactor, 0.05)  # type: ignore[arg-type]
        for query in queries:
            query.cancel()
            with self.assertRaises(CancelledError):
                await query
        self.assertEqual((await texts(backend))[:2], ["0", "1"])

    async def test_a_query_sees_one_state_of_the_file(self) -> None:
        """What is written and dropped while it goes on changes nothing in its answers."""
        self.patch(writer, "SEGMENT_ROWS", 50)
        backend = self.open(**NO_SYNC)
        for index in range(10):
            await backend.write(messages([str(index)] * 10))
            query = ask(backend, [asking("alex")] * 20, cutoff=0, max_rows=10**6, timeout=60)
            writing = [backend.write(messages("x" * 7)), backend.expire(NOW + SECOND)]
            pages, *_ = await gatherResults([query, *writing])
            self.assertEqual({page.rows for page in map(_frozen, pages)}, {tuple(pages[0].rows)})

    async def test_the_status_tells_what_was_done(self) -> None:
        backend = self.open()
        await backend.write(Batch.of([message(), message(), message(kind="log"), message(cluster="fritz")]))
        await texts(backend)
        self.now += SPAN
        await backend.tend(self.now)
        await backend.expire(self.now)
        await backend.tend(self.now)
        status = backend.status()
        self.assertEqual(
            {name: status[name] for name in ("active_tables", "writes", "queries", "deletes", "segments")},
            {"active_tables": 3, "writes": 4, "queries": 1, "deletes": 1, "segments": 2},
        )
        size = self.value("PRAGMA page_size")
        self.assertEqual(status["bytes"], self.value("PRAGMA page_count") * size)
        self.assertEqual(status["free_bytes"], self.value("PRAGMA freelist_count") * size)


def _frozen(page: Any) -> Any:
    return SimpleNamespace(rows=tuple(page.rows))
