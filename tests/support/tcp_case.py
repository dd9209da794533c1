"""A receiver over TCP without a network."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ccstore.receivers.tcp import TcpReceiver
from ccstore.receivers.tcp_streams import StreamLimits
from tests.support.configuration import receiver_config
from tests.support.loopback import Loopback
from tests.support.scratch import scratch
from tests.support.sinks import FakeSink, intake_for


class TcpTestCase(SynchronousTestCase):
    """A receiver without a network."""

    def start(
        self,
        limits: StreamLimits | None = None,
        *,
        max_waiting: int = 1000,
        max_waiting_size: int = 10**9,
        **keys: Any,
    ) -> None:
        config = receiver_config(scratch(self), "tcp", **keys)
        self.clock = Loopback()
        self.sink = FakeSink()
        self.receiver = TcpReceiver(
            config,
            intake_for(config, "tcp", self.sink, self.clock),
            self.clock,
            max_waiting=max_waiting,
            max_waiting_size=max_waiting_size,
            limits=limits,
        )
        self.receiver.listen()

    def read(self, connection: Any, data: bytes) -> None:
        """A connection reads this in one turn of the reactor."""
        connection.dataReceived(data)
        self.clock.advance(0)

    def lose(self, wire: Any, reason: Exception) -> None:
        """The other side goes away."""
        wire.lose(reason)
        self.clock.advance(0)

    @property
    def rejected(self) -> int:
        return self.receiver.account.rejected.total()

    def drain(self) -> Deferred[None]:
        """Let the receiver come to its end, as far as the time is given to it."""
        drained = ensureDeferred(self.receiver.drain())
        self.clock.pump([0.1] * 3)
        return drained
