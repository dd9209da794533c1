"""The routes below ``/api/v1/``: what can be asked of the store."""

from __future__ import annotations

from klein import Klein
from twisted.logger import Logger
from twisted.web.iweb import IRequest

from ccstore.accounting.figures import Figures, gauge
from ccstore.api.count_answers import CountAnswers
from ccstore.api.exchange import Exchange
from ccstore.api.failures import answer_failures
from ccstore.api.fold_answers import FoldAnswers
from ccstore.api.insight_answers import InsightAnswers
from ccstore.api.keeping_answers import KeepingAnswers
from ccstore.api.message_answers import MessageAnswers
from ccstore.api.sender_answers import SenderAnswers
from ccstore.api.store_answers import Insight, StoreAnswers
from ccstore.api.tail_answers import TailAnswers
from ccstore.message import STORED_KINDS
from ccstore.reading.following import Following

_BOTH = ["GET", "POST"]


class ReadingRoutes:
    """Which answer belongs to which path, each with and without the last slash.

    Klein calls a method for each of them: it has as many as there are paths, and is better read whole.
    """

    app = Klein()
    log = Logger()

    def __init__(
        self, exchange: Exchange, following: Following, insight: Insight, keeping: KeepingAnswers
    ) -> None:
        self._keeping = keeping
        self._bounds = exchange.bounds
        self._messages = MessageAnswers(exchange)
        self._counts = CountAnswers(exchange)
        self._folds = FoldAnswers(exchange)
        self._insight = InsightAnswers(exchange)
        self._tails = TailAnswers(exchange, following)
        self._store = StoreAnswers(exchange, insight)
        self._senders = SenderAnswers(exchange, insight.senders, insight.samples)

    def figures(self) -> Figures:
        """Figures for the statistics."""
        return Figures(
            exports=gauge(self._bounds.exports.taken, "Answers of any length that are being sent."),
            tails=gauge(self._tails.following, "Clients that follow what is stored."),
        )

    @app.route("/messages", methods=_BOTH)
    @app.route("/messages/", methods=_BOTH)
    async def messages(self, request: IRequest) -> bytes:
        """Events and logs."""
        return await self._messages.messages(request, STORED_KINDS)

    @app.route("/events", methods=_BOTH)
    @app.route("/events/", methods=_BOTH)
    async def events(self, request: IRequest) -> bytes:
        """Events."""
        return await self._messages.messages(request, ("event",))

    @app.route("/logs", methods=_BOTH)
    @app.route("/logs/", methods=_BOTH)
    async def logs(self, request: IRequest) -> bytes:
        """Logs."""
        return await self._messages.messages(request, ("log",))

    @app.route("/messages/<number>", methods=["GET"])
    @app.route("/messages/<number>/", methods=["GET"])
    async def message(self, request: IRequest, number: str) -> bytes:
        """One message."""
        return await self._messages.message(request, number)

    @app.route("/messages/<number>/context", methods=_BOTH)
    @app.route("/messages/<number>/context/", methods=_BOTH)
    async def context(self, request: IRequest, number: str) -> bytes:
        """The messages around one."""
        return await self._messages.context(request, number)

    @app.route("/tail", methods=_BOTH)
    @app.route("/tail/", methods=_BOTH)
    async def tail(self, request: IRequest) -> bytes:
        """Messages as they come."""
        return await self._tails.tail(request)

    @app.route("/histogram", methods=_BOTH)
    @app.route("/histogram/", methods=_BOTH)
    async def histogram(self, request: IRequest) -> bytes:
        """Counts by time."""
        return await self._counts.histogram(request)

    @app.route("/labels", methods=_BOTH)
    @app.route("/labels/", methods=_BOTH)
    async def labels(self, request: IRequest) -> bytes:
        """Labels."""
        return await self._counts.labels(request)

    @app.route("/values/<label>", methods=_BOTH)
    @app.route("/values/<label>/", methods=_BOTH)
    async def values(self, request: IRequest, label: str) -> bytes:
        """Values of a label."""
        return await self._counts.values(request, label)

    @app.route("/streams", methods=_BOTH)
    @app.route("/streams/", methods=_BOTH)
    async def streams(self, request: IRequest) -> bytes:
        """Streams."""
        return await self._counts.streams(request)

    @app.route("/clusters", methods=_BOTH)
    @app.route("/clusters/", methods=_BOTH)
    async def clusters(self, request: IRequest) -> bytes:
        """Clusters."""
        return await self._counts.clusters(request)

    @app.route("/fold", methods=_BOTH)
    @app.route("/fold/", methods=_BOTH)
    async def fold(self, request: IRequest) -> bytes:
        """Templates of messages."""
        return await self._folds.fold(request)

    @app.route("/jobs/<cluster>/<job>", methods=_BOTH)
    @app.route("/jobs/<cluster>/<job>/", methods=_BOTH)
    async def job(self, request: IRequest, cluster: str, job: str) -> bytes:
        """What happened in a job."""
        return await self._insight.job(request, cluster, job)

    @app.route("/nodes/<cluster>/<host>", methods=_BOTH)
    @app.route("/nodes/<cluster>/<host>/", methods=_BOTH)
    async def node(self, request: IRequest, cluster: str, host: str) -> bytes:
        """What there is to know of a node."""
        return await self._insight.node(request, cluster, host)

    @app.route("/before", methods=_BOTH)
    @app.route("/before/", methods=_BOTH)
    async def before(self, request: IRequest) -> bytes:
        """What came before some messages."""
        return await self._insight.before(request)

    @app.route("/cause", methods=_BOTH)
    @app.route("/cause/", methods=_BOTH)
    async def cause(self, request: IRequest) -> bytes:
        """What the hosts of a burst have in common."""
        return await self._insight.cause(request)

    @app.route("/holds", methods=["GET"])
    @app.route("/holds/", methods=["GET"])
    async def holds(self, request: IRequest) -> bytes:
        """What is held."""
        return await self._keeping.holds(request)

    @app.route("/holds", methods=["POST"])
    @app.route("/holds/", methods=["POST"])
    async def hold(self, request: IRequest) -> bytes:
        """Hold messages."""
        return await self._keeping.hold(request)

    @app.route("/holds/<number>", methods=["DELETE"])
    @app.route("/holds/<number>/", methods=["DELETE"])
    async def release(self, request: IRequest, number: str) -> bytes:
        """End a hold."""
        return await self._keeping.release(request, number)

    @app.route("/retention", methods=["GET"])
    @app.route("/retention/", methods=["GET"])
    async def retention(self, request: IRequest) -> bytes:
        """What is deleted next."""
        return await self._keeping.retention(request)

    @app.route("/senders", methods=_BOTH)
    @app.route("/senders/", methods=_BOTH)
    async def senders(self, request: IRequest) -> bytes:
        """Who sends."""
        return await self._senders.senders(request)

    @app.route("/store", methods=["GET"])
    @app.route("/store/", methods=["GET"])
    async def store(self, request: IRequest) -> bytes:
        """The store itself."""
        return await self._store.store(request)

    @app.route("/store/history", methods=["GET"])
    @app.route("/store/history/", methods=["GET"])
    async def store_history(self, request: IRequest) -> bytes:
        """The last hour of the store."""
        return await self._store.history(request)


answer_failures(ReadingRoutes.app)
