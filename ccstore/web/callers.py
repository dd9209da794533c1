"""Who may ask: requests that a page of another origin makes a browser send are told from all others.

Programs send neither ``Origin`` nor ``Sec-Fetch-Site``, and as ``Host`` what they have connected to. Browsers
send them, and no page can change that.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from twisted.internet.interfaces import IListeningPort
from twisted.web.http_headers import Headers

from .answers import WebError

#: Methods that change nothing, whatever they are used for.
_SAFE: Final = frozenset((b"GET", b"HEAD", b"OPTIONS"))
#: With empty labels, or bytes beyond ASCII, it would be the name of nothing.
_HOST: Final = re.compile(
    rb"(?:(?:[\w~!$&'()*+,;=%-]+\.)*[\w~!$&'()*+,;=%-]+\.?|\[[0-9A-Fa-f:.]+\])?(?::[0-9]{0,5})?", re.ASCII
)
_PORTS: Final = {"http": 80, "https": 443}


def check_caller(
    method: bytes,
    headers: Headers,
    authority: bytes | None,
    *,
    is_local: bool,
    allowed: frozenset[str],
    origins: frozenset[str] = frozenset(),
) -> None:
    """Raises :class:`WebError` if a page of another origin is behind a request.

    :param authority: host and port in the request's target, if it has them.
    :param is_local: who asks is on this machine, since nobody else can reach the port.
    :param allowed: names of hosts, in lower case, by which the port is reached; ``*`` is any.
    :param origins: of pages that may ask here, in lower case; ``*`` is any.
    """
    hosts = headers.getRawHeaders(b"host", [])
    if len(hosts) > 1 or (hosts and not _is_host(hosts[0])):
        raise WebError(400, "the header Host has to be there once, with a host and perhaps a port")
    # A target with a host is what proxies get, and nothing that a page makes a browser send here.
    if is_local and hosts and authority is None and not _is_ours(hosts[0], allowed):
        raise WebError(
            421,
            f"the host {_split(hosts[0])[0][:60]!r} is not served here, since this port listens for this"
            " machine only: put it into allowed_hosts if the port is reached by that name",
        )
    if method not in _SAFE:
        site = headers.getRawHeaders(b"sec-fetch-site", [b""])[0].decode("latin-1").lower()
        origin = headers.getRawHeaders(b"origin", [b""])[0]
        if (site or origin) and not is_among(origin.decode("latin-1"), origins):
            # Which pages cannot add.
            forwarded = headers.getRawHeaders(b"x-forwarded-host", [])
            _check_origin(site, origin, [authority or b"".join(hosts), *forwarded], allowed)


def is_among(origin: str, origins: frozenset[str]) -> bool:
    """Whether an origin, as browsers write it, is one of these."""
    return bool(origin) and ("*" in origins or origin.lower() in origins)


def _check_origin(site: str, origin: bytes, own: Sequence[bytes], allowed: frozenset[str]) -> None:
    """As Go's ``http.CrossOriginProtection`` does."""
    # What the browser itself finds counts first: behind a proxy, Host may be another than the page's.
    if site in ("same-origin", "none"):
        return
    scheme, is_url, place = origin.partition(b"://")
    default = _PORTS.get(scheme.decode("latin-1").lower())
    name, port = _split(place)
    if is_url and (name in allowed or "*" in allowed):
        return
    # Not by the scheme, too: a proxy may have taken TLS off.
    ours = [(each, number or default) for each, number in map(_split, own)]
    if is_url and not site and (name, port or default) in ours:
        return
    whose = f"of {origin[:80].decode('latin-1')!r}" if origin else "of another site"
    raise WebError(
        403, f"a page {whose} may not change anything here: put its host into allowed_hosts if it may"
    )


# The same few come again with each request.


@lru_cache(maxsize=256)
def _is_host(given: bytes) -> bool:
    return _HOST.fullmatch(given) is not None


@lru_cache(maxsize=256)
def _is_ours(given: bytes, allowed: frozenset[str]) -> bool:
    name, _ = _split(given)
    return _is_local(name) or name in allowed or "*" in allowed


def _split(place: bytes) -> tuple[str, int | None]:
    """A host, in lower case and without brackets, and its port."""
    text = place.decode("latin-1").strip().lower()
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal():
        host, port = text.removesuffix(":"), ""
    return host.strip("[]").removesuffix("."), int(port[:6]) if port else None


def _is_local(name: str) -> bool:
    """Whether a host can be no name that others have a page at, and have let lead here since."""
    if "." not in name and ":" not in name:
        return True  # a name of the site's own, and nobody's on the Internet
    if name.endswith(".localhost"):
        return True
    return _is_loopback(name)


def _is_loopback(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


def is_for_this_machine(port: IListeningPort) -> bool:
    """Whether only programs of this machine can reach a port over the network."""
    host: Any = port.getHost()
    return _is_loopback(getattr(host, "host", ""))
