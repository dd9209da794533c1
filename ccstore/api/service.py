"""Serving the REST interface."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from ccstore.api.app import Api, ApiResource
from ccstore.config import ApiConfig
from ccstore.figures import Figures
from ccstore.listening import figures_of, listen, protection, where
from ccstore.openfiles import OpenFiles
from ccstore.web import LimitedSite, Room

_DRAIN = 5.0


class ApiService(Service):
    """Listens for requests to the REST interface.

    :param room: for bodies.
    """

    name = "api"
    log = Logger()

    def __init__(
        self, config: ApiConfig, api: Api, reactor: Any, room: Room, files: OpenFiles | None = None
    ) -> None:
        self._config = config
        self._reactor = reactor
        self._files = files or OpenFiles(reactor)
        self._port: IListeningPort | None = None
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

    def listen(self) -> str:
        """Open the port, at once, and say where; raises :class:`ccstore.listening.ListenError`."""
        config = self._config
        self._port = listen(
            self._reactor,
            self._site,
            what="api",
            endpoint=config.endpoint,
            address=config.address,
            port=config.port,
            tls=config.tls,
            files=self._files,
            for_questions=True,
        )
        self._site.listens_on(self._port, config.endpoint)
        place = where(self._port)
        if config.jwt_public_key is None and not place.startswith(("127.", "[::1]", "/")):
            self.log.warn(
                "the REST interface on {place} is open to everybody who can reach it: set jwt_public_key",
                place=place,
            )
        said = f"REST on {place}{protection(config.endpoint, config.tls)}"
        if config.enable_swagger_ui:
            said += " with the Swagger UI at /swagger/"
        return f"{said}, {'no token is' if config.jwt_public_key is None else 'tokens are'} required"

    async def stop_listening(self) -> None:
        if self._port is not None:
            port, self._port = self._port, None
            await maybeDeferred(port.stopListening)

    def figures(self) -> Figures:
        """Figures besides the books."""
        return self._site.figures() | figures_of(self._port)

    async def drain(self) -> None:
        """Answer the requests in hand."""
        await self._site.drain(_DRAIN)
