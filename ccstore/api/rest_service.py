"""Serving the REST interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger

from ccstore.accounting.figures import Figures
from ccstore.api.app import Api, ApiResource
from ccstore.config import ApiConfig
from ccstore.interfaces import Limits
from ccstore.network.listening import ServerPort, protection, where
from ccstore.network.open_files import OpenFiles
from ccstore.web import LimitedSite, Room

#: Seconds that requests in hand have for their answers at the stop.
_DRAIN = 5.0


class ApiService(Service):
    """Listens for requests to the REST interface.

    :param room: for bodies.
    :param end_tails: ends the answers that go on.
    :param api: answers them.
    :param room: bytes that bodies of requests may take.
    :param files: what is known of open files; else known by this service alone.
    """

    name = "api"
    log = Logger()

    def __init__(
        self,
        config: ApiConfig,
        api: Api,
        reactor: Any,
        room: Room,
        files: OpenFiles | None = None,
        end_tails: Callable[[], None] = lambda: None,
    ) -> None:
        self._config = config
        self._api = api
        self._end_tails = end_tails
        self._site = LimitedSite(
            ApiResource(api),
            intake=api.intake,
            reactor=reactor,
            max_body=config.max_body,
            idle_timeout=config.idle_timeout,
            keep_alive=config.keep_alives_enabled,
            access_log=config.access_log,
            room=room,
            limits=config.limits,
        )
        self._port = ServerPort(reactor, self._site, "api", files or OpenFiles(reactor), for_questions=True)

    def listen(self) -> str:
        """Open the port, at once, and say where; raises :class:`ListenError`."""
        config = self._config
        place = self._port.open(config)
        assert self._port.port is not None
        self._site.listens_on(self._port.port, config.endpoint)
        self._warn_if_open()
        said = f"REST on {place}{protection(config.endpoint, config.tls)}"
        if config.enable_swagger_ui:
            said += " with the Swagger UI at /swagger/"
        return f"{said}, {'no token is' if config.jwt_public_key is None else 'tokens are'} required"

    def _warn_if_open(self) -> None:
        assert self._port.port is not None
        place = where(self._port.port)
        if self._config.jwt_public_key is None and not place.startswith(("127.", "[::1]", "/")):
            self.log.warn(
                "the REST interface on {place} is open to everybody who can reach it: set jwt_public_key",
                place=place,
            )

    def reconfigure(self, config: ApiConfig, limits: Limits | None = None) -> bool:
        """As :meth:`IReceiver.reconfigure`."""
        was_open, self._config = self._config.jwt_public_key is None, config
        self._api.reconfigure(config)
        self._site.reconfigure(
            max_body=config.max_body,
            idle_timeout=config.idle_timeout,
            keep_alive=config.keep_alives_enabled,
            access_log=config.access_log,
            limits=config.limits,
        )
        if not was_open and self._port.port is not None:
            self._warn_if_open()
        return self._port.stays(config)

    async def leave(self) -> None:
        """As :meth:`IReceiver.leave`."""
        await self._port.close_former()

    def figures(self) -> Figures:
        """As :meth:`IReceiver.figures`."""
        return self._site.figures() | self._port.figures() | self._api.figures()

    async def stop_listening(self) -> None:
        """Let nobody new in, and end what would go on for ever."""
        self._end_tails()
        await self._port.close()

    async def drain(self) -> None:
        """Answer the requests in hand."""
        await self._site.drain(_DRAIN)
