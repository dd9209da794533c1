"""What takes long is answered by processes: ended when nobody waits for it, and in nobody's way."""

from __future__ import annotations

import os
import signal
from typing import Any

from attrs import frozen
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from ccstore.interfaces import QueryTimeout, StoreUnavailable
from ccstore.query import Arrival
from ccstore.storage.reading.arrived import LastArrival
from ccstore.storage.reading.dialect import Dialect, Question
from ccstore.storage.reading.statement import Reading, Statement
from ccstore.storage.sqlite.asking import Asking
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.dialect import SqliteDialect
from ccstore.storage.sqlite.reader_client import ReadersApart
from ccstore.storage.sqlite.sizes import ReadingLimits
from tests.support.scratch import scratch
from tests.support.stores import NOW

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) AS n FROM n"


@frozen
class Endless(Question[None]):
    """A question that is never answered."""

    is_long = True

    def reading(self, dialect: Dialect) -> Reading[None]:
        yield Statement(ENDLESS, (), ("n",))


@frozen
class Wrong(Question[None]):
    """A question that has a mistake."""

    is_long = True

    def reading(self, dialect: Dialect) -> Reading[None]:
        yield Statement("SELECT 1 AS n FROM nowhere", (), ("n",))


@frozen
class Where(Question[int]):
    """Which process answers."""

    is_long = True

    def reading(self, dialect: Dialect) -> Reading[int]:
        yield Statement("SELECT 1 AS n", (), ("n",))
        return os.getpid()


async def timed(answer: Deferred[Any]) -> tuple[float, Any]:
    """Seconds until it has come, and the answer."""
    begun = reactor.seconds()  # type: ignore[attr-defined]
    found = await answer
    return float(reactor.seconds() - begun), found  # type: ignore[attr-defined]


class ReaderTests(TestCase):
    def setUp(self) -> None:
        self.path = scratch(self) / "events.db"
        self.backend = SqliteBackend(
            self.path, {}, retention=1000, now=lambda: NOW, reactor=reactor, is_apart=True
        )
        self.backend.open()
        self.addCleanup(self.backend.close)

    def apart(self) -> ReadersApart:
        """A single process."""
        found = ReadersApart(self.path, {}, SqliteDialect(), reactor, ReadingLimits(processes=1))
        self.addCleanup(found.close)
        return found

    async def test_one_that_is_given_up_makes_room_at_once(self) -> None:
        readers = self.apart()
        before = await readers.read(Where(), Asking(60))
        for wait in (0, 0.05):
            asking = Asking(10**6)
            endless = readers.read(Endless(), asking)
            following = readers.read(Where(), Asking(10**6))
            await deferLater(reactor, wait)  # type: ignore[arg-type]
            self.assertFalse(following.called)
            asking.give_up()
            seconds, process = await timed(following)
            # It takes some milliseconds, where nothing else takes the machine.
            self.assertLess(seconds, 30)
            self.assertEqual(process, before)
            await self.assertFailure(endless, CancelledError)

    async def test_they_hold_up_nobody_else(self) -> None:
        endless = [self.backend.read(Endless(), timeout=10**6) for _ in range(5)]
        self.assertEqual(await self.backend.read(LastArrival(), timeout=60), Arrival(0, 0))
        for each in endless:
            each.cancel()
            await self.assertFailure(each, CancelledError)
        self.assertNotEqual(await self.backend.read(Where(), timeout=60), os.getpid())

    async def test_they_may_take_so_long(self) -> None:
        readers = self.apart()
        await self.assertFailure(readers.read(Endless(), Asking(0.05)), QueryTimeout)
        asking = Asking(-1)
        await self.assertFailure(readers.read(Where(), asking), QueryTimeout)

    async def test_a_mistake_is_told(self) -> None:
        with self.assertRaisesRegex(StoreUnavailable, "nowhere"):
            await self.backend.read(Wrong(), timeout=60)
        await self.backend.read(Where(), timeout=60)

    async def test_one_that_is_killed_is_started_again(self) -> None:
        number = await self.backend.read(Where(), timeout=60)
        endless = self.backend.read(Endless(), timeout=60)
        await deferLater(reactor, 0.05)  # type: ignore[arg-type]
        os.kill(number, signal.SIGKILL)
        with self.assertRaisesRegex(StoreUnavailable, "has ended"):
            await endless
        self.assertNotEqual(await self.backend.read(Where(), timeout=60), number)

    async def test_the_end_waits_for_none(self) -> None:
        number = await self.backend.read(Where(), timeout=60)
        endless = [self.backend.read(Endless(), timeout=10**6) for _ in range(5)]
        closed = self.backend.close()
        for each in endless:
            await self.assertFailure(each, StoreUnavailable)
        await closed
        with self.assertRaises(ProcessLookupError):
            os.kill(number, 0)
