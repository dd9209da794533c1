"""The file that says which hosts share a switch or a rack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ccstore.insight.topology import Group
from tests.support.config_case import Load, complete, problem


def test_the_configuration_names_the_file(load: Load, cwd: Path) -> None:
    (cwd / "topology.conf").write_text("SwitchName=s0 Nodes=a[01-02]\n")
    (cwd / "groups.yaml").write_text("racks: {r1: a1}\n")
    (cwd / "wrong.conf").write_text("SwitchName=s0 Nodes=a[01-\n")

    def with_file(name: Any) -> Any:
        return complete(api={"topology": name})

    assert load(with_file("topology.conf")).api.topology.groups_of("a02") == [Group("switch", "s0")]
    assert load(with_file("groups.yaml")).api.topology.groups_of("a1") == [Group("racks", "r1")]
    found = problem(load, with_file("wrong.conf"))
    assert found.startswith("api.topology: got 'wrong.conf', where line 1: Nodes: expected hosts")
    assert found.endswith(
        "expected the path of a topology.conf of Slurm, or of a groups.yaml of ClusterShell"
    )
    assert "expected an existing file" in problem(load, with_file("none.conf"))
    assert "api.topology: got 5" in problem(load, with_file(5))
