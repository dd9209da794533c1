"""Results in the shapes that clients of Loki read. Grafana's reader minds the order of the members."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypedDict

from ccstore.loki.label_names import Labels
from ccstore.loki.loki_limits import Budget
from ccstore.loki.metric_series import Grid, Values, Vector, ordered
from ccstore.loki.pipeline import Line
from ccstore.loki.sample_text import number_text, seconds_of
from ccstore.loki.vectors import Operand


class StreamOfLines(TypedDict):
    """A stream with its lines."""

    stream: Mapping[str, str]
    values: Iterator[list[object]]


def result(
    kind: str, found: object, budget: Budget, count: int, *, flags: Sequence[str] = ()
) -> dict[str, object]:
    """A whole answer.

    :param kind: ``streams``, ``matrix``, ``vector`` or ``scalar``.
    :param count: how many lines or samples there are.
    """
    data: dict[str, object] = {"resultType": kind}
    if flags:
        data["encodingFlags"] = [*flags]
    data["result"] = found
    data["stats"] = {"summary": _summary(budget, count)}
    answer: dict[str, object] = {"status": "success"}
    if budget.warnings:
        answer["warnings"] = budget.warnings
    answer["data"] = data
    return answer


def _summary(budget: Budget, count: int) -> dict[str, float]:
    seconds = budget.elapsed
    lines = budget.looked_at + budget.counted
    return {
        "bytesProcessedPerSecond": int(budget.characters / seconds) if seconds else 0,
        "linesProcessedPerSecond": int(lines / seconds) if seconds else 0,
        "totalBytesProcessed": budget.characters,
        "totalLinesProcessed": lines,
        "execTime": round(seconds, 6),
        "queueTime": 0,
        "subqueries": 0,
        "totalEntriesReturned": count,
    }


#: Lines by the labels of their streams.
Groups = dict[Labels, list[Line]]


def group(lines: Iterable[Line], groups: Groups, *, is_categorized: bool) -> None:
    """Put lines with those of their streams, in their order.

    :param is_categorized: each line has its own labels beside it, and only those of the stream are the
        stream's. If not, all labels are.
    """
    for line in lines:
        key = line.stream if is_categorized else ordered(line.labels())
        groups.setdefault(key, []).append(line)


def streams(groups: Groups, *, is_categorized: bool) -> Iterator[StreamOfLines]:
    """Streams with their lines; see :func:`group`."""
    for labels, members in groups.items():
        yield {"stream": dict(labels), "values": (_value(line, is_categorized) for line in members)}


def _value(line: Line, is_categorized: bool) -> list[object]:
    if not is_categorized:
        return [str(line.time), line.text]
    own: dict[str, Mapping[str, str]] = {}
    if line.metadata:
        own["structuredMetadata"] = dict(line.metadata)
    if line.parsed:
        own["parsed"] = dict(sorted(line.parsed.items()))
    return [str(line.time), line.text, own]


def vector(found: Vector, grid: Grid) -> Iterator[dict[str, object]]:
    """The values at the only point."""
    for labels, values in found.items():
        if values[0] is not None:
            yield {"metric": dict(labels), "value": _sample(grid.start, values[0])}


def matrix(found: Operand, grid: Grid) -> Iterator[dict[str, object]]:
    """The values at all points."""
    if not isinstance(found, dict):
        found = {(): [found] * grid.count}
    for labels in sorted(found):
        yield {"metric": dict(labels), "values": _samples(found[labels], grid)}


def scalar(value: float, grid: Grid) -> list[object]:
    """A number."""
    return _sample(grid.start, value)


def _samples(values: Values, grid: Grid) -> Iterator[list[object]]:
    for index, value in enumerate(values):
        if value is not None:
            yield _sample(grid.time(index), value)


def _sample(time: int, value: float) -> list[object]:
    return [seconds_of(time), number_text(value)]
