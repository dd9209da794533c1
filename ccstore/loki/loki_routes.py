"""The routes of the Loki API: those below ``/loki`` and ``/prometheus``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from klein import Klein
from klein.resource import KleinResource
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from werkzeug.exceptions import HTTPException

from ccstore.accounting.figures import Figures, gauge
from ccstore.config import ApiConfig
from ccstore.interfaces import IAnswers
from ccstore.loki.answering_loki import LokiDesk
from ccstore.loki.field_answers import FieldAnswers
from ccstore.loki.fixed_answers import (
    BUILD,
    NO_ALERTS,
    NO_NAMESPACES,
    NO_RULES,
    drilldown_limits,
)
from ccstore.loki.label_answers import LabelAnswers
from ccstore.loki.live_answers import LiveAnswers
from ccstore.loki.loki_limits import LokiLimits
from ccstore.loki.pattern_answers import PatternAnswers
from ccstore.loki.push_answers import PushAnswers
from ccstore.loki.query_answers import QueryAnswers
from ccstore.loki.syntax import LogQLError
from ccstore.loki.volume_answers import VolumeAnswers
from ccstore.pipeline.intake import Intake
from ccstore.reading.feed import Feed
from ccstore.reading.following import KEEP_ALIVE, Following
from ccstore.reading.query_service import QueryService
from ccstore.web import WebError, answer, internal_error
from ccstore.web.places import AnswerBounds

_BOTH = ["GET", "POST"]
_Call = Callable[[IRequest], Awaitable[bytes]]
_CallOfName = Callable[[IRequest, str], Awaitable[bytes]]


class LokiRoutes:
    """Which answer belongs to which path.

    :param answers: the store, for those who ask.
    :param intake: takes the lines that are pushed.
    :param feed: tells of what is stored.
    :param bounds: of all answers of the port.
    :param keep_alive: see :class:`Following`.
    """

    app = Klein()
    log = Logger()

    def __init__(
        self,
        config: ApiConfig,
        answers: IAnswers,
        clock: IReactorTime,
        intake: Intake,
        feed: Feed,
        bounds: AnswerBounds,
        keep_alive: float = KEEP_ALIVE,
        limits: LokiLimits | None = None,
    ) -> None:
        service = QueryService(answers, timeout=config.query_timeout)
        self._desk = LokiDesk(config, service, clock, intake.scheduler.turn, bounds, limits or LokiLimits())
        self._push = PushAnswers(intake, 2 * config.max_body)
        self._live = LiveAnswers(self._desk, Following(service, feed, keep_alive=keep_alive))
        queries, labels = QueryAnswers(self._desk), LabelAnswers(self._desk)
        volumes, fields = VolumeAnswers(self._desk), FieldAnswers(self._desk)
        self._calls: Mapping[str, _Call] = {
            "query_range": queries.range,
            "query": queries.instant,
            "format_query": queries.formatted,
            "labels": labels.labels,
            "label": labels.labels,
            "series": labels.series,
            "detected_labels": labels.detected,
            "detected_fields": fields.fields,
            "patterns": PatternAnswers(self._desk).patterns,
            "index/stats": volumes.stats,
            "index/volume": volumes.volume,
            "index/volume_range": volumes.volume_range,
        }
        self._values: Mapping[str, _CallOfName] = {"label": labels.values, "detected_field": fields.values}

    def reconfigure(self, config: ApiConfig) -> None:
        """Go on with another configuration."""
        self._desk.reconfigure(config)
        self._push.max_body = 2 * config.max_body

    def figures(self) -> Figures:
        """Figures for the statistics."""
        return Figures(loki_tails=gauge(self._live.following, "Clients of Loki that follow what is stored."))

    def resource(self) -> IResource:
        """Serves all that is read."""
        made: IResource = KleinResource(self.app)
        return made

    async def push(self, request: IRequest) -> bytes:
        """Store what a client pushes."""
        try:
            return await self._push.push(request)
        except WebError as error:
            return _plain(request, error)

    @app.route("/api/v1/tail", methods=["GET"])
    async def tail(self, request: IRequest) -> bytes:
        """Lines as they come, over a WebSocket."""
        return await self._live.tail(request)

    @app.route("/api/v1/<path:what>", methods=_BOTH)
    async def call(self, request: IRequest, what: str) -> bytes:
        """What is asked by a name alone."""
        if what in self._calls:
            return await self._calls[what](request)
        self._desk.given(request)
        fixed = {
            "status/buildinfo": BUILD,
            "drilldown-limits": drilldown_limits(self._desk.config, self._desk.limits),
            "rules": NO_RULES if request.path.startswith(b"/prometheus") else NO_NAMESPACES,
            "alerts": NO_ALERTS,
        }
        if what not in fixed:
            raise WebError(404, f"{what[:40]!r} is not there: docs/loki.md tells what is")
        return await self._desk.answer(request, fixed[what])

    @app.route("/api/v1/<what>/<name>/values", methods=_BOTH)
    async def values(self, request: IRequest, what: str, name: str) -> bytes:
        """Values of a label or of a field."""
        if what not in self._values:
            raise WebError(404, f"values of {what[:40]!r} are not there: docs/loki.md tells what is")
        return await self._values[what](request, name)


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
