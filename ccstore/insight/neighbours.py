"""Other hosts that one host is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import nsmallest
from zlib import crc32

from ccstore.insight.topology import Group, Topology


class Neighbours:
    """Knows of some hosts which ones are near; each is looked at once, however often that is asked.

    :param most: so many are told of for a host.
    """

    def __init__(self, hosts: Iterable[str], topology: Topology, most: int) -> None:
        self._hosts = {host: host.encode() for host in hosts}
        self._topology = topology
        self._most = most
        self._members: dict[Group, list[str]] = {}
        self._known: dict[str, Sequence[str]] = {}
        for host in self._hosts:
            for group in topology.groups_of(host):
                self._members.setdefault(group, []).append(host)

    def of(self, host: str) -> Sequence[str]:
        """Some of those of its rack if there are any, else any: always the same ones."""
        known = self._known.get(host)
        if known is None:
            known = self._known[host] = self._found(host)
        return known

    def _found(self, host: str) -> Sequence[str]:
        mates = {mate for group in self._topology.groups_of(host) for mate in self._members.get(group, ())}
        mates.discard(host)
        # That of both names with a space between them, of which the beginning is summed up once.
        begun = crc32(f"{host} ".encode())
        among = mates or self._hosts.keys() - {host}
        return nsmallest(self._most, among, key=lambda each: (crc32(self._hosts[each], begun), each))
