"""What there is to know of one node: its jobs, its states, its silences, and what it alone says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from attrs import evolve, frozen

from ccstore.insight.describing import (
    described,
    described_group,
    described_run,
    folded,
    shown_row,
)
from ccstore.insight.job_lookup import LONGEST_JOB, runs_on
from ccstore.insight.job_runs import JobRun
from ccstore.insight.node_states import (
    ABOUT_STATES,
    StateFact,
    StatePeriod,
    history,
    is_unavailable,
    state_facts,
)
from ccstore.insight.said import HOST, NAME, Tally
from ccstore.insight.silences import Habit, Silence, habit_of, is_boot, silences_of
from ccstore.insight.study import Study, each_row, heard_hosts, page_of, values_of
from ccstore.insight.topology import Group, Topology
from ccstore.instants import show_moment
from ccstore.message import StreamKey
from ccstore.query import Matcher, Row, Selection, TextCondition
from ccstore.timing import SECOND

_HOUR: Final = 3600 * SECOND
#: A job is lost with its node if it ends no longer (ns) after the node is gone, or has no end at all.
_LOST: Final = 600 * SECOND
_LOST_STATES: Final = ("failed", "cancelled", "canceled")
#: These say that it was a node.
_BY_NODE: Final = ("node_fail", "boot_fail")
#: Hosts with which it is compared, if there is a group with so many.
_FEW: Final = 3
#: Of a cluster that is silent by so great a part, no node is silent by itself.
_MOST_SILENT: Final = 0.5


@frozen
class NodeBounds:
    """How much is looked at, and shown.

    :ivar rows: of the node itself; ``others`` of its rack, in the last day.
    :ivar shown: jobs, states, silences and reboots, and templates.
    :ivar last: messages before a silence or a reboot.
    """

    rows: int = 40_000
    others: int = 40_000
    states: int = 10_000
    shown: int = 50
    silences: int = 5
    last: int = 5


@frozen
class NodeInquiry:
    """A question: what there is to know of a node.

    :ivar cluster: None for the one that the newest message of the host is of.
    :ivar begin: since when (ns), and until when: ``end``.
    :ivar at: only the jobs that ran then.
    """

    cluster: str | None
    host: str
    begin: int
    end: int
    now: int
    topology: Topology
    at: int | None = None
    bounds: NodeBounds = NodeBounds()

    def study(self) -> Study[Mapping[str, Any]]:
        """The answer; ``is_known`` says whether anything was ever heard of the node."""
        cluster = self.cluster
        if cluster is None:
            page = yield from page_of(Selection(matchers=(Matcher("hostname", "=", self.host),), limit=1))
            if page.rows:
                cluster = page.streams[page.rows[0].stream][0]
            else:
                # Others may tell of one that says nothing itself.
                clusters = yield from values_of("cluster", 2)
                cluster = clusters[0] if len(clusters) == 1 else None
            if cluster is None:
                return {"is_known": False}
        return (yield from _NodeStory(self, cluster).told())


class _NodeStory:
    """Tells of one node."""

    def __init__(self, inquiry: NodeInquiry, cluster: str) -> None:
        self._asked = inquiry
        self._cluster = cluster
        self._bounds = inquiry.bounds
        self._cut: list[str] = []
        self._own = Tally()
        self._times: list[int] = []
        self._boots: list[Row] = []

    def told(self) -> Study[Mapping[str, Any]]:
        """The answer."""
        asked, shown = self._asked, self._bounds.shown
        yield from self._look()
        runs = yield from self._runs()
        periods = history((yield from self._facts()))
        habit = habit_of(self._times)
        silences = [] if habit is None else (yield from self._silences(habit))
        is_known = bool(self._times or runs or periods)
        if not is_known:
            any_time = evolve(self._selection(), begin=Selection().begin, end=Selection().end)
            is_known = bool((yield from page_of(evolve(any_time, limit=1))).rows)
        ran = runs if asked.at is None else [run for run in runs if run.start <= asked.at < run.end]
        for name, rows in (("jobs", ran), ("states", periods)):
            if len(rows) > shown:
                self._cut.append(f"{name}: the newest {shown} of {len(rows)}")
        return {
            "is_known": is_known,
            "cluster": self._cluster,
            "host": asked.host,
            "groups": [*map(described_group, asked.topology.groups_of(asked.host))],
            "first": show_moment(self._times[0]) if self._times else None,
            "last": show_moment(self._times[-1]) if self._times else None,
            "count": len(self._times),
            "state": _described_period(periods[0], runs, asked.now) if periods else None,
            "jobs": [described_run(run) for run in ran[:shown]],
            "states": [_described_period(each, runs, asked.now) for each in periods[:shown]],
            "habit": None if habit is None else _described_habit(habit),
            "silences": silences,
            "reboots": (yield from self._reboots()),
            "alone": (yield from self._alone()),
            "cut": "; ".join(self._cut) or None,
        }

    def _selection(self) -> Selection:
        asked = self._asked
        matchers = (Matcher("hostname", "=", asked.host),)
        return Selection((self._cluster,), begin=asked.begin, end=asked.end, matchers=matchers)

    def _look(self) -> Study[None]:
        """Its own messages, the newest first."""

        def take(row: Row, stream: StreamKey) -> None:
            self._times.append(row.time)
            if row.time > self._times[0] - 24 * _HOUR:
                self._own.take(row, stream)
            if is_boot(row.text):
                self._boots.append(row)

        if (yield from each_row(self._selection(), self._bounds.rows, take)):
            self._cut.append(f"it has more than {self._bounds.rows} messages: older ones were not looked at")
        self._times.reverse()

    def _runs(self) -> Study[Sequence[JobRun]]:
        asked = self._asked
        begin, end = asked.begin, min(asked.end, asked.now)
        if asked.at is not None:
            # What is only told when it has ended comes later.
            begin, end = min(begin, asked.at), min(end, asked.at + LONGEST_JOB)
        runs, is_cut = yield from runs_on(self._cluster, [asked.host], begin - LONGEST_JOB, end, asked.now)
        if is_cut:
            self._cut.append("jobs: more messages name the node than were looked at")
        return [run for run in runs if run.end >= begin]

    def _facts(self) -> Study[list[StateFact]]:
        """What messages of all hosts tell of its state."""
        asked = self._asked
        found: list[StateFact] = []

        def take(row: Row, stream: StreamKey) -> None:
            name, own = stream[NAME] or "", stream[HOST]
            found.extend(state_facts(asked.host, own, name, row.othertags, row.time, row.text))

        about = TextCondition("matches", ABOUT_STATES)
        # LIKE, which makes no difference between small and capital letters, is soon done.
        naming = TextCondition("contains", asked.host, ignores_case=True)
        lists = [TextCondition("contains", part, ignores_case=True) for part in ("nodes ", "[")]
        everywhere = Selection((self._cluster,), begin=asked.begin, end=asked.end, texts=(naming, about))
        in_lists = evolve(everywhere, kinds=("log",), texts=(*lists, about))
        own = evolve(self._selection(), texts=(about, TextCondition("lacks", asked.host)))
        for selection in (everywhere, in_lists, own):
            if (yield from each_row(selection, self._bounds.states, take)):
                self._cut.append("states: more messages tell of states than were looked at")
        return found

    def _silences(self, habit: Habit) -> Study[list[dict[str, Any]]]:
        asked = self._asked
        end = min(asked.end, asked.now)
        found = silences_of(self._times, habit, end)
        most = self._bounds.silences
        if len(found) > most:
            self._cut.append(f"silences: the newest {most} of {len(found)}")
        told = []
        for silence in found[:most]:
            until = end if silence.end is None else silence.end
            told.append(
                {
                    "from": show_moment(silence.begin),
                    "to": None if silence.end is None else show_moment(silence.end),
                    "seconds": (until - silence.begin) // SECOND,
                    "shared": (yield from self._shared(silence, until)),
                    "before": (yield from self._last_before(silence.begin + 1)),
                }
            )
        return told

    def _shared(self, silence: Silence, until: int) -> Study[dict[str, Any]]:
        """How many hosts of the cluster were silent as well, of those that had been heard before."""
        middle = (silence.begin + until) // 2
        quarter = (until - silence.begin) // 4
        heard = []
        for begin, end in (
            (silence.begin - (until - silence.begin), silence.begin + 1),
            (middle - quarter, middle + quarter),
        ):
            heard.append((yield from heard_hosts(self._cluster, begin, end)))
        before, during = heard
        silent = len(before.keys() - during.keys())
        return {
            "silent": silent,
            "hosts": len(before),
            "is_maintenance": len(before) > 1 and silent > _MOST_SILENT * len(before),
        }

    def _last_before(self, time: int) -> Study[list[dict[str, Any]]]:
        """Its last messages before a time (ns), the oldest first."""
        selection = evolve(self._selection(), begin=Selection().begin, end=time, limit=self._bounds.last)
        page = yield from page_of(selection)
        return [{"time": show_moment(row.time), **shown_row(row)} for row in reversed(page.rows)]

    def _reboots(self) -> Study[list[dict[str, Any]]]:
        told: list[dict[str, Any]] = []
        last: int | None = None
        for row in self._boots:
            # A start says several of these things.
            if last is not None and last - row.time < _LOST:
                told.pop()
            last = row.time
            told.append({"time": show_moment(row.time), **shown_row(row), "at": row.time})
        if len(told) > self._bounds.silences:
            self._cut.append(f"reboots: the newest {self._bounds.silences} of {len(told)}")
        del told[self._bounds.silences :]
        for each in told:
            each["before"] = yield from self._last_before(each.pop("at"))
        return told

    def _alone(self) -> Study[dict[str, Any]]:
        """Templates of its last day that nobody else in its rack has."""
        asked = self._asked
        if not self._own.said:
            return {"group": None, "hosts": folded(()), "templates": []}
        end = self._times[-1] + 1
        begin = max(asked.begin, end - 24 * _HOUR)
        heard = yield from heard_hosts(self._cluster, begin, end)
        group, found = _mates(asked.host, heard, asked.topology)
        mates: list[str] = []
        left = self._bounds.others
        for host in found:
            left -= heard[host]
            if left < 0:
                self._cut.append(f"alone: compared with {len(mates)} of {len(found)} hosts")
                break
            mates.append(host)
        others = Tally()
        if mates:
            selection = evolve(
                self._selection(), begin=begin, end=end, matchers=(Matcher("hostname", "=", tuple(mates)),)
            )
            yield from each_row(selection, self._bounds.others, others.take)
        only = [said for template, said in self._own.said.items() if template not in others.said]
        only.sort(key=lambda said: (-said.count, said.template))
        shown = only[: self._bounds.shown] if mates else []
        return {
            "group": None if group is None else described_group(group),
            "hosts": folded(mates),
            "templates": [*map(described, shown)],
        }


def _mates(host: str, heard: Iterable[str], topology: Topology) -> tuple[Group | None, Sequence[str]]:
    """Its rack, or else the smallest of its groups with a few hosts, and the others there."""
    smallest_first = topology.groups_of(host)[::-1]
    groups = sorted(smallest_first, key=lambda group: not group.kind.startswith("rack"))
    best: tuple[Group | None, Sequence[str]] = None, ()
    for group in groups:
        mates = sorted(each for each in heard if each != host and group in topology.groups_of(each))
        if len(mates) >= _FEW:
            return group, mates
        if len(mates) > len(best[1]):
            best = group, mates
    return best


def _described_period(period: StatePeriod, runs: Sequence[JobRun], now: int) -> dict[str, Any]:
    until = now if period.until is None else period.until
    lost = [run for run in runs if _is_lost(run, period)] if is_unavailable(period.state) else []
    return {
        "state": period.state,
        "since": show_moment(period.since),
        "until": None if period.until is None else show_moment(period.until),
        "seconds": (until - period.since) // SECOND,
        "reason": period.reason,
        "by": period.by,
        "lost": [run.id for run in lost],
    }


def _is_lost(run: JobRun, period: StatePeriod) -> bool:
    """Whether a job ran as its node was lost, and did not end well."""
    # Ends are told in whole seconds: what takes the node away may be logged a part of one later.
    if not run.start <= period.since < run.end + SECOND or (
        "drain" in period.state and "down" not in period.state
    ):
        return False
    if run.ending != "stopped":
        return run.ending in ("lost", "restarted")
    if run.state in _BY_NODE:
        return True
    return run.end <= period.since + _LOST and run.state in _LOST_STATES


def _described_habit(habit: Habit) -> dict[str, float]:
    return {
        "median": habit.median / SECOND,
        "usual": habit.usual / SECOND,
        "threshold": habit.threshold / SECOND,
    }
