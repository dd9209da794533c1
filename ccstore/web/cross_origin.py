"""Pages of other origins that may read: what browsers ask first, and what they are told.

See the Fetch Standard, section "CORS protocol". Nothing is allowed that a browser adds by itself: tokens are
headers.
"""

from __future__ import annotations

from typing import Final

from twisted.web.iweb import IRequest

from .callers import is_among
from .request import header

_HEADERS: Final = "Authorization, X-Auth-Token, Content-Type, Last-Event-ID"
_SECONDS: Final = 600


def let_in(request: IRequest, origins: frozenset[str]) -> bool:
    """Tell a browser whether the page that asks may read the answer; True if it only asked for that."""
    if not origins:
        return False
    origin = header(request, "origin")
    request.setHeader(b"vary", b"Origin")
    is_asking = request.method == b"OPTIONS" and header(request, "access-control-request-method") is not None
    if origin is not None and is_among(origin, origins):
        request.setHeader(b"access-control-allow-origin", origin.encode())
        if is_asking:
            request.setHeader(b"access-control-allow-methods", b"GET, HEAD, POST")
            request.setHeader(b"access-control-allow-headers", _HEADERS.encode())
            request.setHeader(b"access-control-max-age", b"%d" % _SECONDS)
    return is_asking
