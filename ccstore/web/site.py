"""A site: what an HTTP port has in common for all of its connections and requests."""

from __future__ import annotations

from typing import Any, Protocol

from attrs import Factory, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IListeningPort, IReactorTime
from twisted.internet.protocol import Protocol as ConnectionProtocol
from twisted.logger import Logger
from twisted.web.resource import IResource
from twisted.web.server import Site

from ccstore.accounting.figures import Figures, gauge
from ccstore.config import HttpLimits
from ccstore.pipeline.intake import Intake

from .accesslog import access_line
from .callers import is_for_this_machine
from .channel import Channel
from .eviction import Connections
from .patience import Patience
from .refusals import Refusals
from .request import LimitedRequest
from .room import Room


class SiteConfig(Protocol):
    """What a configuration says of a site; see :class:`ccstore.config.ApiConfig`."""

    @property
    def max_body(self) -> int: ...
    @property
    def idle_timeout(self) -> float: ...
    @property
    def keep_alives_enabled(self) -> bool: ...
    @property
    def access_log(self) -> bool: ...
    @property
    def limits(self) -> HttpLimits: ...


@frozen(kw_only=True)
class SiteSettings:
    """What may be changed while a site runs.

    :ivar max_body: bytes of a body as sent.
    :ivar idle_timeout: seconds after which a quiet connection is closed, 0 for never.
    """

    max_body: int
    idle_timeout: float
    keep_alive: bool = True
    access_log: bool = False
    limits: HttpLimits = Factory(HttpLimits)

    @classmethod
    def of(cls, config: SiteConfig) -> SiteSettings:
        """Those of a configuration."""
        return cls(
            max_body=config.max_body,
            idle_timeout=config.idle_timeout,
            keep_alive=config.keep_alives_enabled,
            access_log=config.access_log,
            limits=config.limits,
        )


class _Refused(ConnectionProtocol):
    """A connection beyond the limit."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


class InHand:
    """The requests that are being answered."""

    def __init__(self) -> None:
        self._count = 0
        self._over: Deferred[None] | None = None

    def __len__(self) -> int:
        return self._count

    def begin(self) -> None:
        """The whole of a request is there."""
        self._count += 1

    def end(self) -> None:
        """A request is answered, or nobody waits for that any more."""
        self._count -= 1
        if not self._count and self._over is not None:
            over, self._over = self._over, None
            over.callback(None)

    async def wait(self, seconds: float, clock: IReactorTime) -> None:
        """Wait until all are answered, at most for a while."""
        if self._count:
            self._over = Deferred()
            self._over.addTimeout(seconds, clock, onTimeoutCancel=lambda result, timeout: None)
            await self._over
        self._over = None


class LimitedSite(Site):
    """A site that limits bodies, connections and time, and can be asked to end when the requests in hand are
    answered.

    :param intake: of the lines that come in here, see :class:`Refusals`.
    :param room: for bodies, shared with other sites.
    :ivar is_local: it listens for this machine only.
    """

    _requests = Logger()
    protocol = Channel  # type: ignore[assignment]
    requestFactory = LimitedRequest
    noisy = False

    def __init__(
        self,
        resource: IResource,
        settings: SiteSettings,
        *,
        intake: Intake,
        reactor: IReactorTime,
        room: Room,
        patience: Patience | None = None,
    ) -> None:
        super().__init__(resource, reactor=reactor)
        self.displayTracebacks = False
        self.room = room
        self.patience = patience or Patience()
        self.is_local = False
        limits = settings.limits
        self.connections = Connections(reactor, limits.max_connections, limits.max_connections_per_address)
        self.in_hand = InHand()
        self.refusals = Refusals(intake)
        self._name = intake.account.name
        self.reconfigure(settings)

    def reconfigure(self, settings: SiteSettings) -> None:
        """Go on with other settings; connections that there are keep their ``idle_timeout``."""
        self.settings = settings
        self.timeOut = settings.idle_timeout or None
        limits = settings.limits
        self.connections.set_limits(limits.max_connections, limits.max_connections_per_address)

    def listens_on(self, port: IListeningPort, endpoint: str | None) -> None:
        """The port is open.

        :param endpoint: as it is configured.
        """
        # A load balancer passes on the Host that it has; and no page makes a browser speak as it does.
        is_balanced = endpoint is not None and endpoint.lower().startswith("haproxy:")
        self.is_local = is_for_this_machine(port) and not is_balanced

    def buildProtocol(self, addr: IAddress | None) -> Any:
        refusal = self.connections.refusal(str(getattr(addr, "host", "")))
        if refusal is None:
            return super().buildProtocol(addr)
        self.refusals.connection(addr, refusal)
        return _Refused()

    def log(self, request: Any) -> None:
        """Tell of a request that was answered."""
        if self.settings.access_log:
            # Without the time, which the line has anyway.
            line = access_line("", request).replace(" - -  ", " ", 1)
            self._requests.info("{name}: {line}", name=self._name, line=line)

    def figures(self) -> Figures:
        """Figures for the statistics."""
        return self.refusals.figures() | Figures(
            connections=gauge(len(self.connections), "Connections that are open."),
            requests_in_flight=gauge(len(self.in_hand), "Requests that are being answered."),
        )

    async def drain(self, seconds: float) -> None:
        """Wait until the requests in hand are answered, at most for a while, and close all connections."""
        await self.in_hand.wait(seconds, self.reactor)
        for channel in self.connections.all():
            channel.break_off()
