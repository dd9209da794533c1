"""Requests to a running ccstore, and what goes wrong with them in one line."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import treq
from attrs import frozen
from hyperlink import URL
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectBindError,
    ConnectError,
    ConnectionClosed,
    ConnectionRefusedError,
    DNSLookupError,
    TimeoutError,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.python.usage import UsageError
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss

from ccstore import __version__
from ccstore.client.contexts import DEFAULT_URL, target
from ccstore.client.credentials import policy
from ccstore.client.request_errors import causes, tls_reason, words_of
from ccstore.client.session import DONE, FAILED, NOT_AS_ASKED, ClientError
from ccstore.commands.description import DURATION, FILE, Value
from ccstore.commands.options import CommandOptions
from ccstore.durations import parse_duration

_T = TypeVar("_T")

#: Names and values of parameters, in their order; a name may come several times.
Question = Sequence[tuple[str, str]]
#: Characters of a query string, above which the parameters are the body of the request.
_LONGEST_QUERY: Final = 8000
#: Bytes of an answer that are shown if it is none of ccstore's.
_SHOWN: Final = 200
#: Statuses of a server that is no REST interface, such as a receiver of lines over HTTP.
_NOT_THERE: Final = (404, 405)
#: Statuses with which the daemon, or a proxy before it, says that it cannot just now.
NOT_NOW: Final = (429, 500, 502, 503, 504)
_NOT_REST: Final = "is it the REST interface, and not a receiver? See --url"


class ServerOptions(CommandOptions):
    """The options of all commands that make requests.

    :cvar problem: what exit status 1 means, behind "the daemon answered, but".
    """

    problem = "something is not as it should be"

    optParameters = [
        [
            "url",
            "u",
            None,
            f"Where the REST interface is; else $CCSTORE_URL, the context, or {DEFAULT_URL}.",
        ],
        [
            "context",
            None,
            None,
            "Which context of ~/.config/ccstore/client.yaml to take; else its current one.",
        ],
        ["token-file", "t", None, "File with a token; else the token in $CCSTORE_TOKEN, if there is one."],
        ["ca", None, None, "PEM file with the certificates of who may sign the server's; else the system's."],
        ["cert", None, None, "PEM file with a certificate to show to the server."],
        ["key", None, None, "PEM file with its private key; may be in the same file."],
        ["timeout", None, "30s", "How long to wait for an answer."],
    ]
    optFlags = [["json", "j", "Print JSON, for programs."]]
    option_values = {
        "url": Value("URL"),
        "context": Value("NAME", is_context=True),
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


class Refused(ClientError):
    """The answer is an error.

    :ivar status: of HTTP.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


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
    def is_of_nobody(self) -> bool:
        """It says that nothing is there, or not for this method, and not that the API knows no such thing."""
        if self.status == 405:
            return True
        try:
            given = json.loads(self.body)
            return self.status == 404 and ("status" not in given or self.error.startswith("nothing here"))
        except (ValueError, TypeError):
            return self.status == 404

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
        *,
        patience: float | None = None,
    ) -> Answer:
        """Make a request. Raises :class:`ClientError`, also for an answer that asks for a (better) token.

        :param patience: seconds to wait for the answer, if that is less than usual.
        """
        asking = self._request(method, path, body, params, self._headers())
        answer = await self._in_time(_answer_of(asking), patience)
        self._check_admittance(answer)
        return answer

    def _headers(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        headers = {"user-agent": f"ccstore/{__version__}", **(more or {})}
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token}"
        return headers

    async def _in_time(self, asking: Coroutine[Any, Any, _T], patience: float | None = None) -> _T:
        """What comes of a part of a request, if that does not take too long."""
        timeout = self._timeout if patience is None else min(patience, self._timeout)
        waiting: Deferred[_T] = Deferred.fromCoroutine(asking)
        is_late = False

        def late() -> None:
            nonlocal is_late
            is_late = True
            waiting.cancel()

        timer = self._clock.callLater(timeout, late)
        try:
            return await waiting
        except ClientError:
            raise
        except Exception as error:
            if is_late:
                hint = "does it talk TLS?" if self.url.startswith("https:") else _NOT_REST
                raise Vanished(f"no answer from {self.url} within {timeout:g} s: {hint}") from None
            raise self._explained(error) from None
        finally:
            if timer.active():
                timer.cancel()

    async def _request(
        self,
        method: str,
        path: str,
        body: bytes | None,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
    ) -> Any:
        return await self._http.request(
            method,
            _Url.from_text(self.url + path),
            data=body,
            params=params or {},
            headers=headers,
            allow_redirects=False,
            # Else it would hold all of a body that is given on as it comes.
            unbuffered=True,
        )

    def _check_admittance(self, answer: Answer) -> None:
        if answer.status in (401, 403):
            hint = "" if self._token else "; give one by --token-file or $CCSTORE_TOKEN"
            if answer.headers.get("www-authenticate", "").lower().startswith("basic"):
                hint = f"; {_NOT_REST}"
            raise ClientError(f"{self.url} says {answer.status}: {answer.error}{hint}")

    async def get(self, path: str) -> Any:
        """The JSON at a path. Raises :class:`ClientError`."""
        answer = await self.ask("GET", path)
        self.check(answer)
        return answer.json

    def check(self, answer: Answer) -> None:
        """Raise :class:`ClientError` for an answer that is an error."""
        if answer.status != 200:
            raise Refused(self.refusal(answer), answer.status)

    def refusal(self, answer: Answer) -> str:
        """What an answer that is an error says, with a hint if it seems to come from something else."""
        hint = f"; {_NOT_REST}" if answer.is_of_nobody else ""
        return f"{self.url} says {answer.status}: {answer.error}{hint}"

    async def question(self, path: str, question: Question, *, patience: float | None = None) -> Any:
        """The JSON that answers parameters. Raises :class:`ClientError`.

        :param patience: see :meth:`ask`.
        """
        method, path, body = await self._put(path, question)
        answer = await self.ask(method, path, body, patience=patience)
        self.check(answer)
        return answer.json

    async def stream(
        self,
        path: str,
        question: Question,
        take: Callable[[bytes], None],
        *,
        headers: Mapping[str, str] | None = None,
        patience: float | None = None,
    ) -> None:
        """Give the body of an answer on as it comes; what ``take`` raises ends it.

        Raises :class:`Refused` for an answer that is an error, :class:`Vanished` for one that breaks off,
        and other :class:`ClientError` as :meth:`ask`.

        :param patience: seconds of silence after which it is taken to be broken off.
        """
        method, path, body = await self._put(path, question)
        response = await self._in_time(self._request(method, path, body, None, self._headers(headers)))
        if response.code != 200:
            answer = await self._in_time(_whole(response))
            self._check_admittance(answer)
            self.check(answer)
        await _Body(self._clock, take, patience or self._timeout).of(response)

    async def _put(self, path: str, question: Question) -> tuple[str, str, bytes | None]:
        """Method, path and body of the request with these parameters."""
        query = urlencode(question, quote_via=quote)
        if len(query) <= _LONGEST_QUERY:
            return "GET", f"{path}?{query}" if query else path, None
        await self.must_answer_queries()
        lists: dict[str, list[str]] = {}
        for name, value in question:
            lists.setdefault(name, []).append(value)
        return "POST", path, json.dumps(lists).encode()

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
        for cause in causes(error):
            if isinstance(cause, VerificationError):
                return Unreachable(
                    f"TLS: the certificate of {self.url} is another's, not that of its host name"
                )
            if isinstance(cause, SSL.Error):
                return Unreachable(f"TLS: {tls_reason(cause)} ({self.url})")
            if isinstance(cause, ConnectionRefusedError):
                return Unreachable(f"nothing listens at {self.url}: connection refused")
            if isinstance(cause, (DNSLookupError, ConnectBindError)):
                return Unreachable(f"the host of {self.url} is not known")
            if isinstance(cause, TimeoutError):
                return Unreachable(f"no connection to {self.url} within the time: check address and firewall")
            if isinstance(cause, ConnectError):
                return Unreachable(f"cannot connect to {self.url}: {words_of(cause)}")
            if isinstance(cause, (ConnectionClosed, CancelledError)):
                return Vanished(f"{self.url} closed the connection without an answer")
        if isinstance(error, ResponseFailed):
            return Vanished(f"what listens at {self.url} does not speak HTTP: {_NOT_REST}")
        return Vanished(f"the request to {self.url} failed: {error!r}")


