"""The PostgreSQL backend on real servers."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.interfaces import StoreError
from ccstore.storage.postgres import PostgresBackend
from ccstore.storage.postgres.arrays import numbers, optional_texts, quoted, texts
from tests.support.postgres_case import RETENTION, Databases
from tests.support.postgres_server import PASSWORD, USER, oldest
from tests.support.store_contract import TEXTS, StoreContract
from tests.support.stores import NOW, SECOND, message, messages

TAGS = ["hostname", "type", "typeid", "stype", "stypeid"]
HISTORICAL = ["id", "timestamp", "name", *TAGS, "othertags", "field"]


class NewestContractTests(Databases, StoreContract, TestCase):
    stores_nul = False

    def make_backend(self) -> PostgresBackend:
        return self.backend_at()


class OldestContractTests(NewestContractTests):
    version = oldest


class OpeningTests(Databases, TestCase):
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


class ViewTests(Databases, TestCase):
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


class SeveralTests(Databases, TestCase):
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


class ArrayTests(Databases, TestCase):
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
