"""A site at its port: what the REST interface and the receivers over HTTP are to the daemon."""

from __future__ import annotations

from typing import Any, Final, Protocol

from twisted.internet.interfaces import IListeningPort
from twisted.web.resource import IResource

from ccstore.accounting.figures import Figures
from ccstore.network.listening import Place, ServerPort, protection
from ccstore.network.open_files import OpenFiles
from ccstore.pipeline.intake import Intake

from .room import Room
from .site import LimitedSite, SiteConfig, SiteSettings

#: Seconds that the requests in hand have to be answered in, at the stop.
_DRAIN: Final = 5.0


class HttpConfig(Place, SiteConfig, Protocol):
    """Where a site listens, and its settings."""


class HttpPort:
    """See the module.

    :param what: who wants to listen, for errors and the log.
    :param room: for bodies, shared with other sites.
    :param files: that may be open.
    :param for_questions: see :meth:`OpenFiles.has_room`.
    :ivar site: what is there.
    """

    def __init__(
        self,
        resource: IResource,
        config: HttpConfig,
        what: str,
        *,
        intake: Intake,
        reactor: Any,
        room: Room,
        files: OpenFiles | None = None,
        for_questions: bool = False,
    ) -> None:
        settings = SiteSettings.of(config)
        self.site = LimitedSite(resource, settings, intake=intake, reactor=reactor, room=room)
        self._server = ServerPort(
            reactor, self.site, what, files or OpenFiles(reactor), for_questions=for_questions
        )

    @property
    def listening(self) -> IListeningPort | None:
        """The port that is open, or None."""
        return self._server.port

    def open(self, config: HttpConfig, path: str = "") -> str:
        """Listen there, at once; raises :class:`ListenError`.

        :param path: of what is to be found there, for people.
        :return: where it is and what protects it, for people.
        """
        place = self._server.open(config)
        assert self._server.port is not None
        self.site.listens_on(self._server.port, config.endpoint)
        return f"{place}{path}{protection(config.endpoint, config.tls)}"

    def reconfigure(self, config: HttpConfig, resource: IResource | None = None) -> bool:
        """Go on with other settings; gives whether the port that is open will do for them.

        :param resource: another one, if it is not to stay.
        """
        if resource is not None:
            self.site.resource = resource
        self.site.reconfigure(SiteSettings.of(config))
        return self._server.stays(config)

    async def close_former(self) -> None:
        """Close what was open before the last :meth:`open`."""
        await self._server.close_former()

    async def close(self) -> None:
        """Let nobody new in."""
        await self._server.close()

    async def drain(self) -> None:
        """Answer the requests in hand, and let the connections go."""
        await self.site.drain(_DRAIN)

    def figures(self) -> Figures:
        """Figures for the statistics."""
        return self.site.figures() | self._server.figures()
