"""What the HTTP servers of the daemon share.

Where what is: `site` has what belongs to a port, `port` puts it where it listens, `refusals` has what it
refuses; `channel` has what belongs to a connection, `patience` how long it is waited for, `eviction` how
many there may be and which has to go; `request` has what belongs to a request, `target` and `callers` are
about its head, `room` and `gzipping` about its body; `answers` has JSON and errors, `streaming` what is
too large to be answered at once, `websockets` what goes on, `pacing` how fast both are written;
`store_errors` what is told of the store's, `accesslog` the lines of the access log.
"""

from __future__ import annotations

from .accesslog import without_secrets
from .answers import JSON, WebError, answer, error_body, from_json, internal_error, is_unicode, later, to_json
from .gzipping import unpack
from .patience import Patience
from .port import HttpPort
from .request import LimitedRequest, argument, body_of, header
from .room import Room
from .site import LimitedSite, SiteSettings
from .store_errors import answered
from .streaming import Incomplete, Outgoing, bytes_pieces, json_pieces, stream

__all__ = [
    "JSON",
    "HttpPort",
    "Incomplete",
    "LimitedRequest",
    "LimitedSite",
    "Outgoing",
    "Patience",
    "Room",
    "SiteSettings",
    "WebError",
    "answer",
    "answered",
    "argument",
    "body_of",
    "bytes_pieces",
    "error_body",
    "from_json",
    "header",
    "internal_error",
    "is_unicode",
    "json_pieces",
    "later",
    "stream",
    "to_json",
    "unpack",
    "without_secrets",
]
