"""Lines as they come, as Grafana's live view and logcli read them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.web.websocket import WebSocketClientEndpoint, WebSocketTransport

from tests.support.loki_case import BASE, LokiTestCase, line


class Listener:
    """A client of WebSockets, with the messages it gets."""

    transport: WebSocketTransport

    def __init__(self) -> None:
        self.messages: DeferredQueue[Any] = DeferredQueue()
        self.pongs: DeferredQueue[bytes] = DeferredQueue()
        self.lost: Deferred[None] = Deferred()

    @classmethod
    def buildProtocol(cls, url: str) -> Listener:
        return cls()

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        self.transport = transport

    def negotiationFinished(self) -> None:
        pass

    def pongReceived(self, payload: bytes) -> None:
        self.pongs.put(payload)

    def textMessageReceived(self, message: str) -> None:
        self.messages.put(json.loads(message))

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        raise AssertionError(data)

    def connectionLost(self, reason: object) -> None:
        self.lost.callback(None)


class TailTests(LokiTestCase):
    """Calls of ``tail``."""

    async def follow(self, query: str, **given: Any) -> Listener:
        path = "/loki/api/v1/tail?" + urlencode({"query": query, **given})
        url = f"ws://127.0.0.1:{self.ports['REST']}{path}"
        listener: Listener = await WebSocketClientEndpoint.new(reactor, url).connect(Listener)
        return listener

    async def test_the_past_and_then_what_comes(self) -> None:
        self.start()
        await self.fill(line("one", 0), line("two", 1), line("other", 2, hostname="a02"))
        listener = await self.follow('{hostname="a01"} |~ "o|n=" | logfmt', limit=1)
        told = await listener.messages.get()
        self.assertEqual([*told], ["streams"])
        (stream,) = told["streams"]
        self.assertEqual((stream["stream"]["hostname"], stream["values"]), ("a01", [[str(BASE + 1), "two"]]))
        await self.fill(line("n=5", 10), line("zero", 11, hostname="a02"), line("seen", 12))
        (stream,) = (await listener.messages.get())["streams"]
        self.assertEqual((stream["stream"]["n"], stream["values"]), ("5", [[str(BASE + 10), "n=5"]]))
        self.assertEqual((await self.stats())["receivers"]["api"]["loki_tails"], 1)
        listener.transport.ping(b"there?")
        self.assertEqual(await listener.pongs.get(), b"there?")
        listener.transport.sendTextMessage("x" * 100_000)
        listener.transport.loseConnection()
        await listener.lost
        # The place is free again, and the daemon knows of no request any more.
        while (await self.stats())["receivers"]["api"]["loki_tails"]:
            pass

    async def test_every_line_has_its_labels_beside_it_if_that_is_asked(self) -> None:
        self.start(max_tails=1)
        await self.fill(line("one", 0, loglevel="err"))
        path = "/loki/api/v1/tail?" + urlencode({"query": '{cluster="alex"}'})
        client = await self.connect("REST")
        client.transport.write(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "X-Loki-Response-Encoding-Flags: categorize-labels\r\n\r\n".encode()
        )
        await client.until(b'"encodingFlags"')
        self.assertIn(b'"structuredMetadata":{"detected_level":"error"', client.received)
        answer = await self.get("tail", query='{cluster="alex"}')
        self.assertEqual(answer.status, 503)
        # Those who follow by the other interface have the same places.
        self.assertEqual((await self.ask("GET", "/api/v1/tail")).status, 503)
        # What is no frame ends the connection.
        client.transport.write(b"\xff\xff\xff\xff")
        await client.closed

    async def test_whoever_opens_no_websocket_is_told(self) -> None:
        self.start()
        answer = await self.get("tail", query='{cluster="alex"}')
        self.assertEqual(answer.status, 400)
        self.assertIn("expected the opening of a WebSocket", answer.body.decode())
        answer = await self.get("tail", query="1")
        self.assertIn("expected '{'", answer.body.decode())

    async def test_it_ends_with_the_daemon(self) -> None:
        self.start()
        listener = await self.follow('{cluster="alex"}')
        await self.service.stopService()
        await listener.lost
