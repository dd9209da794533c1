"""The routes of the REST interface."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from functools import wraps
from itertools import islice
from typing import Any, Concatenate, ParamSpec, Protocol, cast

from klein import Klein
from klein.resource import KleinResource
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from werkzeug.exceptions import HTTPException

from ccstore.accounting.figures import Figures
from ccstore.accounting.history import History
from ccstore.api.auth import Access, Gate
from ccstore.api.documents import SWAGGER_POLICY, openapi_document, swagger_file
from ccstore.api.exchange import Exchange
from ccstore.api.failures import answer_failures
from ccstore.api.home import POLICY, Home
from ccstore.api.keeping_answers import KeepingAnswers
from ccstore.api.metrics import CONTENT_TYPE, render
from ccstore.api.queries import parse_request
from ccstore.api.reading_routes import ReadingRoutes
from ccstore.api.store_answers import Insight
from ccstore.config import ApiConfig
from ccstore.interfaces import IMessageStore
from ccstore.lineprotocol import NANOSECONDS, Precision
from ccstore.network.listening import address_of
from ccstore.pieces import text_pieces
from ccstore.pipeline.intake import Intake
from ccstore.query import Page
from ccstore.reading.feed import Feed
from ccstore.reading.following import KEEP_ALIVE, Following
from ccstore.reading.query_service import QueryService
from ccstore.senders.sender_watch import SenderWatch
from ccstore.web import (
    JSON,
    WebError,
    answer,
    answered,
    argument,
    body_of,
    bytes_pieces,
    header,
    json_pieces,
    later,
    stream,
    to_json,
)
from ccstore.web.cross_origin import let_in
from ccstore.web.places import AnswerBounds
from ccstore.web.write import write_body

#: Rows whose texts are measured in one go.
_COUNTED = 5000
_P = ParamSpec("_P")
_Handler = Callable[Concatenate["Api", IRequest, _P], Coroutine[Any, Any, bytes]]


def _authorized(handler: _Handler[_P], access: Access = "read") -> _Handler[_P]:
    """A route that needs a token, where a key is configured."""

    @wraps(handler)
    async def checked(self: Api, request: IRequest, *args: _P.args, **kwargs: _P.kwargs) -> bytes:
        self.gate.check(request, access)
        return await handler(self, request, *args, **kwargs)

    return cast("_Handler[_P]", checked)


def _authorized_to_write(handler: _Handler[_P]) -> _Handler[_P]:
    """As :func:`_authorized`, for what changes anything."""
    return _authorized(handler, "write")


def _is_browser(request: IRequest) -> bool:
    return "text/html" in (header(request, "accept") or "")


class Loki(Protocol):
    """The room that answers clients of Loki."""

    def reconfigure(self, config: ApiConfig) -> None:
        """Go on with another configuration."""

    def figures(self) -> Figures:
        """Figures for the statistics."""

    def resource(self) -> IResource:
        """Serves all that is read."""

    async def push(self, request: IRequest) -> bytes:
        """Store what a client pushes."""


class Api:
    """The REST interface; :class:`ApiResource` serves it.

    Klein calls a method for each route and for each kind of error, all with what this class holds: so it has
    as many methods as the interface has routes, and is better read whole.

    :param intake: takes the lines that are written.
    :param store: answers queries.
    :param clock: tells the time, for queries and tokens.
    :param figures: gives what ``/api/stats`` has besides the store's own.
    :param samples: gives what ``/api/samples`` has.
    :param history: the last hour of these figures.
    :param feed: tells of what is stored.
    :param page: what browsers get at ``/``, and its files below ``/page``.
    :param loki: what is below ``/loki`` and ``/prometheus``.
    :param bounds: of all answers, those of ``loki`` among them.
    :param senders: watches who sends.
    :param problems: gives what is the matter although messages are stored.
    :param keep_alive: see :class:`Following`.
    """

    app = Klein()
    log = Logger()

    def __init__(
        self,
        config: ApiConfig,
        intake: Intake,
        store: IMessageStore,
        clock: IReactorTime,
        figures: Callable[[], Mapping[str, object]],
        samples: Callable[[], Mapping[str, object]],
        history: History,
        feed: Feed,
        page: IResource,
        loki: Loki,
        bounds: AnswerBounds,
        senders: SenderWatch,
        problems: Callable[[], Sequence[str]] = lambda: (),
        keep_alive: float = KEEP_ALIVE,
    ) -> None:
        self._clock = clock
        self.intake = intake
        self._store = store
        self._figures = figures
        self._samples = samples
        self._page = page
        self._loki = loki
        self._problems = problems
        self._bounds = bounds
        service = QueryService(store.answers, timeout=config.query_timeout)
        self._exchange = Exchange(config, service, clock, bounds, intake.scheduler.turn)
        following = Following(service, feed, keep_alive=keep_alive)
        insight = Insight(self._all_figures, samples, store.unreadiness, problems, history, senders)
        keeping = KeepingAnswers(self._exchange, store, lambda request: self.gate.check(request, "write"))
        self._reading = ReadingRoutes(self._exchange, following, insight, keeping)
        self.reconfigure(config)

    def reconfigure(self, config: ApiConfig) -> None:
        """Go on with another configuration."""
        self.gate = Gate(config.jwt_public_key, self._clock, require_roles=config.require_roles)
        self._config = config
        self._exchange.reconfigure(config)
        self._bounds.reconfigure(config)
        self._loki.reconfigure(config)

    def figures(self) -> Figures:
        """Figures for the statistics."""
        return self._reading.figures() | self._loki.figures()

    @app.route("/", methods=["GET"])
    async def home(self, request: IRequest) -> bytes | IResource:
        """The page, for whoever opens the port in a browser; for others, what there is."""
        return self._page if _is_browser(request) else self._places(request, "")

    @app.route("/page", methods=["GET"], branch=True)
    def page(self, request: IRequest) -> IResource:
        """Files of the page."""
        return self._page

    @app.route("/api", methods=["GET"])
    @app.route("/api/", methods=["GET"])
    async def places(self, request: IRequest) -> bytes:
        """What there is, for everybody."""
        return self._places(request, "../" if request.path.endswith(b"/") else "")

    def _places(self, request: IRequest, root: str) -> bytes:
        config = self._config
        home = Home(root, has_swagger=config.enable_swagger_ui, wants_token=config.jwt_public_key is not None)
        body = answer(request, 200, home.html() if _is_browser(request) else home.text())
        kind = b"text/html" if _is_browser(request) else b"text/plain"
        request.setHeader(b"content-type", kind + b"; charset=utf-8")
        request.setHeader(b"content-security-policy", POLICY.encode())
        request.setHeader(b"vary", b"Accept")
        return body

    # Each with and without the last slash, and no redirect between them.

    @app.route("/api/write", methods=["POST"])
    @app.route("/api/write/", methods=["POST"])
    @_authorized_to_write
    async def write(self, request: IRequest) -> bytes:
        """Take line protocol."""
        cluster = argument(request, "cluster")
        precision = argument(request, "precision") or "auto"
        if precision not in NANOSECONDS:
            raise WebError(
                400, f"precision: expected one of {', '.join(NANOSECONDS)}, got {precision[:40]!r}"
            )
        # When the client goes away, Klein cancels the Deferred that it waits for. What came in is stored all
        # the same: so Klein waits for another one than that of the writing.
        written: Deferred[WebError | None] = Deferred()
        writing = self._store_body(request, cluster, cast(Precision, precision))
        Deferred.fromCoroutine(writing).chainDeferred(written)
        error = await written
        if error is not None:
            raise error
        return answer(request, 200, b"")

    async def _store_body(
        self, request: IRequest, cluster: str | None, precision: Precision
    ) -> WebError | None:
        sender = address_of(request.getClientAddress())
        try:
            with body_of(request, 2 * self._config.max_body) as body:
                await write_body(self.intake, body, sender, cluster, precision)
        except WebError as error:
            # The traceback holds this frame and so the body, which would stay until a garbage collection.
            return error.with_traceback(None)
        return None

    @app.route("/api/query", methods=["GET", "POST"])
    @app.route("/api/query/", methods=["GET", "POST"])
    @_authorized
    async def query(self, request: IRequest) -> bytes:
        """Answer queries."""
        config = self._config
        with body_of(request, config.max_body) as body:
            asked = parse_request(body, max_queries=config.max_queries, now=int(self._clock.seconds()))
        question = self._store.answers.pages(
            asked.flat, max_rows=config.max_rows, timeout=config.query_timeout, with_tags=False
        )
        pages = await answered(question, config.query_timeout)
        with self._bounds.outgoing.hold(await self._size_of(pages)):
            return await self._stream(request, json_pieces(asked.answer(pages, config.max_rows)))

    @app.route("/api/v1", branch=True)
    def reading(self, request: IRequest) -> KleinResource | bytes:
        """Everything else that can be asked."""
        if let_in(request, self._config.limits.cors_origins):
            return answer(request, 204, b"")
        self.gate.check(request, "read")
        return KleinResource(self._reading.app)

    @app.route("/loki/api/v1/push", methods=["POST"])
    async def push(self, request: IRequest) -> bytes:
        """Take lines as Loki does."""
        self.gate.check(request, "write", allows_password=True)
        return await self._loki.push(request)

    @app.route("/loki", branch=True)
    @app.route("/prometheus", branch=True)
    def loki(self, request: IRequest) -> IResource:
        """What clients of Loki ask; they send their token as a password, too."""
        self.gate.check(request, "read", allows_password=True)
        return self._loki.resource()

    async def _size_of(self, pages: Sequence[Page]) -> int:
        """Characters of their texts."""
        sizes = (len(row.text) for page in pages for row in page.rows)
        size = 0
        while some := [*islice(sizes, _COUNTED)]:
            size += sum(some)
            if len(some) == _COUNTED:
                await self.intake.scheduler.turn()
        return size

    def _all_figures(self) -> Mapping[str, object]:
        return {**self._store.stats(), **self._figures()}

    def _stream(
        self, request: IRequest, pieces: Generator[bytes, None, None], content_type: bytes = JSON
    ) -> Coroutine[Any, Any, bytes]:
        return stream(request, pieces, turn=self.intake.scheduler.turn, content_type=content_type)

    @app.route("/api/stats", methods=["GET"])
    @app.route("/api/stats/", methods=["GET"])
    @_authorized
    async def stats(self, request: IRequest) -> bytes:
        """Counters and figures."""
        return await self._stream(request, json_pieces(self._all_figures()))

    @app.route("/api/samples", methods=["GET"])
    @app.route("/api/samples/", methods=["GET"])
    @_authorized
    async def samples(self, request: IRequest) -> bytes:
        """A few of the lines that were not stored, with their senders and reasons."""
        return await self._stream(request, json_pieces(self._samples()))

    @app.route("/metrics", methods=["GET"])
    @app.route("/metrics/", methods=["GET"])
    @_authorized
    async def metrics(self, request: IRequest) -> bytes:
        """The counters for Prometheus."""
        lines = render(self._all_figures())
        return await self._stream(request, text_pieces(lines), CONTENT_TYPE.encode())

    @app.route("/health", methods=["GET"])
    @app.route("/health/", methods=["GET"])
    async def health(self, request: IRequest) -> bytes:
        """Whether the daemon answers at all."""
        return answer(request, 200, to_json({"status": "ok"}))

    @app.route("/ready", methods=["GET"])
    @app.route("/ready/", methods=["GET"])
    async def ready(self, request: IRequest) -> bytes:
        """Whether writes can be stored."""
        reason = self._store.unreadiness()
        if reason is not None:
            raise later(f"cannot store: {reason}")
        problems = self._problems()
        return answer(request, 200, to_json({"status": "ok", **({"problems": problems} if problems else {})}))

    @app.route("/api/openapi.json", methods=["GET"])
    @app.route("/api/openapi.json/", methods=["GET"])
    async def openapi(self, request: IRequest) -> bytes:
        """The description of all this."""
        return await self._stream(request, json_pieces(openapi_document()))

    @app.route("/swagger", methods=["GET"])
    @app.route("/swagger/", methods=["GET"])
    @app.route("/swagger/<file>", methods=["GET"])
    async def swagger(self, request: IRequest, file: str = "index.html") -> bytes:
        """The description as a page in which it can be tried out."""
        if not self._config.enable_swagger_ui:
            raise WebError(404, "the Swagger UI is switched off: see enable_swagger_ui")
        found = swagger_file(file)
        if found is None:
            raise WebError(404, "nothing here")
        request.setHeader(b"content-security-policy", SWAGGER_POLICY.encode())
        return await self._stream(request, bytes_pieces(found.content), found.content_type.encode())


answer_failures(Api.app)


class ApiResource(KleinResource):
    """Serves the REST interface; answers what Klein cannot even route as all other errors are."""

    def __init__(self, api: Api) -> None:
        super().__init__(api.app)

    def render(self, request: IRequest) -> Any:
        """Answer a request."""
        given = cast(Any, request)
        try:
            b"".join([given.method, given.getRequestHostname(), *given.postpath]).decode()
            return super().render(request)
        except (UnicodeDecodeError, HTTPException):
            error = WebError(400, "the method, the path or the header Host cannot be read")
            return answer(request, error.status, error.body())
