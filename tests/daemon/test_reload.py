"""Another configuration while the daemon runs: what is different, and what becomes of it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ccstore.config import Config, ConfigError
from ccstore.daemon.assembly import build
from ccstore.daemon.reload import Plan
from tests.support.certificates import certificates
from tests.support.configuration import load, ports_in
from tests.support.loopback import Client
from tests.support.nats_server import Server
from tests.support.scratch import scratch
from tests.support.sinks import event

_PATIENCE = 30.0
TCP = {"type": "tcp", "address": "127.0.0.1", "port": 0}
NATS = {"type": "nats", "address": "127.0.0.1", "port": 4222, "subject": "a"}


class PlanTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = scratch(self)

    def plan(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> Plan:
        return Plan.of(load(self.directory, **old), load(self.directory, **new))

    def test_the_same_is_no_change(self) -> None:
        rules = [{"if": "tag.a == limit", "key": "b", "value": "c"}]
        tcp = {**TCP, "process_messages": {"add_tags_if": rules, "add_base_env": {"limit": "x"}}}
        parts = {
            "receivers": {"t": tcp, "h": {"type": "http", "databases": {"a": "b"}}},
            "storage": {"retention_time": "1h"},
        }
        plan = self.plan(parts, parts)
        self.assertEqual((plan.changes, plan.restart), ([], []))
        self.assertEqual((plan.new, plan.gone, plan.replaced, plan.kept), ([], [], [], ["t", "h"]))
        # A name that stands for another value makes another condition.
        other = {**TCP, "process_messages": {"add_tags_if": rules, "add_base_env": {"limit": "y"}}}
        plan = self.plan({"receivers": {"t": tcp}}, {"receivers": {"t": other}})
        self.assertEqual(plan.changes, ["receivers.t.process_messages"])

    def test_keys_that_are_different(self) -> None:
        plan = self.plan(
            {"receivers": {"t": TCP, "n": NATS}},
            {
                "receivers": {"t": {**TCP, "port": 1, "max_connections": 5}, "n": {**NATS, "cluster": "a"}},
                "storage": {"retention_time": "1h", "flush_time": 0},
                "api": {"max_rows": 7},
            },
        )
        self.assertEqual(
            plan.changes,
            [
                *("receivers.t.port", "receivers.t.max_connections", "receivers.n.cluster"),
                *("storage.retention_time", "storage.flush_time", "api.max_rows"),
            ],
        )
        self.assertEqual((plan.kept, plan.restart), (["t", "n"], []))

    def test_receivers_that_come_and_go(self) -> None:
        plan = self.plan(
            {"receivers": {"a": TCP, "b": TCP, "n": NATS}},
            {"receivers": {"c": TCP, "b": {**TCP, "type": "udp"}, "n": {**NATS, "subject": "b"}}},
        )
        self.assertEqual((plan.new, plan.gone, plan.replaced), (["c"], ["a"], ["b", "n"]))
        self.assertEqual(plan.changes, [])

    def test_what_needs_a_restart_stays_as_it_is(self) -> None:
        backend = {"type": "sqlite", "database_path": str(self.directory / "other.db")}
        old = load(self.directory)
        plan = Plan.of(old, load(self.directory, storage={"backend": backend, "batch_size": 5}))
        self.assertEqual((plan.restart, plan.changes), (["storage.backend"], ["storage.batch_size"]))
        self.assertEqual(plan.config.storage.backend, old.storage.backend)
        postgres = {"type": "postgres", "dsn": "host=x"}
        spools = [{"path": "a", "max_size": "1GiB"}, {"path": "a", "max_size": "2GiB"}, {"path": "b"}]
        one, larger, other, none = (
            load(self.directory, storage={"backend": postgres, "spool": spool})
            for spool in (*spools, {"max_size": 0})
        )
        self.assertEqual(
            (Plan.of(one, larger).restart, Plan.of(one, larger).changes), ([], ["storage.spool"])
        )
        for old, new in ((one, other), (one, none), (none, one)):
            plan = Plan.of(old, new)
            self.assertEqual((plan.restart, plan.changes), (["storage.spool"], []))
            self.assertEqual(plan.config.storage.spool, old.storage.spool)


class _ReloadTests(TestCase):
    """A daemon in this process, with a backend in a file, whose configuration is what a test says."""

    timeout = 2 * _PATIENCE

    def start(self, **parts: Any) -> None:
        self.directory = scratch(self)
        self.next: Callable[[], Deferred[Config]] = lambda: succeed(load(self.directory))
        logs = capturedLogs()
        self.logs = logs.__enter__()
        self.addCleanup(logs.__exit__, None, None, None)
        self.service = build(
            load(self.directory, **parts), reactor, path=Path("ccstore.yaml"), read=lambda: self.next()
        )
        self.service.privilegedStartService()
        self.service.startService()
        self.addCleanup(self.service.stopService)

    def said(self) -> list[str]:
        return [formatEvent(entry) or "" for entry in self.logs]

    async def until(self, is_so: Callable[[], Any]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not is_so():
            assert time.monotonic() < deadline, "\n".join(self.said())
            await deferLater(reactor, 0.01)

    async def reload(self, **parts: Any) -> list[str]:
        """Read another configuration: what is said meanwhile."""
        return await self.reload_as(succeed(load(self.directory, **parts)), "has been read again")

    def summary(self) -> str:
        """What the last one changed."""
        words = "the configuration has been read again: "
        return next(line for line in reversed(self.said()) if line.startswith(words)).removeprefix(words)

    async def reload_as(self, found: Deferred[Config], until: str) -> list[str]:
        begin = len(self.logs)
        self.next = lambda: found
        self.service.reload()
        await self.until(lambda: any(until in line for line in self.said()[begin:]))
        return self.said()[begin:]

    @property
    def ports(self) -> dict[str, int]:
        """Where it listens by now."""
        return ports_in("\n".join(self.said()))

    async def connect(self, line: str = "TCP") -> Client:
        client: Client = await connectProtocol(
            HostnameEndpoint(reactor, "127.0.0.1", self.ports[line]), Client()
        )
        self.addCleanup(client.transport.loseConnection)
        return client

    async def send(self, client: Client, text: str, receiver: str = "t") -> None:
        """A line, and wait until it is stored."""
        account = self.service.roster.account(receiver)
        assert account is not None
        stored = account.stored
        client.transport.write(event(text) + b"\n")
        await self.until(lambda: account.stored > stored)

    def figures(self, receiver: str = "t") -> Any:
        shown: Any = self.service.statistics.figures()
        return shown["receivers"][receiver]


class ReloadTests(_ReloadTests):
    async def test_other_settings_for_those_who_are_connected(self) -> None:
        self.start(receivers={"t": {**TCP, "precision": "s"}}, storage={"flush_time": 0})
        client = await self.connect()
        await self.send(client, "a")
        rules = {"drop_messages": ["job"]}
        keys = {"process_messages": rules, "precision": "ns", "max_connections": 1, "max_line_length": 100}
        await self.reload(receivers={"t": {**TCP, **keys}}, storage={"flush_time": 0})
        self.assertEqual(
            self.summary(),
            "changed receivers.t.precision, "
            "receivers.t.max_line_length, receivers.t.max_connections, receivers.t.process_messages",
        )
        client.transport.write(event("b") + b"\n" + event("c" * 200) + b"\n")
        client.transport.write(b'x,cluster=alex event="%d" %d\n' % (1, time.time_ns()))
        await self.until(lambda: self.figures()["stored"] == 2)
        self.assertEqual(self.figures()["dropped"], {"rule": 1})
        self.assertEqual(self.figures()["rejected"], {"malformed": 1})
        refused = await self.connect()
        await refused.closed
        self.assertEqual(self.figures()["refused_connections"], 1)
        self.assertTrue(client.transport.connected)

    async def test_another_port(self) -> None:
        self.start(receivers={"t": TCP}, storage={"flush_time": 0})
        before = self.ports["TCP"]
        client = await self.connect()
        address = {**TCP, "address": "localhost"}  # any free port again
        await self.reload(receivers={"t": address}, storage={"flush_time": 0})
        self.assertNotEqual(self.ports["TCP"], before)
        await self.send(client, "a")
        await self.send(await self.connect(), "b")
        self.assertEqual((self.figures()["connections"], self.figures()["received"]), (2, 2))
        await self.assertFailure(
            connectProtocol(HostnameEndpoint(reactor, "127.0.0.1", before), Client()), Exception
        )

    async def test_who_waits_at_the_former_port_is_let_in(self) -> None:
        self.start(receivers={"t": TCP}, storage={"flush_time": 0})
        waiting = [socket.create_connection(("127.0.0.1", self.ports["TCP"])) for _ in range(100)]
        for number, each in enumerate(waiting):
            self.addCleanup(each.close)
            each.sendall(event(f"{number}") + b"\n")
        await self.reload(receivers={"t": {**TCP, "address": "localhost"}}, storage={"flush_time": 0})
        await self.until(lambda: self.figures()["stored"] == 100)

    async def test_the_same_port_at_another_address(self) -> None:
        self.start(receivers={"t": TCP, "h": {**TCP, "type": "http"}, "u": {**TCP, "type": "udp"}})
        ports = self.ports
        client = await self.connect()
        receivers = {
            name: {**TCP, "type": kind, "port": ports[kind.upper()], "address": "0.0.0.0"}
            for name, kind in (("t", "tcp"), ("h", "http"), ("u", "udp"))
        }
        said = await self.reload(receivers=receivers, api={"port": ports["REST"], "address": "127.0.0.1"})
        self.assertEqual([line for line in said if "cannot" in line], [])
        self.assertIn(f"line protocol over UDP on 0.0.0.0:{ports['UDP']}", said)
        self.assertEqual(self.ports, ports)
        for each in (client, await self.connect()):
            await self.send(each, "a")
        (await self.connect("REST")).transport.loseConnection()

    async def test_two_receivers_change_places(self) -> None:
        self.start(receivers={"t": TCP, "h": {**TCP, "type": "http"}})
        ports = self.ports
        tcp = {**TCP, "port": ports["HTTP"]}
        http = {**TCP, "type": "http", "port": ports["TCP"]}
        await self.reload(receivers={"t": tcp, "h": http})
        self.assertEqual((self.ports["TCP"], self.ports["HTTP"]), (ports["HTTP"], ports["TCP"]))
        await self.send(await self.connect(), "a")

    async def test_a_port_that_cannot_be_opened(self) -> None:
        self.start(receivers={"t": TCP, "h": {**TCP, "type": "http"}}, storage={"flush_time": 0})
        ports = self.ports
        client = await self.connect()
        elsewhere = {**TCP, "address": "192.0.2.1", "max_connections": 3}
        parts = {
            "receivers": {"t": elsewhere, "h": {**elsewhere, "type": "eecpt"}, "n": {**TCP, **elsewhere}},
            "storage": {"flush_time": 0},
        }
        parts["receivers"]["h"].pop("max_connections")
        for _ in range(2):  # the next time, it is tried again
            said = await self.reload(**parts)
            problem = "cannot listen on 192.0.2.1:0: cannot assign requested address"
            for part, what in (
                ("t", "it stays as it was"),
                ("h", "it stays as it was"),
                ("n", "it is not started"),
            ):
                self.assertIn(f"receivers.{part}.address: {problem}; {what}", said)
            self.assertEqual({**self.ports, "REST": 0}, {**ports, "REST": 0})
            await self.send(client, "a")
            await self.send(await self.connect(), "b")
            await self.connect("HTTP")
            self.assertEqual([*self.service.statistics.figures()["receivers"]], ["t", "h", "api"])
            self.assertEqual(self.figures("h")["type"], "http")
        self.assertEqual(self.summary(), "nothing has changed")

    async def test_if_one_of_two_cannot_change_places_both_stay(self) -> None:
        self.start(receivers={"t": TCP, "h": {**TCP, "type": "http"}})
        tcp = {**TCP, "port": self.ports["TCP"]}
        http = {**TCP, "type": "http", "port": self.ports["HTTP"]}
        await self.reload(receivers={"t": tcp, "h": http})
        ports = self.ports
        foreign = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        self.addCleanup(foreign.stopListening)
        said = await self.reload(
            receivers={"t": {**tcp, "port": ports["HTTP"]}, "h": {**http, "port": foreign.getHost().port}}
        )
        self.assertEqual(sum("address already in use; it stays as it was" in line for line in said), 2)
        self.assertNotIn("nobody listens", "".join(said))
        self.assertEqual(self.ports, ports)
        await self.send(await self.connect(), "a")
        client = await self.connect("HTTP")
        client.transport.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.until(b"405")

    async def test_receivers_that_come_go_and_come_back(self) -> None:
        self.start(receivers={"t": TCP}, storage={"flush_time": 0})
        client = await self.connect()
        await self.send(client, "a")
        client.transport.write(event("b") + b"\n" + b"half a line")
        said = await self.reload(receivers={"other": TCP}, storage={"flush_time": 0})
        await client.closed
        self.assertIn(
            "t: 3 received, 2 stored, 1 rejected, 0 dropped, 0 waiting; this receiver is gone", said
        )
        self.assertEqual(self.summary(), "changed receivers.other (new), receivers.t (gone)")
        self.assertEqual([*self.service.statistics.figures()["receivers"]], ["other", "api"])
        await self.send(await self.connect(), "c", "other")
        await self.reload(receivers={"t": TCP, "other": TCP}, storage={"flush_time": 0})
        self.assertEqual([*self.service.statistics.figures()["receivers"]], ["t", "other", "api"])
        self.assertEqual((self.figures()["received"], self.figures("other")["received"]), (3, 1))

    async def test_another_type_on_the_same_port(self) -> None:
        self.start(receivers={"t": TCP}, storage={"flush_time": 0})
        port = self.ports["TCP"]
        await self.send(await self.connect(), "a")
        await self.reload(receivers={"t": {**TCP, "type": "http", "port": port}})
        self.assertIn("receivers.t (another)", self.summary())
        self.assertEqual(self.ports["HTTP"], port)
        self.assertEqual((self.figures()["type"], self.figures()["received"]), ("http", 1))
        client = await self.connect("HTTP")
        body = event("b")
        client.transport.write(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        await client.until(b"200 OK")
        self.assertEqual(self.figures()["stored"], 2)

    async def test_keys_and_limits_of_the_rest_interface(self) -> None:
        self.start()
        client = await self.connect("REST")
        asked = b"GET /api/stats HTTP/1.1\r\nHost: x\r\n\r\n"
        client.transport.write(asked)
        await client.until(b" 200 OK")
        key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
        said = await self.reload(api={"jwt_public_key": key, "max_body": 1024})
        self.assertNotIn(key, "".join(said))
        client.transport.write(asked)
        await client.until(b" 401 ")
        client.transport.write(b"POST /api/write HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n")
        await client.until(b" 413 ")

    async def test_the_storage(self) -> None:
        self.start(receivers={"t": TCP}, storage={"flush_time": "1m"})
        client = await self.connect()
        client.transport.write(event("old", time=int(time.time()) - 100) + b"\n")
        await self.until(lambda: self.figures()["received"] == 1)
        # What has waited is written, and new settings are those of the next messages.
        storage = {"flush_time": 0, "retention_time": "10s", "store_logs": False}
        await self.reload(receivers={"t": TCP}, storage=storage)
        await self.until(lambda: self.figures()["stored"] == 1)
        client.transport.write(event("late", time=int(time.time()) - 50) + b"\n")
        client.transport.write(b'n,cluster=alex log="l"\n')
        await self.until(lambda: sum(self.figures()["dropped"].values()) == 2)
        self.assertEqual(self.figures()["dropped"], {"expired": 1, "log": 1})

    async def test_a_configuration_with_mistakes_changes_nothing(self) -> None:
        self.start(receivers={"t": TCP})
        client = await self.connect()
        try:
            load(self.directory, receivers={"t": {**TCP, "port": -1}}, storage={"flush_time": "x"})
        except ConfigError as error:
            mistakes = error
        said = await self.reload_as(fail(mistakes), "nothing has changed")
        self.assertEqual(said[1:3], [str(problem) for problem in mistakes.problems])
        self.assertEqual(said[3:], ["the configuration has mistakes: nothing has changed"])
        await self.send(client, "a")

    async def test_what_comes_meanwhile_is_done_afterwards_and_nothing_after_the_stop(self) -> None:
        self.start(receivers={"t": TCP})
        slow: Deferred[Config] = Deferred()
        self.next = lambda: slow
        self.service.reload()
        self.service.reload()
        self.service.reload()
        reading = [line for line in self.said() if line == "reading ccstore.yaml again"]
        self.assertEqual(len(reading), 1)
        self.next = lambda: succeed(load(self.directory, receivers={"b": TCP}))
        slow.callback(load(self.directory, receivers={"t": TCP, "a": TCP}))
        await self.until(lambda: sum("has been read again" in line for line in self.said()) == 2)
        self.assertEqual([*self.service.statistics.figures()["receivers"]], ["b", "api"])
        # A stop waits for what is being taken over.
        client = await self.connect()
        await self.until(lambda: self.figures("b")["connections"] == 1)
        client.transport.write(event("a") + b"\n")
        self.next = lambda: succeed(load(self.directory))
        self.service.reload()
        await self.service.stopService()
        self.service.reload()
        said = self.said()
        self.assertIn(
            "b: 1 received, 1 stored, 0 rejected, 0 dropped, 0 waiting; this receiver is gone", said
        )
        self.assertEqual(said[-1], "the configuration is not read again: the daemon is stopping")

    async def test_datagrams_of_both_ports_are_taken(self) -> None:
        self.start(receivers={"u": {**TCP, "type": "udp"}}, storage={"flush_time": 0})
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sender.close)
        for here, elsewhere in (("127.0.0.1", "127.0.0.2"), ("127.0.0.2", "127.0.0.1")):
            for number in range(5):
                sender.sendto(event(f"{number}"), (here, self.ports["UDP"]))
            # What the kernel holds of the former port is read before that is closed.
            keys = {**TCP, "type": "udp", "address": elsewhere}
            await self.reload(receivers={"u": keys}, storage={"flush_time": 0})
        await self.until(lambda: self.figures("u")["stored"] == 10)

    async def test_tls_from_now_on_on_the_same_port(self) -> None:
        self.start(receivers={"t": TCP}, storage={"flush_time": 0})
        certificates(self.directory)
        client = await self.connect()
        keys = {"port": self.ports["TCP"], "tls_certificate": "server.pem", "tls_key": "server.key"}
        await self.reload(receivers={"t": {**TCP, **keys}}, storage={"flush_time": 0})
        await self.send(client, "a")  # whoever was connected stays so
        trusted = Certificate.loadPEM((self.directory / "ca.pem").read_bytes())
        there = HostnameEndpoint(reactor, "127.0.0.1", keys["port"])
        other = await connectProtocol(
            wrapClientTLS(optionsForClientTLS("127.0.0.1", trusted), there), Client()
        )
        await self.send(other, "b")
        other.transport.loseConnection()
        await other.closed

    async def test_phases_go_on_with_other_settings(self) -> None:
        keys = {**TCP, "type": "eecpt", "analysis_interval": "1h"}
        self.start(receivers={"e": keys}, storage={"flush_time": 0})

        async def report(*values: int) -> None:
            # One process whose steps are 1, and then one of 100.
            body = b"".join(b"m,cluster=alex,jobid=7,rank=0 value=%d\n" % value for value in values)
            client = await self.connect("HTTP")
            head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            client.transport.write(head % len(body) + body)
            await client.closed

        await report(1)
        self.assertEqual(self.figures("e")["jobs"], 0)  # the metric has another name
        await self.reload(receivers={"e": {**keys, "analysis_metric": "m"}}, storage={"flush_time": 0})
        await report(1, 2, 3, 4)
        self.assertEqual(self.figures("e")["processes"], 1)
        shorter = {**keys, "analysis_metric": "m", "analysis_interval": "1s", "analysis_buffer_size": 5}
        await self.reload(receivers={"e": shorter}, storage={"flush_time": 0})
        await report(104)
        await self.until(lambda: self.figures("e")["phase_changes"] == 1)

    async def test_another_nats_subject(self) -> None:
        folder = scratch(self) / "nats"
        folder.mkdir()
        server = Server(folder)
        self.addCleanup(server.kill)
        keys = {**NATS, "port": server.port}
        self.start(receivers={"n": keys}, storage={"flush_time": 0})
        with server.client() as client:
            for number, subject in enumerate(("a", "b"), 1):
                await self.reload(receivers={"n": {**keys, "subject": subject}}, storage={"flush_time": 0})
                await self.until(lambda: self.figures("n")["connected"])
                client.publish(subject, event(subject))
                client.flush()
                await self.until(lambda number=number: self.figures("n")["stored"] == number)
            self.assertEqual(self.summary(), "changed receivers.n (another)")
            # Rules need no other connection.
            rules = {"drop_messages": ["job"]}
            changed = {**keys, "subject": "b", "process_messages": rules}
            await self.reload(receivers={"n": changed}, storage={"flush_time": 0})
            client.publish("b", event("c"))
            client.flush()
            await self.until(lambda: self.figures("n")["dropped"] == {"rule": 1})
            self.assertEqual(self.figures("n")["reconnects"], 0)

    async def test_without_a_file_there_is_nothing_to_read(self) -> None:
        logs = capturedLogs()
        found = logs.__enter__()
        self.addCleanup(logs.__exit__, None, None, None)
        build(load(scratch(self)), reactor).reload()
        self.assertEqual(formatEvent(found[-1]), "there is no configuration file to read again")
