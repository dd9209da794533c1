"""Who is silent, and what of it is one thing."""

from __future__ import annotations

from ccstore.senders.habit import Habit
from ccstore.senders.sender import Sender
from ccstore.senders.silence import Look, outages

NOW = 1_000_000.0


def sender(host: str, last: float, *, receiver: str = "tcp", cluster: str = "alex") -> Sender:
    """A host that sent each ten seconds until so many seconds ago."""
    habit = Habit(NOW - last - 1000, NOW - last - 1000)
    for _ in range(100):
        habit.heard(1, habit.last + 10)
    return Sender(cluster, host, receiver, habit)


def look(*senders: Sender) -> Look:
    seen = Look(NOW, NOW - 100_000)
    seen.add(senders)
    return seen


def test_a_host_is_silent_if_it_is_so_at_all_receivers() -> None:
    clusters = look(sender("a1", 500), sender("a1", 5, receiver="udp"), sender("a2", 500)).clusters()
    assert {name: (state.hosts, [*state.silent]) for name, state in clusters.items()} == {"alex": (2, ["a2"])}


def test_a_maintenance_is_one_outage_and_a_single_host_is_none() -> None:
    gone = [sender(f"a{number}", 7200 + number % 60) for number in range(120)]
    others = [sender(f"b{number}", 5) for number in range(7)]
    clusters = look(*gone, *others, sender("c1", 1500)).clusters()
    (outage,) = outages(clusters)
    assert (outage.cluster, len(outage.hosts), outage.of) == ("alex", 120, 128)
    assert outage.since == NOW - 7259
    assert "c1" not in outage.hosts
    assert "c1" in clusters["alex"].silent


def test_two_racks_that_failed_one_after_the_other_are_two() -> None:
    racks = [sender(f"r{rack}n{number}", 1000 + 1000 * rack) for rack in range(2) for number in range(10)]
    running = [sender(f"x{number}", 1) for number in range(50)]
    assert [(len(each.hosts), each.since) for each in outages(look(*racks, *running).clusters())] == [
        (10, NOW - 1000),
        (10, NOW - 2000),
    ]


def test_all_of_a_small_cluster_is_an_outage_and_few_of_a_larger_one_are_not() -> None:
    small = [sender(f"s{number}", 900, cluster="test") for number in range(3)]
    few = [sender(f"a{number}", 900) for number in range(3)]
    found = outages(look(*small, *few, sender("a9", 1)).clusters())
    assert [each.cluster for each in found] == ["test"]


def test_the_worst_clock_of_a_cluster_is_told() -> None:
    ahead, behind = sender("a1", 1), sender("a2", 1)
    ahead.arrived(-30.0, NOW)
    behind.arrived(45.0, NOW)
    (state,) = look(ahead, behind, sender("a3", 1)).clusters().values()
    assert (state.skewed, state.worst_skew) == (2, -45)
