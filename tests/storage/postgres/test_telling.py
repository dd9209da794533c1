"""Several daemons on one database: each tells its followers of all that comes in, once and in its order."""

from __future__ import annotations

import random
from contextlib import closing
from typing import Any

import psycopg2
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.interfaces import Published, StoreUnavailable
from ccstore.message import INT64_MIN
from ccstore.query import Arrival, Selection
from ccstore.reading.feed import Arrived, Feed, Tail
from ccstore.storage.postgres import PostgresBackend, database
from ccstore.storage.postgres.partition_names import BLOCK_BITS
from ccstore.storage.postgres.telling import Pace
from ccstore.storage.reading.arrived import Arrivals, LastArrival
from tests.support.postgres_case import Databases
from tests.support.stores import NOW, message, messages

_PATIENCE = 60.0
_QUICK = Pace(followed=0.01, idle=0.01, writing=0.005)


class Member:
    """A daemon, as far as it writes and tells."""

    def __init__(self, backend: PostgresBackend) -> None:
        self.backend = backend
        self.feed = Feed(reactor, lambda: INT64_MIN)
        self._published: Published = backend.tell(self.feed)

    async def write(self, batch: Batch, *, is_heard: bool = True) -> None:
        lasts = await self.backend.write(batch)
        if is_heard:
            self._published(batch, lasts)

    async def follow(self) -> Follower:
        tail = self.feed.follow(Selection())
        begin = await self.last()
        tail.begin(begin)
        return Follower(self, tail, begin)

    async def last(self) -> Arrival:
        return await self.backend.read(LastArrival(), timeout=_PATIENCE)


class Follower:
    """Somebody who follows, and what was told."""

    def __init__(self, member: Member, tail: Tail, begin: Arrival) -> None:
        self.begin = begin
        self.told: list[Arrived] = []
        self._member = member
        self._tail = tail

    @property
    def texts(self) -> list[str]:
        return [each.row.text for each in self.told]

    async def until(self, count: int) -> list[str]:
        """The texts, once there are so many."""
        while len(self.told) < count:
            before = len(self.told)
            await self._tail.wait(_PATIENCE)
            self.told += self._tail.take()[0]
            assert len(self.told) > before, (count, self.texts)
        return self.texts

    def leave(self) -> None:
        self._member.feed.leave(self._tail)


