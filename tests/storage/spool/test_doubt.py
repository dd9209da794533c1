"""What is spooled is stored once, whatever becomes of the news of a commit."""

from __future__ import annotations

from ccstore.interfaces import StoreUnavailable
from tests.support.spool_case import SpoolCase


class DoubtTests(SpoolCase):
    """Nothing is stored twice, whatever becomes of the news of a commit."""

    async def test_a_batch_whose_commit_was_not_heard_of(self) -> None:
        self.start()
        self.backend.forgets = True
        await self.accept("ab")
        self.assertEqual(self.stored(), ["a", "b"])
        await self.accept("c")
        self.backend.forgets = False
        await self.until_sent()
        self.assertEqual(self.stored(), list("abc"))

    async def test_a_group_whose_commit_was_not_heard_of(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("a")
        await self.accept("b")
        self.backend.is_away, self.backend.forgets = False, True
        await self.until(lambda: self.stored() == ["a"])
        await self.accept("c")
        self.backend.forgets = False
        await self.until_sent()
        self.assertEqual(self.stored(), list("abc"))

    async def test_a_crash_after_the_commit_and_before_it_is_noted(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("x")
        await self.accept("ab")
        await self.accept("c")
        self.backend.is_away = False
        self.backend.forgets = True
        # One after the other is in the database; nothing has been taken out of the spool after x.
        await self.until(lambda: self.stored() == ["x"])
        self.backend.forgets = False
        left: list[dict[str, bytes]] = []
        self.backend.committed = lambda texts: left.append(self.on_disk())
        await self.until(lambda: self.stored() == list("xabc"))
        self.backend.committed = lambda texts: None
        await self.crash(left[-1])
        self.start()
        self.assertEqual(self.figures["messages"], 3)
        await self.until_sent()
        self.assertEqual(self.stored(), list("xabc"))

    async def test_no_id_is_used_for_two_batches(self) -> None:
        self.start()
        self.backend.is_away = True
        await self.accept("56")
        for text in "abcdefg":
            await self.accept(text)
        self.backend.is_away, self.backend.refused = False, "5"
        await self.until_sent()
        by_id: dict[int, set[str]] = {}
        for texts, batch_id in self.backend.offered:
            if batch_id is not None:
                self.assertTrue(-(2**62) <= batch_id < 0)
                by_id.setdefault(batch_id, set()).add("".join(texts))
        self.assertEqual([texts for texts in by_id.values() if len(texts) > 1], [])
        self.assertEqual(self.stored(), list("6abcdefg"))

    async def test_what_somebody_waits_for_is_told_no_only_if_it_is_not_stored(self) -> None:
        self.start()
        self.backend.forgets = True
        first = self.accept("a", urgent=True)
        self.assertEqual(list(await first), [])
        self.backend.forgets, self.backend.is_away = False, True
        self.failureResultOf(self.accept("b", urgent=True), StoreUnavailable)
        self.backend.is_away = False
        await self.until_sent()
        self.assertEqual(self.stored(), ["a"])
