"""``ccstore senders``: who sends, how often, and who is silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timezone, tzinfo
from typing import Any, Final

from twisted.python.usage import UsageError

from ccstore import hostlist
from ccstore.client.message_parts import show_time
from ccstore.client.server import ServerOptions, connect
from ccstore.client.session import DONE, FAILED, NOT_AS_ASKED, ClientError, print_json, run
from ccstore.client.table import table
from ccstore.client.terminal import clean, say
from ccstore.commands.description import NAME, NUMBER, Value, choice
from ccstore.commands.options import parse
from ccstore.instants import parse_moment
from ccstore.times import show_short_span

_ORDERS: Final = ("host", "last", "silence", "messages", "rate", "skew")
_FORMATS: Final = ("text", "json")
#: Senders that are asked for if nobody says how many: as many as the daemon knows.
_MOST: Final = 100_000


class Options(ServerOptions):
    """The options of ``ccstore senders``."""

    command = "senders"
    problem = "there is more than it shows, no such host or cluster, or with --silent: somebody is silent"
    longdesc = (
        "Shows which hosts send at which receiver: when each was heard of last, how often it usually sends, "
        "how much in the last minute, and what its clock says. A host is silent when it has said nothing for "
        "three times its longest gap.\n\n"
        "With --silent only those, with what is usual for each. Hosts of a cluster that fell silent at once "
        "are told in one line; --host shows them one by one."
    )
    repeated = ("cluster", "host", "receiver")
    optParameters = [
        ["cluster", "c", None, "Only of this cluster. A * stands for any characters."],
        ["host", "H", None, "Only these hosts, such as a0101, a01* or a[0101-0103,0200],login1."],
        ["receiver", "r", None, "Only at this receiver."],
        [
            "order",
            None,
            None,
            "By host; who was heard of last first, or who is silent for longest (silence, which is usual with"
            " --silent); the most messages, the highest rate or the worst clock first.",
        ],
        ["limit", "n", None, "Only so many."],
        ["output", "o", "text", "Format: for people, or for programs."],
    ]
    optFlags: Any = [
        ["silent", "s", "Only who is silent."],
        ["utc", None, "Times are shown in UTC; else in the local time zone."],
    ]
    option_values = {
        "cluster": NAME,
        "host": Value("HOSTS"),
        "receiver": NAME,
        "order": choice(*_ORDERS),
        "limit": NUMBER,
        "output": choice(*_FORMATS),
    }

    def postOptions(self) -> None:
        """Check what can be checked by itself."""
        super().postOptions()
        for option, words in (("order", _ORDERS), ("output", _FORMATS)):
            if self[option] is not None and self[option] not in words:
                expected = f"{', '.join(words[:-1])} or {words[-1]}"
                raise UsageError(f"--{option}: expected {expected}, got {self[option]!r}")
        limit = self["limit"]
        if limit is not None and not (limit.isdecimal() and 0 < int(limit) <= _MOST):
            raise UsageError(f"--limit: expected a number from 1 to {_MOST}, got {limit!r}")
        for value in filter(None, self["host"] or ()):
            try:
                hostlist.expand(value)
            except ValueError as error:
                raise UsageError(f"--host: {error}") from None
        if "" in (self["cluster"] or ()):
            raise UsageError("--cluster: expected the name of a cluster, got an empty one")

    @property
    def zone(self) -> tzinfo | None:
        """In which times are shown; None is the local one."""
        return timezone.utc if self["utc"] else None

    @property
    def names_hosts(self) -> bool:
        """Hosts are asked for, so that each is shown."""
        return bool(self["host"])

    def question(self) -> list[tuple[str, str]]:
        """The parameters of what is asked for."""
        given = [
            (name, value) for name in ("cluster", "host", "receiver") for value in self[name] or () if value
        ]
        if self["silent"]:
            given.append(("silent", "true"))
        order = self["order"] or ("silence" if self["silent"] else "host")
        return [*given, ("order", order), ("limit", self["limit"] or f"{_MOST}")]


def show(found: Mapping[str, Any], options: Options) -> str:
    """The answer for people."""
    outages = [_outage(each, options.zone) for each in found["outages"] if _is_meant(each, options)]
    senders = found["senders"]
    if options["silent"] and not options.names_hosts:
        senders = [each for each in senders if not each["outage"]]
    has_clusters = len({each["cluster"] for each in senders}) > 1
    rows = [_row(each, options, has_clusters=has_clusters) for each in senders]
    head = ["CLUSTER"] * has_clusters + ["HOST", "RECEIVER"]
    head += ["SILENT", "SAYS"] if options["silent"] else ["MESSAGES", "LAST", "EVERY", "1 MIN", "CLOCK", ""]
    return "".join(outages) + (table(head, rows) if rows else "")


def _is_meant(outage: Mapping[str, Any], options: Options) -> bool:
    clusters = options["cluster"] or ()
    return not options.names_hosts and (
        not clusters or outage["cluster"] in clusters or any("*" in cluster for cluster in clusters)
    )


def _outage(outage: Mapping[str, Any], zone: tzinfo | None) -> str:
    since = show_time(parse_moment(outage["since"], 0), zone)
    who = f"{outage['silent']} of {outage['of']} hosts of {outage['cluster']}"
    return f"{clean(who)} silent since {since}: {clean(outage['folded'])}\n"


def _row(one: Mapping[str, Any], options: Options, *, has_clusters: bool) -> list[object]:
    who = [one["cluster"]] * has_clusters + [one["host"], one["receiver"] or "(store)"]
    ago = show_short_span(one["silent_for"])
    if options["silent"]:
        return [*who, ago, one["says"].rpartition(", ")[0]]
    rate = one["rate"]
    unusual = f" {rate['is']}" if rate["is"] in ("high", "low") else ""
    gap = one["gap"]
    return [
        *who,
        one["messages"],
        f"{ago} ago",
        show_short_span(gap["usual"]) if gap else "",
        f"{rate['now']:.0f}{unusual}",
        _clock(one),
        "SILENT" if one["silent"] else _rejected(one["rejected"]),
    ]


def _clock(one: Mapping[str, Any]) -> str:
    if one["skew"] is None:
        return ""
    sign = "+" if one["skew"] > 0 else "-"
    return f"{sign}{show_short_span(abs(one['skew']))}" if one["skewed"] else "ok"


def _rejected(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in reasons.items())


def main(words: Sequence[str]) -> int:
    """Run the command."""
    options = parse(Options(), words)
    if options is None:
        return FAILED

    async def command(reactor: Any) -> int:
        server = connect(options, reactor)
        found = await server.question("/api/v1/senders", options.question())
        is_for_programs = options["json"] or options["output"] == "json"
        try:
            shown = None if is_for_programs else show(found, options)
        except (LookupError, TypeError, AttributeError, ValueError):
            raise ClientError(f"{server.url} gives an answer that is none of ccstore's") from None
        if shown is None:
            print_json(found)
        else:
            print(shown, end="")
        return _status(options, found)

    return run(options, command)


def _status(options: Options, found: Mapping[str, Any]) -> int:
    """Pass on what the daemon says besides; gives the exit status."""
    cut = None if options["limit"] is not None else found["cut"]
    left_out = found["left_out"] and f"{found['left_out']} messages are of hosts there was no room for"
    for text in filter(None, (cut and f"not all: {cut}", left_out, found["notice"])):
        say(options.command, text)
    is_silent = options["silent"] and found["senders"]
    return NOT_AS_ASKED if cut or found["notice"] or is_silent else DONE
