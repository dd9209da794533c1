"""Who is silent, and what of it is one thing: many hosts of a cluster that fell silent at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from attrs import define, field, frozen

from ccstore.senders.sender import Sender

#: Seconds within which the last messages of hosts are for these to have fallen silent at once.
_AT_ONCE: Final = 300.0
#: So many hosts are one thing; or all of a cluster, if these are at least the other number.
_MANY: Final = 8
_ALL: Final = 3


@define
class ClusterState:
    """The hosts of one cluster.

    :ivar hosts: how many there are.
    :ivar silent: those of them that are so at all receivers at which they are known, with the time of their
        last message.
    :ivar skewed: how many have a clock that is wrong.
    :ivar worst_skew: the greatest difference of a clock in seconds, ahead or behind; None if none is known.
    """

    hosts: int = 0
    silent: dict[str, float] = field(factory=dict)
    skewed: int = 0
    worst_skew: float | None = None


@frozen
class Outage:
    """Hosts of a cluster that fell silent at once.

    :ivar hosts: their names.
    :ivar of: how many hosts the cluster has.
    :ivar since: when the first of them was heard of last, in seconds.
    """

    cluster: str
    hosts: Sequence[str]
    of: int
    since: float


class Look:
    """What is seen of all senders at one moment; they are added one by one.

    :param now: in seconds, as is ``since``, from when on they could be heard.
    """

    def __init__(self, now: float, since: float) -> None:
        self.now = now
        self.since = since
        self._hosts: dict[tuple[str, str], list[Sender]] = {}

    def add(self, senders: Iterable[Sender]) -> None:
        """Look at these as well."""
        for sender in senders:
            self._hosts.setdefault((sender.cluster, sender.host), []).append(sender)

    def clusters(self) -> Mapping[str, ClusterState]:
        """By cluster, what there is."""
        found: dict[str, ClusterState] = {}
        for (cluster, host), senders in sorted(self._hosts.items()):
            state = found.setdefault(cluster, ClusterState())
            state.hosts += 1
            if all(sender.habit.is_silent(self.now, self.since) for sender in senders):
                state.silent[host] = max(sender.habit.last for sender in senders)
            state.skewed += any(sender.is_skewed for sender in senders)
            for skew in (sender.skew for sender in senders):
                if skew is not None and (state.worst_skew is None or abs(skew) > abs(state.worst_skew)):
                    state.worst_skew = skew
        return found


def outages(clusters: Mapping[str, ClusterState]) -> list[Outage]:
    """What fell silent at once, the latest first."""
    found = []
    for cluster, state in clusters.items():
        left = sorted(state.silent.items(), key=lambda each: each[1])
        while left:
            since = left[0][1]
            together = [host for host, last in left if last - since <= _AT_ONCE]
            if len(together) >= _MANY or _ALL <= len(together) == state.hosts:
                found.append(Outage(cluster, sorted(together), state.hosts, since))
            left = left[len(together) :]
    return sorted(found, key=lambda outage: -outage.since)
