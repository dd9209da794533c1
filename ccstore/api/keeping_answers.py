"""Answers about what is kept: holds, and what is deleted next."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.logger import Logger
from twisted.web.iweb import IRequest

from ccstore.api.exchange import Exchange
from ccstore.api.parameters import LABELS, Parameters, given_in
from ccstore.api.selecting import Selecting
from ccstore.instants import show_moment
from ccstore.interfaces import IMessageStore
from ccstore.keeping import Hold, Kept, Leaving, RuleReport, is_of_streams, shown
from ccstore.message import INT64_MAX, INT64_MIN
from ccstore.network.listening import address_of
from ccstore.query import TAG_PREFIX
from ccstore.timing import SECOND
from ccstore.web import WebError, json_pieces, stream

#: Characters of a reason, and of a name.
_LONGEST: Final = 1000


class KeepingAnswers:
    """Holds messages, releases them, and tells what is held and what is deleted next.

    :param check_write: raises :class:`WebError` unless a request may change something.
    """

    log = Logger()

    def __init__(
        self, exchange: Exchange, store: IMessageStore, check_write: Callable[[IRequest], None]
    ) -> None:
        self._exchange = exchange
        self._store = store
        self._check_write = check_write

    async def holds(self, request: IRequest) -> bytes:
        """All holds."""
        kept = await self._kept(with_rules=False)
        return await self._answer(request, {"holds": [*map(_hold, kept.holds)]})

    async def _kept(self, *, with_rules: bool) -> Kept:
        timeout = self._exchange.service.timeout
        kept: Kept = await self._exchange.asked(
            self._store.answers.keeping(with_rules=with_rules, timeout=timeout)
        )
        return kept

    async def hold(self, request: IRequest) -> bytes:
        """Hold messages until they are released."""
        self._check_write(request)
        parameters = self._exchange.parameters(request, ("reason", "who"), choosing=(*LABELS, "from", "to"))
        chosen = Selecting(parameters).selection(("event", "log"))
        if any(name.startswith((TAG_PREFIX, "text", "regex")) for name in parameters.unknown):
            parameters.problems.append("a hold is for all messages of some streams and times")
        words = {name: parameters.one(name, _words, "") for name in ("reason", "who")}
        if not words["reason"]:
            parameters.problems.append(
                "reason: expected why they are held, such as reason=ticket 4711, got none"
            )
        match = {name: parameters.all(name) for name in parameters.names if name not in ("reason", "who")}
        # Whoever reads it later does not know what -1h was, nor what nanoseconds are.
        for name, time in (("from", chosen.begin), ("to", chosen.end)):
            if name in match:
                match[name] = [show_moment(time)]
        if not match:
            parameters.problems.append(
                "host: expected at least one of cluster, host, name, kind, from and to, got nothing: "
                "everything would be held"
            )
        parameters.check()
        assert is_of_streams(chosen)
        who = words["who"] or address_of(request.getClientAddress())
        hold = Hold(chosen, shown(match), words["reason"], who, self._exchange.now())
        number = await self._exchange.asked(self._store.holding.hold(hold))
        return await self._answer(request, {"id": number})

    async def release(self, request: IRequest, number: str) -> bytes:
        """End a hold."""
        self._check_write(request)
        # There need be no body: it may not even say that there is none.
        parameters = Parameters(given_in(request, b""), self._exchange.now(), ("who",), choosing=())
        who = parameters.one("who", _words, "") or address_of(request.getClientAddress())
        parameters.check()
        if not re.fullmatch(r"[0-9]{1,18}", number):
            raise WebError(404, f"there is no hold {number[:40]!r}: see /api/v1/holds")
        if not await self._exchange.asked(self._store.holding.release(int(number), who)):
            raise WebError(404, f"there is no hold {number}: see /api/v1/holds")
        return await self._answer(request, {"id": int(number)})

    async def retention(self, request: IRequest) -> bytes:
        """What is deleted next, by rule."""
        self._exchange.parameters(request, choosing=()).check()
        service = self._exchange.service
        kept = await self._kept(with_rules=True)
        holdings = await self._exchange.asked(service.holdings(timeout=service.timeout))
        rows = sum(each.rows or 0 for each in holdings.kinds)
        of_a_row = service.size() / rows if rows else 0.0
        answer = {
            "time": show_moment(self._exchange.now()),
            "rules": [report_as_json(report, of_a_row) for report in kept.reports],
            "holds": [*map(_hold, kept.holds)],
        }
        return await self._answer(request, answer)

    async def _answer(self, request: IRequest, answer: Mapping[str, Any]) -> bytes:
        return await stream(request, json_pieces(answer), turn=self._exchange.turn)


def report_as_json(report: RuleReport, of_a_row: float) -> dict[str, object]:
    """What is deleted by a rule.

    :param of_a_row: bytes that a message takes, about.
    """
    return {
        "match": [*report.matches],
        "kind": report.kind,
        "period": report.period / SECOND,
        "now": _leaving(report.now, of_a_row),
        "within_a_day": _leaving(report.within_a_day, of_a_row),
    }


def _leaving(leaving: Leaving, of_a_row: float) -> dict[str, object]:
    return {
        "rows": leaving.rows,
        "bytes": round(leaving.rows * of_a_row),
        "held": leaving.held,
        "oldest": None if leaving.oldest is None else show_moment(leaving.oldest),
        "newest": None if leaving.newest is None else show_moment(leaving.newest),
    }


def _hold(hold: Hold) -> dict[str, object]:
    begin, end = hold.span
    return {
        "id": hold.id,
        "match": hold.match,
        "from": None if begin == INT64_MIN else show_moment(begin),
        "to": None if end == INT64_MAX else show_moment(end + 1),
        "reason": hold.reason,
        "who": hold.who,
        "created": show_moment(hold.created_at),
    }


def _words(value: str) -> str:
    """A text of people's."""
    if len(value) > _LONGEST or not value.isprintable():
        raise ValueError(f"expected at most {_LONGEST} printable characters, got {value[:40]!r}")
    return value.strip()
