"""The spool: what nobody waits for is on disk while the database is away, and goes in when it is back."""

from __future__ import annotations

import random
import sqlite3
import zlib
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, fail
from twisted.internet.task import Clock, deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.interfaces import CommitUnknown, Refusal, StoreError, StoreUnavailable
from ccstore.storage.dbfile.sql import checkpoint
from ccstore.storage.spool import Spool, file
from ccstore.storage.spool.file import SPOOL
from ccstore.storage.spool.packing import pack, unpack
from tests.support.scratch import scratch
from tests.support.store_contract import TEXTS
from tests.support.stores import NOW, SECOND, MemoryBackend, asking, message, messages, storage_service

RETENTION = 3600.0
AWAY = "the server is away"


class _Remote(MemoryBackend):
    """A database that may be away, and may lose the news of a commit.

    :ivar is_away: it takes nothing.
    :ivar forgets: it commits, and then says that it is away.
    :ivar held: writes wait for it, if there is one.
    :ivar offered: the texts and the id of each write.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_away = self.forgets = False
        self.held: Deferred[None] | None = None
        self.refused = ""
        self._numbers: dict[int, int] = {}  # of batches of which it lost the news
        self.offered: list[tuple[list[str], int | None]] = []

    def write(self, messages: Batch, batch_id: int | None = None) -> Deferred[None]:
        texts = [message.text for message in messages]
        if batch_id is None:
            batch_id = self._numbers.get(id(messages))
        if texts:
            self.offered.append((texts, batch_id))
        if self.is_away:
            return fail(StoreUnavailable(AWAY))
        if batch_id not in self._batches and self.refused and self.refused in texts:
            return fail(StoreError("no NUL, please"))
        if self.held is not None and texts:
            answer: Deferred[None] = Deferred()
            self.held.addCallback(
                lambda _: super(_Remote, self).write(messages, batch_id).chainDeferred(answer)
            )
            return answer
        written = super().write(messages, batch_id)
        if self.forgets and texts:
            # As a database does that draws the ids of batches itself.
            self._numbers[id(messages)] = number = batch_id or len(self._numbers) + 1
            self._batches.add(number)
            return fail(CommitUnknown(AWAY, number))
        return written


class _SpoolTests(TestCase):
    """A service with a spool, on a clock of the test and a database that may be away."""

    timeout = 60

    def setUp(self) -> None:
        self.path = scratch(self) / "spool.db"
        self.backend = _Remote()
        self.clock = Clock()
        self.clock.advance(NOW // SECOND)
        self.service: Any = None
        self.addCleanup(self.stop)

    def start(self, max_size: int = 10**9, **changes: Any) -> None:
        """A new service; an earlier one must have been stopped."""
        self.spool = Spool(self.path, max_size, reactor)
        self.service = storage_service(
            self.backend, self.clock, retention=RETENTION, spool=self.spool, **changes
        )
        self.service.startService()

    async def stop(self) -> None:
        if self.service is not None:
            self.service, ending = None, self.service
            ended = ending.stopService()
            while not ended.called:
                self.clock.advance(0)  # for what was to happen later, and is to happen now
                await deferLater(reactor, 0.001)
            await ended

    async def crash(self) -> None:
        """What a killed process leaves behind: nothing of it but the file as it is now."""
        pool, self.spool._pool = self.spool._pool, None
        await self.settle(pool)
        self.service._forwarder._is_stopping = True
        self.spool._lock.release()
        pool.close()
        self.service = None

    async def settle(self, pool: Any = None) -> None:
        """Let the spool's thread finish what it has been given."""
        pool = pool or self.spool._pool
        for _ in range(5):
            await pool.runWithConnection(lambda connection: None)

    def accept(
        self, texts: Sequence[str], *, urgent: bool = False, **more: Any
    ) -> Deferred[Sequence[Refusal]]:
        accepted: Deferred[Sequence[Refusal]] = self.service.accept(messages(texts, **more), urgent=urgent)
        self.service.flush()
        return accepted

    async def until(self, condition: Any) -> None:
        """Let time pass until something is so; the test's timeout ends it if it never is."""
        while not condition():
            self.clock.advance(1.0)
            await deferLater(reactor, 0.001)

    async def until_sent(self) -> None:
        await self.until(
            lambda: (
                self.spool.is_empty
                and self.service.unreadiness() is None
                and not self.service._forwarder._is_working
            )
        )

    def stored(self, kind: Any = "event") -> list[str]:
        return [message.text for _, message in self.backend._stored[kind]]

    @property
    def figures(self) -> Any:
        status = self.service.stats()["manager"]["status"]
        return {key.removeprefix("spool_"): value for key, value in status.items() if "spool_" in key}


