"""The file that says which hosts share a switch or a rack: Slurm's, or ClusterShell's."""

from __future__ import annotations

from functools import partial

from ccstore.insight.topology import ByName, Topology, read_groups_yaml, read_topology_conf

from .document import read_object, read_text
from .kinds import Unfit
from .section import Section, Surroundings
from .values import Words

_EXPECTED = "the path of a topology.conf of Slurm, or of a groups.yaml of ClusterShell"


def take_topology(section: Section) -> Topology:
    """The topology that the key ``topology`` names a file of; else names of hosts tell it."""
    by_name: Topology = ByName()
    return section.take("topology", partial(_read, section.surroundings), by_name)


def _read(surroundings: Surroundings, value: object) -> Topology:
    if not isinstance(value, str) or not value or "\0" in value:
        raise Unfit(_EXPECTED)
    path = surroundings.find(value)
    try:
        if path.suffix.lower() in (".yaml", ".yml"):
            return read_groups_yaml(read_object(path))
        return read_topology_conf(read_text(path))
    except ValueError as error:
        raise Unfit(_EXPECTED, Words(f"{value!r}, where {error}")) from None
