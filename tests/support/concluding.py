"""Studies without a database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from attrs import evolve

from ccstore.insight.study import (
    Spanned,
    Study,
    ToldTemplates,
    WantedCounts,
    WantedRows,
    WantedSpans,
    WantedTemplates,
)
from ccstore.message import StreamKey
from ccstore.query import Counting, Counts, Matcher, Page, Row, Selection


def conclude(
    study: Study[Any],
    page: Callable[[Selection], Page],
    counts: Callable[[Counting], Counts],
    values: Callable[[str, str | None], Sequence[str]],
    asked: Counter[str] | None = None,
) -> Any:
    """What a study finds, given what answers what it wants to know.

    :param asked: is told how often what is wanted.
    """
    answer: Any = None
    while True:
        try:
            wanted = study.send(answer)
        except StopIteration as stop:
            return stop.value
        if asked is not None:
            asked[type(wanted).__name__] += 1
        if isinstance(wanted, WantedRows):
            answer = page(wanted.selection)
        elif isinstance(wanted, WantedSpans):
            answer = spanned(wanted, page)
        elif isinstance(wanted, WantedCounts):
            answer = counts(wanted.counting)
        elif isinstance(wanted, WantedTemplates):
            chosen = wanted.selection
            answer = ToldTemplates({}, (), [(chosen.begin, chosen.end, frozenset())])
        else:
            answer = values(wanted.label, wanted.cluster)


def spanned(wanted: WantedSpans, page: Callable[[Selection], Page]) -> Spanned:
    """The rows of spans, by a question for each."""
    found: list[Row] = []
    streams: dict[int, StreamKey] = {}
    is_cut = False
    for (cluster, host), spans in wanted.spans.items():
        for begin, end in spans:
            matcher = Matcher("hostname", "=", host)
            rows = _rows(Selection((cluster,), begin=begin, end=end, matchers=(matcher,)), page, streams)
            counts: Counter[int] = Counter()
            for row in rows:
                counts[row.stream] += 1
                if counts[row.stream] <= wanted.most:
                    found.append(row)
                else:
                    is_cut = True
    found.sort(reverse=True)
    return Spanned(found, streams, is_cut, len(found))


def _rows(
    selection: Selection, page: Callable[[Selection], Page], streams: dict[int, StreamKey]
) -> list[Row]:
    found: list[Row] = []
    while True:
        answer = page(selection)
        found += answer.rows
        streams.update(answer.streams)
        if not answer.is_cut:
            return found
        selection = evolve(selection, after=answer.last)
