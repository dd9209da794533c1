"""What an http receiver answers to clients of InfluxDB, as InfluxDB would.

Lines by version 1 (``/write``), 2 (``/api/v2/write``) and 3 (``/api/v3/write_lp``), and what clients ask for
before they write. Two things decide what is answered:

- Telegraf and others throw a batch away at any status from 400 to 499. So these are for what would be wrong
  the next time, too; whatever may pass is 503 with ``Retry-After``.
- The texts of errors are read by programs: Telegraf throws a batch away as well where one contains ``partial
  write`` or ``unable to parse``, whatever the status.

https://docs.influxdata.com/influxdb/v1/tools/api/ and .../influxdb/v2/api/ and .../influxdb3/core/api/
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import parse_qs

from attrs import frozen
from twisted.web.server import Request

from ccstore import __version__
from ccstore.accounting.account import Origin
from ccstore.config import HttpReceiverConfig
from ccstore.lineprotocol import Precision
from ccstore.network.listening import address_of
from ccstore.pipeline.intake import Intake
from ccstore.receivers import influxql
from ccstore.web import WebError, argument, body_of, to_json
from ccstore.web.write import Written, write_lines

#: What clients compare is the number in front: what is offered here is what this version has.
_VERSION: Final = f"1.8.10-ccstore-{__version__}"
_HEADERS: Final = {"x-influxdb-version": _VERSION, "x-influxdb-build": "ccstore"}
#: What versions call the units.
_UNITS: Final[Mapping[Precision, Sequence[str]]] = {
    "auto": ("auto",),
    "ns": ("n", "ns", "nanosecond"),
    # The micro sign, and the Greek letter.
    "us": ("u", "us", "\u00b5", "\u00b5s", "\u03bc", "\u03bcs", "microsecond"),
    "ms": ("ms", "millisecond"),
    "s": ("s", "second"),
    "m": ("m",),
    "h": ("h",),
}
_PRECISIONS: Final = {name: precision for precision, names in _UNITS.items() for name in names}
#: What version 2 calls a status.
_CODES: Final = {
    400: "invalid",
    401: "unauthorized",
    404: "not found",
    405: "method not allowed",
    411: "invalid",
    413: "request too large",
    415: "invalid",
    503: "unavailable",
}
#: Of a text in a header.
_HEADER_LIMIT: Final = 500


@frozen
class Said:
    """An answer."""

    status: int
    body: bytes
    headers: Mapping[str, str]


#: Answers a request that has arrived.
Handler = Callable[[Request], Awaitable[Said]]
#: The body and the headers of an error, in the shape of a version.
_Shape = Callable[[int, str, Mapping[str, object]], tuple[bytes, Mapping[str, str]]]


class Influx:
    """See the module."""

    def __init__(self, config: HttpReceiverConfig, intake: Intake) -> None:
        self._config = config
        self._intake = intake
        self._path = config.path.rstrip("/").encode()
        self._routes: Mapping[bytes, tuple[tuple[bytes, ...], Handler]] = {
            b"/write": ((b"POST",), self._write_1),
            b"/api/v2/write": ((b"POST",), self._write_2),
            b"/api/v3/write_lp": ((b"POST",), self._write_3),
            b"/query": ((b"GET", b"POST"), self._query),
            b"/ping": ((b"GET", b"HEAD"), self._ping),
            b"/health": ((b"GET", b"HEAD"), self._health),
        }
        if config.influx == "never":
            self._routes = {}

    def handler(self, request: Request) -> Handler | None:
        """What answers this request, or None if it is no client of InfluxDB's."""
        path = request.path.rstrip(b"/")
        methods, handler = self._routes.get(path, ((), None))
        if handler is None or request.method not in methods:
            return None
        # Metric collectors expect another answer. They may use any path, but name no database.
        is_doubtful = path == self._path or (path == b"/write" and b"db" not in request.args)
        return None if is_doubtful and self._config.influx == "auto" else handler

    # -- writing

    async def _write_1(self, request: Request) -> Said:
        return await self._write(request, "db", _shape_1)

    async def _write_2(self, request: Request) -> Said:
        return await self._write(request, "bucket", _shape_2)

    async def _write_3(self, request: Request) -> Said:
        return await self._write(request, "db", _shape_1)

    async def _write(self, request: Request, database_key: str, shape: _Shape) -> Said:
        try:
            self._check(request)
            precision = _precision(argument(request, "precision"))
            origin = self._origin(request, argument(request, database_key))
            with body_of(request, self._config.max_unpacked) as body:
                written = await write_lines(self._intake, body, origin, precision, lenient=True)
        except WebError as error:
            return _failure(error, shape)
        if not written.rejected:
            return Said(204, b"", _HEADERS)
        return _partial(written, shape)

    def _origin(self, request: Request, database: str | None) -> Origin:
        """Where lines come from; the cluster of their database goes before that of the receiver."""
        sender = address_of(request.getClientAddress())
        cluster = self._cluster_of(database)
        if cluster is None:
            return self._intake.origin(sender, argument(request, "cluster"))
        return Origin(self._intake.account, sender, cluster)

    def _cluster_of(self, database: str | None) -> str | None:
        if database is None:
            return None
        # Where version 1 is spoken to as if it were 2, a bucket is a database and a retention policy.
        name = database.partition("/")[0]
        for known in (database, name):
            if known in self._config.databases:
                return self._config.databases[known]
        return name if self._config.cluster_from_database else None

    # -- questions

    async def _query(self, request: Request) -> Said:
        try:
            self._check(request)
            asked = argument(request, "q")
            if asked is None:
                with body_of(request, self._config.max_unpacked) as body:
                    asked = _form(body).get("q", [""])[0]
            if not asked:
                raise WebError(400, 'missing required parameter "q"')
            databases = {*self._config.databases}
            database = argument(request, "db")
            if database is not None:
                databases.add(database)
            try:
                answer = influxql.answer(asked, databases)
            except ValueError as error:
                raise WebError(400, f"error parsing query: {error}") from None
        except WebError as error:
            return _failure(error, _shape_1)
        return Said(200, to_json(answer), _HEADERS)

    async def _ping(self, request: Request) -> Said:
        if request.args.get(b"verbose", [b""])[0] in (b"", b"0", b"false"):
            return Said(204, b"", _HEADERS)
        return Said(200, to_json({"version": _VERSION}), _HEADERS)

    async def _health(self, request: Request) -> Said:
        status = {"name": "ccstore", "message": "ready for writes", "status": "pass", "checks": []}
        return Said(200, to_json({**status, "version": _VERSION}), _HEADERS)

    # -- the door

    def _check(self, request: Request) -> None:
        """Raises :class:`WebError` 401 if the request has not the right name and password."""
        config = self._config
        if config.username is None or config.password is None:
            return
        both = f"{config.username}:{config.password}".encode()
        # A sink of the metric collector with a password and no user sends that alone.
        right = (both, config.password.encode())
        found = _credentials(request)
        if not any(hmac.compare_digest(given, known) for given in found for known in right):
            wrong = "user name or password is wrong" if found else "user name and password are required"
            raise WebError(
                401,
                f"authorization failed: {wrong}",
                headers={"www-authenticate": 'Basic realm="ccstore"'},
            )


