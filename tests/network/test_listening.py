"""Opening ports: what is said when one cannot be opened, and when a client does not talk TLS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, PrivateCertificate, optionsForClientTLS
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from ccstore.config import TlsConfig
from ccstore.network.listening import ListenError, listen, where
from ccstore.network.open_files import OpenFiles
from ccstore.receivers.http import HttpReceiver
from ccstore.receivers.tcp import TcpReceiver
from ccstore.web import Room
from tests.support.certificates import certificates
from tests.support.configuration import port_in, receiver_config
from tests.support.loopback import Client
from tests.support.scratch import scratch
from tests.support.sinks import FakeSink, event, intake_for


def open_port(
    endpoint: str | None = None, *, address: str = "127.0.0.1", tls: TlsConfig | None = None
) -> Any:
    factory = Factory.forProtocol(Protocol)
    return listen(
        reactor,
        factory,
        what="receiver 'r'",
        endpoint=endpoint,
        address=address,
        port=0,
        tls=tls,
        files=OpenFiles(reactor),
    )


class ErrorTests(TestCase):
    def error_of(self, endpoint: str | None = None, **keys: Any) -> ListenError:
        """What is raised instead of listening."""
        with self.assertRaises(ListenError) as caught:
            open_port(endpoint, **keys)
        return caught.exception

    def test_endpoints_that_cannot_be_listened_on(self) -> None:
        directory = scratch(self)
        (directory / "file").touch()
        said = {
            "tcp:0:foo=bar": "it has no parameter 'foo'",
            "tcp:port=1:port=2:1": "the parameter 'port' is given twice",
            "tcp": "'port' is missing",
            "tcp:1:2:3:4:5": "there are too many parts",
            "tcp:http": "'http' is not a number",
            "tcp:65536": "a port is a number from 0 to 65535",
            "tcp:0:interface=192.0.2.1": "cannot assign requested address",
            "tcp:80\\": "it ends in the middle of an escape",
            "nothing:1": "Unknown endpoint type: 'nothing'",
            "systemd:domain=INET:index=0": "systemd has passed no such socket",
            "systemd:domain=INET:name=x": "systemd has passed no such socket",
            f"ssl:0:privateKey={directory}/file": "there is no certificate or no private key in the "
            "file it names",
            f"ssl:0:privateKey={directory}/no": f"{directory}/no: no such file or directory",
            f"unix:{directory}/no/x": f"the folder {directory}/no does not exist",
            f"unix:{directory}/{'x' * 200}": "AF_UNIX path too long",
            f"unix:{directory}/file": "address already in use",
        }
        for endpoint, reason in said.items():
            error = self.error_of(endpoint)
            self.assertEqual(str(error), f"receiver 'r': cannot listen on {endpoint}: {reason}")
            self.assertEqual(error.key, "endpoint")

    def test_a_socket_that_another_process_has(self) -> None:
        endpoint = f"unix:{scratch(self)}/socket"
        port = open_port(endpoint)
        self.addCleanup(port.stopListening)
        self.assertEqual(f"unix:{where(port)}", endpoint)
        self.assertTrue(str(self.error_of(endpoint)).endswith(": another process listens there"))

    def test_addresses_that_are_not_here(self) -> None:
        for address in ("192.0.2.1", "nowhere.invalid"):
            self.assertEqual(self.error_of(address=address).key, "address")

    def test_files_for_tls_that_have_changed_since_they_were_checked(self) -> None:
        directory = scratch(self)
        certificates(directory)
        pem, key, other = (directory / name for name in ("server.pem", "server.key", "client.key"))
        for tls, said in (
            (TlsConfig(key, key, None), f"there is no certificate in {key}"),
            (TlsConfig(pem, pem, None), f"there is none in {pem} that can be read"),
            (TlsConfig(pem, other, None), f"that in {other} is another's"),
            (TlsConfig(pem, key, key), f"there is no certificate in {key}"),
            (TlsConfig(directory / "no", key, None), f"{directory}/no: no such file or directory"),
        ):
            error = self.error_of(tls=tls)
            self.assertIn(said, str(error))
            self.assertEqual(error.key, "tls_certificate")


class HandshakeTests(TestCase):
    """Whoever does not get in leaves a line in the log, and a count."""

    receiver: HttpReceiver | TcpReceiver

    def setUp(self) -> None:
        self.directory = scratch(self)
        certificates(self.directory)
        self.sink = FakeSink()

    def start(self, **keys: Any) -> None:
        config = receiver_config(self.directory, "http", **keys)
        self.receiver = HttpReceiver(config, intake_for(config, "http", self.sink, reactor), reactor, Room())
        self.place = self.receiver.listen()
        self.addCleanup(lambda: ensureDeferred(self.receiver.stop_listening()))

    async def send(
        self, *, name: str | None = None, authority: str = "ca", tls: bool = True, failures: int = 0
    ) -> None:
        """Ask something, and wait until the connection is over and there were so many failures."""
        endpoint: Any = HostnameEndpoint(reactor, "127.0.0.1", port_in(self.place))
        if tls:
            trusted = Certificate.loadPEM((self.directory / f"{authority}.pem").read_bytes())
            mine = None
            if name is not None:
                both = [(self.directory / f"{name}.{kind}").read_bytes() for kind in ("pem", "key")]
                mine = PrivateCertificate.loadPEM(b"".join(both))
            endpoint = wrapClientTLS(optionsForClientTLS("127.0.0.1", trusted, mine), endpoint)
        client = await connectProtocol(endpoint, Client())
        body = event("a")
        head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        client.transport.write(head + body)
        await client.closed
        # The two ends of a connection do not learn of its end at the same moment.
        while self.receiver.figures()["tls_failures"] != failures:
            await deferLater(reactor, 0)

    @contextmanager
    def logged(self, *expected: str) -> Iterator[None]:
        """The warnings that there have to be."""
        with capturedLogs() as logs:
            yield
        found = [formatEvent(entry) or "" for entry in logs if entry["log_level"].name == "warn"]
        self.assertEqual(len(found), len(expected), found)
        for line, words in zip(found, expected, strict=True):
            self.assertRegex(line, rf"^receiver 'http': 127\.0\.0\.1:\d+: no connection with TLS: {words}")

    async def test_each_kind_of_problem_has_a_line(self) -> None:
        self.start(tls_certificate="server.pem", tls_key="server.key", tls_client_ca="ca.pem")
        with self.logged("it has no certificate, and one is required "):
            await self.send(failures=1)
        with self.logged("its certificate is not accepted "):
            await self.send(name="stranger", failures=2)
        with self.logged(r"it does not speak TLS \(http request\)"):
            await self.send(tls=False, failures=3)
        with self.logged():
            await self.send(name="client", failures=3)
        self.assertEqual(self.sink.texts, ["a"])

    async def test_the_tcp_receiver_counts_them_as_well(self) -> None:
        keys = {"tls_certificate": "server.pem", "tls_key": "server.key"}
        config = receiver_config(self.directory, "tcp", **keys)
        intake = intake_for(config, "tcp", self.sink, reactor)
        self.receiver = TcpReceiver(config, intake, reactor, max_waiting=10, max_waiting_size=1000)
        self.place = self.receiver.listen()
        self.addCleanup(lambda: ensureDeferred(self.receiver.stop_listening()))
        with capturedLogs() as logs:
            await self.send(tls=False, failures=1)
        self.assertTrue(any("it does not speak TLS" in (formatEvent(entry) or "") for entry in logs))

    async def test_a_problem_that_comes_again_has_no_line_and_is_counted(self) -> None:
        self.start(tls_certificate="server.pem", tls_key="server.key")
        with self.logged("it does not speak TLS "):
            for number in range(3):
                await self.send(tls=False, failures=number + 1)

    async def test_endpoint_strings_do_the_same(self) -> None:
        files = f"certKey={self.directory}/server.pem:privateKey={self.directory}/server.key"
        self.start(endpoint=f"ssl:0:interface=127.0.0.1:{files}")
        with self.logged("it does not speak TLS "):
            await self.send(tls=False, failures=1)
        with self.logged("tlsv1 alert unknown ca"):
            await self.send(authority="stranger", failures=2)

    async def test_without_tls_there_is_nothing_to_count(self) -> None:
        self.start()
        await self.send(tls=False, failures=0)
        self.assertEqual(self.sink.texts, ["a"])


class SocketTests(TestCase):
    async def test_a_client_of_a_local_socket_has_a_name_in_the_log(self) -> None:
        path = scratch(self) / "socket"
        sink = FakeSink()
        config = receiver_config(path.parent, "http", endpoint=f"unix:{path}")
        receiver = HttpReceiver(config, intake_for(config, "http", sink, reactor), reactor, Room())
        self.assertEqual(receiver.listen(), f"line protocol over HTTP on {path}")
        self.addCleanup(lambda: ensureDeferred(receiver.stop_listening()))
        client = await connectProtocol(UNIXClientEndpoint(reactor, str(path)), Client())
        client.transport.write(
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbad"
        )
        with capturedLogs() as logs:
            await client.closed
        self.assertTrue(any("from a local socket: " in (formatEvent(entry) or "") for entry in logs))
