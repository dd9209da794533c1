"""How long ports over HTTP wait for their clients, and how many connections they have."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource

from ccstore.web import LimitedSite, Patience, Room, SiteSettings
from ccstore.web.eviction import Connections, Waiting
from tests.support.configuration import receiver_config
from tests.support.http_case import LINES, RequestTestCase, head
from tests.support.loopback import Client
from tests.support.scratch import scratch
from tests.support.sinks import FakeSink, intake_for


class TimeTests(RequestTestCase):
    """A head has ten seconds, a body has to move."""

    def test_the_head_of_the_first_request_has_ten_seconds_in_all(self) -> None:
        for data in (b"", b"P", head()[:-2]):
            self.start()
            with capturedLogs() as logs:
                connection = self.connect()
                for byte in data:
                    connection.dataReceived(bytes([byte]))
                    self.clock.advance(9.5 / len(data))
                self.clock.pump([1] * (2 if data else 11))
            if data:
                answer = self.answer()
                self.assertEqual((answer.status, answer.headers["connection"]), (408, "close"))
                self.assertIn("did not come within 10 s", answer.error["error"])
                self.clock.advance(3)
            else:
                self.assertEqual(self.wire.value(), b"")
            self.assertFalse(self.wire.connected)
            self.assertEqual(self.figure("cut_connections"), 1)
            self.assertEqual(len(self.sampled("cut_connections")), 1)
            self.assertEqual(len([entry for entry in logs if entry["log_level"].name == "warn"]), 1)

    def test_so_has_that_of_a_later_one_from_its_first_byte(self) -> None:
        connection = self.connect()
        for _ in range(3):
            connection.dataReceived(head(length=len(LINES)) + LINES)
            self.clock.pump([1] * 60)
            self.assertTrue(self.wire.connected)
        connection.dataReceived(b"P")
        self.clock.pump([1] * 13)
        self.assertFalse(self.wire.connected)
        self.assertEqual(self.answer().status, 408)

    def test_without_a_limit_for_idle_connections_too(self) -> None:
        self.start(idle_timeout="0")
        self.connect()
        self.clock.pump([1] * 11)
        self.assertFalse(self.wire.connected)

    def test_a_body_has_to_move(self) -> None:
        size = 100_000
        for each, is_cut in ((1, True), (90, True), (150, False)):
            connection = self.connect()
            connection.dataReceived(head(length=size))
            for _ in range(25):
                connection.dataReceived(b"#" * each)
                self.clock.advance(1)
            self.assertEqual(self.wire.value().startswith(b"HTTP/1.1 408 "), is_cut, each)
            self.assertEqual(self.wire.connected, not is_cut)
        self.assertEqual(self.figure("cut_connections"), 2)
        (detail,) = self.sampled("cut_connections")
        self.assertEqual(detail, "less than 1000 bytes of the body of a request came in 10 s")

    def test_nothing_of_a_body_that_is_cut_takes_memory(self) -> None:
        room = Room()
        self.start(room)
        self.connect().dataReceived(head(length=100_000) + b"#" * 50_000)
        self.clock.pump([1] * 25)
        self.assertEqual(room._held, 0)

    def test_what_came_while_the_daemon_was_held_up_counts(self) -> None:
        """As after SIGSTOP: time is up, and what is in the sockets has not been read yet."""
        for data, rest in ((head()[:-2], b"\r\n"), (head(length=5000), b"#" * 4000)):
            connection = self.connect()
            connection.dataReceived(data)
            self.clock.advance(100)
            connection.dataReceived(rest)
            self.clock.advance(1)
            self.assertNotIn(b" 408 ", self.wire.value())

    def test_no_clock_ticks_on_after_the_end(self) -> None:
        for data in (b"", b"P", head(length=10), head(length=0), head(), b"bad\n", head("GET", "/")):
            self.connect().dataReceived(data)
            self.wire.lose(ConnectionError())
        self.assertEqual(self.clock.getDelayedCalls(), [])


class LimitTests(RequestTestCase):
    """Connections of a port."""

    def test_who_has_no_request_makes_room(self) -> None:
        self.start(max_connections=3)
        wires = []
        for data in (b"POST", head(length=len(LINES)) + LINES, b"POST", b"POST"):
            self.connect().dataReceived(data)
            wires.append(self.wire)
            self.clock.advance(0.1)
        # The one that has waited longest for a head, and not the one that was idle before.
        self.assertEqual([wire.disconnecting or not wire.connected for wire in wires], [True, *[False] * 3])
        self.assertEqual(self.figure("connections"), 3)
        self.assertEqual(self.figure("cut_connections"), 1)
        self.assertEqual(self.figure("refused_connections"), 0)

    def test_who_has_one_does_not(self) -> None:
        self.start(max_connections=2)
        self.sink.holds = True
        for _ in range(2):
            self.connect().dataReceived(head(length=len(LINES)) + LINES)
            self.clock.advance(100)
        with capturedLogs() as logs:
            _, wire = self.clock.connect()
        self.assertFalse(wire.connected)
        self.assertEqual(self.figure("refused_connections"), 1)
        self.assertIn("refused a connection, there are 2 already", formatEvent(logs[0]) or "")
        self.sink.commit()
        self.assertEqual(len(self.sink.texts), 2)

    def test_those_of_one_address(self) -> None:
        self.start(max_connections_per_address=2)
        wires = [self.clock.connect(host)[1] for host in ("10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.1")]
        self.assertEqual([wire.connected for wire in wires], [True, True, True, False])
        wires[0].lose(ConnectionError())
        self.assertTrue(self.clock.connect("10.0.0.1")[1].connected)

    def test_the_stop_closes_those_without_a_request_too(self) -> None:
        self.connect()
        self.successResultOf(ensureDeferred(self.receiver.drain()))
        self.assertFalse(self.wire.connected)


class _Fake:
    """A connection that only makes room."""

    host = "10.0.0.1"
    has_made_room = False

    def make_room(self) -> None:
        self.has_made_room = True

    def loseConnection(self) -> None:
        """See :class:`ccstore.web.eviction.Connection`."""


class ConnectionsTests(SynchronousTestCase):
    def test_a_port_takes_no_more_than_its_part_of_the_open_files(self) -> None:
        files = 1024
        connections = Connections(MemoryReactorClock(), 10_000, 0, lambda: files)
        self.assertEqual(connections.most, 256)
        files = 100_000
        self.assertEqual(connections.most, 10_000)
        self.assertEqual(Connections(MemoryReactorClock(), 0, 0, lambda: files).most, 25_000)

    def test_who_makes_room_first(self) -> None:
        clock = MemoryReactorClock()
        connections = Connections(clock, 5, 0, lambda: 1024)
        kinds = [Waiting.ANSWER, Waiting.BODY, Waiting.REQUEST, Waiting.HEAD, None]
        fakes = {kind: _Fake() for kind in kinds}
        for kind, fake in fakes.items():
            connections.add(fake)
            connections.waits(fake, kind)

        def come() -> str | None:
            """One more comes, and is busy."""
            refusal = connections.refusal("")
            if refusal is None:
                connections.add(busy := _Fake())
                connections.waits(busy, None)
            return refusal

        self.assertIsNone(come())
        self.assertTrue(fakes[Waiting.HEAD].has_made_room)
        # The others have not kept anybody waiting yet.
        self.assertEqual(come(), "there are 5 already, and all of them are busy")
        clock.advance(10)
        for kind in (Waiting.REQUEST, Waiting.BODY, Waiting.ANSWER):
            self.assertFalse(fakes[kind].has_made_room)
            self.assertIsNone(come())
            self.assertTrue(fakes[kind].has_made_room)
        self.assertIsNotNone(come())
        self.assertFalse(fakes[None].has_made_room)
        self.assertEqual(len(connections), 5)


#: Bytes that no system takes at once for a client that does not read.
_LARGE = 16 << 20


class AnswerTests(TestCase):
    """With the network: an answer has to be taken."""

    async def start(self, patience: Patience) -> tuple[LimitedSite, int]:
        class Large(Resource):
            isLeaf = True

            def render_GET(self, request: Any) -> bytes:
                return b"x" * (_LARGE)

        config = receiver_config(scratch(self), "http")
        intake = intake_for(config, "http", FakeSink(), reactor)
        site = LimitedSite(
            Large(),
            SiteSettings(max_body=1000, idle_timeout=0.3),
            intake=intake,
            reactor=reactor,  # type: ignore[arg-type]
            room=Room(),
            patience=patience,
        )
        port: Any = reactor.listenTCP(0, site, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        return site, port.getHost().port

    async def until(self, site: LimitedSite, figure: str, value: int) -> None:
        while site.figures()[figure] != value:
            await deferLater(reactor, 0.01)  # type: ignore[arg-type]

    async def test_who_takes_nothing_is_cut_off(self) -> None:
        site, number = await self.start(Patience(answer=0.2))
        for more in (b"", b"Connection: close\r\n"):
            with socket.create_connection(("127.0.0.1", number)) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n")
                await self.until(site, "connections", 1)
                await self.until(site, "connections", 0)
        self.assertEqual(site.figures()["cut_connections"], 2)

    async def test_who_takes_it_slowly_gets_it_whole_although_that_is_longer_than_it_may_be_idle(
        self,
    ) -> None:
        site, number = await self.start(Patience(answer=0.2))
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", number)
        client = await connectProtocol(endpoint, Client())
        client.transport.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.until(b"\r\n\r\n")
        for _ in range(10):
            client.transport.pauseProducing()
            await deferLater(reactor, 0.05)  # type: ignore[arg-type]
            before = len(client.received)
            client.transport.resumeProducing()
            while len(client.received) == before < _LARGE:
                await deferLater(reactor, 0)  # type: ignore[arg-type]
        await client.closed
        self.assertGreater(len(client.received), _LARGE)
        self.assertEqual(site.figures()["cut_connections"], 0)

    async def test_a_client_that_has_gone_while_its_request_is_in_hand_is_noticed(self) -> None:
        gone: Deferred[None] = Deferred()

        class Slow(Resource):
            isLeaf = True

            def render_GET(self, request: Any) -> int:
                request.notifyFinish().addErrback(lambda failure: gone.callback(None))
                return 1  # NOT_DONE_YET

        site, number = await self.start(Patience(sign_of_life=0.01))
        site.resource = Slow()
        client = socket.create_connection(("127.0.0.1", number))
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await self.until(site, "requests_in_flight", 1)
        client.close()
        await gone
        await self.until(site, "connections", 0)
