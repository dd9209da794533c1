"""Serves the page."""

from __future__ import annotations

from typing import Final

from twisted.web.http import CACHED
from twisted.web.resource import Resource
from twisted.web.server import Request

from ccstore.page.page_files import PageFile, PageFiles
from ccstore.web import WebError, answer, header
from ccstore.web.gzipping import accepts_gzip

#: Nothing comes from another host, nothing is run that does not stand in a file, nobody frames it.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_FOR_EVER: Final = b"public, max-age=31536000, immutable"
_ASK_FIRST: Final = b"no-cache"


class PageResource(Resource):
    """The first page at ``/``, and its files at ``/page/DIGEST/PATH``."""

    isLeaf = True

    def __init__(self, files: PageFiles | None = None) -> None:
        super().__init__()
        self._files = files or PageFiles()

    def render_GET(self, request: Request) -> bytes:
        """Answer with a file; HEAD comes here, too."""
        place = [part.decode("utf-8", "replace") for part in request.postpath or ()]
        if b"page" not in (request.prepath or ()):
            request.setHeader(b"vary", b"Accept, Accept-Encoding")
            return _send(request, self._files.index, _ASK_FIRST)
        found = self._files.get("/".join(place[1:])) if place[:1] == [self._files.digest] else None
        if found is None:
            error = WebError(404, "nothing here, / shows what there is")
            return answer(request, error.status, error.body())
        request.setHeader(b"vary", b"Accept-Encoding")
        return _send(request, found, _FOR_EVER)


def _send(request: Request, file: PageFile, caching: bytes) -> bytes:
    is_packed = accepts_gzip(header(request, "accept-encoding")) and len(file.packed) < len(file.content)
    for name, value in _HEADERS:
        request.setHeader(name, value)
    request.setHeader(b"cache-control", caching)
    tag = f'"{file.tag}{"-gzip" if is_packed else ""}"'.encode()
    if request.setETag(tag) is CACHED:
        return b""
    body = answer(request, 200, file.packed if is_packed else file.content)
    request.setHeader(b"content-type", file.content_type.encode())
    if is_packed:
        request.setHeader(b"content-encoding", b"gzip")
    return body
