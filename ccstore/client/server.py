"""Requests to a running ccstore, and what goes wrong with them in one line."""

from __future__ import annotations

import json
import os
import re
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import treq
from attrs import frozen
from hyperlink import URL
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import ssl
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectBindError,
    ConnectError,
    ConnectionClosed,
    ConnectionRefusedError,
    DNSLookupError,
    TimeoutError,
)
from twisted.python.failure import Failure
from twisted.python.usage import UsageError
from twisted.web.client import Agent, HTTPConnectionPool, ResponseFailed
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from ccstore import __version__
from ccstore.client.session import DONE, FAILED, NOT_AS_ASKED, ClientError
from ccstore.commands.description import DURATION, FILE, Value
from ccstore.commands.options import CommandOptions
from ccstore.config.kinds import Unfit
from ccstore.config.pem import certificates, private_key
from ccstore.durations import parse_duration

DEFAULT_URL: Final = "http://127.0.0.1:8088"
#: Bytes of an answer that are shown if it is none of ccstore's.
_SHOWN: Final = 200
#: Statuses of a server that is no REST interface, such as a receiver of lines over HTTP.
_NOT_THERE: Final = (404, 405)
_NOT_REST: Final = "is it the REST interface, and not a receiver? See --url"


class ServerOptions(CommandOptions):
    """The options of all commands that make requests.

    :cvar problem: what exit status 1 means, behind "the daemon answered, but".
    """

    problem = "something is not as it should be"

    optParameters = [
        ["url", "u", None, f"Where the REST interface is; else $CCSTORE_URL, else {DEFAULT_URL}."],
        ["token-file", "t", None, "File with a token; else the token in $CCSTORE_TOKEN, if there is one."],
        ["ca", None, None, "PEM file with the certificates of who may sign the server's; else the system's."],
        ["cert", None, None, "PEM file with a certificate to show to the server."],
        ["key", None, None, "PEM file with its private key; may be in the same file."],
        ["timeout", None, "30s", "How long to wait for an answer."],
    ]
    optFlags = [["json", "j", "Print JSON, for programs."]]
    option_values = {
        "url": Value("URL"),
        "token-file": FILE,
        "ca": FILE,
        "cert": FILE,
        "key": FILE,
        "timeout": DURATION,
    }

    timeout: float

    @property
    def statuses(self) -> Sequence[tuple[str, str]]:  # type: ignore[override]
        """Exit statuses, and when the command ends with each."""
        return (
            (str(DONE), "All is well."),
            (str(NOT_AS_ASKED), f"The daemon answered, but {self.problem}."),
            (
                str(FAILED),
                "The options are wrong, nobody answers, the token is not accepted, or the daemon has "
                "an error.",
            ),
        )

    def postOptions(self) -> None:
        """Check what can be checked by itself."""
        try:
            self.timeout = parse_duration(self["timeout"])
        except ValueError:
            raise UsageError(f"--timeout: expected a duration such as 30s, got {self['timeout']!r}") from None
        if not self.timeout:
            raise UsageError("--timeout: expected a duration longer than 0")
        if self["key"] and not self["cert"]:
            raise UsageError("--key: there has to be a --cert as well")


class Unreachable(ClientError):
    """Nobody took the request, so nothing has come of it."""


class Vanished(ClientError):
    """The request was sent, but no answer came: nobody knows what has become of it."""


