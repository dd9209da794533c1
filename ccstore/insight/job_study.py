"""The story of a job: what its nodes said in its time, and what of that was unusual."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from zlib import crc32

from attrs import evolve, frozen

from ccstore.insight.describing import described, described_run, folded
from ccstore.insight.job_facts import is_about
from ccstore.insight.job_lookup import facts_of, nearest_job
from ccstore.insight.job_runs import JobRun, as_one, chosen, runs_of
from ccstore.insight.said import SLOT, Said, Tally, is_bad
from ccstore.insight.statistics_of_counts import SIGNIFICANT, chance_of, corrected
from ccstore.insight.study import Study, each_row, heard_hosts, page_of, values_of
from ccstore.insight.topology import Topology
from ccstore.instants import show_moment
from ccstore.message import INT64_MAX, INT64_MIN, StreamKey
from ccstore.query import Matcher, Row, Selection
from ccstore.timing import SECOND

_HOUR: Final = 3600 * SECOND
#: What comes within this time (ns) after the end of a job is its own: its nodes clean up, or are found dead.
_AFTERWARDS: Final = 60 * SECOND
#: How long (ns) before a job its nodes are looked at: so many times as long as it ran, within these bounds.
_TIMES_BEFORE: Final = 4
_LEAST_BEFORE: Final = 24 * _HOUR
_MOST_BEFORE: Final = 7 * 24 * _HOUR
_MOST_PHASES: Final = 100
_MOST_RUNS: Final = 50
_MOST_PLACES: Final = 300
#: A template is unusual if its rate is so many times that of before, and that of others; and significant,
#: unless it was seen nowhere else.
_TIMES_MORE: Final = 2.0


@frozen
class Bounds:
    """How many rows a story may look at.

    :ivar here: of the job itself; ``before`` of its nodes before it, and ``others`` of other nodes.
    :ivar hosts: of these.
    :ivar shown: rows of the timeline, and of what was unusual.
    """

    here: int = 40_000
    before: int = 20_000
    others: int = 40_000
    hosts: int = 300
    shown: int = 200


@frozen
class JobInquiry:
    """A question: what happened in a job.

    :ivar cluster: None for any.
    :ivar start: the run that began then (ns), or the one that ran ``at`` a time; else the newest.
    :ivar now: the present time in nanoseconds.
    :ivar shows_all: the timeline has what other nodes said as well, too.
    """

    cluster: str | None
    job: str
    now: int
    topology: Topology
    start: int | None = None
    at: int | None = None
    shows_all: bool = False
    bounds: Bounds = Bounds()

    def study(self) -> Study[Mapping[str, Any]]:
        """The answer; without ``job`` if there is none, and with the ``nearest`` id instead."""
        facts, is_cut = yield from facts_of(self.cluster, self.job, self.now)
        runs = [run for run in runs_of(facts, self.now) if is_about(run, self.job)]
        parts = chosen(runs, self.job, start=self.start, at=self.at)
        if not parts:
            nearest = None if runs else (yield from nearest_job(self.cluster, self.job))
            return {"job": None, "nearest": nearest, "runs": [*map(described_run, runs[:20])]}
        told = {*parts}
        others = [run for run in runs if run not in told]
        return (yield from _Story(self, as_one(parts, self.job)).told(others, is_cut))


class _Story:
    """Tells of one run."""

    def __init__(self, inquiry: JobInquiry, run: JobRun) -> None:
        self._inquiry = inquiry
        self._bounds = inquiry.bounds
        self._run = run
        self._begin = run.start
        self._end = min(run.end + _AFTERWARDS, INT64_MAX)
        self._here, self._before, self._others = Tally(), Tally(), Tally()
        self._cut: list[str] = []
        self._compared: dict[str, Any] = {}

    def told(self, others: Sequence[JobRun], is_cut: bool) -> Study[Mapping[str, Any]]:
        """The answer.

        :param others: runs of the same job.
        :param is_cut: there may be more of them.
        """
        run = self._run
        if is_cut:
            self._cut.append(
                "there are more messages with this number than were looked at: older runs are missing"
            )
        if run.hosts:
            yield from self._look_here()
            if not self._here.rows and (yield from self._rename()):
                yield from self._look_here()
            yield from self._look_before()
            yield from self._look_at_others()
        else:
            self._cut.append("no message tells which hosts the job had")
        phases = yield from self._phases()
        timeline, hidden = self._timeline()
        unusual = self._unusual()
        most = self._bounds.shown
        for name, rows in (("timeline", timeline), ("unusual", unusual)):
            if len(rows) > most:
                self._cut.append(f"{name}: the first {most} of {len(rows)} templates")
        if len(others) > _MOST_RUNS:
            self._cut.append(f"runs: the newest {_MOST_RUNS} of {len(others)}")
        return {
            "job": self._named(described_run(run)),
            "hosts": folded(self._run.hosts),
            "told_by": {
                "hosts": folded(sorted(filter(None, run.tellers))),
                "without_host": "" in run.tellers,
                "from": show_moment(run.first_told),
                "to": show_moment(run.last_told),
            },
            "timeline": timeline[:most],
            "hidden": hidden,
            "unusual": unusual[:most],
            "compared": self._compared,
            "phases": phases,
            "runs": [*map(described_run, others[:_MOST_RUNS])],
            "cut": "; ".join(self._cut) or None,
        }

    # -- looking

    def _selection(self, hosts: Iterable[str], begin: int, end: int, *, newest: bool = False) -> Selection:
        matcher = Matcher("hostname", "=", tuple(hosts))
        return Selection(
            (self._run.cluster,), begin=begin, end=end, matchers=(matcher,), is_newest_first=newest
        )

    def _look_here(self) -> Study[None]:
        run, tally = self._run, self._here
        ends = _Ends()
        selection = self._selection(run.hosts, self._begin, self._end)
        if (yield from each_row(selection, self._bounds.here, ends.watch(tally))):
            self._end = ends.last + 1
            self._cut.append(
                f"the job has more than {self._bounds.here} messages: what came after"
                f" {show_moment(ends.last)} was not looked at"
            )
        tally.hours = len(run.hosts) * (self._end - self._begin) / _HOUR

    def _rename(self) -> Study[bool]:
        """Take the names by which messages are known, where these have domains or the job's have."""
        known: dict[str, list[str]] = {}
        for name in (yield from values_of("hostname")):
            known.setdefault(name.partition(".")[0], []).append(name)
        own = self._run.hosts
        found = [name for host in own for name in known.get(host.partition(".")[0], [host])]
        if found == [*own]:
            return False
        self._run = evolve(self._run, hosts=tuple(dict.fromkeys(found)))
        return True

    def _phases(self) -> Study[list[str]]:
        """When its pace changed, as a receiver of the type eecpt found."""
        matchers = (Matcher("name", "=", "region"), Matcher("stype-id", "=", self._run.id))
        page = yield from page_of(
            Selection(
                (self._run.cluster,),
                ("event",),
                self._begin,
                self._end,
                matchers,
                is_newest_first=False,
                limit=_MOST_PHASES,
            )
        )
        if page.is_cut:
            self._cut.append(f"phases: the first {_MOST_PHASES}")
        return [show_moment(row.time) for row in page.rows]

    def _look_before(self) -> Study[None]:
        """The same nodes, in a time before the job that is several times as long."""
        run = self._run
        span = min(max(_TIMES_BEFORE * (self._end - self._begin), _LEAST_BEFORE), _MOST_BEFORE)
        begin = max(self._begin - span, INT64_MIN)
        first = yield from page_of(
            Selection((run.cluster,), begin=begin, end=self._begin, is_newest_first=False, limit=1)
        )
        if not first.rows:
            self._compared["before"] = {"host_hours": 0, "count": 0}
            return
        begin = max(begin, first.rows[0].time)
        ends = _Ends()
        selection = self._selection(run.hosts, begin, self._begin, newest=True)
        if (yield from each_row(selection, self._bounds.before, ends.watch(self._before))):
            begin = ends.last
        self._before.hours = len(run.hosts) * (self._begin - begin) / _HOUR
        self._compared["before"] = {
            "from": show_moment(begin),
            "to": show_moment(self._begin),
            "host_hours": round(self._before.hours, 3),
            "count": self._before.rows,
        }

    def _look_at_others(self) -> Study[None]:
        """Other nodes in the time of the job: half of them its neighbours, as far as there are any."""
        hosts = yield from self._other_hosts()
        if hosts:
            selection = self._selection(hosts, self._begin, self._end)
            ends = _Ends()
            end = self._end
            if (yield from each_row(selection, self._bounds.others, ends.watch(self._others))):
                end = ends.last + 1
            self._others.hours = len(hosts) * (end - self._begin) / _HOUR
        self._compared["others"] = {
            "hosts": folded(hosts),
            "host_hours": round(self._others.hours, 3),
            "count": self._others.rows,
        }

    def _other_hosts(self) -> Study[Sequence[str]]:
        run, bounds = self._run, self._bounds
        heard = yield from heard_hosts(run.cluster, self._begin, self._end)
        own = {*run.hosts}
        racks = {group for host in run.hosts for group in self._inquiry.topology.groups_of(host)}
        near: list[tuple[int, str, int]] = []
        far: list[tuple[int, str, int]] = []
        for host, messages in heard.items():
            if host not in own:
                is_near = not racks.isdisjoint(self._inquiry.topology.groups_of(host))
                (near if is_near else far).append((crc32(host.encode()), host, messages))
        found: list[str] = []
        for some, part in ((near, 2), (far, 1)):
            # Always the same ones, and as many as the bound allows.
            room, left = (bounds.hosts - len(found)) // part, bounds.others // 2
            for _, host, messages in sorted(some)[:room]:
                left -= messages
                if left < 0 and found:
                    break
                found.append(host)
        return sorted(found)

    # -- telling

    def _named(self, job: dict[str, Any]) -> dict[str, Any]:
        """By the id that was asked for, with its own number if that is another one."""
        asked, number = self._inquiry.job, job["id"]
        return {**job, "id": asked, **({"number": number} if number != asked else {})}

    def _is_background(self, template: str) -> bool:
        """Whether others say it as often: other nodes at the time, or if there are none, the same before."""
        other = self._others if self._others.hours else self._before
        return bool(other.slots(template)) and _TIMES_MORE * other.rate(template) >= self._here.rate(template)

    def _timeline(self) -> tuple[list[dict[str, Any]], Mapping[str, int]]:
        rows, hidden, messages = [], 0, 0
        for said in sorted(self._here.said.values(), key=lambda said: (said.first, said.template)):
            is_background = self._is_background(said.template)
            if is_background and not self._inquiry.shows_all:
                hidden += 1
                messages += said.count
            else:
                rows.append({**described(said), "background": is_background, **_places(said)})
        return rows, {"templates": hidden, "messages": messages}

    def _unusual(self) -> list[dict[str, Any]]:
        """Templates by how surprising they are beside the same nodes before, and other nodes at the time."""
        here, elsewhere = self._here, [each for each in (self._before, self._others) if each.hours]
        if not elsewhere:
            return []
        templates = [*here.said]
        ratios = {each: min(here.compared(each, other) for other in elsewhere) for each in templates}
        chances = {each: chance_of(ratios[each]) for each in templates}
        qs = dict(zip(templates, corrected([chances[each] for each in templates]), strict=True))
        found = []
        for template, ratio in ratios.items():
            is_more = all(here.rate(template) >= _TIMES_MORE * other.rate(template) for other in elsewhere)
            is_new = not any(other.slots(template) for other in elsewhere)
            if not (is_more and ratio > 0 and (is_new or chances[template] <= SIGNIFICANT)):
                continue
            found.append(
                {
                    **described(here.said[template]),
                    "g2": round(ratio, 3),
                    "p": chances[template],
                    "q": qs[template],
                    "is_significant": qs[template] <= SIGNIFICANT,
                    "here": here.figures(template),
                    "before": self._before.figures(template),
                    "others": self._others.figures(template),
                }
            )
        # Of what is as surprising, what says that something is wrong goes first.
        found.sort(key=lambda row: (-row["g2"], not is_bad(here.said[row["template"]]), row["first"]))
        return found


def _places(said: Said) -> dict[str, Any]:
    """On which hosts and when (in seconds, by five minutes) a template was seen, and how often."""
    slots = sorted(said.slots.items(), key=lambda each: (each[0][1], each[0][0]))
    return {
        "places": [[host, slot * SLOT // SECOND, count] for (host, slot), count in slots[:_MOST_PLACES]],
        "more_places": max(0, len(slots) - _MOST_PLACES),
    }


class _Ends:
    """Notes the time of the last row that was taken."""

    def __init__(self) -> None:
        self.last = 0

    def watch(self, tally: Tally) -> Any:
        """Takes a row for a tally."""

        def take(row: Row, stream: StreamKey) -> None:
            self.last = row.time
            tally.take(row, stream)

        return take
