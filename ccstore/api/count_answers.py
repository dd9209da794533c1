"""Answers that count messages: by time, by labels, by stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from attrs import evolve
from twisted.web.iweb import IRequest

from ccstore.api.exchange import Exchange
from ccstore.api.parameters import LABELS, Parameters, label_of
from ccstore.api.selecting import Selecting
from ccstore.api.stepping import step_of
from ccstore.durations import in_seconds
from ccstore.instants import show_moment
from ccstore.message import INT64_MAX, INT64_MIN
from ccstore.query import (
    ALL_TAGS,
    LEVEL,
    STREAM_LABELS,
    TAG_PREFIX,
    Count,
    Counting,
    Counts,
    Matcher,
    Selection,
    level_of,
    tags_in,
)
from ccstore.reading.notices import notice_of, notice_of_losses
from ccstore.regex import quote
from ccstore.timing import SECOND
from ccstore.web import WebError, json_pieces, stream

#: What is looked at if nobody says since when.
_DAY: Final = 86400 * SECOND
_BUCKETS: Final = 100
_TOP: Final = 10
_LIMIT: Final = 1000
_MOST: Final = 100_000
_CUT: Final = "there are too many different values: ask for less time, or choose fewer messages"


class CountAnswers:
    """Counts of a selection."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._service = exchange.service

    async def histogram(self, request: IRequest) -> bytes:
        """Counts by time, and by a label as well."""
        exchange = self._exchange
        parameters = exchange.parameters(request, ("step", "buckets", "by", "top"))
        selection = self._selection(parameters)
        by = Selecting(parameters).labels("by")
        top = parameters.number("top", _TOP, most=1000)
        step = step_of(parameters, selection, exchange.now(), _BUCKETS)
        parameters.check()
        # The days of a step begin as they do in UTC.
        counting = Counting(selection, tuple(by), step, top=top, with_times=False)
        counts = await self._counts(counting)
        groups: dict[tuple[str, ...], dict[int, int]] = {}
        async for count in exchange.in_turns(counts.counts):
            assert count.start is not None
            groups.setdefault(count.by, {})[count.start] = count.messages
        totals = {each: sum(points.values()) for each, points in groups.items()}
        first = sorted(totals, key=lambda each: (-totals[each], each))
        series = [_series(dict(zip(map(_called, by), each, strict=True)), groups[each]) for each in first]
        rest = {count.start: count.messages for count in counts.rest if count.start is not None}
        if counts.others:
            series.append({**_series(None, rest), "other": counts.others})
        total = sum(totals.values()) + sum(rest.values())
        answer = {"step": in_seconds(step), "total": total, "series": series}
        return await self._answer(request, selection, answer, counts, is_empty=not total)

    async def values(self, request: IRequest, label: str) -> bytes:
        """The values of a label with their counts."""
        parameters = self._exchange.parameters(request, ("prefix", "limit"))
        selection = self._selection(parameters)
        if label not in LABELS and not label.startswith(TAG_PREFIX):
            tag = f"{TAG_PREFIX}{label[:40]}"
            expected = f"there are {', '.join(LABELS)}; a tag of this name is {tag}"
            raise WebError(404, f"there is no label {label[:60]!r}, {expected}")
        prefix = parameters.one("prefix", str, "")
        limit = parameters.number("limit", _LIMIT, least=1, most=_MOST)
        parameters.check()
        wanted = label_of(label)
        if prefix:
            matcher = Matcher(wanted, "=~", f"(?s){quote(prefix)}.*")
            selection = evolve(selection, matchers=(*selection.matchers, matcher))
        counts = await self._counts(Counting(selection, (wanted,)))
        ranked = await self._exchange.ranked(counts.counts, lambda count: (-count.messages, count.by))
        found, without = [], 0
        async for count in self._exchange.in_turns(ranked):
            if count.by[0]:
                found.append(count)
            else:
                without = count.messages
        answer = {
            "values": (_described(count, ("value",)) for count in found[:limit]),
            "without": without,
        }
        cut = f"there are {len(found)} values" if len(found) > limit else None
        return await self._answer(request, selection, answer, counts, cut, is_empty=not found)

    async def labels(self, request: IRequest) -> bytes:
        """The labels that messages have."""
        parameters = self._exchange.parameters(request)
        selection = self._selection(parameters)
        parameters.check()
        streams = await self._counts(Counting(selection, STREAM_LABELS, with_times=False))
        tags = await self._counts(Counting(selection, (ALL_TAGS,), with_times=False))
        found: Counter[str] = Counter()
        async for count in self._exchange.in_turns(streams.counts):
            for label, value in zip(STREAM_LABELS, count.by, strict=True):
                found[_called(label)] += count.messages if value else 0
        async for count in self._exchange.in_turns(tags.counts):
            known = tags_in(count.by[0])
            found[LEVEL] += count.messages if level_of(known) else 0
            for tag in known:
                found[f"{TAG_PREFIX}{tag}"] += count.messages
        answer = {"labels": [{"label": label, "count": number} for label, number in found.items() if number]}
        counts = Counts((), streams.is_cut or tags.is_cut, losses=tags.losses)
        return await self._answer(request, selection, answer, counts, is_empty=not answer["labels"])

    async def streams(self, request: IRequest) -> bytes:
        """The streams, each with what it has."""
        parameters = self._exchange.parameters(request, ("limit",))
        selection = Selecting(parameters).selection()
        limit = parameters.number("limit", _LIMIT, least=1, most=_MOST)
        parameters.check()
        counts = await self._counts(Counting(selection, STREAM_LABELS))
        ranked = await self._exchange.ranked(counts.counts, lambda count: count.by)
        number = len(counts.counts)
        answer = {"streams": (_described(count, STREAM_LABELS) for count in islice(ranked, limit))}
        cut = f"there are {number} streams" if number > limit else None
        return await self._answer(request, selection, answer, counts, cut, is_empty=not number)

    async def clusters(self, request: IRequest) -> bytes:
        """The clusters, each with what it has."""
        parameters = self._exchange.parameters(request)
        selection = Selecting(parameters).selection()
        parameters.check()
        counts = await self._counts(Counting(selection, ("cluster", "kind")))
        clusters: dict[str, dict[str, int]] = {}
        async for count in self._exchange.in_turns(counts.counts):
            cluster, kind = count.by
            known = clusters.setdefault(
                cluster, {"oldest": INT64_MAX, "newest": INT64_MIN, "event": 0, "log": 0}
            )
            known[kind] += count.messages
            known["oldest"] = min(known["oldest"], count.oldest)
            known["newest"] = max(known["newest"], count.newest)
        # What a cluster takes on the disk is not known: indexes and free pages are shared.
        size = self._service.size()
        total = sum(count.messages for count in counts.counts)
        answer = {
            "clusters": [
                {
                    "cluster": cluster,
                    "count": known["event"] + known["log"],
                    "events": known["event"],
                    "logs": known["log"],
                    "first": show_moment(known["oldest"]),
                    "last": show_moment(known["newest"]),
                    "bytes": size * (known["event"] + known["log"]) // total,
                }
                for cluster, known in sorted(clusters.items())
            ]
        }
        return await self._answer(request, selection, answer, counts, is_empty=not clusters)

    # -- what they share

    def _selection(self, parameters: Parameters) -> Selection:
        return Selecting(parameters).selection(begin=self._exchange.now() - _DAY)

    async def _counts(self, counting: Counting) -> Counts:
        return await self._exchange.asked(self._service.counts(counting))

    async def _answer(
        self,
        request: IRequest,
        selection: Selection,
        answer: Mapping[str, object],
        counts: Counts,
        cut: str | None = None,
        *,
        is_empty: bool,
    ) -> bytes:
        notice = notice_of_losses(counts.losses)
        if is_empty and notice is None:
            notice = await self._exchange.asked(notice_of(selection, self._service, self._exchange.turn))
        whole = {**answer, "cut": _CUT if counts.is_cut else cut, "notice": notice}
        return await stream(request, json_pieces(whole), turn=self._exchange.turn)


def _called(label: str) -> str:
    """How a label is called outside."""
    return "host" if label == "hostname" else label


def _series(by: Mapping[str, str] | None, points: Mapping[int, int]) -> dict[str, object]:
    return {
        "by": by,
        "total": sum(points.values()),
        "points": _points(points),
    }


def _points(points: Mapping[int, int]) -> Iterator[list[float]]:
    return ([_seconds(start), points[start]] for start in sorted(points))


def _seconds(start: int) -> float:
    return start // SECOND if start % SECOND == 0 else start / SECOND


def _described(count: Count, labels: Sequence[str]) -> dict[str, object]:
    known: Iterable[tuple[str, str]] = zip(labels, count.by, strict=True)
    return {
        **{label: value for label, value in known if value},
        "count": count.messages,
        "first": show_moment(count.oldest),
        "last": show_moment(count.newest),
    }
