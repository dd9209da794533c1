"""What is new: templates that were never there before, in the store or on a host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from attrs import evolve, frozen

from ccstore.insight.fold_study import FoldBounds, Folding, told_folds
from ccstore.insight.study import Study
from ccstore.instants import show_moment
from ccstore.message import INT64_MIN, StreamKey
from ccstore.query import STREAM_LABELS, Matcher, Selection
from ccstore.timing import SECOND

#: Where a template may be new.
PLACES: Final = ("store", "host")
_BOUNDS: Final = FoldBounds()
_HOUR: Final = 3600 * SECOND
_CLUSTER: Final = STREAM_LABELS.index("cluster")
_HOST: Final = STREAM_LABELS.index("hostname")
#: Of more hosts on which something is new, all messages are looked at.
_MOST_HOSTS: Final = 200
#: Whether a template is new in a stream.
_IsNew = Callable[[str, StreamKey], bool]


@frozen
class NewInquiry:
    """A question: which templates of a selection are in it for the first time.

    :ivar selection: what is older than its beginning is what was there before.
    :ivar place: ``host`` if it is enough for it to be new on the host that says it.
    :ivar step: see :class:`FoldInquiry`, as ``order`` and ``limit``.
    """

    selection: Selection
    place: Literal["store", "host"]
    step: int
    order: str = "first"
    limit: int = 100
    bounds: FoldBounds = _BOUNDS

    def study(self) -> Study[Mapping[str, Any]]:
        """The answer."""
        before = Folding(self._before(), _HOUR, self.bounds)
        yield from before.told()
        found = yield from (self._in_store(before) if self.place == "store" else self._on_hosts(before))
        answer = yield from told_folds(found, self.order, self.limit)
        cut = [answer["cut"], *(f"of what was before: {each}" for each in before.cut())]
        answer["cut"] = "; ".join(filter(None, cut)) or None
        return {"new": self.place, "since": show_moment(self.selection.begin), **answer}

    def _in_store(self, before: Folding) -> Study[Folding]:
        """Of a template that is new, all messages are meant."""
        found = yield from self._without_known(before)
        if not found.unfolded:
            # Mostly a part of what was before has all that is not new.
            found.drop((yield from before.sought(found.folds)))
            return found
        # What could not be told apart may be what is new.
        yield from before.rows()
        return (yield from self._without_known(before))

    def _without_known(self, before: Folding) -> Study[Folding]:
        """What the selection has without what is known so far of what was before."""
        found = Folding(self.selection, self.step, self.bounds, self._is_new(before))
        yield from found.told()
        found.drop(before.folds)
        yield from found.rows()
        return found

    def _on_hosts(self, before: Folding) -> Study[Folding]:
        yield from before.rows()
        is_new = self._is_new(before)
        found = Folding(self.selection, self.step, self.bounds, is_new)
        yield from found.told()
        yield from _look_at_hosts(found, is_new)
        return found

    def _before(self) -> Selection:
        begin = self.selection.begin
        if self.place == "store":
            return Selection(end=begin)
        matchers = tuple(each for each in self.selection.matchers if each.label in ("cluster", "hostname"))
        return evolve(self.selection, begin=INT64_MIN, end=begin, matchers=matchers, texts=())

    def _is_new(self, before: Folding) -> _IsNew:
        if self.place == "store":
            return lambda template, stream: template not in before.folds
        hosts = {
            template: {(stream[_CLUSTER], stream[_HOST]) for stream in fold.streams}
            for template, fold in before.folds.items()
        }

        def is_new(template: str, stream: StreamKey) -> bool:
            known = hosts.get(template)
            return known is None or (stream[_CLUSTER], stream[_HOST]) not in known

        return is_new


def _look_at_hosts(found: Folding, is_new: _IsNew) -> Study[None]:
    """Look at what was not counted, and of hosts on which something is new at all of their messages."""
    hosts = {
        stream[_HOST] or ""
        for template, fold in found.folds.items()
        for stream in fold.streams
        if is_new(template, stream)
    }
    found.drop([*found.folds])
    if len(hosts) > _MOST_HOSTS:
        found.look_everywhere()
        yield from found.rows()
    elif hosts:
        yield from found.rows(Matcher("hostname", "!=", tuple(hosts)))
        found.look_everywhere()
        yield from found.rows(Matcher("hostname", "=", tuple(hosts)))
    else:
        yield from found.rows()
