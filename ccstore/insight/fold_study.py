"""Folding: messages that are equal but for numbers, names and addresses, as one row each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from attrs import define, evolve, field, frozen

from ccstore.durations import in_seconds
from ccstore.insight.describing import folded, shown_row
from ccstore.insight.study import Enough, Study, each_row, templates_of
from ccstore.instants import show_moment
from ccstore.masking import template_of
from ccstore.message import STORED_KINDS, Kind, StreamKey
from ccstore.query import STREAM_LABELS, Matcher, Position, Row, Selection
from ccstore.timing import SECOND

_CLUSTER: Final = STREAM_LABELS.index("cluster")
_HOST: Final = STREAM_LABELS.index("hostname")
_NAME: Final = STREAM_LABELS.index("name")
#: Messages of one stream and one nanosecond that are looked at.
_AT_ONCE: Final = 100_000


@define(eq=False)
class Fold:
    """The messages of one template.

    :ivar first: time of the oldest, in ns.
    :ivar last: where the newest of them stands, of which ``last_stream`` is the stream.
    :ivar example: the newest of them, as soon as it is known.
    :ivar streams: those of all of them.
    :ivar points: how many there are in each step, by its beginning in ns.
    """

    template: str
    first: int
    last: Position
    last_stream: StreamKey
    example: Row | None = None
    count: int = 0
    streams: set[StreamKey] = field(factory=set)
    points: Counter[int] = field(factory=Counter)


#: Orders of an answer, and what goes first in each.
ORDERS: Final[Mapping[str, Callable[[Fold], Any]]] = {
    "count": lambda fold: -fold.count,
    "rare": attrgetter("count"),
    "newest": lambda fold: -fold.last.time,
    "first": attrgetter("first"),
}


@frozen
class FoldBounds:
    """How much is looked at.

    :ivar rows: messages that are looked at one by one, the newest of them.
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
        folding = Folding(self.selection, self.step, self.bounds)
        yield from folding.told()
        yield from folding.rows()
        return (yield from told_folds(folding, self.order, self.limit))


def told_folds(folding: Folding, order: str, limit: int) -> Study[dict[str, Any]]:
    """The first templates of a folding, for an answer."""
    folds = sorted(folding.folds.values(), key=attrgetter("template"))
    folds.sort(key=ORDERS[order])
    shown, rest = folds[:limit], folds[limit:]
    for fold in shown:
        if fold.example is None:
            yield from _find_example(fold)
    return {
        "step": in_seconds(folding.step),
        "total": sum(fold.count for fold in folds) + folding.unfolded,
        "templates": len(folds),
        "folds": [_described(fold) for fold in shown],
        "rest": {"templates": len(rest), "count": sum(fold.count for fold in rest)},
        "cut": "; ".join(folding.cut()) or None,
    }


