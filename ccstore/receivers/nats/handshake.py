"""Introducing ourselves to a NATS server: its INFO, TLS if one side wants it, and our CONNECT."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import ITransport

from ccstore import __version__
from ccstore.config.nkeys import Credentials
from ccstore.receivers.nats import framing
from ccstore.receivers.nats.framing import ProtocolError, parse_info
from ccstore.receivers.nats.reasons import NatsError, printable


@frozen
class Introduction:
    """What is said to a server.

    :ivar credentials: gives those of now, since the file may be renewed.
    :ivar tls: gives the options of TLS for a client as the files have them now; None if the configuration
        does not ask for TLS, and ``default_tls`` is for a server that does.
    :ivar is_tls_first: TLS begins before the server has said anything.
    :ivar max_payload: bytes of the largest message that is taken.
    """

    name: str
    user: str | None
    password: str | None
    credentials: Callable[[], Credentials | None]
    tls: Callable[[], Any] | None
    default_tls: Callable[[], Any]
    is_tls_first: bool
    max_payload: int


@frozen
class ServerInfo:
    """What a server says it is.

    :ivar name: its program and version, for people.
    :ivar id: the name that it gave itself when it was started, if any.
    """

    name: str = "a NATS server"
    id: str | None = None


class Handshake:
    """The introduction on one connection."""

    def __init__(self, introduction: Introduction) -> None:
        self._introduction = introduction
        self._transport: Any = None
        self._has_introduced = False
        self._is_encrypted = False

    def begin(self, transport: ITransport | None) -> None:
        """The connection is there."""
        self._transport = transport
        if self._introduction.is_tls_first and self._introduction.tls is not None:
            self._start_tls(self._introduction.tls())

    def answer(self, argument: bytes, *, is_last: bool) -> ServerInfo | None:
        """Take the argument of an INFO. The first is answered, and makes what is given; later ones give None.

        Raises :class:`ProtocolError`, :class:`NatsError`, or whatever stands in the way of TLS.

        :param is_last: nothing has come behind it.
        """
        info = parse_info(argument)
        if self._has_introduced:
            return None
        introduction = self._introduction
        wanted = info.get("tls_required") or (introduction.tls is not None and info.get("tls_available"))
        if wanted and not self._is_encrypted:
            # Whatever came with INFO could have been slipped in by somebody on the way.
            if not is_last:
                raise ProtocolError("something between INFO and the start of TLS")
            self._start_tls((introduction.tls or introduction.default_tls)())
        elif introduction.tls is not None and not self._is_encrypted:
            raise NatsError("the server has no TLS, and the configuration asks for it")
        self._has_introduced = True
        self._transport.write(
            framing.connect(
                info,
                name=introduction.name,
                version=__version__,
                user=introduction.user,
                password=introduction.password,
                credentials=introduction.credentials(),
                is_encrypted=self._is_encrypted,
            )
        )
        server_id = info.get("server_id")
        return ServerInfo(
            f"nats-server {printable(info.get('version'))}", server_id if isinstance(server_id, str) else None
        )

    def _start_tls(self, options: Any) -> None:
        self._is_encrypted = True
        self._transport.startTLS(options)
