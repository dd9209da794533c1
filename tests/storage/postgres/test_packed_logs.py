"""Older logs of PostgreSQL as blocks: they are answered, copied and deleted as if they were rows."""

from __future__ import annotations

from typing import Any

import psycopg2
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.keeping import Hold, KeepRule
from ccstore.message import INT64_MAX, Message
from ccstore.query import Counting, Matcher, Selection, TextCondition
from ccstore.storage.blocks.damaged_block import DamagedBlock
from ccstore.storage.blocks.tiles import TileSizes
from ccstore.storage.blocks.vocabulary import MOST_BLOCKS
from ccstore.storage.pack_settings import Packing
from ccstore.storage.postgres import PostgresBackend
from ccstore.storage.postgres.block_thinning import BlockThinner
from ccstore.storage.postgres.blocking_sql import BlockingSql
from ccstore.storage.postgres.export import PostgresSource
from ccstore.storage.postgres.log_packer import LogPacker
from ccstore.storage.postgres.sizes import SIZES, PackingSizes
from ccstore.storage.reading.counts import CountsQuestion
from ccstore.storage.reading.inventory import Inventory
from ccstore.storage.reading.moment import Moment
from ccstore.storage.reading.pages import Limits, Pages
from tests.support.keeping_contract import KeepingContract
from tests.support.postgres_case import RETENTION
from tests.support.postgres_packing import LOGS, SMALL, Packers
from tests.support.postgres_server import oldest
from tests.support.reading_contract import ReadingContract
from tests.support.stores import NOW, SECOND, message

DAY = 86_400 * SECOND


class PackedReadingTests(Packers, ReadingContract, TestCase):
    """Nearly all logs are packed, and what came last is not. Full segments have words, and a census."""

    packing_sizes = evolve(SMALL, tiles=TileSizes(block_rows=8), blocks=MOST_BLOCKS)

    def setUp(self) -> None:
        self.backend = self.backend_at(kind=_Packing)
        self.backend.case = self
        self.backend.open()
        self.addCleanup(self.backend.close)

    async def store(self, *stored: Message) -> None:
        await self.backend.write(Batch.of(stored))
        await self.backend.tend(NOW)

    async def test_it_is_packed(self) -> None:
        await self._filled(1)
        await self.store(*[message(f"text {n}", NOW + n, "log") for n in range(8 * MOST_BLOCKS)])
        self.assertGreater(self.value("SELECT count(*) FROM ccstore_packed"), 0)
        self.assertGreater(self.value("SELECT sum(rows) FROM ccstore_packed_block"), 50)
        self.assertLess(self.value("SELECT count(*) FROM ccstore_log"), 50)
        for table in ("census", "words"):
            self.assertGreater(self.value(f"SELECT count(*) FROM ccstore_packed_{table}"), 0)


class _Packing(PostgresBackend):
    """One whose logs are packed whenever it is tended, and bit by bit while it answers."""

    asked = 0

    case: Packers

    def tend(self, now: int) -> Deferred[None]:
        return super().tend(now).addCallback(lambda result: self._pack())

    def _pack(self) -> None:
        self.case.pack_all()

    def read(self, question: Any, *, timeout: float) -> Any:
        self.asked += 1
        answer = super().read(question, timeout=timeout)
        if self.asked % 16 == 0:
            with self.case.packer() as packer:
                packer.step(INT64_MAX)
        return answer


