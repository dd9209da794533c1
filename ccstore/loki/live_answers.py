"""Lines as they come, over a WebSocket."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Final

from attrs import evolve
from twisted.web.iweb import IRequest

from ccstore.loki.answering_loki import LokiDesk
from ccstore.loki.label_names import metadata_of, stream_labels
from ccstore.loki.metric_parser import parse_selector
from ccstore.loki.pipeline import Line, passes, steps_of
from ccstore.loki.planning import Plan, plan_of
from ccstore.loki.query_answers import CATEGORIZE, is_categorized
from ccstore.loki.result_shapes import Groups, group, streams
from ccstore.message import INT64_MAX
from ccstore.reading.feed import Arrived, Gap
from ccstore.reading.following import Followed, Following, Past
from ccstore.timing import SECOND
from ccstore.web.websockets import WebSocket

_LIMIT: Final = 100
_MOST: Final = 10_000
_HOUR: Final = 3600 * SECOND
#: Lines of one message.
_AT_A_TIME: Final = 200


class LiveAnswers:
    """Follows queries for lines.

    :ivar following: how many do.
    """

    def __init__(self, desk: LokiDesk, following: Following) -> None:
        self._desk = desk
        self._following = following
        self.following = 0

    async def tail(self, request: IRequest) -> bytes:
        """The newest lines of the past, and then what comes."""
        given = self._desk.given(request)
        plan = plan_of(parse_selector(given.needed("query")))
        newest = given.number("limit", _LIMIT, _MOST)
        begin = given.moment("start", given.now - _HOUR)
        past = Past(selection=evolve(plan.selection, begin=begin), newest=newest)
        flags = [CATEGORIZE] if is_categorized(request) else []
        with self._desk.bounds.tails.take():
            self.following += 1
            try:
                socket = WebSocket(request)
                return await socket.serve(lambda: self._tell(socket, plan, past, flags))
            finally:
                self.following -= 1

    async def _tell(self, socket: WebSocket, plan: Plan, past: Past, flags: Sequence[str]) -> None:
        steps = steps_of(plan.stages)
        async with aclosing(self._following.follow(plan.selection, past)) as parts:
            async for followed in parts:
                if not followed.arrived and followed.gap is None:
                    socket.ping()
                    continue
                for start in range(0, max(len(followed.arrived), 1), _AT_A_TIME):
                    lines = map(_line, followed.arrived[start : start + _AT_A_TIME])
                    passed = [line for line in lines if passes(line, steps)]
                    gap = followed.gap if _is_last(followed, start) else None
                    if passed or gap is not None:
                        await socket.send(_message(passed, gap, flags))
                    await self._desk.breathe()


def _is_last(followed: Followed, start: int) -> bool:
    return start + _AT_A_TIME >= len(followed.arrived)


def _line(arrived: Arrived) -> Line:
    row = arrived.row
    return Line(row.time, row.text, stream_labels(arrived.stream), metadata_of(row.othertags))


def _message(lines: Sequence[Line], gap: Gap | None, flags: Sequence[str]) -> str:
    groups: Groups = {}
    group(lines, groups, is_categorized=bool(flags))
    found = [
        {"stream": each["stream"], "values": [*each["values"]]}
        for each in streams(groups, is_categorized=bool(flags))
    ]
    told: dict[str, object] = {"streams": found}
    if gap is not None:
        told["dropped_entries"] = [_dropped(gap)]
    if flags:
        told["encodingFlags"] = flags
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _dropped(gap: Gap) -> Mapping[str, object]:
    """What was left out, as Loki tells of single lines."""
    until = min(gap.newest + 1, INT64_MAX)
    return {"timestamp": str(gap.oldest), "labels": {"messages": str(gap.messages), "until": str(until)}}
