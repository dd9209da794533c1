"""What all answers of the reading side are made with."""

from __future__ import annotations

import heapq
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import Any, Final, TypeVar
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IRequest

from ccstore.api.parameters import CHOOSING, Parameters, given_in
from ccstore.config import ApiConfig
from ccstore.pieces import text_pieces
from ccstore.query import Position
from ccstore.reading.query_service import Found, QueryService
from ccstore.timing import nanoseconds
from ccstore.web import WebError, answered, body_of, stream
from ccstore.web.places import AnswerBounds

_T = TypeVar("_T")

#: Values that are dealt with in one go, which takes a millisecond or two.
_AT_A_TIME: Final = 1000


class Exchange:
    """The way from a request to the store and back.

    :param turn: fires when there is time to make a piece of an answer, see :meth:`Scheduler.turn`.
    :ivar config: the configuration that holds at the moment.
    """

    def __init__(
        self,
        config: ApiConfig,
        service: QueryService,
        clock: IReactorTime,
        bounds: AnswerBounds,
        turn: Callable[[], Deferred[None]],
    ) -> None:
        self.config = config
        self.service = service
        self.bounds = bounds
        self.turn = turn
        self._clock = clock

    def reconfigure(self, config: ApiConfig) -> None:
        """Go on with another configuration."""
        self.config = config
        self.service.timeout = config.query_timeout

    def now(self) -> int:
        """The time in nanoseconds."""
        return nanoseconds(self._clock.seconds())

    def parameters(
        self, request: IRequest, more: Collection[str] = (), *, choosing: Collection[str] = CHOOSING
    ) -> Parameters:
        """The parameters of a request.

        :param more: names of those of the call, besides those that choose messages.
        :param choosing: names of these, if not all of them choose something here.
        """
        if b"\0" in unquote_to_bytes(request.path):
            # Not every database takes such a text, and none has it.
            raise WebError(404, "there is nothing with a NUL in its name")
        with body_of(request, self.config.max_body) as body:
            given = given_in(request, body)
        return Parameters(given, self.now(), more, choosing=choosing)

    async def asked(self, question: Awaitable[_T]) -> _T:
        """The answer of the store, whose errors become those of the request."""
        return await answered(question, self.config.query_timeout)

    async def message(self, number: str) -> Found:
        """The message with this id; raises :class:`WebError` 404 if there is none."""
        try:
            position = Position.decode(number)
        except ValueError:
            raise WebError(404, f"{number[:60]!r} is no id of a message") from None
        found = await self.asked(self.service.message(position))
        if found is None:
            raise WebError(404, "this message is not, or no longer, in the store")
        return found

    async def in_turns(self, values: Iterable[_T]) -> AsyncGenerator[_T, None]:
        """The same values, with time for others between some of them."""
        left = 0
        for value in values:
            if not left:
                await self.turn()
                left = _AT_A_TIME
            left -= 1
            yield value

    async def ranked(self, values: Iterable[_T], key: Callable[[_T], Any]) -> Iterator[_T]:
        """The same values in order; with time for others while they are put in order."""
        left = iter(values)
        parts = []
        while part := [*islice(left, _AT_A_TIME)]:
            await self.turn()
            parts.append(sorted(part, key=key))
        return heapq.merge(*parts, key=key)

    async def answer(self, request: IRequest, parts: Iterable[str]) -> bytes:
        """Answer with JSON, of which these are the parts."""
        return await stream(request, text_pieces(parts), turn=self.turn)
