"""Finding what messages tell of a job."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from attrs import evolve

from ccstore.insight.job_facts import JobFact, is_about, job_fact, name_of
from ccstore.insight.job_runs import JobRun, runs_of
from ccstore.insight.study import Study, each_row, page_of
from ccstore.message import INT64_MAX, INT64_MIN, StreamKey
from ccstore.query import Matcher, Row, Selection, TextCondition
from ccstore.regex import quote
from ccstore.timing import SECOND

#: An id as it may be asked for: of a job, a task of an array, a component of a heterogeneous job.
ID: Final = re.compile(r"([0-9]{1,18})(?:[_+][0-9]{1,9})?")
#: Keys of payloads before the id of a job, for a text that is not read yet.
_KEYS: Final = r"""(?i)(job_?id|jobidraw)["']?\s*[:=]"""
#: How long (ns) before a time jobs that run then may have begun.
LONGEST_JOB: Final = 3 * 86400 * SECOND
#: Messages with the number of a job in them, and those of other jobs among which a near one is looked for.
_MOST: Final = 5000
_MOST_NEAR: Final = 500
#: Names in one expression.
_MOST_NAMED: Final = 200
_IS_LIST: Final = re.compile(r"""(?i)list["']?\s*[:=]\s*["']?[\w,.-]+\[""")
#: Up to so many hosts are looked for one by one, since that is soon done.
_MOST_LOOKED_FOR: Final = 3


def facts_of(cluster: str | None, job: str, now: int) -> Study[tuple[list[JobFact], bool]]:
    """What the newest messages tell of a job and its parts, and whether there are more of them.

    :param cluster: None for any.
    :param now: nanoseconds.
    """
    number = job.replace("+", "_").partition("_")[0]
    # LIKE, which makes no difference between small and capital letters, is soon done.
    has_number = TextCondition("contains", number, ignores_case=True)
    texts = (has_number, TextCondition("matches", rf"\b{number}(_|\b)"))
    found, is_cut = yield from _facts(_events(cluster, texts), _MOST)
    facts = [fact for fact in found if number in (fact.id, fact.array, fact.het)]
    # Messages of tasks and components need not name the job that these are of.
    parts = [fact for fact in facts if fact.id != number and is_about(fact, job)]
    more, is_more = yield from _rest_of(cluster, parts, now)
    return [*facts, *more], is_cut or is_more


def facts_between(
    cluster: str | None,
    texts: Sequence[TextCondition],
    most: int,
    *,
    begin: int = INT64_MIN,
    end: int = INT64_MAX + 1,
    matchers: Sequence[Matcher] = (),
) -> Study[tuple[list[JobFact], bool]]:
    """What the newest messages of a time (ns) whose texts meet conditions tell of any jobs."""
    selection = evolve(_events(cluster, (*texts, IS_OF_JOB), begin, end), matchers=tuple(matchers))
    return (yield from _facts(selection, most))


def _facts(selection: Selection, most: int) -> Study[tuple[list[JobFact], bool]]:
    """What the first messages of a selection tell of jobs, and whether there are more than ``most``."""
    found: list[JobFact] = []

    def take(row: Row, stream: StreamKey) -> None:
        fact = job_fact(stream, row.othertags, row.time, row.text)
        if fact is not None:
            found.append(fact)

    is_cut = yield from each_row(selection, most, take)
    return found, is_cut


def _naming(hosts: Collection[str]) -> Iterator[list[TextCondition]]:
    """Conditions of which one is met by each text that names one of these hosts."""
    if len(hosts) <= _MOST_LOOKED_FOR:
        for host in hosts:
            yield [TextCondition("contains", host, ignores_case=True)]
    elif len(hosts) <= _MOST_NAMED:
        yield [TextCondition("matches", "|".join(map(quote, hosts)))]
    else:
        yield []


def _are_lists(cluster: str, end: int) -> Study[bool]:
    """Whether the newest events of jobs before a time (ns) have their hosts as lists with brackets."""
    page = yield from page_of(evolve(_events(cluster, (IS_OF_JOB,), INT64_MIN, end), limit=_MOST_NEAR))
    return any(_IS_LIST.search(row.text) is not None for row in page.rows)


def nearest_job(cluster: str | None, job: str) -> Study[str | None]:
    """The id of a job like this one, of those that messages told of last."""
    facts, _ = yield from facts_between(cluster, (), _MOST_NEAR)
    return _nearest(job, {fact.id for fact in facts})


def _nearest(job: str, known: Collection[str]) -> str | None:
    near = difflib.get_close_matches(job, known, 1, 0.6)
    return near[0] if near else max(known, key=lambda each: (len(each), each), default=None)


def _events(
    cluster: str | None,
    texts: Sequence[TextCondition],
    begin: int = INT64_MIN,
    end: int = INT64_MAX + 1,
) -> Selection:
    clusters = () if cluster is None else (cluster,)
    return Selection(clusters, ("event",), begin, end, texts=tuple(texts))


#: Met by texts that tell of a job, and by few others.
IS_OF_JOB: Final = TextCondition("matches", _KEYS)


def runs_on(
    cluster: str, hosts: Collection[str], begin: int, end: int, now: int
) -> Study[tuple[list[JobRun], bool]]:
    """The runs of jobs that began in a time (ns) on some of these hosts, the newest first.

    The second is whether there are more messages of them than were looked at. Of runs that may have ended by
    ``now``, the end is looked for as well.
    """
    wanted = {*hosts}
    facts: list[JobFact] = []
    is_cut = False
    conditions = [*_naming(hosts)]
    if conditions != [[]] and (yield from _are_lists(cluster, end)):
        # With brackets, in which hosts are not found by their names.
        conditions.append([TextCondition("contains", part, ignores_case=True) for part in ("list", "[")])
    for texts in conditions:
        more, is_more = yield from facts_between(cluster, texts, _MOST, begin=begin, end=end)
        facts += [fact for fact in more if not wanted.isdisjoint(fact.hosts)]
        is_cut |= is_more
    more, is_more = yield from _rest_of(cluster, facts, now)
    facts += more
    is_cut |= is_more
    runs = [run for run in runs_of(facts, now) if not wanted.isdisjoint(run.hosts)]
    return runs, is_cut


def _rest_of(cluster: str | None, facts: Sequence[JobFact], now: int) -> Study[tuple[list[JobFact], bool]]:
    """What else later messages tell of jobs of whose runs not all are known to have ended by ``now`` (ns).

    Starts as well as ends: an end belongs to the start before it, which may be on other hosts. The second is
    whether there are more messages of them than were looked at.
    """
    open_runs = [run for run in runs_of(facts, now) if run.ending != "stopped"]
    jobs = {(run.cluster, name) for run in open_runs for name in (run.id, name_of(run))}
    names = sorted({name for _, name in jobs})

    def is_wanted(fact: JobFact) -> bool:
        return not jobs.isdisjoint(((fact.cluster, fact.id), (fact.cluster, name_of(fact))))

    begin = min((fact.time for fact in facts if is_wanted(fact)), default=0)
    found: list[JobFact] = []
    is_cut = False
    for start in range(0, len(names), _MOST_NAMED):
        named = "|".join(map(quote, names[start : start + _MOST_NAMED]))
        told = TextCondition("matches", rf"""{_KEYS}\s*["']?({named})(\D|$)""")
        more, is_more = yield from facts_between(cluster, [told], _MOST, begin=begin)
        found += filter(is_wanted, more)
        is_cut |= is_more
    return found, is_cut
