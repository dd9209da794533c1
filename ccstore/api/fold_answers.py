"""Answers that fold messages: those that are equal but for numbers, names and addresses."""

from __future__ import annotations

from typing import Final

from twisted.web.iweb import IRequest

from ccstore.api.exchange import Exchange
from ccstore.api.selecting import Selecting
from ccstore.api.stepping import step_of
from ccstore.insight.fold_study import ORDERS, FoldInquiry
from ccstore.reading.notices import notice_of
from ccstore.timing import SECOND
from ccstore.web import json_pieces, stream

#: What is looked at if nobody says since when.
_DAY: Final = 86400 * SECOND
#: Points of a spark line.
_BUCKETS: Final = 48
_LIMIT: Final = 100
_MOST: Final = 20_000


class FoldAnswers:
    """Templates of messages."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def fold(self, request: IRequest) -> bytes:
        """The templates of a selection, with counts, hosts and times."""
        exchange = self._exchange
        parameters = exchange.parameters(request, ("step", "buckets", "order", "limit"))
        selection = Selecting(parameters).selection(begin=exchange.now() - _DAY)
        step = step_of(parameters, selection, exchange.now(), _BUCKETS)
        order = parameters.choice("order", tuple(ORDERS), "count")
        limit = parameters.number("limit", _LIMIT, least=1, most=_MOST)
        parameters.check()
        found = await exchange.asked(exchange.service.insight(FoldInquiry(selection, step, order, limit)))
        notice = None
        if not found["total"]:
            notice = await exchange.asked(notice_of(selection, exchange.service, exchange.turn))
        return await stream(request, json_pieces({**found, "notice": notice}), turn=exchange.turn)
