"""``ccstore hold`` and ``ccstore retention``: what is not deleted, and what is deleted next."""

from __future__ import annotations

import getpass
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import timezone
from typing import Any, Final
from urllib.parse import quote

from twisted.python.usage import UsageError

from ccstore.client.choosing import ChoosingOptions
from ccstore.client.counting_commands import ask_and_show
from ccstore.client.leaving_offline import leaving_in_file
from ccstore.client.message_parts import show_time
from ccstore.client.server import Question, Server, ServerOptions
from ccstore.client.session import FAILED, ClientError
from ccstore.client.table import table
from ccstore.client.terminal import clean
from ccstore.commands.description import FILE, NAME, TEXT, Value
from ccstore.commands.options import parse
from ccstore.durations import show_duration
from ccstore.instants import parse_moment, show_moment
from ccstore.timing import SECOND

_HOLDS: Final = "/api/v1/holds"
_ACTIONS: Final = ("add", "list", "release")
Found = Mapping[str, Any]


class HoldOptions(ChoosingOptions):
    """The options of ``ccstore hold``."""

    command = "hold"
    synopsis = "add|list|release [NUMBER] [options]"
    longdesc = (
        "Holds messages: what is held is not deleted, and stays to be seen, until it is released. It is held"
        " by hosts and time, or by a job, with a reason. What has expired before stays so."
    )
    since: str | None = None
    is_mixed = True
    problem = "something else was meant"
    arguments = (
        Value("add|list|release", "What to do.", _ACTIONS),
        Value("NUMBER", "Of the hold that is to be released."),
    )
    optParameters = [
        ["reason", "r", None, "Why it is held; has to be given with add."],
        ["who", "w", None, "Who wants it; else the user and this host."],
        ["job", "J", None, "Hold the hosts and the time of this job."],
    ]
    option_values = {"reason": TEXT, "who": NAME, "job": Value("JOB")}

    action = ""
    number = ""

    def parseArgs(self, *words: str) -> None:
        """Take what to do, and with which hold."""
        self.action, *more = words or ("nothing",)
        if self.action not in _ACTIONS:
            raise UsageError(f"expected add, list or release, got {self.action}")
        if self.action == "release":
            if len(more) != 1 or not re.fullmatch(r"[0-9]{1,18}", more[0]):
                raise UsageError(
                    f"release: expected the number of a hold, see list; got {' '.join(more) or 'none'}"
                )
            (self.number,) = more
        elif more:
            raise UsageError(f"{self.action}: expected no more words, got {' '.join(more)}")

    def postOptions(self) -> None:
        """Check what can be checked by itself."""
        super().postOptions()
        if self.action == "add" and not self["reason"]:
            raise UsageError("--reason: expected why it is held, such as --reason 'ticket 4711'")
        for option in ("grep", "not-grep", "regex", "not-regex"):
            if self.action == "add" and self.all(option):
                raise UsageError(f"--{option}: a hold is for all messages of some hosts and times")

    @property
    def who(self) -> str:
        """Who wants it."""
        if self["who"]:
            return str(self["who"])
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            user = str(os.getuid())
        return f"{user}@{os.uname().nodename}"


class RetentionOptions(ServerOptions):
    """The options of ``ccstore retention``."""

    command = "retention"
    longdesc = (
        "Shows by rule how many messages have expired and are deleted now, and how many expire within a day."
        " Nothing is deleted by it. With --config it goes by the rules of that file, whether or not a daemon"
        " has taken them over, and reads the SQLite file that it names."
    )
    problem = "something else was meant"
    optParameters = [["config", "c", None, "Path of a configuration file whose rules are tried."]]
    optFlags: Any = [
        ["dry-run", "n", "Only show it; this command never does more."],
        ["utc", None, "Times are shown in UTC; else in the local time zone."],
    ]
    option_values = {"config": FILE}


def hold(words: Sequence[str]) -> int:
    """Run ``ccstore hold``."""
    return ask_and_show(HoldOptions(), words, _hold, _shown_holds)


