"""The daemon with a real NATS server."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.support.configuration import write_config
from tests.support.nats_case import SUBJECT
from tests.support.nats_server import PATIENCE, Server
from tests.support.running_daemon import Daemon, database
from tests.support.scratch import scratch
from tests.support.sinks import event


class DaemonTests(TestCase):
    """All of it together."""

    timeout = 4 * PATIENCE

    def setUp(self) -> None:
        self.directory = scratch(self)
        (self.directory / "nats").mkdir()
        self.server = Server(self.directory / "nats", jetstream=True)
        self.addCleanup(self.server.kill)

    def configuration(self, **storage: Any) -> Path:
        keys = {"address": "localhost", "port": str(self.server.port), "subject": ">", "user": ""}
        receivers = {
            "core": {
                "type": "nats",
                **keys,
                "subject": SUBJECT,
                "process_messages": {"move_meta_to_tag_if": [{"if": "true", "key": "source", "value": "by"}]},
            },
            "stream": {"type": "nats", **keys, "subject": "jobs", "stream": "JOBS", "durable": "cc"},
        }
        return write_config(self.directory, receivers=receivers, storage=storage)

    def stored(self) -> list[str]:
        with database(self.directory / "ccstore.db") as connection:
            return [text for (text,) in connection.execute("SELECT field FROM alex_events ORDER BY id")]

    def connect(self, daemon: Daemon) -> None:
        for name in ("core", "stream"):
            daemon.wait_for(f"{name}: connected to")

    def test_nothing_of_a_stream_is_lost_when_the_daemon_is_killed(self) -> None:
        with self.server.client() as client:
            client.make_stream("JOBS", "jobs")
            client.make_consumer("JOBS", "cc")
        count = 30000
        path = self.configuration(flush_time="10ms", batch_size=100)
        sent = 0
        while sent < count:
            with Daemon(self.directory, "--config", path) as daemon:
                self.connect(daemon)
                with self.server.client() as client:
                    client.publish_all("jobs", [event(str(number)) for number in range(sent, sent + 10000)])
                    client.flush()
                sent += 10000
                while not daemon.stats()["receivers"]["stream"]["stored"]:
                    pass
                daemon.send_signal(9)
                daemon.wait()
        with Daemon(self.directory, "--config", path) as daemon:
            deadline = time.monotonic() + 3 * PATIENCE
            while daemon.stats()["receivers"]["stream"]["pending"] != 0 or len(set(self.stored())) < count:
                assert time.monotonic() < deadline, daemon.stats()
            self.assertEqual(daemon.stop(), -15)
        self.assertEqual({int(text) for text in self.stored()}, set(range(count)))

    def test_heartbeats_of_a_fleet_are_not_stored(self) -> None:
        line = b'fleet,cluster=alex,function=heartbeat event="{\\"token\\": \\"secret\\"}"\n'
        with self.server.client() as client:
            client.make_stream("JOBS", "jobs")
        for stored in (False, True):
            path = self.configuration(store_heartbeats=stored)
            with Daemon(self.directory, "--config", path) as daemon:
                self.connect(daemon)
                with self.server.client() as client:
                    client.publish("alex.fleet", line + event("a"))
                    client.flush()
                daemon.arrived("core", 2)
                account = daemon.stats()["receivers"]["core"]
                self.assertEqual(account["dropped"], {} if stored else {"fleet_heartbeat": 1})
                daemon.stop()
        self.assertEqual(self.stored(), ["a", '{"token": "secret"}', "a"])
        with database(self.directory / "ccstore.db") as connection:
            others = connection.execute("SELECT othertags FROM alex_events WHERE name = 'job'").fetchall()
        self.assertEqual(others, [('{"by": "NatsReceiver(core)"}',)] * 2)

    def test_a_server_that_is_away_keeps_nobody_from_starting_and_stopping(self) -> None:
        self.server.kill()
        with Daemon(self.directory, "--config", self.configuration()) as daemon:
            daemon.wait_for("core: NATS at localhost:.*: no connection: .*refused")
            self.assertFalse(daemon.stats()["receivers"]["core"]["connected"])
            self.assertEqual(daemon.stop(), -15)
            self.assertNotIn("Traceback", daemon.text)
