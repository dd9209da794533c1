"""What came before messages of one kind, on the same host, and how often it comes without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import define, field, frozen

from ccstore.insight.describing import folded, shown_row
from ccstore.insight.neighbours import Neighbours
from ccstore.insight.occurrences import Occurrence, Target
from ccstore.insight.said import HOST, is_of_a_job
from ccstore.insight.statistics_of_counts import SIGNIFICANT, chance_of_overlap, corrected
from ccstore.insight.study import Study, each_row, values_of
from ccstore.insight.topology import Topology
from ccstore.instants import show_moment
from ccstore.masking import template_of
from ccstore.message import StreamKey
from ccstore.query import Matcher, Row, Selection
from ccstore.timing import SECOND

#: Windows before the one that counts, in which the same host is looked at for comparison: the one between is
#: left out, since what leads to a fault may have begun in it.
_CONTROLS: Final = (2, 3, 4, 5)
#: Other hosts that are looked at in the same window.
_OTHERS: Final = 2


@frozen
class BeforeBounds:
    """How much is looked at, and shown.

    :ivar found: messages that are asked about; ``cases`` of them are looked at, evenly over all.
    :ivar rows: before one of them.
    """

    found: int = 20_000
    cases: int = 100
    rows: int = 2000
    shown: int = 50


@frozen
class BeforeInquiry:
    """A question: what came before some messages.

    :ivar window: nanoseconds before each of them.
    """

    target: Target
    window: int
    topology: Topology
    bounds: BeforeBounds = BeforeBounds()

    def study(self) -> Study[Mapping[str, Any]]:
        """The answer."""
        bounds = self.bounds
        found, is_cut = yield from self.target.found(bounds.found)
        firsts = _firsts(found, self.window)
        step = max(1, -(-len(firsts) // bounds.cases))
        cases = firsts[::-1][::step]
        looked = _Looked(self.target)
        hosts = (yield from values_of("hostname")) if cases else ()
        neighbours = Neighbours(hosts, self.topology, _OTHERS)
        for case in cases:
            # Many hosts have no rack.
            others = neighbours.of(*case.hosts) if len(case.hosts) == 1 else ()
            yield from looked.look(case, self.window, others, bounds.rows)
        rows = looked.ranked()
        cut = []
        if is_cut:
            cut.append(f"the newest {bounds.found} messages were looked at")
        if step > 1:
            cut.append(
                f"of {len(firsts)} times it came, {len(cases)} were looked at, evenly over all of them"
            )
        if looked.is_cut:
            cut.append(f"of windows with more than {bounds.rows} messages, the newest were looked at")
        if len(rows) > bounds.shown:
            cut.append(f"the first {bounds.shown} of {len(rows)} templates")
        return {
            "count": len(found),
            "hosts": folded(dict.fromkeys(host for each in found for host in each.hosts)),
            "first": show_moment(found[0].time) if found else None,
            "last": show_moment(found[-1].time) if found else None,
            "template": template_of(found[-1].row.text, found[-1].host) if found else self.target.template,
            "window": self.window / SECOND,
            "cases": len(cases),
            "controls": looked.controls,
            "before": rows[: bounds.shown],
            "cut": "; ".join(cut) or None,
        }


def _firsts(found: Sequence[Occurrence], window: int) -> list[Occurrence]:
    """Of those that come one after the other on the same hosts, the first."""
    last: dict[tuple[str, ...], int] = {}
    firsts = []
    for each in found:
        if each.hosts:
            if each.time - last.get(each.hosts, each.time - window - 1) > window:
                firsts.append(each)
            last[each.hosts] = each.time
    return firsts


@define(eq=False)
class _Seen:
    """A template that was seen in windows.

    :ivar leads: how long before the messages that are asked about, in nanoseconds.
    """

    example: Row
    cases: int = 0
    controls: int = 0
    hosts: set[str] = field(factory=set)
    leads: list[int] = field(factory=list)


class _Looked:
    """What was seen before, and in windows that are no different but for what followed."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._seen: dict[str, _Seen] = {}
        self.cases = self.controls = 0
        self.is_cut = False

    def look(self, case: Occurrence, window: int, others: Sequence[str], most: int) -> Study[None]:
        """Look at what came before one message."""
        own = {*case.hosts}
        case_place = ("", 0)
        # Hosts of one job are one place.
        places: dict[tuple[str, int], dict[str, tuple[Row, int, str]]] = {case_place: {}}
        places |= {("", each): {} for each in _CONTROLS} | {(other, 0): {} for other in others}

        def take(row: Row, stream: StreamKey) -> None:
            host = stream[HOST] or ""
            lead = case.time - row.time
            place = places.get(("" if host in own else host, (lead - 1) // window))
            if place is not None and row.position != case.row.position and not is_of_a_job(row):
                place.setdefault(template_of(row.text, host), (row, lead, host))

        for hosts, windows in ((case.hosts, max(_CONTROLS) + 1), (others, 1)):
            if hosts:
                matcher = Matcher("hostname", "=", tuple(hosts))
                begin = case.time - windows * window
                selection = Selection((case.cluster,), begin=begin, end=case.time, matchers=(matcher,))
                self.is_cut |= yield from each_row(selection, most, take)
        self.cases += 1
        self.controls += len(places) - 1
        for place, templates in places.items():
            for template, (row, lead, host) in templates.items():
                seen = self._seen.setdefault(template, _Seen(row))
                if place == case_place:
                    seen.cases += 1
                    seen.example = row
                    seen.hosts.add(host)
                    seen.leads.append(lead)
                else:
                    seen.controls += 1

    def ranked(self) -> list[dict[str, Any]]:
        """Templates that come before more often than without, those least by chance first."""
        more = {
            template: seen
            for template, seen in self._seen.items()
            if seen.cases * self.controls > seen.controls * self.cases and template != self._target.template
        }
        whole = self.cases + self.controls
        chances = [
            chance_of_overlap(whole, seen.cases + seen.controls, self.cases, seen.cases)
            for seen in more.values()
        ]
        qs = corrected([*chances, *[1.0] * (len(self._seen) - len(more))])
        rows: list[dict[str, Any]] = []
        for (template, seen), chance, q in zip(more.items(), chances, qs, strict=False):
            usual = (seen.controls + 0.5) / (self.controls + 1)
            rows.append(
                {
                    "template": template,
                    "cases": seen.cases,
                    "controls": seen.controls,
                    "support": seen.cases / self.cases,
                    "lift": round(seen.cases / self.cases / usual, 3),
                    "p": chance,
                    "q": q,
                    "is_significant": q <= SIGNIFICANT,
                    "lead": sorted(seen.leads)[len(seen.leads) // 2] / SECOND,
                    "hosts": folded(sorted(seen.hosts)),
                    "example": shown_row(seen.example),
                }
            )
        rows.sort(key=lambda row: (row["p"], -row["lift"], row["template"]))
        return rows
