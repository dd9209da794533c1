"""The lines of access logs, without tokens and passwords."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from twisted.web.http import combinedLogFormatter
from twisted.web.iweb import IAccessLogFormatter
from zope.interface import provider

#: Parameters of URLs that are, or go with, a credential.
_SECRET: Final = re.compile(
    rb"(?:u|p|jwt|user|user-?name|login|pass|pwd|sig|signature|.*(?:token|passw|secret|auth|credential|api.?key).*)",
    re.IGNORECASE | re.DOTALL,
)
_PARAMETER: Final = re.compile(rb"(?<=[?&;#])([^=&;#]+)=([^&;#]*)")
_USER: Final = re.compile(rb"(?<=://)[^/?#\s]*@")
_HIDDEN: Final = b"***"


def without_secrets(url: bytes) -> bytes:
    """A URL, or the path and query of one, in which credentials are left out."""
    return _PARAMETER.sub(_hide, _USER.sub(_HIDDEN + b"@", url))


def _hide(found: re.Match[bytes]) -> bytes:
    name = unquote_to_bytes(found[1].replace(b"+", b" ")).strip()
    return found[1] + b"=" + _HIDDEN if _SECRET.fullmatch(name) else found[0]


class _Shown:
    """A request as the access log may have it."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self.uri = without_secrets(request.uri)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)

    def getHeader(self, name: bytes) -> bytes | None:
        value: bytes | None = self._request.getHeader(name)
        return value if value is None else without_secrets(value)


@provider(IAccessLogFormatter)
def access_line(timestamp: str, request: Any) -> str:
    """The line of a request, in the format that web servers call combined."""
    line: str = combinedLogFormatter(timestamp, _Shown(request))
    return line
