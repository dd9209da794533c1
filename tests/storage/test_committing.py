"""How a backend that is away, in doubt or refuses something is borne, and who is told no."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, fail
from twisted.logger import capturedLogs, formatEvent

from ccstore.batch import Batch
from ccstore.interfaces import (
    CommitUnknown,
    QueryTimeout,
    Refusal,
    StoreError,
    StoreUnavailable,
)
from tests.support.service_case import LOCKED, ServiceCase
from tests.support.stores import MemoryBackend, asking


class CommitUnknownTests(ServiceCase):
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


class UnavailableTests(ServiceCase):
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


class LimitTests(ServiceCase):
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


class BadMessageTests(ServiceCase):
    """A message that the backend refuses for good costs none of its neighbours."""

    def treat(self, treat: Callable[[Sequence[str]], None]) -> None:
        self.backend = _Picky(treat)
        self.start()

    @staticmethod
    def refuse_bad(texts: Sequence[str]) -> None:
        if any(text.startswith("bad") for text in texts):
            raise StoreError("no NUL, please")

    def stored(self) -> list[str]:
        (page,) = self.successResultOf(
            self.service.answers.pages([asking("alex")], max_rows=10**6, timeout=5.0)
        )
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
