"""A PostgreSQL server that is gone, stuck or slow, refuses something, or is cut off at a COMMIT."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.interfaces import CommitUnknown, QueryTimeout, StoreError, StoreUnavailable
from ccstore.message import INT64_MIN
from ccstore.query import Selection
from ccstore.reading.feed import Feed
from ccstore.storage.postgres import PostgresBackend, database
from ccstore.storage.postgres.sizes import Sizes
from ccstore.storage.reading.arrived import LastArrival
from tests.support.postgres_case import Databases
from tests.support.postgres_server import PASSWORD, Cutter, Server, newest
from tests.support.stores import NOW, SECOND, ask, asking, message, messages


class WhoseTests(Databases, TestCase):
    """Whatever is not possible now, the database and its server are named."""

    def named(self, error: StoreUnavailable) -> str:
        said = str(error)
        where = f"the PostgreSQL database {self.database} on 127.0.0.1:{self.port}: "
        self.assertTrue(said.startswith(where), said)
        self.assertNotIn(PASSWORD, said)
        return said.removeprefix(where)

    async def failures(self, backend: PostgresBackend) -> list[str]:
        found = []
        for work in (
            lambda: backend.write(messages("a")),
            lambda: ask(backend, [asking("alex")], cutoff=0, max_rows=1, timeout=60),
            lambda: backend.expire(self.now),
        ):
            with self.assertRaises(StoreUnavailable) as caught:
                await work()
            found.append(self.named(caught.exception))
        return found

    async def test_a_server_that_is_gone(self) -> None:
        cutter = Cutter(reactor, self.server)
        self.port = cutter.port.getHost().port
        backend = self.backend_at(host="127.0.0.1", port=str(self.port), password=PASSWORD)
        # It blocks, and what stands between takes the reactor.
        await deferToThread(backend.open)
        self.addCleanup(backend.close)
        await cutter.port.stopListening()
        for said in await self.failures(backend):
            self.assertIn("refused", said)

    async def test_what_the_server_says(self) -> None:
        self.port = self.server.port
        backend = self.open(host="127.0.0.1", port=str(self.port), password=PASSWORD)
        self.sql("ALTER TABLE ccstore_stream RENAME TO elsewhere")
        for said in (await self.failures(backend))[:2]:
            self.assertEqual(said, 'relation "ccstore_stream" does not exist')


class GivenUpTests(Databases, TestCase):
    """Queries that nobody waits for any more are ended in the server."""

    def active(self) -> int:
        return int(
            self.value(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
                "current_database()"
            )
        )

    async def until(self, count: int) -> None:
        while self.active() != count:
            await deferLater(reactor, 0.01)  # type: ignore[arg-type]

    async def test_at_once_and_others_are_answered(self) -> None:
        backend = self.open()
        await backend.write(messages("ab"))
        with self.server.connection(self.database) as connection:
            connection.autocommit = False
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE ccstore_stream IN ACCESS EXCLUSIVE MODE")
                # Three are asked of the server, and two wait for their turn.
                queries = [
                    ask(backend, [asking("alex")] * 3, cutoff=0, max_rows=10, timeout=10**6) for _ in range(5)
                ]
                await self.until(3)
                for query in queries:
                    query.cancel()
                    with self.assertRaises(CancelledError):
                        await query
                await self.until(0)
            connection.rollback()
        for _ in range(5):
            self.assertEqual(await self.found_in(backend), ["a", "b"])

    async def test_before_there_is_a_connection(self) -> None:
        backend = self.open()
        query = ask(backend, [asking("alex")], cutoff=0, max_rows=10, timeout=10**6)
        query.cancel()
        with self.assertRaises(CancelledError):
            await query
        self.assertEqual(await self.found_in(backend), [])


class FailureTests(Databases, TestCase):
    """What may pass is told from what never will, and it comes back by itself."""

    def fail_with(self, state: str) -> None:
        self.sql(
            f"CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION 'made to fail' USING ERRCODE = '{state}'; END $$"
        )
        self.sql("DROP TRIGGER IF EXISTS fails ON ccstore_batch")
        self.sql("CREATE TRIGGER fails BEFORE INSERT ON ccstore_batch FOR EACH ROW EXECUTE FUNCTION fail()")

    async def test_what_may_pass(self) -> None:
        backend = self.open()
        # Deadlock, serialization, full disk, memory, cancelled, shutdown, starting, read-only, no right.
        for state in ["40P01", "40001", "53100", "53200", "57014", "57P01", "57P03", "25006", "42501"]:
            self.fail_with(state)
            with self.assertRaises(StoreUnavailable, msg=state):
                await backend.write(messages("a"))
            self.sql("DROP TRIGGER fails ON ccstore_batch")
            await backend.write(messages(["b"], cluster=state))
            self.assertEqual(await self.found_in(backend, state), ["b"])
        self.assertEqual(await self.found_in(backend), [])

    async def test_what_never_will(self) -> None:
        backend = self.open()
        for state in ("22021", "23514", "54000"):
            self.fail_with(state)
            with self.assertRaises(StoreError, msg=state) as caught:
                await backend.write(messages("a"))
            self.assertNotIsInstance(caught.exception, StoreUnavailable)
            self.assertEqual(str(caught.exception), "made to fail")

    async def test_to_write_nothing_tells_whether_it_would_be_possible(self) -> None:
        backend = self.open()
        await backend.write(Batch())
        self.fail_with("53100")
        with self.assertRaises(StoreUnavailable):
            await backend.write(Batch())

    async def test_a_batch_behind_one_that_fails_is_not_committed(self) -> None:
        backend = self.open()
        bad = backend.write(Batch.of([message("a"), message("bad", 2**63)]))
        good = backend.write(messages("b"))
        with self.assertRaises(StoreError):
            await bad
        with self.assertRaises(StoreUnavailable):
            await good
        self.assertEqual(await self.found_in(backend), [])
        await backend.write(messages("c"))
        self.assertEqual(await self.found_in(backend), ["c"])

    async def test_connections_that_are_cut_are_made_again(self) -> None:
        backend = self.open()
        await backend.write(messages("a"))
        self.assertEqual(await self.found_in(backend), ["a"])
        with capturedLogs() as logs:
            self.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await deferLater(reactor, 0.2)
            # Those that were idle were seen to go.
            await backend.write(messages("b", NOW + 1))
            self.assertEqual(await self.found_in(backend), ["a", "b"])
        self.assertEqual([formatEvent(entry) for entry in logs], [])

    async def test_a_connection_that_is_cut_while_it_is_used(self) -> None:
        backend = self.open()
        await backend.write(messages("a"))
        with self.server.connection(self.database) as connection, connection.cursor() as cursor:
            connection.autocommit = False
            cursor.execute("LOCK TABLE ccstore_event IN ACCESS EXCLUSIVE MODE")
            reading, writing = self.found_in(backend), backend.write(messages("b"))
            reading = Deferred.fromCoroutine(reading)
            await deferLater(reactor, 0.2)
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            for failing in (reading, writing):
                with self.assertRaises(StoreUnavailable) as caught:
                    await failing
                self.assertNotIsInstance(caught.exception, CommitUnknown)
        await backend.write(messages("c"))
        self.assertEqual(await self.found_in(backend), ["a", "c"])

    async def test_a_query_that_takes_too_long(self) -> None:
        backend = self.open()
        await backend.write(messages("a"))
        with self.server.connection(self.database) as connection, connection.cursor() as cursor:
            connection.autocommit = False
            cursor.execute("LOCK TABLE ccstore_event IN ACCESS EXCLUSIVE MODE")
            with self.assertRaises(QueryTimeout):
                await ask(backend, [asking("alex")], cutoff=0, max_rows=10, timeout=0.3)
        self.assertEqual(await self.found_in(backend), ["a"])

    async def test_a_server_that_crashes_and_comes_back(self) -> None:
        own = Server(newest())
        self.addCleanup(own.remove)
        own.start()
        name = own.new_database()
        backend = self.backend_at(dsn=database.make_dsn(**own.parameters(name)))
        backend.open()
        self.addCleanup(backend.close)
        await backend.write(messages("a"))
        own.stop("immediate")
        for _ in range(2):
            with self.assertRaises(StoreUnavailable):
                await backend.write(messages("lost"))
            with self.assertRaises(StoreUnavailable):
                await self.found_in(backend)
            with self.assertRaises(StoreUnavailable):
                await backend.tend(self.now + 10**12)
        own.start()
        await backend.write(messages("b", NOW + 1))
        self.assertEqual(await self.found_in(backend), ["a", "b"])

    async def test_a_server_that_is_stuck(self) -> None:
        await self.open().write(messages("a"))
        backend = self.open(sizes=Sizes(batch_time=1.0))
        with self.server.connection(self.database) as connection, connection.cursor() as cursor:
            connection.autocommit = False
            cursor.execute("LOCK TABLE ccstore_event IN ACCESS EXCLUSIVE MODE")
            with self.assertRaises(StoreUnavailable):
                await backend.write(messages("lost"))
        for _ in range(30):  # a slow machine is as good as stuck
            try:
                await backend.write(messages("b", NOW + 1))
            except CommitUnknown:
                raise
            except StoreUnavailable:
                continue
            break
        self.assertEqual(await self.found_in(backend), ["a", "b"])

    async def test_the_end_waits_for_a_write(self) -> None:
        backend = self.open()
        writing = backend.write(messages("a"))
        await backend.close()
        await writing
        self.assertEqual(self.value("SELECT count(*) FROM ccstore_event"), 1)
        self.assertEqual(
            self.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ccstore'"), 0
        )


class UnheardCommitTests(Databases, TestCase):
    """A connection that is cut at a COMMIT: it is found out what became of it."""

    async def open_behind_cutter(self) -> PostgresBackend:
        self.cutter = Cutter(reactor, self.server)
        self.addCleanup(self.cutter.port.stopListening)
        backend = self.backend_at(
            host="127.0.0.1",
            port=str(self.cutter.port.getHost().port),
            password=PASSWORD,
            sslmode="disable",
            gssencmode="disable",
        )
        # It blocks, and what stands between takes the reactor.
        await deferToThread(backend.open)
        self.addCleanup(backend.close)
        return backend

    def settled(self) -> object:
        return self.backend.status()["settled"]

    async def settles(self, *gets_through: bool) -> None:
        self.backend = await self.open_behind_cutter()
        await self.backend.write(messages(["before"]))
        for number, commit_gets_through in enumerate(gets_through):
            batch = messages([f"{number}-{index}" for index in range(10)], NOW + 100 * number)
            self.cutter.cuts = [commit_gets_through]
            with self.assertRaises(CommitUnknown):
                await self.backend.write(batch)
            self.assertEqual(self.cutter.cuts, [])
            await self.backend.write(batch)
            await self.backend.write(messages([f"after {number}"], NOW + 100 * number + 50))
        found = await self.found_in(self.backend)
        expected = ["before"]
        for number in range(len(gets_through)):
            expected += [*(f"{number}-{index}" for index in range(10)), f"after {number}"]
        self.assertEqual(sorted(found), sorted(expected))

    async def test_it_was_committed_and_nobody_heard(self) -> None:
        await self.settles(True)
        self.assertEqual(self.settled(), 1)

    async def test_another_process_offers_it_with_its_id(self) -> None:
        for gets_through in (True, False):
            backend = await self.open_behind_cutter()
            batch = messages([f"{gets_through}"])
            await backend.write(messages(["before"]))
            self.cutter.cuts = [gets_through]
            with self.assertRaises(CommitUnknown) as caught:
                await backend.write(batch)
            self.backend = await self.open_behind_cutter()
            for _ in range(2):
                await self.backend.write(messages([f"{gets_through}"]), caught.exception.batch_id)
        self.assertEqual(sorted(await self.found_in(self.backend)), ["False", "True", "before", "before"])

    async def test_followers_are_told_of_what_turns_out_to_be_there(self) -> None:
        """Once, also when the batch has gone through the spool meanwhile, and is in doubt once more."""
        self.backend = await self.open_behind_cutter()
        feed = Feed(reactor, lambda: INT64_MIN)
        published = self.backend.tell(feed)
        tail = feed.follow(Selection())
        tail.begin(await self.backend.read(LastArrival(), timeout=60.0))
        for batch_id, texts, cuts in ((None, "ab", [True]), (-5, "cd", [True]), (-6, "ef", [False, True])):
            number = batch_id
            for cut in cuts:
                self.cutter.cuts = [cut]
                with self.assertRaises(CommitUnknown) as caught:
                    await self.backend.write(messages(texts), number)
                number = caught.exception.batch_id
            for _ in range(2):
                published(messages(texts), await self.backend.write(messages(texts), number))
        published(messages("g"), await self.backend.write(messages("g")))
        told = ""
        while "g" not in told:
            await tail.wait(60.0)
            told += "".join([each.row.text for each in tail.take()[0]])
        self.assertEqual(told, "abcdefg")

    async def test_an_id_that_was_drawn_before(self) -> None:
        self.backend = await self.open_behind_cutter()
        await self.backend.write(messages("a"), -(2**62))
        self.cutter.cuts = [True]
        with self.assertRaises(CommitUnknown):
            await self.backend.write(messages("b"), -7)
        await self.backend.write(messages("b"), -7)
        await self.backend.tend(NOW + 10**15)  # this daemon's own ids go
        other = await self.open_behind_cutter()
        for batch_id, text in ((-(2**62), "a"), (-7, "b"), (-8, "c")):
            await other.write(messages(text), batch_id)
        self.assertEqual(sorted(await self.found_in(other)), ["a", "b", "c"])

    async def test_it_was_not_committed(self) -> None:
        await self.settles(False)
        self.assertEqual(self.settled(), 0)

    async def test_again_and_again(self) -> None:
        await self.settles(True, False, False, True, True)
        # Two attempts at one batch, and then what tells of batches goes.
        batch = messages("xy")
        for gets_through in (False, False, True):
            self.cutter.cuts = [gets_through]
            with self.assertRaises(CommitUnknown):
                await self.backend.write(batch)
            await self.backend.tend(self.now)
        self.now += 60 * SECOND
        await self.backend.tend(self.now)
        await self.backend.write(batch)
        self.assertEqual(self.value("SELECT count(*) FROM ccstore_event WHERE text IN ('x', 'y')"), 2)
        self.now += 60 * SECOND
        await self.backend.tend(self.now)
        self.assertLessEqual(self.value("SELECT count(*) FROM ccstore_batch"), 1)

    async def test_the_batch_behind_it_waits(self) -> None:
        self.backend = await self.open_behind_cutter()
        await self.backend.write(messages(["before"]))
        one, two = messages(["one"], NOW + 1), messages(["two"], NOW + 2)
        self.cutter.cuts = [True]
        first, second = self.backend.write(one), self.backend.write(two)
        with self.assertRaises(CommitUnknown):
            await first
        with self.assertRaises(StoreUnavailable) as caught:
            await second
        self.assertNotIsInstance(caught.exception, CommitUnknown)
        await gatherResults([self.backend.write(one), self.backend.write(two)])
        self.assertEqual(await self.found_in(self.backend), ["before", "one", "two"])