@frozen
class Answer:
    """An answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON; raises :class:`ClientError` if it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise ClientError(f"the answer is no JSON, is this a ccstore? {_start(self.body)}") from None

    @property
    def error(self) -> str:
        """What an answer that is an error says."""
        try:
            return str(json.loads(self.body)["error"])
        except (ValueError, LookupError, TypeError):
            return _start(self.body) or "without saying why"


def _start(body: bytes) -> str:
    return " ".join(body[:_SHOWN].decode(errors="replace").split())


class _Url(URL):
    """A URL whose host may be an address of IPv6, which hyperlink would encode as if it were a name."""

    def to_uri(self) -> URL:
        """See :class:`hyperlink.URL`."""
        if ":" not in self.host:
            return super().to_uri()
        return self.replace(host="").to_uri().replace(host=self.host)


class Server:
    """A running ccstore.

    :param http: as :class:`treq.client.HTTPClient`.
    :param url: of its REST interface.
    :param timeout: seconds to wait for an answer.
    """

    def __init__(self, http: Any, clock: Any, url: str, *, token: str | None, timeout: float) -> None:
        self._http = http
        self._clock = clock
        self.url = url.rstrip("/")
        self._token = token
        self._timeout = timeout

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make a request. Raises :class:`ClientError`, also for an answer that asks for a (better) token."""
        headers = {"user-agent": f"ccstore/{__version__}"}
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token}"
        asking = Deferred.fromCoroutine(self._ask(method, path, body, params, headers))
        is_late = False

        def late() -> None:
            nonlocal is_late
            is_late = True
            asking.cancel()

        timer = self._clock.callLater(self._timeout, late)
        try:
            answer = await asking
        except ClientError:
            raise
        except Exception as error:
            if is_late:
                hint = "does it talk TLS?" if self.url.startswith("https:") else _NOT_REST
                raise Vanished(f"no answer from {self.url} within {self._timeout:g} s: {hint}") from None
            raise self._explained(error) from None
        finally:
            if timer.active():
                timer.cancel()
        if answer.status in (401, 403):
            hint = "" if self._token else "; give one by --token-file or $CCSTORE_TOKEN"
            if answer.headers.get("www-authenticate", "").lower().startswith("basic"):
                hint = f"; {_NOT_REST}"
            raise ClientError(f"{self.url} says {answer.status}: {answer.error}{hint}")
        return answer

    async def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
    ) -> Answer:
        response = await self._http.request(
            method,
            _Url.from_text(self.url + path),
            data=body,
            params=params or {},
            headers=headers,
            allow_redirects=False,
        )
        names = {
            name.decode("latin-1").lower(): values[0].decode("latin-1")
            for name, values in response.headers.getAllRawHeaders()
        }
        return Answer(response.code, names, await response.content())

    async def get(self, path: str) -> Any:
        """The JSON at a path. Raises :class:`ClientError`."""
        answer = await self.ask("GET", path)
        self.check(answer)
        return answer.json

    def check(self, answer: Answer) -> None:
        """Raise :class:`ClientError` for an answer that is an error."""
        if answer.status != 200:
            raise ClientError(self.refusal(answer))

    def refusal(self, answer: Answer) -> str:
        """What an answer that is an error says, with a hint if it seems to come from something else."""
        hint = f"; {_NOT_REST}" if answer.status in _NOT_THERE else ""
        return f"{self.url} says {answer.status}: {answer.error}{hint}"

    async def must_answer_queries(self) -> None:
        """Raise :class:`ClientError` if it is no REST interface: a receiver would take a query for lines."""
        answer = await self.ask("GET", "/api/query/")
        if answer.status in _NOT_THERE:
            raise ClientError(self.refusal(answer))

    async def must_speak_http(self) -> None:
        """Raise :class:`ClientError` if it is not HTTP: a receiver of lines over TCP would store the body."""
        try:
            await self.ask("GET", "/api/write/")
        except Vanished as error:
            raise ClientError(f"{error}; nothing was sent") from None
        except Unreachable:
            raise
        except ClientError:
            pass  # it answered, and so speaks HTTP; what it has against a request is told when lines are sent

    def _explained(self, error: Exception) -> ClientError:
        for cause in _causes(error):
            if isinstance(cause, VerificationError):
                return Unreachable(
                    f"TLS: the certificate of {self.url} is another's, not that of its host name"
                )
            if isinstance(cause, SSL.Error):
                return Unreachable(f"TLS: {_reason(cause)} ({self.url})")
            if isinstance(cause, ConnectionRefusedError):
                return Unreachable(f"nothing listens at {self.url}: connection refused")
            if isinstance(cause, (DNSLookupError, ConnectBindError)):
                return Unreachable(f"the host of {self.url} is not known")
            if isinstance(cause, TimeoutError):
                return Unreachable(f"no connection to {self.url} within the time: check address and firewall")
            if isinstance(cause, ConnectError):
                return Unreachable(f"cannot connect to {self.url}: {_words(cause)}")
            if isinstance(cause, (ConnectionClosed, CancelledError)):
                return Vanished(f"{self.url} closed the connection without an answer")
        if isinstance(error, ResponseFailed):
            return Vanished(f"what listens at {self.url} does not speak HTTP: {_NOT_REST}")
        return Vanished(f"the request to {self.url} failed: {error!r}")


def _causes(error: Exception) -> list[BaseException]:
    """The errors that an error of Twisted's client was made of, or itself; what tells most comes first."""
    found: list[BaseException] = []
    for reason in getattr(error, "reasons", ()) if isinstance(error, ResponseFailed) else ():
        if isinstance(reason, Failure) and isinstance(reason.value, Exception):
            found += _causes(reason.value)
    found.append(error)
    return sorted(found, key=lambda cause: not isinstance(cause, (SSL.Error, VerificationError)))


