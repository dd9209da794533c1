"""PostgreSQL's partitions: as many as are needed, however long events are kept, and gone in time."""

from __future__ import annotations

import time

from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.interfaces import StoreUnavailable
from ccstore.storage.postgres import PostgresBackend, database
from ccstore.storage.postgres.sizes import SIZES, PartitionSizes, Sizes
from tests.support.postgres_case import RETENTION, SPAN, Databases
from tests.support.postgres_server import Server, newest
from tests.support.stores import NOW, SECOND, ask, asking, message, messages

HOUR = 3600
DAY = 24 * HOUR
YEAR = 365 * DAY


class _PartitionCase(Databases):
    """What is in the tables, and time that passes."""

    now = NOW

    def shown(self) -> list[str]:
        """What the view shows at the time of the test."""
        later = int(time.time() * 1e9) - self.now
        rows = self.sql(
            f"BEGIN; UPDATE ccstore_retention SET nanoseconds = nanoseconds + {later} "
            f"WHERE nanoseconds < {2**61}; SELECT field FROM alex_events"
        )
        return sorted(text for (text,) in rows)

    async def found(self, backend: PostgresBackend, cutoff: int = -(2**63)) -> list[str]:
        (page,) = await ask(backend, [asking("alex")], cutoff=cutoff, max_rows=10**6, timeout=60)
        return sorted(row.text for row in page.rows)

    def kept(self) -> list[str]:
        return sorted(text for (text,) in self.sql("SELECT text FROM ccstore_event"))

    def partitions(self) -> list[tuple[int, int]]:
        return self.sql(
            "SELECT begins_at, ends_at FROM ccstore_partition WHERE kind = 'event' ORDER BY begins_at"
        )

    def spans(self) -> list[int]:
        return [end - begin for begin, end in self.partitions()]

    async def keep_house(
        self, backend: PostgresBackend, retention: float, seconds: int, step: int = 10
    ) -> None:
        """Let time pass, and what is done once in a while be done."""
        for _ in range(0, seconds, step):
            self.now += step * SECOND
            await backend.tend(self.now)
            await backend.expire(self.now - int(retention * SECOND))


