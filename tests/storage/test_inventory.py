"""What is deleted next goes when it was said to go, and not before."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.holdings import Holding, Segment, Share, Shares, holdings_of
from ccstore.keeping import Hold
from ccstore.query import Matcher, Selection
from ccstore.storage.reading.inventory import Inventory
from tests.support import postgres_case, sqlite_files
from tests.support.keeping_contract import LONG, RETENTION, RULES, SHORT
from tests.support.stores import NOW, SECOND, message, messages


class HoldingsTests(TestCase):
    def test_what_is_not_known_of_one_is_not_known_of_all(self) -> None:
        segments = [
            Segment("a", "event", True, 5, 10, 20, 100, 20),
            Segment("b", "event", False, None, 15, 90, None, 90),
            Segment("c", "event", False, 0, 1, 2, 50, 2),
        ]
        held = holdings_of("SQL 1", 2, segments, leaving=9)
        self.assertEqual(held.kinds[0], Holding("event", 3, 1, None, 10, 90, None))
        self.assertEqual(held.kinds[1], Holding("log", 0, 0, 0, None, None, None))
        self.assertEqual([each.name for each in held.leaving], ["a", "b"], "an empty one is nobody's loss")

    def test_few_are_named(self) -> None:
        segments = [Segment(str(at), "event", True, 1, at, at, 1, at) for at in (5, 3, 4, 9)]
        self.assertEqual([each.name for each in holdings_of("", 1, segments, leaving=2).leaving], ["3", "4"])


class SharesTests(TestCase):
    def test_it_goes_when_little_enough_is_kept(self) -> None:
        job, noise, node = Share(90, 10, 0), Share(5, 20, 0), Share(None, 30, 0)
        for each, moved, retention, period in (
            ([job], 5, 24, 90),
            ([noise], 10, 24, 5),
            ([node], 15, 24, 24),
            ([node], 15, None, None),
            ([job, noise, node], 30, 24, 24),
            ([job, noise, node], 0, 24, 90),
            ([job, noise, node], 9, 24, 90),
            ([Share(5, 20, 20)], 10, 24, None),
            ([Share(5, 20, 9)], 10, 24, 5),
            ([Share(5, 20, 12), job], 15, 24, 90),
        ):
            self.assertEqual(Shares(each, moved).goes_after(retention), period, each)


class LeavingContract:
    """Mixed into a test case that has a backend and the time ``now``."""

    now: int

    async def held(self, backend: Any) -> Any:
        return await backend.read(Inventory(RETENTION * SECOND), timeout=60)

    async def check_leaving(self, backend: Any) -> None:
        """Of two segments each goes by itself, when it was said."""
        (first, second) = (await self.held(backend)).leaving
        self.assertLess(first.goes_by, second.goes_by)  # type: ignore[attr-defined]
        for going, left in ((first, [second]), (second, [])):
            await backend.expire(going.goes_by - 1)
            self.assertEqual((await self.held(backend)).leaving, [going, *left])  # type: ignore[attr-defined]
            await backend.expire(going.goes_by)
            self.assertEqual((await self.held(backend)).leaving, left)  # type: ignore[attr-defined]

    async def check_rules(self, backend: Any, spans: int) -> None:
        """Each goes when rules and holds let it, and that is known before.

        :param spans: seconds between the messages of two segments.
        """
        await backend.retain(float(RETENTION), RULES)
        await backend.expire(self.now - RETENTION * SECOND)
        for names in (("noise",), ("job", "job", "noise"), ("node", "noise", "noise"), ("noise", "held")):
            await backend.write(
                Batch.of(message(f"{place}", self.now, name=name) for place, name in enumerate(names))
            )
            self.now += spans * SECOND
            await backend.tend(self.now)
        chosen = Selection(kinds=("event",), matchers=(Matcher("name", "=", "held"),))
        number = await backend.hold(Hold(chosen, "name=held", "a test", "somebody", self.now))
        left = [row for row in (await self.held(backend)).leaving if row.rows != 0]
        times = [row.goes_by + RETENTION * SECOND - row.newest for row in left]
        # Of the third and the last, what the others of their segments do not wait for is moved elsewhere.
        expected = [SHORT * SECOND] * 3 + [LONG * SECOND]
        self.assertEqual(times, expected)  # type: ignore[attr-defined]
        for row in left:
            at = row.goes_by + RETENTION * SECOND
            while self.now + 500 * SECOND < at:
                self.now += 500 * SECOND
                await backend.expire(self.now - RETENTION * SECOND)
            for self.now, is_there in ((at - 1, True), (at, False)):
                await backend.expire(self.now - RETENTION * SECOND)
                await backend.tend(self.now)
                held = await self.held(backend)
                # In PostgreSQL what is kept of a partition has its name, and goes later.
                found = (row.name, row.goes_by) in [(each.name, each.goes_by) for each in held.leaving]
                self.assertEqual(found, is_there, row)  # type: ignore[attr-defined]
        await backend.release(number)


class SqliteTests(sqlite_files.SqliteFiles, LeavingContract, TestCase):
    async def test_segments(self) -> None:
        backend = self.open()
        for texts in ("ab", "c"):
            await backend.write(messages(texts, self.now))
            self.now += sqlite_files.SPAN
            await backend.tend(self.now)
        held = await self.held(backend)
        self.assertTrue(held.version.startswith("SQLite 3."))
        self.assertEqual(
            [(each.rows, each.oldest) for each in held.leaving], [(2, NOW), (1, NOW + sqlite_files.SPAN)]
        )
        self.assertEqual((held.kinds[0].rows, held.kinds[0].segments, held.kinds[0].sealed), (3, 3, 2))
        await self.check_leaving(backend)

    async def test_rules_and_holds(self) -> None:
        await self.check_rules(self.open(), sqlite_files.SPAN // SECOND)

    async def test_an_open_one_tells_of_its_ends(self) -> None:
        backend = self.open()
        await backend.write(messages("abc", NOW + 5))
        (events, logs) = (await self.held(backend)).kinds
        self.assertEqual(events, Holding("event", 1, 0, 3, NOW + 5, NOW + 7, None))
        self.assertEqual(logs, Holding("log", 1, 0, 0, None, None, None))


class PostgresTests(postgres_case.Databases, LeavingContract, TestCase):
    async def test_partitions(self) -> None:
        backend = self.open()
        for texts, age in (("ab", 3), ("c", 1)):
            await backend.write(messages(texts, self.now - age * postgres_case.SPAN))
        held = await self.held(backend)
        self.assertTrue(held.version.startswith("PostgreSQL 1"))
        self.assertGreater(held.kinds[0].size, 0)
        self.assertGreater(self.now + SECOND, held.leaving[0].oldest)
        await self.check_leaving(backend)

    async def test_rules_and_holds(self) -> None:
        await self.check_rules(self.open(), postgres_case.SPAN // SECOND)
