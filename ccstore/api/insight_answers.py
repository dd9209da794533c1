"""Answers that tell of jobs, of nodes, and of causes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from twisted.web.iweb import IRequest

from ccstore.api.exchange import Exchange
from ccstore.api.parameters import Parameters
from ccstore.insight.job_lookup import ID
from ccstore.insight.job_study import JobInquiry
from ccstore.insight.study import Inquiry
from ccstore.query import Selection
from ccstore.reading.notices import notice_of
from ccstore.web import WebError, json_pieces, stream

#: The name of a cluster that stands for any.
ANY: Final = "*"


class InsightAnswers:
    """What only a store of events of HPC clusters can tell."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._service = exchange.service

    async def job(self, request: IRequest, cluster: str, job: str) -> bytes:
        """What happened in a job, and what of that was unusual."""
        parameters = self._own(request, ("start", "at", "all"))
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
        found = await self._asked(inquiry)
        if found["job"] is None:
            where = "" if cluster == ANY else f" of {cluster[:60]}"
            raise WebError(404, await self._no_job(cluster, f"job {job}{where}", found))
        return await self._answer(request, {**found, "notice": None})

    async def _no_job(self, cluster: str, called: str, found: Mapping[str, Any]) -> str:
        if found["runs"]:
            runs = ", ".join(run["start"] for run in found["runs"])
            return f"{called} did not run then: its runs began at {runs}"
        if cluster != ANY:
            notice = await self._exchange.asked(
                notice_of(Selection((cluster,)), self._service, self._exchange.turn)
            )
            if notice is not None:
                return notice
        near = f"; the nearest is {found['nearest']}" if found["nearest"] else ""
        return f"no event tells of {called}{near}"

    # -- what they share

    def _own(self, request: IRequest, names: Collection[str]) -> Parameters:
        """The parameters of a call that takes none by which messages are chosen."""
        parameters = self._exchange.parameters(request, names)
        for name in parameters.names:
            if name not in names:
                parameters.problems.append(
                    f"{name}: there is no such parameter here: expected one of {', '.join(names)}"
                )
        return parameters

    async def _asked(self, inquiry: Inquiry[Mapping[str, Any]]) -> Mapping[str, Any]:
        return await self._exchange.asked(self._service.insight(inquiry))

    async def _answer(self, request: IRequest, found: Mapping[str, Any]) -> bytes:
        return await stream(request, json_pieces(found), turn=self._exchange.turn)