class PartitionTests(Databases, TestCase):
    """Native partitions: made ahead, and dropped."""

    def partitions(self, kind: str = "event") -> list[tuple[int, int]]:
        return self.sql(
            "SELECT begins_at, ends_at FROM ccstore_partition WHERE kind = %s ORDER BY begins_at", kind
        )

    def strays(self, kind: str = "event") -> int:
        return int(self.value(f"SELECT count(*) FROM ccstore_{kind}_default"))

    async def test_there_is_one_for_each_time_that_may_come(self) -> None:
        backend = self.open()
        for _ in range(3):
            found = self.partitions()
            self.assertLessEqual(found[0][0], self.now - RETENTION * SECOND)
            self.assertGreater(found[-1][1], self.now + 2 * SPAN)
            self.assertEqual([end for _, end in found[:-1]], [begin for begin, _ in found[1:]])
            times = range(self.now - RETENTION * SECOND + 1, self.now + SPAN, SPAN // 3)
            await backend.write(Batch.of(message("x", time) for time in times))
            self.assertEqual(self.strays(), 0)
            self.now += 5 * SPAN // 2
            await backend.tend(self.now)
        self.assertEqual(len(self.partitions("log")) >= 2, True)

    async def test_are_dropped_when_all_in_them_has_expired(self) -> None:
        backend = self.open()
        await backend.write(Batch.of(message(str(step), NOW + step * SPAN) for step in range(3)))
        await backend.write(Batch.of([message("log", NOW - 10**6 * SPAN, "log"), message("log", kind="log")]))
        ends = (NOW // SPAN + 1) * SPAN
        self.assertEqual(await backend.expire(ends - 2), 0)
        self.assertEqual(len(self.sql("SELECT * FROM ccstore_event")), 3)
        self.assertEqual(await self.found_in(backend), ["1", "2"])
        self.assertEqual(await backend.expire(ends - 1), 1)
        self.assertEqual(await self.found_in(backend), ["1", "2"])
        self.assertGreaterEqual(self.partitions()[0][0], ends)
        self.assertEqual(len(self.sql("SELECT * FROM ccstore_event")), 2)
        self.now += 100 * SPAN
        self.assertEqual(await backend.expire(self.now - RETENTION * SECOND), 2)
        self.assertEqual(await self.found_in(backend, kind="log"), ["log", "log"])

    async def test_events_of_clocks_that_are_off_go_too(self) -> None:
        backend = self.open()
        await backend.write(Batch.of([message("slow", 0), message("fast", NOW + 1000 * RETENTION * SECOND)]))
        self.assertEqual(self.strays(), 2)
        self.assertEqual(await backend.expire(self.now - RETENTION * SECOND), 1)
        self.assertEqual(self.strays(), 1)
        for _ in range(5):
            self.now += 2 * SPAN
            await backend.tend(self.now)
            await backend.expire(self.now - RETENTION * SECOND)
            await backend.write(messages("a", self.now))
        self.assertEqual(self.strays(), 1)
        self.now += 9 * SPAN
        self.assertEqual(await backend.expire(self.now - RETENTION * SECOND), 2)  # and the first "a"
        self.assertEqual(self.strays(), 0)

    async def test_what_came_too_early_moves_to_its_partition(self) -> None:
        backend = self.open()
        early = self.now + 6 * SPAN
        await backend.write(Batch.of([message("early", early), message("log", NOW - 10**9 * SECOND, "log")]))
        self.assertEqual((self.strays(), self.strays("log")), (1, 1))
        self.now += 5 * SPAN
        await backend.tend(self.now)
        self.assertEqual((self.strays(), self.strays("log")), (0, 1))
        self.assertEqual(await self.found_in(backend), ["early"])

    async def test_a_reader_of_the_table_holds_nobody_up(self) -> None:
        backend = self.open()
        await backend.write(messages("ab"))
        with self.server.connection(self.database) as connection:
            connection.autocommit = False
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM alex_events")
                self.now += 10 * SPAN
                with self.assertRaises(StoreUnavailable) as caught:
                    await backend.tend(self.now)
                self.assertIn("lock timeout", str(caught.exception))
                await backend.write(messages("c", self.now))
                self.assertEqual(len(await self.found_in(backend)), 3)
        await backend.tend(self.now)
        self.assertGreater(self.partitions()[-1][1], self.now)

    async def test_streams_are_forgotten_long_after_their_events(self) -> None:
        backend = self.open()
        hour = 3600 * SECOND
        await backend.write(Batch.of([message("a", self.now, hostname="old"), message("l", kind="log")]))
        for _ in range(4):
            self.now += hour
            await backend.tend(self.now)
            await backend.write(messages("b", self.now, hostname="new"))
            await backend.expire(self.now - RETENTION * SECOND)
        self.assertEqual(self.value("SELECT count(*) FROM ccstore_stream"), 2)
        await backend.write(messages("c", self.now, hostname="old"))
        self.assertEqual(await self.found_in(backend, hostname="old"), ["c"])
        self.assertEqual(self.seen("SELECT field FROM alex_events WHERE hostname = 'old'"), [("c",)])


class NeedTests(_PartitionCase, TestCase):
    async def test_there_are_few_however_long_events_are_kept(self) -> None:
        for retention in (1, 10, HOUR, DAY, 30 * DAY, YEAR, 30 * YEAR, 100 * YEAR, 10**5 * YEAR):
            begun = time.monotonic()
            backend = self.open(retention)
            # An upper bound for a machine that has no time; it is a fifth of a second.
            self.assertLess(time.monotonic() - begun, 10)
            found = self.partitions()
            self.assertLess(len(found), 32)
            self.assertEqual([end for _, end in found[:-1]], [begin for begin, _ in found[1:]])
            self.assertLessEqual(found[0][0], max(self.now - retention * SECOND, -(2**62)))
            ages = (0, retention / 2, retention * 0.9)
            events = [message(str(age), max(self.now - int(age * SECOND), -(2**62))) for age in ages]
            await backend.write(Batch.of(events))
            self.assertEqual(self.value("SELECT count(*) FROM ccstore_event_default"), 0)
            self.assertEqual(len(await self.found(backend)), 3)
            await backend.expire(max(self.now - int(retention * SECOND), -(2**63)))
            self.assertEqual(len(self.shown()), 3)
            await backend.close()
            self.server.drop_database(self._database)
            del self._database

    async def test_none_spans_more_than_it_may(self) -> None:
        for retention in (HOUR, DAY, YEAR, 100 * YEAR):
            most = max(retention * SECOND // 16, 10 * SECOND)
            backend = self.open(retention)
            for _ in range(3):
                self.assertLessEqual(max(self.spans()), most)
                self.now += retention * SECOND // 3
                await backend.tend(self.now)
            await backend.close()
            self.server.drop_database(self._database)
            del self._database

    def make_weeks(self, weeks: int) -> None:
        """Partitions as an earlier version made them in advance, for a retention time of years."""
        week = 7 * DAY * SECOND
        self.sql(
            "DO $$ DECLARE number bigint; BEGIN "
            "FOR number IN SELECT id FROM ccstore_partition WHERE kind = 'event' LOOP "
            "EXECUTE 'DROP TABLE ccstore_event_' || number; END LOOP; "
            "DELETE FROM ccstore_partition WHERE kind = 'event'; END $$"
        )
        for first in range(weeks, -4, -16):
            self.sql(
                "DO $$ DECLARE number bigint; begins_at bigint; BEGIN "
                f"FOR n IN REVERSE {first}..{max(first - 15, -3)} LOOP "
                f"begins_at := {self.now // week * week} - n * {week}; "
                "INSERT INTO ccstore_partition (kind, begins_at, ends_at) "
                f"VALUES ('event', begins_at, begins_at + {week}) RETURNING id INTO number; "
                "EXECUTE format('CREATE TABLE ccstore_event_%s PARTITION OF ccstore_event "
                f"FOR VALUES FROM (%s) TO (%s)', number, begins_at, begins_at + {week}); END LOOP; END $$"
            )

    async def test_empty_ones_of_the_past_become_one(self) -> None:
        await self.open(100 * YEAR).close()
        self.make_weeks(200)
        old = message("old", self.now - 100 * 7 * DAY * SECOND)
        backend = self.open(100 * YEAR)
        await backend.write(Batch.of([old, message("new", self.now)]))
        for _ in range(30):
            await backend.tend(self.now)
        found = self.partitions()
        self.assertLessEqual(len(found), SIZES.partitions.many)
        self.assertEqual([end for _, end in found[:-1]], [begin for begin, _ in found[1:]])
        self.assertEqual(await self.found(backend), ["new", "old"])
        await backend.write(Batch.of([message("late", self.now - 90 * 7 * DAY * SECOND)]))
        self.assertEqual(self.value("SELECT count(*) FROM ccstore_event_default"), 0)
        self.assertEqual(
            self.value("SELECT count(*) FROM pg_inherits WHERE inhparent = 'ccstore_event'::regclass"),
            len(found) + 1,
        )

    async def test_many_that_expire_together(self) -> None:
        """Somebody keeps events for a day who had kept them for years."""
        await self.open(10 * YEAR).close()
        self.make_weeks(100)
        backend = self.open(10 * YEAR)
        await backend.write(Batch.of(message(str(n), self.now - n * 7 * DAY * SECOND) for n in range(100)))
        await backend.close()
        backend = self.open(DAY)
        self.assertEqual(await backend.expire(self.now - DAY * SECOND), 99)
        self.assertEqual(self.kept(), ["0"])
        self.assertLess(len(self.partitions()), 32)


class FewLocksTests(NeedTests):
    """The same where a transaction may lock little: that is one statement's share of it."""

    _few: Server | None = None

    @property
    def server(self) -> Server:
        cls = type(self)
        if cls._few is None:
            cls._few = Server(newest(), {"max_locks_per_transaction": "10", "max_connections": "20"})
            cls._few.start()
        return cls._few

    @classmethod
    def tearDownClass(cls) -> None:
        if cls._few is not None:
            cls._few.remove()
            cls._few = None


class ExpiryTests(_PartitionCase, TestCase):
    async def fill(self, retention: int) -> None:
        """Events of all ages, with their age in minutes as their text."""
        backend = self.open(retention)
        await backend.write(
            Batch.of(
                message(f"{age:04}", self.now - age * 60 * SECOND) for age in range(0, retention // 60, 10)
            )
        )
        await backend.close()

    async def test_they_are_kept_shorter(self) -> None:
        """What has expired is gone from views and queries at once, and from the tables in time."""
        for divided in (20_000, 0):
            sizes = Sizes(partitions=PartitionSizes(divided_rows=divided), step_blocks=1)
            await self.fill(100 * DAY)
            retention = 6 * HOUR
            backend = self.open(retention, sizes)
            cutoff = self.now - retention * SECOND
            await backend.expire(cutoff)
            left = [f"{age:04}" for age in range(0, retention // 60, 10)]
            self.assertEqual(await self.found(backend), left)
            self.assertEqual(self.shown(), left)
            await backend.write(messages(["now"], self.now))
            await self.keep_house(backend, retention, retention // 16 + 60)
            self.assertEqual([text for text in self.kept() if text not in left], ["now"])
            widest = max(self.spans())
            self.assertEqual(widest <= retention * SECOND // 16, bool(divided))
            # Nor do they come back.
            await backend.close()
            backend = self.open(200 * DAY, sizes)
            await backend.expire(self.now - 200 * DAY * SECOND)
            shown = self.shown()
            self.assertEqual(await self.found(backend), shown)
            self.assertLess({*shown}, {*left, "now"})
            self.assertEqual(self.value("SELECT count(*) FROM ccstore_event_default"), 0)
            await backend.close()
            self.server.drop_database(self._database)
            del self._database

    async def test_they_are_kept_longer(self) -> None:
        """What had expired does not come back; what comes then may be older."""
        sizes = Sizes(step_blocks=1)
        await self.fill(16 * HOUR)
        backend = self.open(16 * HOUR, sizes)
        self.now += 40 * 60 * SECOND
        await backend.expire(self.now - 16 * HOUR * SECOND)
        left = [f"{age:04}" for age in range(0, 16 * 60 - 40, 10)]
        self.assertEqual(await self.found(backend), left)
        await backend.close()
        retention = 50 * DAY
        # What expires while no daemon runs, or before the first look, has expired as well.
        self.now += 10 * 60 * SECOND
        left = left[:-1]
        self.assertEqual(self.shown(), left)
        backend = self.open(retention, sizes)
        late = message("late", self.now - 20 * HOUR * SECOND)
        await backend.expire(self.now - retention * SECOND)
        await backend.write(Batch.of([late]))
        self.assertEqual(await self.found(backend), [*left, "late"])
        self.assertEqual(self.shown(), [*left, "late"])
        await self.keep_house(backend, retention, 20)
        self.assertEqual(self.kept(), [*left, "late"])
        self.assertEqual(self.value("SELECT count(*) FROM ccstore_expired"), 1)

    async def test_views_go_by_the_time_at_which_they_are_read(self) -> None:
        await self.fill(16 * HOUR)
        backend = self.open(8 * HOUR)
        await backend.expire(-(2**63))  # nothing yet; but how long they are kept is known
        await backend.close()
        for later, hours in ((0, 8), (2, 6), (7, 1), (8, 0), (1000, 0)):
            self.now = NOW + later * HOUR * SECOND
            self.assertEqual(self.shown(), [f"{age:04}" for age in range(0, hours * 60, 10)])
        # Nobody has changed anything, and the time of the server is later than all that.
        self.assertEqual(self.sql("SELECT field FROM alex_events"), [])

    async def test_who_may_read_a_view_needs_no_other_right(self) -> None:
        await self.fill(HOUR)
        self.sql("DO $$ BEGIN CREATE ROLE reader LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
        self.sql("GRANT SELECT ON alex_events TO reader")
        with self.server.connection(self.database, "reader") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM alex_events")
            self.assertEqual(cursor.fetchall(), [(6,)])

    async def test_views_of_the_first_version(self) -> None:
        """They are made anew, and whoever may read them still may."""
        self.sql(database.script(1).replace("%%", "%"))
        self.sql("INSERT INTO ccstore_schema VALUES (1)")
        self.sql(
            "INSERT INTO ccstore_stream (key, cluster, kind, name, used) "
            "VALUES (gen_random_uuid(), 'alex', 'event', 'job', 0)"
        )
        self.sql(
            "CREATE VIEW alex_events AS SELECT r.id, r.time / 1000000000 AS timestamp, s.name, s.hostname, "
            "s.type, s.typeid, s.stype, s.stypeid, r.othertags, r.text AS field FROM ccstore_event r "
            "JOIN ccstore_stream s ON s.id = r.stream WHERE s.cluster = 'alex' AND s.kind = 'event'"
        )
        self.sql("DO $$ BEGIN CREATE ROLE reader LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
        self.sql("GRANT SELECT ON alex_events TO reader")
        self.sql(
            "INSERT INTO ccstore_event SELECT 1, max(id), %s, 'old' FROM ccstore_stream",
            self.now - 2 * HOUR * SECOND,
        )
        self.sql("INSERT INTO ccstore_event SELECT 2, max(id), %s, 'new' FROM ccstore_stream", self.now)
        backend = self.open(HOUR)
        await backend.expire(self.now - 3 * HOUR * SECOND)
        self.assertEqual(self.shown(), ["new"])
        with self.server.connection(self.database, "reader") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT field FROM alex_events")
            self.assertEqual(cursor.fetchall(), [])
