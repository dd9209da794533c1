"""Newcomers at a port."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ccstore.network.admission import Door


class Port:
    """Remembers how many it would take in one go; 0 if it takes nobody."""

    numberAccepts = 100
    is_paused = False

    def pauseProducing(self) -> None:
        self.is_paused = True

    def resumeProducing(self) -> None:
        self.is_paused = False


class DoorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.port = Clock(), Port()
        self.door = Door(self.clock, cast(Any, self.port))

    def test_when_it_is_closed_one_is_let_in_now_and_then(self) -> None:
        self.door.close()
        self.assertTrue(self.port.is_paused)
        for _ in range(3):
            self.clock.advance(1)
            self.assertEqual((self.port.is_paused, self.port.numberAccepts), (False, 1))
            self.door.close()  # nobody may have come yet
            self.assertFalse(self.port.is_paused)
            self.port.numberAccepts = 21  # as Twisted does when one came
            self.door.somebody_came()
            self.assertTrue(self.port.is_paused)

    def test_when_it_is_open_it_stays_so(self) -> None:
        self.door.close()
        self.door.open()
        self.door.somebody_came()
        self.assertFalse(self.port.is_paused)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_is_done_to_a_port_that_is_to_be_closed_for_good(self) -> None:
        self.door.close()
        self.door.remove()
        self.clock.advance(1)
        self.assertTrue(self.port.is_paused)

    def test_a_port_that_cannot_be_closed_for_now_stays_open(self) -> None:
        door = Door(self.clock, cast(Any, object()))
        door.close()
        door.open()
        self.assertEqual(self.clock.getDelayedCalls(), [])
