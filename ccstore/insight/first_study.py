"""Which templates there are, and where each was seen: for whoever waits for new ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from attrs import evolve, frozen

from ccstore.insight.describing import shown_row
from ccstore.insight.fold_study import FoldBounds, Folding
from ccstore.insight.study import Study
from ccstore.message import StreamKey
from ccstore.query import Matcher, Selection
from ccstore.timing import SECOND

_HOUR: Final = 3600 * SECOND
_BOUNDS: Final = FoldBounds(templates=200_000)


class Sighting(NamedTuple):
    """A template, where it was seen last.

    :ivar messages: how many of it there are.
    :ivar example: the beginning of a text; empty if the store has only counted it.
    """

    stream: StreamKey
    messages: int
    example: str


@frozen
class SightingsInquiry:
    """A question: all templates of a selection.

    :ivar without: messages of this name are left out.
    """

    selection: Selection
    without: str
    bounds: FoldBounds = _BOUNDS

    def study(self) -> Study[Mapping[str, Sighting]]:
        """The answer."""
        matchers = (*self.selection.matchers, Matcher("name", "!=", (self.without,)))
        folding = Folding(evolve(self.selection, matchers=matchers), _HOUR, self.bounds)
        yield from folding.told()
        yield from folding.rows()
        return {
            template: Sighting(
                fold.last_stream, fold.count, "" if fold.example is None else shown_row(fold.example)["text"]
            )
            for template, fold in folding.folds.items()
        }
