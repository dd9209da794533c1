"""Racks and switches by names, and by the files of Slurm and ClusterShell."""

from __future__ import annotations

import re

import pytest
import yaml

from ccstore.insight.topology import ByName, Group, read_groups_yaml, read_topology_conf


@pytest.mark.parametrize(
    ("host", "groups"),
    [
        ("a0101", "rack a01"),
        ("node123", "rack node1"),
        ("n12", ""),
        ("login", ""),
        ("r01c02n03", "rack r01, chassis r01c02"),
        ("x1000c0s0b0n0", "cabinet x1000, chassis x1000c0, slot x1000c0s0, blade x1000c0s0b0"),
        ("R02-M1-N0-C:J12-U11", "rack R02, midplane R02-M1, group R02-M1-N0, group R02-M1-N0-C:J12"),
        ("f0101.nhr.example.org", "rack f01"),
    ],
)
def test_by_name(host: str, groups: str) -> None:
    found = ByName().groups_of(host)
    assert ", ".join(f"{each.kind} {each.name}" for each in found) == groups


def test_by_the_file_of_slurm() -> None:
    text = """
        # leaves
        SwitchName=s0 Nodes=a[01-02] LinkSpeed=100
        switchname = s1 Nodes=a03,b1
        SwitchName=core Switches=s[0-1]
        BlockName=b1 Nodes=a[01-03]
    """
    topology = read_topology_conf(text)
    assert topology.groups_of("a03") == [Group("switch", "core"), Group("block", "b1"), Group("switch", "s1")]
    assert topology.groups_of("c0101") == (Group("rack", "c01"),)
    for wrong, expected in (
        ("Nodes=a1", "line 1: expected SwitchName=… or BlockName=…, got 'Nodes=a1'"),
        ("\nSwitchName=s Nodes=a[1-", "line 2: Nodes: expected hosts such as"),
        ("SwitchName=s Switches=t\nSwitchName=t Switches=s", "the switch 's' is below itself"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(expected)}"):
            read_topology_conf(wrong)


def test_by_the_file_of_clustershell() -> None:
    text = "racks: {r1: 'a[01-02]', r2: [a03, a04]}\nrows: {all: '@racks:r1,@racks:r2,b1'}"
    topology = read_groups_yaml(yaml.safe_load(text))
    assert topology.groups_of("a04") == [Group("rows", "all"), Group("racks", "r2")]
    assert topology.groups_of("b1") == [Group("rows", "all")]
    for wrong, expected in (
        ({"racks": "a1"}, "expected sources with groups"),
        ({"racks": {"r1": "@r1"}}, "the group 'racks: r1' is a part of itself"),
        ({"racks": {"r1": "@r2"}}, "there is no group 'r2' in 'racks'"),
        ({"racks": {"r1": "a[1-"}}, "racks: r1: expected hosts such as"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(expected)}"):
            read_groups_yaml(wrong)
