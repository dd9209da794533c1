"""Stretches are asked for two at a time, and none is waited for that nobody needs."""

from __future__ import annotations

import pickle
from itertools import pairwise
from typing import Any

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.interfaces import QueryTimeout
from ccstore.query import Counting, Selection, TextCondition
from ccstore.storage.reading.counts import CountsQuestion
from ccstore.storage.reading.dialect import Fetching
from ccstore.storage.reading.pages import Limits, Pages
from ccstore.storage.reading.stretches import Beginning, Begun, Joining, Stretch, StretchQuestion
from ccstore.storage.sqlite.asking import Asking
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.dialect import SqliteDialect
from ccstore.storage.sqlite.in_stretches import read_in_stretches
from ccstore.storage.sqlite.sizes import SIZES, SegmentSizes
from tests.support.scratch import scratch
from tests.support.sqlite_files import NO_SYNC, RETENTION, SPAN, SqliteFiles
from tests.support.stores import NOW, SECOND, message

SELECTION = Selection(texts=(TextCondition("matches", "a+"),))
QUESTION = Pages([SELECTION], 0, Limits(100))


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


class InStretchesTests(TestCase):
    def setUp(self) -> None:
        self.readers = Readers()
        self.asking = Asking(60)
        division = QUESTION.division()
        assert division is not None
        stretches = [evolve(SELECTION, begin=begin, end=begin + 100) for begin in (400, 300, 200, 100)]
        self.questions = [StretchQuestion(division, stretch) for stretch in stretches]
        self.answer = Deferred.fromCoroutine(read_in_stretches(self.readers, QUESTION, division, self.asking))

    def begin(self) -> None:
        self.assertIsInstance(self.readers.asked[0][0], Beginning)
        self.readers.answers[0].callback(Begun(None, self.questions, [Stretch(pickle.dumps("0"))]))

    def stretch(self, place: int, *, is_enough: bool = False) -> None:
        """Answer what was asked as this one."""
        self.readers.answers[place].callback(Stretch(pickle.dumps(f"{place}"), is_enough))

    @property
    def asked(self) -> list[Any]:
        return [question for question, _ in self.readers.asked[1:]]

    def assert_joined(self, *expected: str) -> None:
        """What was found is put together, and that is the answer."""
        joining = self.asked[-1]
        self.assertIsInstance(joining, Joining)
        self.assertEqual([pickle.loads(stretch.packed) for stretch in joining.stretches], [*expected])
        self.readers.answers[-1].callback("joined")
        self.assertEqual(self.successResultOf(self.answer), "joined")

    def test_what_is_soon_answered_is_not_divided(self) -> None:
        self.readers.answers[0].callback(Begun("whole"))
        self.assertEqual(self.successResultOf(self.answer), "whole")
        self.assertEqual(len(self.readers.asked), 1)

    def test_two_are_asked_at_a_time_in_their_order(self) -> None:
        self.begin()
        self.assertEqual(self.asked, self.questions[:2])
        self.stretch(2)
        self.assertEqual(self.asked, self.questions[:3])
        self.stretch(1)
        self.assertEqual(self.asked, self.questions)
        self.stretch(4)
        self.assertEqual(self.asked, self.questions)
        self.stretch(3)
        self.assert_joined("0", "1", "2", "3", "4")

    def test_what_is_not_needed_is_given_up(self) -> None:
        self.begin()
        self.stretch(1, is_enough=True)
        self.assertEqual(self.asked, self.questions[:2])
        self.assertTrue(self.readers.is_given_up(2))
        self.readers.answers[2].errback(CancelledError())
        self.assert_joined("0", "1")

    def test_what_comes_before_is_waited_for(self) -> None:
        self.begin()
        self.stretch(2, is_enough=True)
        self.assertEqual(self.asked, self.questions[:2])
        self.assertFalse(self.readers.is_given_up(1))
        self.stretch(1)
        self.assert_joined("0", "1", "2")

    def test_one_that_fails_ends_all(self) -> None:
        for failing, other in ((1, 2), (2, 1)):
            self.setUp()
            self.begin()
            self.readers.answers[failing].errback(QueryTimeout("late"))
            self.failureResultOf(self.answer, QueryTimeout)
            self.assertTrue(self.readers.is_given_up(other))
            self.readers.answers[other].errback(CancelledError())
            self.assertEqual(self.asked, self.questions[:2])

    def test_whoever_goes_away_ends_whatever_is_read(self) -> None:
        self.begin()
        self.asking.give_up()
        for place in (1, 2):
            self.assertTrue(self.readers.is_given_up(place))
            self.readers.answers[place].errback(CancelledError())
        self.failureResultOf(self.answer, CancelledError)
        self.assertEqual(self.asked, self.questions[:2])


