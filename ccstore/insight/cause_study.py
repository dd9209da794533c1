"""What the hosts of a burst have in common: a rack, a switch, a job, a user."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from ccstore import hostlist
from ccstore.insight.describing import folded, shown_row
from ccstore.insight.job_lookup import LONGEST_JOB, runs_on
from ccstore.insight.job_runs import JobRun
from ccstore.insight.occurrences import Occurrence, Target
from ccstore.insight.statistics_of_counts import SIGNIFICANT, chance_of_overlap
from ccstore.insight.study import Study, heard_hosts
from ccstore.insight.topology import Group, Topology
from ccstore.instants import show_moment
from ccstore.masking import template_of
from ccstore.timing import SECOND

#: How long (ns) before a burst the hosts there are had been heard.
_HEARD: Final = 24 * 3600 * SECOND
#: A burst goes on as long as there are so great a part of the hosts of its peak, and so many times more than
#: half of the time.
_PART_OF_PEAK: Final = 0.2
_TIMES_USUAL: Final = 2
_NOTHING: Final[Mapping[str, Any]] = {
    "burst": None,
    "bursts": 0,
    "population": 0,
    "everybody": False,
    "causes": [],
}
#: Of a cluster of which so great a part is touched, all of it is.
_EVERYBODY: Final = 0.9
_NUMBER: Final = re.compile("[0-9]+")


@frozen
class CauseBounds:
    """How much is looked at, and shown."""

    found: int = 30_000
    shown: int = 20


@frozen
class CauseInquiry:
    """A question: what the hosts of a burst of messages have in common.

    :ivar window: nanoseconds; a burst is where so long a time has messages of the most hosts, with what is
        around it as far as there are nearly as many.
    :ivar is_whole: all messages of the selection are one burst.
    """

    target: Target
    window: int
    now: int
    topology: Topology
    is_whole: bool = False
    bounds: CauseBounds = CauseBounds()

    def study(self) -> Study[Mapping[str, Any]]:
        """The answer."""
        bounds = self.bounds
        found, is_cut = yield from self.target.found(bounds.found)
        cut = [f"the newest {bounds.found} messages were looked at"] if is_cut else []
        burst, bursts = (found, 1) if self.is_whole else burst_of(found, self.window)
        if not burst:
            return {**_NOTHING, "cut": None}
        cluster = _most_frequent(each.cluster for each in burst)
        touched = {host for each in burst if each.cluster == cluster for host in each.hosts}
        begin, end = burst[0].time, burst[-1].time + 1
        population = {*(yield from heard_hosts(cluster, begin - _HEARD, end)), *touched}
        groups = _members(population, self.topology)
        is_everybody = len(touched) >= _EVERYBODY * len(population) and len(population) > 1
        if not is_everybody:
            hosts = sorted(touched)
            runs, are_more = yield from runs_on(cluster, hosts, begin - LONGEST_JOB, begin + 1, self.now)
            if are_more:
                cut.append("more messages of jobs name these hosts than were looked at")
            _add_jobs(groups, [run for run in runs if run.start <= begin <= run.end], population)
        causes = [*_ranked(groups, touched, population), *_range_of_hosts(touched, population)]
        order = ("p_corrected", "outside", "hosts", "kind", "name")
        causes.sort(key=lambda row: [row[key] for key in order])
        if len(causes) > bounds.shown:
            cut.append(f"the first {bounds.shown} of {len(causes)} groups")
        return {
            "burst": _described_burst(burst, touched, cluster),
            "bursts": bursts,
            "population": len(population),
            "everybody": is_everybody,
            "causes": causes[: bounds.shown],
            "cut": "; ".join(cut) or None,
        }


def burst_of(found: Sequence[Occurrence], window: int) -> tuple[Sequence[Occurrence], int]:
    """The burst with the most hosts, and how many times there is one."""
    slots: dict[int, list[Occurrence]] = {}
    for each in found:
        slots.setdefault(each.time // window, []).append(each)
    if not slots:
        return (), 0
    hosts = {slot: len({host for each in told for host in each.hosts}) for slot, told in slots.items()}
    peak = max(slots, key=lambda slot: (hosts[slot], len(slots[slot]), slot))
    usual = sorted(hosts.values())[(len(hosts) - 1) // 2] if len(hosts) > 2 else 0
    least = max(_PART_OF_PEAK * hosts[peak], min(_TIMES_USUAL * usual, hosts[peak]), 1)
    high = sorted(slot for slot in slots if hosts[slot] >= least)
    runs: list[list[int]] = []
    for slot in high:
        if runs and slot == runs[-1][-1] + 1:
            runs[-1].append(slot)
        else:
            runs.append([slot])
    (chosen,) = [run for run in runs if peak in run]
    return [each for slot in chosen for each in slots[slot]], len(runs)


def _most_frequent(names: Iterable[str]) -> str:
    counted: dict[str, int] = {}
    for name in names:
        counted[name] = counted.get(name, 0) + 1
    return max(counted, key=lambda name: (counted[name], name))


def _members(hosts: Iterable[str], topology: Topology) -> dict[Group, set[str]]:
    groups: dict[Group, set[str]] = {}
    for host in hosts:
        for group in topology.groups_of(host):
            groups.setdefault(group, set()).add(host)
    return groups


def _add_jobs(groups: dict[Group, set[str]], runs: Iterable[JobRun], population: set[str]) -> None:
    for run in runs:
        for kind, name in (("job", run.id), ("user", run.user), ("project", run.project)):
            if name:
                groups.setdefault(Group(kind, name), set()).update(population.intersection(run.hosts))


def _ranked(
    groups: Mapping[Group, set[str]], touched: set[str], population: set[str]
) -> list[dict[str, Any]]:
    """Groups that explain which hosts are touched, the one that is least by chance first."""
    rows = []
    for group, members in groups.items():
        inside = members & touched
        if len(inside) < 2:
            continue
        rows.append(_described_group(group, members, touched, population, len(groups)))
    return rows


def _described_group(
    group: Group, members: set[str], touched: set[str], population: set[str], tried: int
) -> dict[str, Any]:
    """How many of a group are touched.

    :param tried: groups, of which one may well fit by chance.
    """
    inside = members & touched
    chance = chance_of_overlap(len(population), len(members), len(touched), len(inside))
    corrected = min(1.0, chance * tried)
    return {
        "kind": group.kind,
        "name": group.name,
        "hosts": len(members),
        "touched": len(inside),
        "outside": len(touched) - len(inside),
        "untouched": folded(sorted(members - touched)),
        "p": chance,
        "p_corrected": corrected,
        "is_significant": corrected <= SIGNIFICANT,
    }


def _in_their_order(host: str) -> tuple[str, int, str]:
    """Those that only differ in a number stand together, and follow each other."""
    return _NUMBER.sub("", host), len(host), host


def _range_of_hosts(touched: set[str], population: set[str]) -> list[dict[str, Any]]:
    """Hosts that follow each other by their names, of which the most are touched."""
    hosts = sorted(filter(_NUMBER.search, population), key=_in_their_order)
    if not hosts:
        return []
    worth = len(touched.intersection(hosts)) / len(hosts)
    best, best_span, total, begin = 0.0, (0, 0), 0.0, 0
    for place, host in enumerate(hosts):
        if total <= 0:
            total, begin = 0.0, place
        total += (host in touched) - worth
        if total > best:
            best, best_span = total, (begin, place + 1)
    members = {*hosts[slice(*best_span)]}
    if len(members & touched) < 2:
        return []
    group = Group("range", hostlist.fold(sorted(members)))
    return [_described_group(group, members, touched, population, len(hosts) * (len(hosts) + 1) // 2)]


def _described_burst(burst: Sequence[Occurrence], touched: set[str], cluster: str) -> dict[str, Any]:
    first = burst[0]
    return {
        "cluster": cluster,
        "template": template_of(first.row.text, first.host),
        "count": len(burst),
        "hosts": folded(sorted(touched)),
        "first": show_moment(first.time),
        "last": show_moment(burst[-1].time),
        "example": shown_row(first.row),
    }
