"""Who has the next turn."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ccstore.pipeline.scheduler import LEAST_PIECE, Scheduler, TooMuch, TurnLimits
from tests.support.loopback import Loopback

TURN = TurnLimits().seconds


class SchedulerTests(SynchronousTestCase):
    """A turn of the reactor has time for one of each sort here."""

    def setUp(self) -> None:
        self.clock = Loopback()
        self.start()

    def start(self, **limits: int) -> None:
        self.scheduler = Scheduler(self.clock, TurnLimits(**limits))
        self.clock.passes = 0.0
        self.scheduler.turn()  # the first has its turn at once
        self.clock.passes = TURN
        self.had: list[str] = []

    def ask(self, name: str, wrong: int = 0) -> None:
        self.scheduler.turn(wrong).addCallback(lambda _: self.had.append(name))

    def insist(self, name: str, wrong: int) -> None:
        """Ask again as long as something is left."""

        def had(_: None, wrong: int) -> None:
            self.had.append(name)
            if wrong > LEAST_PIECE:
                again(wrong - LEAST_PIECE)

        def again(wrong: int) -> None:
            self.scheduler.turn(wrong).addCallback(had, wrong)

        again(wrong)

    def end(self) -> None:
        """Until nobody waits."""
        while self.clock.getDelayedCalls():
            self.clock.turn()

    def test_who_makes_no_mistakes_goes_first_come_first_served(self) -> None:
        self.ask("a")
        self.ask("b")
        self.assertEqual(self.had, [])
        self.clock.turn()
        self.assertEqual(self.had, ["a"])
        self.clock.turn()
        self.assertEqual(self.had, ["a", "b"])

    def test_as_many_at_a_time_as_there_is_time_for(self) -> None:
        for name in "abcd":
            self.ask(name)
        self.clock.passes = 0.3 * TURN
        self.clock.turn()
        self.assertEqual(self.had, [*"abc"])

    def test_whoever_makes_mistakes_has_a_turn_beside_any_number_of_others(self) -> None:
        self.ask("wrong", 10)
        for name in "abc":
            self.ask(name)
        self.clock.turn()
        self.assertEqual(self.had, ["a", "wrong"])

    def test_who_does_not_wait_for_those_who_make_mistakes(self) -> None:
        self.clock.passes = 0.0
        self.clock.turn()
        self.scheduler.turn(10)
        self.ask("wrong", 10)
        self.clock.passes = TURN
        self.clock.turn()
        self.clock.passes = 0.0
        self.ask("right")
        self.assertIn("right", self.had)

    def test_those_who_make_mistakes_take_turns(self) -> None:
        for name in "abc":
            self.insist(name, 3 * LEAST_PIECE)
        self.insist("d", LEAST_PIECE)
        self.end()
        self.assertEqual(self.had, [*"abcdabcabc"])

    def test_nobody_waits_for_ever_for_those_who_have_less(self) -> None:
        self.insist("large", 10 * LEAST_PIECE)
        while "large" not in self.had:
            self.insist("small", 2 * LEAST_PIECE)
            self.clock.turn()
            self.assertLess(len(self.had), 30)

    def test_of_too_many_who_make_mistakes_whoever_has_most_left_is_sent_away(self) -> None:
        each = TurnLimits().waiting_each
        self.start(waiting_size=4 * each)
        waiting = {wrong: self.scheduler.turn(wrong) for wrong in (10, 3000, 20)}
        self.scheduler.turn()  # one without a mistake is none of them
        for turn in waiting.values():
            self.assertNoResult(turn)
        waiting[4000] = self.scheduler.turn(4000)
        self.assertIsInstance(self.failureResultOf(waiting.pop(4000)).value, TooMuch)
        self.scheduler.turn(30)
        self.assertIsInstance(self.failureResultOf(waiting.pop(3000)).value, TooMuch)
        self.end()
        self.assertEqual([self.successResultOf(turn) for turn in waiting.values()], [None, None])
        # There is room again, and for one alone in any case.
        self.scheduler.turn()
        large = self.scheduler.turn(10 * each)
        self.assertNoResult(large)
        self.assertNoResult(self.scheduler.turn(10))
        self.assertIsInstance(self.failureResultOf(large).value, TooMuch)

    def test_the_time_is_for_all_who_ask(self) -> None:
        self.end()
        self.assertEqual(self.scheduler.share("a"), TURN)
        self.scheduler.share("b")
        self.scheduler.share("a")
        self.clock.turn()
        self.assertEqual(self.scheduler.share("a"), TURN / 2)
        self.clock.turn()
        self.assertEqual(self.scheduler.share("a"), TURN)
