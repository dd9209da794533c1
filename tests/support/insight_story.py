"""A small story, and all that can be asked of it: for every backend."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

from ccstore.batch import Batch
from ccstore.insight.before_study import BeforeInquiry
from ccstore.insight.cause_study import CauseInquiry
from ccstore.insight.fold_study import FoldInquiry
from ccstore.insight.job_study import JobInquiry
from ccstore.insight.new_study import NewInquiry
from ccstore.insight.node_study import NodeInquiry
from ccstore.insight.occurrences import Target
from ccstore.insight.study import Inquiry
from ccstore.insight.topology import ByName
from ccstore.message import Message
from ccstore.query import Matcher, Selection, TextCondition
from tests.support.stores import NOW, SECOND, message

HOUR = 3600 * SECOND
BEGIN = NOW - 24 * HOUR
HOSTS = [f"a{number:04}" for number in range(101, 125)]


def story() -> Iterator[Batch]:
    """A day of some nodes with a job and a fault in it, in pieces and in the order of time."""
    pick = random.Random(3)
    lines: list[Message] = []
    for number in range(24 * 12):
        at = BEGIN + number * 300 * SECOND
        for host in pick.sample(HOSTS, 6):
            text = pick.choice((f"check {number} ok", f"session {number} of user{number % 7}"))
            lines.append(_log(host, text, at + pick.randrange(SECOND)))
    for number, host in enumerate(HOSTS[:4]):
        lines.append(_log(host, "EDAC: corrected error 7", BEGIN + 12 * HOUR + number * SECOND))
        lines.append(_log(host, "kernel panic", BEGIN + 12 * HOUR + (120 + number) * SECOND))
        lines.append(
            _log("adm1", f"update_node: node {host} state set to DOWN", BEGIN + 12 * HOUR + 300 * SECOND)
        )
    payload = {
        "jobId": 7,
        "user": "ada",
        "startTime": (BEGIN + 10 * HOUR) // SECOND,
        "resources": [{"hostname": host} for host in HOSTS[:8]],
    }
    stop = {"jobId": 7, "jobState": "node_fail", "stopTime": (BEGIN + 13 * HOUR) // SECOND}
    lines.append(_job("start_job", payload, BEGIN + 10 * HOUR))
    lines.append(_job("stop_job", stop, BEGIN + 13 * HOUR))
    lines.sort(key=lambda each: each.time)
    for start in range(0, len(lines), 400):
        yield Batch.of(lines[start : start + 400])


def _log(host: str, text: str, at: int) -> Message:
    return message(text, at, "log", name="syslog", hostname=host)


def _job(function: str, payload: Any, at: int) -> Message:
    return message(json.dumps(payload), at, hostname="adm1", function=function)


def inquiries() -> Sequence[Inquiry[Any]]:
    """All kinds of them."""
    panic = Selection(("alex",), texts=(TextCondition("contains", "panic", True),))
    target, by_template = Target(panic), Target(Selection(), "kernel panic")
    day = (BEGIN, NOW + 1, NOW)
    return (
        JobInquiry("alex", "7", NOW, ByName()),
        JobInquiry(None, "7", NOW, ByName(), shows_all=True),
        JobInquiry("alex", "8", NOW, ByName()),
        NodeInquiry("alex", HOSTS[0], *day, ByName()),
        NodeInquiry(None, HOSTS[20], *day, ByName(), at=BEGIN + 11 * HOUR),
        NodeInquiry("alex", "nobody", *day, ByName()),
        BeforeInquiry(target, 600 * SECOND, ByName()),
        BeforeInquiry(by_template, 60 * SECOND, ByName()),
        FoldInquiry(Selection(), 3600 * SECOND),
        FoldInquiry(Selection(begin=BEGIN + HOUR + 7, end=NOW - HOUR - 7), 600 * SECOND, "rare", 2),
        FoldInquiry(Selection(matchers=(Matcher("hostname", "=", HOSTS[:3]),)), 3600 * SECOND, "newest"),
        FoldInquiry(panic, 3600 * SECOND, "first"),
        NewInquiry(Selection(begin=BEGIN + 12 * HOUR), "store", 3600 * SECOND),
        NewInquiry(Selection(begin=BEGIN + 12 * HOUR), "host", 3600 * SECOND, "count", 3),
        CauseInquiry(target, 300 * SECOND, NOW, ByName()),
        CauseInquiry(by_template, 300 * SECOND, NOW, ByName(), is_whole=True),
    )


def without_ids(found: Any) -> Any:
    """An answer without the ids of messages, which are each store's own."""
    if isinstance(found, dict):
        is_message = "text" in found
        return {key: without_ids(each) for key, each in found.items() if not (is_message and key == "id")}
    return [without_ids(each) for each in found] if isinstance(found, list) else found