_TLS_REASONS: Final = {
    "certificate verify failed": "its certificate is not signed by anybody who is trusted here; see --ca",
    "wrong version number": "the server does not talk TLS; is it http:// and not https://?",
    "http request": "the server does not talk TLS; is it http:// and not https://?",
}


def _reason(error: SSL.Error) -> str:
    for reason in error.args[0] if error.args and isinstance(error.args[0], list) else ():
        said = str(reason[-1])
        if "alert" in said and ("certificate" in said or "unknown ca" in said):
            return f"the server wants another certificate from us ({said}); see --cert and --key"
        return _TLS_REASONS.get(said, said)
    return "the connection ended in the handshake"


def _words(error: BaseException) -> str:
    return " ".join(str(error).rstrip(".").split())


@implementer(IPolicyForHTTPS)
class _Policy:
    """Whom to trust, and who we are; the name in the certificate must be the host's in any case."""

    def __init__(self, trust: Any, certificate: ssl.PrivateCertificate | None) -> None:
        self._trust = trust
        self._certificate = certificate

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        """See :class:`IPolicyForHTTPS`."""
        name = hostname.decode("ascii").strip("[]")
        return ssl.optionsForClientTLS(name, trustRoot=self._trust, clientCertificate=self._certificate)


def connect(options: ServerOptions, reactor: Any, environ: Mapping[str, str] | None = None) -> Server:
    """The server that the options name. Raises :class:`ClientError` if they cannot be used."""
    environ = os.environ if environ is None else environ
    url = _checked_url(options["url"] or environ.get("CCSTORE_URL") or DEFAULT_URL)
    # No connection is kept: one that was idle could be closed just when lines are sent over it.
    pool = HTTPConnectionPool(reactor, persistent=False)
    # Shorter than the timeout of the request, so that a connection that fails is known to have sent nothing.
    connect_timeout = min(10.0, 0.9 * options.timeout)
    agent = Agent(reactor, _policy(options), connectTimeout=connect_timeout, pool=pool)
    http = treq.client.HTTPClient(agent)
    return Server(http, reactor, url, token=_token(options["token-file"], environ), timeout=options.timeout)


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_good = False
    if not is_good or parts.query or parts.fragment or parts.username or not url.isascii():
        raise ClientError(f"--url: expected a URL such as {DEFAULT_URL}, got {url!r}")
    return url


def _token(path: str | None, environ: Mapping[str, str]) -> str | None:
    if path is None:
        token = environ.get("CCSTORE_TOKEN", "").removeprefix("\ufeff").strip()
        where = "$CCSTORE_TOKEN"
        if not token:
            return None
    else:
        where = f"--token-file {path}"
        token = read(Path(path), "--token-file").decode("latin-1").strip()
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise ClientError(f"{where}: expected a token, a single word")
    return token


def _policy(options: ServerOptions) -> _Policy:
    trust: Any = ssl.platformTrust()
    if options["ca"]:
        found = [ssl.Certificate(_as_openssl(each)) for each in _certificates(options["ca"], "--ca")]
        trust = ssl.trustRootFromCertificates(found)
    own = None
    if options["cert"]:
        certificate, *_ = _certificates(options["cert"], "--cert")
        key = options["key"] or options["cert"]
        try:
            private_key(Path(key), certificate)
        except OSError as error:
            raise ClientError(f"--key: cannot read {key}: {(error.strerror or '').lower()}") from None
        except Unfit as error:
            raise ClientError(f"--key: expected {error.expected}") from None
        own = ssl.PrivateCertificate.loadPEM(read(Path(key), "--key") + read(Path(options["cert"]), "--cert"))
    return _Policy(trust, own)


def _certificates(path: str, option: str) -> list[Any]:
    try:
        return list(certificates(Path(path)))
    except OSError as error:
        raise ClientError(f"{option}: cannot read {path}: {(error.strerror or '').lower()}") from None
    except Unfit as error:
        raise ClientError(f"{option}: expected {error.expected}") from None


def _as_openssl(certificate: Any) -> Any:
    from OpenSSL.crypto import X509

    return X509.from_cryptography(certificate)


def read(path: Path, option: str) -> bytes:
    """The content of a file that an option names, without a byte order mark. Raises :class:`ClientError`."""
    try:
        return path.read_bytes().removeprefix(BOM_UTF8)
    except OSError as error:
        raise ClientError(f"{option}: cannot read {path}: {(error.strerror or '').lower()}") from None