class PackedDatabaseKeepingTests(Packers, KeepingContract, TestCase):
    """All that is old enough is packed as soon as may be, and what has gone of it is taken out."""

    packing_sizes = evolve(SMALL, blocks=8)

    def setUp(self) -> None:
        self.backend = self.open()

    async def tend(self, seconds: int, times: int) -> None:
        await super().tend(seconds, times)
        self.pack_all()
        self.thin()
        self.count_all()

    def thin(self) -> None:
        with self.server.connection(self.database) as connection:
            thinner = BlockThinner(BlockingSql(connection), 3600)
            while thinner.step(self.now):
                pass

    async def test_what_rules_delete_of_logs_takes_no_room(self) -> None:
        rule = KeepRule(Selection(kinds=("log",), matchers=(Matcher("name", "=", "noise"),)), 100, "noise")
        await self.backend.retain(RETENTION, (rule,))
        await self.backend.expire(0)
        for name, count in (("noise", 9), ("other", 3)):
            await self.backend.write(
                Batch.of([message(f"{name} {place}", self.now, "log", name=name) for place in range(count)])
            )
        await self.backend.hold(
            Hold(Selection(kinds=("log",), matchers=(Matcher("hostname", "=", "a2"),)), "a2", "why", "me", 0)
        )
        held = message("noise held", self.now, "log", name="noise", hostname="a2")
        await self.backend.write(Batch.of([held]))
        self.assertEqual(self.pack_all(), 13)
        before = sorted(await self.logs_at(self.moment))
        self.now += 200 * SECOND
        seen = sorted(await self.logs_at(self.moment))
        self.assertEqual(seen, ["noise held", "other 0", "other 1", "other 2"])
        self.thin()
        self.assertEqual(sorted(await self.logs_at(self.moment)), seen)
        self.assertLess(self.value("SELECT sum(rows) FROM ccstore_packed_block"), len(before))
        self.assertEqual(
            self.sql("SELECT sum(rows) FROM ccstore_packed_block"),
            self.sql("SELECT sum(rows) FROM ccstore_packed"),
        )

    async def logs_at(self, moment: Moment) -> list[str]:
        (page,) = await self.backend.read(Pages([LOGS], moment, Limits(100)), timeout=60)
        return [row.text for row in page.rows]


