"""``ccstore job``, ``node``, ``before`` and ``cause``: what a store of HPC events can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timezone, tzinfo
from typing import Any, Final
from urllib.parse import quote

from twisted.python.usage import UsageError

from ccstore.client.counting_commands import CountingOptions, ask_and_show
from ccstore.client.message_parts import show_time
from ccstore.client.server import Server, ServerOptions
from ccstore.client.session import ClientError
from ccstore.client.table import cut, fitted, some, table
from ccstore.client.terminal import Output, clean, standard_output
from ccstore.commands.description import DURATION, NAME, TEXT, TIME, Value
from ccstore.instants import parse_moment
from ccstore.times import show_span

#: Characters of a template, and of a host list, in a table.
_TEMPLATE: Final = 100
_HOSTS: Final = 24

Found = Mapping[str, Any]


class _OneOptions(ServerOptions):
    """The options of commands about one thing, which is their only word."""

    is_mixed = True
    word = ""
    called = ""
    problem = "there is more than it shows"
    optParameters = [["cluster", "c", None, "Of this cluster; else of the one that has it."]]
    optFlags: Any = [["utc", None, "Times are read and shown in UTC; else in the local time zone."]]
    option_values = {"cluster": NAME, "start": TIME, "at": TIME, "since": TIME, "until": TIME}

    def parseArgs(self, *words: str) -> None:
        """Take the thing."""
        if len(words) != 1 or not words[0] or "/" in words[0]:
            raise UsageError(f"expected {self.called}, got {' '.join(words) or 'nothing'}")
        (self.word,) = words

    @property
    def zone(self) -> tzinfo | None:
        """In which times are read and shown; None is the local one."""
        return timezone.utc if self["utc"] else None

    def moments(self, now: int, **names: str) -> list[tuple[str, str]]:
        """Times among the options as parameters; raises :class:`ClientError`.

        :param now: nanoseconds.
        :param names: of options, and of the parameters that they are.
        """
        found = []
        for option, parameter in names.items():
            if self[option] is not None:
                try:
                    found.append((parameter, str(parse_moment(self[option], now, self.zone))))
                except ValueError as error:
                    raise ClientError(f"--{option}: {error}") from None
        return found

    def path(self, call: str) -> str:
        """Of the call about this thing."""
        return f"/api/v1/{call}/{quote(self['cluster'] or '*', safe='')}/{quote(self.word, safe='')}"


class JobOptions(_OneOptions):
    """The options of ``ccstore job``."""

    command = "job"
    synopsis = "JOB [options]"
    called = "the number of a job, such as 1234567, 12_3 or 12+1"
    longdesc = (
        "Shows what happened in a job: when and where it ran, what was unusual on its nodes in its time, the"
        " most surprising first, and all that was said there, less what other nodes said as often."
    )
    arguments = (Value("JOB", "Its number; 12_3 is a task of an array, 12+1 a part of a heterogeneous job."),)
    optParameters = [
        ["start", None, None, "The run that began then, as this command shows it; else the newest."],
        ["at", None, None, "The run that ran then."],
    ]
    optFlags: Any = [["all", "a", "Show what other nodes said as often, too."]]


class NodeOptions(_OneOptions):
    """The options of ``ccstore node``."""

    command = "node"
    synopsis = "HOST [options]"
    called = "a host, such as a0101"
    longdesc = (
        "Shows what there is to know of a node: its jobs, since when it is in which state and why, its last"
        " messages before each silence or reboot, and what it alone of its rack says."
    )
    arguments = (Value("HOST", "The host."),)
    optParameters = [
        ["since", "S", None, "Since when; else of the last three days."],
        ["until", "U", None, "Until when."],
        ["at", None, None, "Only the jobs that ran then."],
    ]


class _TargetOptions(CountingOptions):
    """The options of commands about some of the messages."""

    optParameters = [
        [
            "template",
            "T",
            None,
            "The template of the messages, as in /api/v1/jobs; or --grep, --regex.",
        ]
    ]
    option_values = {"template": TEXT, "window": DURATION}

    def postOptions(self) -> None:
        super().postOptions()
        if not (self["template"] or self.all("grep") or self.all("regex")):
            raise UsageError("expected --grep, --regex or --template, to say which messages, got none")

    def question(self, now: int) -> list[tuple[str, str]]:
        more = [(name, self[name]) for name in ("template", "window") if self[name]]
        return [*super().question(now), *more]


class BeforeOptions(_TargetOptions):
    """The options of ``ccstore before``."""

    command = "before"
    longdesc = (
        "Shows what came before some messages on the same host, and how often it comes without them: what is"
        " least by chance first. Without --since, of the last seven days."
    )
    optParameters = [["window", "w", None, "How long before each of them; else 10m."]]


class CauseOptions(_TargetOptions):
    """The options of ``ccstore cause``."""

    command = "cause"
    longdesc = (
        "Shows what the hosts of a burst of messages have in common: a rack, a switch, a job, a user. The"
        " burst is looked for in the last 24 hours or since --since; with --since and --until it is all that"
        " was then."
    )
    optParameters = [["window", "w", None, "The burst is where so long a time has the most hosts; else 5m."]]


def job(words: Sequence[str]) -> int:
    """Run ``ccstore job``."""

    async def answer(server: Server, options: JobOptions, now: int) -> Found:
        question = options.moments(now, start="start", at="at")
        question += [("all", "true")] if options["all"] else []
        found: Found = await server.question(options.path("jobs"), question)
        return found

    return ask_and_show(JobOptions(), words, answer, _shown_by(_shown_job))


def node(words: Sequence[str]) -> int:
    """Run ``ccstore node``."""

    async def answer(server: Server, options: NodeOptions, now: int) -> Found:
        question = options.moments(now, since="from", until="to", at="at")
        found: Found = await server.question(options.path("nodes"), question)
        return found

    return ask_and_show(NodeOptions(), words, answer, _shown_by(_shown_node))


def before(words: Sequence[str]) -> int:
    """Run ``ccstore before``."""

    async def answer(server: Server, options: BeforeOptions, now: int) -> Found:
        found: Found = await server.question("/api/v1/before", options.question(now))
        return found

    return ask_and_show(BeforeOptions(), words, answer, _shown_by(_shown_before))


def cause(words: Sequence[str]) -> int:
    """Run ``ccstore cause``."""

    async def answer(server: Server, options: CauseOptions, now: int) -> Found:
        found: Found = await server.question("/api/v1/cause", options.question(now))
        return found

    return ask_and_show(CauseOptions(), words, answer, _shown_by(_shown_cause))


def _shown_by(lines: Callable[[Found, Any, int, Output], Iterator[str]]) -> Callable[[Found, Any, int], str]:
    """Shows an answer by its lines, which fit on a terminal."""
    output = standard_output(is_paged=False)
    return lambda found, options, now: "".join(lines(found, options, now, output))


def _shown_job(found: Found, options: JobOptions, now: int, output: Output) -> Iterator[str]:
    one = found["job"]
    whose = [f"{name} {one[name]}" for name in ("user", "project", "partition", "name") if one.get(name)]
    number = f" ({clean(one['number'])})" if one.get("number") else ""
    yield f"job {clean(one['id'])}{number} of {clean(one['cluster'])}: {clean(', '.join(whose))}\n"
    yield f"  {_span(one, options.zone)}, {clean(one.get('state') or 'no state')} ({one['ending']})\n"
    yield f"  {some(found['hosts']['count'], 'host')}: {clean(found['hosts']['list'])}\n"
    if one.get("parts"):
        yield f"  parts: {clean(' '.join(one['parts']))}\n"
    for run in found["runs"]:
        yield f"  also: {_span(run, options.zone)}, {clean(run['cluster'])}\n"
    yield "\nUnusual\n" if found["unusual"] else "\nNothing unusual.\n"
    if found["unusual"]:
        rows = [
            [
                f"{row['g2']:.1f}{'*' if row['is_significant'] else ''}",
                _rate(row["here"]),
                _rate(row["before"]),
                _rate(row["others"]),
                _hosts(row),
                _template(row),
            ]
            for row in found["unusual"]
        ]
        head = ["G2", "HERE/h", "BEFORE/h", "OTHERS/h", "HOSTS", "TEMPLATE"]
        yield fitted(head, rows, output, "TEMPLATE")
    yield "\nTimeline\n" if found["timeline"] else ""
    yield _templates(found["timeline"], options.zone, output)
    hidden = found["hidden"]
    if hidden["templates"]:
        yield (
            f"Left out: {some(hidden['templates'], 'template')} ({some(hidden['messages'], 'message')})"
            " that other nodes said as often, see --all\n"
        )


def _shown_node(found: Found, options: NodeOptions, now: int, output: Output) -> Iterator[str]:
    groups = " ".join(f"{group['kind']} {group['name']}" for group in found["groups"])
    yield f"{clean(found['host'])} of {clean(found['cluster'])}{': ' if groups else ''}{clean(groups)}\n"
    if found["count"]:
        first, last = (_time(found[key], options.zone) for key in ("first", "last"))
        yield f"  {some(found['count'], 'message')} from {first} to {last}\n"
    if found["states"]:
        yield "\nStates\n"
        rows = [
            [
                period["state"],
                _time(period["since"], options.zone),
                show_span(period["seconds"]),
                period["reason"] or "",
                period["by"] or "",
                " ".join(period["lost"]),
            ]
            for period in found["states"]
        ]
        yield fitted(["STATE", "SINCE", "FOR", "REASON", "BY", "LOST JOBS"], rows, output, "REASON")
    if found["jobs"]:
        yield "\nJobs\n"
        jobs = [
            [
                run["id"],
                run.get("user", ""),
                run.get("state", ""),
                run["nodes"] or "",
                _span(run, options.zone),
            ]
            for run in found["jobs"]
        ]
        yield table(["JOB", "USER", "STATE", "NODES", "TIME"], jobs)
    for silence in found["silences"]:
        yield _silence(silence, options.zone)
        yield from _lines_before(silence["before"], options.zone, output)
    for reboot in found["reboots"]:
        started = f"Started at {_time(reboot['time'], options.zone)}: {_shortened(reboot['text'])}"
        yield f"\n{cut(started, output)}\n"
        yield from _lines_before(reboot["before"], options.zone, output)
    alone = found["alone"]
    if alone["templates"]:
        others = some(alone["hosts"]["count"], "other")
        yield f"\nAlone in its {clean(alone['group']['kind'])} ({others}), last day\n"
        yield _templates(alone["templates"], options.zone, output)


def _silence(silence: Found, zone: tzinfo | None) -> str:
    end = "now" if silence["to"] is None else _time(silence["to"], zone)
    shared = silence["shared"]
    with_others = f"with {shared['silent']} of {shared['hosts']} hosts" if shared["silent"] > 1 else "alone"
    if shared["is_maintenance"]:
        with_others += ", a maintenance"
    span = show_span(silence["seconds"])
    return f"\nSilent from {_time(silence['from'], zone)} to {end} ({span}), {with_others}\n"


def _lines_before(messages: Sequence[Found], zone: tzinfo | None, output: Output) -> Iterator[str]:
    for message in messages:
        line = f"  {_time(message['time'], zone)}  {_shortened(message['text'])}"
        yield f"{cut(line, output)}\n"


def _shown_before(found: Found, options: BeforeOptions, now: int, output: Output) -> Iterator[str]:
    if not found["count"]:
        return
    yield (
        f"{some(found['count'], 'message')} on {some(found['hosts']['count'], 'host')};"
        f" {some(found['cases'], 'window')} of"
        f" {show_span(found['window'])} before them, {found['controls']} for comparison\n"
    )
    rows = [
        [
            f"{row['cases']}/{found['cases']}",
            f"{row['controls']}/{found['controls']}",
            f"{row['lift']:.1f}{'*' if row['is_significant'] else ''}",
            show_span(row["lead"]),
            _hosts(row),
            _template(row),
        ]
        for row in found["before"]
    ]
    if rows:
        head = ["BEFORE", "ELSEWHERE", "LIFT", "LEAD", "HOSTS", "TEMPLATE"]
        yield fitted(head, rows, output, "TEMPLATE")


def _shown_cause(found: Found, options: CauseOptions, now: int, output: Output) -> Iterator[str]:
    burst = found["burst"]
    if burst is None:
        return
    first, last = (_time(burst[key], options.zone) for key in ("first", "last"))
    what = f"{some(burst['count'], 'message')} from {first} to {last}: {_shortened(burst['template'])}"
    yield f"{cut(what, output)}\n"
    yield f"on {burst['hosts']['count']} of {found['population']} hosts of {clean(burst['cluster'])}: "
    yield f"{clean(burst['hosts']['list'])}\n"
    if found["everybody"]:
        yield "nearly all of the cluster is touched: it is no rack, switch or job\n"
    rows = [
        [
            row["kind"],
            row["name"],
            f"{row['touched']}/{row['hosts']}",
            row["outside"],
            f"{row['p_corrected']:.2g}{'*' if row['is_significant'] else ''}",
        ]
        for row in found["causes"]
    ]
    if rows:
        yield fitted(["WHAT", "NAME", "TOUCHED", "OUTSIDE", "P"], rows, output, "NAME")


def _templates(rows: Sequence[Found], zone: tzinfo | None, output: Output) -> str:
    shown = [[_time(row["first"], zone), row["count"], _hosts(row), _template(row)] for row in rows]
    head = ["FIRST", "COUNT", "HOSTS", "TEMPLATE"]
    return fitted(head, shown, output, "TEMPLATE") if shown else ""


def _template(row: Found) -> str:
    return _shortened(row["template"])


def _shortened(text: str) -> str:
    return text if len(text) <= _TEMPLATE else text[:_TEMPLATE] + "…"


def _hosts(row: Found) -> str:
    text, count = row["hosts"]["list"], row["hosts"]["count"]
    return str(text) if len(text) <= _HOSTS else f"{count} hosts"


def _rate(figures: Found) -> str:
    return f"{figures['rate']:.3g}" if figures["host_hours"] else "-"


def _span(run: Found, zone: tzinfo | None) -> str:
    end = "now" if run["end"] is None else _time(run["end"], zone)
    return f"{_time(run['start'], zone)} to {end} ({show_span(run['seconds'])})"


def _time(text: str, zone: tzinfo | None) -> str:
    """To the second."""
    shown = show_time(parse_moment(text, 0), zone)
    return shown[:19] + shown[23:]
