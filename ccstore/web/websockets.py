"""WebSockets (RFC 6455): messages to a client as long as it wants them. What it sends is let go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.web.iweb import IRequest
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import AcceptConnection, CloseConnection, Event, Ping, TextMessage
from wsproto.handshake import H11Handshake
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from .answers import WebError
from .pacing import Pacing

#: Codes of RFC 6455, 7.4.1, with which a connection is closed.
GOING_AWAY: Final = 1001
_WRONG: Final = 1002


class WebSocket:
    """A connection on which a request has asked for a WebSocket.

    Nothing else is answered to the request: whoever serves it goes on until the connection is lost, see
    :meth:`serve`.
    """

    def __init__(self, request: IRequest) -> None:
        self._request = cast(Any, request)
        self._transport = self._request.channel.transport
        self._pacing = Pacing()
        self._connection = self._open()

    def _open(self) -> Connection:
        """Take part in the handshake; raises :class:`WebError` if the client does not."""
        request, channel = self._request, self._request.channel
        handshake = H11Handshake(ConnectionType.SERVER)
        headers = [
            (name, value) for name, values in request.requestHeaders.getAllRawHeaders() for value in values
        ]
        try:
            handshake.initiate_upgrade_connection(headers, request.path)
            reply = handshake.send(AcceptConnection())
        except (LocalProtocolError, RemoteProtocolError) as error:
            raise WebError(400, f"expected the opening of a WebSocket: {error}") from None
        connection = handshake.connection
        assert connection is not None
        # From now on, what comes are frames and no requests.
        channel.dataReceived = self._received
        channel.readConnectionLost = self._transport.loseConnection
        request.notifyFinish().addErrback(self._pacing.leave)
        request.registerProducer(self._pacing, True)
        self._transport.write(reply)
        return connection

    async def serve(self, talk: Callable[[], Awaitable[None]]) -> bytes:
        """Talk to the client; this ends with :class:`CancelledError` when the connection is lost.

        :param talk: sends messages. When it ends, the connection is closed.
        """
        try:
            await talk()
        except CancelledError:
            raise
        except BaseException:
            self._transport.abortConnection()
            raise
        self._close(GOING_AWAY, "nothing more comes")
        # Klein cancels it: if it ended by itself, the request would be answered once more.
        lost: Deferred[bytes] = Deferred()
        return await lost

    async def send(self, text: str) -> None:
        """Send a message when the client has taken those before; :class:`CancelledError` if it has gone."""
        self._check()
        self._write(TextMessage(text))
        await self._pacing.taken()

    def ping(self) -> None:
        """Ask for a sign of life, which also tells whoever is between that the connection is used."""
        self._check()
        self._write(Ping())

    def _check(self) -> None:
        self._pacing.check()
        if self._connection.state is not ConnectionState.OPEN:
            raise CancelledError

    def _write(self, event: Event) -> None:
        self._transport.write(self._connection.send(event))

    def _received(self, data: bytes) -> None:
        try:
            self._connection.receive_data(data)
            for event in self._connection.events():
                if isinstance(event, Ping):
                    self._write(event.response())
                elif isinstance(event, CloseConnection):
                    if self._connection.state is ConnectionState.REMOTE_CLOSING:
                        self._write(event.response())
                    self._transport.loseConnection()
        except (LocalProtocolError, RemoteProtocolError):
            self._close(_WRONG, "")

    def _close(self, code: int, reason: str) -> None:
        if self._connection.state is ConnectionState.OPEN:
            self._write(CloseConnection(code, reason))
        self._transport.loseConnection()
