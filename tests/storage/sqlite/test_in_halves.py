"""Two halves are asked for at the same time, and none is waited for that nobody needs."""

from __future__ import annotations

import pickle
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import TestCase

from ccstore.interfaces import QueryTimeout
from ccstore.query import Counting, Selection, TextCondition
from ccstore.storage.reading.counts import CountsQuestion
from ccstore.storage.reading.halves import Attempt, Half, HalfQuestion, Joining, Tried
from ccstore.storage.sqlite.asking import Asking
from ccstore.storage.sqlite.in_halves import read_in_halves

QUESTION = CountsQuestion(Counting(Selection(texts=(TextCondition("matches", "a+"),))), 0)
CUT = 1000


class Readers:
    """They answer when the test does."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, Asking]] = []
        self.answers: list[Deferred[Any]] = []

    def __call__(self, question: Any, asking: Asking, /) -> Deferred[Any]:
        self.asked.append((question, asking))
        self.answers.append(Deferred())
        return self.answers[-1]

    def is_given_up(self, place: int) -> bool:
        try:
            self.asked[place][1].check()
        except CancelledError:
            return True
        return False


class InHalvesTests(TestCase):
    def setUp(self) -> None:
        self.readers = Readers()
        self.asking = Asking(60)
        division = QUESTION.division()
        assert division is not None
        reading = read_in_halves(self.readers, QUESTION, division, self.asking)
        self.answer = Deferred.fromCoroutine(reading)

    def divide(self) -> None:
        self.readers.answers[0].callback(Tried(CUT))

    @property
    def newer(self) -> int:
        """Which question is that about the newer half; the other is three without it."""
        return next(place for place in (1, 2) if self.readers.asked[place][0].selection.begin == CUT)

    def half(self, place: int, what: str, *, is_enough: bool = False) -> None:
        self.readers.answers[place].callback(Half(pickle.dumps(what), is_enough))

    def test_what_is_soon_answered_is_not_divided(self) -> None:
        self.assertIsInstance(self.readers.asked[0][0], Attempt)
        self.readers.answers[0].callback(Tried(None, "whole"))
        self.assertEqual(self.successResultOf(self.answer), "whole")
        self.assertEqual(len(self.readers.asked), 1)

    def test_both_halves_are_read_at_the_same_time(self) -> None:
        self.divide()
        halves = [question for question, _ in self.readers.asked[1:]]
        times = {
            (half.selection.begin, half.selection.end) for half in halves if isinstance(half, HalfQuestion)
        }
        whole = Selection()
        self.assertEqual(times, {(whole.begin, CUT), (CUT, whole.end)})
        # The newer one goes first, whichever comes first.
        newer = self.newer
        self.half(3 - newer, "older")
        self.half(newer, "newer")
        joining, _ = self.readers.asked[3]
        self.assertIsInstance(joining, Joining)
        self.assertEqual([pickle.loads(half.packed) for half in joining.halves], ["newer", "older"])
        self.readers.answers[3].callback("both")
        self.assertEqual(self.successResultOf(self.answer), "both")

    def test_a_half_that_is_not_needed_is_given_up(self) -> None:
        self.divide()
        newer = self.newer
        self.half(newer, "full", is_enough=True)
        self.assertTrue(self.readers.is_given_up(3 - newer))
        self.assertEqual([pickle.loads(half.packed) for half in self.readers.asked[3][0].halves], ["full"])
        self.readers.answers[3 - newer].errback(CancelledError())
        self.readers.answers[3].callback("page")
        self.assertEqual(self.successResultOf(self.answer), "page")

    def test_a_half_that_fails_ends_both(self) -> None:
        self.divide()
        newer = self.newer
        self.readers.answers[newer].errback(QueryTimeout("late"))
        self.failureResultOf(self.answer, QueryTimeout)
        self.assertTrue(self.readers.is_given_up(3 - newer))
        self.readers.answers[3 - newer].errback(CancelledError())

    def test_the_other_half_may_fail_as_well(self) -> None:
        self.divide()
        newer = self.newer
        self.readers.answers[3 - newer].errback(QueryTimeout("late"))
        self.half(newer, "newer")
        self.failureResultOf(self.answer, QueryTimeout)

    def test_whoever_goes_away_ends_whatever_is_read(self) -> None:
        self.divide()
        self.asking.give_up()
        self.assertTrue(self.readers.is_given_up(1))
        self.assertTrue(self.readers.is_given_up(2))
        for place in (1, 2):
            self.readers.answers[place].errback(CancelledError())
        self.failureResultOf(self.answer, CancelledError)
