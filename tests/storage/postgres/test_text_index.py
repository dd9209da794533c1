"""Words that are found by an index of the texts, and by reading them."""

from __future__ import annotations

import contextlib

import psycopg2
from twisted.internet import reactor
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.message import Message
from ccstore.query import Selection, TextCondition
from ccstore.storage.postgres import PostgresBackend
from ccstore.storage.postgres.database import Address, BlockingSession, at_once, connected
from ccstore.storage.postgres.pools import Pools
from ccstore.storage.postgres.sizes import SIZES
from ccstore.storage.postgres.text_index import TextIndex, means_of_search
from ccstore.storage.reading.pages import Limits, Pages
from tests.support.postgres_case import RETENTION, Databases
from tests.support.postgres_server import oldest
from tests.support.reading_contract import ReadingContract
from tests.support.stores import NOW, message, messages

_COMPLETE = (
    "SELECT bool_and(indisvalid) FROM pg_index "
    "WHERE indexrelid IN (to_regclass('ccstore_event_by_text'), to_regclass('ccstore_log_by_text'))"
)
_OF_PARTITIONS = (
    "SELECT count(*) FROM pg_inherits "
    "WHERE inhparent IN ('ccstore_event_by_text'::regclass, 'ccstore_log_by_text'::regclass)"
)
_PARTITIONS = (
    "SELECT count(*) FROM pg_inherits WHERE inhparent IN ('ccstore_event'::regclass, 'ccstore_log'::regclass)"
)


class Indexed(Databases):
    """A database that gets an index of its texts when it is asked for."""

    async def make_index(self, **parameters: str) -> None:
        address = Address("", {**self.server.parameters(self.database), **parameters})
        address.parse()
        pools = Pools(reactor, address, 10, SIZES)
        try:
            await TextIndex(pools, reactor, is_wanted=True).make()
        finally:
            await pools.close()

    def means(self, *, is_wanted: bool = True, **parameters: str) -> str:
        address = Address("", {**self.server.parameters(self.database), **parameters})
        address.parse()
        with connected(address, 10) as connection:
            return at_once(means_of_search(BlockingSession(connection), is_wanted=is_wanted))


class NewestIndexedReadingTests(Indexed, ReadingContract, TestCase):
    """All that is asked is answered alike with the index."""

    async def setUp(self) -> None:
        await self.open().close()
        await self.make_index()
        self.backend = self.open()
        self.assertTrue(self.value(_COMPLETE))

    async def store(self, *stored: Message) -> None:
        await self.backend.write(Batch.of(stored))


#: Letters of one case or the other, in scripts whose rules differ, and what patterns have a meaning for.
TEXTS = (
    "Node A01 is DOWN",
    "node a01 is down",
    "NODE",
    "nodes",
    "ΣΑΣ ΣΑΣΑ σας",
    "İstanbul ISTANBUL istanbul \u0131stanbul",
    "Straße STRASSE",
    "\u212aelvin kelvin KELVIN",
    "100% of a_b",
    "100 of aXb",
    "back\\slash",
    "back\\\\slash",
    "x",
    "",
    "äöü node äöü",
)


class SearchTests(Indexed, TestCase):
    async def found(self, backend: PostgresBackend, condition: TextCondition) -> set[str]:
        question = Pages([Selection(texts=(condition,))], 0, Limits(1000))
        (page,) = await backend.read(question, timeout=60)
        return {row.text for row in page.rows}

    async def test_the_same_is_found_with_and_without_it(self) -> None:
        plain = self.open()
        await plain.write(Batch.of([message(text, NOW + place) for place, text in enumerate(TEXTS)]))
        await self.make_index()
        indexed = self.open()
        pieces = [
            *TEXTS,
            *("node", "NODE", "ode", "od", "o", "\u03c3", "ΑΣ", "ΣΑ", "ST", "ist", "STR", "ß", "elv", "Kel"),
            *("0% o", "a_b", "\\", "\\\\", "\\s", "e a", "ü n", "%", "_", "  "),
        ]
        count = 0
        for piece in pieces:
            for op in ("contains", "lacks"):
                for ignores_case in (False, True):
                    condition = TextCondition(op, piece, ignores_case)  # type: ignore[arg-type]
                    expected = await self.found(plain, condition)
                    self.assertEqual(await self.found(indexed, condition), expected, condition)
                    count += bool(expected) and len(expected) < len(TEXTS)
        self.assertGreater(count, 100)
        for regex in ("(?i)node.*down", "N.DE", "a01|x", "σας$", "back.slash"):
            condition = TextCondition("matches", regex)
            self.assertEqual(await self.found(indexed, condition), await self.found(plain, condition))

    async def test_it_is_used(self) -> None:
        """Of what words are in the text there is no other way than the statement's plan to tell."""
        await self.open().close()
        await self.make_index()
        backend = self.open()
        await backend.write(messages("abc"))
        plan = self.sql(
            "BEGIN; SET LOCAL enable_seqscan = off; "
            "EXPLAIN SELECT 1 FROM ccstore_event WHERE lower(text COLLATE \"C\") LIKE '%abc%'"
        )
        self.assertIn("Bitmap Index Scan on ccstore_event_", str(plan))


