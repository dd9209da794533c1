"""Finding what messages tell of a job."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Sequence
from typing import Final

from ccstore.insight.job_facts import JobFact, job_fact
from ccstore.insight.study import Study, each_row
from ccstore.message import INT64_MAX, INT64_MIN, StreamKey
from ccstore.query import Row, Selection, TextCondition

#: An id as it may be asked for: of a job, a task of an array, a component of a heterogeneous job.
ID: Final = re.compile(r"([0-9]{1,18})(?:[_+][0-9]{1,9})?")
#: Keys of payloads before the id of a job, for a text that is not read yet.
_KEYS: Final = r"""(?i)(job_?id|jobidraw)["']?\s*[:=]"""
#: Messages with the number of a job in them, and those of other jobs among which a near one is looked for.
_MOST: Final = 5000
_MOST_NEAR: Final = 500


def facts_of(cluster: str | None, job: str) -> Study[tuple[list[JobFact], bool]]:
    """What the newest messages tell of a job, and whether there are more of them.

    :param cluster: None for any.
    """
    number = job.replace("+", "_").partition("_")[0]
    found: list[JobFact] = []

    def take(row: Row, stream: StreamKey) -> None:
        fact = job_fact(stream, row.othertags, row.time, row.text)
        if fact is not None and number in (fact.id, fact.array, fact.het):
            found.append(fact)

    # LIKE, which makes no difference between small and capital letters, is soon done.
    has_number = TextCondition("contains", number, ignores_case=True)
    texts = (has_number, TextCondition("matches", rf"\b{number}(_|\b)"))
    is_cut = yield from each_row(_events(cluster, texts), _MOST, take)
    return found, is_cut


def facts_between(
    cluster: str | None,
    texts: Sequence[TextCondition],
    most: int,
    *,
    begin: int = INT64_MIN,
    end: int = INT64_MAX + 1,
) -> Study[tuple[list[JobFact], bool]]:
    """What the newest messages of a time (ns) whose texts meet conditions tell of any jobs."""
    found: list[JobFact] = []

    def take(row: Row, stream: StreamKey) -> None:
        fact = job_fact(stream, row.othertags, row.time, row.text)
        if fact is not None:
            found.append(fact)

    is_cut = yield from each_row(_events(cluster, (*texts, IS_OF_JOB), begin, end), most, take)
    return found, is_cut


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
