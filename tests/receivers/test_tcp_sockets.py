"""Line protocol over TCP, with the network: sockets, TLS and endpoints."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor, ssl
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.trial.unittest import TestCase

from ccstore.network.listening import ListenError
from ccstore.receivers.tcp import TcpReceiver
from tests.support.certificates import certificates
from tests.support.configuration import port_in, receiver_config
from tests.support.loopback import Client
from tests.support.scratch import scratch
from tests.support.sinks import FakeSink, event, intake_for


class SocketTests(TestCase):
    """With the network."""

    def start(self, **keys: Any) -> int:
        config = receiver_config(self.directory, "tcp", **keys)
        self.sink = FakeSink()
        self.receiver = TcpReceiver(
            config,
            intake_for(config, "tcp", self.sink, reactor),
            reactor,
            max_waiting=1000,
            max_waiting_size=10**9,
        )
        port = port_in(self.receiver.listen())
        self.addCleanup(self.stop)
        return port

    async def stop(self) -> None:
        await self.receiver.stop_listening()
        await self.receiver.drain()

    def setUp(self) -> None:
        self.directory = scratch(self)

    async def send(self, port: int, data: bytes, *, name: str | None = None, tls: bool = True) -> Client:
        endpoint: Any = HostnameEndpoint(reactor, "127.0.0.1", port)
        if tls:
            trusted = ssl.Certificate.loadPEM((self.directory / "ca.pem").read_bytes())
            mine = None
            if name is not None:
                both = (self.directory / f"{name}.pem").read_bytes()
                both += (self.directory / f"{name}.key").read_bytes()
                mine = ssl.PrivateCertificate.loadPEM(both)
            endpoint = wrapClientTLS(ssl.optionsForClientTLS("127.0.0.1", trusted, mine), endpoint)
        client = await connectProtocol(endpoint, Client())
        client.transport.write(data)
        client.transport.loseConnection()
        await client.closed
        return client

    async def test_lines_come_in_by_a_socket(self) -> None:
        port = self.start()
        await self.send(port, event("a") + b"\n" + event("b"), tls=False)
        await self.stop()
        self.assertEqual(self.sink.texts, ["a", "b"])

    async def test_tls(self) -> None:
        certificates(self.directory)
        port = self.start(tls_certificate="server.pem", tls_key="server.key")
        await self.send(port, event("a") + b"\n" + event("b"))
        await self.stop()
        self.assertEqual(self.sink.texts, ["a", "b"])

    async def test_nothing_is_taken_in_the_clear_where_there_is_tls(self) -> None:
        certificates(self.directory)
        port = self.start(tls_certificate="server.pem", tls_key="server.key")
        await self.send(port, event("a") + b"\n", tls=False)
        await self.stop()
        self.assertEqual(self.sink.texts, [])

    async def test_a_client_certificate_lets_in_whom_the_ca_signed_and_nobody_else(self) -> None:
        certificates(self.directory)
        port = self.start(tls_certificate="server.pem", tls_key="server.key", tls_client_ca="ca.pem")
        await self.send(port, event("a") + b"\n", name="client")
        await self.send(port, event("b") + b"\n", name="stranger")
        await self.send(port, event("c") + b"\n")
        await self.stop()
        self.assertEqual(self.sink.texts, ["a"])

    async def test_endpoint_strings(self) -> None:
        certificates(self.directory)
        port = self.start(endpoint="tcp:0:interface=127.0.0.1")
        await self.send(port, event("a"), tls=False)
        await self.stop()
        self.assertEqual(self.sink.texts, ["a"])
        files = f"certKey={self.directory}/server.pem:privateKey={self.directory}/server.key"
        port = self.start(endpoint=f"ssl:0:interface=127.0.0.1:{files}")
        await self.send(port, event("b"))
        await self.stop()
        self.assertEqual(self.sink.texts, ["b"])

    def test_what_cannot_be_opened_is_said_in_one_line(self) -> None:
        port = self.start()
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"port": port}, f"receiver 'tcp': cannot listen on 127.0.0.1:{port}: "),
            (
                {"endpoint": f"tcp:{port}:interface=127.0.0.1"},
                f"cannot listen on tcp:{port}:interface=127.0.0.1: ",
            ),
        ]
        for keys, said in wrong:
            config = receiver_config(self.directory, "tcp", **keys)
            intake = intake_for(config, "tcp", self.sink, reactor)
            other = TcpReceiver(config, intake, reactor, max_waiting=1, max_waiting_size=1)
            with self.assertRaises(ListenError) as caught:
                other.listen()
            self.assertIn(said, str(caught.exception))
            self.assertNotIn("\n", str(caught.exception))