class SpoolingTests(_SpoolTests):
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
        self.start()
        self.patch(file, "_GROUP_BATCHES", 1)
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
        self.start()
        self.patch(file, "_GROUP_BATCHES", 1)
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
        self.start()
        self.patch(file, "_GROUP_BATCHES", 1)
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
        found = [each for kind in ("event", "log") for _, each in self.backend._stored[kind]][
            : 2 * len(TEXTS) + 1
        ]
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


class DoubtTests(_SpoolTests):
    """Nothing is stored twice, whatever becomes of the news of a commit."""

    async def test_a_batch_whose_commit_was_not_heard_of(self) -> None:
        self.start()
        self.backend.forgets = True
        await self.accept("ab")
        self.assertEqual(self.stored(), ["a", "b"])
        await self.accept("c")
        self.backend.forgets = False
        await self.until_sent()
        self.assertEqual(self.stored(), list("abc"))

    async def test_a_group_whose_commit_was_not_heard_of(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("a")
        await self.accept("b")
        self.backend.is_away, self.backend.forgets = False, True
        await self.until(lambda: self.stored() == ["a"])
        await self.accept("c")
        self.backend.forgets = False
        await self.until_sent()
        self.assertEqual(self.stored(), list("abc"))

    async def test_a_crash_after_the_commit_and_before_it_is_noted(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("x")
        await self.accept("ab")
        await self.accept("c")
        self.backend.is_away = False
        self.backend.forgets = True
        # One after the other is in the database; nothing has been taken out of the spool after x.
        await self.until(lambda: self.stored() == ["x"])
        self.backend.forgets = False
        discarded: list[Any] = []

        async def hang(group: Any) -> None:
            discarded.append(group)
            if group.count > 1:
                await Deferred()
            await type(self.spool).discard(self.spool, group)

        self.patch(self.spool, "discard", hang)
        await self.until(lambda: self.stored() == list("xabc"))
        await self.crash()
        self.start()
        self.assertEqual(self.figures["messages"], 3)
        await self.until_sent()
        self.assertEqual(self.stored(), list("xabc"))

    async def test_no_id_is_used_for_two_batches(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("56")
        for text in "abcdefg":
            await self.accept(text)
        self.backend.is_away, self.backend.refused = False, "5"
        await self.until_sent()
        by_id: dict[int, set[str]] = {}
        for texts, batch_id in self.backend.offered:
            if batch_id is not None:
                self.assertTrue(-(2**62) <= batch_id < 0)
                by_id.setdefault(batch_id, set()).add("".join(texts))
        self.assertEqual([texts for texts in by_id.values() if len(texts) > 1], [])
        self.assertEqual(self.stored(), list("6abcdefg"))

    async def test_what_somebody_waits_for_is_told_no_only_if_it_is_not_stored(self) -> None:
        self.start()
        self.backend.forgets = True
        first = self.accept("a", urgent=True)
        self.assertEqual(list(await first), [])
        self.backend.forgets, self.backend.is_away = False, True
        self.failureResultOf(self.accept("b", urgent=True), StoreUnavailable)
        self.backend.is_away = False
        await self.until_sent()
        self.assertEqual(self.stored(), ["a"])


class RestartTests(_SpoolTests):
    """What is spooled outlives the process."""

    async def test_is_sent_at_the_next_start(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("ab")
        await self.accept("c")
        await self.crash()
        self.backend.is_away = False
        with capturedLogs() as logs:
            self.start()
        self.assertTrue(any("3 messages in the spool" in str(formatEvent(each)) for each in logs))
        await self.until_sent()
        self.assertEqual(self.stored(), list("abc"))

    async def test_a_stop_spools_what_waits(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("a")
        last = self.service.accept(messages("b"), urgent=False)  # lingers
        await self.stop()
        self.assertEqual(list(self.successResultOf(last)), [])
        self.backend.is_away = False
        self.start()
        await self.until_sent()
        self.assertEqual(self.stored(), ["a", "b"])

    async def test_a_stop_does_not_wait_for_all_to_be_sent(self) -> None:
        self.patch(file, "_GROUP_BATCHES", 1)
        self.start()
        self.backend.is_away = True
        for text in "abcd":
            await self.accept(text)
        self.backend.is_away = False
        await self.until(lambda: self.stored())
        await self.stop()
        self.assertLess(len(self.stored()), 4)
        self.start()
        await self.until_sent()
        self.assertEqual(self.stored(), list("abcd"))

    def assert_refused(self, why: str) -> None:
        with self.assertRaises(StoreError) as caught:
            self.start()
        self.service = None
        self.assertRegex(str(caught.exception), f"^cannot open the spool {self.path}: {why}")
        self.assertNotIn("\n", str(caught.exception))

    def test_a_file_that_is_no_database(self) -> None:
        self.path.write_bytes(b"not a database, for sure" * 1000)
        self.assert_refused("file is not a database")

    def test_a_database_of_another_program(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("CREATE TABLE precious (x)")
        self.assert_refused("it is another program's database")
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(connection.execute("SELECT name FROM sqlite_schema").fetchall(), [("precious",)])

    async def test_a_spool_of_a_newer_version(self) -> None:
        self.start()
        await self.stop()
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("PRAGMA user_version = 2")
        self.assert_refused(".*written by a newer ccstore")

    async def test_a_damaged_file(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept([str(number) * 50 for number in range(500)])
        await self.stop()
        content = bytearray(self.path.read_bytes())
        content[8192:] = b"\xff" * (len(content) - 8192)
        self.path.write_bytes(content)
        self.assert_refused("(it is damaged|database disk image is malformed)")

    async def test_a_damaged_batch_costs_only_itself(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("x")
        for texts in ("ab", "cd", "ef"):
            await self.accept(texts)
        await self.stop()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("UPDATE batch SET data = x'0102' WHERE id = 3")
        self.backend.is_away = False
        with capturedLogs() as logs:
            self.start()
            await self.until_sent()
        self.assertEqual(self.stored(), list("xabef"))
        self.assertEqual((self.figures["unreadable"], self.figures["sent"]), (2, 5))
        self.assertTrue(
            any("2 messages in the spool cannot be read" in str(formatEvent(each)) for each in logs)
        )

    async def test_only_damaged_batches(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("x")
        await self.accept("y")
        await self.stop()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("UPDATE batch SET data = x'00'")
        self.backend.is_away = False
        self.start()
        await self.until_sent()
        self.assertEqual((self.stored(), self.figures["unreadable"]), ([], 2))

    def test_another_daemon_has_it(self) -> None:
        other = Spool(self.path, 1000, reactor)
        other.open()
        self.addCleanup(lambda: Deferred.fromCoroutine(other.close()))
        with self.assertRaisesRegex(StoreError, "^the spool .* is in use by another ccstore$"):
            self.start()
        self.service = None


class WatchTests(_SpoolTests):
    """A spool whose file is moved, removed or overwritten while it is open."""

    async def start_away(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("a")

    async def test_takes_nothing_while_it_is_moved_away(self) -> None:
        await self.start_away()
        away = self.path.rename(self.path.with_name("away.db"))
        with capturedLogs() as logs:
            second = self.accept("b")
            await self.until(lambda: self.service.stats()["manager"]["errors"].get("spool"))
        self.assertFalse(second.called)
        reason = self.service.stats()["manager"]["errors"]["spool"]
        self.assertIn(f"the spool {self.path} was moved away while it was open: put it back", reason)
        said = [str(formatEvent(event)) for event in logs]
        self.assertEqual([text for text in said if reason in text], [said[0]])
        away.rename(self.path)
        await self.until(lambda: second.called)
        await self.until(lambda: "spool" not in self.service.stats()["manager"]["errors"])
        self.backend.is_away = False
        await self.until_sent()
        self.assertEqual(self.stored(), ["a", "b"])

    async def test_is_looked_at_while_the_database_is_there(self) -> None:
        self.start()
        await self.accept("a")
        self.path.unlink()
        await self.until(self.service.unreadiness)
        self.assertIn(f"the spool {self.path} was removed", self.service.unreadiness())
        self.assertEqual(list(await self.accept("b")), [])
        self.assertEqual(list(await self.accept("c", urgent=True)), [])
        self.assertEqual(self.stored(), list("abc"))

    async def test_what_is_in_it_is_sent_when_it_was_removed(self) -> None:
        await self.start_away()
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(f"spool.db{suffix}").unlink()
        second = self.accept("b")
        await self.until(lambda: self.service.stats()["manager"]["errors"].get("spool"))
        self.backend.is_away = False
        await self.until(lambda: second.called)
        self.assertEqual(self.stored(), ["a", "b"])

    async def test_a_batch_that_went_elsewhere_is_not_acknowledged_and_comes_once(self) -> None:
        await self.start_away()
        away = self.path.with_name("away.db")
        append = self.spool._file.append

        def move(*arguments: Any) -> int:
            number = append(*arguments)
            if self.path.exists():
                self.path.rename(away)
            return number

        self.patch(self.spool._file, "append", move)
        second = self.accept("b")
        await self.until(lambda: self.service.stats()["backend"]["errors"].get("spool_failed"))
        self.assertFalse(second.called)
        self.assertEqual(self.figures["messages"], 1)
        self.patch(self.spool._file, "append", append)
        away.rename(self.path)
        await self.until(lambda: second.called)
        self.backend.is_away = False
        await self.until_sent()
        self.assertEqual(self.stored(), ["a", "b"])

    async def test_overwritten(self) -> None:
        await self.start_away()
        await self.spool._run(checkpoint)
        self.path.write_bytes(b"garbage")
        second = self.accept("b")
        await self.until(lambda: self.service.stats()["manager"]["errors"].get("spool"))
        self.assertIn(
            "was overwritten by another program", self.service.stats()["manager"]["errors"]["spool"]
        )
        self.assertFalse(second.called)
        self.backend.is_away = False
        await self.stop()
        self.failureResultOf(second, StoreUnavailable)


class UpgradeTests(_SpoolTests):
    """A spool of an older version is copied, and brought up to date."""

    async def test_has_what_it_had(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("ab")
        await self.stop()
        newer = evolve(SPOOL, scripts=(*SPOOL.scripts, "CREATE TABLE newer (x); ALTER TABLE sending ADD y;"))
        self.spool = Spool(self.path, 10**9, reactor, schema=newer)
        with capturedLogs() as logs:
            self.spool.open()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.spool.close()))
        self.assertEqual(self.spool.messages, 2)
        copy = self.path.with_name("spool.db.v1")
        self.assertIn(f"the file is copied to {copy}", str(formatEvent(logs[0])))
        for path, version in ((self.path, 2), (copy, 1)):
            with closing(sqlite3.connect(path)) as connection:
                self.assertEqual(connection.execute("PRAGMA user_version").fetchone(), (version,))
                self.assertEqual(connection.execute("SELECT sum(messages) FROM batch").fetchone(), (2,))


class BoundTests(_SpoolTests):
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
        self.start(max_size=250)
        self.patch(file, "_GROUP_BATCHES", 1)
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
            await self.settle()
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
        (page,) = await self.service.pages([asking("alex")], max_rows=10, timeout=5.0)
        self.assertEqual([row.text for row in page.rows], ["a"])


class PackingTests(TestCase):
    def test_there_and_back(self) -> None:
        batch = Batch.of(message(text, hostname=str(place % 2), job="x") for place, text in enumerate(TEXTS))
        found = unpack(pack(batch))
        self.assertEqual((found.texts, found.times), (batch.texts, batch.times))
        self.assertEqual([each.tags for each in found.series], [each.tags for each in batch.series])
        self.assertEqual([each.othertags for each in found.series], [each.othertags for each in batch.series])
        self.assertEqual(len(set(found.series)), 2 if len({*map(id, batch.series)}) == 2 else len(TEXTS))

    def test_what_is_no_batch(self) -> None:

        for data in (
            b"",
            b"\x00",
            pack(messages("ab"))[:-1],
            zlib.compress(b"[1,2]"),
            zlib.compress(b"[[],[0],[1],[]]"),
        ):
            with self.assertRaises(ValueError):
                unpack(data)

    def test_half_a_surrogate_pair(self) -> None:
        batch = messages(["\ud800"])
        self.assertEqual(unpack(pack(batch)).texts, ["\ud800"])
