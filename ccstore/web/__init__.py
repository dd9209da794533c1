"""What the HTTP servers of the daemon share.

Where what is: `site` has what belongs to a port, `channel` what belongs to a connection, `connections` how
many there may be; `request` has what belongs to a request, `target` and `callers` are about its head, `room`
and `packing` about its body; `answers` has JSON and errors, `streaming` what is too large to be answered at
once, `accesslog` the lines of the access log.
"""

from __future__ import annotations

from .accesslog import without_secrets
from .answers import JSON, WebError, answer, error_body, from_json, internal_error, later, to_json
from .channel import Patience
from .packing import unpack
from .request import LimitedRequest, argument, body_of, header
from .room import Room
from .site import LimitedSite
from .streaming import Outgoing, bytes_pieces, json_pieces, stream, text_pieces

__all__ = [
    "JSON",
    "LimitedRequest",
    "LimitedSite",
    "Outgoing",
    "Patience",
    "Room",
    "WebError",
    "answer",
    "argument",
    "body_of",
    "bytes_pieces",
    "error_body",
    "from_json",
    "header",
    "internal_error",
    "json_pieces",
    "later",
    "stream",
    "text_pieces",
    "to_json",
    "unpack",
    "without_secrets",
]
