"""The routes of the Loki API: those below ``/loki`` and ``/prometheus``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from klein import Klein
from klein.resource import KleinResource
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from werkzeug.exceptions import HTTPException

from ccstore.config import ApiConfig
from ccstore.interfaces import IAnswers
from ccstore.loki.answering_loki import LokiDesk
from ccstore.loki.field_answers import FieldAnswers
from ccstore.loki.fixed_answers import BUILD, NO_ALERTS, NO_PATTERNS, NO_RULES, drilldown_limits
from ccstore.loki.label_answers import LabelAnswers
from ccstore.loki.loki_limits import LokiLimits
from ccstore.loki.query_answers import QueryAnswers
from ccstore.loki.syntax import LogQLError
from ccstore.loki.volume_answers import VolumeAnswers
from ccstore.reading.query_service import QueryService
from ccstore.web import WebError, answer, internal_error

_BOTH = ["GET", "POST"]


class LokiRoutes:
    """Which answer belongs to which path.

    Klein calls a method for each route, so that it has as many as the interface has.

    :param answers: the store, for those who ask.
    :param turn: fires when there is time to make a piece of an answer, see :meth:`Scheduler.turn`.
    """

    app = Klein()
    log = Logger()

    def __init__(
        self,
        config: ApiConfig,
        answers: IAnswers,
        clock: IReactorTime,
        turn: Callable[[], Deferred[None]],
        limits: LokiLimits | None = None,
    ) -> None:
        service = QueryService(answers, timeout=config.query_timeout)
        self._desk = LokiDesk(config, service, clock, turn, limits or LokiLimits())
        self._queries = QueryAnswers(self._desk)
        self._labels = LabelAnswers(self._desk)
        self._volumes = VolumeAnswers(self._desk)
        self._fields = FieldAnswers(self._desk)

    def reconfigure(self, config: ApiConfig) -> None:
        """Go on with another configuration."""
        self._desk.reconfigure(config)

    def resource(self) -> IResource:
        """Serves the routes."""
        made: IResource = KleinResource(self.app)
        return made

    @app.route("/api/v1/query_range", methods=_BOTH)
    async def query_range(self, request: IRequest) -> bytes:
        """A query over a time."""
        return await self._queries.range(request)

    @app.route("/api/v1/query", methods=_BOTH)
    async def query(self, request: IRequest) -> bytes:
        """A query at a moment."""
        return await self._queries.instant(request)

    @app.route("/api/v1/format_query", methods=_BOTH)
    async def format_query(self, request: IRequest) -> bytes:
        """A query as it is best written."""
        return await self._queries.formatted(request)

    @app.route("/api/v1/labels", methods=_BOTH)
    @app.route("/api/v1/label", methods=_BOTH)
    async def labels(self, request: IRequest) -> bytes:
        """Labels of streams."""
        return await self._labels.labels(request)

    @app.route("/api/v1/label/<name>/values", methods=_BOTH)
    async def values(self, request: IRequest, name: str) -> bytes:
        """Values of a label."""
        return await self._labels.values(request, name)

    @app.route("/api/v1/series", methods=_BOTH)
    async def series(self, request: IRequest) -> bytes:
        """Streams."""
        return await self._labels.series(request)

    @app.route("/api/v1/detected_labels", methods=_BOTH)
    async def detected_labels(self, request: IRequest) -> bytes:
        """Labels of streams, with the number of their values."""
        return await self._labels.detected(request)

    @app.route("/api/v1/detected_fields", methods=_BOTH)
    async def detected_fields(self, request: IRequest) -> bytes:
        """Fields of lines."""
        return await self._fields.fields(request)

    @app.route("/api/v1/detected_field/<name>/values", methods=_BOTH)
    async def detected_values(self, request: IRequest, name: str) -> bytes:
        """Values of a field."""
        return await self._fields.values(request, name)

    @app.route("/api/v1/index/<what>", methods=_BOTH)
    async def index(self, request: IRequest, what: str) -> bytes:
        """How much there is."""
        calls = {
            "stats": self._volumes.stats,
            "volume": self._volumes.volume,
            "volume_range": self._volumes.volume_range,
        }
        if what not in calls:
            raise WebError(404, f"nothing here, there are index/{', index/'.join(calls)}")
        return await calls[what](request)

    @app.route("/api/v1/<what>", methods=_BOTH)
    @app.route("/api/v1/status/<what>", methods=_BOTH)
    async def fixed(self, request: IRequest, what: str) -> bytes:
        """What is answered alike to everybody."""
        self._desk.given(request)
        fixed = {
            "buildinfo": BUILD,
            "drilldown-limits": drilldown_limits(self._desk.config, self._desk.limits),
            "patterns": NO_PATTERNS,
            "rules": NO_RULES,
            "alerts": NO_ALERTS,
        }
        if what not in fixed:
            raise WebError(404, f"{what[:40]!r} is not there: docs/loki.md tells what is")
        return await self._desk.answer(request, fixed[what])


def _plain(request: IRequest, error: WebError) -> bytes:
    """An error as Loki tells it: a line of text."""
    body = answer(request, error.status, f"{error.text}\n".encode(errors="replace"), error.headers)
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    return body


def _web_error(routes: Any, request: IRequest, failure: Failure) -> bytes:
    error = failure.value
    assert isinstance(error, WebError)
    return _plain(request, error)


def _query_error(routes: Any, request: IRequest, failure: Failure) -> bytes:
    return _plain(request, WebError(400, str(failure.value)))


def _routing_error(routes: Any, request: IRequest, failure: Failure) -> bytes:
    error: Any = failure.value
    status = error.code if error.code in (404, 405) else 404
    return _plain(request, WebError(status, "nothing here: docs/loki.md tells what there is"))


def _unexpected_error(routes: Any, request: IRequest, failure: Failure) -> bytes:
    return _plain(request, internal_error(routes.log, failure, request))


for _kind, _handler in (
    (WebError, _web_error),
    (LogQLError, _query_error),
    (HTTPException, _routing_error),
    (Exception, _unexpected_error),
):
    LokiRoutes.app.handle_errors(_kind)(cast(Any, _handler))
