"""``ccstore clusters``, ``hosts`` and ``values``: what there is, how much of it, and since when."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from twisted.python.usage import UsageError

from ccstore.client.choosing import ChoosingOptions
from ccstore.client.message_parts import show_time
from ccstore.client.server import Server, connect
from ccstore.client.session import DONE, FAILED, NOT_AS_ASKED, ClientError, print_json, run
from ccstore.client.table import table
from ccstore.client.terminal import say
from ccstore.commands.description import NUMBER, Value
from ccstore.commands.options import CommandOptions, parse
from ccstore.instants import parse_moment
from ccstore.query import LEVEL, STREAM_LABELS, TAG_PREFIX
from ccstore.times import show_span
from ccstore.timing import SECOND, nanoseconds

#: Values that are asked for if nobody says how many: as many as the daemon gives.
_MOST: Final = 100_000
#: All times: the daemon takes the last day if nobody says since when.
_EVER: Final = ("from", "1677-09-22")


class CountingOptions(ChoosingOptions):
    """The options of the commands that count."""

    since: str | None = None
    problem = "there is more than it shows, or something else was meant"


class ClustersOptions(CountingOptions):
    """The options of ``ccstore clusters``."""

    command = "clusters"
    longdesc = (
        "Shows the clusters that messages are held of, and how many; of all times, or the one that is given."
    )


class _ValuesOptions(CountingOptions):
    optParameters = [["limit", "n", None, "Only so many, the most frequent."]]
    option_values = {"limit": NUMBER}

    def postOptions(self) -> None:
        super().postOptions()
        limit = self["limit"]
        if limit is not None and not (limit.isdecimal() and 0 < int(limit) <= _MOST):
            raise UsageError(f"--limit: expected a number from 1 to {_MOST}, got {limit!r}")


class HostsOptions(_ValuesOptions):
    """The options of ``ccstore hosts``."""

    command = "hosts"
    longdesc = (
        "Shows the hosts that messages are held of, how many, and when each was heard of last; of all times,"
        " or the one that is given."
    )


class ValuesOptions(_ValuesOptions):
    """The options of ``ccstore values``."""

    command = "values"
    synopsis = "LABEL [options]"
    longdesc = (
        "Shows the values of a label in the messages of the last 24 hours, or of the time that is given, and"
        " how many have each."
    )
    since = "-24h"
    is_mixed = True
    arguments = (
        Value(
            "LABEL",
            "cluster, kind, name, host, type, type-id, stype, stype-id, level, or a tag, as KEY or tag.KEY.",
            ("cluster", "kind", "name", "host", "type", "type-id", "stype", "stype-id", "level"),
        ),
    )

    label = ""

    def parseArgs(self, *words: str) -> None:
        """Take the label."""
        if len(words) != 1 or not words[0] or "/" in words[0]:
            got = " ".join(words) or "nothing"
            raise UsageError(f"expected a label, such as host or tag.jobid, got {got}")
        (label,) = words
        is_known = label in ("host", LEVEL, *STREAM_LABELS) or label.startswith(TAG_PREFIX)
        self.label = label if is_known else f"{TAG_PREFIX}{label}"


def clusters(words: Sequence[str]) -> int:
    """Run ``ccstore clusters``."""

    async def answer(server: Server, options: ClustersOptions, now: int) -> Mapping[str, Any]:
        found: Mapping[str, Any] = await server.question("/api/v1/clusters", options.question(now))
        return found

    def show(found: Mapping[str, Any], options: ClustersOptions, now: int) -> str:
        rows = [
            [one["cluster"], one["events"], one["logs"], *_times(one, options, now), _size(one["bytes"])]
            for one in found["clusters"]
        ]
        return table(["CLUSTER", "EVENTS", "LOGS", "FIRST", "LAST", "", "BYTES"], rows) if rows else ""

    return ask_and_show(ClustersOptions(), words, answer, show)


def hosts(words: Sequence[str]) -> int:
    """Run ``ccstore hosts``."""

    async def answer(server: Server, options: HostsOptions, now: int) -> Mapping[str, Any]:
        found = await _values(server, options, "host", now)
        return {
            "hosts": [
                {"host": one["value"], **{key: one[key] for key in ("count", "first", "last")}}
                for one in sorted(found["values"], key=lambda one: _in_parts(one["value"]))
            ],
            "cut": found["cut"],
            "notice": found["notice"],
        }

    def show(found: Mapping[str, Any], options: HostsOptions, now: int) -> str:
        rows = [[one["host"], one["count"], *_times(one, options, now)] for one in found["hosts"]]
        return table(["HOST", "MESSAGES", "FIRST", "LAST", ""], rows) if rows else ""

    return ask_and_show(HostsOptions(), words, answer, show)


def values(words: Sequence[str]) -> int:
    """Run ``ccstore values``."""

    async def answer(server: Server, options: ValuesOptions, now: int) -> Mapping[str, Any]:
        found = await _values(server, options, options.label, now)
        if not found["values"] and not found["notice"] and options.label.startswith(TAG_PREFIX):
            notice = await _no_such_tag(server, options, now)
            found = {**found, "notice": notice}
        return {"label": options.label, **found}

    def show(found: Mapping[str, Any], options: ValuesOptions, now: int) -> str:
        rows = [[one["value"], one["count"], *_times(one, options, now)[1:]] for one in found["values"]]
        if rows and found["without"]:
            rows.append(["(none)", found["without"], "", ""])
        return table([options.label.upper(), "MESSAGES", "LAST", ""], rows) if rows else ""

    return ask_and_show(ValuesOptions(), words, answer, show)


async def _values(server: Server, options: _ValuesOptions, label: str, now: int) -> Mapping[str, Any]:
    question = options.question(now)
    if not any(name == "from" for name, _ in question):
        question.append(_EVER)
    question.append(("limit", options["limit"] or f"{_MOST}"))
    found: Mapping[str, Any] = await server.question(f"/api/v1/values/{label}", question)
    return found


async def _no_such_tag(server: Server, options: ValuesOptions, now: int) -> str:
    """That none of the messages has a tag, and which one may be meant."""
    found = await server.question("/api/v1/labels", options.question(now))
    tags = [each["label"] for each in found["labels"] if each["label"].startswith(TAG_PREFIX)]
    near = get_close_matches(options.label, tags, 1)
    meant = f", the nearest is {near[0]!r}" if near else ""
    return f"none of these messages has the tag {options.label.removeprefix(TAG_PREFIX)!r}{meant}"


def ask_and_show(
    options: Any,
    words: Sequence[str],
    answer: Callable[[Server, Any, int], Any],
    show: Callable[[Mapping[str, Any], Any, int], str],
) -> int:
    """Ask, and show what is answered, for people or for programs."""
    parsed: Any = parse(options, words)
    if parsed is None:
        return FAILED

    async def command(reactor: Any) -> int:
        server = connect(parsed, reactor)
        now = nanoseconds(reactor.seconds())
        found = await answer(server, parsed, now)
        try:
            shown = None if parsed["json"] else show(found, parsed, now)
        except (LookupError, TypeError, AttributeError, ValueError):
            raise ClientError(f"{server.url} gives an answer that is none of ccstore's") from None
        if shown is None:
            print_json(found)
        else:
            print(shown, end="")
        return said(parsed, found)

    return run(options, command)


def said(options: CommandOptions, found: Mapping[str, Any]) -> int:
    """Pass on what the daemon says besides; gives the exit status."""
    for text in filter(None, (found.get("cut") and f"not all: {found['cut']}", found.get("notice"))):
        say(options.command, text)
    shown = found.get("values") or found.get("hosts") or ()
    is_as_many_as_asked = options.get("limit") is not None and len(shown) == int(options["limit"])
    is_cut = found.get("cut") and not is_as_many_as_asked
    return NOT_AS_ASKED if is_cut or found.get("notice") else DONE


def _times(one: Mapping[str, Any], options: ChoosingOptions, now: int) -> tuple[str, str, str]:
    """First and last, and how long ago that is."""
    first, last = (parse_moment(one[key], 0) for key in ("first", "last"))
    since = (now - last) / SECOND
    ago = f"{show_span(since)} ago" if since >= 0 else f"in {show_span(since)}"
    return show_time(first, options.zone), show_time(last, options.zone), ago


def _in_parts(name: str) -> list[tuple[int, int, str]]:
    """A name as people sort them: by the numbers in it."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(part), part) if part[0] in "0123456789" else (1, 0, part) for part in parts]


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
