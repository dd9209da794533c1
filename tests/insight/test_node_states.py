"""What messages tell of the state of a node, and when one is silent."""

from __future__ import annotations

import pytest

from ccstore.insight.node_states import StateFact, history, hosts_named, state_facts
from ccstore.insight.silences import habit_of, is_boot, silences_of

S = 10**9
AT = 1_767_229_200 * S  # 2026-01-01T01:00:00Z


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("update_node: node a0101 state set to DRAINED", ("drained", None, None)),
        ("update_node: node a0101 reason set to: bad disk", (None, "bad disk", None)),
        ("drain_nodes: node a0101 state set to DRAIN", ("drain", None, None)),
        ("error: Nodes a[0100-0103] not responding, setting DOWN", ("down", None, None)),
        ("error: Nodes a0101,a0104 not responding", ("not responding", None, None)),
        ("Node a0101 now responding", ("idle", None, None)),
        ("node a0101 returned to service", ("idle", None, None)),
        ("Node a0101 unexpectedly rebooted boot_time=5 last response=4", ("rebooted", None, None)),
        (
            "NodeName=a0101 Arch=x86_64 State=DOWN*+DRAIN Reason=Not responding [slurm@2026-01-01T00:00:00]",
            ("down+drain", "Not responding", "slurm"),
        ),
        (
            '{"hostname": "a0101", "state": "IDLE+DRAIN", "reason": "fan", "user": "eve"}',
            ("idle+drain", "fan", "eve"),
        ),
        ('{"nodes": [{"hostname": "a0101", "states": ["mixed", "drain"]}]}', ("mixed+drain", None, None)),
    ],
)
def test_states(text: str, expected: tuple[str | None, ...]) -> None:
    (found,) = state_facts("a0101", "adm1", "slurmctld", None, AT, text)
    assert (found.state, found.reason, found.by) == expected


@pytest.mark.parametrize(
    "text",
    [
        "update_node: node a0102 state set to DRAINED",
        "error: Nodes a[0102-0103] not responding",
        '{"nodes": [{"hostname": "a0102", "states": ["idle"]}]}',
        '{"nodes": "a0101"}',
        '{"jobId": 5, "state": "running", "hostname": "a0101"}',
        "NodeName=a0102 State=IDLE",
        "the state of a0101 is unknown to me",
        "{",
    ],
)
def test_what_is_about_no_state_of_this_node(text: str) -> None:
    assert state_facts("a0101", "adm1", "slurmctld", None, AT, text) == []


def test_a_node_tells_of_itself() -> None:
    tags = '{"reason": "new fan", "state": "DRAINED", "user": "eve"}'
    (found,) = state_facts("a0101", "a0101", "nodestate", tags, AT, "")
    assert found == StateFact(AT, "drained", "new fan", "eve")
    (found,) = state_facts("a0101", "a0101", "maintenance", None, AT, "drained for a new disk")
    assert (found.state, found.reason) == ("drained", "a new disk")


def test_what_is_told_again_is_one_state() -> None:
    facts = [
        StateFact(AT, None, "bad disk"),
        StateFact(AT + S, "drained"),
        StateFact(AT + 60 * S, "drained"),
        StateFact(AT + 90 * S, "idle"),
        StateFact(AT + 100 * S, "down"),
        StateFact(AT + 101 * S, None, "no power", "eve"),
    ]
    down, idle, drained = history(facts)
    assert (drained.since, drained.until, drained.reason) == (AT + S, AT + 90 * S, "bad disk")
    assert (idle.state, idle.reason, idle.until) == ("idle", None, AT + 100 * S)
    assert (down.until, down.reason, down.by) == (None, "no power", "eve")


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("error: Nodes a[01-03] not responding, setting DOWN", ["a01", "a02", "a03"]),
        ("update_node: node a01 state set to DRAINED", ["a01"]),
        ("error: Nodes a[01- not responding", []),
        ("nothing of nodes", []),
    ],
)
def test_hosts_that_a_state_is_of(text: str, hosts: list[str]) -> None:
    assert hosts_named(text) == hosts


def test_silences_are_longer_than_usual() -> None:
    times = [AT + number * 60 * S for number in range(100)]
    times += [times[-1] + 3600 * S + number * 60 * S for number in range(10)]
    habit = habit_of(times)
    assert habit is not None
    assert (habit.median, habit.threshold) == (60 * S, 600 * S)
    (silence,) = silences_of(times, habit, times[-1] + 300 * S)
    assert ((silence.end or 0) - silence.begin) // S == 3600
    lasting, _ = silences_of(times, habit, times[-1] + 700 * S)
    assert lasting.end is None
    assert habit_of(times[:5]) is None


def test_starts() -> None:
    assert is_boot("Linux version 5.14.0-362.el9 (mock@x)")
    assert is_boot("systemd[1]: Startup finished in 3s")
    assert not is_boot("this is Linux")
