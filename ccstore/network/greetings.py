"""What clients of other protocols say first, so that who comes to the wrong port is told so at once."""

from __future__ import annotations

import re
from typing import Final

#: What a connection begins with, and what that is. TLS as in RFC 8446, 5.1: a handshake that begins.
_TLS: Final = re.compile(rb"\x16\x03[\x00-\x04]", re.DOTALL)
_HTTP: Final = re.compile(rb"[A-Z]{3,10} \S{1,4096} HTTP/[0-9](?:\.[0-9])?\r?\n")
_OTHERS: Final = (
    (re.compile(rb"SSH-[12]"), "SSH"),
    (re.compile(rb"PRI \* HTTP/2"), "HTTP/2 without TLS"),
    (re.compile(rb"PROXY (?:TCP|UNKNOWN)|\r\n\r\n\x00\r\nQUIT\n"), "the PROXY protocol of a load balancer"),
    (re.compile(rb"\*[0-9]+(?:\r|\Z)|(?:PING|AUTH|HELLO|INFO)\b", re.IGNORECASE), "Redis"),
    (re.compile(rb"\x00\x00.{2}(?:\x04\xd2\x16[\x2e-\x30]|\x00\x03\x00\x00)", re.DOTALL), "PostgreSQL"),
    (re.compile(rb"(?:EHLO|HELO) ", re.IGNORECASE), "SMTP"),
    (re.compile(rb"CONNECT \{"), "NATS"),
    (re.compile(rb"[^\s,=]+(?:,[^\s,=]+=[^\s,]*)* [^\s=]+=[^\r\n]*"), "line protocol"),
    (re.compile(rb"[^\s,=]+,[^\s,=]+="), "line protocol"),
)


def is_tls(data: bytes) -> bool:
    """Whether a connection begins as one with TLS does."""
    return _TLS.match(data) is not None


def is_http(data: bytes) -> bool:
    """Whether a connection begins with the first line of a request."""
    return _HTTP.match(data) is not None


def spoken(data: bytes) -> str | None:
    """The protocol, other than HTTP/1, that is spoken by who begins so; None if it is not known."""
    if is_tls(data):
        return "TLS"
    return next((name for pattern, name in _OTHERS if pattern.match(data)), None)
