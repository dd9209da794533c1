"""Receivers of NATS in this process, and real servers for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from ccstore.receivers.nats.receiver import NatsReceiver
from tests.support.configuration import load
from tests.support.nats_server import PATIENCE, Server
from tests.support.scratch import scratch
from tests.support.sinks import FakeSink, event, intake_for

SUBJECT = "alex.>"


class NatsTestCase(TestCase):
    """Receivers in this process, with a sink that only listens."""

    timeout = 4 * PATIENCE

    def setUp(self) -> None:
        self.directory = scratch(self)
        logs = capturedLogs()
        self.logs = logs.__enter__()
        self.addCleanup(logs.__exit__, None, None, None)

    def serve(self, configuration: str = "", **keys: Any) -> Server:
        folder = self.directory / f"nats-{len(list(self.directory.iterdir()))}"
        folder.mkdir()
        server = Server(folder, configuration, **keys)
        self.addCleanup(server.kill)
        return server

    def receive(
        self,
        server: Server,
        *,
        holds: bool = False,
        max_waiting: int = 10**6,
        name: str = "nats",
        **keys: Any,
    ) -> NatsReceiver:
        """A receiver that has begun to connect."""
        content = {"type": "nats", "address": "127.0.0.1", "port": server.port, "subject": SUBJECT, **keys}
        (config,) = load(self.directory, receivers={name: content}).receivers
        self.sink = FakeSink(holds=holds)
        receiver = NatsReceiver(
            config,  # type: ignore[arg-type]
            intake_for(config, "nats", self.sink, reactor),
            reactor,
            max_waiting=max_waiting,
            max_waiting_size=10**9,
        )
        receiver.listen()
        receiver.startService()
        self.addCleanup(self.end, receiver)
        return receiver

    async def connected(self, server: Server, **keys: Any) -> NatsReceiver:
        receiver = self.receive(server, **keys)
        await self.until(lambda: receiver.figures()["connected"])
        return receiver

    def end(self, receiver: NatsReceiver) -> Any:
        """Its orderly stop, with the books looked at."""

        async def stop() -> None:
            await receiver.stop_listening()
            await receiver.drain()
            receiver.stopService()
            assert receiver.account.is_balanced, receiver.account

        return ensureDeferred(stop())

    async def until(self, is_so: Callable[[], Any]) -> None:
        """Wait for something that is about to come."""
        deadline = time.monotonic() + PATIENCE
        while not is_so():
            assert time.monotonic() < deadline, "\n".join(self.said())
            await deferLater(reactor, 0.01)

    async def many_turns(self) -> None:
        """Give whatever is on its way the time to come."""
        for _ in range(50):
            await deferLater(reactor, 0.01)

    def said(self) -> list[str]:
        return [formatEvent(entry) for entry in self.logs]

    async def until_said(self, part: str) -> str:
        await self.until(lambda: any(part in line for line in self.said()))
        return next(line for line in self.said() if part in line)

    def publish(self, server: Server, *texts: str, subject: str = "alex.events.job") -> None:
        with server.client() as client:
            client.publish_all(subject, [event(text) for text in texts])
            client.flush()
