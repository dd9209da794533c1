"""What studies found, as their answers have it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ccstore import hostlist
from ccstore.insight.job_runs import JobRun
from ccstore.insight.said import Said
from ccstore.insight.topology import Group
from ccstore.instants import show_moment
from ccstore.message import INT64_MAX, INT64_MIN
from ccstore.query import Row
from ccstore.timing import SECOND

#: Characters of the text of an example.
_LONGEST: Final = 2000


def described(said: Said) -> dict[str, Any]:
    """What was said, for an answer."""
    return {
        "template": said.template,
        "name": said.name,
        "count": said.count,
        "hosts": folded(said.hosts),
        "first": show_moment(said.first),
        "last": show_moment(said.last),
        "example": shown_row(said.example),
    }


def shown_row(row: Row) -> dict[str, str]:
    """A message by its id, and the beginning of its text."""
    return {"id": row.position.encode(), "text": row.text[:_LONGEST]}


def folded(hosts: Iterable[str]) -> dict[str, Any]:
    """Hosts as a list with their number, for an answer."""
    named = [host for host in hosts if host]
    return {"list": hostlist.fold(named), "count": len(named)}


def described_run(run: JobRun) -> dict[str, Any]:
    """A run for an answer; what is not known is left out."""
    is_open = run.ending == "running"
    plain = ("user", "project", "partition", "name", "state", "walltime", "array", "task", "het", "offset")
    return {
        "cluster": run.cluster,
        "id": run.id,
        **{name: value for name in plain if (value := getattr(run, name)) is not None},
        "start": show_moment(max(run.start, INT64_MIN)),
        "end": None if is_open else show_moment(min(run.end, INT64_MAX)),
        "ending": run.ending,
        "seconds": (run.end - run.start) // SECOND,
        "nodes": run.count,
        **({"parts": [*run.parts]} if run.parts else {}),
    }


def described_group(group: Group) -> dict[str, str]:
    """A group of hosts, for an answer."""
    return {"kind": group.kind, "name": group.name}
