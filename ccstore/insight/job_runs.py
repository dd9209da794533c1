"""From what messages tell of a job to when it ran, where, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from attrs import evolve, fields, frozen

from ccstore.insight.job_facts import JobFact, JobRecord, name_of
from ccstore.message import INT64_MAX
from ccstore.timing import SECOND

#: Seconds beyond its walltime for which a job may still be running, and that one without any may take.
_SLACK: Final = 3600
_LONGEST: Final = 7 * 86400
#: Nanoseconds by which two senders may differ about when a job began.
_SAME: Final = 2 * SECOND
#: The same where all that is known is when their messages came.
_SAME_MESSAGE: Final = 60 * SECOND

_WAITING: Final = "pending"

Ending = Literal["stopped", "running", "lost", "restarted"]


@frozen(kw_only=True)
class JobRun(JobRecord):
    """A job from its start to its end.

    :ivar id: its own number, or if that is not known what it is called, as ``12_3``.
    :ivar start: nanoseconds, as ``end``; what is not told is taken from when a message came.
    :ivar ending: how ``end`` is known: a message tells of it; it is still running; nothing was heard of its
        end, which is taken to be that of its walltime; or it began again.
    :ivar parts: ids of the tasks or components that it was put together of.
    :ivar tellers: the hosts of the messages that tell of it, and the times (ns) of the first and the last.
    """

    start: int
    end: int
    ending: Ending
    parts: tuple[str, ...] = ()
    tellers: tuple[str, ...]
    first_told: int
    last_told: int


def overlaps(run: JobRun, begin: int, end: int) -> bool:
    """Whether it ran at any time of this (ns)."""
    return run.start < end and run.end > begin


def runs_of(facts: Iterable[JobFact], now: int) -> list[JobRun]:
    """The runs of all jobs that facts tell of, the newest first.

    :param now: nanoseconds.
    """
    told = [*facts]
    # Ends often have no more than the id, whatever a start says besides.
    ids = {(fact.cluster, name_of(fact)): fact.id for fact in told if fact.is_own}
    by_job: dict[tuple[str, str], list[JobFact]] = {}
    for fact in told:
        name = name_of(fact)
        job = fact.id if fact.is_own else ids.get((fact.cluster, name), name)
        by_job.setdefault((fact.cluster, job), []).append(fact)
    runs = [run for each in by_job.values() for run in _runs_of_one(each, now)]
    runs.sort(key=lambda run: (-run.start, run.cluster, name_of(run)))
    return runs


def _runs_of_one(facts: list[JobFact], now: int) -> list[JobRun]:
    # One that waits has not begun, but it is all that is known of some.
    groups = _by_start([fact for fact in facts if fact.is_stop or fact.state != _WAITING] or facts)
    runs = []
    for place, group in enumerate(groups):
        following = groups[place + 1] if place + 1 < len(groups) else None
        runs.append(_run(group, None if following is None else _start_of(following), now))
    return runs


def _start_of(facts: Sequence[JobFact]) -> int:
    told = [fact.start for fact in facts if fact.start is not None]
    return min(told) if told else min(fact.time for fact in facts)


def _by_start(facts: list[JobFact]) -> list[list[JobFact]]:
    """Facts of the same run together, the oldest run first."""
    groups: list[list[JobFact]] = []
    started = [fact for fact in facts if not (fact.is_stop and fact.start is None)]
    for fact in sorted(started, key=lambda fact: (_start_of([fact]), fact.time)):
        most = _SAME if fact.start is not None else _SAME_MESSAGE
        if groups and _start_of([fact]) - _start_of(groups[-1][:1]) <= most:
            groups[-1].append(fact)
        else:
            groups.append([fact])
    for fact in facts:
        if fact.is_stop and fact.start is None:
            # It ends what began last before it.
            stop = fact.time if fact.stop is None else fact.stop
            before = [group for group in groups if _start_of(group) <= stop]
            if before:
                before[-1].append(fact)
            else:
                groups.insert(0, [fact])
    return groups


def _run(facts: Sequence[JobFact], next_start: int | None, now: int) -> JobRun:
    """One run; what a later message says goes before what an earlier one said."""
    told = sorted(facts, key=lambda fact: (fact.is_stop, fact.time))
    start = _start_of(told)

    def last(name: str) -> object:
        return next((value for fact in reversed(told) if (value := getattr(fact, name))), None)

    stops = [fact for fact in told if fact.is_stop]
    walltime = last("walltime")
    longest = (walltime if isinstance(walltime, int) else _LONGEST) * SECOND
    ending: Ending
    if stops:
        end = max(fact.time if fact.stop is None else fact.stop for fact in stops)
        ending = "stopped"
    elif next_start is not None:
        end, ending = min(next_start, start + longest), "restarted"
    elif now <= start + longest + _SLACK * SECOND:
        end, ending = max(now, start), "running"
    else:
        end, ending = start + longest, "lost"
    told_elsewhere = ("cluster", "id", "hosts")
    known = {each.name: last(each.name) for each in fields(JobRecord) if each.name not in told_elsewhere}
    return JobRun(
        cluster=told[0].cluster,
        id=next((fact.id for fact in told if fact.is_own), name_of(told[0])),
        start=min(start, end),
        end=min(end, INT64_MAX),
        ending=ending,
        hosts=tuple(dict.fromkeys(host for fact in told for host in fact.hosts)),
        tellers=tuple(dict.fromkeys(fact.teller for fact in told)),
        first_told=min(fact.time for fact in told),
        last_told=max(fact.time for fact in told),
        **known,  # type: ignore[arg-type]  # each is what the facts have by that name
    )


def together(runs: Sequence[JobRun], job: str) -> JobRun:
    """Tasks of an array, or components of a heterogeneous job, as one.

    :param job: the id of all of them.
    """
    first = min(runs, key=lambda run: (run.start, run.id))
    hosts = tuple(dict.fromkeys(host for run in runs for host in run.hosts))
    states = sorted({run.state for run in runs if run.state})
    endings = [run.ending for run in runs]
    names = {name_of(run) for run in runs}
    return evolve(
        first,
        id=job,
        end=max(run.end for run in runs),
        ending=next((ending for ending in ("running", "lost") if ending in endings), endings[0]),
        state=", ".join(states) or None,
        hosts=hosts,
        count=len(hosts) or None,
        task=None,
        offset=None,
        parts=() if names == {job} else tuple(sorted(names, key=_in_order)),
        tellers=tuple(dict.fromkeys(teller for run in runs for teller in run.tellers)),
        first_told=min(run.first_told for run in runs),
        last_told=max(run.last_told for run in runs),
    )


def _in_order(name: str) -> list[tuple[int, str]]:
    return [(len(part), part) for part in name.replace("+", "_").split("_")]


def chosen(runs: Sequence[JobRun], job: str, *, start: int | None, at: int | None) -> Sequence[JobRun]:
    """The run that is meant: the newest, unless one that began or ran at a time (ns) is asked for.

    Of a job with tasks or components, its id by itself means all of them that ran in the time of the newest.
    """
    meant = [run for run in runs if _is_meant(run, start, at)]
    newest = max(meant, key=lambda run: run.start, default=None)
    if newest is None or not _is_part(newest, job):
        return [] if newest is None else [newest]
    # It is the first of several that is asked for by its start.
    parts = [run for run in (meant if start is None else runs) if _is_part(run, job)]
    parts = [run for run in parts if run.cluster == newest.cluster]
    if newest.het == job:
        return [run for run in parts if overlaps(run, newest.start - _SAME, newest.end)]
    return [run for run in parts if abs(newest.start - run.start) <= _LONGEST * SECOND]


def as_one(runs: Sequence[JobRun], job: str) -> JobRun:
    """What was chosen for a job, as one run."""
    return together(runs, job) if _is_part(runs[0], job) else runs[0]


def _is_part(run: JobRun, job: str) -> bool:
    """Whether it is one of the tasks or components of this job."""
    return job in (run.array, run.het)


def _is_meant(run: JobRun, start: int | None, at: int | None) -> bool:
    if start is not None:
        return abs(run.start - start) <= _SAME
    return at is None or run.start <= at <= run.end
