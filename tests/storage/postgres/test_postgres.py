"""The PostgreSQL backend on real servers."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.interfaces import CommitUnknown, QueryTimeout, StoreError, StoreUnavailable
from ccstore.storage.postgres import PostgresBackend, database
from ccstore.storage.postgres import backend as backend_module
from ccstore.storage.postgres.arrays import numbers, optional_texts, quoted, texts
from tests.support.postgres_server import PASSWORD, USER, Cutter, Server, newest, oldest, server
from tests.support.store_contract import TEXTS, StoreContract
from tests.support.stores import NOW, SECOND, ask, asking, message, messages

RETENTION = 1600  # seconds
SPAN = RETENTION // 16 * SECOND
TAGS = ["hostname", "type", "typeid", "stype", "stypeid"]
HISTORICAL = ["id", "timestamp", "name", *TAGS, "othertags", "field"]


class _Databases:
    """A database for a test case, and a time that only the test moves."""

    now = NOW + 100 * SECOND
    version = newest

    @property
    def server(self) -> Server:
        return server(type(self).version())

    @property
    def database(self) -> str:
        if not hasattr(self, "_database"):
            self._database = self.server.new_database()
            self.addCleanup(self.server.drop_database, self._database)
        return self._database

    def backend_at(self, instance: str = "a test", dsn: str = "", **parameters: str) -> PostgresBackend:
        return PostgresBackend(
            dsn,
            {**({} if dsn else self.server.parameters(self.database)), **parameters},
            connection_timeout=10,
            retention=RETENTION,
            now=lambda: self.now,
            instance=instance,
            reactor=reactor,
        )

    def open(self, **parameters: str) -> PostgresBackend:
        backend = self.backend_at(**parameters)
        backend.open()
        self.addCleanup(backend.close)
        return backend

    def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What somebody else sees."""
        return self.server.sql(statement, *parameters, database=self.database)

    async def shown(self) -> list[str]:
        return [text for (text,) in self.seen("SELECT field FROM alex_events")]

    def seen(self, statement: str) -> list[tuple[Any, ...]]:
        """What views show at the time of the test, and not at that of the server."""
        later = int(time.time() * 1e9) - self.now
        return self.sql(
            f"BEGIN; UPDATE ccstore_retention SET nanoseconds = nanoseconds + {later} "
            f"WHERE nanoseconds < {2**61}; {statement}"
        )

    def value(self, statement: str) -> Any:
        ((value,),) = self.sql(statement)
        return value

    async def found_in(self, backend: PostgresBackend, cluster: str = "alex", **asked: Any) -> list[str]:
        (page,) = await ask(backend, [asking(cluster, **asked)], cutoff=0, max_rows=10**6, timeout=60)
        return [row.text for row in page.rows]


class NewestContractTests(_Databases, StoreContract, TestCase):
    stores_nul = False

    def make_backend(self) -> PostgresBackend:
        return self.backend_at()


class OldestContractTests(NewestContractTests):
    version = oldest


