"""Studies without a database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ccstore.insight.study import Study, ToldTemplates, WantedCounts, WantedRows, WantedTemplates
from ccstore.query import Counting, Counts, Page, Selection


def conclude(
    study: Study[Any],
    page: Callable[[Selection], Page],
    counts: Callable[[Counting], Counts],
    values: Callable[[str], Sequence[str]],
) -> Any:
    """What a study finds, given what answers what it wants to know."""
    answer: Any = None
    while True:
        try:
            wanted = study.send(answer)
        except StopIteration as stop:
            return stop.value
        if isinstance(wanted, WantedRows):
            answer = page(wanted.selection)
        elif isinstance(wanted, WantedCounts):
            answer = counts(wanted.counting)
        elif isinstance(wanted, WantedTemplates):
            chosen = wanted.selection
            answer = ToldTemplates({}, (), [(chosen.begin, chosen.end, frozenset())])
        else:
            answer = values(wanted.label)
