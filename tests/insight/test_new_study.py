"""What is new in a store: how much is looked at to know it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ccstore.batch import Batch
from ccstore.insight.fold_study import FoldBounds
from ccstore.insight.new_study import NewInquiry
from ccstore.query import Page, Selection
from ccstore.storage.reading.pages import Limits, Pages
from tests.support.concluding import conclude
from tests.support.stores import NOW, SECOND, MemoryBackend, message


class NewInStoreTests(SynchronousTestCase):
    """The store is in memory, and gives ten messages at a time."""

    def setUp(self) -> None:
        self.backend = MemoryBackend()
        self.backend.open()
        self.looked_at = 0

    def store(self, *texts: str, ago: int) -> None:
        batch = Batch.of([message(text, NOW - ago * SECOND - place) for place, text in enumerate(texts)])
        self.successResultOf(self.backend.write(batch))

    def page(self, selection: Selection) -> Page:
        page: Page
        (page,) = self.successResultOf(self.backend.read(Pages([selection], -(2**63), Limits(10)), timeout=1))
        self.looked_at += len(page.rows)
        return page

    def find(self, **bounds: int) -> Mapping[str, Any]:
        """What is new in the last minute."""
        selection = Selection(begin=NOW - 60 * SECOND, end=NOW + SECOND)
        inquiry = NewInquiry(selection, "store", SECOND, bounds=FoldBounds(**bounds))
        answer: Mapping[str, Any] = conclude(inquiry.study(), self.page, None, None)  # type: ignore[arg-type]
        return answer

    def test_no_more_is_looked_at_than_tells_that_nothing_is(self) -> None:
        self.store("retry 1", "link is down", ago=5)
        self.store("link is down", *["retry 2"] * 5, ago=100)
        self.store(*["fan is slow"] * 500, ago=200)
        found = self.find(rows=300)
        self.assertEqual((found["folds"], found["total"], found["cut"]), ([], 0, None))
        self.assertEqual(self.looked_at, 12)

    def test_what_is_new_takes_a_look_at_all(self) -> None:
        self.store("retry 1", "link is down", "link is down", ago=5)
        self.store(*["retry 2"] * 200, ago=100)
        found = self.find()
        self.assertEqual(
            [(each["template"], each["count"]) for each in found["folds"]], [("link is down", 2)]
        )
        self.assertEqual((self.looked_at, found["cut"]), (203, None))
        cut = self.find(rows=50)["cut"]
        self.assertIn("of what was before: only the newest 50 messages", cut)

    def test_more_templates_than_are_told_apart(self) -> None:
        """What is known makes room for what is new."""
        words = ["ant", "bee", "cat", "dog"]
        self.store(*words, "eel", ago=5)
        self.store(*words, ago=100)
        found = self.find(templates=4)
        self.assertEqual([each["template"] for each in found["folds"]], ["eel"])
        self.assertEqual((found["total"], found["cut"]), (1, None))
