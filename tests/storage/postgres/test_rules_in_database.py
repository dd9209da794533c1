"""Rules of retention and holds in PostgreSQL."""

from __future__ import annotations

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.keeping import Hold
from ccstore.query import Selection
from tests.support.keeping_contract import KeepingContract
from tests.support.postgres_case import SPAN, Databases
from tests.support.stores import message


class DatabaseKeepingTests(Databases, KeepingContract, TestCase):
    def setUp(self) -> None:
        self.backend = self.open()


class RoomTests(Databases, TestCase):
    """A limit for the size of the tables."""

    def used(self) -> int:
        sizes = "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits"
        return int(self.value(f"{sizes} JOIN pg_class c ON c.oid = inhrelid AND relkind = 'r'"))

    def hosts(self) -> list[str]:
        there = "SELECT stream FROM ccstore_event"
        return [
            host
            for (host,) in self.sql(
                f"SELECT hostname FROM ccstore_stream WHERE id IN ({there}) ORDER BY hostname"
            )
        ]

    async def test_the_oldest_events_go_first_and_never_what_is_held_nor_logs(self) -> None:
        backend = self.open()
        self.now += SPAN - self.now % SPAN
        for number in range(8):
            for kind in ("event", "log"):
                await backend.write(
                    Batch.of(
                        message("x" * 500, self.now + place, kind, hostname=f"a{number}")
                        for place in range(400)
                    )
                )
            if number == 1:
                chosen = Selection(kinds=("event",), end=self.now + 10)
                await backend.hold(Hold(chosen, "the first", "why", "me", self.now))
            self.now += SPAN
            await backend.expire(0)
            await backend.tend(self.now)
        self.assertEqual(self.value("SELECT count(*) FROM ccstore_event"), 3200)
        backend.limit(self.used() - 500_000)
        with capturedLogs() as logs:
            for _ in range(2):
                await backend.expire(0)
        self.assertIn("of storage.max_size", formatEvent(logs[0]))
        left = self.hosts()
        # The newest are there, and the oldest, of which something is held.
        self.assertEqual(left[:2], ["a0", "a1"])
        self.assertEqual(left[-3:], ["a5", "a6", "a7"])
        self.assertNotIn("a2", left)
        self.assertEqual(self.value("SELECT count(*) FROM ccstore_log"), 3200)
        self.assertLessEqual(self.used(), backend.status()["max_bytes"])
        backend.limit(10**12)
        await backend.expire(0)
        self.assertEqual(self.hosts(), left)
