"""What single messages tell of jobs: payloads of ``start_job`` and ``stop_job``, and fields as sacct has.

A payload is a JSON object, or ``Key=Value`` words as ``scontrol show job`` and Slurm's job completion have
them. Keys are matched without regard to case and underscores.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timezone
from functools import lru_cache
from typing import Any, Final

from attrs import frozen

from ccstore import hostlist
from ccstore.instants import parse_moment
from ccstore.message import StreamKey
from ccstore.query import STREAM_LABELS
from ccstore.timing import SECOND

#: Hosts of one job; what names more tells of none.
_MOST_HOSTS: Final = 10_000
#: Nanoseconds by which a job may begin or end after the message that says so: what is later is a plan.
_AHEAD: Final = 3600 * SECOND
_WORD: Final = re.compile(r"([A-Za-z][A-Za-z_]{0,40})=(\S*)")
_LIMIT: Final = re.compile(r"(?:([0-9]{1,5})-)?([0-9]{1,5})(?::([0-9]{1,2}))?(?::([0-9]{1,2}))?")
_ID: Final = re.compile(r"([0-9]{1,18})(?:_([0-9]{1,9})|\+([0-9]{1,9}))?(?:\..*)?")
#: What is called in several ways, the first of which that says something counts.
_CALLED: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("jobid", "jobidraw"),
    "number": ("jobidraw",),
    "user": ("user", "username", "userid"),
    "project": ("project", "account"),
    "partition": ("partition",),
    "cluster": ("cluster", "clustername"),
    "state": ("jobstate", "state", "state.current"),
    "start": ("starttime", "start", "time.start"),
    "stop": ("stoptime", "endtime", "end", "time.end"),
    "duration": ("duration", "elapsedraw", "time.elapsed"),
    "walltime": ("walltime", "timelimit", "time.limit"),
    "hosts": ("resources", "nodelist", "nodes", "hosts", "hostlist"),
    "count": ("numnodes", "nnodes", "nodecnt", "allocnodes", "allocationnodes"),
    "name": ("metadata.jobname", "jobname", "name"),
    "array": ("arrayjobid", "array.jobid"),
    "task": ("arraytaskid", "array.taskid", "array.taskid.number"),
    "het": ("hetjobid", "packjobid", "het.jobid"),
    "offset": ("hetjoboffset", "packjoboffset", "het.joboffset"),
}
_NOTHING: Final = ("", "unknown", "none", "(null)", "none assigned", "n/a", "unlimited", "4294967294")
#: States after which a job is over, as Slurm and cc-backend call them.
FINAL: Final = frozenset(
    (
        *("completed", "failed", "cancelled", "canceled", "timeout", "out_of_memory", "node_fail"),
        *("preempted", "boot_fail", "deadline", "revoked", "stopped"),
    )
)
#: States in which a job has its end still before it, so that what is told of that is a plan.
_OPEN: Final = ("pending", "configuring", "running", "suspended", "resizing", "signaling")


@frozen(kw_only=True)
class JobRecord:
    """What is told of a job, by whatever tells of it.

    :ivar walltime: seconds that it may take.
    :ivar hosts: in the order in which they are named; none, if they are not.
    :ivar count: how many nodes it has, as far as that is told.
    :ivar array: the id of the array that it is a task of; ``het`` that of the heterogeneous job.
    """

    cluster: str
    id: str
    state: str | None = None
    user: str | None = None
    project: str | None = None
    partition: str | None = None
    name: str | None = None
    walltime: int | None = None
    hosts: tuple[str, ...] = ()
    count: int | None = None
    array: str | None = None
    task: str | None = None
    het: str | None = None
    offset: str | None = None


@frozen(kw_only=True)
class JobFact(JobRecord):
    """What one message tells of a job.

    :ivar time: of the message, in nanoseconds, as ``start`` and ``stop`` of the job are.
    :ivar teller: the host of the message; empty if it has none.
    :ivar is_stop: it is over.
    :ivar is_own: ``id`` is the number of this job alone, and not that of all tasks or components.
    """

    time: int
    teller: str
    is_stop: bool
    is_own: bool = True
    start: int | None = None
    stop: int | None = None


def name_of(record: JobRecord) -> str:
    """What a job is called: ``12_3`` as a task, ``12+1`` as a component, or its id."""
    if record.array is not None and record.task is not None:
        return f"{record.array}_{record.task}"
    if record.het is not None and record.offset is not None:
        return f"{record.het}+{record.offset}"
    return record.id


def is_about(record: JobRecord, job: str) -> bool:
    """Whether it is about this job, array or heterogeneous job; also ``12_3`` and ``12+1``."""
    return job in (record.id, record.array, record.het, name_of(record))


def job_fact(stream: StreamKey, othertags: str | None, time: int, text: str) -> JobFact | None:
    """What a message tells of a job; None if that is nothing."""
    fields = {key: value for key, value in _fields_of(text) if value is not None}
    given = {name: _first(fields, keys) for name, keys in _CALLED.items()}
    found = _ID.fullmatch(_text(given["id"]) or "")
    if found is None:
        return None
    number = _ID.fullmatch(_text(given["number"]) or "") or found
    labels = dict(zip(STREAM_LABELS, stream, strict=True))
    function = _tag(othertags, "function")
    state = _text(_first_of(given["state"]))
    state = state.split(" ")[0].lower() if state is not None else None
    start, stop, is_stop = _times(given, function, state, time)
    hosts = _hosts(given["hosts"])
    if not hosts and function == "start_job" and labels["hostname"]:
        hosts = (labels["hostname"],)
    return JobFact(
        cluster=labels["cluster"] or _text(given["cluster"]) or "",
        id=number[1],
        is_own=not (number[2] or number[3]),
        time=time,
        teller=labels["hostname"] or "",
        is_stop=is_stop,
        start=start,
        stop=stop if is_stop else None,
        user=_text(given["user"]),
        project=_text(given["project"]),
        partition=_text(given["partition"]),
        name=_text(given["name"]),
        state=state,
        walltime=_limit(given["walltime"]),
        hosts=hosts,
        count=_seconds(given["count"]) or len(hosts) or None,
        array=_id_of_all(given["array"]) or (found[1] if found[2] else None),
        task=_number(given["task"]) or found[2],
        het=_id_of_all(given["het"]) or (found[1] if found[3] else None),
        offset=_number(given["offset"]) or found[3],
    )


def _times(
    given: Mapping[str, Any], function: str | None, state: str | None, time: int
) -> tuple[int | None, int | None, bool]:
    """When it began and ended (ns), and whether it has ended."""
    start, stop = moment_of(given["start"]), moment_of(given["stop"])
    if start is not None and start > time + _AHEAD:
        start = None
    is_over = state in FINAL or function == "stop_job"
    duration = _seconds(given["duration"])
    if stop is None and start is not None and duration and is_over:
        stop = start + duration * SECOND
    if not is_over and function != "start_job":
        has_ended = state not in _OPEN and stop is not None and stop <= time + _AHEAD
        return start, stop if has_ended else None, has_ended
    return start, stop, is_over and function != "start_job"


def _fields_of(text: str) -> Iterator[tuple[str, Any]]:
    """Keys in small letters, of objects in it with a dot between both, and values."""
    if text.startswith("{"):
        try:
            read = json.loads(text)
        except (ValueError, RecursionError):
            return
        for key, value in read.items():
            yield _plain(key), value
            if isinstance(value, dict):
                for inner, each in value.items():
                    yield f"{_plain(key)}.{_plain(inner)}", each
    elif "=" in text:
        for key, value in _WORD.findall(text):
            yield _plain(key), value


def _plain(key: str) -> str:
    return key.replace("_", "").replace("-", "").lower()


def _first(fields: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    for key in keys:
        value = fields.get(key)
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
            (value,) = value
        if isinstance(value, dict):
            # Numbers in the JSON of newer Slurms.
            value = value.get("number") if value.get("set", True) else None
        if value is not None and str(value).strip().lower() not in _NOTHING:
            return value
    return None


def _first_of(value: Any) -> Any:
    """Of a list, as newer Slurms have it for states, what comes first: the others are flags."""
    return value[0] if isinstance(value, list) and value else value


def _tag(othertags: str | None, key: str) -> str | None:
    if not othertags or f'"{key}"' not in othertags:
        return None
    value: str | None = json.loads(othertags).get(key)
    return value


def _text(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    # scontrol writes users with their numbers: me(1000).
    return re.sub(r"\([0-9]+\)$", "", str(value))


def _id_of_all(value: Any) -> str | None:
    """The id of an array or a heterogeneous job; Slurm has 0 for what is in none."""
    text = _text(value)
    return None if text == "0" else text


def _number(value: Any) -> str | None:
    text = _text(value)
    return text if text is not None and text.isascii() and text.isdigit() else None


def _seconds(value: Any) -> int | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**40:
        return int(value)
    return int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,12}", value) else None


def moment_of(value: Any) -> int | None:
    """A time of a payload in nanoseconds: a number or a text, in UTC; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or value in (0, "0"):
        return None
    try:
        return parse_moment(str(int(value)) if isinstance(value, float) else str(value), 0, timezone.utc)
    except (ValueError, OverflowError):
        return None


def _limit(value: Any) -> int | None:
    """Seconds: a number, or as Slurm shows a time, ``1-02:03:04``; its minutes are ``mm``, ``mm:ss``."""
    if isinstance(value, (int, float)):
        return _seconds(value)
    found = _LIMIT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    days, first, second, third = (int(part or 0) for part in found.groups())
    if found[1] is not None or found[4] is not None:
        return ((days * 24 + first) * 60 + second) * 60 + third
    return first * 60 + second if found[3] is not None else first


def _hosts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return _expanded(value)
    if not isinstance(value, list):
        return ()
    found: dict[str, None] = {}
    for each in value:
        name = each.get("hostname") if isinstance(each, dict) else each
        if isinstance(name, str) and name:
            found[name] = None
    return tuple(found)


@lru_cache(256)
def _expanded(text: str) -> tuple[str, ...]:
    """The hosts of a list; many messages of a job have the same."""
    try:
        return tuple(hostlist.expand(text, most=_MOST_HOSTS))
    except ValueError:
        return ()
