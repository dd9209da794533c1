"""Answers that fold messages: those that are equal but for numbers, names and addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from attrs import evolve
from twisted.web.iweb import IRequest

from ccstore.api.exchange import Exchange
from ccstore.api.parameters import Parameters
from ccstore.api.selecting import Selecting
from ccstore.api.stepping import step_of
from ccstore.insight.fold_study import ORDERS, FoldInquiry
from ccstore.insight.new_study import PLACES, NewInquiry
from ccstore.insight.study import Inquiry
from ccstore.reading.notices import notice_of, notice_of_losses
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
        parameters = exchange.parameters(request, ("step", "buckets", "order", "limit", "new", "since"))
        selection = Selecting(parameters).selection(begin=exchange.now() - _DAY)
        place = self._place(parameters)
        if place is not None and parameters.is_given("since"):
            since, _ = Selecting(parameters).span(selection.begin, "since")
            is_given = parameters.is_given("from")
            selection = evolve(selection, begin=max(since, selection.begin) if is_given else since)
        step = step_of(parameters, selection, exchange.now(), _BUCKETS)
        order = parameters.choice("order", tuple(ORDERS), "count" if place is None else "first")
        limit = parameters.number("limit", _LIMIT, least=1, most=_MOST)
        parameters.check()
        inquiry: Inquiry[Mapping[str, Any]] = FoldInquiry(selection, step, order, limit)
        if place is not None:
            inquiry = NewInquiry(selection, place, step, order, limit)
        studied = await exchange.asked(exchange.service.insight(inquiry))
        found, notice = studied.found, notice_of_losses(studied.losses)
        if not found["total"] and notice is None:
            notice = await exchange.asked(notice_of(selection, exchange.service, exchange.turn))
        return await stream(request, json_pieces({**found, "notice": notice}), turn=exchange.turn)

    def _place(self, parameters: Parameters) -> Literal["store", "host"] | None:
        """Where templates have to be new; None if they need not be."""
        if parameters.is_given("new"):
            return "host" if parameters.choice("new", PLACES, "store") == "host" else "store"
        if parameters.is_given("since"):
            parameters.wrong("since", "new=store or new=host beside it, or from", "neither")
        return None
