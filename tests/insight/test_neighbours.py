from __future__ import annotations

from zlib import crc32

from ccstore.insight.neighbours import Neighbours
from ccstore.insight.topology import ByName, Group


class Counted:
    """Where names say, and how often it was asked."""

    asked = 0

    def groups_of(self, host: str) -> list[Group]:
        self.asked += 1
        return [*ByName().groups_of(host)]


def test_those_of_the_rack_are_near_and_always_the_same() -> None:
    hosts = [f"a{number:04}" for number in (101, 102, 103, 104, 201)]
    neighbours = Neighbours(hosts, ByName(), 2)
    expected = sorted(("a0101", "a0103", "a0104"), key=lambda each: crc32(f"a0102 {each}".encode()))[:2]
    assert neighbours.of("a0102") == expected
    assert neighbours.of("a0102") == expected
    # Whether it is among them itself does not matter.
    assert set(neighbours.of("a0299")) == {"a0201"}


def test_without_a_rack_any_host_is_near() -> None:
    assert sorted(Neighbours(["adm", "login", "mgmt"], ByName(), 2).of("adm")) == ["login", "mgmt"]
    assert not Neighbours(["adm"], ByName(), 2).of("adm")
    alone = Neighbours(["a0101", "adm", "login"], ByName(), 1).of("a0101")
    assert len(alone) == 1


def test_where_a_host_is_gets_asked_once() -> None:
    topology = Counted()
    hosts = [f"a{number:04}" for number in range(101, 151)]
    neighbours = Neighbours(hosts, topology, 2)
    for _ in range(3):
        for host in hosts[:10]:
            neighbours.of(host)
    assert topology.asked == len(hosts) + 10
