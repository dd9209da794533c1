"""Request targets: the path that a request is for, whichever of its four forms it has (RFC 9112, 3.2)."""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen

from .answers import WebError

_ABSOLUTE: Final = re.compile(rb"(https?)://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_AUTHORITY: Final = re.compile(rb"(?:[\w.~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")


@frozen
class Target:
    """
    What a request is for.

    :ivar path: with the query, as in the form that most requests have.
    :ivar authority: host and port, if the target names them; they count before the header ``Host``.
    """

    path: bytes
    authority: bytes | None = None


def read_target(method: bytes, given: bytes) -> Target:
    """The target of a request; raises :class:`WebError`."""
    if method == b"CONNECT":
        # Its target is a host and a port, which is for proxies.
        raise WebError(405, "this is no proxy, CONNECT is not for it", headers={"allow": "GET, HEAD, POST"})
    if given.startswith(b"/") or given == b"*":
        return Target(given)
    absolute = _ABSOLUTE.fullmatch(given)
    if absolute is None:
        raise WebError(400, f"the request is for {_shown(given)}, which is neither a path nor a URL")
    _, authority, rest = absolute.groups()
    # A user and a password before the host are nobody's business here.
    authority = authority.rpartition(b"@")[2]
    if _AUTHORITY.fullmatch(authority) is None:
        raise WebError(400, "the request is for a URL whose host cannot be read")
    if method == b"OPTIONS" and not rest:
        return Target(b"*", authority)
    return Target(rest if rest.startswith(b"/") else b"/" + rest, authority)


def _shown(given: bytes) -> str:
    # What is before an "@" may be a password, what follows a "?" a token.
    return repr(given.partition(b"?")[0].rpartition(b"@")[2][:60].decode("latin-1"))
