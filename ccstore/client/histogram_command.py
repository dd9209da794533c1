"""``ccstore histogram``: how many messages there were when, as bars in the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from twisted.python.usage import UsageError

from ccstore.client.choosing import ChoosingOptions
from ccstore.client.counting_commands import CountingOptions, said
from ccstore.client.message_parts import show_time
from ccstore.client.server import connect
from ccstore.client.session import FAILED, ClientError, print_json, run
from ccstore.client.table import some
from ccstore.client.terminal import PARTS, Output, Painter, clean, has_color, standard_output
from ccstore.commands.description import DURATION, NUMBER, Value, choice
from ccstore.commands.options import parse
from ccstore.durations import parse_duration, show_duration
from ccstore.instants import parse_moment
from ccstore.timing import SECOND, nanoseconds

#: Steps, about, if nobody says how long one is: they fit on a screen.
_STEPS: Final = 26
#: Values of a label that have a part of the bars of their own.
_TOP: Final = 5
#: Rows without a message that are shown one by one; more are one row.
_MOST_EMPTY: Final = 3
#: What the parts of a bar are drawn with, where there are colours, and where there are none.
_BLOCK, _BLOCK_ASCII = "█", "#"
_LETTERS: Final = "#=+o:."


class Options(CountingOptions):
    """The options of ``ccstore histogram``."""

    command = "histogram"
    longdesc = (
        "Shows how many messages there were when, in the last 24 hours or the time that is given; by the"
        " values of a label as well."
    )
    since = "-24h"
    optParameters = [
        ["by", None, None, "A label, such as name, host, level or tag.jobid."],
        ["step", None, None, "How long a step is, such as 10m; else one that makes about 25 steps."],
        ["top", None, str(_TOP), "How many values of the label are shown; the others are together."],
        ["color", None, "auto", "Whether there are colours."],
    ]
    option_values = {
        "by": Value("LABEL", choices=("name", "host", "level", "kind", "cluster", "type")),
        "step": DURATION,
        "top": NUMBER,
        "color": choice("auto", "always", "never"),
    }

    def postOptions(self) -> None:
        """Check what can be checked by itself."""
        super().postOptions()
        if self["step"] is not None:
            try:
                step = parse_duration(self["step"])
            except ValueError:
                step = 0
            if not step:
                raise UsageError(f"--step: expected a duration such as 10m or 1h, got {self['step']!r}")
        if not self["top"].isdecimal() or not 0 < int(self["top"]) <= 1000:
            raise UsageError(f"--top: expected a number from 1 to 1000, got {self['top']!r}")
        if self["color"] not in ("auto", "always", "never"):
            raise UsageError(f"--color: expected auto, always or never, got {self['color']!r}")


class Bars:
    """The answer as lines of text.

    :param width: of a line, in characters.
    :param has_blocks: whether there are more characters than those of ASCII.
    """

    def __init__(self, painter: Painter, width: int, *, has_blocks: bool) -> None:
        self._painter = painter
        self._width = width
        self._block = _BLOCK if has_blocks else _BLOCK_ASCII

    def show(self, found: Mapping[str, Any], options: ChoosingOptions, span: tuple[int, int]) -> str:
        """All lines.

        :param span: first and last moment, in ns.
        """
        step = nanoseconds(parse_duration(found["step"]))
        series = found["series"]
        counts: dict[int, list[int]] = {}
        for place, one in enumerate(series):
            for second, count in one["points"]:
                counts.setdefault(round(second * SECOND), [0] * len(series))[place] = count
        if not counts:
            return ""
        lines = [*self._legend(series)] if len(series) > 1 or series[0]["by"] not in ({}, None) else []
        most = max(map(sum, counts.values()))
        digits = len(f"{most:,}")
        shown = {start: _moment(start, step, options) for start in counts}
        room = max(10, self._width - max(map(len, shown.values())) - digits - 4)
        for start, parts in _with_gaps(counts, span, step):
            if isinstance(parts, int):
                lines.append(
                    f"{'...':<{len(_moment(start, step, options))}}  {parts:,} steps without a message"
                )
                continue
            total = sum(parts)
            bar = self._bar(parts, room, most)
            lines.append(f"{_moment(start, step, options)}  {total:>{digits},}  {bar}".rstrip())
        lines.append(f"{some(found['total'], 'message')}, {show_duration(step / SECOND)} a step")
        return "\n".join(lines) + "\n"

    def _legend(self, series: Sequence[Mapping[str, Any]]) -> Sequence[str]:
        lines = []
        for place, one in enumerate(series):
            if one["by"] is None:
                name = f"{one['other']:,} others"
            else:
                name = " ".join(value or "(none)" for value in one["by"].values())
            lines.append(f"{self._part(place, 2)} {clean(name)}: {one['total']:,}")
        return lines

    def _part(self, place: int, length: int) -> str:
        if self._painter.is_on:
            return self._painter.painted(self._block * length, PARTS[place % len(PARTS)])
        mark = self._block if place == 0 else _LETTERS[place % len(_LETTERS)]
        return mark * length

    def _bar(self, parts: Sequence[int], room: int, most: int) -> str:
        bar, done, before = [], 0, 0
        for place, count in enumerate(parts):
            done += count
            # Ends are rounded, and not lengths, so that the whole is as long as it should be.
            end = round(done / most * room)
            if count and not before and end == 0:
                end = 1
            bar.append(self._part(place, end - before) if end > before else "")
            before = max(before, end)
        return "".join(bar)


def _with_gaps(
    counts: Mapping[int, list[int]], span: tuple[int, int], step: int
) -> Sequence[tuple[int, list[int] | int]]:
    """Steps with their counts, and those between that have none; many of these are one, with their number."""
    begin = min(min(counts), span[0] // step * step)
    end = max(max(counts), (span[1] - 1) // step * step)
    rows: list[tuple[int, list[int] | int]] = []
    expected = begin
    for start in [*sorted(counts), end + step]:
        empty = round((start - expected) / step)
        if empty > _MOST_EMPTY:
            rows.append((expected, empty))
        else:
            rows += [(expected + number * step, [0]) for number in range(empty)]
        if start in counts:
            rows.append((start, counts[start]))
        expected = start + step
    return rows


def _moment(start: int, step: int, options: ChoosingOptions) -> str:
    """A moment, as exactly as the steps need it."""
    shown = show_time(start, options.zone)
    date_and_time, offset = shown[:19], shown[23:]
    if step < SECOND:
        return shown
    return f"{date_and_time if step % (60 * SECOND) else date_and_time[:16]}{offset}"


def main(words: Sequence[str]) -> int:
    """Run the command."""
    options = parse(Options(), words)
    if options is None:
        return FAILED
    output = standard_output(is_paged=False)

    async def command(reactor: Any) -> int:
        server = connect(options, reactor)
        now = nanoseconds(reactor.seconds())
        asked = options.question(now)
        moments = {name: value for name, value in asked if name in ("from", "to")}
        span = (parse_moment(moments["from"], now), parse_moment(moments.get("to", "now"), now))
        question = [*asked, ("top", options["top"])]
        question.append(("step", options["step"]) if options["step"] else ("buckets", f"{_STEPS}"))
        question += [("by", options["by"])] if options["by"] else []
        found = await server.question("/api/v1/histogram", question)
        if options["json"]:
            print_json(found)
        else:
            try:
                text = _bars(options, output).show(found, options, span)
            except (LookupError, TypeError, AttributeError, ValueError):
                raise ClientError(f"{server.url} gives an answer that is none of ccstore's") from None
            print(text, end="")
        return said(options, found)

    return run(options, command)


def _bars(options: Options, output: Output) -> Bars:
    painter = Painter(has_color(options["color"], sys.stdout, os.environ))
    return Bars(painter, output.width, has_blocks=output.can_show(_BLOCK))
