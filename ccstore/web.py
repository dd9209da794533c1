"""What the HTTP servers of the daemon share: limits while a body arrives, JSON answers, an orderly end."""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from http import HTTPStatus
from io import BytesIO
from typing import Any, cast
from weakref import WeakSet

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime, ITransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from ccstore.pace import LEAST_PIECE

JSON = b"application/json"
#: How long a client may go on sending a body that was refused already, in seconds.
_LINGER = 2.0
#: Bytes that are read in one go, so that few are of the next request, which has to wait; and those of a body.
_READ, _READ_OF_BODY = 1 << 13, 1 << 16
#: Seconds after which a client may come again.
_RETRY_AFTER = "5"
_NO_ROOM = "too much is being sent at once, come again later"
#: Members of a gzip body; what follows each is copied, which must not be done without end.
_MEMBERS = 100
#: Of a number in a request.
_DIGITS = 100


class WebError(Exception):
    """An answer other than success.

    :param text: what was wrong, for the client.
    :param more: further members of the JSON object.
    """

    def __init__(
        self,
        status: int,
        text: str,
        *,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers or {}
        self.more = more or {}

    def body(self) -> bytes:
        return error_body(self.status, self.text, self.more)


def later(text: str) -> WebError:
    """What cannot be done now, but may be if the client comes again."""
    return WebError(503, text, headers={"retry-after": _RETRY_AFTER})


def error_body(status: int, text: str, more: Mapping[str, object] | None = None) -> bytes:
    """The body of an error, in the shape that the Go daemon's clients know."""
    return to_json({"status": HTTPStatus(status).phrase, "error": text, **(more or {})})


def internal_error(log: Logger, failure: Failure, request: IRequest) -> WebError:
    """What is answered to a request that failed for no reason of its own; the log has the rest."""
    number = uuid.uuid4().hex[:12]
    log.failure("internal error {number} at {path}", failure, number=number, path=request.path)
    return WebError(500, f"internal error {number}, see the log")


def to_json(value: object) -> bytes:
    """A body of JSON. Its last byte is a newline, for those who read it in a terminal."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"


def from_json(body: bytes) -> object:
    """Read JSON that a client sent; raises :class:`ValueError` that says what is wrong, in a line."""
    try:
        return json.loads(body, parse_int=_integer)
    except RecursionError:
        raise ValueError("lists or objects are nested too deeply") from None


def _integer(digits: str) -> int:
    # Python takes long for very many, and refuses more than some thousand of them in words of its own.
    if len(digits) > _DIGITS:
        raise ValueError(f"a number has more than {_DIGITS} digits")
    return int(digits)


def answer(request: IRequest, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """Set the head of a JSON answer, and give its body back, or none if only the head was asked for."""
    request.setResponseCode(status)
    request.setHeader(b"content-type", JSON)
    request.setHeader(b"content-length", b"%d" % len(body))
    for name, value in (headers or {}).items():
        request.setHeader(name.encode(), value.encode())
    return b"" if request.method == b"HEAD" else body


class LimitedRequest(Request):
    """A request whose body is refused as soon as it is too large, before it piles up."""

    defaultContentType = None
    _limited_site: LimitedSite
    held = 0  # bytes of the body in memory
    _taken = 0
    _is_refused = False
    is_arriving = True
    _is_counted = False
    _is_used = False
    _hanging_up: IDelayedCall | None = None

    def gotLength(self, length: int | None) -> None:
        """The head of the request is complete; called by the channel."""
        self._limited_site = cast(Any, self.channel).site
        self._limited_site.channels.add(self.channel)
        if not self._limited_site.keep_alive:
            self.channel.persistent = False
            self.setHeader(b"connection", b"close")
        # Twisted would read a body that is called a form, as curl calls any, and take words of it for query
        # parameters. Here a body is lines or JSON, whatever it is called.
        self.requestHeaders.removeHeader(b"content-type")
        # In memory, whatever its size: it is limited, and a temporary file is slow.
        self.content = BytesIO()
        if length is not None and length > self._limited_site.max_body:
            self._refuse_as_too_large()
        if length is None or length > _READ:
            cast(Any, self.channel).set_read(_READ_OF_BODY)

    def handleContentChunk(self, data: bytes) -> None:
        """A piece of the body; called by the channel."""
        if self._is_refused:
            return
        self._taken += len(data)
        if self._taken > self._limited_site.max_body:
            self._refuse_as_too_large()
        elif self._limited_site.room.take(self, len(data)):
            cast(BytesIO, self.content).write(data)

    def process(self) -> None:
        """The request is complete; called by the channel."""
        if self._is_refused:
            self.channel.loseConnection()
            return
        self._is_counted = True
        self.is_arriving = False
        cast(Any, self.channel).set_read(_READ)
        self._limited_site.has_arrived(self)
        super().process()

    def finish(self) -> None:
        super().finish()
        self._over()

    def connectionLost(self, reason: Any) -> None:
        super().connectionLost(reason)
        if self._hanging_up is not None and self._hanging_up.active():
            self._hanging_up.cancel()
        self._over()

    def _over(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self._limited_site.request_is_over()
        if self.held and not self._is_used:
            self._free()

    @contextmanager
    def body(self, max_unpacked: int) -> Iterator[bytes]:
        """See :func:`body_of`."""
        self._is_used = True
        try:
            packed = cast(BytesIO, self.content).getvalue()
            unpacked = unpack(packed, header(self, "content-encoding"), max_unpacked)
            if not self._limited_site.room.take(self, len(unpacked) - len(packed)):
                raise later(_NO_ROOM)
            self.content = BytesIO()
            yield unpacked
        finally:
            self._is_used = False
            self._free()

    def _free(self) -> None:
        self.content = BytesIO()
        self._limited_site.room.free(self)

    def _refuse_as_too_large(self) -> None:
        self._refuse(413, f"the body is larger than {self._limited_site.max_body} bytes")

    def refuse_for_now(self) -> None:
        """Refuse a body that is still arriving: those of all requests need too much memory."""
        self._refuse(503, _NO_ROOM, b"Retry-After: %s\r\n" % _RETRY_AFTER.encode())

    def _refuse(self, status: int, text: str, headers: bytes = b"") -> None:
        """Answer at once, and let the client finish sending so that it reads the answer."""
        self._is_refused = True
        self._free()
        # The channel would ask for the body otherwise.
        self.requestHeaders.removeHeader(b"expect")
        site = self._limited_site
        site.refused_bodies += 1
        body = error_body(status, text)
        cast(ITransport, self.channel.transport).write(
            b"HTTP/1.1 %d %s\r\n%sContent-Type: application/json\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%s"
            % (status, HTTPStatus(status).phrase.encode(), headers, len(body), body)
        )
        self._hanging_up = site.reactor.callLater(_LINGER, self._hang_up)

    def _hang_up(self) -> None:
        if self.channel is not None:
            self.channel.loseConnection()


class _Channel(HTTPChannel):
    """A connection, of which no more is read than there is use for."""

    def connectionMade(self) -> None:
        super().connectionMade()
        self.set_read(_READ)

    def set_read(self, size: int) -> None:
        """How many bytes are read in one go. TLS reads as much as it likes."""
        cast(Any, self.transport).bufferSize = size


class Room:
    """Memory for the bodies of requests.

    :param most: bytes of all of them. A single one may be larger, and there is room for a quarter more of
        small ones, which are soon done with.
    :param small: bytes of a small body.
    """

    def __init__(self, most: int = 32 << 20, *, small: int = LEAST_PIECE) -> None:
        self._most = most
        self._small = small
        self._held = 0
        self._arriving: set[LimitedRequest] = set()

    def take(self, request: LimitedRequest, size: int) -> bool:
        """Make room for so many more bytes of a request; False if there is none.

        Of those that are still arriving the largest is refused, which may be this one.
        """
        most = self._most + (self._most // 4 if request.held + size <= self._small else 0)
        if self._held > request.held and self._held + size > most:
            # Of equals, others before this one.
            arriving = sorted(self._arriving, key=lambda each: (each.held, each is not request))
            while self._held > request.held and self._held + size > most:
                largest = arriving.pop() if arriving else request
                if largest.is_arriving:
                    largest.refuse_for_now()
                if largest is request:
                    return False
        self._held += size
        request.held += size
        if request.is_arriving:
            self._arriving.add(request)
        return True

    def has_arrived(self, request: LimitedRequest) -> None:
        """The whole of a request is there: it is no longer refused in favour of others."""
        self._arriving.discard(request)

    def free(self, request: LimitedRequest) -> None:
        """Nothing of a request is held any longer."""
        self._arriving.discard(request)
        self._held -= request.held
        request.held = 0


class LimitedSite(Site):
    """A site that limits bodies, and can be asked to end when the requests in hand are answered.

    :param max_body: bytes of a body as sent.
    :param idle_timeout: seconds after which a quiet connection is closed, 0 for never.
    :param room: shared with other sites.
    """

    protocol = _Channel  # type: ignore[assignment]
    requestFactory = LimitedRequest
    noisy = False

    def __init__(
        self,
        resource: IResource,
        *,
        reactor: IReactorTime,
        max_body: int,
        idle_timeout: float,
        keep_alive: bool,
        access_log: bool,
        room: Room,
    ) -> None:
        super().__init__(resource, reactor=reactor)
        self.displayTracebacks = False
        self.room = room
        self.in_flight = 0
        self.refused_bodies = 0
        self.channels: WeakSet[HTTPChannel] = WeakSet()
        self._over: Deferred[None] | None = None
        self.reconfigure(
            max_body=max_body, idle_timeout=idle_timeout, keep_alive=keep_alive, access_log=access_log
        )

    def reconfigure(self, *, max_body: int, idle_timeout: float, keep_alive: bool, access_log: bool) -> None:
        """Go on with other limits; connections that there are keep their ``idle_timeout``."""
        self.max_body = max_body
        self.timeOut = idle_timeout or None
        self.keep_alive = keep_alive
        self._access_log = access_log

    def log(self, request: Any) -> None:
        if self._access_log:
            super().log(request)

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
        for channel in list(self.channels):
            if channel.transport is not None:
                channel.loseConnection()


def body_of(request: IRequest, max_unpacked: int) -> AbstractContextManager[bytes]:
    """The whole body, unpacked; it counts as held in memory until the ``with`` block ends.

    :param max_unpacked: bytes it may have; :class:`WebError` is raised if it has more, or is no gzip although
        it is said to be, or if there is no room for it.
    """
    return cast(LimitedRequest, request).body(max_unpacked)


def header(request: IRequest, name: str) -> str | None:
    """A header of a request, which may have any bytes; None if it is absent."""
    value = request.getHeader(name.encode())
    return None if value is None else value.decode(errors="replace")


def argument(request: IRequest, name: str) -> str | None:
    """The first value of a parameter in the URL; an empty one is None, as is none.

    Raises :class:`WebError` 400 if it is not UTF-8: nobody would find again what is stored under such a name.
    """
    values = cast(Request, request).args.get(name.encode(), [b""])
    try:
        return values[0].decode() or None
    except UnicodeDecodeError:
        raise WebError(400, f"{name}: expected UTF-8, got {values[0][:40]!r}") from None


def unpack(body: bytes, encoding: str | None, limit: int) -> bytes:
    """Undo the ``Content-Encoding`` of a body.

    :param limit: bytes of the result, above which :class:`WebError` is raised and no more is unpacked.
    """
    if encoding is None or encoding.lower() in ("", "identity"):
        return body
    if encoding.lower() not in ("gzip", "x-gzip"):
        raise WebError(415, f"the content encoding {encoding[:40]!r} is not known, gzip is")
    unpacked = b""
    members = 0
    while body:
        members += 1
        if members > _MEMBERS:
            raise WebError(400, f"the gzip body has more than {_MEMBERS} members")
        unpacker = zlib.decompressobj(wbits=31)
        try:
            unpacked += unpacker.decompress(body, limit + 1 - len(unpacked))
        except zlib.error as error:
            raise WebError(400, f"the body is not valid gzip: {error}") from None
        if len(unpacked) > limit:
            raise WebError(413, f"the body is larger than {limit} bytes when it is unpacked")
        if not unpacker.eof:
            raise WebError(400, "the body is not valid gzip: it ends too early")
        body = unpacker.unused_data
    return unpacked
