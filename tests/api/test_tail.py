"""Messages as they come, as server-sent events: in their order, none missed and none twice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ccstore.daemon.assembly import build
from ccstore.message import INT64_MIN
from ccstore.query import Arrival, Selection
from ccstore.reading.feed import Feed, Gap
from tests.api.test_message_answers import BASE, MessagesTestCase, log, unchunked
from tests.support.configuration import load
from tests.support.loopback import Client, Loopback
from tests.support.scratch import scratch
from tests.support.stores import NOW, ToldBackend, messages


class Event(NamedTuple):
    """What a client makes of an event."""

    name: str
    data: Any
    number: str | None


class Reader:
    """A client of a tail."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def until(self, text: str) -> Sequence[Event]:
        """All events, once one has this text."""
        await self.client.until(text.encode())
        await self.client.until(b"\n\n\r\n")
        return [*self.events]

    @property
    def events(self) -> Iterator[Event]:
        """What has come, chunks and comments left out."""
        _, _, body = self.client.received.partition(b"\r\n\r\n")
        for block in unchunked(body).decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if "data" in fields:
                yield Event(fields["event"], json.loads(fields["data"]), fields.get("id"))

    @property
    def texts(self) -> list[str]:
        return [event.data["text"] for event in self.events if event.name == "message"]


