"""Which rule of retention a stream has, and whether it is meant by a hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ccstore.keeping import KeepRule
from ccstore.message import StreamKey
from ccstore.query import Selection
from ccstore.storage.reading.evaluate import stream_test


def chosen_test(selection: Selection) -> Callable[[StreamKey], bool]:
    """Whether a stream is meant by a selection that goes by labels of streams alone."""
    of_labels = stream_test(selection.matchers)
    clusters, kinds = {*selection.clusters}, {*selection.kinds}

    def test(stream: StreamKey) -> bool:
        return (not clusters or stream[0] in clusters) and stream[1] in kinds and of_labels(stream)

    return test


class Periods:
    """How long messages of each stream are kept, by rules."""

    def __init__(self, rules: Sequence[KeepRule]) -> None:
        longest_first = sorted(rules, key=lambda rule: -rule.nanoseconds)
        self._tests = [(chosen_test(rule.chosen), rule.nanoseconds) for rule in longest_first]

    def of(self, stream: StreamKey) -> int | None:
        """Nanoseconds; None if no rule is about it. The longest that matches wins."""
        for test, period in self._tests:
            if test(stream):
                return period
        return None
