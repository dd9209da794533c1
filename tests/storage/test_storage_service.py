"""The storage service: what is written together and when, who waits for what, and how it bears trouble."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from ccstore.interfaces import (
    CommitUnknown,
    IMessageStore,
    QueryTimeout,
    Refusal,
    StoreError,
    StoreUnavailable,
)
from ccstore.message import Batch
from ccstore.query import Page, Row
from ccstore.storage.answering import Patience
from ccstore.storage.reading.pages import Limits, Pages
from ccstore.storage.schedule import expiry_interval
from tests.support.stores import SECOND, MemoryBackend, ScriptedBackend, asking, messages, storage_service

START = 1_000_000.0
RETENTION = 3200.0
LOCKED = "database is locked"


class _ServiceTests(SynchronousTestCase):
    """A service that runs on a clock and a backend of the test."""

    def setUp(self) -> None:
        self.backend: Any = ScriptedBackend()
        self.clock = Clock()
        self.clock.advance(START)
        self.start()

    def start(self, **changes: Any) -> None:
        """A new service on the backend."""
        self.service = storage_service(self.backend, self.clock, **{"retention": RETENTION, **changes})
        self.service.startService()

    def accept(self, texts: Sequence[str], *, urgent: bool = True) -> Deferred[Sequence[Refusal]]:
        return self.service.accept(messages(texts), urgent=urgent)

    def query(self) -> Deferred[Sequence[Page]]:
        return self.service.pages([asking("alex")], max_rows=10, timeout=5.0)

    def commit(self) -> None:
        """The write that goes on succeeds."""
        self.backend.writes[-1].succeed()

    def lock(self) -> None:
        """The write that goes on fails, but may succeed later."""
        self.backend.writes[-1].fail(StoreUnavailable(LOCKED))

    def status(self) -> Any:
        return self.service.stats()["manager"]["status"]


class GroupCommitTests(_ServiceTests):
    """Which messages are written together."""

    def test_provides_the_interface(self) -> None:
        self.assertTrue(IMessageStore.providedBy(self.service))

    def test_what_arrives_during_a_write_goes_together_after_it(self) -> None:
        for text in "abcd":
            self.accept([text])
        self.assertEqual(self.backend.written, [["a"]])
        self.commit()
        self.assertEqual(self.backend.written, [["a"], ["b", "c", "d"]])
        self.accept(["e"])
        self.commit()
        self.assertEqual(self.backend.written[2:], [["e"]])

    def test_the_order_of_arrival_is_kept(self) -> None:
        self.accept("ab", urgent=False)
        self.accept("c")
        self.accept("d", urgent=False)
        self.accept("ef")
        self.commit()
        self.assertEqual(self.backend.written, [list("abc"), list("def")])

    def test_a_batch_has_a_bound(self) -> None:
        self.start(batch_size=3, largest=3)
        for texts in ("a", "bc", "d", "e", "fg"):
            self.accept(texts)
        for _ in range(3):
            self.commit()
        self.assertEqual(self.backend.written, [["a"], list("bcd"), list("efg")])

    def test_what_was_accepted_together_is_not_torn_apart(self) -> None:
        self.start(batch_size=3)
        self.accept("abcde")
        self.assertEqual(self.backend.written, [list("abcde")])

    def test_fires_when_committed_and_not_before(self) -> None:
        first, second = self.accept("a"), self.accept("b")
        self.assertNoResult(first)
        self.commit()
        self.assertEqual(list(self.successResultOf(first)), [])
        self.assertNoResult(second)
        self.commit()
        self.assertEqual(list(self.successResultOf(second)), [])

    def test_whoever_waits_may_bring_more_at_once(self) -> None:
        self.accept("a").addCallback(lambda _: self.accept("b"))
        self.commit()
        self.assertEqual(self.backend.written, [["a"], ["b"]])

    def test_whoever_gives_up_waiting_disturbs_nobody(self) -> None:
        first, second = self.accept("a"), self.accept("b")
        first.addErrback(lambda _: None)
        first.cancel()
        self.commit()
        self.commit()
        self.successResultOf(second)

    def test_a_backend_may_answer_at_once(self) -> None:
        self.backend = MemoryBackend()
        self.start()
        for text in "abc":
            self.successResultOf(self.accept(text))
        (page,) = self.successResultOf(self.query())
        self.assertEqual([row.text for row in page.rows], list("abc"))
        self.successResultOf(self.service.stopService())

    def test_what_is_announced_reaches_a_backend_that_has_nothing_else_to_do(self) -> None:
        def announce() -> int:
            before = len(self.backend.announced)
            self.service.announce([messages("a"), messages("b")])
            return len(self.backend.announced) - before

        self.assertEqual(announce(), 1)
        self.assertEqual(self.backend.announced, [["a", "b"]])
        self.accept("c", urgent=False)
        self.assertEqual(announce(), 0)
        self.service.flush()
        self.assertEqual(announce(), 0)
        self.commit()
        self.assertEqual(announce(), 1)
        self.accept("d", urgent=False)
        self.service.flush()
        self.lock()
        self.assertEqual(announce(), 0)


class LingeringTests(_ServiceTests):
    """What nobody waits for may make a larger batch."""

    def test_is_written_after_the_flush_time(self) -> None:
        self.accept("a", urgent=False)
        self.clock.advance(0.9)
        self.accept("b", urgent=False)
        self.assertEqual(self.backend.written, [])
        self.clock.advance(0.1)
        self.assertEqual(self.backend.written, [list("ab")])
        self.assertEqual(self.status()["timer_flushes"], 1)

    def test_the_time_starts_again_with_the_next(self) -> None:
        self.accept("a", urgent=False)
        self.clock.advance(1)
        self.commit()
        self.clock.advance(0.5)
        self.accept("b", urgent=False)
        self.clock.advance(0.9)
        self.assertEqual(len(self.backend.writes), 1)
        self.clock.advance(0.1)
        self.assertEqual(self.backend.written, [["a"], ["b"]])

    def test_goes_with_what_is_urgent(self) -> None:
        self.accept("a", urgent=False)
        self.accept("b")
        self.assertEqual(self.backend.written, [list("ab")])
        self.commit()
        self.clock.advance(1)
        self.assertEqual(len(self.backend.writes), 1)
        self.assertEqual(self.status()["timer_flushes"], 0)

    def test_a_full_batch_is_written_at_once(self) -> None:
        self.start(batch_size=3)
        self.accept("ab", urgent=False)
        self.assertEqual(self.backend.written, [])
        self.accept("c", urgent=False)
        self.assertEqual(self.backend.written, [list("abc")])

    def test_what_arrives_during_a_write_lingers_too(self) -> None:
        self.accept("a")
        self.accept("b", urgent=False)
        self.commit()
        self.assertEqual(self.backend.written, [["a"]])
        self.clock.advance(0.9)
        self.accept("c", urgent=False)
        self.clock.advance(0.1)
        self.assertEqual(self.backend.written, [["a"], ["b", "c"]])

    def test_what_is_being_written_is_not_part_of_the_next_batch(self) -> None:
        self.start(batch_size=3)
        self.accept("abc", urgent=False)
        self.accept("d", urgent=False)
        self.commit()
        self.assertEqual(self.backend.written, [list("abc")])
        self.accept("ef", urgent=False)
        self.assertEqual(self.backend.written, [list("abc"), list("def")])

    def test_flush_writes_all_there_is_then(self) -> None:
        self.start(batch_size=2, largest=2)
        self.accept("a")
        for text in "bcd":
            self.accept(text, urgent=False)
        self.service.flush()
        self.accept("e", urgent=False)
        for _ in range(3):
            self.commit()
        self.assertEqual(self.backend.written, [["a"], ["b", "c"], ["d", "e"]])

    def test_flush_writes_at_once(self) -> None:
        self.service.flush()
        self.accept("a", urgent=False)
        self.service.flush()
        self.assertEqual(self.backend.written, [["a"]])

    def test_without_a_flush_time_nothing_lingers(self) -> None:
        self.start(flush_time=0.0)
        self.accept("a", urgent=False)
        self.assertEqual(self.backend.written, [["a"]])


class ReadYourWritesTests(_ServiceTests):
    """A query sees what was accepted before it."""

    def test_does_not_wait_long_in_a_flood(self) -> None:
        self.start(patience=Patience(flood=3))
        self.accept("abcd")
        for texts in ("efg", "h"):
            self.accept(texts, urgent=False)
            self.query()
        self.clock.advance(0.01)
        self.assertEqual(len(self.backend.queries), 1)  # the first did not see a flood yet
        self.commit()
        self.commit()
        self.assertEqual(len(self.backend.queries), 2)

    def test_does_not_wait_when_more_than_a_batch_is_behind(self) -> None:
        self.start(batch_size=2, largest=2)
        self.accept("a")
        self.accept("bc", urgent=False)
        self.query()
        self.assertEqual(self.backend.queries, [])
        self.accept("d", urgent=False)
        self.query()
        self.assertEqual(len(self.backend.queries), 1)

    def test_waits_for_what_was_accepted_before(self) -> None:
        self.accept("a")
        self.accept("b", urgent=False)
        found = self.query()
        self.commit()
        self.assertEqual(self.backend.queries, [])
        self.commit()
        self.assertEqual(len(self.backend.queries), 1)
        pages = [Page([Row(1, "event", 1, 0, "a", None)])]
        self.backend.queries[0].succeed(pages)
        self.assertEqual(self.successResultOf(found), pages)

    def test_what_lingers_is_written_for_it(self) -> None:
        self.accept("a", urgent=False)
        self.query()
        self.assertEqual(self.backend.written, [["a"]])
        self.assertEqual(self.status()["query_flushes"], 1)

    def test_does_not_wait_for_what_comes_later(self) -> None:
        self.accept("a")
        self.query()
        self.accept("b")
        self.accept("c")
        self.commit()
        self.assertEqual(self.backend.written, [["a"], ["b", "c"]])
        self.assertEqual(len(self.backend.queries), 1)

    def test_does_not_wait_when_all_is_committed(self) -> None:
        self.query()
        self.accept("a")
        self.commit()
        self.query()
        self.assertEqual(len(self.backend.queries), 2)
        self.assertEqual(self.status()["query_flushes"], 0)

    def test_does_not_wait_for_a_backend_that_takes_no_writes(self) -> None:
        turned_away = self.accept("a")
        self.lock()
        self.failureResultOf(turned_away, StoreUnavailable)
        self.query()
        self.assertEqual(len(self.backend.queries), 1)

    def test_waits_two_seconds_at_most(self) -> None:
        self.accept("a")
        self.query()
        self.clock.advance(1.9)
        self.assertEqual(self.backend.queries, [])
        self.clock.advance(0.1)
        self.assertEqual(len(self.backend.queries), 1)
        self.commit()
        self.assertEqual(len(self.backend.queries), 1)

    def test_passes_on_what_is_asked_and_what_has_expired(self) -> None:
        self.query()
        self.assertEqual(
            self.backend.queries[0].argument,
            (Pages([asking("alex")], int((START - RETENTION) * SECOND), Limits(10)), 5.0),
        )

    def test_passes_on_what_goes_wrong(self) -> None:
        found = self.query()
        self.backend.queries[0].fail(QueryTimeout("the query took too long"))
        self.failureResultOf(found, QueryTimeout)


class SeveralWritersTests(_ServiceTests):
    """A backend that writes two batches at a time, and commits them in their order."""

    def setUp(self) -> None:
        super().setUp()
        self.backend.writers = 2
        self.start(batch_size=2, largest=2)

    def test_the_next_batch_is_begun_before_the_first_is_committed(self) -> None:
        self.accept("a")
        for texts in ("bc", "de", "f"):
            self.accept(texts)
        self.assertEqual(self.backend.written, [["a"]])
        self.commit()
        self.assertEqual(self.backend.written, [["a"], list("bc"), list("de")])
        self.backend.writes[1].succeed()
        self.assertEqual(self.backend.written[3:], [["f"]])
        self.assertEqual(self.status()["waiting"], 3)
        self.backend.writes[2].succeed()
        self.backend.writes[3].succeed()
        self.assertEqual(self.status()["waiting"], 0)

    def test_a_large_one_is_begun_while_the_first_is_being_written(self) -> None:
        self.start(batch_size=2, largest=2, worth_beginning=2)
        self.accept("a")
        self.accept("b")
        self.assertEqual(self.backend.written, [["a"]])
        self.accept("c")
        self.assertEqual(self.backend.written, [["a"], ["b", "c"]])
        self.accept("de")
        self.assertEqual(len(self.backend.writes), 2)
        self.backend.writes[0].succeed()
        self.assertEqual(self.backend.written[2:], [["d", "e"]])

    def test_none_is_begun_while_another_one_is_tried_again(self) -> None:
        self.start(batch_size=2, largest=2, worth_beginning=2)
        self.accept("a", urgent=False)
        self.service.flush()
        self.backend.writes[0].fail(StoreUnavailable(LOCKED))
        self.accept("bc", urgent=False)
        self.service.flush()
        self.assertEqual(self.backend.written, [["a"]])
        self.clock.advance(0.1)
        self.assertEqual(self.backend.written, [["a"], ["a"]])

    def two_begun(self) -> tuple[Deferred[Sequence[Refusal]], Deferred[Sequence[Refusal]]]:
        self.accept("a")
        one, two = self.accept("bc", urgent=False), self.accept("de", urgent=False)
        self.service.flush()
        self.commit()
        self.assertEqual(self.backend.written[1:], [list("bc"), list("de")])
        return one, two

    def test_a_batch_behind_one_that_failed_waits_for_it(self) -> None:
        one, two = self.two_begun()
        for write in self.backend.writes[1:]:
            write.fail(StoreUnavailable(LOCKED))
        self.assertEqual(len(self.backend.writes), 3)
        self.clock.advance(0.1)
        self.assertEqual(self.backend.written[3:], [list("bc")])
        self.commit()
        self.successResultOf(one)
        self.assertEqual(self.backend.written[4:], [list("de")])
        self.assertNoResult(two)
        self.commit()
        self.successResultOf(two)
        self.assertEqual(self.status()["waiting"], 0)

    def test_a_batch_behind_one_that_was_refused_waits_for_its_halves(self) -> None:
        one, two = self.two_begun()
        self.backend.writes[1].fail(StoreError("bad"))
        self.backend.writes[2].fail(StoreUnavailable("the one before"))
        self.assertEqual(self.backend.written[3:], [["b"]])
        self.commit()
        self.assertEqual(self.backend.written[4:], [["c"]])
        self.backend.writes[4].fail(StoreError("bad"))
        self.assertEqual([refusal.index for refusal in self.successResultOf(one)], [1])
        self.assertEqual(self.backend.written[5:], [list("de")])
        self.commit()
        self.successResultOf(two)

    def test_the_second_of_two_may_be_the_one_that_fails(self) -> None:
        one, two = self.two_begun()
        self.backend.writes[1].succeed()
        self.successResultOf(one)
        self.backend.writes[2].fail(StoreUnavailable(LOCKED))
        self.clock.advance(0.1)
        self.assertEqual(self.backend.written[3:], [list("de")])
        self.commit()
        self.successResultOf(two)


class CommitUnknownTests(_ServiceTests):
    """A connection that broke while a commit was on its way."""

    def test_the_same_batch_is_offered_again_and_nobody_in_it_is_turned_away(self) -> None:
        asked = self.accept("ab")
        behind = self.accept("c")
        self.backend.writes[0].fail(CommitUnknown("the connection was lost"))
        self.assertNoResult(asked)
        self.failureResultOf(behind, StoreUnavailable)
        self.assertEqual(self.service.unreadiness(), "the connection was lost")
        self.clock.advance(0.1)
        self.assertIs(self.backend.writes[1].argument, self.backend.writes[0].argument)
        self.lock()
        self.clock.advance(0.2)
        self.commit()
        self.successResultOf(asked)
        self.assertEqual(self.status()["waiting"], 0)


class UnavailableTests(_ServiceTests):
    """A backend that cannot write now, but may later."""

    def test_is_tried_again_less_and_less_often(self) -> None:
        committed = self.accept("ab", urgent=False)
        self.service.flush()
        for delay in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0):
            self.lock()
            before = len(self.backend.writes)
            self.clock.advance(delay * 0.98)
            self.assertEqual(len(self.backend.writes), before)
            self.clock.advance(delay * 0.04)
            self.assertEqual(len(self.backend.writes), before + 1)
        self.assertNoResult(committed)
        self.commit()
        self.assertEqual(list(self.successResultOf(committed)), [])
        self.assertEqual({tuple(batch) for batch in self.backend.written}, {("a", "b")})

    def test_says_why_until_it_works_again(self) -> None:
        turned_away = self.accept("a")
        self.assertIsNone(self.service.unreadiness())
        self.lock()
        self.failureResultOf(turned_away, StoreUnavailable)
        self.assertEqual(self.service.unreadiness(), LOCKED)
        self.assertEqual(self.service.stats()["manager"]["errors"], {"unavailable": LOCKED})
        self.clock.advance(0.1)
        self.commit()
        self.assertIsNone(self.service.unreadiness())
        self.assertEqual(self.service.stats()["manager"]["errors"], {})
        self.assertEqual(self.service.stats()["backend"]["errors"], {"write_unavailable": 1})

    def test_is_said_in_the_log_once_in_a_while(self) -> None:
        with capturedLogs() as logs:
            self.accept("ab", urgent=False)
            self.service.flush()
            for _ in range(10):
                self.lock()
                self.clock.advance(5)
            self.commit()
        self.assertEqual(
            [formatEvent(entry) for entry in logs],
            [
                "cannot write: database is locked; 2 messages are waiting, trying again",
                "writing works again, 2 messages were waiting",
            ],
        )

    def test_who_waits_is_turned_away_at_once(self) -> None:
        first = self.accept("a")
        second, third = self.accept("b"), self.accept("c", urgent=False)
        self.lock()
        for refused in (first, second, self.accept("d")):
            self.assertEqual(str(self.failureResultOf(refused, StoreUnavailable).value), LOCKED)
        self.assertEqual(self.status()["waiting"], 1)
        self.clock.advance(0.1)
        self.commit()
        self.clock.advance(1)
        self.commit()
        self.successResultOf(third)
        self.assertEqual(self.backend.written, [["a"], [], ["c"]])

    def test_who_waits_does_not_take_his_neighbours_along(self) -> None:
        kept = self.accept("a", urgent=False)
        turned_away = self.accept("b")
        self.assertEqual(self.backend.written, [["a", "b"]])
        self.lock()
        self.failureResultOf(turned_away, StoreUnavailable)
        self.clock.advance(0.1)
        self.commit()
        self.successResultOf(kept)
        self.assertEqual(self.backend.written[1:], [["a"]])

    def test_what_nobody_waits_for_is_kept_until_it_works_again(self) -> None:
        first = self.accept("a", urgent=False)
        self.service.flush()
        self.lock()
        second = self.accept("b", urgent=False)
        self.clock.advance(0.1)
        self.commit()
        self.successResultOf(first)
        self.clock.advance(1)
        self.commit()
        self.successResultOf(second)
        self.assertEqual(self.backend.written, [["a"], ["a"], ["b"]])

    def test_who_waits_is_taken_again_once_it_works(self) -> None:
        """Found out by writing nothing: a balancer that sends nobody would else never send anybody again."""
        self.failureResultOf(self.refused())
        self.clock.advance(0.1)
        self.lock()
        self.clock.advance(0.2)
        self.assertEqual(self.service.unreadiness(), LOCKED)
        self.commit()
        self.assertIsNone(self.service.unreadiness())
        self.accept("b")
        self.assertEqual(self.backend.written, [["a"], [], [], ["b"]])

    def refused(self) -> Deferred[Sequence[Refusal]]:
        offer = self.accept("a")
        self.lock()
        return offer

    def test_a_query_that_fails_is_said_in_the_log_unless_it_has_been(self) -> None:
        def fail_query(error: StoreError) -> None:
            asked = self.query()
            self.backend.queries[-1].fail(error)
            self.failureResultOf(asked, type(error))

        with capturedLogs() as logs:
            for _ in range(3):
                fail_query(StoreUnavailable("it is damaged"))
                fail_query(QueryTimeout("too long"))
            turned_away = self.accept("a")
            self.lock()
            self.failureResultOf(turned_away, StoreUnavailable)
            fail_query(StoreUnavailable(LOCKED))
        said = [formatEvent(event) for event in logs]
        self.assertEqual(said[0], "a query failed: it is damaged")
        self.assertEqual(len(said), 2)
        self.assertEqual(self.service.stats()["backend"]["errors"]["query_exec_failed"], 4)


class LimitTests(_ServiceTests):
    """Memory is not without end."""

    def test_too_many_waiting_messages_are_refused(self) -> None:
        self.start(max_waiting=5)
        self.accept("abc")
        self.accept("de")
        refused = self.failureResultOf(self.accept("f"), StoreUnavailable)
        self.assertEqual(str(refused.value), "5 messages are waiting to be stored already")
        self.commit()
        self.accept("f")
        self.commit()
        self.assertEqual(self.backend.written, [list("abc"), list("de"), ["f"]])

    def test_too_much_waiting_text_is_refused(self) -> None:
        self.start(size=10)
        self.accept(["x" * 6])
        self.accept(["x" * 4])
        self.failureResultOf(self.accept(["x"]), StoreUnavailable)
        self.commit()
        self.accept(["x" * 6])
        self.failureResultOf(self.accept(["x"]), StoreUnavailable)

    def test_whatever_comes_alone_is_taken(self) -> None:
        self.start(max_waiting=2, size=10)
        self.accept(["x" * 20] * 3)
        self.commit()
        self.assertEqual([len(batch) for batch in self.backend.written], [3])

    def test_what_is_refused_is_not_counted_as_waiting(self) -> None:
        self.start(max_waiting=2)
        self.accept("ab")
        self.failureResultOf(self.accept("c"), StoreUnavailable)
        self.assertEqual((self.status()["waiting"], self.status()["processed"]), (2, 2))
        self.commit()
        self.assertEqual(self.status()["waiting"], 0)


class _Picky(MemoryBackend):
    """Keeps the texts it was offered, and does something else with some."""

    def __init__(self, treat: Callable[[Sequence[str]], None]) -> None:
        super().__init__()
        self.treat = treat
        self.offered: list[list[str]] = []

    def write(self, messages: Batch, batch_id: int | None = None) -> Deferred[None]:
        self.offered.append([message.text for message in messages])
        try:
            self.treat(self.offered[-1])
        except Exception:
            return fail()
        return super().write(messages, batch_id)


class BadMessageTests(_ServiceTests):
    """A message that the backend refuses for good costs none of its neighbours."""

    def treat(self, treat: Callable[[Sequence[str]], None]) -> None:
        self.backend = _Picky(treat)
        self.start()

    @staticmethod
    def refuse_bad(texts: Sequence[str]) -> None:
        if any(text.startswith("bad") for text in texts):
            raise StoreError("no NUL, please")

    def stored(self) -> list[str]:
        (page,) = self.successResultOf(self.service.pages([asking("alex")], max_rows=10**6, timeout=5.0))
        return [row.text for row in sorted(page.rows, key=lambda row: row.id)]

    def test_is_found_wherever_it_is(self) -> None:
        for length in (1, 2, 3, 8, 13):
            for place in range(length):
                self.treat(self.refuse_bad)
                texts = [f"good {index}" for index in range(length)]
                texts[place] = "bad"
                refusals = self.successResultOf(self.accept(texts))
                self.assertEqual(list(refusals), [Refusal(place, "no NUL, please")])
                self.assertEqual(self.stored(), [text for text in texts if text != "bad"])

    def test_is_found_without_trying_each(self) -> None:
        self.treat(self.refuse_bad)
        self.successResultOf(self.accept(["good"] * 777 + ["bad"] + ["good"] * 246))
        self.assertEqual(len(self.backend.offered), 1 + 2 * 10)

    def test_there_may_be_several(self) -> None:
        self.treat(self.refuse_bad)
        texts = ["bad 0", "b", "c", "bad 3", "bad 4", "f", "g", "bad 7"]
        refusals = self.successResultOf(self.accept(texts))
        self.assertEqual([refusal.index for refusal in refusals], [0, 3, 4, 7])
        self.assertEqual(self.stored(), ["b", "c", "f", "g"])
        self.assertEqual(self.service.stats()["backend"]["errors"], {"write_sql_exec_failed": 4})

    def test_each_hears_of_their_own(self) -> None:
        refused = StoreError("no")
        first = self.accept("a")
        second, third = self.accept("bc"), self.accept("de")
        self.commit()
        self.successResultOf(first)
        for expected, is_good in (("bcde", False), ("bc", True), ("de", False), ("d", True), ("e", False)):
            self.assertEqual(self.backend.written[-1], list(expected))
            self.assertNoResult(second)
            if is_good:
                self.commit()
            else:
                self.backend.writes[-1].fail(refused)
        self.assertEqual(list(self.successResultOf(second)), [])
        self.assertEqual(list(self.successResultOf(third)), [Refusal(1, "no")])

    def test_it_does_not_make_the_service_unready(self) -> None:
        self.treat(self.refuse_bad)
        self.successResultOf(self.accept(["bad"]))
        self.assertIsNone(self.service.unreadiness())
        self.assertEqual(self.status()["waiting"], 0)

    def test_halving_waits_for_a_backend_that_is_unavailable_meanwhile(self) -> None:
        committed = self.accept("ab")
        self.backend.writes[-1].fail(StoreError("no"))
        self.lock()
        self.assertNoResult(committed)
        self.clock.advance(0.1)
        self.commit()
        self.backend.writes[-1].fail(StoreError("no"))
        self.assertEqual(self.backend.written, [list("ab"), ["a"], ["a"], ["b"]])
        self.assertEqual(list(self.successResultOf(committed)), [Refusal(1, "no")])

    def test_an_error_of_our_own_is_as_a_bad_message(self) -> None:
        def stumble(texts: Sequence[str]) -> None:
            if "bad" in texts:
                raise ZeroDivisionError("oops")

        self.treat(stumble)
        (refusal,) = self.successResultOf(self.accept(["a", "b", "bad", "d"]))
        self.assertEqual(refusal, Refusal(2, "internal error: ZeroDivisionError('oops')"))
        self.successResultOf(self.accept(["e"]))
        self.assertEqual(self.stored(), ["a", "b", "d", "e"])
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))


class StopTests(_ServiceTests):
    """At the end everything that was accepted is in the file."""

    def test_writes_everything_and_then_closes(self) -> None:
        self.start(batch_size=3, largest=3)
        accepted = [self.accept(texts) for texts in ("a", "bc", "de")]
        accepted.append(self.accept("f", urgent=False))
        stopped = self.service.stopService()
        for _ in range(3):
            self.assertNoResult(stopped)
            self.assertTrue(self.backend.is_open)
            self.commit()
        self.successResultOf(stopped)
        self.assertFalse(self.backend.is_open)
        self.assertEqual(self.backend.written, [["a"], list("bc"), list("def")])
        for committed in accepted:
            self.assertEqual(list(self.successResultOf(committed)), [])

    def test_writes_what_lingers(self) -> None:
        committed = self.accept("a", urgent=False)
        stopped = self.service.stopService()
        self.assertEqual(self.backend.written, [["a"]])
        self.commit()
        self.successResultOf(stopped)
        self.successResultOf(committed)

    def test_closes_at_once_if_nothing_waits(self) -> None:
        self.successResultOf(self.service.stopService())
        self.assertFalse(self.backend.is_open)

    def test_leaves_nothing_for_later(self) -> None:
        self.accept("a", urgent=False)
        self.query()
        self.service.stopService()
        self.commit()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_comes_during_the_stop_is_written_too(self) -> None:
        self.accept("a")
        stopped = self.service.stopService()
        committed = self.accept("b", urgent=False)
        self.commit()
        self.commit()
        self.successResultOf(committed)
        self.successResultOf(stopped)

    def test_what_comes_after_it_is_refused(self) -> None:
        self.successResultOf(self.service.stopService())
        for urgent in (True, False):
            self.failureResultOf(self.accept("a", urgent=urgent), StoreUnavailable)
        self.assertEqual(self.backend.writes, [])

    def test_tries_once_more_and_gives_up_if_unavailable(self) -> None:
        committed = self.accept("a", urgent=False)
        self.service.flush()
        self.lock()
        self.clock.advance(0.1)
        self.lock()
        waiting = self.accept("b", urgent=False)
        stopped = self.service.stopService()
        self.clock.advance(0)
        self.assertEqual(self.backend.written, 3 * [["a"]])
        self.lock()
        self.failureResultOf(committed, StoreUnavailable)
        # A lock takes its time to be found, so it is not looked for again.
        self.assertEqual(len(self.backend.writes), 3)
        self.failureResultOf(waiting, StoreUnavailable)
        self.successResultOf(stopped)
        self.assertFalse(self.backend.is_open)

    def test_the_last_try_may_succeed(self) -> None:
        committed = self.accept("a", urgent=False)
        self.service.flush()
        self.lock()
        stopped = self.service.stopService()
        self.clock.advance(0)
        self.commit()
        self.successResultOf(committed)
        self.successResultOf(stopped)

    def test_becoming_unavailable_during_the_stop_does_not_hold_it_up(self) -> None:
        committed = self.accept("a")
        stopped = self.service.stopService()
        self.lock()
        self.failureResultOf(self.accept("b", urgent=False), StoreUnavailable)
        self.clock.advance(0.1)
        self.lock()
        self.failureResultOf(committed, StoreUnavailable)
        self.successResultOf(stopped)

    def test_becoming_unavailable_in_the_middle_of_halving_does_not_hold_it_up(self) -> None:
        committed = self.accept("abcd")
        stopped = self.service.stopService()
        self.backend.writes[-1].fail(StoreError("no"))
        self.commit()
        for _ in range(2):
            self.lock()
            self.clock.advance(0.1)
        self.assertEqual(self.backend.written, [list("abcd"), list("ab"), list("cd"), list("cd")])
        refusals = self.successResultOf(committed)
        self.assertEqual(list(refusals), [Refusal(2, LOCKED), Refusal(3, LOCKED)])
        self.successResultOf(stopped)

    def test_housekeeping_that_has_begun_ends_first(self) -> None:
        expiring: Deferred[int] = Deferred()
        self.backend.expiring = lambda: expiring
        self.clock.advance(expiry_interval(RETENTION))
        stopped = self.service.stopService()
        self.assertTrue(self.backend.is_open)
        expiring.callback(3)
        self.successResultOf(stopped)
        self.assertFalse(self.backend.is_open)


class HousekeepingTests(_ServiceTests):
    """What is done from time to time."""

    def test_events_expire(self) -> None:
        self.backend.cutoffs.clear()
        self.clock.pump([30, 30, 30, 30])
        self.assertEqual(
            self.backend.cutoffs, [int((START + passed - RETENTION) * SECOND) for passed in (60, 120)]
        )

    def test_begins_with_the_service(self) -> None:
        self.assertEqual(self.backend.cutoffs, [int((START - RETENTION) * SECOND)])
        self.assertEqual(self.backend.tended, [int(START * SECOND)])

    def test_the_backend_is_tended_every_second(self) -> None:
        self.clock.pump([0.5] * 6)
        self.assertEqual(self.backend.tended, [int((START + passed) * SECOND) for passed in range(4)])

    def test_one_begins_when_the_last_has_ended(self) -> None:
        tending: Deferred[None] = Deferred()
        self.backend.tending = lambda: tending
        self.clock.pump([1] * 5)
        self.assertEqual(len(self.backend.tended), 2)
        tending.callback(None)
        self.clock.pump([1] * 5)
        self.assertGreater(len(self.backend.tended), 5)

    def test_survives_whatever_happens(self) -> None:
        def stumble() -> Deferred[Any]:
            raise ZeroDivisionError

        self.backend.expiring = lambda: fail(StoreUnavailable(LOCKED))
        self.backend.tending = stumble
        with capturedLogs() as logs:
            self.clock.pump([10] * 12)
        self.assertEqual(len(self.backend.cutoffs), 3)
        self.assertEqual(len(self.backend.tended), 13)
        self.assertEqual(
            self.service.stats()["backend"]["errors"], {"delete_sql_exec_failed": 2, "tend_failed": 12}
        )
        # Each is said once in a while, and in a line if the cause is known.
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        said = [formatEvent(event) for event in logs if "log_failure" not in event]
        self.assertEqual(said, [f"cannot delete expired events, will try again: {LOCKED}"] * 2)

    def test_trouble_that_shows_while_nothing_is_written(self) -> None:
        """It is found out whether writing works, and known until it does again."""
        self.backend.tending = lambda: fail(StoreUnavailable("the file is gone"))
        with capturedLogs() as logs:
            self.clock.advance(1)
            self.assertEqual(self.backend.written, [[]])
            self.backend.writes[-1].fail(StoreUnavailable("the file is gone"))
            self.assertEqual(self.service.unreadiness(), "the file is gone")
            self.failureResultOf(self.accept("a"), StoreUnavailable)
            for _ in range(20):
                self.clock.advance(1)
                if not self.backend.writes[-1].answer.called:
                    self.backend.writes[-1].fail(StoreUnavailable("the file is gone"))
        self.assertEqual(
            [formatEvent(event) for event in logs],
            ["cannot write: the file is gone; 0 messages are waiting, trying again"],
        )
        self.backend.tending = lambda: succeed(None)
        while self.backend.writes[-1].answer.called:
            self.clock.advance(1)
        self.commit()
        self.assertIsNone(self.service.unreadiness())
        self.accept("b")
        self.assertEqual(self.backend.written[-1], ["b"])

    def test_trouble_that_does_not_concern_writing_is_only_said(self) -> None:
        self.backend.tending = lambda: fail(StoreUnavailable(LOCKED))
        with capturedLogs() as logs:
            self.clock.advance(1)
            self.commit()
        self.assertIsNone(self.service.unreadiness())
        self.assertEqual(
            [formatEvent(event) for event in logs], [f"cannot tidy up, will try again: {LOCKED}"]
        )

    def test_the_interval_follows_the_retention_time(self) -> None:
        self.assertEqual([expiry_interval(seconds) for seconds in (1, 8, 64, 86400)], [0.25, 0.25, 2, 60])

    def test_counts_what_has_expired(self) -> None:
        counts = iter((7, 0, 5))
        self.backend.expiring = lambda: succeed(next(counts))
        self.clock.pump([60] * 3)
        self.assertEqual(self.service.stats()["backend"]["status"]["expired"], 12)


class StatsTests(_ServiceTests):
    """What the REST interface shows."""

    def test_shape(self) -> None:
        self.assertEqual(
            self.service.stats(),
            {
                "manager": {
                    "errors": {},
                    "status": {
                        "processed": 0,
                        "flushed": 0,
                        "write_batch": 0,
                        "timer_flushes": 0,
                        "query_flushes": 0,
                        "queries": 0,
                        "waiting": 0,
                    },
                },
                "backend": {"errors": {}, "status": {"writes": 0, "expired": 0}},
                "info": {"backend_type": "scripted", "flush_time": "1s", "retention_time": "53m20s"},
            },
        )

    def test_counts(self) -> None:
        self.accept("abc")
        self.accept("de")
        self.service.pages([asking("alex")] * 2, max_rows=10, timeout=5.0)
        self.commit()
        status = self.status()
        expected = {"processed": 5, "flushed": 3, "write_batch": 1, "queries": 2, "waiting": 2}
        self.assertEqual({name: status[name] for name in expected}, expected)

    def test_durations_are_never_rounded(self) -> None:
        self.start(retention=30 * 86400.0 + 1, flush_time=0.25)
        info = self.service.stats()["info"]
        self.assertEqual((info["retention_time"], info["flush_time"]), ("30d1s", "250ms"))


class StartTests(_ServiceTests):
    def test_does_not_run_on_a_backend_that_does_not_open(self) -> None:
        class Broken(ScriptedBackend):
            def open(self) -> None:
                raise StoreError("cannot open the database")

        self.backend = Broken()
        with self.assertRaises(StoreError):
            self.start()
        self.clock.advance(100)
        self.assertFalse(self.service.running)
        self.assertEqual((self.backend.cutoffs, self.backend.tended), ([], []))
