"""What is spooled is stored once, whatever becomes of the news of a commit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ccstore.batch import Batch, by_kind
from ccstore.interfaces import StoreUnavailable
from tests.support.spool_case import RETENTION, SpoolCase
from tests.support.stores import SECOND, messages


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


class PublishedTests(SpoolCase):
    """What comes from the spool is told to whoever follows: once, in order, with the ids that it has."""

    def setUp(self) -> None:
        super().setUp()
        self.told: list[tuple[int, str]] = []

    def published(self, messages: Batch, lasts: Mapping[str, int]) -> None:
        for kind, part in by_kind(messages):
            if kind in lasts:
                first = lasts[kind] - len(part) + 1
                self.told += [(number, message.text) for number, message in enumerate(part, first)]

    def begin(self, **more: Any) -> None:
        self.start(published=self.published, **more)

    def goes_away_at_the_commit(self) -> None:
        """The database commits once more, and nobody hears of it."""

        def committed(texts: list[str]) -> None:
            self.backend.is_away = True

        self.backend.forgets = True
        self.backend.committed = committed

    def is_back(self) -> None:
        self.backend.is_away = self.backend.forgets = False

    def told_once(self, texts: str) -> None:
        self.assertEqual(self.told, [*enumerate(texts, 1)])
        self.assertEqual(self.stored(), [*texts])

    async def test_what_was_spooled_while_the_database_was_away(self) -> None:
        self.begin()
        await self.accept("ab")
        self.backend.is_away = True
        for text in "cdefg":
            await self.accept(text)
        self.backend.is_away = False
        await self.until_sent()
        await self.accept("h")
        self.told_once("abcdefgh")

    async def test_what_was_in_doubt_and_is_there(self) -> None:
        """Before it went into the spool, and again on its way out of it."""
        self.begin()
        self.backend.forgets = True
        await self.accept("ab")
        self.assertEqual(self.told, [])
        await self.accept("c")
        await self.accept("d")
        await self.until(lambda: self.stored() == [*"abcd"])
        self.backend.forgets = False
        await self.until_sent()
        await self.accept("e")
        self.told_once("abcde")

    async def test_what_another_process_has_stored_is_not_told(self) -> None:
        """Whoever follows has begun behind it, or finds it in the database."""
        self.begin()
        self.goes_away_at_the_commit()
        await self.accept("ab")
        await self.crash()
        self.backend.forgets_its_own()
        self.is_back()
        self.begin()
        await self.until_sent()
        self.assertEqual(self.told, [])
        self.assertEqual(self.stored(), [*"ab"])

    async def test_what_expires_while_it_is_in_doubt_leaves_the_other_ids_as_they_are(self) -> None:
        """Also if all of it does: it stays in the spool until it is known what became of it."""
        for texts, ids in (("bc", (1, 2, 3)), ("", (4,))):
            self.told = []
            self.begin()
            self.goes_away_at_the_commit()
            now = int(self.clock.seconds()) * SECOND
            batch = messages("a", now - int((RETENTION - 60) * SECOND))
            batch.extend(messages(texts, now))
            accepted = self.service.accept(batch, urgent=False)
            self.service.flush()
            await accepted
            self.clock.advance(600)
            self.is_back()
            await self.until_sent()
            self.assertEqual(self.told, [*zip(ids, "a" + texts, strict=True)])
            self.assertEqual(self.figures["sent"], len(ids))
            await self.stop()
