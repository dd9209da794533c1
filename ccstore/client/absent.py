"""Why a query finds nothing: whether there is such a cluster, host or name at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from ccstore.client.server import Question, Server
from ccstore.message import STORED_KINDS
from ccstore.spellings import other_hosts, other_names

#: Hosts that are looked for.
_HOSTS: Final = 100
#: All times.
_EVER: Final = ("from", "1677-09-22")


@frozen
class Absent:
    """What there is nothing of in the whole store, and what there is instead.

    :ivar near: the same written in another way, of which there is something.
    :ivar is_mistake: something else was meant; else it may just be that nothing has happened.
    """

    says: str
    near: Sequence[str]
    is_mistake: bool


async def explain(
    server: Server,
    *,
    clusters: Sequence[str],
    kinds: Sequence[str],
    names: Sequence[str],
    hosts: Sequence[str],
) -> Absent | None:
    """What the store has nothing of; None if it has something of each that is asked for.

    Only what is named by one value is looked for, but for hosts.
    """
    chosen: list[tuple[str, str]] = [("kind", kind) for kind in kinds]
    what = kinds[0] if len(kinds) == 1 else "message"
    where = "the store"
    if len(clusters) == 1:
        (cluster,) = clusters
        where = f"the cluster {cluster!r}"
        if not await _known(server, "cluster", [cluster], chosen):
            return await _no_cluster(server, cluster, kinds, chosen)
        chosen.append(("cluster", cluster))
    if len(names) == 1 and not await _known(server, "name", names, chosen):
        near = await _known(server, "name", other_names(names[0]), chosen)
        return _absent(f"{where} has no {what} of the name {names[0]!r}", near)
    hosts = hosts[:_HOSTS]
    if not hosts or await _known(server, "host", hosts, chosen):
        return None
    said = f"{where} has no {what} of the host {hosts[0]!r}"
    if len(hosts) > 1:
        said += " or any other of these"
    return _absent(said, await _known(server, "host", other_hosts(hosts[0]), chosen))


async def _no_cluster(server: Server, cluster: str, kinds: Sequence[str], chosen: Question) -> Absent:
    if len(kinds) == 1 and await _known(server, "cluster", [cluster], []):
        (other,) = {*STORED_KINDS} - {*kinds}
        says = f"the cluster {cluster!r} has no {kinds[0]}s, only {other}s: see --kind"
        return Absent(says, (), is_mistake=False)
    near = await _known(server, "cluster", other_names(cluster), chosen)
    return Absent(f"there is no cluster {cluster!r}{_instead(near)}", near, is_mistake=True)


def _absent(said: str, near: Sequence[str]) -> Absent:
    return Absent(f"{said}{_instead(near)}", near, is_mistake=bool(near))


async def _known(server: Server, label: str, values: Sequence[str], chosen: Question) -> list[str]:
    """Which of these values a label has, of any time."""
    if not values:
        return []
    question = [*chosen, *((label, value) for value in values), _EVER]
    answer = await server.question(f"/api/v1/values/{label}", question)
    found = {each["value"] for each in answer["values"]}
    return [value for value in values if value in found] or sorted(found)


def _instead(near: Sequence[str]) -> str:
    return f", but {', '.join(map(repr, near))}" if near else ""
