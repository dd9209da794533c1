"""One order by every way: messages are written, paged, exported, tailed and looked at while more come in."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from contextlib import closing
from itertools import count
from typing import Any

import psycopg2
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.sizes import SegmentSizes, Sizes
from tests.api.test_message_answers import BASE, MessagesTestCase, log
from tests.api.test_tail import Reader
from tests.support.postgres_case import Databases
from tests.support.scratch import scratch
from tests.support.sinks import event

YEAR = 365 * 86400 * 10**9
RETENTION = 30 * 86400.0


def _order(message: Any) -> tuple[int, str]:
    """As far as a client can tell: at one time, events stand before logs."""
    return int(message["time_ns"]), message["kind"]


class _Ways(MessagesTestCase):
    """Reads all there is by every way, and writes in between.

    :ivar steps: how often something is written, which is looked at after each.
    :ivar held: all that is stored, in the order in which it was acknowledged.
    """

    steps = 16

    async def asked_in_turns(self, seed: int) -> None:
        pick = random.Random(seed)
        self.held: list[str] = []
        self.numbers = count()
        reader = await self.following()
        await self.write_some(pick, 1000)
        for _ in range(self.steps):
            await pick.choice((self.paged, self.exported, self.with_context, self.tended))(pick)
            if pick.random() < 0.3:
                reader = await self.come_again(reader, pick)
        await self.check_all(reader)

    async def write_some(self, pick: random.Random, number: int) -> None:
        await self.begin_to_write(pick, number)

    def begin_to_write(self, pick: random.Random, number: int) -> Deferred[None]:
        """Mostly of one nanosecond; some clocks are off by a year, of events only into the future."""
        lines = []
        for _ in range(number):
            text = f"t{next(self.numbers)}"
            at = BASE + pick.choice((0, 0, 0, 0, 0, 0, 1, -1, YEAR, pick.randrange(-(10**9), 10**9)))
            if pick.random() < 0.5:
                lines.append(log(text, at - pick.choice((0, 0, 0, YEAR))))
            else:
                lines.append(event(text, time=at))
            self.held.append(text)
        return Deferred.fromCoroutine(self._write(lines))

    async def _write(self, lines: list[bytes]) -> None:
        answer = await self.write(*lines, path="/api/write/?precision=ns")
        self.assertEqual(answer.status, 200)

    async def tended(self, pick: random.Random) -> None:
        """More comes in; segments are sealed, merged and divided meanwhile."""
        await self.write_some(pick, pick.randrange(1, 60))

    async def paged(self, pick: random.Random) -> None:
        """What was there at the beginning is on the pages once and in order, whatever comes meanwhile."""
        before = {*self.held}
        order, limit = pick.choice(("newest", "oldest")), pick.choice((37, 400, 1000))
        found: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            answer = (await self.get("messages", order=order, limit=limit, **cursor)).json
            found += answer["messages"]
            if answer["cursor"] is None:
                break
            cursor = {"cursor": answer["cursor"]}
            if pick.random() < 0.5:
                await self.write_some(pick, pick.randrange(1, 30))
        self.check(found, before, order)

    async def exported(self, pick: random.Random) -> None:
        before = {*self.held}
        order = pick.choice(("newest", "oldest"))
        asked = Deferred.fromCoroutine(self.get("messages", order=order, format="ndjson", end="true"))
        await self.write_some(pick, pick.randrange(1, 60))
        *found, end = map(json.loads, (await asked).body.splitlines())
        self.assertEqual(end, {"end": {"messages": len(found)}})
        self.check(found, before, order)

    async def with_context(self, pick: random.Random) -> None:
        """From message to message by what stands around each."""
        oldest = (await self.get("messages", order="oldest", limit=1)).json["messages"]
        found: list[Any] = [*oldest]
        before = {*self.held}
        while True:
            number = found[-1]["id"]
            size = pick.choice((300, 700))
            around = (await self.get(f"messages/{number}/context", before=3, after=size)).json
            place = around["place"]
            self.assertEqual(around["messages"][place], found[-1])
            self.assertEqual([*map(_id, around["messages"][:place])], [*map(_id, found[:-1])][-3:])
            found += around["messages"][place + 1 :]
            if around["is_last"]:
                break
        self.check(found, before, "oldest")

    def check(self, found: Sequence[Any], before: set[str], order: str) -> None:
        ids = [*map(_id, found)]
        self.assertEqual(len({*ids}), len(ids))
        self.assertEqual(before - {message["text"] for message in found}, set())
        keys = [*map(_order, found)]
        self.assertEqual(keys, sorted(keys, reverse=order == "newest"))

    # -- tails

    async def following(self, **headers: str) -> Reader:
        client = await self.connect("REST")
        self.addCleanup(client.transport.loseConnection)
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        client.transport.write(f"GET /api/v1/tail HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode())
        await client.until(b"id: ")
        self.told: list[tuple[str, str]] = getattr(self, "told", [])
        return Reader(client)

    async def come_again(self, reader: Reader, pick: random.Random) -> Reader:
        """A tail breaks off somewhere, and goes on behind the last that was read of it."""
        _, _, body = reader.client.received.partition(b"\r\n\r\n")
        # What is cut off in the middle of an event is as if it had not come.
        events = [event for event in reader.events if event.number is not None]
        kept = events[: pick.randrange(len(events) + 1)]
        reader.client.transport.abortConnection()
        # These may be on their way into the database when the tail begins.
        writes = [self.begin_to_write(pick, pick.randrange(1, 100)) for _ in range(3)]
        if not kept:
            last = getattr(self, "last", None) or body.partition(b"id: ")[2].partition(b"\n")[0].decode()
        else:
            last = str(kept[-1].number)
        self.told += [(each.data["id"], each.data["text"]) for each in kept]
        self.last = last
        again = await self.following(last_event_id=last)
        for each in writes:
            await each
        return again

    async def check_all(self, reader: Reader) -> None:
        """Every way has led to all of it, in one order."""
        await self.write(log("the end", BASE), path="/api/write/?precision=ns")
        events = await reader.until('"the end"')
        self.told += [(each.data["id"], each.data["text"]) for each in events]
        self.assertEqual(self.told.pop()[1], "the end")
        self.assertEqual(sorted(text for _, text in self.told), sorted(self.held))
        self.assertEqual(len({*self.told}), len(self.told))
        orders = []
        for order in ("newest", "oldest"):
            exported = (await self.get("messages", order=order, format="ndjson")).body
            orders.append([*map(json.loads, exported.splitlines())])
        newest, oldest = orders
        self.assertEqual(newest[::-1], oldest)
        known = {message["id"]: message["text"] for message in oldest}
        self.assertEqual(known | dict(self.told), known)
        self.assertEqual(len(known), len(self.held) + 1)


def _id(message: Any) -> Any:
    return message["id"]


class SqliteOrderTests(_Ways):
    """Segments are so small that they are sealed, merged and divided all the time."""

    async def test_one_order_by_every_way(self) -> None:
        for seed in range(2):
            segments = SegmentSizes(segment_rows=100, indexed_rows=20, merged_segments=3, merged_rows=64)
            backend = SqliteBackend(
                scratch(self) / "small.db",
                {},
                retention=RETENTION,
                now=time.time_ns,
                reactor=reactor,
                sizes=Sizes(segments, merging_seconds=(0.5, 0.5), dividing_seconds=(0.5, 0.5)),
            )
            self.start(backend=backend)
            self.told = []
            self.last = ""
            await self.asked_in_turns(seed)


class PostgresOrderTests(Databases, _Ways):
    steps = 6

    async def test_one_order_by_every_way(self) -> None:
        self.now = time.time_ns()
        self.start(backend=self.backend_at(retention=RETENTION))
        await self.asked_in_turns(7)

    async def test_a_batch_that_is_being_written_when_a_tail_begins_is_told(self) -> None:
        """It has its ids already, and cannot be seen yet."""
        self.now = time.time_ns()
        self.start(backend=self.backend_at(retention=RETENTION))
        await self.write(log("first", BASE))
        with closing(psycopg2.connect(**self.server.parameters(self.database))) as other:
            other.cursor().execute("LOCK TABLE ccstore_log IN EXCLUSIVE MODE")
            writing = Deferred.fromCoroutine(self.write(log("held", BASE)))
            while (await self.waiting()) == 0:
                pass
            readers = [await self.following()]
            other.rollback()
            await writing
        await self.write(log("the end", BASE))
        for reader in readers:
            await reader.until("the end")
            self.assertEqual(reader.texts, ["held", "the end"])

    async def waiting(self) -> int:
        """Statements that wait for a lock."""
        ((number,),) = await deferToThread(self.sql, "SELECT count(*) FROM pg_locks WHERE NOT granted")
        return int(number)