def _credentials(request: Request) -> list[bytes]:
    """Names and passwords that a request has, in all the ways that clients have of giving them."""
    scheme, _, given = (request.getHeader(b"authorization") or b"").partition(b" ")
    found = []
    if scheme.lower() in (b"token", b"bearer"):
        found.append(given.strip())
    elif scheme.lower() == b"basic":
        with suppress(binascii.Error):
            found.append(b64decode(given.strip(), validate=True))
    name, password = (request.args.get(key, [b""])[0] for key in (b"u", b"p"))
    if name or password:
        found.append(name + b":" + password)
    return found


def _precision(name: str | None) -> Precision | None:
    if name is None:
        return None
    try:
        return _PRECISIONS[name]
    except KeyError:
        raise WebError(
            400, f"precision: expected one of n, ns, u, us, ms, s, m, h, got {name[:40]!r}"
        ) from None


def _form(body: bytes) -> Mapping[str, list[str]]:
    try:
        return parse_qs(body.decode(), max_num_fields=100)
    except ValueError as error:
        raise WebError(400, f"the body cannot be read as a form: {error}") from None


def _failure(error: WebError, shape: _Shape) -> Said:
    body, headers = shape(error.status, error.text, {})
    return Said(error.status, body, {**_HEADERS, **headers, **error.headers})


def _partial(written: Written, shape: _Shape) -> Said:
    more = {
        "data": [
            {"line_number": bad.line, "original_line": bad.text, "error_message": bad.reason}
            for bad in written.bad
        ],
        "line": written.bad[0].line,
    }
    body, headers = shape(400, f"partial write: {written.summary()}", more)
    return Said(400, body, {**_HEADERS, **headers})


def _shape_1(status: int, text: str, more: Mapping[str, object]) -> tuple[bytes, Mapping[str, str]]:
    shown = {key: value for key, value in more.items() if key == "data"}
    plain = text.encode("ascii", "backslashreplace").decode()[:_HEADER_LIMIT]
    return to_json({"error": text, **shown}), {"x-influxdb-error": plain}


def _shape_2(status: int, text: str, more: Mapping[str, object]) -> tuple[bytes, Mapping[str, str]]:
    return to_json({"code": _CODES.get(status, "internal error"), "message": text, **more}), {}


def failure_of(request: Request, error: WebError) -> Said:
    """The answer to a request in which something went wrong that nobody has thought of."""
    return _failure(error, _shape_2 if request.path.startswith(b"/api/v2/") else _shape_1)
