"""Windows of time before messages, and others for comparison: what was said in each, from one look at all."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from ccstore.insight.occurrences import Occurrence
from ccstore.insight.said import HOST, is_of_a_job
from ccstore.insight.study import Place, Span, Study, spanned
from ccstore.masking import template_of
from ccstore.message import INT64_MIN
from ccstore.query import Row

#: Windows before the one that counts, in which the same host is looked at for comparison: the one between is
#: left out, since what leads to a fault may have begun in it.
_CONTROLS: Final = (2, 3, 4, 5)


class Said(NamedTuple):
    """The newest message of a template in a window.

    :ivar lead: how long (ns) it was before the message that is asked about.
    """

    row: Row
    lead: int
    host: str


class Case:
    """A message that is asked about.

    :param hosts: of it, that are looked at.
    :param others: hosts that are looked at for comparison.
    :ivar before: what was said in the window before it, by template.
    """

    def __init__(self, asked: Occurrence, hosts: Sequence[str], others: Sequence[str]) -> None:
        self.asked = asked
        self.hosts = hosts
        self.before: dict[str, Said] = {}
        # Hosts of one job are one place.
        self._earlier: dict[int, dict[str, Said]] = {each: {} for each in _CONTROLS}
        self._elsewhere: dict[str, dict[str, Said]] = {each: {} for each in others}

    @property
    def controls(self) -> Sequence[Mapping[str, Said]]:
        """What was said in each of the other windows."""
        return [*self._earlier.values(), *self._elsewhere.values()]

    def windows(self, length: int) -> Sequence[tuple[str, _Window]]:
        """Its windows of each host."""
        whole = [(0, self.before), *self._earlier.items()]
        own = [(host, each) for host in dict.fromkeys(self.hosts) for each in whole]
        other = [(host, (0, said)) for host, said in self._elsewhere.items()]
        return [
            (host, _Window(self.asked.time - (earlier + 1) * length, self, said))
            for host, (earlier, said) in (*own, *other)
        ]


class _Window(NamedTuple):
    """A window of a host, all of which are equally long.

    :ivar said: in it, by template.
    """

    begin: int
    case: Case
    said: dict[str, Said]


_BEGIN: Final = attrgetter("begin")


class Windows:
    """The windows of some cases.

    :param length: of each, in nanoseconds.
    """

    def __init__(self, cases: Sequence[Case], length: int) -> None:
        self._length = length
        self._windows: dict[Place, list[_Window]] = {}
        for case in cases:
            for host, window in case.windows(length):
                self._windows.setdefault((case.asked.cluster, host), []).append(window)
        for windows in self._windows.values():
            windows.sort(key=_BEGIN)

    def look(self, most: int) -> Study[tuple[int, bool]]:
        """Fill them in; returns what that took, as in how many rows, and whether any has more of them.

        :param most: rows that are looked at of a stream in a window.
        """
        found = yield from spanned({place: self._spans(place) for place in self._windows}, most)
        for row in found.rows:
            if not is_of_a_job(row):
                stream = found.streams[row.stream]
                self._take(row, (stream[0] or "", stream[HOST] or ""))
        return found.effort, found.is_cut

    def _spans(self, place: Place) -> Sequence[Span]:
        """The times of all windows of a host, each of them once."""
        spans: list[Span] = []
        for window in self._windows[place]:
            begin, end = max(window.begin, INT64_MIN), window.begin + self._length
            if spans and begin < spans[-1][1]:
                spans[-1] = spans[-1][0], end
            elif begin < end:
                spans.append((begin, end))
        return spans

    def _take(self, row: Row, place: Place) -> None:
        """Note a row in the windows that it is in; the newest come first."""
        windows = self._windows[place]
        host = place[1]
        template = template_of(row.text, host)
        end = bisect_right(windows, row.time, key=_BEGIN)
        for window in windows[bisect_right(windows, row.time - self._length, key=_BEGIN) : end]:
            asked = window.case.asked
            if row.position != asked.row.position:
                window.said.setdefault(template, Said(row, asked.time - row.time, host))