class Folding:
    """Folds the messages of a selection: by what was counted of them before, and the others one by one.

    :param wants: whether a message is meant, by its template and stream; all are if it is not given.
    :ivar unfolded: messages that are only counted.
    """

    def __init__(
        self,
        selection: Selection,
        step: int,
        bounds: FoldBounds,
        wants: Callable[[str, StreamKey], bool] | None = None,
    ) -> None:
        self._selection = selection
        self._bounds = bounds
        self._wants = wants
        self._spans: Sequence[tuple[int, int, frozenset[str]]] = [
            (selection.begin, selection.end, frozenset())
        ]
        self._looked_at = 0
        self._oldest = 0
        self._is_cut = False
        self._is_told = False
        self.step = step
        self.folds: dict[str, Fold] = {}
        self.unfolded = 0

    def told(self) -> Study[None]:
        """Take what was counted before."""
        told = yield from templates_of(self._selection, self.step)
        self._spans = told.spans
        self._is_told = bool(told.templates)
        for template, each in told.templates.items():
            self.folds[template] = Fold(
                template,
                each.oldest,
                each.newest,
                told.streams[each.stream],
                None,
                each.count,
                {told.streams[place] for place in each.streams},
                each.points,
            )

    def drop(self, templates: Collection[str]) -> None:
        """Some templates are not meant."""
        self.folds = {template: fold for template, fold in self.folds.items() if template not in templates}

    def look_everywhere(self) -> None:
        """Rows are also looked at where they were counted before."""
        self._spans = [(self._selection.begin, self._selection.end, frozenset())]

    def rows(self, *more: Matcher) -> Study[None]:
        """Look at what is left.

        :param more: conditions on what is looked at.
        """
        for begin, end, without in self._spans:
            if self._is_cut:
                return
            matchers = (*self._selection.matchers, *more)
            selection = evolve(self._selection, begin=begin, end=end, matchers=matchers)
            yield from self._look(selection, self._take, without)

    def sought(self, templates: Collection[str]) -> Study[Collection[str]]:
        """Which of some templates there are; what is left is looked at until all of them were seen."""
        missing = {*templates}.difference(self.folds)

        def take(row: Row, stream: StreamKey) -> None:
            self._looked_at += 1
            self._oldest = row.time
            missing.discard(template_of(row.text, stream[_HOST] or ""))
            if not missing:
                raise Enough

        for begin, end, without in self._spans:
            if self._is_cut or not missing:
                break
            yield from self._look(evolve(self._selection, begin=begin, end=end), take, without)
        return {*templates} - missing

    def _look(
        self, selection: Selection, take: Callable[[Row, StreamKey], None], without: frozenset[str]
    ) -> Study[None]:
        left = self._bounds.rows - self._looked_at
        self._is_cut = left <= 0 or (yield from each_row(selection, left, take, without))

    def cut(self) -> Sequence[str]:
        """What is not complete."""
        found = []
        if self._is_cut:
            since = show_moment(self._oldest)
            which = "of those that are not counted yet, " if self._is_told else ""
            found.append(f"{which}only the newest {self._bounds.rows:,} messages were folded, since {since}")
        if self.unfolded:
            most = f"{self._bounds.templates:,}"
            found.append(f"there are more than {most} templates: {self.unfolded:,} messages are of others")
        return found

    def _take(self, row: Row, stream: StreamKey) -> None:
        self._looked_at += 1
        time, _, _, _, text, _ = row
        self._oldest = time
        template = template_of(text, stream[_HOST] or "")
        if self._wants is not None and not self._wants(template, stream):
            return
        fold = self.folds.get(template)
        if fold is None:
            if len(self.folds) >= self._bounds.templates:
                self.unfolded += 1
                return
            fold = self.folds[template] = Fold(template, time, row.position, stream, row)
        elif time >= fold.last[0] and row[:3] > fold.last:
            fold.last, fold.last_stream, fold.example = row.position, stream, row
        fold.count += 1
        if time < fold.first:
            fold.first = time
        fold.streams.add(stream)
        fold.points[time - time % self.step] += 1


def _find_example(fold: Fold) -> Study[None]:
    """Read the newest message of a fold that was not looked at."""
    time, kind, number = fold.last
    labels = zip(STREAM_LABELS, fold.last_stream, strict=True)
    matchers = tuple(Matcher(label, "=", value or "") for label, value in labels)
    kinds: tuple[Kind, ...] = tuple(each for each in STORED_KINDS if each == kind)
    selection = Selection((), kinds, time, time + 1, matchers)

    def take(row: Row, stream: StreamKey) -> None:
        if row.id == number:
            fold.example = row
            raise Enough

    yield from each_row(selection, _AT_ONCE, take)


def _described(fold: Fold) -> Mapping[str, Any]:
    return {
        "template": fold.template,
        "count": fold.count,
        "clusters": _values(fold, _CLUSTER),
        "names": _values(fold, _NAME),
        "hosts": folded({stream[_HOST] or "": None for stream in fold.streams}),
        "first": show_moment(fold.first),
        "last": show_moment(fold.last.time),
        "example": None if fold.example is None else shown_row(fold.example),
        "points": [[start // SECOND, fold.points[start]] for start in sorted(fold.points)],
    }


def _values(fold: Fold, place: int) -> Sequence[str]:
    return sorted({stream[place] or "" for stream in fold.streams})
