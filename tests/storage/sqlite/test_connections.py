"""What the connections are told, and what holds them up."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.interfaces import QueryTimeout, StoreUnavailable
from ccstore.storage.sqlite.means import Means
from ccstore.storage.sqlite.sizes import ReadingLimits, Sizes
from tests.support.scratch import scratch
from tests.support.sqlite_files import NO_SYNC, SPAN, SqliteFiles, texts
from tests.support.stores import NOW, SECOND, ask, asking, message, messages


class ConnectionTests(SqliteFiles, TestCase):
    """What the connections are told, and what holds them up."""

    def setUp(self) -> None:
        self.connections: dict[str, sqlite3.Connection] = {}
        self.means = Means(connect=self.connect)

    def connect(self, address: str, **more: Any) -> sqlite3.Connection:
        connection = self.connections[address[-2:]] = sqlite3.connect(address, **more)
        return connection

    async def pragma(self, name: str) -> tuple[Any, ...]:
        """Its value for whoever writes and for whoever reads."""
        await texts(self.backend)
        return tuple(
            self.connections[access].execute(f"PRAGMA {name}").fetchone()[0] for access in ("rw", "ro")
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
        await texts(backend)
        with self.assertRaisesRegex(sqlite3.OperationalError, "readonly"):
            self.connections["ro"].execute("DELETE FROM stream")

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
        self.limit(segment_rows=2)
        backend = self.open(busy_timeout="1")
        await backend.write(messages("a"))
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with self.assertRaises(StoreUnavailable):
                await backend.tend(NOW + SPAN)
        await backend.write(messages("b"))
        await backend.tend(NOW)
        self.assertEqual(self.sql("SELECT row_count FROM segment WHERE sealed_at IS NOT NULL"), [(2,)])
        self.assertEqual(self.sql("SELECT id, field FROM alex_events"), [(1, "a"), (2, "b")])

    async def test_a_sealing_that_fails_behind_a_write_is_only_said(self) -> None:
        class Full(sqlite3.Connection):
            def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
                if statement.startswith("UPDATE segment SET sealed_at"):
                    raise sqlite3.OperationalError("disk is full")
                return super().execute(statement, *parameters)

        self.limit(segment_rows=1)
        self.means = Means(connect=partial(sqlite3.connect, factory=Full))
        backend = self.open()
        with capturedLogs() as logs:
            await backend.write(messages("a"))
            await backend.write(messages("b"))
        self.assertEqual(formatEvent(logs[0]), f"cannot seal now: the database {self.path}: disk is full")
        self.assertEqual(await texts(backend), ["a", "b"])

    async def test_a_query_that_takes_too_long_is_ended_in_the_middle(self) -> None:
        ticks = count()
        self.means = Means(clock=lambda: next(ticks))
        self.sizes = Sizes(reading=ReadingLimits(progress_steps=100))
        backend = self.open()
        await backend.write(messages(map(str, range(5000))))
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
        self.limit(segment_rows=50)
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
