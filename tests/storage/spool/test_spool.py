"""The spool: what nobody waits for is on disk while the database is away, and goes in when it is back."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import capturedLogs, formatEvent

from ccstore.batch import Batch
from ccstore.interfaces import StoreUnavailable
from ccstore.storage.spool.file import Sizes
from tests.support.spool_case import AWAY, RETENTION, SpoolCase
from tests.support.store_contract import TEXTS
from tests.support.stores import NOW, SECOND, asking, message

#: Groups of one batch.
ONE_EACH = Sizes(group_batches=1)


class SpoolingTests(SpoolCase):
    """What goes into the spool, and when."""

    async def test_nothing_while_the_database_is_there(self) -> None:
        self.start()
        await DeferredList([self.accept("ab"), self.accept("c", urgent=True)])
        self.assertEqual(self.stored(), list("abc"))
        self.assertEqual((self.figures["messages"], self.figures["added"]), (0, 0))

    async def test_counts_as_committed_when_it_is_on_disk(self) -> None:
        self.start()
        self.backend.is_away = True
        self.assertEqual(list(await self.accept("ab")), [])
        self.assertEqual(list(await self.accept("c")), [])
        self.assertEqual((self.stored(), self.figures["messages"]), ([], 3))
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(connection.execute("SELECT sum(messages) FROM batch").fetchone(), (3,))
        self.assertEqual(self.service.unreadiness(), AWAY)
        self.assertEqual(self.service.stats()["manager"]["status"]["waiting"], 0)

    async def test_whoever_waits_is_turned_away_at_once(self) -> None:
        self.start()
        self.backend.is_away = True
        first = self.accept("a", urgent=True)
        self.failureResultOf(first, StoreUnavailable)
        self.failureResultOf(self.accept("b", urgent=True), StoreUnavailable)
        await self.accept("c")
        self.failureResultOf(self.accept("d", urgent=True), StoreUnavailable)
        self.backend.is_away = False
        await self.until_sent()
        self.assertEqual(self.stored(), ["c"])

    async def test_goes_in_first_and_in_order(self) -> None:
        self.start()
        self.backend.is_away = True
        for text in "abcdef":
            await self.accept(text)
        self.backend.is_away = False
        last = self.accept("g")
        await self.until_sent()
        await last
        self.assertEqual(self.stored(), list("abcdefg"))
        self.assertEqual(self.figures["messages"], 0)
        await self.until(lambda: self.figures["sent"] == self.figures["added"])

    async def test_newer_messages_go_behind_what_is_spooled(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("a")
        self.backend.held, self.backend.is_away = Deferred(), False
        await self.until(lambda: len(self.backend.offered) > 1 and self.service.unreadiness() == AWAY)
        await self.accept("b")  # while a is on its way
        self.assertEqual(self.figures["messages"], 2)
        held, self.backend.held = self.backend.held, None
        held.callback(None)
        await self.until_sent()
        self.assertEqual(self.stored(), ["a", "b"])

    async def test_newer_messages_go_behind_what_is_still_to_be_sent(self) -> None:
        self.start(sizes=ONE_EACH)
        self.backend.is_away = True
        for text in "abc":
            await self.accept(text)
        first = self.backend.held = Deferred()
        self.backend.is_away = False
        offered = len(self.backend.offered)
        await self.until(lambda: len(self.backend.offered) > offered)
        second = self.backend.held = Deferred()
        first.callback(None)
        await self.until(lambda: self.backend.offered[-1][0] == ["b"])
        self.assertIsNone(self.service.unreadiness())
        newer = self.accept("d")
        await self.until(lambda: newer.called or len(self.backend.offered) > offered + 2)
        self.backend.held = None
        second.callback(None)
        await self.until_sent()
        await newer
        self.assertEqual(self.stored(), list("abcd"))

    async def test_whoever_waits_goes_past_what_is_spooled(self) -> None:
        """Otherwise a request would wait for all of an outage to be written."""
        self.start(sizes=ONE_EACH)
        self.backend.is_away = True
        for text in "abc":
            await self.accept(text)
        self.backend.held, self.backend.is_away = Deferred(), False
        offered = len(self.backend.offered)
        await self.until(lambda: len(self.backend.offered) > offered)
        held, self.backend.held = self.backend.held, None
        # The database is not known to be back before the first group is in.
        self.failureResultOf(self.accept("x", urgent=True), StoreUnavailable)
        held.callback(None)
        self.assertIsNone(self.service.unreadiness())
        self.assertFalse(self.spool.is_empty)
        self.assertEqual(list(self.successResultOf(self.accept("y", urgent=True))), [])
        await self.until_sent()
        self.assertEqual(self.stored(), ["a", "y", "b", "c"])

    async def test_a_failure_of_what_goes_past_turns_only_that_away(self) -> None:
        self.start(sizes=ONE_EACH)
        self.backend.is_away = True
        await DeferredList([self.accept("a")])
        await self.accept("b")
        self.backend.is_away = False
        await self.until(lambda: self.service.unreadiness() is None)
        self.backend.is_away = True
        self.failureResultOf(self.accept("x", urgent=True), StoreUnavailable)
        await self.accept("c")
        self.backend.is_away = False
        await self.until_sent()
        self.assertEqual(self.stored(), list("abc"))

    async def test_small_batches_are_sent_together(self) -> None:
        self.start()
        self.backend.is_away = True
        texts = [str(number) for number in range(50)]
        for text in texts:
            await self.accept([text])
        offered = len(self.backend.offered)
        self.backend.is_away = False
        await self.until_sent()
        self.assertEqual(self.stored(), texts)
        # The first one was tried before, and has an id of its own.
        sent = [written for written, _ in self.backend.offered[offered:]]
        self.assertEqual([len(written) for written in sent[-2:]], [1, 49])

    async def test_a_group_has_a_bound(self) -> None:
        self.start(batch_size=10, largest=10)
        self.backend.is_away = True
        for start in range(0, 60, 6):
            await self.accept([str(start + more) for more in range(6)])
        self.backend.is_away = False
        await self.until_sent()
        self.assertEqual(self.stored(), [str(number) for number in range(60)])
        self.assertLessEqual(max(len(texts) for texts, _ in self.backend.offered), 10)

    async def test_all_that_is_stored_comes_through(self) -> None:
        self.start()
        self.backend.is_away = True
        batch = Batch.of(
            message(text, NOW - 7 + number, kind, cluster="日本", hostname="h", type_id="0", job="1")
            for number, text in enumerate(TEXTS)
            for kind in ("event", "log")
        )
        await DeferredList([self.service.accept(batch, urgent=False), self.accept(["tagless"])])
        self.backend.is_away = False
        await self.until_sent()
        found = [each for kind in ("event", "log") for each in self.backend.stored(kind)]
        self.assertEqual(len(found), 2 * len(TEXTS) + 1)
        plain = [(each.text, each.time, each.kind, each.name, dict(each.tags)) for each in found]
        wanted = [(each.text, each.time, each.kind, each.name, dict(each.tags)) for each in batch]
        self.assertEqual(sorted(row for row in plain if row[0] != "tagless"), sorted(wanted))

    async def test_the_file_gets_small_again(self) -> None:
        self.start()
        self.backend.is_away = True
        noise = random.Random(1)
        for _ in range(20):
            await self.accept([noise.randbytes(100_000).hex()])
        self.assertGreater(
            self.path.with_name("spool.db-wal").stat().st_size + self.path.stat().st_size, 2**21
        )
        self.backend.is_away = False
        await self.until_sent()
        await self.until(lambda: self.path.stat().st_size < 2**18)


class BoundTests(SpoolCase):
    """The spool has a size, and then it is as without one."""

    async def test_a_full_spool_holds_streams_back(self) -> None:
        self.start(max_size=400, max_waiting=10)
        self.backend.is_away = True
        await self.accept("a")
        await self.accept("b")
        waiting = [self.accept(["x" * 5]) for _ in range(10)]
        await self.until(lambda: self.service.stats()["backend"]["errors"].get("spool_failed"))
        pending = [each for each in waiting if not each.called]
        self.assertGreater(len(pending), 0)
        self.assertLessEqual(self.figures["bytes"], 400)
        more = [self.accept("y") for _ in range(11 - len(pending))]
        self.failureResultOf(more[-1], StoreUnavailable)
        self.backend.is_away = False
        await self.until_sent()
        await DeferredList(waiting)
        await DeferredList(more[:-1])
        self.assertEqual(self.stored(), ["a", "b", *["x" * 5] * 10, *["y"] * (10 - len(pending))])

    async def test_whoever_waits_goes_past_a_full_spool(self) -> None:
        self.start(max_size=250, sizes=ONE_EACH)
        self.backend.is_away = True
        await self.accept("a")
        second = self.accept(["b" * 10])
        third = self.accept(["c" * 10])
        await self.until(lambda: self.service.stats()["backend"]["errors"].get("spool_failed"))
        self.backend.is_away = False
        await self.until(lambda: self.service.unreadiness() is None)
        await self.accept("x", urgent=True)
        await self.until_sent()
        await DeferredList([second, third])
        self.assertEqual([text for text in self.stored() if text != "x"], ["a", "b" * 10, "c" * 10])

    async def test_a_spool_without_room_for_anything(self) -> None:
        self.start(max_size=1)
        self.backend.is_away = True
        first, second = self.accept("a"), self.accept("b")
        await self.until(lambda: self.service.stats()["backend"]["errors"].get("spool_failed"))
        self.assertFalse(first.called or second.called)
        self.backend.is_away = False
        await self.until(lambda: second.called)
        self.assertEqual(self.stored(), ["a", "b"])

    async def test_a_stop_with_a_full_spool_says_what_is_lost(self) -> None:
        self.start(max_size=200)
        self.backend.is_away = True
        await self.accept("a")
        lost = [self.accept([text * 30]) for text in "bcdef"]
        await self.stop()
        failed = [each for each in lost if isinstance(self.result(each), StoreUnavailable)]
        self.assertGreater(len(failed), 0)
        self.assertEqual(self.stored(), [])

    @staticmethod
    def result(deferred: Deferred[Any]) -> Any:
        results: list[Any] = []
        deferred.addErrback(lambda failure: failure.value).addCallback(results.append)
        return results[0]

    async def test_events_expire_in_the_spool(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("abc")
        await self.accept(["kept"], kind="log")
        await self.accept(["new"], time=NOW + 3000 * SECOND)
        for _ in range(2):
            self.clock.advance(RETENTION / 2 + 1)
            for _ in range(5):
                await self.spool.check()  # which waits for what the spool has been given
        self.backend.is_away = False
        await self.until_sent()
        self.assertEqual((self.stored(), self.stored("log")), (["new"], ["kept"]))
        self.assertEqual((self.figures["expired"], self.figures["sent"]), (3, 2))

    async def test_expired_events_make_room(self) -> None:
        self.start(max_size=600)
        self.backend.is_away = True
        texts = [random.Random(number).randbytes(200).hex() for number in range(2)]
        await self.accept(texts[:1])
        second = self.accept(texts[1:])
        await self.until(lambda: self.service.stats()["backend"]["errors"].get("spool_failed"))
        self.clock.advance(RETENTION)
        last = self.accept(["new"], time=NOW + int(RETENTION) * SECOND)
        await self.until(lambda: last.called)
        self.assertGreater(self.figures["expired"], 0)
        self.assertTrue(second.called)

    async def test_a_message_that_the_database_refuses_costs_none_of_its_neighbours(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("x")
        for text in ["a", "b", "\0", "c", "d"]:
            await self.accept([text])
        self.backend.is_away, self.backend.refused = False, "\0"
        with capturedLogs() as logs:
            await self.until_sent()
        self.assertEqual(self.stored(), list("xabcd"))
        self.assertEqual((self.figures["refused"], self.figures["sent"]), (1, 5))
        self.assertEqual(len([each for each in logs if "refuses a message" in str(formatEvent(each))]), 1)

    async def test_queries_see_what_is_in_the_database(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("a")
        self.backend.is_away = False
        await self.until_sent()
        (page,) = await self.service.answers.pages([asking("alex")], max_rows=10, timeout=5.0)
        self.assertEqual([row.text for row in page.rows], ["a"])
