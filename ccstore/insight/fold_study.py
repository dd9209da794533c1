"""Folding: messages that are equal but for numbers, names and addresses, as one row each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from attrs import define, field, frozen

from ccstore.insight.describing import folded, shown_row
from ccstore.insight.study import Study, each_row
from ccstore.instants import show_moment
from ccstore.masking import template_of
from ccstore.message import StreamKey
from ccstore.query import STREAM_LABELS, Row, Selection
from ccstore.timing import SECOND

_CLUSTER: Final = STREAM_LABELS.index("cluster")
_HOST: Final = STREAM_LABELS.index("hostname")
_NAME: Final = STREAM_LABELS.index("name")


@define(eq=False)
class Fold:
    """The messages of one template.

    :ivar example: the newest of them.
    :ivar first: time of the oldest, in ns; ``last`` is that of the newest.
    :ivar streams: how many are of each stream.
    :ivar points: how many there are in each step, by its beginning in ns.
    """

    template: str
    example: Row
    first: int
    last: int
    count: int = 0
    streams: Counter[StreamKey] = field(factory=Counter)
    points: Counter[int] = field(factory=Counter)


#: Orders of an answer, and what goes first in each.
ORDERS: Final[Mapping[str, Callable[[Fold], Any]]] = {
    "count": lambda fold: -fold.count,
    "rare": attrgetter("count"),
    "newest": lambda fold: -fold.last,
    "first": attrgetter("first"),
}


@frozen
class FoldBounds:
    """How much is looked at.

    :ivar rows: messages, the newest of them.
    :ivar templates: that are told apart; messages of more are only counted.
    """

    rows: int = 1_000_000
    templates: int = 20_000


@frozen
class FoldInquiry:
    """A question: which templates the messages of a selection have.

    :ivar step: nanoseconds of the steps in which they are counted.
    :ivar order: one of :data:`ORDERS`.
    :ivar limit: templates that are told of; the others are counted.
    """

    selection: Selection
    step: int
    order: str = "count"
    limit: int = 100
    bounds: FoldBounds = FoldBounds()

    def study(self) -> Study[Mapping[str, Any]]:
        """The answer."""
        folding = _Folding(self.step, self.bounds.templates)
        is_cut = yield from each_row(self.selection, self.bounds.rows, folding.take)
        cut = []
        if is_cut:
            since = show_moment(folding.oldest)
            cut.append(f"only the newest {self.bounds.rows:,} messages were folded, since {since}")
        if folding.unfolded:
            most = f"{self.bounds.templates:,}"
            cut.append(f"there are more than {most} templates: {folding.unfolded:,} messages are of others")
        folds = sorted(folding.folds.values(), key=attrgetter("template"))
        folds.sort(key=ORDERS[self.order])
        shown, rest = folds[: self.limit], folds[self.limit :]
        return {
            "step": f"{self.step / SECOND:g}s",
            "total": sum(fold.count for fold in folds) + folding.unfolded,
            "templates": len(folds),
            "folds": [_described(fold) for fold in shown],
            "rest": {"templates": len(rest), "count": sum(fold.count for fold in rest)},
            "cut": "; ".join(cut) or None,
        }


class _Folding:
    """Folds rows, the newest first.

    :ivar unfolded: messages that are only counted.
    :ivar oldest: time of the last of them, in ns.
    """

    def __init__(self, step: int, most: int) -> None:
        self._step = step
        self._most = most
        self.folds: dict[str, Fold] = {}
        self.unfolded = 0
        self.oldest = 0

    def take(self, row: Row, stream: StreamKey) -> None:
        """Add a row."""
        template = template_of(row.text, stream[_HOST] or "")
        self.oldest = time = row.time
        fold = self.folds.get(template)
        if fold is None:
            if len(self.folds) >= self._most:
                self.unfolded += 1
                return
            fold = self.folds[template] = Fold(template, row, time, time)
        fold.count += 1
        fold.first = time
        fold.streams[stream] += 1
        fold.points[time - time % self._step] += 1


def _described(fold: Fold) -> Mapping[str, Any]:
    return {
        "template": fold.template,
        "count": fold.count,
        "clusters": _values(fold, _CLUSTER),
        "names": _values(fold, _NAME),
        "hosts": folded({stream[_HOST] or "": None for stream in fold.streams}),
        "first": show_moment(fold.first),
        "last": show_moment(fold.last),
        "example": shown_row(fold.example),
        "points": [[start // SECOND, fold.points[start]] for start in sorted(fold.points)],
    }


def _values(fold: Fold, place: int) -> Sequence[str]:
    return sorted({stream[place] or "" for stream in fold.streams})
