"""How long the oldest of what waits has waited."""

from __future__ import annotations

from tests.support.service_case import ServiceCase


class WaitingTimeTests(ServiceCase):
    def oldest(self) -> object:
        return self.service.stats()["storage"]["oldest_waiting_seconds"]  # type: ignore[index]

    def test_nothing_waits(self) -> None:
        self.clock.pump([1.0] * 5)
        self.assertEqual(self.oldest(), 0.0)

    def test_it_grows_until_what_waits_is_committed(self) -> None:
        self.accept("a")
        self.clock.pump([1.0] * 5)
        self.assertEqual(self.oldest(), 4.0)
        self.accept("b")
        self.clock.pump([1.0] * 10)
        self.assertEqual(self.oldest(), 14.0)
        self.commit()
        self.assertEqual(self.oldest(), 9.0, "what came later has not waited as long")
        self.commit()
        self.assertEqual(self.oldest(), 0.0)

    def test_a_database_that_takes_nothing_makes_it_grow(self) -> None:
        self.accept("a", urgent=False)
        self.clock.pump([1.0] * 3)
        self.lock()
        self.clock.pump([1.0] * 60)
        self.assertEqual(self.oldest(), 62.0)

    def test_it_is_looked_at_no_more_after_the_end(self) -> None:
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])


class CommitTimeTests(ServiceCase):
    def test_batches_take_what_they_take(self) -> None:
        for seconds in (0.25, 0.5):
            self.accept("a")
            self.clock.advance(seconds)
            self.commit()
        storage = self.service.stats()["storage"]
        self.assertEqual(storage["write_seconds"], 0.75)  # type: ignore[index]
