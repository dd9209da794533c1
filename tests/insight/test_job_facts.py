"""What single messages tell of jobs, and the runs that are made of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccstore.insight.job_facts import JobFact, job_fact
from ccstore.insight.job_runs import chosen, runs_of

S = 10**9
AT = 1_767_229_200 * S  # 2026-01-01T01:00:00Z
STREAM = ("alex", "event", "job", "adm1", "node", None, None, None)


def fact(text: str | dict[str, Any], function: str | None = None, at: int = AT) -> JobFact:
    tags = None if function is None else json.dumps({"function": function})
    found = job_fact(STREAM, tags, at, text if isinstance(text, str) else json.dumps(text))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            {"jobId": 1, "user": "ada", "numNodes": 2, "startTime": AT // S, "walltime": 60,
             "resources": [{"hostname": "a1"}, {"hostname": "a2"}], "metaData": {"jobName": "x"}},
            {"id": "1", "user": "ada", "start": AT, "walltime": 60, "hosts": ("a1", "a2"), "name": "x",
             "count": 2},
        ),
        (
            "JobId=2 JobName=x UserId=ada(1000) Account=hpc Partition=main JobState=TIMEOUT "
            "TimeLimit=1-02:00:00 StartTime=2026-01-01T00:00:00 EndTime=2026-01-01T01:00:00 "
            "NodeList=a[01-03] NodeCnt=3",
            {"id": "2", "user": "ada", "project": "hpc", "state": "timeout", "walltime": 93600,
             "is_stop": True, "start": AT - 3600 * S, "stop": AT, "hosts": ("a01", "a02", "a03")},
        ),
        (
            {"job_id": 3, "user": "ada", "account": "hpc", "nodes": "a[1-2]",
             "state": {"current": ["COMPLETED"]},
             "time": {"start": AT // S - 60, "end": AT // S, "limit": {"set": True, "number": 60}},
             "array": {"job_id": 9, "task_id": {"set": True, "number": 4}}, "het": {"job_id": 0}},
            {"id": "3", "state": "completed", "stop": AT, "hosts": ("a1", "a2"), "array": "9", "task": "4"},
        ),
        ({"JobID": "12_3", "State": "CANCELLED by 1000", "NodeList": "None assigned", "Start": "Unknown"},
         {"id": "12", "array": "12", "task": "3", "state": "cancelled", "hosts": (), "start": None}),
        ({"JobID": "12+1.batch", "Elapsed": "x"}, {"id": "12", "het": "12", "offset": "1", "is_stop": False}),
        # The clock of who sends it is wrong, or it is a plan.
        ({"jobId": 1, "startTime": AT // S + 86400}, {"start": None}),
        ({"jobId": 1, "startTime": 0, "resources": "a[1-", "walltime": True}, {"start": None, "hosts": ()}),
    ],
)  # fmt: skip
def test_fields(text: Any, expected: dict[str, Any]) -> None:
    found = fact(text)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '{"a": 1}', "jobId", '{"jobId": true}', '{"jobId": "x"}', "a=b"]
)
def test_what_is_about_no_job(text: str) -> None:
    assert job_fact(STREAM, None, AT, text) is None


def test_an_end_belongs_to_what_began_last_before_it() -> None:
    facts = [
        fact({"jobId": 1, "startTime": AT // S, "resources": [{"hostname": "a1"}]}, "start_job"),
        fact({"jobId": 1, "jobState": "preempted", "stopTime": AT // S + 60}, "stop_job", AT + 61 * S),
        fact({"jobId": 1, "startTime": AT // S + 600}, "start_job", AT + 600 * S),
    ]
    newest, first = runs_of(facts, AT + 700 * S)
    assert (first.start, first.end, first.ending, first.state) == (AT, AT + 60 * S, "stopped", "preempted")
    assert (newest.start, newest.ending) == (AT + 600 * S, "running")
    assert chosen([newest, first], "1", start=AT, at=None) == [first]
    assert chosen([newest, first], "1", start=None, at=AT + 30 * S) == [first]
    assert chosen([newest, first], "1", start=None, at=AT + 100 * S) == []


@pytest.mark.parametrize(
    ("now", "ending", "seconds"),
    [(AT + 1800 * S, "running", 1800), (AT + 4000 * S, "running", 4000), (AT + 90_000 * S, "lost", 3600)],
)
def test_a_start_without_an_end(now: int, ending: str, seconds: int) -> None:
    (run,) = runs_of([fact({"jobId": 1, "startTime": AT // S, "walltime": 3600}, "start_job")], now)
    assert (run.ending, (run.end - run.start) // S) == (ending, seconds)


def test_an_end_without_a_start() -> None:
    (run,) = runs_of([fact({"jobId": 1, "jobState": "failed", "stopTime": AT // S}, "stop_job")], AT + S)
    assert (run.start, run.end, run.state, run.hosts) == (AT, AT, "failed", ())
    told = {"jobId": 1, "startTime": AT // S - 60, "duration": 30, "jobState": "failed"}
    (run,) = runs_of([fact(told, "stop_job")], AT + S)
    assert (run.start, run.end) == (AT - 60 * S, AT - 30 * S)


@pytest.mark.parametrize(
    ("state", "seconds", "ending"),
    [
        ("RUNNING", 86400, "running"),
        ("SUSPENDED", 60, "running"),
        ("RUNNING", -60, "running"),
        ("REQUEUED", -60, "stopped"),
        ("COMPLETING", 0, "stopped"),
        ("COMPLETING", 86400, "running"),
        ("COMPLETED", 0, "stopped"),
        (None, 86400, "running"),
        (None, 0, "stopped"),
    ],
)
@pytest.mark.parametrize("is_json", [True, False])
def test_an_end_of_a_job_that_is_not_over_is_a_plan(
    is_json: bool, state: str | None, seconds: int, ending: str
) -> None:
    start, end = AT // S - 3600, AT // S + seconds
    words = f"JobId=920 StartTime={start} EndTime={end} NodeList=r[1-2] TimeLimit=1-00:00:00"
    payload = {
        "job_id": 920,
        "start_time": {"set": True, "number": start},
        "end_time": {"set": True, "number": end},
        "nodes": "r[1-2]",
        "job_state": [state, "REBOOT"],
    }
    (run,) = runs_of([fact(payload if is_json else f"{words} JobState={state or ''}")], AT + 60 * S)
    assert (run.ending, run.hosts) == (ending, ("r1", "r2"))
    assert run.end == (AT + 60 * S if ending == "running" else end * S)


def test_a_job_that_waits_has_not_begun() -> None:
    waiting = fact(f"JobId=1 JobState=PENDING StartTime={AT // S + 60} EndTime={AT // S + 99}")
    (run,) = runs_of([waiting], AT)
    assert run.ending == "running"
    started = fact({"jobId": 1, "startTime": AT // S + 7200}, "start_job", AT + 7200 * S)
    (run,) = runs_of([waiting, started], AT + 7300 * S)
    assert (run.start, run.ending) == (AT + 7200 * S, "running")


def test_a_task_by_its_own_number_and_by_that_of_its_array() -> None:
    start = {"jobId": 600, "arrayJobId": 600, "arrayTaskId": 0, "startTime": AT // S}
    facts = [fact({**start, "jobId": 600 + task, "arrayTaskId": task}, "start_job") for task in range(2)]
    facts.append(fact({"JobID": "600_1", "State": "FAILED", "End": AT // S + 60}))
    facts.append(fact({"jobId": 600, "jobState": "completed", "stopTime": AT // S + 30}, "stop_job"))
    first, second = runs_of(facts, AT + 90 * S)
    assert (first.id, first.task, first.end, first.state) == ("600", "0", AT + 30 * S, "completed")
    assert (second.id, second.task, second.end, second.state) == ("601", "1", AT + 60 * S, "failed")
    told = fact({"JobID": "600_1", "JobIDRaw": "601", "State": "FAILED"})
    assert (told.id, told.array, told.task, told.is_own) == ("601", "600", "1", True)


def test_each_node_tells_of_itself() -> None:
    facts = [
        fact({"jobId": 1, "resources": [{"hostname": f"a{number}"}]}, "start_job", AT + number * S)
        for number in range(3)
    ]
    (run,) = runs_of(facts, AT + 60 * S)
    assert (run.hosts, run.start) == (("a0", "a1", "a2"), AT)


def test_times_that_no_database_can_have() -> None:
    times = f'"startTime": 1e400, "stopTime": {10**30}, "walltime": {2**39}'
    text = f'{{"jobId": 1, {times}, "resources": [5, {{}}]}}'
    (run,) = runs_of([fact(text, "start_job")], AT)
    assert (run.start, run.end, run.hosts) == (AT, AT, ("adm1",))
    (run,) = runs_of([fact(text, "start_job")], 2**63 - 1)
    assert run.end == 2**63 - 1
