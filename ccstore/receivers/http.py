"""Line protocol as the body of HTTP requests, answered when it is committed."""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode
from collections.abc import Callable
from posixpath import normpath
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.http import NO_BODY_CODES
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from ccstore.accounting.figures import Figures
from ccstore.config import HttpReceiverConfig
from ccstore.interfaces import IReceiver, Limits
from ccstore.network.addresses import address_of
from ccstore.network.open_files import OpenFiles
from ccstore.pipeline.intake import Intake
from ccstore.receivers.influx import Handler, Influx, Said, failure_of
from ccstore.web import HttpPort, Room, WebError, answer, argument, body_of, internal_error
from ccstore.web.write import write_body

#: For whoever opens the port in a browser.
BY_POST = (
    "lines are sent by POST: this port of ccstore takes line protocol, and what answers questions is its "
    "REST interface, at another port"
)


class _Paths:
    """The paths that a receiver takes, as in Go: one that ends in a slash has all that is below it.

    Where Go sends the client elsewhere (``/a`` to ``/a/``, ``/a//b`` or ``/a/./b`` to ``/a/b``), the
    request is taken at once: senders of line protocol do not follow.

    :param path: as it is configured; empty for every path.
    """

    def __init__(self, path: str) -> None:
        self._path = path.rstrip("/").encode()
        self._has_below = path.endswith("/")

    def __contains__(self, path: bytes) -> bool:
        if not self._path or path.rstrip(b"/") == self._path:
            return True
        clean = normpath(b"/" + unquote_to_bytes(path).lstrip(b"/"))
        return clean == self._path or (self._has_below and clean.startswith(self._path + b"/"))


class _WriteResource(Resource):
    """Takes POST requests on one path, or on every path; and those of InfluxDB's clients on theirs."""

    isLeaf = True
    log = Logger()

    def __init__(self, config: HttpReceiverConfig, intake: Intake) -> None:
        super().__init__()
        self._config = config
        self._intake = intake
        self._influx = Influx(config, intake)
        self._paths = _Paths(config.path)
        self._credentials: bytes | None = None
        if config.username is not None and config.password is not None:
            self._credentials = f"{config.username}:{config.password}".encode()

    def render(self, request: Request) -> Any:
        """Answer a request."""
        handler = self._influx.handler(request)
        if handler is not None:
            answering = Deferred.fromCoroutine(self._answer(request, handler))
            answering.addErrback(self._failed, request, failure_of)
            return NOT_DONE_YET
        try:
            self._check(request)
        except WebError as error:
            return answer(request, error.status, error.body(), error.headers)
        answering = Deferred.fromCoroutine(self._answer(request, self._write))
        answering.addErrback(self._failed, request, _failure_of)
        return NOT_DONE_YET

    def _check(self, request: Request) -> None:
        if request.path not in self._paths:
            raise WebError(404, f"nothing here, lines go to {self._config.path}")
        if self._credentials is not None:
            complaint = self._complaint(request, self._credentials)
            if complaint is not None:
                headers = {"www-authenticate": 'Basic realm="ccstore"'}
                raise WebError(401, complaint, headers=headers)
        if request.method != b"POST":
            raise WebError(405, BY_POST, headers={"allow": "POST"})

    @staticmethod
    def _complaint(request: Request, credentials: bytes) -> str | None:
        """What is wrong with the user name and the password of a request, or None."""
        scheme, _, given = (request.getHeader(b"authorization") or b"").partition(b" ")
        if not scheme:
            return "user name and password are required"
        if scheme.lower() != b"basic":
            return "user name and password are required, by basic authentication and not by a token"
        try:
            decoded = b64decode(given.strip(), validate=True)
        except binascii.Error:
            return "user name and password cannot be read: behind 'Basic' goes the base64 of NAME:PASSWORD"
        return None if hmac.compare_digest(decoded, credentials) else "user name or password is wrong"

    async def _answer(self, request: Request, handler: Handler) -> None:
        gone = request.notifyFinish()
        is_gone = False

        def leave(reason: object) -> None:
            nonlocal is_gone
            is_gone = True

        gone.addErrback(leave)
        said = await handler(request)
        if not is_gone:
            _say(request, said)

    async def _write(self, request: Request) -> Said:
        sender = address_of(request.getClientAddress())
        try:
            cluster = argument(request, "cluster")
            with body_of(request, self._config.max_unpacked) as body:
                await write_body(self._intake, body, sender, cluster)
        except WebError as error:
            return _failure_of(request, error)
        # Exactly 200 and an empty body: senders throw a batch away on any other status.
        return Said(200, b"", {})

    def _failed(self, failure: Any, request: Request, answer_to: Callable[[Request, WebError], Said]) -> None:
        error = internal_error(self.log, failure, request)
        if not request.finished and request.channel is not None:
            _say(request, answer_to(request, error))


def _failure_of(request: Request, error: WebError) -> Said:
    return Said(error.status, error.body(), error.headers)


def _say(request: Request, said: Said) -> None:
    body = answer(request, said.status, said.body, said.headers)
    if said.status in NO_BODY_CODES:
        for name in (b"content-type", b"content-length"):
            request.responseHeaders.removeHeader(name)
    request.write(body)
    request.finish()


@implementer(IReceiver)
class HttpReceiver(Service):
    """See the module.

    :param room: for bodies.
    :ivar port: where it listens.
    """

    log = Logger()
    what = "line protocol"

    def __init__(
        self,
        config: HttpReceiverConfig,
        intake: Intake,
        reactor: Any,
        room: Room,
        files: OpenFiles | None = None,
    ) -> None:
        self.setName(config.name)
        self.intake = intake
        self.account = intake.account
        self._config = config
        self.port = HttpPort(
            _WriteResource(config, intake),
            config,
            f"receiver {config.name!r}",
            intake=intake,
            reactor=reactor,
            room=room,
            files=files,
        )

    def listen(self) -> str:
        """See :meth:`IReceiver.listen`."""
        config = self._config
        place = self.port.open(config, config.path)
        credentials = "" if config.username is None else ", user name and password are required"
        return f"{self.what} over HTTP on {place}{credentials}"

    def reconfigure(self, config: HttpReceiverConfig, limits: Limits) -> bool:
        """See :meth:`IReceiver.reconfigure`: whoever waits for an answer has no limits of this kind."""
        self._config = config
        return self.port.reconfigure(config, _WriteResource(config, self.intake))

    async def leave(self) -> None:
        """See :meth:`IReceiver.leave`."""
        await self.port.close_former()

    async def stop_listening(self) -> None:
        """See :meth:`IReceiver.stop_listening`."""
        await self.port.close()

    async def drain(self) -> None:
        """See :meth:`IReceiver.drain`."""
        await self.port.drain()

    def figures(self) -> Figures:
        """See :meth:`IReceiver.figures`."""
        return self.port.figures()
