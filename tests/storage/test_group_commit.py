"""What is written together and when, and over how many writers."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from ccstore.interfaces import (
    IMessageStore,
    Refusal,
    StoreError,
    StoreUnavailable,
)
from tests.support.service_case import LOCKED, ServiceCase
from tests.support.stores import MemoryBackend, messages


class GroupCommitTests(ServiceCase):
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


class LingeringTests(ServiceCase):
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


class SeveralWritersTests(ServiceCase):
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
