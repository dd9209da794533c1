"""Answers: JSON, errors, and what is said at once to whom no request can be answered."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from http import HTTPStatus

from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest

JSON = b"application/json"
#: Seconds after which a client may come again.
_RETRY_AFTER = "5"
#: Of a number in a request.
_DIGITS = 100


class WebError(Exception):
    """An answer other than success.

    :param text: what was wrong, for the client.
    :param more: further members of the JSON object.
    """

    def __init__(
        self,
        status: int,
        text: str,
        *,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers or {}
        self.more = more or {}

    def body(self) -> bytes:
        return error_body(self.status, self.text, self.more)

    def as_bytes(self, *, is_head: bool = False) -> bytes:
        """The whole answer, for a connection that ends with it.

        :param is_head: only the head was asked for.
        """
        body = self.body()
        headers = {
            **self.headers,
            "Content-Type": JSON.decode(),
            "X-Content-Type-Options": "nosniff",
            "Connection": "close",
            "Content-Length": str(len(body)),
        }
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + (b"" if is_head else body)


def later(text: str) -> WebError:
    """What cannot be done now, but may be if the client comes again."""
    return WebError(503, text, headers={"retry-after": _RETRY_AFTER})


def error_body(status: int, text: str, more: Mapping[str, object] | None = None) -> bytes:
    """The body of an error, in the shape that the Go daemon's clients know."""
    return to_json({"status": HTTPStatus(status).phrase, "error": text, **(more or {})})


def internal_error(log: Logger, failure: Failure, request: IRequest) -> WebError:
    """What is answered to a request that failed for no reason of its own; the log has the rest."""
    number = uuid.uuid4().hex[:12]
    log.failure("internal error {number} at {path}", failure, number=number, path=request.path)
    return WebError(500, f"internal error {number}, see the log")


def to_json(value: object) -> bytes:
    """A body of JSON. Its last byte is a newline, for those who read it in a terminal."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"


def from_json(body: bytes) -> object:
    """Read JSON that a client sent; raises :class:`ValueError` that says what is wrong, in a line."""
    try:
        return json.loads(body, parse_int=_integer)
    except RecursionError:
        raise ValueError("lists or objects are nested too deeply") from None


def is_unicode(text: str) -> bool:
    """False for what JSON can write as an escape and no database takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _integer(digits: str) -> int:
    # Python takes long for very many, and refuses more than some thousand of them in words of its own.
    if len(digits) > _DIGITS:
        raise ValueError(f"a number has more than {_DIGITS} digits")
    return int(digits)


def answer(request: IRequest, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """Set the head of a JSON answer, and give its body back, or none if only the head was asked for."""
    request.setResponseCode(status)
    request.setHeader(b"content-type", JSON)
    request.setHeader(b"content-length", b"%d" % len(body))
    for name, value in (headers or {}).items():
        request.setHeader(name.encode(), value.encode())
    return b"" if request.method == b"HEAD" else body
