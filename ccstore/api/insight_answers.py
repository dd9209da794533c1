"""Answers that tell of jobs, of nodes, and of causes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from twisted.web.iweb import IRequest

from ccstore.api.exchange import Exchange
from ccstore.api.parameters import Parameters
from ccstore.api.selecting import Selecting
from ccstore.durations import parse_duration
from ccstore.insight.before_study import BeforeInquiry
from ccstore.insight.cause_study import CauseInquiry
from ccstore.insight.job_lookup import ID
from ccstore.insight.job_study import JobInquiry
from ccstore.insight.node_study import NodeInquiry
from ccstore.insight.occurrences import Target
from ccstore.insight.said import HOST
from ccstore.insight.study import Inquiry
from ccstore.instants import show_moment
from ccstore.masking import template_of
from ccstore.query import Matcher, Selection
from ccstore.reading.notices import notice_of, notice_of_losses
from ccstore.timing import SECOND, nanoseconds
from ccstore.web import WebError, json_pieces, stream

#: The name of a cluster that stands for any.
ANY: Final = "*"
_DAY: Final = 86400 * SECOND
#: How long a node is looked at, and messages before which something came, if nobody says since when.
_OF_NODE: Final = 3 * _DAY
_LOOKED_BACK: Final = 7 * _DAY
#: The windows of both, likewise.
_BEFORE: Final = 600 * SECOND
_BURST: Final = 300 * SECOND
#: What a burst is: all that is asked about, or where the most hosts are.
_BURSTS: Final = ("whole", "peak")


class InsightAnswers:
    """What only a store of events of HPC clusters can tell."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._service = exchange.service

    async def job(self, request: IRequest, cluster: str, job: str) -> bytes:
        """What happened in a job, and what of that was unusual."""
        parameters = self._exchange.parameters(request, ("start", "at", "all"), choosing=())
        inquiry = JobInquiry(
            None if cluster == ANY else cluster,
            job,
            self._exchange.now(),
            self._exchange.config.topology,
            start=parameters.moment("start", 0) if parameters.is_given("start") else None,
            at=parameters.moment("at", 0) if parameters.is_given("at") else None,
            shows_all=parameters.flag("all"),
        )
        parameters.check()
        if ID.fullmatch(job) is None:
            raise WebError(
                404, f"{job[:60]!r} is no id of a job: expected a number, or one such as 12_3 or 12+1"
            )
        found, losses = await self._asked(inquiry)
        if found["job"] is None:
            where = "" if cluster == ANY else f" of {cluster[:60]}"
            raise WebError(404, await self._no_job(cluster, f"job {job}{where}", found))
        return await self._answer(request, {**found, "notice": losses})

    async def _no_job(self, cluster: str, called: str, found: Mapping[str, Any]) -> str:
        if found["runs"]:
            runs = ", ".join(run["start"] for run in found["runs"])
            return f"{called} did not run then: its runs began at {runs}"
        if cluster != ANY:
            notice = await self._notice(Selection((cluster,)))
            if notice is not None:
                return notice
        near = f"; the nearest is {found['nearest']}" if found["nearest"] else ""
        return f"no event tells of {called}{near}"

    async def node(self, request: IRequest, cluster: str, host: str) -> bytes:
        """What there is to know of a node."""
        parameters = self._exchange.parameters(request, ("from", "to", "at"), choosing=())
        now = self._exchange.now()
        begin, end = Selecting(parameters).span(now - _OF_NODE)
        inquiry = NodeInquiry(
            None if cluster == ANY else cluster,
            host,
            begin,
            end,
            now,
            self._exchange.config.topology,
            at=parameters.moment("at", 0) if parameters.is_given("at") else None,
        )
        parameters.check()
        known, losses = await self._asked(inquiry)
        found = {**known}
        if not found.pop("is_known"):
            clusters = () if cluster == ANY else (cluster,)
            selection = Selection(clusters, matchers=(Matcher("hostname", "=", host),))
            notice = await self._notice(selection)
            raise WebError(404, notice or f"there is no message of the host {host[:60]!r} of {cluster[:60]}")
        return await self._answer(request, {**found, "notice": losses})

    async def before(self, request: IRequest) -> bytes:
        """What came before some messages on the same host, and how often it comes without them."""
        parameters = self._exchange.parameters(request, ("template", "message", "window"))
        window = parameters.one("window", _read_window, _BEFORE)
        target = await self._target(parameters, _LOOKED_BACK)
        found, losses = await self._asked(BeforeInquiry(target, window, self._exchange.config.topology))
        notice = losses if losses or found["count"] else await self._nothing(target)
        return await self._answer(request, {**found, "notice": notice})

    async def cause(self, request: IRequest) -> bytes:
        """What the hosts of a burst of messages have in common."""
        parameters = self._exchange.parameters(request, ("template", "message", "window", "burst"))
        window = parameters.one("window", _read_window, _BURST)
        is_whole = parameters.is_given("from") and parameters.is_given("to")
        is_whole = parameters.choice("burst", _BURSTS, "whole" if is_whole else "peak") == "whole"
        target = await self._target(parameters, _DAY)
        exchange = self._exchange
        found, losses = await self._asked(
            CauseInquiry(target, window, exchange.now(), exchange.config.topology, is_whole=is_whole)
        )
        notice = losses if losses or found["burst"] else await self._nothing(target)
        return await self._answer(request, {**found, "notice": notice})

    async def _nothing(self, target: Target) -> str:
        """Why there is nothing of what is asked about."""
        notice = await self._notice(target.selection)
        since = show_moment(target.selection.begin)[:19]
        return (
            notice or f"there is no such message since {since}Z: an earlier from (--since) looks further back"
        )

    async def _target(self, parameters: Parameters, span: int) -> Target:
        """Which messages are asked about; raises :class:`WebError` for parameters that are wrong.

        :param span: nanoseconds that are looked back if nobody says since when.
        """
        selection = Selecting(parameters).selection(begin=self._exchange.now() - span)
        # That of a template is itself, so that a message will do as well.
        template = parameters.one("template", lambda text: template_of(text, ""), "") or None
        number = parameters.one("message", str, "")
        if template is None and not selection.texts and not number:
            parameters.problems.append(
                "template: expected a template, or text= or regex= instead, or message= with the id of one of"
                " them, to say which messages, got none"
            )
        parameters.check()
        if number:
            found = await self._exchange.message(number)
            template = template_of(found.row.text, found.page.streams[found.row.stream][HOST] or "")
        return Target(selection, template)

    # -- what they share

    async def _notice(self, selection: Selection) -> str | None:
        return await self._exchange.asked(notice_of(selection, self._service, self._exchange.turn))

    async def _asked(self, inquiry: Inquiry[Mapping[str, Any]]) -> tuple[Mapping[str, Any], str | None]:
        """What is found, and what of it may be missing since it cannot be read."""
        studied = await self._exchange.asked(self._service.insight(inquiry))
        return studied.found, notice_of_losses(studied.losses)

    async def _answer(self, request: IRequest, found: Mapping[str, Any]) -> bytes:
        return await stream(request, json_pieces(found), turn=self._exchange.turn)


def _read_window(text: str) -> int:
    window = nanoseconds(parse_duration(f"{text}s" if text.isdigit() else text))
    if not SECOND <= window <= _DAY:
        raise ValueError(f"expected a duration of at least 1s and at most 1d, such as 10m, got {text[:40]!r}")
    return window
