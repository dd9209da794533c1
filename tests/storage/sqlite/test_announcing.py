"""What the process that writes is sent before it is asked to write it."""

from __future__ import annotations

import gc
import sqlite3
from contextlib import closing

from twisted.internet.defer import gatherResults

from ccstore.batch import Batch
from ccstore.interfaces import CommitUnknown, StoreError, StoreUnavailable
from ccstore.storage.sqlite.writer_calls import Call
from tests.support.stores import message, messages
from tests.support.writer_processes import ProcessCase


class AnnouncingTests(ProcessCase):
    """Messages that are sent in advance, alone or in several parts."""

    def setUp(self) -> None:
        super().setUp()
        self.open_announcing(worth=1)

    def requests(self) -> list[tuple[Call, int]]:
        """What the process is asked for from now on, and how many pieces are sent with it."""
        self.processes.calls.clear()
        return self.processes.calls

    def announce(self, *texts: str) -> list[Batch]:
        """Parts, of which all but the last are announced."""
        parts = [messages(text, hostname=text) for text in texts]
        for count in range(1, len(parts)):
            self.backend.announce(parts[:count])
        return parts

    async def test_what_was_prepared_is_held_until_it_is_written(self) -> None:
        batch = messages("ab")
        self.backend.prepare(batch)
        self.assertEqual(self.holders(batch), 1)
        await self.backend.write(batch)
        self.assertEqual(self.holders(batch), 0)

    async def test_what_was_announced_is_held_until_something_else_is(self) -> None:
        batch, _ = self.announce("a", "b")
        self.assertEqual(self.holders(batch), 1)
        self.backend.announce([messages("c")])
        self.assertEqual(self.holders(batch), 0)

    def holders(self, batch: Batch) -> int:
        """In how many places it is held with what was packed of it."""
        return sum(type(each) is tuple and len(each) == 3 for each in gc.get_referrers(batch))

    async def test_messages_that_were_packed_for_an_earlier_book(self) -> None:
        await self.backend.close()
        self.open_announcing(series_held=1)
        batches = [Batch.of([message(host, hostname=host)]) for host in "abcd"]
        for batch in batches:
            self.backend.prepare(batch)
        await self.backend.write(Batch.together(batches[:3]))
        await self.backend.write(batches[3])
        await gatherResults([self.offer("e"), self.offer("f")])
        self.assertEqual(self.rows(), list("abcdef"))
        with closing(sqlite3.connect(self.path)) as connection:
            found = connection.execute(
                "SELECT field, hostname FROM alex_events ORDER BY id LIMIT 4"
            ).fetchall()
        self.assertEqual(found, [(host, host) for host in "abcd"])

    async def test_messages_that_were_not_packed(self) -> None:
        batches = [messages("ab"), messages("cd")]
        self.backend.prepare(batches[0])
        await self.backend.write(Batch.together(batches))
        self.assertEqual(self.rows(), list("abcd"))

    async def test_what_was_announced_is_not_sent_again(self) -> None:
        await self.offer("a")
        found = self.requests()
        parts = self.announce("bc", "de", "fg")
        await self.backend.write(Batch.together(parts))
        self.assertEqual(found, [(Call.ANNOUNCE, 1), (Call.ANNOUNCE, 1), (Call.WRITE, 1)])
        # There may be nothing left.
        self.backend.announce(parts[:2])
        await self.backend.write(Batch.together(parts[:2]))
        self.assertEqual(found[3:], [(Call.ANNOUNCE, 2), (Call.WRITE, 0)])
        self.assertEqual(self.rows(), list("abcdefgbcde"))

    async def test_nothing_is_announced_for_a_while_after_something_else_was_written(self) -> None:
        await self.backend.close()
        self.open_announcing(worth=1, rests=2)
        await self.offer("a")
        found = self.requests()
        parts = self.announce("b", "c")
        await self.offer("d")
        for _ in range(3):
            self.backend.announce(parts[:1])
        await self.backend.write(Batch.together(parts))
        self.assertEqual([name for name, _ in found], [Call.ANNOUNCE, Call.WRITE, Call.ANNOUNCE, Call.WRITE])
        self.assertEqual(self.rows(), list("adbc"))

    async def test_little_and_very_much_is_not_announced(self) -> None:
        for limits, text, is_announced in (
            ({"worth": 100}, "a", False),
            ({"worth": 1}, "b", True),
            ({"worth": 1, "size": 100}, "c" * 100, False),
            ({"worth": 1, "size": 10000}, "d" * 100, True),
            ({"worth": 1, "series": 0}, "e", False),
        ):
            await self.backend.close()
            self.open_announcing(**limits)
            found = self.requests()
            self.announce(text, "x")
            await self.backend.tend(self.now)
            self.assertEqual(found[0][0] is Call.ANNOUNCE, is_announced, limits)

    async def test_nothing_is_announced_while_something_is_done(self) -> None:
        found = self.requests()
        done = self.offer("a")
        parts = self.announce("b", "c")
        await done
        await self.backend.write(Batch.together(parts))
        self.assertEqual([name for name, _ in found], [Call.WRITE, Call.WRITE])
        self.assertEqual(self.rows(), list("abc"))

    async def test_a_stream_that_was_made_for_what_was_taken_back_is_made_again(self) -> None:
        parts = self.announce("a", "b")
        await self.backend.tend(self.now)
        await self.offer("c")
        await self.backend.write(Batch.together(parts))
        with closing(sqlite3.connect(self.path)) as connection:
            found = connection.execute("SELECT field, hostname FROM alex_events ORDER BY id").fetchall()
        self.assertEqual(found[1:], [("a", "a"), ("b", "b")])

    async def test_what_was_announced_to_a_file_that_somebody_else_writes(self) -> None:
        await self.offer("a")
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            parts = self.announce("b", "c", "d")
            with self.assertRaisesRegex(StoreUnavailable, "database is locked"):
                await self.backend.write(Batch.together(parts))
        await self.backend.write(Batch.together(parts))
        self.assertEqual(self.rows(), list("abcd"))

    async def test_a_message_at_fault_that_was_announced_is_refused(self) -> None:
        await self.offer("a")
        parts = self.announce("bc", "\ud800", "d")
        with self.assertRaises(StoreError) as caught:
            await self.backend.write(Batch.together(parts))
        self.assertNotIsInstance(caught.exception, StoreUnavailable)
        self.assertEqual(self.rows(), ["a"])
        await self.backend.write(Batch.together([parts[0], parts[2]]))
        self.assertEqual(self.rows(), list("abcd"))

    async def test_a_process_that_is_killed_after_something_was_announced(self) -> None:
        await self.offer("a")
        for is_late in (False, True):
            parts = self.announce("b", "c")
            self.processes.interrupt(is_late=is_late)
            batch = Batch.together(parts)
            with self.assertRaises(CommitUnknown):
                await self.backend.write(batch)
            await self.backend.write(batch)
        self.assertEqual(self.rows(), list("abcbc"))
        parts = self.announce("d", "e")
        self.processes.kill()
        self.backend.announce([*parts, messages("f")])
        batch = Batch.together(parts)
        with self.assertRaises(CommitUnknown):
            await self.backend.write(batch)
        await self.backend.write(batch)
        self.assertEqual(self.rows(), list("abcbcde"))
