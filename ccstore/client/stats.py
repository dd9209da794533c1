"""``ccstore stats``: the counters of a running store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ccstore.client.server import ServerOptions, connect
from ccstore.client.session import DONE, FAILED, ClientError, print_json, run
from ccstore.client.table import table
from ccstore.commands.options import parse


class Options(ServerOptions):
    """The options of ``ccstore stats``."""

    command = "stats"
    longdesc = "Shows the counters of a running store, since it was started."


_BOOKS = ("received", "stored", "rejected", "dropped", "waiting")


def show(stats: Mapping[str, Any]) -> str:
    """The counters for people."""
    about, info = stats["ccstore"], stats["info"]
    parts = [
        f"ccstore {about['version']}, up {about['uptime']:.0f} s, {info['backend_type']}, events are kept for"
        f" {info['retention_time']}\n"
    ]
    receivers = stats["receivers"]
    rows = [[name, one["type"], *[_total(one[key]) for key in _BOOKS]] for name, one in receivers.items()]
    parts.append(table(["RECEIVER", "TYPE", *[key.upper() for key in _BOOKS]], rows))
    reasons = [
        [name, fate, reason, count]
        for name, one in receivers.items()
        for fate in ("rejected", "dropped")
        for reason, count in one[fate].items()
    ]
    if reasons:
        parts.append(table(["RECEIVER", "FATE", "REASON", "LINES"], reasons))
    figures = [
        [part, key, value]
        for part in ("manager", "backend")
        for key, value in [*stats[part]["status"].items(), *stats[part]["errors"].items()]
    ]
    parts.append(table(["PART", "FIGURE", "VALUE"], figures))
    return "\n".join(parts)


def _total(value: Any) -> int:
    return sum(value.values()) if isinstance(value, dict) else int(value)


def main(words: Sequence[str]) -> int:
    """Run the command."""
    options = parse(Options(), words)
    if options is None:
        return FAILED

    async def command(reactor: Any) -> int:
        server = connect(options, reactor)
        stats = await server.get("/api/stats/")
        if options["json"]:
            print_json(stats)
            return DONE
        try:
            print(show(stats), end="")
        except (LookupError, TypeError, AttributeError, ValueError):
            raise ClientError(f"{server.url} gives statistics that are none of ccstore's") from None
        return DONE

    return run(options, command)
