"""What all answers of the Loki API are made with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar, cast
from urllib.parse import parse_qsl

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IRequest

from ccstore.config import ApiConfig
from ccstore.insight.study import Inquiry
from ccstore.loki.asked_times import Given
from ccstore.loki.loki_limits import Budget, LokiLimits
from ccstore.query import Counting, Counts, Page, Selection
from ccstore.reading.notices import notice_of
from ccstore.reading.query_service import QueryService
from ccstore.timing import nanoseconds
from ccstore.web import WebError, answered, body_of, json_pieces, stream
from ccstore.web.places import AnswerBounds

_T = TypeVar("_T")

#: Selections of a query that found nothing of which it is looked up why.
_EXPLAINED: Final = 4


class LokiDesk:
    """The way from a request of a client of Loki to the store and back.

    :param turn: fires when there is time to make a piece of an answer, see :meth:`Scheduler.turn`.
    :ivar bounds: of all answers of the port.
    :ivar config: the configuration that holds at the moment.
    """

    def __init__(
        self,
        config: ApiConfig,
        service: QueryService,
        clock: IReactorTime,
        turn: Callable[[], Deferred[None]],
        bounds: AnswerBounds,
        limits: LokiLimits,
    ) -> None:
        self.config = config
        self.limits = limits
        self.bounds = bounds
        self._service = service
        self._clock = clock
        self._turn = turn
        self._looking = DeferredSemaphore(limits.looking)

    def reconfigure(self, config: ApiConfig) -> None:
        """Go on with another configuration."""
        self.config = config
        self._service.timeout = config.query_timeout

    def given(self, request: IRequest) -> Given:
        """The parameters of a request, in its URL and in a form; raises :class:`WebError`."""
        found: dict[str, list[str]] = {}
        with body_of(request, self.config.max_body) as body:
            arguments: Mapping[bytes, Sequence[bytes]] = cast(Any, request).args or {}
            try:
                for key, values in arguments.items():
                    found.setdefault(key.decode(), []).extend(value.decode() for value in values)
                for name, value in parse_qsl(body.decode(), keep_blank_values=True, errors="strict"):
                    found.setdefault(name, []).append(value)
            except (UnicodeDecodeError, ValueError):
                raise WebError(400, "expected parameters in the URL or as a form in UTF-8") from None
        return Given(found, nanoseconds(self._clock.seconds()))

    def budget(self) -> Budget:
        """What a question may take from now on."""
        return Budget(self.limits, self.config.query_timeout, self._clock, self._turn)

    @asynccontextmanager
    async def looking(self, budget: Budget) -> AsyncIterator[None]:
        """``async with`` a turn to look at lines one by one, of which few questions have one at a time."""
        await self._looking.acquire()
        try:
            budget.restart()
            yield
        finally:
            self._looking.release()

    async def breathe(self) -> None:
        """Let others have their turn."""
        await self._turn()

    async def page(self, selection: Selection, max_rows: int) -> Page:
        """The first page of a selection; raises :class:`WebError`."""
        question = self._service.page(selection, max_rows=max_rows)
        return await answered(question, self.config.query_timeout)

    async def counts(self, counting: Counting) -> Counts:
        """How many messages there are; raises :class:`WebError`."""
        return await answered(self._service.counts(counting), self.config.query_timeout)

    async def insight(self, inquiry: Inquiry[_T]) -> _T:
        """What a study answers; raises :class:`WebError`."""
        studied = await answered(self._service.insight(inquiry), self.config.query_timeout)
        return studied.found

    async def explain(self, budget: Budget) -> None:
        """Warn of a cluster, host or name that there is not, which may be why nothing was found."""
        for selection in budget.selections[:_EXPLAINED]:
            asked = Deferred.fromCoroutine(notice_of(selection, self._service, self._turn))
            notice = await answered(asked, self.config.query_timeout)
            if notice is not None:
                budget.warn(notice)

    async def answer(self, request: IRequest, value: object, *, size: int = 0) -> bytes:
        """Answer with JSON.

        :param size: characters of what it holds.
        """
        with self.bounds.outgoing.hold(size):
            return await stream(request, json_pieces(value), turn=self._turn)
