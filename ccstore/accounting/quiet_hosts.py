"""What the doctor says of hosts that are silent, or whose clock is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ccstore.accounting.finding import Finding
from ccstore.times import show_moment

_LOOK = "`ccstore senders --silent` shows them; it may be a maintenance, or the node or its sender is down"


#: Characters of a list of hosts that are shown.
_SHOWN: Final = 60


def _shown(hosts: str) -> str:
    return hosts if len(hosts) <= _SHOWN else hosts[:_SHOWN] + "\N{HORIZONTAL ELLIPSIS}"


def silent_hosts(sampled: Mapping[str, Any]) -> Iterator[Finding]:
    """Who is silent; hosts that fell silent at once are one finding.

    :param sampled: as ``/api/samples`` has it; an older daemon tells nothing of it.
    """
    silence = sampled.get("silence", {"outages": (), "hosts": (), "others": 0})
    for outage in silence["outages"]:
        says = (
            f"{outage['silent']} of {outage['of']} hosts of {outage['cluster']} are silent since "
            f"{show_moment(outage['since'])} ({_shown(outage['folded'])})"
        )
        yield Finding(False, None, says, _LOOK, reason="silent")
    for host in silence["hosts"]:
        says = f"host {host['host']} of {host['cluster']} is silent ({host['says']})"
        yield Finding(False, None, says, "see whether it and its sender are up", reason="silent")
    if silence["others"]:
        yield Finding(False, None, f"more silent hosts: {silence['others']}", _LOOK, reason="silent")


def skewed_hosts(stats: Mapping[str, Any]) -> Iterator[Finding]:
    """Where clocks are wrong.

    :param stats: as ``/api/stats`` has it.
    """
    senders = stats.get("senders", {})
    for cluster, hosts in senders.get("skewed", {}).items():
        if hosts:
            number = f"{hosts} host{'s' if hosts > 1 else ''}"
            worst = senders["worst_skew_seconds"].get(cluster, 0.0)
            yield Finding(
                False,
                None,
                f"{number} of {cluster} with a wrong clock, the worst by {worst:+.0f} s",
                "`ccstore senders --order skew` shows them; look at their NTP service",
                reason="skewed",
            )