class PackingTests(Packers, TestCase):
    """When what is packed, and what becomes of its place."""

    def backend_that_packs(self, *, after: float = 3600.0, sizes: PackingSizes = SMALL) -> PostgresBackend:
        backend = self.backend_at(packing=Packing(after), sizes=evolve(SIZES, packing=sizes))
        backend.open()
        self.addCleanup(backend.close)
        return backend

    async def until(self, backend: PostgresBackend, statement: str, value: object) -> None:
        while self.value(statement) != value:
            await backend.tend(self.now)
            await deferLater(reactor, 0.01)

    async def test_a_daemon_packs_a_day_that_is_over_and_gives_back_its_place(self) -> None:
        backend = self.backend_that_packs()
        self.now = NOW
        texts = [f"text {place}" for place in range(300)]
        await backend.write(Batch.of([message(text, NOW + n, "log") for n, text in enumerate(texts)]))
        await backend.write(Batch.of([message("an event", NOW)]))
        spans = self.sql("SELECT ends_at - begins_at FROM ccstore_partition WHERE kind = 'log'")
        self.assertEqual({*spans}, {(DAY,)})
        await backend.tend(self.now)
        self.assertEqual(self.value("SELECT count(*) FROM ccstore_packed"), 0)
        self.now = NOW // DAY * DAY + DAY + 3601 * SECOND
        await self.until(backend, "SELECT count(*) FROM ccstore_log", 0)
        over = f"kind = 'log' AND ends_at < {self.now - 3600 * SECOND}"
        await self.until(backend, f"SELECT count(*) FROM ccstore_partition WHERE {over}", 0)
        self.assertEqual(await self.logs(backend), texts[::-1])
        self.assertEqual(backend.status()["packed"], 300)
        self.assertEqual(self.value("SELECT count(*) FROM ccstore_event"), 1)
        # What comes late for that day has a place, and is packed as well, once it is worth it.
        await backend.write(Batch.of([message("late", NOW + 7, "log")]))
        self.assertEqual(self.value("SELECT count(*) FROM ccstore_log_default"), 1)
        self.assertEqual(len(await self.logs(backend)), 301)
        await self.until(backend, "SELECT count(*) FROM ccstore_log", 0)
        self.assertEqual((await self.logs(backend)).count("late"), 1)

    async def test_partitions_of_a_month_that_were_made_ahead_make_way_for_days(self) -> None:
        await self.open().close()
        month = 30 * DAY
        self.assertIn((month,), self.sql("SELECT ends_at - begins_at FROM ccstore_partition"))
        backend = self.backend_that_packs()
        await backend.tend(self.now)
        wide = f"SELECT begins_at FROM ccstore_partition WHERE ends_at - begins_at > {DAY} AND kind = 'log'"
        self.assertLess(max(begins_at for (begins_at,) in self.sql(wide)), self.now)
        await backend.write(Batch.of([message("now", self.now, "log")]))
        self.assertEqual(self.value("SELECT count(*) FROM ccstore_log_default"), 0)

    async def test_nothing_is_packed_unless_it_is_wished(self) -> None:
        backend = self.backend_that_packs(after=0)
        await backend.write(Batch.of([message("old", NOW, "log")]))
        self.now += 90 * DAY
        for _ in range(5):
            await backend.tend(self.now)
        self.assertEqual(self.value("SELECT count(*) FROM ccstore_log"), 1)

    async def test_of_two_daemons_one_packs(self) -> None:
        backend = self.open()
        await backend.write(Batch.of([message(str(n), NOW, "log") for n in range(9)]))
        with self.packer() as one, self.packer() as other:
            self.assertEqual(one.step(INT64_MAX), 9)
            await backend.write(Batch.of([message("more", NOW, "log")]))
            self.assertIsNone(other.step(INT64_MAX))
            self.assertEqual(sum(one.step(INT64_MAX) or 0 for _ in range(9)), 1)
        self.assertEqual(len(await self.logs(backend)), 10)

    async def test_what_comes_in_meanwhile_stays(self) -> None:
        backend = self.open()
        await backend.write(Batch.of([message(str(n), NOW, "log") for n in range(9)]))
        with self.server.connection(self.database) as connection:
            sql = _Meddled(connection)
            sql.meanwhile = lambda: self.sql(
                "INSERT INTO ccstore_log SELECT id + 100, stream, time, 'late', othertags FROM ccstore_log"
            )
            packer = LogPacker(sql, SMALL, has_words=True)
            self.assertEqual(packer.step(INT64_MAX), 9)
        self.assertEqual(self.value("SELECT count(*) FROM ccstore_log"), 9)
        self.assertEqual(sorted(await self.logs(backend)), sorted([*map(str, range(9)), *["late"] * 9]))

    async def test_what_cannot_be_packed_holds_up_nothing_else(self) -> None:
        self.now = NOW
        backend = self.backend_that_packs(sizes=evolve(SMALL, rest=3600.0))
        await backend.write(
            Batch.of([message("of nobody", NOW, "log"), message("other", NOW + 4 * DAY, "log")])
        )
        self.sql("UPDATE ccstore_log SET stream = 99 WHERE text = 'of nobody'")
        self.now += 9 * DAY
        with capturedLogs() as logs:
            await self.until(backend, "SELECT count(*) FROM ccstore_log", 1)
        self.assertIn("streams that are not there", " ".join(map(str, map(formatEvent, logs))))
        self.assertEqual(self.value("SELECT sum(rows) FROM ccstore_packed"), 1)

    async def test_what_cannot_be_put_in_its_place_is_not_deleted(self) -> None:
        backend = self.open()
        await backend.write(Batch.of([message(str(n), NOW, "log") for n in range(9)]))
        with self.server.connection(self.database) as connection:
            sql = _Meddled(connection)
            sql.meanwhile = lambda: self.sql("DELETE FROM ccstore_log WHERE text = '5'")
            with self.assertRaises(psycopg2.Error):
                LogPacker(sql, SMALL, has_words=True).step(INT64_MAX)
        self.assertEqual(self.value("SELECT count(*) FROM ccstore_packed"), 0)
        self.assertEqual(len(await self.logs(backend)), 8)
        self.assertEqual(self.pack_all(), 8)
        self.assertEqual(len(await self.logs(backend)), 8)

    async def test_the_words_of_a_full_part_say_which_blocks_are_looked_at(self) -> None:
        backend = self.open()
        self.packing_sizes = evolve(SMALL, step_pages=100)
        rows = 4 * MOST_BLOCKS
        await backend.write(Batch.of([message(f"word{n} of it", NOW + n, "log") for n in range(rows)]))
        self.pack_all()
        self.assertEqual(self.sql("SELECT blocks, indexed FROM ccstore_packed"), [(MOST_BLOCKS, 1)])
        self.sql("UPDATE ccstore_packed_columns SET texts = 'x' WHERE number <> 3")
        selection = evolve(LOGS, texts=(TextCondition("contains", "word15 of"),))
        self.assertEqual(await self.logs(backend, selection), ["word15 of it"])
        self.assertEqual(self.losses, [])
        self.sql("DELETE FROM ccstore_packed_words")
        # What was found in it is kept in mind, but not by another one.
        self.assertEqual(await self.logs(backend, selection), ["word15 of it"])
        self.assertEqual(self.losses, [])
        self.assertEqual(await self.logs(self.open(), selection), ["word15 of it"])
        self.assertEqual(len(self.losses), MOST_BLOCKS - 1)

    async def test_without_an_index_each_block_is_searched(self) -> None:
        backend = self.open()
        self.packing_sizes = evolve(SMALL, step_pages=100)
        rows = 4 * MOST_BLOCKS
        await backend.write(Batch.of([message(f"word{n} of it", NOW + n, "log") for n in range(rows)]))
        self.pack_all(has_words=False)
        self.assertEqual(self.value("SELECT count(*) FROM ccstore_packed_words"), 0)
        selection = evolve(LOGS, texts=(TextCondition("contains", "word15 of"),))
        self.assertEqual(await self.logs(backend, selection), ["word15 of it"])

    async def test_texts_that_are_large_are_packed_a_few_at_a_time(self) -> None:
        backend = self.open()
        texts = [f"{n} " + "x" * 5000 for n in range(300)]
        await backend.write(Batch.of([message(text, NOW + n, "log") for n, text in enumerate(texts)]))
        self.packing_sizes = evolve(
            SMALL, step_pages=100, tiles=TileSizes(block_rows=50, block_size=20_000, size=30_000)
        )
        with self.packer() as packer:
            self.assertLess(packer.step(INT64_MAX) or 0, 150)
        self.pack_all()
        self.assertEqual(await self.logs(backend), texts[::-1])
        self.assertLess(self.value("SELECT max(rows) FROM ccstore_packed_block"), 6)

    async def test_a_daemon_whose_process_is_killed_goes_on(self) -> None:
        backend = self.backend_that_packs()
        await backend.write(Batch.of([message(str(n), NOW, "log") for n in range(90)]))
        self.now += 2 * DAY
        with capturedLogs() as logs:
            while not self.value("SELECT count(*) FROM ccstore_packed"):
                await backend.tend(self.now)
                await deferLater(reactor, 0.01)
            self.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            await backend.write(Batch.of([message("more", NOW, "log")]))
            await self.until(backend, "SELECT count(*) FROM ccstore_log", 0)
        self.assertIn("cannot pack older logs, will try again", " ".join(map(str, map(formatEvent, logs))))
        self.assertEqual(len(await self.logs(backend)), 91)

    async def test_the_ends_of_a_segment_are_found_by_their_times(self) -> None:
        backend = self.open()
        await backend.write(Batch.of([message(str(n), NOW + n, "log") for n in range(9)]))
        self.pack_all()
        for number in (0, 8):
            selection = evolve(LOGS, begin=NOW + number, end=NOW + number + 1)
            self.assertEqual(await self.logs(backend, selection), [str(number)])

    async def test_the_inventory_has_what_is_packed(self) -> None:
        backend = self.open()
        await backend.write(Batch.of([message(str(n), NOW + n, "log") for n in range(90)]))
        self.pack_all()
        holdings = await backend.read(Inventory(RETENTION * SECOND), timeout=60)
        (logs,) = [each for each in holdings.kinds if each.kind == "log"]
        self.assertEqual(logs.sealed, self.value("SELECT count(*) FROM ccstore_packed"))
        self.assertGreater(logs.size, 0)
        self.assertEqual(holdings.leaving, [])
        await backend.retain(RETENTION, (KeepRule(LOGS, 100, "kind=log"),))
        await backend.expire(0)
        holdings = await backend.read(Inventory(RETENTION * SECOND), timeout=60)
        leaving = [each for each in holdings.leaving if each.name.startswith("ccstore_packed_")]
        self.assertEqual(len(leaving), logs.sealed)