class BeginningTests(SqliteFiles, TestCase):
    """What is to be asked in stretches, over some hundred messages."""

    now = NOW + SPAN

    def setUp(self) -> None:
        self.begin(undivided=50)

    def begin(self, undivided: int) -> None:
        self.backend = SqliteBackend(
            scratch(self) / "events.db",
            NO_SYNC,
            retention=RETENTION,
            now=lambda: self.now,
            reactor=reactor,
            sizes=evolve(SIZES, segments=SegmentSizes(segment_rows=20)),
            dialect=SqliteDialect(Fetching(undivided=undivided)),
        )
        self.backend.open()
        self.addCleanup(self.backend.close)

    async def filled(self) -> None:
        for place in range(30):
            texts = [message("aa" if place % 10 else "b", NOW + 10 * place + each) for each in range(10)]
            await self.backend.write(Batch.of(texts))

    async def begun(self, question: Any) -> Begun:
        division = question.division()
        assert division is not None
        return await self.backend.read(Beginning(question, division), timeout=60)

    def page(self, limit: int, *, is_newest_first: bool = True) -> Pages:
        selection = evolve(SELECTION, is_newest_first=is_newest_first)
        return Pages([selection], 0, Limits(limit))

    async def test_stretches_have_all_the_time_once_in_the_order_of_the_answer(self) -> None:
        await self.filled()
        for is_newest_first in (True, False):
            begun = await self.begun(self.page(1000, is_newest_first=is_newest_first))
            stretches = [each.selection for each in begun.left]
            self.assertGreater(len(stretches), 2)
            if is_newest_first:
                stretches.reverse()
            for before, after in pairwise(stretches):
                self.assertEqual(before.end, after.begin)
            (found,) = begun.found
            ((first,),) = [pickle.loads(found.packed)]
            if is_newest_first:
                self.assertEqual(stretches[0].begin, SELECTION.begin)
                self.assertTrue(all(row.time >= stretches[-1].end for row in first.rows))
            else:
                self.assertEqual(stretches[-1].end, SELECTION.end)
                self.assertTrue(all(row.time < stretches[0].begin for row in first.rows))

    async def test_a_page_that_is_soon_full_is_not_divided(self) -> None:
        await self.filled()
        begun = await self.begun(self.page(3))
        self.assertEqual(begun.left, ())
        self.assertEqual(len(begun.answer[0].rows), 3)
        self.assertTrue(begun.answer[0].is_cut)

    async def test_what_is_little_is_not_divided(self) -> None:
        self.begin(undivided=1000)
        await self.filled()
        for question in (self.page(1000), CountsQuestion(Counting(SELECTION), 0)):
            self.assertEqual((await self.begun(question)).left, ())

    async def test_counts_are_divided(self) -> None:
        await self.filled()
        question = CountsQuestion(Counting(SELECTION, ("name",), top=1), 0)
        begun = await self.begun(question)
        self.assertEqual([*begun.found], [])
        division = question.division()
        assert division is not None
        answers = [await self.backend.read(division.about(each.selection), timeout=60) for each in begun.left]
        self.assertGreater(len(answers), 2)
        self.assertEqual(division.joined(answers), await self.backend.read(question, timeout=60))

    def test_what_censuses_tell_is_not_divided(self) -> None:
        for counting in (
            Counting(Selection(), ("hostname",), with_times=False),
            # So many groups are not handed on.
            Counting(SELECTION, ("hostname",), 60 * SECOND, top=10),
        ):
            self.assertIsNone(CountsQuestion(counting, 0).division())
