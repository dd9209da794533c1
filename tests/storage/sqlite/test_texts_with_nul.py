"""Texts with a NUL in them, which few have, and for which the others take no longer."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from attrs import evolve
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.keeping import Hold
from ccstore.query import Matcher, Selection, TextCondition
from ccstore.storage.reading.moment import Moment
from ccstore.storage.reading.pages import Limits, Pages
from ccstore.storage.sqlite.backend import SqliteBackend
from tests.support.sqlite_files import RETENTION, SqliteFiles, take_back
from tests.support.stores import NOW, SECOND, message

ODD = "before\0Behind ü"
#: What is looked for, and whether case does not matter.
BEHIND = (("Behind", False), ("Behind ü", False), ("behind", True))


class NulTests(SqliteFiles, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.limit(segment_rows=4, merged_segments=3, merged_rows=5)
        self.sizes = evolve(self.sizes, merging_seconds=(60, 60))

    async def found(self, backend: SqliteBackend, *conditions: TextCondition) -> list[str]:
        selection = Selection(texts=conditions, is_newest_first=False)
        moment = Moment(self.now - RETENTION * SECOND, self.now)
        (page,) = await backend.read(Pages([selection], moment, Limits(1000)), timeout=60)
        return [row.text for row in page.rows]

    async def check(self, backend: SqliteBackend, odd: list[str]) -> None:
        """What is behind a NUL is found, and what has none is found as well."""
        for what, ignores_case in BEHIND:
            found = await self.found(backend, TextCondition("contains", what, ignores_case))
            self.assertEqual(found, odd, what)
            others = await self.found(
                backend,
                TextCondition("contains", "plain", ignores_case),
                TextCondition("lacks", what, ignores_case),
            )
            self.assertEqual({*others}, {"plain"})

    def known(self, where: str) -> list[int | None]:
        """What is said of segments."""
        return [known for (known,) in self.sql(f"SELECT has_nul FROM segment WHERE {where} ORDER BY id")]

    async def write(self, backend: SqliteBackend, *texts: str, kind: str = "log", host: str = "a") -> None:
        for text in texts:
            self.now += 1
            await backend.write(Batch.of([message(text, self.now, kind, hostname=host)]))
        await backend.expire(0)  # behind the sealing

    async def test_is_known_of_the_segments_that_have_one(self) -> None:
        backend = self.open()
        await self.write(backend, *["plain"] * 4, "plain", ODD, "plain", "plain", *["plain"] * 3)
        self.assertEqual(self.known("kind = 'log'"), [0, 1, 0])
        await self.check(backend, [ODD])
        await self.write(backend, ODD)
        await self.write(backend, "plain")
        self.assertEqual(self.known("kind = 'log'"), [0, 1, 1, 0])
        await self.check(backend, [ODD, ODD])

    async def test_an_open_one_is_still_known_after_a_restart(self) -> None:
        backend = self.open()
        await self.write(backend, "plain", ODD)
        await backend.close()
        backend = self.open()
        await self.check(backend, [ODD])
        await self.write(backend, "plain", "plain")
        self.assertEqual(self.known("kind = 'log'"), [1, 0])

    async def test_is_known_of_what_they_become(self) -> None:
        backend = self.open()
        await self.write(backend, *["plain"] * 4, "plain", ODD, *["plain"] * 6, *["plain"] * 12)
        await backend.tend(NOW)
        self.assertEqual(self.counts("log"), [12, 12])
        self.assertEqual(self.known("kind = 'log' AND sealed_at IS NOT NULL"), [1, 0])
        await self.check(backend, [ODD])

    async def test_is_known_of_what_is_moved(self) -> None:
        backend = self.open()
        await self.write(backend, ODD, kind="event", host="held")
        await self.write(backend, *["plain"] * 3, kind="event")
        await self.write(backend, "plain", kind="log")
        held = Selection(kinds=("event",), matchers=(Matcher("hostname", "=", "held"),))
        await backend.hold(Hold(held, "a host", "why", "me", self.now))
        self.now += 3 * RETENTION * SECOND
        for _ in range(4):
            await backend.expire(self.now - RETENTION * SECOND)
            await backend.tend(self.now)
        self.assertEqual(self.known("kind = 'event' AND sealed_at IS NOT NULL"), [1])
        self.assertEqual(self.counts(), [1])
        await self.check(backend, [ODD])

    async def test_of_an_earlier_file_nobody_knows(self) -> None:
        backend = self.open()
        await self.write(backend, *["plain"] * 3, ODD, "plain", ODD)
        await backend.close()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            take_back(connection, 4)
        backend = self.open()
        self.assertEqual(self.known("kind = 'log'"), [None, None])
        await self.check(backend, [ODD, ODD])
        await self.write(backend, "plain", ODD, *["plain"] * 6)
        self.assertEqual(self.known("kind = 'log' AND sealed_at IS NOT NULL"), [None, None, 0])
        await self.check(backend, [ODD, ODD, ODD])
        await backend.tend(NOW)
        self.assertEqual(self.known("kind = 'log' AND sealed_at IS NOT NULL"), [1])
        await self.check(backend, [ODD, ODD, ODD])