class OldestPackingTests(PackingTests):
    version = oldest


class _Meddled(BlockingSql):
    """Something happens between what is read and what is deleted."""

    def run(self, statement: str, *parameters: object) -> int:
        if statement.startswith("DELETE FROM ccstore_log"):
            self.meanwhile()
        return super().run(statement, *parameters)

    def meanwhile(self) -> object:
        raise NotImplementedError


class CopyingTests(Packers, TestCase):
    """What is packed is copied as what is not, in the order in which it came in."""

    async def stored(self) -> PostgresBackend:
        backend = self.open()
        for part in range(3):
            batch = [message(f"{part} {n}", NOW + n, "log", hostname=f"a{n % 3}") for n in range(30)]
            await backend.write(Batch.of([*batch, message(f"event {part}", NOW)]))
            if part < 2:
                self.pack_all()
        return backend

    def source(self, told: list[DamagedBlock]) -> PostgresSource:
        source = PostgresSource("", self.server.parameters(self.database), timeout=10, tell=told.append)
        source.open()
        self.addCleanup(source.close)
        return source

    async def test_all_of_it_in_order(self) -> None:
        backend = await self.stored()
        source = self.source([])
        texts = [text for page in source.pages("log", 0) for text in page.messages.texts]
        self.assertEqual(texts, [f"{part} {n}" for part in range(3) for n in range(30)])
        ids = [number for page in source.pages("log", 0) for number in page.ids]
        self.assertEqual(ids, sorted(ids))
        self.assertEqual(source.counts({}), {("alex", "log"): 90, ("alex", "event"): 3})
        for after in (ids[10], ids[59], ids[60], ids[89]):
            rest = [number for page in source.pages("log", after) for number in page.ids]
            self.assertEqual(rest, [number for number in ids if number > after])
            self.assertEqual(source.counts({"log": after}).get(("alex", "log"), 0), len(rest))
        self.assertEqual(source.log_times(), (NOW, NOW + 29))
        self.assertEqual(await backend.count(), {("alex", "log"): 90, ("alex", "event"): 3})

    async def test_what_has_expired_is_not_copied(self) -> None:
        backend = await self.stored()
        rule = KeepRule(Selection(kinds=("log",), matchers=(Matcher("hostname", "=", "a1"),)), 1, "a1")
        await backend.retain(RETENTION, (rule,))
        await backend.expire(0)
        self.now += SECOND * 10
        await backend.retain(RETENTION, (KeepRule(rule.chosen, 10**6, "a1"),))
        await backend.expire(0)
        self.assertEqual(self.source([]).counts({}), {("alex", "log"): 60, ("alex", "event"): 3})
        texts = [text for page in self.source([]).pages("log", 0) for text in page.messages.texts]
        self.assertEqual(len(texts), 60)
        self.assertEqual(await backend.count(), {("alex", "log"): 60, ("alex", "event"): 3})

    async def test_what_is_damaged_is_told_and_the_rest_copied(self) -> None:
        await self.stored()
        self.sql("UPDATE ccstore_packed_columns SET times = 'x' WHERE segment = 1 AND number = 1")
        told: list[DamagedBlock] = []
        texts = [text for page in self.source(told).pages("log", 0) for text in page.messages.texts]
        self.assertEqual(len(told), 1)
        self.assertEqual(len(texts), 90 - told[0].rows)
        self.assertIn("logs from", str(told[0]))

    async def test_counts_tell_it(self) -> None:
        backend = await self.stored()
        self.sql("UPDATE ccstore_packed_columns SET texts = 'x' WHERE segment = 1 AND number = 1")
        selection = evolve(LOGS, texts=(TextCondition("contains", "1"),))
        counts = await backend.read(CountsQuestion(Counting(selection), 0), timeout=60)
        self.assertEqual(len(counts.losses), 1)