class OldestSearchTests(SearchTests):
    """An older server; what else a store has to answer is asked there without the index."""

    version = oldest


class MakingTests(Indexed, TestCase):
    async def test_new_and_old_partitions_have_it(self) -> None:
        backend = self.open()
        await backend.write(messages("abc"))
        await self.make_index()
        self.assertTrue(self.value(_COMPLETE))
        self.assertEqual(self.value(_OF_PARTITIONS), self.value(_PARTITIONS))
        before = self.value(_PARTITIONS)
        self.now += RETENTION * 10**9
        await backend.tend(self.now)
        self.assertGreater(self.value(_PARTITIONS), before)
        self.assertEqual(self.value(_OF_PARTITIONS), self.value(_PARTITIONS))
        self.assertTrue(self.value(_COMPLETE))
        await self.make_index()  # there is nothing to do

    async def test_what_was_cut_off_is_gone_on_with(self) -> None:
        """Of one partition there is an index that is incomplete, of another one that belongs to nothing."""
        backend = self.open()
        await backend.write(messages("abc"))
        await self.make_index()
        self.sql("DROP INDEX ccstore_event_by_text")
        tables = self.sql("SELECT tableoid::regclass::text FROM ccstore_event LIMIT 1")
        tables += self.sql("SELECT 'ccstore_event_default'")
        for (table,), what in zip(tables, ("(1 / (id - id))", 'lower(text COLLATE "C")'), strict=True):
            using = "gin" if "lower" in what else "btree"
            operators = " gin_trgm_ops" if "lower" in what else ""
            with contextlib.suppress(psycopg2.errors.DivisionByZero):
                self.sql(
                    f"CREATE INDEX CONCURRENTLY {table}_by_text ON {table} USING {using} ({what}{operators})"
                )
        self.assertEqual(
            self.value(
                "SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indrelid::regclass::text ~ '_[0-9]+$'"
            ),
            1,
        )
        await self.make_index()
        self.assertTrue(self.value(_COMPLETE))
        self.assertEqual(self.value(_OF_PARTITIONS), self.value(_PARTITIONS))

    async def test_a_daemon_makes_it_while_it_runs(self) -> None:
        backend = self.backend_at(text_index=True)
        backend.open()
        self.addCleanup(backend.close)
        await backend.tend(self.now)
        while not self.value(_COMPLETE):
            await backend.write(messages("abc"))
        self.assertEqual(self.means(), "words are found by an index of the texts")

    async def test_without_the_extension_it_is_said_and_all_is_found(self) -> None:
        self.sql("DO $$ BEGIN CREATE ROLE bound LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
        self.sql("GRANT ALL ON SCHEMA public TO bound")
        self.assertIn("this user may not make the extension pg_trgm", self.means(user="bound"))
        with capturedLogs() as logs:
            backend = self.open(user="bound")
            await self.make_index(user="bound")
            await backend.write(messages("abc"))
            self.assertEqual(await self.found_in(backend), ["a", "b", "c"])
        said = [formatEvent(event) for event in logs if "there is no index" in formatEvent(event)]
        self.assertEqual(len(said), 1)
        self.assertIn("permission denied", said[0])
        self.assertEqual(self.value(_COMPLETE), None)

    async def test_how_words_are_found(self) -> None:
        self.assertEqual(
            self.means(is_wanted=False), "words are found by reading each text: text_index is false"
        )
        self.assertEqual(
            self.means(),
            "words are found by reading each text: until the daemon has made an index of the texts",
        )
        await self.open().close()
        await self.make_index()
        for is_wanted in (False, True):
            self.assertEqual(self.means(is_wanted=is_wanted), "words are found by an index of the texts")