class OpeningTests(_Databases, TestCase):
    """What is not there, wrong or forbidden is one clear line."""

    def complaint(self, dsn: str = "", **parameters: str) -> str:
        with self.assertRaises(StoreError) as caught:
            self.backend_at("a test", dsn, **parameters).open()
        said = str(caught.exception)
        self.assertNotIn(PASSWORD, said)
        self.assertNotIn("\n", said)
        return said

    def test_no_server(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # and does not listen
            port = taken.getsockname()[1]
            said = self.complaint(host="127.0.0.1", port=str(port), password=PASSWORD)
        self.assertIn(f"{self.database} on 127.0.0.1:{port}", said)
        self.assertIn("refused", said)

    def test_wrong_password(self) -> None:
        said = self.complaint(host="127.0.0.1", password=PASSWORD + "x")
        self.assertIn(f'password authentication failed for user "{USER}"', said)
        self.assertNotIn(PASSWORD + "x", said)

    def test_the_password_of_a_dsn_is_not_shown(self) -> None:
        port = self.server.port
        for dsn in (
            f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/nowhere",
            f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}:/x/{PASSWORD}?{PASSWORD}={PASSWORD}",
            f"host=127.0.0.1 port={port} user={USER} password={PASSWORD} dbname=nowhere",
            f"host=127.0.0.1 password=a {PASSWORD}",
            f"{PASSWORD}=5",
        ):
            self.assertTrue(self.complaint(dsn))
        self.assertIn("knows no option 'sslmod'", self.complaint("host=127.0.0.1 sslmod=require"))

    def test_no_such_database(self) -> None:
        self.assertIn('database "nowhere" does not exist', self.complaint(dbname="nowhere"))

    def test_a_right_is_missing(self) -> None:
        self.sql("DO $$ BEGIN CREATE ROLE guest LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
        self.sql("REVOKE CREATE ON SCHEMA public FROM public")
        self.assertIn("permission denied for schema public", self.complaint(user="guest"))
        self.open()
        self.assertIn("permission denied for table ccstore_schema", self.complaint(user="guest"))

    def test_another_encoding(self) -> None:
        self.server.sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
        self.addCleanup(self.server.drop_database, "latin")
        self.assertIn("has the encoding LATIN1: ccstore needs one with UTF8", self.complaint(dbname="latin"))

    def test_too_old_a_server(self) -> None:
        with _pretender(b"12.22") as port:
            said = self.complaint(host="127.0.0.1", port=str(port), sslmode="disable", gssencmode="disable")
        self.assertIn("the server is PostgreSQL 12.22: ccstore needs 14 or later", said)

    def test_a_newer_schema_is_refused(self) -> None:
        self.open()
        self.sql("UPDATE ccstore_schema SET version = 99")
        self.assertIn("its schema has version 99, written by a newer ccstore", self.complaint())

    def test_a_server_that_takes_no_writes(self) -> None:
        said = self.complaint(options="-c default_transaction_read_only=on")
        self.assertIn("read-only", said)

    async def test_the_first_of_several_hosts_may_be_gone(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            ports = f"{taken.getsockname()[1]},{self.server.port}"
            backend = self.open(host="127.0.0.1,127.0.0.1", port=ports, password=PASSWORD)
            await backend.write(messages("ab"))
            self.assertEqual(await self.found_in(backend), ["a", "b"])
        self.assertIn("127.0.0.1", backend.describe())
        self.assertNotIn(PASSWORD, backend.describe())

    async def test_two_that_start_at_once_make_one_schema(self) -> None:
        self.sql("SELECT 1")
        errors: list[BaseException] = []

        def start(backend: PostgresBackend) -> None:
            try:
                backend.open()
            except BaseException as error:
                errors.append(error)

        backends = [self.backend_at(str(number)) for number in range(4)]
        threads = [threading.Thread(target=start, args=(backend,)) for backend in backends]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])
        for backend in backends:
            self.addCleanup(backend.close)
            await backend.write(messages("a"))
        self.assertEqual(await self.found_in(backends[0]), ["a"] * 4)
        self.assertEqual(self.value("SELECT count(*) FROM ccstore_stream"), 1)


