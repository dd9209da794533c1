"""Questions that look at lines one by one wait for each other."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ccstore.config import ApiConfig
from ccstore.loki.answering_loki import LokiDesk
from ccstore.loki.loki_limits import LokiLimits
from ccstore.reading.query_service import QueryService
from ccstore.web.places import AnswerBounds
from tests.support.configuration import load
from tests.support.scratch import scratch


class WaitingTests(SynchronousTestCase):
    """So many have a turn at a time."""

    def setUp(self) -> None:
        config: ApiConfig = load(scratch(self)).api
        self.clock = Clock()
        service = QueryService(cast(Any, None), timeout=1)
        limits, bounds = LokiLimits(looking=1), AnswerBounds(config)
        self.desk = LokiDesk(config, service, self.clock, Deferred, bounds, limits)
        self.ended: list[str] = []

    def look(self, name: str, until: Deferred[None]) -> Deferred[float]:
        """Look at lines until something happens; fires with the time that it took."""

        async def question() -> float:
            budget = self.desk.budget()
            async with self.desk.looking(budget):
                await until
                self.ended.append(name)
                return budget.elapsed

        return Deferred.fromCoroutine(question())

    def test_one_waits_for_the_other(self) -> None:
        """The time that it waits is not its own."""
        first, second, third = Deferred[None](), Deferred[None](), Deferred[None]()
        asked = [self.look(name, until) for name, until in (("a", first), ("b", second), ("c", third))]
        second.callback(None)
        self.clock.advance(5)
        self.assertEqual(self.ended, [])
        # Who goes away while it waits has no turn.
        asked[2].cancel()
        self.failureResultOf(asked[2], CancelledError)
        first.callback(None)
        self.assertEqual(self.ended, ["a", "b"])
        self.assertEqual([self.successResultOf(each) for each in asked[:2]], [5.0, 0.0])
