"""``ccstore fold``: messages that are equal but for numbers, names and addresses, as one line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from twisted.python.usage import UsageError

from ccstore.client.counting_commands import CountingOptions, ask_and_show
from ccstore.client.elsewhere import nothing_matched
from ccstore.client.server import Server
from ccstore.client.table import fitted, some
from ccstore.client.terminal import Output, clean, say, standard_output
from ccstore.commands.description import NUMBER, choice
from ccstore.durations import parse_duration
from ccstore.instants import parse_moment
from ccstore.times import show_span
from ccstore.timing import SECOND, nanoseconds

_ORDERS: Final = ("count", "rare", "newest", "first")
_PLACES: Final = ("store", "host")
#: Templates that are shown if nobody says how many, and the most there may be.
_LIMIT: Final = 30
_MOST: Final = 20_000
#: Characters of a spark line, and of a host list.
_STEPS: Final = 12
_HOSTS: Final = 20
_BARS: Final = "▁▂▃▄▅▆▇█"
_ASCII_BARS: Final = ".:-=+*#@"


class Options(CountingOptions):
    """The options of ``ccstore fold``."""

    command = "fold"
    longdesc = (
        "Shows messages that are equal but for numbers, names and addresses as one line each: how many there"
        " are, on which hosts, when, and how long ago the last one was; of the last 24 hours, or the time"
        " that is given."
    )
    since = "-24h"
    optParameters = [
        ["limit", "n", str(_LIMIT), "How many templates are shown; the others are counted."],
        ["order", None, None, "What goes first: the most, the rarest, what was last, what was first."],
        ["new", None, None, "Only what was never there before: in the store, or on the host that says it."],
    ]
    option_values = {"limit": NUMBER, "order": choice(*_ORDERS), "new": choice(*_PLACES)}

    def postOptions(self) -> None:
        """Check what can be checked by itself."""
        super().postOptions()
        if not (self["limit"].isdecimal() and 0 < int(self["limit"]) <= _MOST):
            raise UsageError(f"--limit: expected a number from 1 to {_MOST}, got {self['limit']!r}")
        for name, words in (("order", _ORDERS), ("new", _PLACES)):
            if self[name] is not None and self[name] not in words:
                raise UsageError(f"--{name}: expected one of {', '.join(words)}, got {self[name]!r}")


def main(words: Sequence[str]) -> int:
    """Run the command."""
    output = standard_output(is_paged=False)

    async def answer(server: Server, options: Options, now: int) -> Mapping[str, Any]:
        question = [("limit", options["limit"]), ("buckets", f"{_STEPS}")]
        question += [(name, options[name]) for name in ("order", "new") if options[name] is not None]
        asked = options.question(now)
        found: Mapping[str, Any] = await server.question("/api/v1/fold", [*asked, *question])
        if not (found["folds"] or found["notice"] or options["new"]):
            say(options.command, await nothing_matched(server, options, asked, now))
        return found

    def show(found: Mapping[str, Any], options: Options, now: int) -> str:
        moments = dict(options.question(now))
        span = (parse_moment(moments["from"], now), parse_moment(moments.get("to", "now"), now))
        return shown(found, span, now, output)

    return ask_and_show(Options(), words, answer, show)


def shown(found: Mapping[str, Any], span: tuple[int, int], now: int, output: Output) -> str:
    """An answer as a table.

    :param span: first and last moment, in ns, as is ``now``.
    """
    if not found["folds"]:
        return ""
    step = nanoseconds(parse_duration(found["step"]))
    bars = _BARS if output.can_show(_BARS[0]) else _ASCII_BARS
    rows = [
        [
            one["count"],
            _hosts(one["hosts"]),
            f"{show_span(max(0, now - parse_moment(one['last'], 0)) / SECOND)} ago",
            spark_line(one["points"], span, step, bars),
            one["template"],
        ]
        for one in found["folds"]
    ]
    head = ["COUNT", "HOSTS", "LAST", "WHEN", "TEMPLATE"]
    told = f"{some(found['total'], 'message')} of {some(found['templates'], 'template')}"
    rest = found["rest"]
    if rest["templates"]:
        left_out = f"{some(rest['templates'], 'template')} with {some(rest['count'], 'message')}"
        told += f"; not shown: {left_out}, see --limit"
    return f"{fitted(head, rows, output, 'TEMPLATE')}{told}\n"


def spark_line(points: Sequence[Sequence[float]], span: tuple[int, int], step: int, bars: str) -> str:
    """How many there were in each step, as a line of bars; none is a space.

    :param points: beginnings of steps in seconds, and counts.
    :param span: first and last moment, in ns, as is ``step``.
    """
    counts = {round(second * SECOND): count for second, count in points}
    most = max(counts.values(), default=0)
    begin = min([span[0] // step * step, *counts])
    end = max([(span[1] - 1) // step * step, *counts])
    return "".join(
        bars[-(-int(counts[start]) * len(bars) // int(most)) - 1] if counts.get(start) else " "
        for start in range(begin, end + 1, step)
    )


def _hosts(hosts: Mapping[str, Any]) -> str:
    text = clean(hosts["list"])
    return text if len(text) <= _HOSTS else f"{hosts['count']:,} hosts"