async def _answer_of(asking: Coroutine[Any, Any, Any]) -> Answer:
    return await _whole(await asking)


async def _whole(response: Any) -> Answer:
    names = {
        name.decode("latin-1").lower(): values[0].decode("latin-1")
        for name, values in response.headers.getAllRawHeaders()
    }
    return Answer(response.code, names, await response.content())


class _Body(Protocol):
    """Gives the bytes of a body on.

    :param patience: seconds of silence after which it is taken to be broken off.
    """

    def __init__(self, clock: Any, take: Callable[[bytes], None], patience: float) -> None:
        self._clock = clock
        self._take = take
        self._patience = patience
        self._error: Exception | None = None
        self._ended: Deferred[None] = Deferred(lambda _: self._stop())

    async def of(self, response: Any) -> None:
        """Wait for its end."""
        # Where the output is a pager, this process may stand still for hours: silence is counted from when
        # it goes on.
        self._heard = self._clock.seconds()
        watching = LoopingCall(self._watch)
        watching.clock = self._clock
        watching.start(min(1.0, self._patience), now=False)
        response.deliverBody(self)
        try:
            await self._ended
        finally:
            watching.stop()

    def dataReceived(self, data: bytes) -> None:
        """See :class:`Protocol`."""
        if self._error is not None:
            return
        try:
            self._take(data)
        except Exception as error:
            self._error = error
            self._stop()
        self._heard = self._clock.seconds()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See :class:`Protocol`."""
        if self._error is None and not reason.check(ResponseDone, PotentialDataLoss):
            self._error = Vanished("the answer broke off")
        if self._ended.called:
            return
        if self._error is not None:
            self._ended.errback(self._error)
        else:
            self._ended.callback(None)

    def _watch(self) -> None:
        if self._clock.seconds() - self._heard >= self._patience and self._error is None:
            self._error = Vanished(f"nothing came for {self._patience:g} s")
            self._stop()

    def _stop(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.stopProducing()


def connect(options: ServerOptions, reactor: Any, environ: Mapping[str, str] | None = None) -> Server:
    """The server that the options name. Raises :class:`ClientError` if they cannot be used."""
    found = target(
        os.environ if environ is None else environ,
        url=options["url"],
        context=options["context"],
        token_file=options["token-file"],
        ca=options["ca"],
    )
    for warning in found.warnings:
        print(f"ccstore {options.command}: warning: {warning}", file=sys.stderr)
    # No connection is kept: one that was idle could be closed just when lines are sent over it.
    pool = HTTPConnectionPool(reactor, persistent=False)
    # Shorter than the timeout of the request, so that a connection that fails is known to have sent nothing.
    connect_timeout = min(10.0, 0.9 * options.timeout)
    trust = policy(found.ca, options["cert"], options["key"])
    agent = Agent(reactor, trust, connectTimeout=connect_timeout, pool=pool)
    http = treq.client.HTTPClient(agent)
    return Server(http, reactor, found.url, token=found.token, timeout=options.timeout)
