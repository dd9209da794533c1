"""Connections by way of a load balancer: whose they are, which are its own, and who is none."""

from __future__ import annotations

import re
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor, ssl
from twisted.internet.defer import ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ccstore.network.proxied import HeaderError, read_header
from ccstore.receivers.http import HttpReceiver
from ccstore.receivers.tcp import TcpReceiver
from ccstore.web import Room
from tests.support.api_case import ApiTestCase
from tests.support.certificates import certificates
from tests.support.configuration import port_in, receiver_config
from tests.support.loopback import Client, Loopback
from tests.support.scratch import scratch
from tests.support.sinks import FakeSink, event, intake_for

PREFIX = b"\r\n\r\n\0\r\nQUIT\n"


def v2(command: int = 1, family: int = 0x11, addresses: bytes = b"", more: bytes = b"") -> bytes:
    content = addresses + more
    return PREFIX + bytes([0x20 | command, family]) + struct.pack("!H", len(content)) + content


V1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 8094\r\n"
V1_6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 8094\r\n"
V2 = v2(addresses=bytes([192, 0, 2, 7, 192, 0, 2, 1]) + struct.pack("!2H", 4711, 8094))
V2_6 = v2(
    family=0x21,
    addresses=bytes.fromhex("20010db8000000000000000000000007") * 2 + struct.pack("!2H", 4711, 8094),
    more=b"\x04\0\x01x",
)
LOCAL = v2(command=0, family=0)
UNKNOWN = b"PROXY UNKNOWN\r\n"
OWN = [UNKNOWN, b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", LOCAL, v2(family=0), v2(command=0, more=b"x" * 20)]
WRONG = [
    b"PROXY TCP4 192.0.2.7\r\n",
    b"PROXY TCP4 nonsense 192.0.2.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.1 many 2\r\n",
    b"PROXY TCP9 192.0.2.7 192.0.2.1 1 2\r\n",
    b"PROXY " + b"x" * 101,
    v2(command=7),
    v2(addresses=b"\x01"),
    v2(family=0x1F),
    PREFIX + b"\x31\x11\0\0",
]


@pytest.mark.parametrize("header", [V1, V1_6, V2, V2_6, *OWN])
def test_a_header_in_pieces(header: bytes) -> None:
    for size in range(len(header)):
        assert read_header(header[:size]) is None
    source, size = read_header(header + b"more") or (None, 0)
    assert size == len(header)
    assert (source is None) == (header in OWN)


@pytest.mark.parametrize("header", WRONG)
def test_a_wrong_header(header: bytes) -> None:
    with pytest.raises(HeaderError):
        read_header(header)


@given(st.binary(), st.sampled_from([b"", b"PROXY ", PREFIX, V1[:-2], V2[:-1]]))
def test_no_bytes_lead_to_another_error(data: bytes, before: bytes) -> None:
    try:
        header = read_header(before + data)
    except HeaderError:
        return
    assert header is None or 0 < header[1] <= len(before + data)


class TcpTests(SynchronousTestCase):
    def setUp(self) -> None:
        config = receiver_config(scratch(self), "tcp", endpoint="haproxy:tcp:0:interface=127.0.0.1")
        self.clock = Loopback()
        self.sink = FakeSink()
        self.receiver = TcpReceiver(
            config,
            intake_for(config, "tcp", self.sink, self.clock),
            self.clock,
            max_waiting=1000,
            max_waiting_size=10**9,
        )
        self.receiver.listen()

    def send(self, *pieces: bytes) -> Any:
        """A connection of the balancer, 10.0.0.1, on which this comes."""
        protocol, wire = self.clock.connect()
        for piece in pieces:
            protocol.dataReceived(piece)
        self.clock.advance(0)
        return wire

    @property
    def figures(self) -> tuple[object, object]:
        figures = self.receiver.figures()
        return figures["connections"], figures["no_proxy_header"]

    def test_lines_are_those_of_the_sender_that_the_header_names(self) -> None:
        for header, host in (
            (V1, "192.0.2.7"),
            (V2, "192.0.2.7"),
            (V1_6, "2001:db8::7"),
            (V2_6, "2001:db8::7"),
        ):
            self.sink.origins.clear()
            self.send(header + event("a") + b"\n")
            self.assertEqual([origin.host_of(0) for origin in self.sink.origins], [host])
        self.assertEqual(self.figures, (4, 0))

    def test_the_log_and_the_samples_name_the_sender(self) -> None:
        with capturedLogs() as logs:
            self.send(V1[:5], V1[5:], b"bad\n")
        self.assertIn(
            "rejected a line from 192.0.2.7:4711", "\n".join(formatEvent(each) or "" for each in logs)
        )
        samples: Any = self.receiver.account.samples_as_json()
        self.assertEqual([sample["sender"] for sample in samples["samples"]], ["192.0.2.7"])

    def test_what_the_balancer_asks_for_itself_is_taken_quietly_as_its_own(self) -> None:
        with capturedLogs() as logs:
            for header in OWN:
                wire = self.send(header, event("a") + b"\n")
                self.assertFalse(wire.disconnecting)
                wire.lose(ConnectionDone())
            self.send().lose(ConnectionDone())  # it may also connect and say nothing
        self.clock.advance(0)
        self.assertEqual(logs, [])
        self.assertEqual({origin.host_of(0) for origin in self.sink.origins}, {"10.0.0.1"})
        self.assertEqual(self.figures, (0, 0))

    def test_whoever_has_no_header_is_counted_warned_of_and_closed(self) -> None:
        with capturedLogs() as logs:
            for number, data in enumerate([event("a") + b"\n", *WRONG], 1):
                wire = self.send(data)
                self.assertFalse(wire.connected)
                self.assertEqual(self.figures, (0, number))
        self.assertEqual(self.sink.texts, [])
        said = [formatEvent(entry) or "" for entry in logs if entry["log_level"] is LogLevel.warn]
        self.assertEqual(len(said), 3, said)  # one for each kind of problem
        self.assertRegex(
            said[0],
            r"^receiver 'tcp': 10\.0\.0\.1:\d+: closed the connection: it does not begin with a PROXY",
        )

    def test_a_header_that_does_not_come_or_does_not_end(self) -> None:
        silent, slow = self.send(), self.send(V2[:20])
        self.send(V1[:20]).lose(ConnectionDone())
        self.assertEqual(self.figures, (0, 1))
        self.clock.advance(10)
        self.assertFalse(silent.connected or slow.connected)
        self.assertEqual(self.figures, (0, 3))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_comes_after_a_refusal_is_not_taken(self) -> None:
        protocol, wire = self.clock.connect()
        wire.loseConnection = lambda: None  # it takes a moment
        protocol.dataReceived(b"x\n")
        protocol.dataReceived(V1 + event("a") + b"\n")
        self.clock.advance(0)
        self.assertEqual((self.sink.texts, self.figures), ([], (0, 1)))

    def test_how_much_is_read_in_one_go_reaches_the_connection(self) -> None:
        protocol, wire = self.clock.connect()
        protocol.dataReceived(V1)
        self.assertEqual(wire.bufferSize, protocol.bufferSize)
        self.assertEqual(wire.bufferSize, 1 << 12)


class SocketTests(TestCase):
    async def test_the_header_comes_before_tls(self) -> None:
        directory = scratch(self)
        certificates(directory)
        files = f"certKey={directory}/server.pem:privateKey={directory}/server.key"
        sink = FakeSink()
        config = receiver_config(directory, "http", endpoint=f"haproxy:ssl:0:interface=127.0.0.1:{files}")
        receiver = HttpReceiver(config, intake_for(config, "http", sink, reactor), reactor, Room())
        place = receiver.listen()
        self.addCleanup(lambda: ensureDeferred(receiver.stop_listening()))
        trusted = ssl.Certificate.loadPEM((directory / "ca.pem").read_bytes())
        options = ssl.optionsForClientTLS("127.0.0.1", trusted)

        class Balancer(TLSMemoryBIOFactory):
            def buildProtocol(self, addr: Any) -> Any:
                protocol = super().buildProtocol(addr)
                make = protocol.makeConnection
                protocol.makeConnection = lambda transport: (transport.write(V1), make(transport))
                return protocol

        endpoint = HostnameEndpoint(reactor, "127.0.0.1", port_in(place))
        client = Client()
        await endpoint.connect(Balancer(options, True, Factory.forProtocol(lambda: client)))
        client.transport.write(  # type: ignore[union-attr]
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
            % (len(event("a")), event("a"))
        )
        await client.closed
        self.assertTrue(client.received.startswith(b"HTTP/1.1 200"))
        self.assertEqual([origin.sender for origin in sink.origins], ["192.0.2.7:4711"])


class HttpTests(ApiTestCase):
    async def send(self, line: str, header: bytes) -> bytes:
        client = await self.connect(line)
        body = b"bad"
        client.transport.write(  # type: ignore[union-attr]
            header + b"POST /api/write HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        await client.closed
        return client.received

    async def test_every_http_port_names_the_sender(self) -> None:
        endpoint = "haproxy:tcp:0:interface=127.0.0.1"
        self.start_with(
            receivers={"http": {"type": "http", "endpoint": endpoint, "access_log": True}},
            api={"endpoint": endpoint, "access_log": True, "address": None, "port": None},
        )
        for line, name in (("HTTP", "http"), ("REST", "api")):
            with capturedLogs() as logs:
                self.assertIn(b" 400 ", await self.send(line, V2))
                self.assertEqual(await self.send(line, b""), b"")
            said = "\n".join(formatEvent(each) or "" for each in logs)
            self.assertRegex(said, r'"192\.0\.2\.7".* 400 ')
            self.assertIn(f"{name}: rejected a line from 192.0.2.7:4711", said)
            self.assertRegex(said, re.escape(name) + r".*: 127\.0\.0\.1:\d+: closed the connection")
            figures: Any = self.service.statistics.figures()
            self.assertEqual(figures["receivers"][name]["no_proxy_header"], 1)
            samples: Any = self.service.statistics.samples()
            senders = [sample["sender"] for sample in samples["receivers"][name]["samples"]]
            self.assertEqual(senders, ["192.0.2.7"])
