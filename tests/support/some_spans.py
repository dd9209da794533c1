"""Questions about what hosts said in times of their own."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from ccstore.insight.study import Place, Span, Spanned, Study, spanned
from tests.support.stores import NOW


@frozen
class SpansInquiry:
    """The rows of some spans, and nothing else."""

    spans: Mapping[Place, Sequence[Span]]
    most: int

    def study(self) -> Study[Spanned]:
        return (yield from spanned(self.spans, self.most))


def some_spans(pick: random.Random) -> dict[Place, list[Span]]:
    """Of some hosts, one of which nobody knows; some spans follow one right on the other."""
    spans = {}
    for place in (("alex", "a01"), ("alex", "a02"), ("fritz", "b01"), ("alex", "z99")):
        first, second, third, fourth = [NOW + each for each in sorted(pick.sample(range(-2, 15), 4))]
        spans[place] = [(first, second), (pick.choice((second, third)), fourth)]
    return spans


def told(found: Spanned) -> Any:
    """Without what each store numbers by itself."""
    rows = [(row.time, row.kind, row.text, row.othertags, found.streams[row.stream]) for row in found.rows]
    return rows, found.is_cut