class TailTests(MessagesTestCase):
    async def follow(self, query: str = "", **headers: str) -> Reader:
        """Begin to follow; it has begun when this is done."""
        client = await self.connect("REST")
        self.addCleanup(client.transport.loseConnection)
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        client.transport.write(f"GET /api/v1/tail?{query} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode())
        await client.until(b"id: ")
        return Reader(client)

    async def test_what_is_stored_is_told_in_its_order(self) -> None:
        self.start()
        reader = await self.follow()
        for batch in range(3):
            await self.write(*[log(f"text {batch} {place}", BASE - place) for place in range(5)])
        await reader.until("text 2 4")
        self.assertEqual(reader.texts, [f"text {batch} {place}" for batch in range(3) for place in range(5)])
        head = reader.client.received.partition(b"\r\n\r\n")[0].lower()
        self.assertIn(b"content-type: text/event-stream; charset=utf-8", head)
        self.assertIn(b"cache-control: no-store", head)

    async def test_only_what_was_asked_for_is_told(self) -> None:
        """By labels, tags, text and time, as it would be found."""
        self.start()
        queries = ("host=a%5B1-2%5D", "tag.loglevel=err", "text=FULL", "regex=x$", "kind=event", "from=-1h")
        readers = [await self.follow(query) for query in queries]
        await self.write(
            log("full", BASE, hostname="a1"),
            log("x", BASE, hostname="a3", loglevel="err"),
            log("full x", BASE - 7200 * 10**9, hostname="a2"),
            b'job,cluster=alex,hostname=a9 event="e"',
            *[log("full x", BASE, hostname="a1", loglevel="err") + b" "],
        )
        await self.write(
            log("end full x", BASE, hostname="a1", loglevel="err"), b'j,cluster=alex event="end"'
        )
        found = []
        for reader in readers:
            await reader.until('"text":"end')
            found.append([text for text in reader.texts if not text.startswith("end")])
        self.assertEqual(found[0], ["full", "full x", "full x"])
        self.assertEqual(found[1], ["x", "full x"])
        self.assertEqual(found[2], ["full", "full x", "full x"])
        self.assertEqual(found[3], ["x", "full x", "full x"])
        self.assertEqual(found[4], ["e"])
        self.assertEqual(sorted(found[5]), ["e", "full", "full x", "x"])

    async def test_goes_on_after_any_event(self) -> None:
        """From the header that browsers send, or the cursor, also when the daemon was away meanwhile."""
        self.start()
        reader = await self.follow()
        kinds = ("event", "log", "log")
        lines = [
            f'j,cluster=alex {kinds[place % 3]}="text {place}" {BASE + place}'.encode() for place in range(30)
        ]
        for begin in (0, 10, 20):
            await self.write(*lines[begin : begin + 10], path="/api/write/?precision=ns")
        events = await reader.until("text 29")
        everything = {event.data["id"] for event in events}
        self.assertEqual(len(everything), 30)
        for place in range(0, 30, 4):
            seen = {event.data["id"] for event in events[: place + 1]}
            number = str(events[place].number)
            for given in ({"query": f"cursor={number}"}, {"Last_Event_ID": number, "query": "limit=3"}):
                again = await self.follow(**given)
                await self.write(log("last", BASE))
                await again.until('"last"')
                rest = [event.data["id"] for event in again.events if event.data["text"] != "last"]
                self.assertEqual({*rest}, everything - seen)
                self.assertEqual(len(rest), 29 - place)
                again.client.transport.abortConnection()

    async def test_the_past_goes_before_what_comes(self) -> None:
        self.start()
        await self.write(*[log(f"past {place}", BASE + place) for place in range(7)])
        for query, first in (("limit=3", 4), ("from=-1h", 0), ("from=-1h&limit=2", 5)):
            reader = await self.follow(query)
            await self.write(log(f"now {query}", BASE))
            await reader.until("now")
            texts = [text for text in reader.texts if text.startswith("past")]
            self.assertEqual(texts, [f"past {place}" for place in range(first, 7)], query)

    async def test_ends_at_once_when_the_daemon_stops(self) -> None:
        self.start()
        reader = await self.follow()
        await self.service.stopService()
        await reader.client.closed
        self.assertEqual([event.name for event in reader.events], ["end"])

    async def test_whoever_goes_away_is_forgotten(self) -> None:
        self.start()
        reader = await self.follow()
        reader.client.transport.abortConnection()
        await reader.client.closed
        await self.write(log("a", BASE))
        answer = await self.ask("GET", "/api/stats")
        self.assertEqual(answer.json["receivers"]["api"]["tails"], 0)

    async def test_a_mistake_is_named(self) -> None:
        self.start()
        page = Arrival(1, 2).encode()[:-3]
        for query, headers, expected in (
            ("cursor=x", {}, "cursor: 'x' is no cursor of a tail"),
            ("", {"last_event_id": page}, "Last-Event-ID: "),
            ("limit=99999", {}, "limit: expected a whole number from 0 to 10000"),
            ("order=newest", {}, "'order': there is no such parameter"),
        ):
            answer = await self.ask("GET", f"/api/v1/tail?{query}", **headers)
            self.assertEqual(answer.status, 400, query)
            self.assertIn(expected, answer.error)


class KeepAliveTests(SynchronousTestCase):
    """A tail of which nothing comes, on a clock of the test."""

    def test_a_comment_tells_that_it_is_alive(self) -> None:
        clock = Loopback()
        config = load(scratch(self), receivers={}, api={"address": "127.0.0.1", "port": 8088})
        backend = ToldBackend()
        service = build(config, clock, backend=backend, keep_alive=7.0)
        service.privilegedStartService()
        service.startService()
        channel, wire = clock.connect()
        channel.dataReceived(b"GET /api/v1/tail HTTP/1.1\r\nHost: localhost:8088\r\n\r\n")
        clock.pump([0.0] * 5)
        self.assertIn(b"id: ", wire.value())
        for seconds in (0, 6.9, 0.2, 6.8, 0.2):
            clock.advance(seconds)
        self.assertEqual(wire.value().count(b": nothing new\n\n"), 2)
        service.stopService()
        clock.pump([0.0] * 5)
        self.assertIn(b"event: end\n", wire.value())


class GapTests(SynchronousTestCase):
    """What a reader is told that there was no room for."""

    def test_a_gap_has_what_came_later_and_leads_on_behind_it(self) -> None:
        """Also for kinds of which nothing has come since the daemon started: a reader that goes on there
        must not get them once more."""
        feed = Feed(Clock(), lambda: INT64_MIN)
        tail = feed.follow(Selection(), most=3)
        feed.publish(messages(["1", "2"], kind="log"), {"log": 2})
        tail.begin(Arrival(70, 1))
        self.assertFalse(tail.has_gap)
        for number in range(3, 8):
            feed.publish(messages([str(number)], NOW + number, kind="log"), {"log": number})
        feed.publish(messages(["old"], kind="event"), {"event": 70})
        arrived, gap = tail.take()
        self.assertEqual([each.row.text for each in arrived], ["2", "3", "4"])
        self.assertEqual(arrived[-1].arrival, Arrival(70, 4))
        self.assertEqual(gap, Gap(3, NOW + 5, NOW + 7, Arrival(70, 7)))
        self.assertEqual(tail.take(), ([], None))

    def test_what_has_expired_is_neither_told_nor_counted(self) -> None:
        """Neither when it comes, nor while it waits; logs do not expire."""
        cutoff = NOW
        feed = Feed(Clock(), lambda: cutoff)
        tail = feed.follow(Selection(), most=3)
        tail.begin(Arrival(0, 0))
        feed.publish(messages("abc", NOW - 2), {"event": 3})
        feed.publish(messages("d", NOW - 2, kind="log"), {"log": 1})
        feed.publish(messages(["old", "now expired", "e", "f", "g"], NOW), {"event": 8})
        feed.publish(messages(["old"], NOW - 9), {"event": 9})
        cutoff = NOW + 1
        arrived, gap = tail.take()
        self.assertEqual([each.row.text for each in arrived], ["d", "e"])
        self.assertEqual(arrived[-1].arrival, Arrival(6, 1))
        self.assertEqual(gap, Gap(2, NOW + 3, NOW + 4, Arrival(8, 1)))

    def test_what_is_told_late_does_not_lead_back(self) -> None:
        """A batch that was in doubt; whoever goes on behind it does not get once more what came before it."""
        feed = Feed(Clock(), lambda: INT64_MIN)
        tail = feed.follow(Selection())
        tail.begin(Arrival(2, 0))
        feed.publish(messages("ef"), {"event": 6})
        feed.publish(messages("cd"), {"event": 4})
        feed.publish(messages("gh"), {"event": 8})
        arrived, _ = tail.take()
        self.assertEqual("".join(each.row.text for each in arrived), "efcdgh")
        self.assertEqual([each.row.id for each in arrived], [5, 6, 3, 4, 7, 8])
        ends = [each.arrival.event for each in arrived if each.arrival is not None]
        self.assertEqual(ends, [5, 6, 6, 6, 7, 8])