async def _hold(server: Server, options: HoldOptions, now: int) -> Found:
    if options.action == "list":
        found: Found = await server.question(_HOLDS, [])
        return found
    if options.action == "release":
        answer = await server.ask("DELETE", f"{_HOLDS}/{options.number}?who={quote(options.who, safe='')}")
    else:
        question = [*options.question(now), ("reason", options["reason"]), ("who", options.who)]
        if options["job"]:
            question += await _of_job(server, options)
        lists: dict[str, list[str]] = {}
        for name, value in question:
            lists.setdefault(name, []).append(value)
        answer = await server.ask("POST", _HOLDS, json.dumps(lists).encode())
    server.check(answer)
    made: Found = answer.json
    return made


async def _of_job(server: Server, options: HoldOptions) -> Question:
    """The hosts and the time of a job, and of the events that tell of it, as parameters."""
    clusters = options.all("cluster")
    cluster = quote(clusters[0] if len(clusters) == 1 else "*", safe="")
    found = await server.question(f"/api/v1/jobs/{cluster}/{quote(options['job'], safe='')}", [])
    job = found["job"]
    if not found["hosts"]["list"] or not job.get("start"):
        raise ClientError(f"it is not known where and when job {options['job']} ran")
    told = found["told_by"]
    question = [("host", found["hosts"]["list"]), ("from", min(job["start"], told["from"]))]
    if told["hosts"]["list"] not in ("", found["hosts"]["list"]):
        question.append(("host", told["hosts"]["list"]))
    if told["without_host"]:
        question.append(("host", ""))
    if not clusters:
        question.append(("cluster", job["cluster"]))
    if job.get("end"):
        # The last messages of a job come a little behind its end.
        ends = parse_moment(job["end"], 0) + 60 * SECOND, parse_moment(told["to"], 0) + 1
        question.append(("to", show_moment(max(ends))))
    return question


def _shown_holds(found: Found, options: HoldOptions, now: int) -> str:
    if options.action == "add":
        return f"hold {found['id']}\n"
    if options.action == "release":
        return f"hold {found['id']} is released\n"
    rows = [
        [
            one["id"],
            clean(one["match"]),
            clean(one["who"]),
            clean(one["reason"]),
            _time(one["created"], options),
        ]
        for one in found["holds"]
    ]
    return table(["HOLD", "WHAT", "WHO", "WHY", "SINCE"], rows) if rows else ""


def retention(words: Sequence[str]) -> int:
    """Run ``ccstore retention``."""
    options = RetentionOptions()
    given = parse(RetentionOptions(), words)
    if given is None:
        return FAILED
    if given["config"] is not None:
        try:
            found = leaving_in_file(given["config"])
        except ClientError as error:
            print(f"ccstore retention: {error}", file=sys.stderr)
            return FAILED
        if given["json"]:
            print(json.dumps(found))
        else:
            print(_shown_leaving(found, given, 0), end="")
        return 0

    async def answer(server: Server, options: RetentionOptions, now: int) -> Found:
        found: Found = await server.question("/api/v1/retention", [])
        return found

    return ask_and_show(options, words, answer, _shown_leaving)


def _shown_leaving(found: Found, options: Any, now: int) -> str:
    rows = []
    for rule in found["rules"]:
        for name, when in (("now", "now"), ("within_a_day", "within a day")):
            one = rule[name]
            rows.append(
                [
                    clean(", ".join(rule["match"])),
                    rule["kind"],
                    show_duration(rule["period"]),
                    when,
                    one["rows"],
                    one["bytes"],
                    one["held"],
                    _time(one["oldest"], options),
                    _time(one["newest"], options),
                ]
            )
    head = ["RULE", "KIND", "PERIOD", "DELETED", "ROWS", "BYTES", "HELD", "OLDEST", "NEWEST"]
    return table(head, rows) if rows else ""


def _time(text: str | None, options: Any) -> str:
    zone = timezone.utc if options["utc"] else None
    return "" if text is None else show_time(parse_moment(text, 0), zone)
