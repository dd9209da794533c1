"""``ccstore query``: events and logs, for people and programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from twisted.python.usage import UsageError

from ccstore.client import terminal
from ccstore.client.absent import explain
from ccstore.client.choosing import ChoosingOptions, without
from ccstore.client.elsewhere import nothing_matched
from ccstore.client.exporting import MESSAGES, Exporting, NotAll
from ccstore.client.marking import Marks
from ccstore.client.rendering import (
    CSV_FIELDS,
    FORMATS,
    Csv,
    Json,
    JsonLines,
    LineProtocol,
    Rendering,
    Short,
    Table,
)
from ccstore.client.server import Question, Server, connect
from ccstore.client.session import DONE, FAILED, NOT_AS_ASKED, ClientError, run
from ccstore.client.tailing import Tailing
from ccstore.client.terminal import Enough, Output, Painter, clean_lines, has_color, standard_output
from ccstore.commands.description import NUMBER, Value, choice
from ccstore.commands.options import parse
from ccstore.instants import parse_moment
from ccstore.timing import nanoseconds

#: How many of the past are shown before what comes.
_PAST: Final = 10
_MOST_PAST: Final = 10_000
#: Messages that are made text at once.
_AT_ONCE: Final = 1000
_COLORS: Final = ("auto", "always", "never")


class Options(ChoosingOptions):
    """The options of ``ccstore query``."""

    command = "query"
    problem = "there is no such message (with --quiet), or a cluster, host or name is written wrongly"
    synopsis = "[options]"
    longdesc = (
        "Shows events and logs of the last 24 hours, or of the time that is given (--since, --until), the "
        "oldest first. Each option that chooses messages narrows that down. Given several times, any of its "
        "values will do; but of --grep and --regex all have to be found, and none of --not-grep and "
        "--not-regex.\n\n"
        "On a terminal the output goes through a pager, and has colours by the level that the messages "
        "themselves name in a tag (loglevel, level, severity or priority). What --grep and --regex have "
        "found stands out there.\n\n"
        "If the connection breaks, what is missing is asked for again, and stderr says so."
    )
    optParameters = [
        [
            "limit",
            "n",
            None,
            "Only the newest N messages; with --follow, the newest N before what comes (10 if not given).",
        ],
        ["output", "o", "text", "Format: for people (text, or a line each as journalctl), or for programs."],
        [
            "fields",
            None,
            None,
            "Which columns, such as time,host,level,tag.jobid,text; with --output text, csv or ndjson.",
        ],
        ["color", None, "auto", "Whether there are colours; $NO_COLOR means never."],
    ]
    optFlags: Any = [
        ["follow", "f", "Show the newest, and then what comes, until Ctrl-C."],
        ["reverse", "r", "The newest first."],
        ["quiet", "q", "Show nothing: exit with 0 if there is a message, with 1 if there is none."],
        ["no-pager", None, "Show it without a pager, which on a terminal is $PAGER, else less."],
        ["no-header", None, "Do not show the names of the columns."],
    ]
    option_values = {
        "limit": NUMBER,
        "output": choice(*FORMATS),
        "fields": Value("A,B,..."),
        "color": choice(*_COLORS),
    }

    limit: int | None = None

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """See :class:`GoOptions`; -f was once --from."""
        words = list(options or ())
        for word, behind in zip(words, [*words[1:], ""], strict=False):
            value = behind if word == "-f" else word[2:].removeprefix("=")
            if word.startswith("-f") and not word.startswith("-fr") and _is_moment(value):
                raise UsageError(f"-f is --follow and has no value: for a time, give --from {value}")
        super().parseOptions(words)

    def postOptions(self) -> None:
        """Check what can be checked by itself."""
        super().postOptions()
        if self["limit"] is not None:
            if not self["limit"].isdecimal() or not (int(self["limit"]) or self["follow"]):
                raise UsageError(f"--limit: expected a number above 0, got {self['limit']!r}")
            self.limit = int(self["limit"])
        for option, words in (("output", FORMATS), ("color", _COLORS)):
            if self[option] not in words:
                expected = f"{', '.join(words[:-1])} or {words[-1]}"
                raise UsageError(f"--{option}: expected {expected}, got {self[option]!r}")
        if self["json"]:
            if self["output"] not in ("text", "json"):
                raise UsageError(f"--json and --output {self['output']}: give one of them")
            self["output"] = "json"
        if self["follow"]:
            self._check_follow()
        if self["fields"] is not None and self["output"] not in ("text", "csv", "ndjson"):
            raise UsageError(f"--fields: only with --output text, csv or ndjson, not {self['output']}")

    def _check_follow(self) -> None:
        for option, why in (
            ("reverse", "what comes is shown as it comes"),
            ("quiet", "it would never end"),
            ("until", "it goes on until Ctrl-C"),
            ("to", "it goes on until Ctrl-C"),
        ):
            if self[option]:
                raise UsageError(f"--follow and --{option} do not go together: {why}")
        if self["output"] == "json":
            raise UsageError("--follow: one JSON object would have no end, take --output ndjson")
        if (self.limit or 0) > _MOST_PAST:
            raise UsageError(f"--limit: expected at most {_MOST_PAST} with --follow, got {self.limit}")

    @property
    def fields(self) -> Sequence[str]:
        """The columns: those that are named, else what can differ."""
        if self["fields"] is not None:
            return [word.strip() for word in self["fields"].split(",") if word.strip()]
        if self["output"] == "csv":
            return CSV_FIELDS
        found = ["time"]
        clusters = self.all("cluster")
        if len(clusters) != 1 or "*" in clusters[0]:
            found.append("cluster")
        found.append("host")
        for option, field in (
            ("type", "type"),
            ("type-ids", "type-id"),
            ("subtype", "stype"),
            ("subtype-ids", "stype-id"),
        ):
            if self.all(option):
                found.append(field)
        return [*found, "name", "text"]

    def rendering(self, output: Output) -> Rendering:
        """What makes the text. Raises :class:`ClientError` for fields that there are not."""
        marks = Marks(self.all("grep"), self.all("regex"))
        painter = Painter(has_color(self["color"], sys.stdout, os.environ), marks)
        has_head = not self["no-header"]
        fields = None if self["fields"] is None else self.fields
        clusters = self.all("cluster")
        makers: Mapping[str, Callable[[], Rendering]] = {
            "text": lambda: Table(
                self.fields, self.zone, painter, has_head=has_head, is_for_people=output.is_terminal
            ),
            "short-iso": lambda: Short(self.zone, painter),
            "json": lambda: Json(clusters[0] if len(clusters) == 1 else None),
            "ndjson": lambda: JsonLines(fields, self.zone),
            "csv": lambda: Csv(self.fields, self.zone, has_head=has_head),
            "lp": LineProtocol,
        }
        return makers[self["output"]]()


def _is_moment(text: str) -> bool:
    try:
        parse_moment(text, 0)
    except ValueError:
        return False
    return True


def say(text: str) -> None:
    """Tell people something."""
    terminal.say("query", text)


class Listing:
    """Shows messages as they come over the line.

    :param is_turned: they are kept, and shown the other way round at the end.
    """

    def __init__(self, options: Options, output: Output, rendering: Rendering, *, is_turned: bool) -> None:
        self._format = options["output"]
        self._output = output
        self._rendering = rendering
        self._kept: list[bytes] | None = [] if is_turned else None
        self._has_begun = False

    def write(self, text: str) -> None:
        """Write what is made of messages."""
        if self._output.is_terminal and self._format not in ("text", "short-iso"):
            text = clean_lines(text, is_json="json" in self._format)
        self._output.write(text)

    def show(self, lines: Sequence[bytes]) -> None:
        """Show some messages."""
        self.write(self._rendering.messages(lines))

    def take(self, lines: Sequence[bytes]) -> None:
        """Show some messages, or keep them."""
        self._begin()
        if self._kept is not None:
            self._kept += lines
        elif lines:
            self.show(lines)

    def _begin(self) -> None:
        """Not before there is an answer: else half an object would stand where there is only an error."""
        if not self._has_begun:
            self._has_begun = True
            self.write(self._rendering.begin())

    def end(self, *, is_complete: bool) -> None:
        """There are no more of them."""
        self._begin()
        kept = self._kept or []
        while kept:
            self.show(kept[: -_AT_ONCE - 1 : -1])
            del kept[-_AT_ONCE:]
        self.write(self._rendering.end(is_complete=is_complete))


async def list_past(server: Server, options: Options, output: Output, clock: Any, now: int) -> int:
    """Show messages that are there; gives the exit status."""
    asked = options.question(now)
    is_newest_first = options["reverse"] or options.limit is not None
    question = [*asked, ("order", "newest" if is_newest_first else "oldest")]
    is_turned = is_newest_first and not options["reverse"]
    listing = Listing(options, output, options.rendering(output), is_turned=is_turned)
    exporting = Exporting(server, clock, question, listing.take, say, limit=options.limit)
    try:
        try:
            await exporting.run()
        except NotAll:
            listing.end(is_complete=False)
            raise
        listing.end(is_complete=True)
    except Enough:
        return DONE
    if exporting.count:
        return DONE
    status, why = await _nothing(server, options, asked, now)
    say(why)
    return status


async def _nothing(server: Server, options: Options, asked: Question, now: int) -> tuple[int, str]:
    """The exit status where there is nothing, and why that may be."""
    page = await server.question(MESSAGES, [*asked, ("limit", "1")])
    absent = await explain(
        server,
        clusters=options.all("cluster"),
        kinds=options.all("kind"),
        names=[*options.all("event"), *options.all("name")],
        hosts=options.expanded("host"),
    )
    notice = page.get("notice")
    if absent is not None and (absent.near or not notice):
        notice = absent.says
    is_mistake = absent is not None and absent.is_mistake
    why = notice or await nothing_matched(server, options, asked, now)
    return NOT_AS_ASKED if is_mistake else DONE, why


async def look(server: Server, options: Options, now: int) -> int:
    """Whether there is any message, as an exit status."""
    page = await server.question(MESSAGES, [*options.question(now), ("limit", "1")])
    return DONE if page["messages"] else NOT_AS_ASKED


async def follow(server: Server, options: Options, output: Output, clock: Any, now: int) -> int:
    """Show what comes, until somebody stops it."""
    question = options.question(now)
    if options["since"] is None and options["from"] is None:
        limit = _PAST if options.limit is None else options.limit
        question = [*without(question, "from"), ("limit", f"{limit}")]
    elif options.limit is not None:
        question = [*question, ("limit", f"{options.limit}")]
    rendering = options.rendering(output)
    listing = Listing(options, output, rendering, is_turned=False)
    try:
        listing.write(rendering.begin())
        await Tailing(server, clock, question, listing.show, say).run()
    except Enough:
        return DONE


def main(words: Sequence[str]) -> int:
    """Run the command."""
    options = parse(Options(), words)
    if options is None:
        return FAILED
    output = standard_output(is_paged=not (options["follow"] or options["quiet"] or options["no-pager"]))

    async def command(reactor: Any) -> int:
        server = connect(options, reactor)
        now = nanoseconds(reactor.seconds())
        try:
            if options["quiet"]:
                return await look(server, options, now)
            if options["follow"]:
                return await follow(server, options, output, reactor, now)
            return await list_past(server, options, output, reactor, now)
        except (LookupError, TypeError, AttributeError, json.JSONDecodeError):
            raise ClientError(f"{server.url} gives an answer that is none of ccstore's") from None

    return run(options, command, output.end)
