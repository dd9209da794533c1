"""Answers that break off, and clients that go away: nothing looks complete, and nothing stays behind."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from attrs import evolve
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone
from twisted.logger import capturedLogs, formatEvent

from ccstore.interfaces import StoreUnavailable
from tests.api.test_message_answers import BASE, MessagesTestCase, log
from tests.support.loopback import Client
from tests.support.stores import MemoryBackend, ToldBackend

_CALLS = (
    *("messages", "events", "logs", "messages?format=ndjson", "messages?format=csv", "histogram", "labels"),
    *("values/host", "streams", "clusters", "tail", "none", "messages/x", "messages/x/context"),
)


class BrokenAnswersTests(MessagesTestCase):
    async def fill(self) -> ToldBackend:
        backend = ToldBackend()
        self.start(backend=backend)
        for start in range(0, 30_000, 10_000):
            await self.write(*[log(f"text {place}", BASE + place) for place in range(start, start + 10_000)])
        return backend

    async def begin(self, call: str, version: str = "1.1", method: str = "GET", **headers: str) -> Client:
        client = await self.connect("REST")
        self.addCleanup(client.transport.loseConnection)
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        client.transport.write(f"{method} /api/v1/{call} HTTP/{version}\r\nHost: x\r\n{more}\r\n".encode())
        return client

    async def test_an_error_of_the_database_is_seen(self) -> None:
        """Without chunks there is nothing but the end of the connection that tells."""
        backend = await self.fill()
        for version in ("1.0", "1.1"):
            for more in ({}, {"accept_encoding": "gzip"}):
                asked = 0

                def answer(question: Any, timeout: float) -> Deferred[Any]:
                    nonlocal asked
                    asked += 1
                    if asked > 2:
                        return fail(StoreUnavailable("it broke"))
                    return MemoryBackend.read(backend, question, timeout=timeout)

                backend.answer = answer
                client = await self.begin("messages?format=ndjson", version, **more)
                await client.closed
                self.assertIn(b" 200 OK", client.received[:20])
                self.assertFalse(client.received.endswith(b"0\r\n\r\n"))
                assert client.reason is not None
                self.assertIsNone(client.reason.check(ConnectionDone), (version, more))
                self.assertEqual(len(self.flushLoggedErrors()), 1)
        backend.answer = None
        self.assertEqual((await self.stats())["receivers"]["api"]["exports"], 0)

    async def test_where_some_cannot_be_read_nothing_looks_complete(self) -> None:
        backend = ToldBackend()
        self.start(backend=backend)
        await self.write(*[log(f"text {place}", BASE + place) for place in range(10)])

        def answer(question: Any, timeout: float) -> Deferred[Any]:
            return MemoryBackend.read(backend, question, timeout=timeout).addCallback(damaged)

        def damaged(found: Any) -> Any:
            if isinstance(found, list):
                return [damaged(each) for each in found]
            return evolve(found, losses=("4 logs are gone",))

        backend.answer = answer
        for format in ("csv", "ndjson", "lp"):
            for more in ({}, {"accept_encoding": "gzip"}):
                client = await self.begin(f"messages?format={format}", **more)
                with capturedLogs() as logs:
                    await client.closed
                self.assertIn("4 logs are gone", "".join([str(formatEvent(each)) for each in logs]))
                self.assertIn(b" 200 OK", client.received[:20])
                self.assertFalse(client.received.endswith(b"0\r\n\r\n"))
                if not more:
                    self.assertEqual(client.received.count(b"text "), 10)
        client = await self.begin("messages?format=ndjson&end=true", connection="close")
        await client.closed
        self.assertIn(b'{"end": {"messages": 10, "notice": "4 logs are gone"}}', client.received)
        for call in (
            "messages",
            "histogram",
            "fold?from=0",
            "before?from=0&text=text",
            "cause?from=0&text=text",
        ):
            answer = await self.ask("GET", f"/api/v1/{call}")
            self.assertEqual((answer.status, answer.json["notice"]), (200, "4 logs are gone"), call)
        query = "query=" + quote('{cluster="alex"}')
        counting = "query=" + quote('count_over_time({cluster="alex"}[1h])')
        for call in (f"query_range?{query}", f"query?{counting}", f"index/volume?{query}"):
            answer = await self.ask("GET", f"/loki/api/v1/{call}&start=0")
            self.assertEqual((answer.status, answer.json["warnings"]), (200, ["4 logs are gone"]), call)

    async def test_an_error_before_the_first_byte_is_an_error(self) -> None:
        """It is not packed, though an answer would be."""
        backend = await self.fill()
        backend.answer = lambda question, timeout: fail(StoreUnavailable("it broke"))
        client = await self.begin("messages?format=csv", accept_encoding="gzip", connection="close")
        await client.closed
        head, _, body = client.received.partition(b"\r\n\r\n")
        self.assertIn(b" 503 ", head)
        self.assertNotIn(b"content-encoding", head.lower())
        self.assertIn(b"it broke", body)

    async def test_the_stop_of_the_daemon_is_seen(self) -> None:
        for version in ("1.0", "1.1"):
            await self.fill()
            client = await self.begin("messages?format=ndjson", version)
            await client.until(b"text 29999")
            client.transport.pauseProducing()
            await self.service.stopService()
            client.transport.resumeProducing()
            await client.closed
            self.assertFalse(client.received.endswith(b"0\r\n\r\n"))
            assert client.reason is not None
            # What had been sent whole before the stop is whole.
            if version == "1.0" and client.received.count(b'{"id"') < 30_000:
                self.assertIsNone(client.reason.check(ConnectionDone))

    async def test_only_the_head_is_given(self) -> None:
        await self.fill()
        for version in ("1.0", "1.1"):
            for call in _CALLS:
                client = await self.begin(call, version, "HEAD", connection="close")
                await client.closed
                head, _, body = client.received.partition(b"\r\n\r\n")
                self.assertEqual(body, b"", (call, version))
                self.assertTrue(head.startswith(b"HTTP/1."), call)
                self.assertIn(head.split()[1], (b"200", b"404"), call)
        api = (await self.stats())["receivers"]["api"]
        self.assertEqual((api["tails"], api["exports"]), (0, 0))

    async def test_whoever_goes_away_leaves_nothing(self) -> None:
        """Before the head, in the past, and while it follows."""
        backend = await self.fill()
        for call in (
            "messages?format=ndjson",
            "messages",
            "histogram",
            "tail",
            "tail?from=-1h",
            "tail?limit=9",
        ):
            given_up: Deferred[None] = Deferred()

            def never(question: Any, timeout: float, given_up: Deferred[None] = given_up) -> Deferred[Any]:
                return Deferred(lambda _: given_up.callback(None))

            backend.answer = never
            client = await self.begin(call)
            while not (await self.stats())["receivers"]["api"]["requests_in_flight"] > 1:
                pass
            client.transport.abortConnection()
            await given_up
            backend.answer = None
        for call, part in (
            ("messages?format=ndjson", b"text 29999"),
            ("tail?from=-1h", b"text 1"),
            ("tail?limit=3", b"text 29999"),
            ("tail", b"id: "),
        ):
            client = await self.begin(call)
            await client.until(part)
            client.transport.abortConnection()
            await client.closed
        await self.write(log("more", BASE))
        while (api := (await self.stats())["receivers"]["api"])["tails"] or api["exports"]:
            pass
        self.assertEqual(self.flushLoggedErrors(), [])
