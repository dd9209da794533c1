"""Why nothing was found: what is asked for may be there at other times."""

from __future__ import annotations

from typing import Final

from ccstore.client.choosing import ChoosingOptions, without
from ccstore.client.exporting import MESSAGES
from ccstore.client.message_parts import show_time
from ccstore.client.server import Question, Refused, Server, Vanished
from ccstore.instants import parse_moment

#: Seconds to wait for what would only help.
_PATIENCE: Final = 5.0


async def nothing_matched(server: Server, options: ChoosingOptions, asked: Question, now: int) -> str:
    """In which time nothing was found, and of when the newest is that is left out.

    :param asked: the question, as ``options`` make it at a time (ns).
    """
    nothing = f"nothing matched {_span(options, asked, now)}"
    try:
        # To look for a text in all that is held could take long: nobody waits for that.
        newest = await _newest(server, without(asked, "from", "to"), _PATIENCE)
    except (Vanished, Refused):
        nothing += f"; other times were not looked through within {_PATIENCE:g} s"
        newest = None
    if newest is not None:
        ends = [parse_moment(value, now) for name, value in asked if name == "to"]
        see = "--until" if ends and newest >= ends[0] else "--since"
        return f"{nothing}; the newest that matches is of {show_time(newest, options.zone)}: see {see}"
    of_clusters = [(name, value) for name, value in asked if name == "cluster"]
    newest = await _newest(server, of_clusters)
    if newest is None:
        return nothing
    clusters = options.all("cluster")
    whose = f"of the cluster {clusters[0]!r}" if len(clusters) == 1 else "of all"
    return f"{nothing}; the newest message {whose} is of {show_time(newest, options.zone)}"


async def _newest(server: Server, question: Question, patience: float | None = None) -> int | None:
    """The time (ns) of the newest message that is meant; None if there is none."""
    page = await server.question(MESSAGES, [*question, ("limit", "1")], patience=patience)
    return int(page["messages"][0]["time_ns"]) if page["messages"] else None


def _span(options: ChoosingOptions, asked: Question, now: int) -> str:
    """The time that a question is about, in words."""
    moments = {
        name: show_time(parse_moment(value, now), options.zone)
        for name, value in asked
        if name in ("from", "to")
    }
    if "to" not in moments and options["since"] is None and options["from"] is None:
        return "in the last 24 hours"
    if "to" not in moments:
        return f"since {moments['from']}"
    return f"from {moments['from']} to {moments['to']}" if "from" in moments else f"before {moments['to']}"
