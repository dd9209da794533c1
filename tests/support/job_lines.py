"""Lines that nodes and the senders of jobs write, for small stories."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 3600 * SECOND
#: A full hour, two days ago, in nanoseconds.
BEGIN = (int(time.time()) // 3600 - 48) * HOUR


def log(host: str, text: str, at: int, *, name: str = "syslog", cluster: str = "alex", **tags: str) -> bytes:
    """A log of a host as a line."""
    labels = "".join(f",{key}={value}" for key, value in tags.items())
    return f'{name},cluster={cluster},hostname={host}{labels} log="{_escaped(text)}" {at}'.encode()


def event(host: str, text: str, at: int, *, name: str = "event", cluster: str = "alex", **tags: str) -> bytes:
    """An event of a host as a line."""
    labels = "".join(f",{key}={value}" for key, value in tags.items())
    return f'{name},cluster={cluster},hostname={host}{labels} event="{_escaped(text)}" {at}'.encode()


def start_job(job: int, hosts: Sequence[str], at: int, *, cluster: str = "alex", **more: Any) -> bytes:
    """The event that a job has begun, as cc-slurm-adapter sends it."""
    payload = {
        "jobId": job,
        "cluster": cluster,
        "user": "ada",
        "project": "hpc",
        "partition": "main",
        "numNodes": len(hosts),
        "jobState": "running",
        "startTime": at // SECOND,
        "walltime": 86400,
        "resources": [{"hostname": host} for host in hosts],
        "metaData": {"jobName": "simulation"},
        **more,
    }
    return job_event("start_job", payload, at, cluster=cluster)


def stop_job(job: int, at: int, *, state: str = "completed", cluster: str = "alex", **more: Any) -> bytes:
    """The event that it has ended; it has neither its hosts nor its start."""
    payload = {"jobId": job, "cluster": cluster, "jobState": state, "stopTime": at // SECOND, **more}
    return job_event("stop_job", payload, at, cluster=cluster)


def job_event(function: str, payload: Any, at: int, *, cluster: str = "alex", host: str = "adm1") -> bytes:
    """An event of a job with any payload."""
    labels = f"job,cluster={cluster},function={function},hostname={host},type=node,type-id=0"
    return f'{labels} event="{_escaped(json.dumps(payload))}" {at}'.encode()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
