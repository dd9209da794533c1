"""What came before messages of one kind, on the same host, and how often it comes without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import define, field, frozen

from ccstore.insight.before_windows import Case, Windows
from ccstore.insight.describing import folded, shown_row
from ccstore.insight.neighbours import Neighbours
from ccstore.insight.occurrences import Occurrence, Target
from ccstore.insight.statistics_of_counts import SIGNIFICANT, chance_of_overlap, corrected
from ccstore.insight.study import Study, values_of
from ccstore.insight.topology import Topology
from ccstore.instants import show_moment
from ccstore.masking import template_of
from ccstore.query import Row
from ccstore.timing import SECOND

#: Other hosts that are looked at in the same window.
_OTHERS: Final = 2
#: Cases that are looked at in one go: few, then many times more, as it is known what they take.
_TIMES_MORE: Final = 8


@frozen
class BeforeBounds:
    """How much is looked at, and shown.

    :ivar found: messages that are asked about; ``cases`` of them are looked at, evenly over all.
    :ivar hosts: of one of these, if it is about a job or many hosts, likewise evenly.
    :ivar rows: of a stream in a window before one of them.
    :ivar effort: what there is to look at before all of them, as in how many rows; fewer of them are looked
        at where it takes more.
    """

    found: int = 20_000
    cases: int = 100
    hosts: int = 128
    rows: int = 2000
    effort: int = 50_000
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
        cases, has_more = yield from self._looked_at(firsts)
        looked = _Looked(self.target)
        for case in cases:
            looked.add(case)
        rows = looked.ranked()
        cut = []
        if is_cut:
            cut.append(f"the newest {bounds.found} messages were looked at")
        if len(cases) < len(firsts):
            cut.append(
                f"of {len(firsts)} times it came, {len(cases)} were looked at, evenly over all of them"
            )
        if any(len(case.hosts) < len(case.asked.hosts) for case in cases):
            cut.append(f"of more than {bounds.hosts} hosts of one message, {bounds.hosts} were looked at")
        if has_more:
            cut.append(
                f"of windows with more than {bounds.rows} messages of one stream, the newest were looked at"
            )
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

    def _looked_at(self, firsts: Sequence[Occurrence]) -> Study[tuple[list[Case], bool]]:
        """As many cases as it takes no more than it may, the newest first; and whether windows have more.

        Those that are looked at first are already evenly spread.
        """
        bounds = self.bounds
        places = spread(len(firsts), bounds.cases)
        neighbours: dict[str, Neighbours] = {}
        for cluster in sorted({firsts[place].cluster for place in places}):
            known = yield from values_of("hostname", cluster=cluster)
            neighbours[cluster] = Neighbours(known, self.topology, _OTHERS)
        cases: dict[int, Case] = {}
        spent, has_more, step = 0, False, 1
        while len(cases) < len(places) and step:
            some = places[len(cases) : len(cases) + step]
            for place in some:
                asked = firsts[place]
                # Many hosts have no rack.
                others = neighbours[asked.cluster].of(*asked.hosts) if len(asked.hosts) == 1 else ()
                hosts = [asked.hosts[each] for each in sorted(spread(len(asked.hosts), bounds.hosts))]
                cases[place] = Case(asked, hosts, others)
            effort, is_cut = yield from Windows([cases[place] for place in some], self.window).look(
                bounds.rows
            )
            spent += effort
            has_more |= is_cut
            left = max(0, bounds.effort - spent)
            step = min(_TIMES_MORE * len(cases), left * len(cases) // max(1, spent))
        return [cases[place] for place in sorted(cases, reverse=True)], has_more


def spread(count: int, most: int) -> list[int]:
    """Which of so many are looked at, if only some are: evenly over all, as are the first of them."""
    number = min(count, most)
    bits = max(0, number - 1).bit_length()
    # Numbers whose bits are read from behind fill the gaps between those before.
    order = [int(f"{place:0{bits}b}"[::-1], 2) for place in range(1 << bits)] if number else []
    return [place * count // number for place in order if place < number]


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

    def add(self, case: Case) -> None:
        """Count what was seen in the windows of a case."""
        self.cases += 1
        self.controls += len(case.controls)
        for template, (row, lead, host) in case.before.items():
            seen = self._seen.setdefault(template, _Seen(row))
            seen.cases += 1
            seen.example = row
            seen.hosts.add(host)
            seen.leads.append(lead)
        for control in case.controls:
            for template, said in control.items():
                self._seen.setdefault(template, _Seen(said.row)).controls += 1

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
