"""Why a query finds nothing: whether there is such a cluster, host or name at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from ccstore.client.server import Server

#: The last second that a message may have, about.
_LAST: Final = 1 << 33
#: Seconds that are looked at first, and how much more each further time: a busy cluster has many rows.
_FIRST_SPAN: Final = 64
_FACTOR: Final = 8
#: Hosts that are looked for.
_HOSTS: Final = 100


@frozen
class Absent:
    """What there is nothing of in the whole store, and what there is instead.

    :ivar is_mistake: something else was meant; else it may just be that nothing has happened.
    """

    says: str
    is_mistake: bool


async def explain(
    server: Server, *, cluster: str, kind: str, name: str | None, hosts: Sequence[str], now: int
) -> Absent | None:
    """What the store has nothing of; None if it has something of all that is asked for.

    The server has no list of clusters or hosts, so it is asked for other ways to write them.
    """

    async def has(cluster: str, hosts: Sequence[str] = (), **query: str) -> list[bool]:
        return await _has(server, {"cluster": cluster}, {"kind": kind, **query}, hosts, now)

    if not any(await has(cluster)):
        other = "log" if kind == "event" else "event"
        if any(await has(cluster, kind=other)):
            return Absent(f"the cluster {cluster!r} has no {kind}s, only {other}s: see --kind", False)
        near = [each for each in _other_names(cluster) if any(await has(each))]
        return Absent(f"there is no cluster {cluster!r}{_instead(near)}", True)
    if name is not None and not any(await has(cluster, event=name)):
        near = [each for each in _other_names(name) if any(await has(cluster, event=each))]
        said = f"the cluster {cluster!r} has no {kind} of the name {name!r}"
        return Absent(f"{said}{_instead(near)}", bool(near))
    hosts = hosts[:_HOSTS]
    if not hosts or any(await has(cluster, hosts)):
        return None
    first = hosts[0]
    said = f"the cluster {cluster!r} has no {kind} of the host {first!r}"
    if len(hosts) > 1:
        said += " or any other of these"
    if re.search(r"[*?]", first):
        return Absent(f"{said}: there are no wildcards, write hosts such as a[0001-0009]", True)
    names = list(_other_hosts(first))
    near = [each for each, is_there in zip(names, await has(cluster, names), strict=True) if is_there]
    return Absent(f"{said}{_instead(near)}", bool(near))


async def _has(
    server: Server, request: Mapping[str, Any], query: Mapping[str, str], hosts: Sequence[str], now: int
) -> list[bool]:
    """Whether there are rows, for each of the hosts, if any are given."""
    request = {**request, "queries": [query], **({"for-all-nodes": hosts} if hosts else {})}
    found = [False] * max(1, len(hosts))
    for begin, end in _spans(now):
        asked = json.dumps({**request, "from": begin, "to": end}).encode()
        answer = await server.ask("POST", "/api/query/", asked)
        server.check(answer)
        rows = [bool(entries[0]["data"]) for entries in answer.json["results"]]
        found = [one or other for one, other in zip(found, rows, strict=True)]
        if all(found):
            break
    return found


def _spans(now: int) -> Iterator[tuple[int, int]]:
    """All times, those first that are likely to have few rows, and some."""
    end, span = now, _FIRST_SPAN
    while end > 0:
        begin = max(0, end - span + 1)
        yield begin, end
        end, span = begin - 1, span * _FACTOR
    yield now + 1, _LAST


def _other_names(name: str) -> list[str]:
    """Other ways to write a name: without blanks, in other letters, with other hyphens."""
    bare = name.strip()
    ways = [bare, bare.lower(), bare.upper(), bare.capitalize()]
    ways += [bare.replace("-", "_"), bare.replace("_", "-")]
    return [way for way in dict.fromkeys(ways) if way and way != name]


def _other_hosts(name: str) -> list[str]:
    """Other ways to write a host: without its domain, or with its number in more or fewer digits."""
    bare = name.partition(".")[0]
    ways = [*_other_names(name), bare, *_other_names(bare)]
    for way in [bare, *_other_names(bare)]:
        found = re.fullmatch(r"(.*?)0*([0-9]+)", way)
        if found is not None:
            ways += [f"{found[1]}{found[2]:0>{width}}" for width in range(1, 7)]
    return [way for way in dict.fromkeys(ways) if way and way != name]


def _instead(near: Sequence[str]) -> str:
    return f", but {', '.join(map(repr, near))}" if near else ""
