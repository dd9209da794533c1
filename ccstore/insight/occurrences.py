"""Where and when messages of one template came."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from attrs import evolve, frozen

from ccstore.insight.job_facts import JobFact, job_fact
from ccstore.insight.job_lookup import LONGEST_JOB, facts_between
from ccstore.insight.node_states import hosts_named
from ccstore.insight.said import HOST, is_of_a_job
from ccstore.insight.study import Study, each_row
from ccstore.masking import template_of
from ccstore.message import StreamKey
from ccstore.query import Matcher, Row, Selection, TextCondition

_PLACEHOLDER: Final = re.compile(r"<[a-z]+>…?")
_KEY: Final = re.compile(r'"([^"\\]+)":')
#: Parts of a template that are looked for, and characters that they have at least.
_MOST_PARTS: Final = 3
_SHORTEST: Final = 3
#: Jobs that are looked for by their names, and starts among which they are.
_MOST_NAMED: Final = 200
_MOST_STARTS: Final = 20_000


class Occurrence(NamedTuple):
    """One message.

    :ivar time: nanoseconds.
    :ivar host: that it is from.
    :ivar hosts: that it is about: most often that one; those of a job, or those whose state it tells.
    :ivar job: the id of the job that it tells of the beginning or end of.
    """

    time: int
    host: str
    cluster: str
    row: Row
    hosts: tuple[str, ...]
    job: str | None = None


@frozen
class Target:
    """Messages that are asked about: those of a selection, and of a template if one is given."""

    selection: Selection
    template: str | None = None

    def found(self, most: int) -> Study[tuple[list[Occurrence], bool]]:
        """The newest of them, in the order of time, and whether there are more."""
        found: list[Occurrence] = []

        def take(row: Row, stream: StreamKey) -> None:
            host = stream[HOST] or ""
            if self.template is None or template_of(row.text, host) == self.template:
                found.append(_occurrence(row, stream, host))

        texts = (*self.selection.texts, *_parts(self.template or ""))
        selection = evolve(self.selection, texts=texts, is_newest_first=True, limit=None, after=None)
        is_cut = yield from each_row(selection, most, take)
        return (yield from _with_hosts_of_jobs(found[::-1])), is_cut


def _occurrence(row: Row, stream: StreamKey, host: str) -> Occurrence:
    cluster = stream[0] or ""
    if is_of_a_job(row):
        fact = job_fact(stream, row.othertags, row.time, row.text)
        if fact is not None:
            return Occurrence(row.time, host, cluster, row, fact.hosts, fact.id)
    named = hosts_named(row.text)
    return Occurrence(row.time, host, cluster, row, tuple(named) or ((host,) if host else ()))


def _with_hosts_of_jobs(found: list[Occurrence]) -> Study[list[Occurrence]]:
    """The same; the end of a job, which does not tell them, has the hosts that its start has."""
    unknown = {each.job for each in found if each.job is not None and not each.hosts}
    if not unknown:
        return found
    started = (Matcher("function", "=", "start_job"),)
    texts = []
    if len(unknown) <= _MOST_NAMED:
        texts.append(TextCondition("matches", rf"\b({'|'.join(sorted(filter(None, unknown)))})\b"))
    facts, _ = yield from facts_between(
        None,
        texts,
        _MOST_STARTS,
        begin=found[0].time - LONGEST_JOB,
        end=found[-1].time + 1,
        matchers=started,
    )
    starts: dict[tuple[str, str | None], list[JobFact]] = {}
    for fact in sorted(facts, key=lambda fact: fact.time, reverse=True):
        starts.setdefault((fact.cluster, fact.id), []).append(fact)

    def of_start(end: Occurrence) -> tuple[str, ...]:
        # One that was requeued began several times, each time on other hosts.
        began = starts.get((end.cluster, end.job), ())
        return next((start.hosts for start in began if start.time <= end.time), ())

    return [each._replace(hosts=each.hosts or of_start(each)) for each in found]


def _parts(template: str) -> Sequence[TextCondition]:
    """What texts of a template have in any case; of JSON, whose spaces are not in it, the keys."""
    found = _KEY.findall(template) if template.startswith("{") else _PLACEHOLDER.split(template)
    stripped = {part.strip() for part in found}
    parts = sorted(stripped, key=lambda part: (-len(part), part))
    return [
        # LIKE, which makes no difference between small and capital letters, is soon done.
        TextCondition("contains", part, ignores_case=part.isascii())
        for part in parts[:_MOST_PARTS]
        if len(part) >= _SHORTEST
    ]
