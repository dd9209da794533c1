"""Certificates that are renewed while ports are open, and certificates that end."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ccstore.config import Config, TlsConfig, load_config
from ccstore.config.pem import complaint_of_age
from ccstore.interfaces import Limits
from ccstore.network.listening import why
from ccstore.network.renewal import LOOK_EVERY, Renewal, material_of, material_of_endpoint
from ccstore.receivers.tcp import TcpReceiver
from tests.support.certificates import certificates
from tests.support.configuration import port_in, receiver_config, write_config
from tests.support.loopback import Client
from tests.support.nats_case import NatsTestCase
from tests.support.nats_server import Server
from tests.support.running_daemon import Daemon, run
from tests.support.scratch import scratch
from tests.support.sinks import FakeSink, intake_for

DAY = 86400.0


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def serial(path: Path) -> int:
    return certificate(path).serial_number


class RenewalTests(SynchronousTestCase):
    """With a clock that is set by hand."""

    def setUp(self) -> None:
        self.directory = scratch(self)
        certificates(self.directory)
        self.clock = Clock()
        self.clock.advance(certificate(self.directory / "server.pem").not_valid_before_utc.timestamp() + 1)
        logs = capturedLogs()
        self.logs = logs.__enter__()
        self.addCleanup(logs.__exit__, None, None, None)

    def begin(self, *, endpoint: bool = False) -> Renewal:
        """What looks at the files of a server with client certificates, or of an endpoint."""
        server, key = self.directory / "server.pem", self.directory / "server.key"
        tls = TlsConfig(server, key, self.directory / "ca.pem")
        text = f"ssl:0:privateKey={key}:certKey={server}"

        def read() -> Any:
            return material_of_endpoint(text) if endpoint else material_of(tls)

        renewal = Renewal(read, self.clock, "receiver 'r'", why)
        renewal.start()
        self.addCleanup(renewal.stop)
        return renewal

    def said(self) -> list[str]:
        """What has been said since the last time."""
        lines = [formatEvent(entry) or "" for entry in self.logs]
        self.logs.clear()
        return lines

    def shown(self, renewal: Renewal) -> int:
        """The number of the certificate that a new connection is shown."""
        made = renewal.serverConnectionForTLS(None).get_certificate()
        assert made is not None
        return int(made.get_serial_number())

    def renew(self) -> int:
        certificates(self.directory)
        return serial(self.directory / "server.pem")

    def test_new_files_are_used_within_a_minute(self) -> None:
        for endpoint in (False, True):
            renewal = self.begin(endpoint=endpoint)
            before = self.shown(renewal)
            self.clock.advance(LOOK_EVERY)
            self.assertEqual((self.shown(renewal), self.said()), (before, []))
            renewed = self.renew()
            self.clock.advance(LOOK_EVERY)
            self.assertEqual(self.shown(renewal), renewed)
            (line,) = self.said()
            self.assertIn(
                "receiver 'r': new files for TLS are used from now on, the certificate expires", line
            )
            renewal.stop()

    def test_another_ca_of_clients_is_noticed(self) -> None:
        renewal = self.begin()
        shutil.copy(self.directory / "stranger.pem", self.directory / "ca.pem")
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(len(self.said()), 1)
        self.assertEqual(renewal.material.authorities, [certificate(self.directory / "stranger.pem")])

    def test_files_that_are_wrong_change_nothing_and_are_told_of_now_and_then(self) -> None:
        renewal = self.begin()
        before = self.shown(renewal)
        server, key = self.directory / "server.pem", self.directory / "server.key"
        whole = server.read_bytes()
        for content, words in (
            (whole[:100], "there is no certificate in"),
            (b"", "there is no certificate in"),
            ((self.directory / "client.pem").read_bytes(), "is another's"),
            (None, "no such file or directory"),
        ):
            if content is None:
                server.unlink()
            else:
                server.write_bytes(content)
            self.clock.advance(LOOK_EVERY)
            self.assertEqual(self.shown(renewal), before)
            said = self.said()
            if content != b"":  # the same reason as before
                (line,) = said
                self.assertIn("the files for TLS cannot be used, going on with what they had before", line)
                self.assertIn(words, line)
            else:
                self.assertEqual(said, [])
        self.clock.pump([LOOK_EVERY] * 1300)
        self.assertEqual(len(self.said()), 0)
        self.clock.pump([LOOK_EVERY] * 200)
        self.assertEqual(len(self.said()), 1)  # a day later
        # Half way: the certificate is there, its key is not.
        old_key = key.read_bytes()
        renewed = self.renew()
        new_key = key.read_bytes()
        key.write_bytes(old_key)
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(self.shown(renewal), before)
        key.write_bytes(new_key)
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(self.shown(renewal), renewed)

    def test_one_that_ends_soon_is_warned_of_daily(self) -> None:
        renewal = self.begin()
        ends = renewal.material.ends_at
        assert ends is not None
        self.clock.advance(ends - 14 * DAY - self.clock.seconds() - 2 * LOOK_EVERY)
        self.assertEqual(self.said(), [])
        self.clock.pump([LOOK_EVERY] * round(2 * DAY / LOOK_EVERY))
        first, second = self.said()
        self.assertRegex(first, r"receiver 'r': the certificate expires on .* UTC, in 13 days: renew it")
        self.assertIn("in 12 days", second)
        self.clock.advance(14 * DAY)
        self.assertIn("the certificate has expired on", self.said()[-1])

    def test_at_first_the_configuration_has_warned(self) -> None:
        certificates(self.directory, days=3)
        self.clock.advance(certificate(self.directory / "server.pem").not_valid_before_utc.timestamp() + DAY)
        self.begin()
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(self.said(), [])
        self.clock.advance(DAY)
        self.assertEqual(len(self.said()), 1)


class PortTests(TestCase):
    """Real connections."""

    def setUp(self) -> None:
        self.directory = scratch(self)
        certificates(self.directory)

    def start(self, **keys: Any) -> TcpReceiver:
        self.config = receiver_config(self.directory, "tcp", **keys)
        self.sink = FakeSink()
        intake = intake_for(self.config, "tcp", self.sink, reactor)
        receiver = TcpReceiver(self.config, intake, reactor, max_waiting=10, max_waiting_size=1000)
        self.port = port_in(receiver.listen())

        async def end() -> None:
            await receiver.stop_listening()
            await receiver.drain()

        self.addCleanup(lambda: ensureDeferred(end()))
        return receiver

    def shown(self) -> Deferred[int]:
        """The number of the certificate that is shown."""

        def ask() -> int:
            text = ssl.get_server_certificate(("127.0.0.1", self.port))
            return x509.load_pem_x509_certificate(text.encode()).serial_number

        return deferToThread(ask)

    async def test_connections_stay_and_new_ones_have_the_new_certificate(self) -> None:
        files = {"tls_certificate": "server.pem", "tls_key": "server.key"}
        path = f"{self.directory}/server"
        endpoint = f"ssl:0:interface=127.0.0.1:privateKey={path}.key:certKey={path}.pem"
        for keys in (files, {"endpoint": endpoint}):
            receiver = self.start(**keys)
            trusted = Certificate.loadPEM((self.directory / "ca.pem").read_bytes())
            options = optionsForClientTLS("127.0.0.1", trusted)
            there: Any = HostnameEndpoint(reactor, "127.0.0.1", self.port)
            client = await connectProtocol(wrapClientTLS(options, there), Client())
            before = await self.shown()
            certificates(self.directory)
            self.assertEqual(await self.shown(), before)
            self.assertTrue(receiver.reconfigure(self.config, Limits(10, 1000)))
            renewed = serial(self.directory / "server.pem")
            self.assertNotEqual(renewed, before)
            self.assertEqual(await self.shown(), renewed)
            ends = certificate(self.directory / "server.pem").not_valid_after_utc.timestamp()
            self.assertEqual(receiver.figures()["certificate_expires"], int(ends))
            client.transport.write(b'a,cluster=x event="still here"\n')
            client.transport.loseConnection()
            await client.closed
            await receiver.stop_listening()
            await receiver.drain()
            self.assertEqual(self.sink.texts, ["still here"])

    async def test_other_files_need_no_other_port(self) -> None:
        receiver = self.start(tls_certificate="server.pem", tls_key="server.key")
        config = receiver_config(self.directory, "tcp", tls_certificate="client.pem", tls_key="client.key")
        self.assertTrue(receiver.reconfigure(config, Limits(10, 1000)))
        self.assertEqual(await self.shown(), serial(self.directory / "client.pem"))
        # TLS or none is another thing.
        self.assertFalse(receiver.reconfigure(receiver_config(self.directory, "tcp"), Limits(10, 1000)))


class NatsTests(NatsTestCase):
    async def test_the_next_connection_has_the_new_certificate(self) -> None:
        certificates(self.directory)
        theirs = self.directory / "theirs"
        theirs.mkdir()
        for name in ("server.pem", "server.key", "ca.pem"):
            shutil.copy(self.directory / name, theirs)
        settings = (
            f'tls {{ cert_file: "{theirs}/server.pem", key_file: "{theirs}/server.key",'
            f' ca_file: "{theirs}/ca.pem", verify: true }}'
        )
        server: Server = self.serve(settings)
        files = {
            "tls_ca": str(self.directory / "ca.pem"),
            "tls_certificate": str(self.directory / "client.pem"),
            "tls_key": str(self.directory / "client.key"),
        }
        receiver = await self.connected(server, **files)
        before = certificate(self.directory / "client.pem").not_valid_after_utc.timestamp()
        self.assertEqual(receiver.figures()["certificate_expires"], int(before))
        server.stop()
        await self.until(lambda: not receiver.figures()["connected"])
        # Another CA for both sides: what the receiver had before would be good for nothing.
        certificates(self.directory)
        for name in ("server.pem", "server.key", "ca.pem"):
            shutil.copy(self.directory / name, theirs)
        server.start()
        await self.until(lambda: receiver.figures()["connected"])
        self.assertTrue(any("new files for TLS are used from now on" in line for line in self.said()))


# -- what the configuration says


def loaded(directory: Path, **parts: Any) -> Config:
    return load_config(write_config(directory, **parts), cwd=directory, environ={})


@pytest.mark.parametrize(
    ("days", "said"),
    [(30, None), (15, None), (3, "expires on"), (0.5, "within a day"), (-1, "has expired on")],
)
def test_the_configuration_warns_of_every_kind_of_port(tmp_path: Path, days: float, said: str | None) -> None:
    certificates(tmp_path, days)
    files = {"tls_certificate": "server.pem", "tls_key": "server.key"}
    endpoint = f"ssl:0:privateKey={tmp_path}/server.key:certKey={tmp_path}/server.pem"
    config = loaded(
        tmp_path,
        receivers={
            "t": {"type": "tcp", **files},
            "h": {"type": "http", "endpoint": endpoint},
            "n": {"type": "nats", "subject": "a", **files},
        },
        api=files,
    )
    places = ["receivers.t.tls_certificate", "receivers.h.endpoint", "receivers.n.tls_certificate"]
    found = [line for line in config.warnings if "renew it" in line]
    assert len(found) == (0 if said is None else 4)
    for place, line in zip([*places, "api.tls_certificate"], found, strict=False):
        assert f"{place}: the certificate " in line
        assert said is not None
        assert said in line
    if said is not None:
        status, text = run(tmp_path, "--check", "--config", tmp_path / "ccstore.json")
        assert (status, text.count("renew it")) == (0, 4)


def test_a_ca_of_clients_that_ends_and_one_that_is_not_valid_yet(tmp_path: Path) -> None:
    certificates(tmp_path, 3)
    (tmp_path / "old").mkdir()
    shutil.copy(tmp_path / "ca.pem", tmp_path / "old")
    certificates(tmp_path, 30)
    files = {"tls_certificate": "server.pem", "tls_key": "server.key"}
    config = loaded(tmp_path, api={**files, "tls_client_ca": "old/ca.pem"})
    assert "the certificate of the CA of the other side expires on" in "".join(config.warnings)
    (tmp_path / "both.pem").write_bytes(
        b"".join((tmp_path / each).read_bytes() for each in ("old/ca.pem", "ca.pem"))
    )
    config = loaded(tmp_path, api={**files, "tls_client_ca": "both.pem"})
    assert "CA" not in "".join(config.warnings)
    own = certificate(tmp_path / "server.pem")
    early = own.not_valid_before_utc.timestamp() - 1
    assert "is not valid before" in str(complaint_of_age([own], [], early))


def test_the_daemon_warns_at_its_start_and_shows_when_it_ends(tmp_path: Path) -> None:
    certificates(tmp_path, 3)
    files = {"tls_certificate": "server.pem", "tls_key": "server.key"}
    receivers = {"tcp": {"type": "tcp", "address": "127.0.0.1", "port": 0, **files}}
    config = write_config(tmp_path, receivers=receivers)
    with Daemon(tmp_path, "--config", config) as daemon:
        daemon.wait_for(r"receivers.tcp.tls_certificate: the certificate expires on .*, in 2 days: renew it")
        ends = int(certificate(tmp_path / "server.pem").not_valid_after_utc.timestamp())
        assert daemon.stats()["receivers"]["tcp"]["certificate_expires"] == ends
        status, body = daemon.ask("GET", "/metrics")
        assert status == 200
        assert b'ccstore_receiver_certificate_expires{receiver="tcp",type="tcp"} %d' % ends in body
