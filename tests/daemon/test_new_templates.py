"""Events that the daemon writes itself about templates it has never seen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ccstore.batch import Batch
from ccstore.daemon.new_templates import AnnouncingBounds, NewTemplates
from ccstore.errors import StoreError
from ccstore.insight.first_study import Sighting, SightingsInquiry
from ccstore.storage.reading.studying import StudyQuestion
from tests.support.stores import NOW, SECOND, MemoryBackend, message

EVERY = 30


class NewTemplatesTests(SynchronousTestCase):
    """The looks are made by hand, and the store is one in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW // SECOND)
        self.backend = MemoryBackend()
        self.backend.open()
        self.told: list[Any] = []
        self.failure: StoreError | None = None

    def store(self, *texts: str, name: str = "syslog") -> None:
        at = int(self.clock.seconds()) * SECOND
        for text in texts:
            self.successResultOf(
                self.backend.write(Batch.of([message(text, at, "log", name=name, hostname="a1")]))
            )

    def ask(self, inquiry: SightingsInquiry) -> Deferred[Mapping[str, Sighting]]:
        studied = self.backend.read(StudyQuestion(inquiry, -(2**63)), timeout=1)
        return studied.addCallback(attrgetter("found"))

    def accept(self, batch: Batch) -> Deferred[Any]:
        if self.failure is not None:
            return fail(self.failure)
        self.told += [(each.series.name, each.kind, json.loads(each.text)) for each in batch]
        return self.backend.write(batch)

    def begin(self, **bounds: Any) -> NewTemplates:
        new = NewTemplates(self.clock, self.ask, self.accept, AnnouncingBounds(every=EVERY, **bounds))
        new.start()
        self.addCleanup(new.stop)
        return new

    def templates(self) -> list[str]:
        return [told["template"] for _, _, told in self.told]

    def test_what_was_never_seen_is_told_once(self) -> None:
        self.store("retry 1 of job 7")
        self.begin()
        self.store("retry 2 of job 8", "link of ib0 is down", "link of ib1 is down")
        self.clock.advance(EVERY)
        self.assertEqual(
            self.told,
            [
                (
                    "template_new",
                    "event",
                    {
                        "template": "link of ib<num> is down",
                        "name": "syslog",
                        "example": "link of ib1 is down",
                        "count": 2,
                    },
                )
            ],
        )
        # Neither what is known now, nor the events themselves.
        self.store("link of ib2 is down")
        self.clock.pump([EVERY, EVERY])
        self.assertEqual(len(self.told), 1)

    def test_after_a_restart_nothing_is_new(self) -> None:
        self.begin().stop()
        self.store("one")
        self.clock.advance(1)
        self.begin()
        self.clock.advance(EVERY)
        self.assertEqual(self.told, [])

    def test_few_are_told_in_an_hour(self) -> None:
        self.begin(most=2)
        self.store("one", "two", "three")
        self.clock.advance(EVERY)
        self.assertEqual(len(self.told), 2)
        self.store("four")
        self.clock.advance(EVERY)
        self.assertEqual(len(self.told), 2)
        self.clock.advance(3600)
        self.store("five")
        self.clock.advance(EVERY)
        self.assertEqual(self.templates()[2:], ["five"])

    def test_what_cannot_be_stored_is_told_later(self) -> None:
        self.begin()
        self.store("one")
        self.failure = StoreError("the disk is full")
        self.clock.advance(EVERY)
        self.assertEqual(self.told, [])
        self.failure = None
        self.clock.advance(EVERY)
        self.assertEqual(self.templates(), ["one"])

    def test_too_many_are_not_told_of(self) -> None:
        self.store("one", "two", "three")
        self.begin(known=3)
        self.store("four")
        self.clock.advance(EVERY)
        self.assertEqual(self.told, [])
