"""Segments: sealed, indexed, asked, and gone."""

from __future__ import annotations

import random

from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.interfaces import StoreUnavailable
from ccstore.storage.reading.dialect import Fetching
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.dialect import SqliteDialect
from tests.support.sqlite_files import NO_SYNC, RETENTION, SPAN, SqliteFiles, texts
from tests.support.stores import NOW, SECOND, MemoryBackend, ask, asking, message, messages


class SegmentTests(SqliteFiles, TestCase):
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
        self.limit(segment_rows=4)
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
        self.limit(segment_rows=3)
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
        self.limit(indexed_rows=3)
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
        self.limit(indexed_rows=3)
        backend = self.open()
        await backend.write(messages("abc"))
        await backend.tend(self.now + SECOND)
        await backend.close()
        backend = self.open()
        await self.seal(backend)
        self.assertEqual((self.counts(), len(self.indexes())), ([3], 1))

    async def test_the_catalogue_agrees_with_the_tables(self) -> None:
        self.limit(segment_rows=20)
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
        self.limit(segment_rows=1)
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
        self.limit(segment_rows=7, merged_segments=3, merged_rows=5)
        self.dialect = SqliteDialect(Fetching(rows=3, streams=3), segments=2)
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
        self.limit(segment_rows=2)
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
        self.limit(vacuum_pages=100)
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
        self.limit(segments_passed=0)
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
        self.limit(vacuum_pages=100)
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
