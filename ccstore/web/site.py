"""A site: what an HTTP port has in common for all of its connections and requests."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IListeningPort, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.web.resource import IResource
from twisted.web.server import Site

from ccstore.accounting.figures import Figures, counter, gauge
from ccstore.config import HttpLimits
from ccstore.network.addresses import address_of
from ccstore.pipeline.intake import Intake

from .accesslog import access_line
from .answers import WebError
from .callers import is_for_this_machine
from .channel import Channel, Patience
from .connections import Connections
from .request import LimitedRequest
from .room import Room


class _Refused(Protocol):
    """A connection beyond the limit."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


class LimitedSite(Site):
    """A site that limits bodies, connections and time, and can be asked to end when the requests in hand are
    answered.

    :param intake: of the lines that come in here: it keeps samples of who is refused, and says so in the log.
    :param max_body: bytes of a body as sent.
    :param idle_timeout: seconds after which a quiet connection is closed, 0 for never.
    :param room: shared with other sites.
    """

    _requests = Logger()
    protocol = Channel  # type: ignore[assignment]
    requestFactory = LimitedRequest
    noisy = False

    def __init__(
        self,
        resource: IResource,
        *,
        intake: Intake,
        reactor: IReactorTime,
        max_body: int,
        idle_timeout: float,
        keep_alive: bool,
        access_log: bool,
        room: Room,
        limits: HttpLimits,
        patience: Patience | None = None,
    ) -> None:
        super().__init__(resource, reactor=reactor)
        self.displayTracebacks = False
        self.room = room
        self.patience = patience or Patience()
        self.is_local = False
        self.connections = Connections(reactor, limits.max_connections, limits.max_connections_per_address)
        self.in_flight = 0
        self.refused_bodies = 0
        self._refused_connections = 0
        self._cut_connections = 0
        self._bad_requests = 0
        self._foreign_requests = 0
        self._intake = intake
        self._over: Deferred[None] | None = None
        self.reconfigure(
            max_body=max_body,
            idle_timeout=idle_timeout,
            keep_alive=keep_alive,
            access_log=access_log,
            limits=limits,
        )

    def reconfigure(
        self, *, max_body: int, idle_timeout: float, keep_alive: bool, access_log: bool, limits: HttpLimits
    ) -> None:
        """Go on with other limits; connections that there are keep their ``idle_timeout``."""
        self.max_body = max_body
        self.timeOut = idle_timeout or None
        self.keep_alive = keep_alive
        self.allowed_hosts = limits.allowed_hosts
        self.connections.set_limits(limits.max_connections, limits.max_connections_per_address)
        self._access_log = access_log

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
        self._refused_connections += 1
        self._tell("refused_connections", address_of(addr), f"refused a connection, {refusal}", refusal)
        return _Refused()

    def log(self, request: Any) -> None:
        """Tell of a request that was answered."""
        if self._access_log:
            # Without the time, which the line has anyway.
            line = access_line("", request).replace(" - -  ", " ", 1)
            self._requests.info("{name}: {line}", name=self._intake.account.name, line=line)

    # -- what is refused

    def bad_request(self, sender: str, text: str) -> None:
        """What a connection brought is no request."""
        self._bad_requests += 1
        self._tell("bad_requests", sender, f"refused what it sent: {text}", text)

    def refused(self, error: WebError, request: LimitedRequest) -> None:
        """The head of a request says that it is not to be answered."""
        sender = address_of(request.getClientAddress())
        if error.status in (403, 421):
            self._foreign_requests += 1
            self._tell("foreign_requests", sender, f"refused a request: {error.text}", error.text)
        else:
            self.bad_request(sender, error.text)

    def cut(self, sender: str, text: str) -> None:
        """A client takes too long."""
        self._cut_connections += 1
        self._tell("cut_connections", sender, f"closed the connection: {text}", text)

    def _tell(self, reason: str, sender: str, text: str, detail: str) -> None:
        """Say so in the log now and then, and to the doctor.

        :param detail: one of a few, as far as it is not in quotes.
        """
        # But for what is quoted, which others choose.
        self._intake.warn(f"{reason}: {detail.partition(chr(39))[0]}", sender, text)
        samples, now = self._intake.account.samples, self._intake.now()
        if samples.wants(reason, now):
            samples.add("refused", reason, sender.rpartition(":")[0] or sender, now, detail=detail)

    def figures(self) -> Figures:
        """Figures for the statistics."""
        return Figures(
            connections=gauge(len(self.connections), "Connections that are open."),
            refused_connections=counter(
                self._refused_connections, "Connections that were refused, since there were too many already."
            ),
            cut_connections=counter(
                self._cut_connections, "Connections that were closed, since the client took too long."
            ),
            requests_in_flight=gauge(self.in_flight, "Requests that are being answered."),
            refused_bodies=counter(
                self.refused_bodies, "Requests whose body was refused before all of it had come."
            ),
            bad_requests=counter(self._bad_requests, "What came and was no request that can be read."),
            foreign_requests=counter(
                self._foreign_requests, "Requests of pages of other origins, or for another host."
            ),
        )

    # -- requests in hand

    def has_arrived(self, request: LimitedRequest) -> None:
        """The whole of a request is there."""
        self.room.has_arrived(request)
        self.in_flight += 1

    def request_is_over(self) -> None:
        self.in_flight -= 1
        if not self.in_flight and self._over is not None:
            over, self._over = self._over, None
            over.callback(None)

    async def drain(self, seconds: float) -> None:
        """Wait until the requests in hand are answered, at most for a while, and close all connections."""
        if self.in_flight:
            self._over = Deferred()
            self._over.addTimeout(seconds, self.reactor, onTimeoutCancel=lambda result, timeout: None)
            await self._over
        self._over = None
        for channel in self.connections.all():
            channel.loseConnection()
