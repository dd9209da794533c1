"""Line protocol from NATS: one or many lines in each message."""

from __future__ import annotations

import random
from typing import Any, Final, cast

from twisted.application.service import Service
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from zope.interface import implementer

from ccstore.accounting.figures import Figures, counter
from ccstore.config import NatsReceiverConfig
from ccstore.interfaces import IReceiver, Limits
from ccstore.pipeline.backlog import Backlog
from ccstore.pipeline.intake import Intake
from ccstore.receivers.nats.access import Access
from ccstore.receivers.nats.arrivals import Arrivals
from ccstore.receivers.nats.client import Connection
from ccstore.receivers.nats.connector import Connector, whatever
from ccstore.receivers.nats.consumer import Consumer
from ccstore.receivers.nats.handshake import Introduction
from ccstore.receivers.nats.reasons import PATIENCE
from ccstore.receivers.nats.server_log import ServerLog
from ccstore.receivers.nats.subscription import CoreSubscription, Subscription
from ccstore.timing import Backoff

#: Seconds between two attempts to connect: at first, and at most. Each is cut by up to a half, at random.
_FIRST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 30.0
#: Seconds that decoding what has arrived may take at the stop, and the commit that is to be acknowledged.
_READ_OUT: Final = 2.0
_COMMIT: Final = 5.0


@implementer(IReceiver)
class NatsReceiver(Service):
    """See the module.

    :param max_waiting: messages that may wait to be stored, above which no more is read.
    :param max_waiting_size: the same in bytes.
    :param endpoint: of the server, instead of the one that is configured.
    :param chance: for delays, and for names that nobody else has.
    """

    def __init__(
        self,
        config: NatsReceiverConfig,
        intake: Intake,
        reactor: Any,
        *,
        max_waiting: int,
        max_waiting_size: int,
        endpoint: IStreamClientEndpoint | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self.setName(config.name)
        self.intake = intake
        self.account = intake.account
        self._config = config
        self._endpoint = endpoint or HostnameEndpoint(reactor, config.address, config.port, timeout=PATIENCE)
        self._introduction: Introduction | None = None
        self._is_stopping = False
        chance = random.SystemRandom() if chance is None else chance
        self._server_log = ServerLog(intake, _server(config))
        self._access = Access(config, intake.clock, self._server_log.complain)
        self._subscription = self._subscribing(chance)
        self._backlog = Backlog(
            intake, max_waiting=max_waiting, max_waiting_size=max_waiting_size, changed=self._set_pace
        )
        self._arrivals = Arrivals(
            intake,
            self._subscription,
            max_payload=config.max_payload,
            backlog=self._backlog,
            changed=self._set_pace,
        )
        self._connector = Connector(
            self._connect,
            self._subscription,
            intake.clock,
            Backoff(_FIRST_DELAY, _LONGEST_DELAY, chance),
            self._server_log,
            config.subject,
            self._set_pace,
        )

    def _subscribing(self, chance: random.Random) -> Subscription:
        config = self._config
        if config.stream is None or config.durable is None:
            return CoreSubscription(config.subject, config.queue_group)
        return Consumer(
            stream=config.stream,
            durable=config.durable,
            subject=config.subject,
            clock=self.intake.clock,
            token=lambda: f"{chance.getrandbits(96):024x}",
            complain=self._server_log.complain,
        )

    async def _connect(self) -> Connection:
        assert self._introduction is not None
        factory = _ConnectionFactory(self._introduction, self.intake, self._arrivals, self._server_log)
        return cast(Connection, await self._endpoint.connect(factory))

    def _set_pace(self) -> None:
        """Read on, or not for the time being."""
        if self._connector.connection is not None:
            self._connector.connection.set_paused(self._arrivals.is_full)
        self._subscription.set_paused(self._backlog.is_paused or self._is_stopping)

    # -- IReceiver

    def listen(self) -> str:
        """See :meth:`IReceiver.listen`: nothing is opened, the connection is made when the daemon runs."""
        config = self._config
        self._introduction = self._access.read()
        by = "" if config.stream is None else f", by JetStream's stream {config.stream}"
        return f"line protocol from NATS at {_server(config)}, subject {config.subject}{by}"

    def reconfigure(self, config: NatsReceiverConfig, limits: Limits) -> bool:
        """See :meth:`IReceiver.reconfigure`: for another server or subject it takes another receiver."""
        self._config = config
        self._backlog.limit(limits.messages, limits.size)
        self._arrivals.reconfigure()
        self._access.look()
        return True

    async def leave(self) -> None:
        """See :meth:`IReceiver.leave`; there is no port."""

    async def stop_listening(self) -> None:
        """See :meth:`IReceiver.stop_listening`: take no more than what is on its way."""
        self._is_stopping = True
        self._access.stop()
        self._connector.stop()
        self._set_pace()

    async def drain(self) -> None:
        """See :meth:`IReceiver.drain`: with JetStream, what was taken is acknowledged as well."""
        await self._connector.hear_out()
        self._arrivals.hand_over(_READ_OUT)
        if self._subscription.acknowledges:
            self.intake.flush()
            await whatever(self._backlog.when_empty(), _COMMIT, self.intake.clock)
            await self._connector.hear_out()
        await self._connector.close()
        self._arrivals.hand_over(_READ_OUT)

    def figures(self) -> Figures:
        """See :meth:`IReceiver.figures`."""
        pauses = counter(self._backlog.pauses, "Times when no more was read, since too much waited.")
        return (
            self._connector.figures()
            | Figures(pauses=pauses)
            | self._access.figures()
            | self._subscription.figures()
        )

    # -- IService

    def startService(self) -> None:
        """Begin to connect, and never give up."""
        super().startService()
        self._access.start()
        self._connector.start()


class _ConnectionFactory(Factory):
    """Makes the one connection of an attempt."""

    noisy = False

    def __init__(
        self, introduction: Introduction, intake: Intake, arrivals: Arrivals, server_log: ServerLog
    ) -> None:
        self._introduction = introduction
        self._intake = intake
        self._arrivals = arrivals
        self._server_log = server_log

    def buildProtocol(self, addr: IAddress | None) -> Connection:
        return Connection(
            self._introduction, self._intake.clock, self._arrivals.take, self._server_log.complain
        )


def _server(config: NatsReceiverConfig) -> str:
    """The server that is configured, for people."""
    host = f"[{config.address}]" if ":" in config.address else config.address
    return f"{host}:{config.port}"