class ViewTests(_Databases, TestCase):
    """``<cluster>_events`` and ``<cluster>_logs``, for a site's own SQL."""

    async def test_have_the_historical_columns(self) -> None:
        backend = self.open()
        tags = {"hostname": "a1", "type": "node", "type_id": "0", "stype": "s", "stype_id": "1"}
        await backend.write(Batch.of([message("x", NOW + 5, "log", **tags, other="o"), message("y")]))
        with self.server.connection(self.database) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT * FROM alex_logs")
            self.assertEqual([column.name for column in cursor.description], HISTORICAL)
            ((_, *row),) = cursor.fetchall()
        self.assertEqual(row, [NOW // SECOND, "job", "a1", "node", "0", "s", "1", '{"other": "o"}', "x"])
        ((_, *row),) = self.sql("SELECT * FROM alex_events")
        self.assertEqual(row, [NOW // SECOND, "job", None, None, None, None, None, None, "y"])

    async def test_names_are_only_names(self) -> None:
        backend = self.open()
        for cluster in ('x"; DROP TABLE ccstore_event; --', "a%b's", "Alex"):
            await backend.write(Batch.of([message("x", cluster=cluster)]))
            name = f"{cluster}_events".replace('"', '""')
            self.assertEqual(self.value(f'SELECT count(*) FROM "{name}"'), 1)

    async def test_a_view_that_cannot_be_made_is_said_and_costs_nothing(self) -> None:
        backend = self.open()
        self.sql("CREATE TABLE taken_events (x int)")
        with capturedLogs() as logs:
            for cluster in ("x" * 57, "taken"):
                for _ in range(2):
                    await backend.write(Batch.of([message("a", cluster=cluster)]))
                self.assertEqual(await self.found_in(backend, cluster), ["a", "a"])
        self.assertEqual(
            [formatEvent(entry) for entry in logs],
            [
                f"no view '{'x' * 57}_events': PostgreSQL's names have at most 63 bytes",
                "no view 'taken_events': something else is called so",
            ],
        )


class PartitionTests(_Databases, TestCase):
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


class WhoseTests(_Databases, TestCase):
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


class GivenUpTests(_Databases, TestCase):
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


class SeveralTests(_Databases, TestCase):
    """Several daemons on one database."""

    async def test_each_sees_what_the_others_wrote(self) -> None:
        one, two = self.open(instance="1"), self.open(instance="2")
        await one.write(messages("a", hostname="x"))
        self.assertEqual(await self.found_in(two, hostname="x"), ["a"])
        await two.write(messages("b", NOW, hostname="x"))
        self.assertEqual(await self.found_in(one, hostname="x"), ["a", "b"])

    async def test_the_same_new_streams_from_all_at_once(self) -> None:
        backends = [self.open(instance=str(number)) for number in range(3)]
        chance = random.Random(1)
        writes: list[Deferred[None]] = []
        for number in range(30):
            hosts = [f"h{number // 3 * 50 + host}" for host in range(100)]
            chance.shuffle(hosts)
            batch = Batch.of(message(str(number), hostname=host, cluster=f"c{number % 4}") for host in hosts)
            writes.append(backends[number % 3].write(batch))
        await gatherResults(writes)
        self.assertEqual(self.value("SELECT count(*) FROM ccstore_event"), 3000)
        distinct = "SELECT count(DISTINCT (cluster, hostname)) FROM ccstore_stream"
        self.assertEqual(self.value("SELECT count(*) FROM ccstore_stream"), self.value(distinct))
        self.assertEqual(len(await self.found_in(backends[0], "c1")) % 100, 0)

    async def test_one_at_a_time_drops_partitions(self) -> None:
        one, two = self.open(instance="1"), self.open(instance="2")
        await one.write(messages("abc"))
        self.now += 3 * RETENTION * SECOND
        cutoff = self.now - RETENTION * SECOND
        counts = await gatherResults([one.expire(cutoff), two.expire(cutoff), one.expire(cutoff)])
        self.assertEqual(sum(counts), 3)
        await gatherResults([one.tend(self.now), two.tend(self.now)])
        await two.write(messages("d", self.now))
        self.assertEqual(await self.found_in(one), ["d"])
        self.assertEqual(self.value("SELECT count(*) FROM ccstore_event_default"), 0)


class FailureTests(_Databases, TestCase):
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
        self.patch(backend_module, "_LIMITS", (1.0, 600.0))
        backend = self.open()
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


class UnheardCommitTests(_Databases, TestCase):
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


class ArrayTests(_Databases, TestCase):
    """Literals mean what they were made of."""

    def test_texts(self) -> None:
        given = [text for text in TEXTS if "\0" not in text] + ["NULL", "{}", ",", '\\"', "\\", "\x01", "é"]
        ((found, some),) = self.server.sql(
            "SELECT %s::text[], %s::text[]", texts(given), optional_texts([None, *given, None])
        )
        self.assertEqual(found, given)
        self.assertEqual(some, [None, *given, None])
        self.assertEqual(texts([]), "{}")
        for bad in (["a\0b"], ["a", "\0"], ["\0"]):
            with self.assertRaises(ValueError):
                texts(bad)
            with self.assertRaises(ValueError):
                optional_texts(bad)

    def test_constants(self) -> None:
        for given in ("", "a", "'", "$", "a$", "$$", "$$; DROP TABLE x; $$", "$q$ $$ $", "\\", "é"):
            self.assertEqual(self.server.sql(f"SELECT {quoted(given + '}')}"), [(given + "}",)])

    def test_numbers(self) -> None:
        given = [0, -1, 2**63 - 1, -(2**63)]
        self.assertEqual(self.server.sql("SELECT %s::bigint[]", numbers(given)), [(given,)])


@contextmanager
def _pretender(version: bytes) -> Iterator[int]:
    """Something that says it is a server of some version, and hears the end of the first client."""

    def told(kind: bytes, content: bytes) -> bytes:
        return kind + (len(content) + 4).to_bytes(4, "big") + content

    def serve() -> None:
        with closing(listening.accept()[0]) as client:
            client.recv(10_000)
            client.sendall(
                told(b"R", bytes(4))
                + told(b"S", b"server_version\0" + version + b"\0")
                + told(b"S", b"server_encoding\0UTF8\0")
                + told(b"S", b"client_encoding\0UTF8\0")
                + told(b"S", b"DateStyle\0ISO\0")
                + told(b"S", b"standard_conforming_strings\0on\0")
                + told(b"S", b"in_hot_standby\0off\0")
                + told(b"S", b"default_transaction_read_only\0off\0")
                + told(b"K", bytes(8))
                + told(b"Z", b"I")
            )
            while data := client.recv(10_000):
                if b"transaction_read_only" in data:
                    row = b"\0\1transaction_read_only\0" + bytes(4 + 2 + 4 + 2 + 4 + 2)
                    client.sendall(
                        told(b"T", row)
                        + told(b"D", b"\0\1" + (3).to_bytes(4, "big") + b"off")
                        + told(b"C", b"SHOW\0")
                        + told(b"Z", b"I")
                    )

    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        listening.settimeout(30)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(30)