class TellingTests(Databases, TestCase):
    def member(self, instance: str, pace: Pace = _QUICK) -> Member:
        backend = self.backend_at(instance, pace=pace)
        backend.open()
        self.addCleanup(backend.close)
        return Member(backend)

    def connection(self) -> Any:
        made = psycopg2.connect(**self.server.parameters(self.database))
        self.addCleanup(made.close)
        return made

    def begin_by_hand(self, text: str) -> tuple[Any, int]:
        """A batch of somebody else that is written, and not committed yet; and its block."""
        connection = self.connection()
        with closing(connection.cursor()) as cursor:
            cursor.execute(
                "INSERT INTO ccstore_batch (id, instance) "
                "VALUES (nextval('ccstore_block'), 'hand') RETURNING id"
            )
            ((block,),) = cursor.fetchall()
            cursor.execute(
                "INSERT INTO ccstore_event (id, stream, time, text) "
                "SELECT %s, (SELECT min(id) FROM ccstore_stream), %s, %s",
                (block << BLOCK_BITS, NOW, text),
            )
        return connection, block

    async def test_what_others_write_is_told(self) -> None:
        """With its labels, and tags, and soon, at the pace of a daemon."""
        one, two = self.member("1", Pace()), self.member("2", Pace())
        follower = await one.follow()
        begun = reactor.seconds()  # type: ignore[attr-defined]
        written = [message("x", hostname="a1", type_id="7", rack="r1"), message("y", kind="log")]
        await two.write(Batch.of(written))
        self.assertEqual(await follower.until(2), ["x", "y"])
        # It is within a second where the machine has nothing else to do.
        self.assertLess(reactor.seconds() - begun, 10.0)  # type: ignore[attr-defined]
        self.assertEqual([each.stream for each in follower.told], [each.series.stream for each in written])
        self.assertEqual(
            [each.row.othertags for each in follower.told], [each.series.othertags for each in written]
        )

    async def test_own_messages_are_told_at_once(self) -> None:
        """If nobody else writes, they wait for no look at the database."""
        one = self.member("1", Pace(followed=3600, idle=3600))
        follower = await one.follow()
        for text in ("a", "b"):
            await one.write(messages([text]))
        self.assertEqual(await follower.until(2), ["a", "b"])

    async def test_all_is_told_once_and_in_one_order(self) -> None:
        """While all write, of several at a time, and to those who come late and break off as well."""
        pick = random.Random(3)
        members = [self.member(str(number)) for number in range(3)]
        followers = [await member.follow() for member in members]
        writes: list[Deferred[None]] = []
        expected: list[str] = []
        late: list[Follower] = []
        for turn in range(60):
            batch = [
                message(f"{turn} {place}", NOW + pick.randrange(10**9), pick.choice(("event", "log")))
                for place in range(pick.randint(1, 30))
            ]
            expected += [each.text for each in batch]
            is_heard = pick.random() < 0.8
            writes.append(Deferred.fromCoroutine(members[turn % 3].write(Batch.of(batch), is_heard=is_heard)))
            if turn % 4 == 0:
                await writes[-1]
            if turn in (20, 40):
                late.append(await members[0].follow())
        await gatherResults(writes)
        for follower in followers:
            self.assertEqual(sorted(await follower.until(len(expected))), sorted(expected))
            for kind in ("event", "log"):
                ids = [each.row.id for each in follower.told if each.row.kind == kind]
                self.assertEqual(ids, sorted(set(ids)))
        whole = followers[0]
        for follower in late:
            rest = [each for each in whole.told if each.row.id > follower.begin.of(each.row.kind)]
            await follower.until(len(rest))
            self.assertEqual(ids_of(follower.told), ids_of(rest))
        # From anywhere it can be gone on, also at another one of them.
        last = await members[1].last()
        for place in range(0, len(whole.told), 37):
            after = whole.told[place].arrival
            assert after is not None
            found = await self.arrivals(members[1], after, last)
            self.assertEqual(sorted(found), sorted(each.row.text for each in whole.told[place + 1 :]))

    async def arrivals(self, member: Member, after: Arrival, upto: Arrival) -> list[str]:
        question = Arrivals(Selection(), after, upto, INT64_MIN, 10**6)
        page = await member.backend.read(question, timeout=_PATIENCE)
        return [row.text for row in page.rows]

    async def test_a_batch_that_is_committed_late_with_a_lower_block(self) -> None:
        one, two = self.member("1"), self.member("2")
        await one.write(messages(["first"]))
        follower = await one.follow()
        by_hand, block = self.begin_by_hand("late")
        await two.write(messages(["later two"]))
        await one.write(messages(["later one"]))
        # Whoever comes now is not told that it has been further than what may still come.
        newcomer = await one.follow()
        self.assertLess(newcomer.begin.event, block << BLOCK_BITS)
        self.assertEqual(follower.told, [])
        by_hand.commit()
        for each in (follower, newcomer):
            self.assertEqual(await each.until(3), ["late", "later two", "later one"])
        last = await two.last()
        self.assertEqual(await self.arrivals(two, newcomer.begin, last), ["late", "later two", "later one"])

    async def test_a_block_that_is_never_committed_holds_nobody_up(self) -> None:
        one, two = self.member("1"), self.member("2")
        await one.write(messages(["first"]))
        follower = await one.follow()
        by_hand, _ = self.begin_by_hand("never")
        await one.write(messages(["a"]))
        by_hand.rollback()
        await two.write(messages(["b"]))
        await one.write(messages(["c"]))
        self.assertEqual(await follower.until(3), ["a", "b", "c"])

    async def test_connections_that_break(self) -> None:
        """Also that which follows; what came meanwhile is told."""
        one, two = self.member("1"), self.member("2")
        follower = await one.follow()
        expected = []
        for turn in range(5):
            await self.insist(two, messages([f"{turn}"]))
            self.server.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = %s AND application_name = 'ccstore' AND state = 'idle'",
                self.database,
            )
            expected.append(f"{turn}")
        self.assertEqual(await follower.until(5), expected)

    async def insist(self, member: Member, batch: Batch) -> None:
        while True:
            try:
                await member.write(batch)
            except StoreUnavailable:
                continue
            return

    async def test_after_a_restart_it_goes_on(self) -> None:
        one, two = self.member("1"), self.member("2")
        follower = await one.follow()
        await two.write(messages(["a"]))
        await follower.until(1)
        await one.backend.close()
        await two.write(messages(["b", "c"]))
        again = self.member("3")
        newcomer = await again.follow()
        after = follower.told[-1].arrival
        assert after is not None
        self.assertEqual(await self.arrivals(again, after, newcomer.begin), ["b", "c"])
        await two.write(messages(["d"]))
        self.assertEqual(await newcomer.until(1), ["d"])

    async def test_what_there_is_no_room_for_is_read(self) -> None:
        """Of this daemon's own, held up by somebody else."""
        one = self.member("1", Pace(followed=0.01, idle=0.01, writing=0.005, held=5, rows=2))
        await one.write(messages(["first"]))
        follower = await one.follow()
        by_hand, _ = self.begin_by_hand("late")
        expected = ["late"]
        for turn in range(6):
            texts = [f"{turn} {place}" for place in range(3)]
            await one.write(messages(texts))
            expected += texts
        by_hand.commit()
        self.assertEqual(await follower.until(len(expected)), expected)

    async def test_what_others_write_is_read_by_an_index(self) -> None:
        """Which is brought up to date while somebody follows."""
        one = self.member("1")
        follower = await one.follow()
        await one.backend.tend(self.now)
        for _ in range(2):
            for _ in range(10):
                await one.write(Batch.of(message("x" * 200, NOW + place) for place in range(1000)))
            await one.backend.tend(self.now)
            unsummarised = (
                "SELECT coalesce(sum(brin_summarize_new_values(indexrelid)), 0) FROM pg_inherits "
                "JOIN pg_index ON indrelid = inhrelid JOIN pg_class c ON c.oid = indexrelid "
                "JOIN pg_am a ON a.oid = relam AND amname = 'brin' "
                "WHERE inhparent = 'ccstore_event'::regclass"
            )
            self.assertEqual(self.value(unsummarised), 0)
        follower.leave()

    async def test_a_table_that_is_vacuumed_is_not_waited_for(self) -> None:
        one = self.member("1")
        await one.follow()
        connection = self.connection()
        with closing(connection.cursor()) as cursor:
            cursor.execute("LOCK TABLE ccstore_event_default IN SHARE UPDATE EXCLUSIVE MODE")
            await one.backend.tend(self.now)
            await one.backend.tend(self.now)
        connection.rollback()

    async def test_version_two_is_brought_up_to_date(self) -> None:
        """Partitions that are there have the index as well as those that are made."""
        for number in (1, 2):
            self.sql(database.script(number).replace("%%", "%"))
        self.sql("INSERT INTO ccstore_schema VALUES (2)")
        self.sql(
            "INSERT INTO ccstore_stream (key, cluster, kind, name, used) "
            "VALUES (gen_random_uuid(), 'alex', 'event', 'job', 0)"
        )
        self.sql("INSERT INTO ccstore_event SELECT 1, max(id), %s, 'old' FROM ccstore_stream", self.now)
        one, two = self.member("1"), self.member("2")
        follower = await one.follow()
        await two.write(messages(["new"]))
        self.assertEqual(await follower.until(1), ["new"])
        self.assertEqual(await self.arrivals(one, Arrival(0, 0), await one.last()), ["old", "new"])
        self.assertEqual(self.value("SELECT version FROM ccstore_schema"), database.SCHEMA_VERSION)
        without = (
            "SELECT count(*) FROM pg_inherits WHERE inhparent IN ('ccstore_event'::regclass, "
            "'ccstore_log'::regclass) AND NOT EXISTS (SELECT 1 FROM pg_index JOIN pg_class c "
            "ON c.oid = indexrelid JOIN pg_am a ON a.oid = relam "
            "WHERE indrelid = inhrelid AND amname = 'brin')"
        )
        self.assertEqual(self.value(without), 0)

    async def test_while_nobody_follows_nothing_is_told(self) -> None:
        one, two = self.member("1"), self.member("2")
        (await one.follow()).leave()
        await two.write(messages(["a"]))
        await deferLater(reactor, 0.1)
        await two.write(messages(["b"]))
        follower = await one.follow()
        await two.write(messages(["c"]))
        self.assertEqual(await follower.until(1), ["c"])


def ids_of(told: list[Arrived]) -> list[tuple[str, int]]:
    return sorted((each.row.kind, each.row.id) for each in told)
