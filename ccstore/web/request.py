"""Requests: refused as early as can be, with their bodies in memory, of which there is so much."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

from twisted.web.iweb import IRequest
from twisted.web.server import Request

from .answers import WebError, later
from .callers import check_caller
from .gzipping import unpack
from .target import Target, read_target

if TYPE_CHECKING:
    from .channel import Channel
    from .site import LimitedSite

#: Bytes that are read in one go, so that few are of the next request, which has to wait; and those of a body.
READ, READ_OF_BODY = 1 << 13, 1 << 16
_NO_ROOM = "too much is being sent at once, come again later"
#: The beginning of paths at which nothing can be changed.
_READING = b"/api/v1/"
#: Methods whose requests may well be without a body, and need not say that they are.
_NO_BODY = (b"GET", b"HEAD")


class LimitedRequest(Request):
    """A request that is refused as soon as it can be known that it will be, before its body piles up."""

    defaultContentType = None
    _limited_site: LimitedSite
    _target: Target
    held = 0  # bytes of the body in memory
    taken = 0  # bytes of the body that have come
    is_refused = False
    is_arriving = True
    _is_counted = False
    _is_used = False

    def gotLength(self, length: int | None) -> None:
        """The head of the request is complete; called by the channel."""
        channel = cast("Channel", self.channel)
        site = self._limited_site = channel.site
        self.setHeader(b"x-content-type-options", b"nosniff")
        if not site.settings.keep_alive:
            channel.persistent = False
            self.setHeader(b"connection", b"close")
        # In memory, whatever its size: it is limited, and a temporary file is slow.
        self.content = BytesIO()
        try:
            self._check(channel._command)
        except WebError as error:
            site.refusals.request(error, self)
            self._refuse(error)
            return
        # Twisted would read a body that is called a form, as curl calls any, and take words of it for query
        # parameters. Here a body is lines or JSON, whatever it is called.
        self.requestHeaders.removeHeader(b"content-type")
        if length is not None and length > site.settings.max_body:
            self._refuse_as_too_large()
        if length is None or length > READ:
            channel.set_read(READ_OF_BODY)

    def _check(self, method: bytes) -> None:
        """Look at the head of the request; raises :class:`WebError`."""
        headers = self.requestHeaders
        self._target = read_target(method, cast("Channel", self.channel)._path)
        authority = self._target.authority
        site = self._limited_site
        limits = site.settings.limits
        check_caller(
            method,
            headers,
            authority,
            is_local=site.is_local,
            allowed=limits.allowed_hosts,
            # What is asked by POST changes nothing there.
            origins=limits.cors_origins if self._target.path.startswith(_READING) else frozenset(),
        )
        if authority is not None:
            headers.setRawHeaders(b"host", [authority])

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The request is complete; called by the channel."""
        super().requestReceived(command, path if self.is_refused else self._target.path, version)

    def handleContentChunk(self, data: bytes) -> None:
        """A piece of the body; called by the channel."""
        if self.is_refused:
            return
        self.taken += len(data)
        if self.taken > self._limited_site.settings.max_body:
            self._refuse_as_too_large()
        elif self._limited_site.room.take(self, len(data)):
            cast(BytesIO, self.content).write(data)

    def process(self) -> None:
        """The request is complete; called by its super class."""
        if self.is_refused:
            self.channel.loseConnection()
            return
        self._is_counted = True
        self.is_arriving = False
        cast("Channel", self.channel).set_read(READ)
        self._limited_site.room.has_arrived(self)
        self._limited_site.in_hand.begin()
        super().process()

    def finish(self) -> None:
        super().finish()
        self._over()

    def connectionLost(self, reason: Any) -> None:
        super().connectionLost(reason)
        self._over()

    def _over(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self._limited_site.in_hand.end()
        if self.held and not self._is_used:
            self._free()

    @contextmanager
    def body(self, max_unpacked: int) -> Iterator[bytes]:
        """See :func:`body_of`."""
        self._is_used = True
        try:
            packed = cast(BytesIO, self.content).getvalue()
            if not packed and self.method not in _NO_BODY and not self._has_length():
                error = WebError(411, "a body needs a Content-Length, or Transfer-Encoding: chunked")
                self._limited_site.refusals.request(error, self)
                # Whatever it sends besides would be read as its next request.
                cast("Channel", self.channel).end_after_answer()
                self.setHeader(b"connection", b"close")
                raise error
            unpacked = unpack(packed, header(self, "content-encoding"), max_unpacked)
            if not self._limited_site.room.take(self, len(unpacked) - len(packed)):
                raise later(_NO_ROOM)
            self.content = BytesIO()
            yield unpacked
        finally:
            self._is_used = False
            self._free()

    def _has_length(self) -> bool:
        # Of transfer encodings there are only "chunked" and "identity", which is none.
        coding = header(self, "transfer-encoding") or ""
        return self.requestHeaders.hasHeader(b"content-length") or coding.lower() == "chunked"

    def _free(self) -> None:
        self.content = BytesIO()
        self._limited_site.room.free(self)

    def _refuse_as_too_large(self) -> None:
        self._limited_site.refusals.body()
        self._refuse(
            WebError(413, f"the body is larger than {self._limited_site.settings.max_body} bytes (max_body)")
        )

    def refuse_for_now(self) -> None:
        """Refuse a body that is still arriving: those of all requests need too much memory."""
        self._limited_site.refusals.body()
        self._refuse(later(_NO_ROOM))

    def _refuse(self, error: WebError) -> None:
        """Answer at once, and let the client finish sending so that it reads the answer."""
        self.let_go()
        # The channel would ask for the body otherwise.
        self.requestHeaders.removeHeader(b"expect")
        cast("Channel", self.channel).say_last(error)

    def let_go(self) -> None:
        """Keep nothing of the body, and of what comes of it."""
        self.is_refused = True
        if self.held:
            self._free()


def body_of(request: IRequest, max_unpacked: int) -> AbstractContextManager[bytes]:
    """The whole body, unpacked; it counts as held in memory until the ``with`` block ends.

    :param max_unpacked: bytes it may have; :class:`WebError` is raised if it has more, or is no gzip although
        it is said to be, or if there is no room for it, or if the request does not say that it has one.
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
