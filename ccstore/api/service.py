"""Serving the REST interface."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger

from ccstore.accounting.figures import Figures
from ccstore.api.app import Api, ApiResource
from ccstore.config import ApiConfig
from ccstore.interfaces import Limits
from ccstore.network.addresses import where
from ccstore.network.open_files import OpenFiles
from ccstore.web import HttpPort, Room


class ApiService(Service):
    """Listens for requests to the REST interface.

    :param room: for bodies.
    :ivar port: where it listens.
    """

    name = "api"
    log = Logger()

    def __init__(
        self, config: ApiConfig, api: Api, reactor: Any, room: Room, files: OpenFiles | None = None
    ) -> None:
        self._config = config
        self._api = api
        self.port = HttpPort(
            ApiResource(api),
            config,
            "api",
            intake=api.intake,
            reactor=reactor,
            room=room,
            files=files,
            for_questions=True,
        )

    def listen(self) -> str:
        """Open the port, at once, and say where; raises :class:`ListenError`."""
        config = self._config
        said = f"REST on {self.port.open(config)}"
        self._warn_if_open()
        if config.enable_swagger_ui:
            said += " with the Swagger UI at /swagger/"
        return f"{said}, {'no token is' if config.jwt_public_key is None else 'tokens are'} required"

    def _warn_if_open(self) -> None:
        if self.port.listening is None:
            return
        place = where(self.port.listening)
        if self._config.jwt_public_key is None and not place.startswith(("127.", "[::1]", "/")):
            self.log.warn(
                "the REST interface on {place} is open to everybody who can reach it: set jwt_public_key",
                place=place,
            )

    def reconfigure(self, config: ApiConfig, limits: Limits | None = None) -> bool:
        """As :meth:`IReceiver.reconfigure`."""
        was_open, self._config = self._config.jwt_public_key is None, config
        self._api.reconfigure(config)
        if not was_open:
            self._warn_if_open()
        return self.port.reconfigure(config)

    async def leave(self) -> None:
        """As :meth:`IReceiver.leave`."""
        await self.port.close_former()

    def figures(self) -> Figures:
        """As :meth:`IReceiver.figures`."""
        return self.port.figures()

    async def stop_listening(self) -> None:
        """As :meth:`IReceiver.stop_listening`."""
        await self.port.close()

    async def drain(self) -> None:
        """Answer the requests in hand."""
        await self.port.drain()
