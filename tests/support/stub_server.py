"""A server that only answers what it is told to, as the client sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from treq.testing import StubTreq
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.web.resource import Resource

from ccstore.client.server import Server

URL = "http://stub"


class Anything(Resource):
    """Answers whatever is asked."""

    isLeaf = True

    def __init__(self, answers: Callable[[Any], tuple[int, Any]]) -> None:
        super().__init__()
        self._answers = answers

    def render(self, request: Any) -> bytes:
        status, body = self._answers(request)
        request.setResponseCode(status)
        if status == 503:
            request.setHeader(b"retry-after", b"7")
        return body if isinstance(body, bytes) else json.dumps(body).encode()


def server(
    answers: Callable[[Any], tuple[int, Any]], clock: Clock | None = None, token: str | None = None
) -> Server:
    """A client's server that answers each request with a status and a body."""
    return Server(StubTreq(Anything(answers)), clock or Clock(), URL, token=token, timeout=30)


class Broken:
    """A client whose requests fail."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def request(self, *given: Any, **more: Any) -> Deferred[Any]:
        return fail(self.error)


class Silent:
    """A client whose requests are never answered."""

    def request(self, *given: Any, **more: Any) -> Deferred[Any]:
        return Deferred()
