"""Which rack, chassis or switch a host belongs to: by its name, or by a file that says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from attrs import field, frozen

from ccstore import hostlist

#: Hosts that a file may name, each as often as it does.
_MOST: Final = 500_000
_PART: Final = re.compile(r"[A-Za-z]+|[0-9]+|[^A-Za-z0-9]+")
#: What letters before a number stand for, in names such as ``r01c02n03``, ``x1000c0s0b0n0``, ``R02-M1-N0``.
_LETTERS: Final = {
    **{"r": "rack", "rack": "rack", "x": "cabinet", "cab": "cabinet", "c": "chassis", "chassis": "chassis"},
    **{"m": "midplane", "i": "island", "s": "slot", "b": "blade", "sw": "switch", "row": "row"},
}


@frozen(order=True)
class Group:
    """Some hosts that have a thing in common.

    :ivar kind: of the thing, such as ``rack``; ``name`` is that of the thing itself.
    """

    kind: str
    name: str


class Topology(Protocol):
    """Knows where hosts are."""

    def groups_of(self, host: str) -> Sequence[Group]:
        """The groups that a host belongs to, the smallest one last."""


@frozen
class ByName:
    """The topology that names tell of.

    A name with several numbers has a group for each of them but the last: ``r01c02n03`` is in the rack
    ``r01`` and the chassis ``r01c02``. One with a single number of three digits or more is in the rack that
    the number without its last two digits names: ``a0101`` is in ``a01``.
    """

    def groups_of(self, host: str) -> Sequence[Group]:
        """See :class:`Topology`."""
        parts = _PART.findall(host.partition(".")[0])
        places = [place for place, part in enumerate(parts) if part[0] in "0123456789"]
        if len(places) == 1:
            number = parts[places[0]]
            if len(number) < 3:
                return ()
            return (Group("rack", "".join(parts[: places[0]]) + number[:-2]),)
        found = []
        for place in places[:-1]:
            before = parts[place - 1].lower() if place else ""
            found.append(Group(_LETTERS.get(before, "group"), "".join(parts[: place + 1])))
        return found


@frozen
class ByFile:
    """The topology of a file; hosts that it does not name are where their names say.

    :ivar groups: those of each host.
    """

    groups: Mapping[str, Sequence[Group]]
    others: ByName = field(factory=ByName)

    def groups_of(self, host: str) -> Sequence[Group]:
        """See :class:`Topology`."""
        found = self.groups.get(host) or self.groups.get(host.partition(".")[0])
        return self.others.groups_of(host) if found is None else found


def read_topology_conf(text: str) -> ByFile:
    """Slurm's ``topology.conf``, with lines such as ``SwitchName=s1 Nodes=a[01-64]``.

    A switch above others has ``Switches=s[1-8]``; blocks (``BlockName=b1 Nodes=…``) are taken, too.
    Raises ValueError that names the line.
    """
    nodes: dict[Group, list[str]] = {}
    switches: dict[str, list[str]] = {}
    for number, line in _lines(text):
        words = dict(re.findall(r"(\w+)\s*=\s*(\S+)", line))
        given = {key.lower(): value for key, value in words.items()}
        kind = next((kind for kind in ("switch", "block") if f"{kind}name" in given), None)
        if kind is None:
            raise ValueError(f"line {number}: expected SwitchName=… or BlockName=…, got {line[:60]!r}")
        group = Group(kind, given[f"{kind}name"])
        nodes[group] = _expanded(given.get("nodes", ""), f"line {number}: Nodes")
        switches[group.name] = _expanded(given.get("switches", ""), f"line {number}: Switches")
    whole = {
        group: [*_below(group.name, nodes, switches, ())] if group.kind == "switch" else hosts
        for group, hosts in nodes.items()
    }
    return _by_host(whole)


def _below(
    name: str,
    nodes: Mapping[Group, Sequence[str]],
    switches: Mapping[str, Sequence[str]],
    way: tuple[str, ...],
) -> Iterator[str]:
    """The hosts at a switch, and at those below it."""
    if name in way:
        raise ValueError(f"the switch {name[:60]!r} is below itself")
    yield from nodes.get(Group("switch", name), ())
    for each in switches.get(name, ()):
        yield from _below(each, nodes, switches, (*way, name))


def read_groups_yaml(read: Any) -> ByFile:
    """ClusterShell's ``groups.yaml``, read: of each source its groups, each a set of nodes.

    A set may name others, as ``@group`` and ``@source:group``. Raises ValueError that names the group.
    """
    if not isinstance(read, Mapping) or not all(isinstance(groups, Mapping) for groups in read.values()):
        raise ValueError("expected sources with groups, such as {racks: {r1: 'a[01-32]'}}")
    nodes: dict[Group, list[str]] = {}
    for source, groups in read.items():
        for name in groups:
            nodes[Group(str(source), str(name))] = _set_of(read, str(source), str(name), ())
    return _by_host(nodes)


def _set_of(read: Mapping[Any, Any], source: str, name: str, way: tuple[str, ...]) -> list[str]:
    called = f"{source}: {name}"
    if called in way:
        raise ValueError(f"the group {called[:60]!r} is a part of itself")
    groups = {str(key): value for key, value in read.items()}.get(source, {})
    given = {str(key): value for key, value in groups.items()}.get(name)
    if given is None:
        raise ValueError(f"there is no group {name[:60]!r} in {source[:60]!r}")
    sets = given if isinstance(given, list) else [given]
    found: list[str] = []
    for text in sets:
        for each in re.findall(r"@[^,\s]+|[^@,\s][^@]*", str(text)):
            if each.startswith("@"):
                before, colon, behind = each[1:].partition(":")
                found += _set_of(read, before if colon else source, behind or before, (*way, called))
            else:
                found += _expanded(each.strip().strip(","), called)
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    joined = text.replace("\\\n", " ")
    for number, line in enumerate(joined.splitlines(), 1):
        line = line.partition("#")[0].strip()
        if line:
            yield number, line


def _expanded(text: str, where: str) -> list[str]:
    if not text or text.upper() == "ALL":
        return []
    try:
        return hostlist.expand(text, most=_MOST)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _by_host(nodes: Mapping[Group, Iterable[str]]) -> ByFile:
    """With the smallest group of each host last."""
    groups: dict[str, list[Group]] = {}
    sized = [(group, [*dict.fromkeys(hosts)]) for group, hosts in nodes.items()]
    if sum(len(hosts) for _, hosts in sized) > _MOST:
        raise ValueError(f"expected at most {_MOST} hosts in all groups, got more")
    for group, hosts in sorted(sized, key=lambda each: -len(each[1])):
        for host in hosts:
            groups.setdefault(host, []).append(group)
    return ByFile(groups)
