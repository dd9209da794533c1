"""The last hour, noted again and again."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ccstore.accounting.history import History, Moment

EMPTY = Moment(0.0, {"tcp": (0, 0, 0, 0)}, waiting=0, batches=0, seconds=0.0)


class Case(SynchronousTestCase):
    """A history on a clock of the test.

    :cvar most: spans that it keeps.
    """

    most = 360

    def setUp(self) -> None:
        self.clock = Clock()
        self.now = EMPTY
        self.history = History(self.clock, self.take, most=self.most)
        self.history.start()
        self.addCleanup(self.history.stop)

    def take(self) -> Moment:
        return evolve(self.now, time=self.clock.seconds())

    def go_on(self, span: int = 10, **figures: Any) -> None:
        """These are the figures from now on; time goes on."""
        self.now = evolve(self.now, **figures)
        self.clock.pump([10.0] * (span // 10))


class HistoryTests(Case):
    most = 4

    def test_each_span_has_what_came_in_it(self) -> None:
        self.go_on(
            books={"tcp": (5, 3, 1, 1)}, waiting=7, batches=2, seconds=0.5, size=100, used=60, memory=9
        )
        self.go_on(books={"tcp": (5, 3, 1, 1)})
        self.go_on(books={"tcp": (6, 4, 1, 1)}, waiting=0, batches=3, seconds=0.7)
        shown = self.history.as_json()
        self.assertEqual((shown["begin"], shown["times"]), (0.0, [10.0, 20.0, 30.0]))
        self.assertEqual(
            shown["receivers"],
            {
                "tcp": {
                    "received": (5, 0, 1),
                    "stored": (3, 0, 1),
                    "rejected": (1, 0, 0),
                    "dropped": (1, 0, 0),
                }
            },
        )
        self.assertEqual(shown["waiting"], [7, 7, 0])
        self.assertEqual((shown["commits"], shown["commit_seconds"]), ([2, 0, 1], [0.25, None, 0.2]))
        self.assertEqual(
            [shown[name] for name in ("bytes", "used_bytes", "memory_bytes")], [[100] * 3, [60] * 3, [9] * 3]
        )

    def test_the_oldest_are_forgotten(self) -> None:
        for count in range(1, 20):
            self.go_on(books={"tcp": (count, count, 0, 0)})
        shown: Any = self.history.as_json()
        self.assertEqual((shown["begin"], shown["times"]), (150.0, [160.0, 170.0, 180.0, 190.0]))
        self.assertEqual(shown["receivers"]["tcp"]["received"], (1, 1, 1, 1))

    def test_receivers_come_and_go(self) -> None:
        self.go_on(books={"tcp": (2, 2, 0, 0), "udp": (4, 4, 0, 0)})
        self.go_on(books={"udp": (1, 1, 0, 0)})  # another one of that name
        received = {
            name: books["received"]
            for name, books in self.history.as_json()["receivers"].items()  # type: ignore[attr-defined]
        }
        self.assertEqual(received, {"tcp": (2, None), "udp": (4, 0)})

    def test_what_fails_once_is_tried_again(self) -> None:
        self.now = None  # type: ignore[assignment]
        self.clock.pump([10.0])
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        self.now = EMPTY
        self.go_on(books={"tcp": (3, 3, 0, 0)})
        self.assertEqual(self.history.as_json()["times"], [20.0])

    def test_nothing_is_noted_after_the_end(self) -> None:
        self.history.stop()
        self.go_on(100)
        self.assertEqual(self.history.as_json()["times"], [])
        self.assertEqual(self.clock.getDelayedCalls(), [])


class RateTests(Case):
    def test_before_a_minute_is_over_it_is_since_the_start(self) -> None:
        self.assertEqual(self.history.rates(), (0.0, {"tcp": [0.0] * 4}))
        self.go_on(20, books={"tcp": (40, 20, 10, 0)})
        self.assertEqual(self.history.rates(), (20.0, {"tcp": [2.0, 1.0, 0.5, 0.0]}))

    def test_after_that_it_is_of_the_last_minute(self) -> None:
        self.go_on(600, books={"tcp": (1000, 1000, 0, 0)})
        self.go_on(30, books={"tcp": (1060, 1030, 30, 0)})
        self.assertEqual(self.history.rates(), (60.0, {"tcp": [1.0, 0.5, 0.5, 0.0]}))
        self.go_on(60)
        self.assertEqual(self.history.rates(), (60.0, {"tcp": [0.0] * 4}))

    def test_growth_is_what_more_is_taken(self) -> None:
        self.go_on(290, size=5000, used=1000)
        self.assertIsNone(self.history.growth(), "too early")
        self.go_on(20, used=1600)
        self.go_on(290)
        self.assertEqual(self.history.growth(), 600 / 590)

    def test_no_growth_is_known_where_no_size_is(self) -> None:
        self.go_on(3600)
        self.assertIsNone(self.history.growth())
