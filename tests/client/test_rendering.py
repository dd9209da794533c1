"""Messages as text, and what becomes of it on a terminal."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from datetime import timedelta, timezone
from typing import Any

import pytest

from ccstore.client.histogram_command import Bars
from ccstore.client.histogram_command import Options as HistogramOptions
from ccstore.client.marking import Marks
from ccstore.client.message_parts import show_time
from ccstore.client.rendering import Csv, JsonLines, LineProtocol, Short, Table
from ccstore.client.session import ClientError
from ccstore.client.terminal import Painter, clean_lines, has_color
from ccstore.lineprotocol import decode
from ccstore.timing import SECOND

AT = 1_700_000_000_123_456_789
ZONE = timezone(timedelta(hours=5, minutes=30))
PLAIN, COLORED = Painter(False), Painter(True)


def line(text: str = "a text", **more: Any) -> bytes:
    known = {"id": "i", "time_ns": f"{AT}", "kind": "log", "cluster": "alex", "name": "n", "hostname": "a1"}
    return json.dumps({**known, **more, "text": text}).encode()


def test_times_have_milliseconds_and_the_zone() -> None:
    assert show_time(AT, timezone.utc) == "2023-11-14 22:13:20.123Z"
    assert show_time(AT, ZONE, "T") == "2023-11-15T03:43:20.123+05:30"
    assert show_time(-1, timezone.utc) == "1969-12-31 23:59:59.999Z"


def test_the_local_zone_is_that_of_the_summer_in_summer() -> None:
    code = (
        "from ccstore.client.message_parts import show_time as show\n"
        "print(show(1_700_000_000 * 10**9, None), show(1_690_000_000 * 10**9, None))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"TZ": "Europe/Berlin"}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "2023-11-14 23:13:20.000+01:00 2023-07-22 06:26:40.000+02:00\n"


def test_a_table_grows_as_it_goes() -> None:
    table = Table(["host", "tag.job", "text"], timezone.utc, PLAIN, has_head=True)
    assert table.messages([line(), line(tags={"job": "7"}, hostname="a0101")]) == (
        "HOST   TAG.JOB  TEXT\na1              a text\na0101  7        a text\n"
    )
    assert table.messages([line(hostname="login1.example")]) == "login1.example           a text\n"
    assert table.messages([line()]) == "a1                       a text\n"
    assert table.messages([line(hostname="x" * 50)]).startswith("x" * 50 + "  ")


def test_a_text_of_several_lines_is_one_line_but_for_people() -> None:
    trace = line("Traceback:\n\tin x\x1b[2J\nError\n", tags={"level": "err"})
    table = Table(["host", "text"], None, PLAIN, has_head=False)
    assert table.messages([trace]) == "a1  Traceback:\\n\\tin x\\x1b[2J\\nError\\n\n"
    table = Table(["host", "text"], None, COLORED, has_head=False, is_for_people=True)
    assert table.messages([trace]) == ("\x1b[31ma1  Traceback:\n            in x\\x1b[2J\n    Error\x1b[0m\n")


def test_what_was_looked_for_stands_out_in_the_text_and_only_there() -> None:
    painter = Painter(True, Marks(["a1", "É"], [r"\d+$", "(", "x*"]))
    found = line("A1 is a1a1, é 42", tags={"level": "err"}, name="a1")
    on, off = "\x1b[7m", "\x1b[0m"
    red = "\x1b[31m"
    text = f"{on}A1{off}{red} is {on}a1a1{off}{red}, {on}é{off}{red} {on}42{off}{red}"
    table = Table(["host", "name", "text"], timezone.utc, painter, has_head=True)
    assert table.messages([found]) == (f"\x1b[1mHOST  NAME  TEXT{off}\n{red}a1    a1    {text}{off}\n")
    assert Short(timezone.utc, painter).messages([found]) == (
        f"{red}2023-11-14T22:13:20.123Z a1 a1: {text}{off}\n"
    )
    # Columns are as wide as what is seen of them.
    table = Table(["text", "host"], timezone.utc, painter, has_head=False)
    shown = table.messages([line("a1", hostname="b"), line("none", hostname="b")])
    assert shown == f"{on}a1{off}    b\nnone  b\n"


def test_nothing_stands_out_without_colours() -> None:
    painter = Painter(False, Marks(["text"], ["a"]))
    table = Table(["text"], timezone.utc, painter, has_head=False)
    assert table.messages([line()]) == "a text\n"


def test_what_overlaps_is_one() -> None:
    assert Marks(["abc", "cd", "f"], ["b.d"]).parts("xABCDEF\ud800") == [
        ("x", False),
        ("ABCD", True),
        ("E", False),
        ("F", True),
        ("\ud800", False),
    ]
    assert Marks([], []).parts("") == []


def test_the_level_is_that_of_a_tag_and_never_guessed() -> None:
    table = Table(["text"], timezone.utc, COLORED, has_head=False)
    for tags, color in (
        ({"loglevel": "err"}, "\x1b[31m"),
        ({"level": "WARN"}, "\x1b[33m"),
        ({"severity": "Critical"}, "\x1b[1;31m"),
        ({"priority": "3"}, "\x1b[31m"),
        ({"priority": "7"}, "\x1b[2m"),
        ({"loglevel": "info"}, ""),
        ({"priority": "9"}, ""),
        ({"other": "err"}, ""),
    ):
        expected = f"{color}ERROR: bad\x1b[0m\n" if color else "ERROR: bad\n"
        assert table.messages([line("ERROR: bad", tags=tags)]) == expected


@pytest.mark.parametrize("painter", [PLAIN, COLORED])
def test_no_text_is_a_command_for_the_terminal(painter: Painter) -> None:
    evil = "\x1b]0;title\x07\x9b2J\n\r\u202e\x7f"
    for rendering in (
        Table(["host", "text", "tags"], timezone.utc, painter, has_head=False),
        Short(timezone.utc, painter),
    ):
        shown = rendering.messages([line(evil, hostname=evil, name=evil, tags={evil: evil})])
        assert shown.endswith("\n")
        assert shown[:-1].isprintable()
        assert "\\x1b]0;title\\x07\\x9b2J\\n" in shown
    for is_json in (True, False):
        shown = clean_lines(f'{{"a": "{evil[:-4]}\U000e0001"}}\n', is_json=is_json)
        assert shown.replace("\n", "").isprintable()
    assert json.loads(clean_lines('["\x7f\U000e0001"]', is_json=True)) == ["\x7f\U000e0001"]


def test_short_lines() -> None:
    assert Short(ZONE, PLAIN).messages([line()]) == "2023-11-15T03:43:20.123+05:30 a1 n: a text\n"
    assert " alex n: " in Short(ZONE, PLAIN).messages(
        [json.dumps(json.loads(line()) | {"hostname": ""}).encode()]
    )


def test_lines_for_programs() -> None:
    assert JsonLines(None, None).messages([line("é")]) == line("é").decode() + "\n"
    assert JsonLines(["host", "tag.x"], None).messages([line()]) == '{"host": "a1", "tag.x": ""}\n'
    text = 'with "quotes", and\na newline'
    rows = Csv(["time_ns", "text"], None, has_head=True)
    read = [*csv.reader(io.StringIO(rows.begin() + rows.messages([line(text)])))]
    assert read == [["time_ns", "text"], [f"{AT}", text]]


def test_line_protocol_makes_the_same_message_again() -> None:
    text = 'a "quoted" text\nof two lines'
    shown = LineProtocol().messages([line(text, tags={"x y": "a=b"}, **{"type-id": "3"})])
    (message,) = decode(shown.encode(), default_time=0).messages
    assert (message.name, message.text, message.time) == ("n", text, AT)
    assert message.tags == {"cluster": "alex", "hostname": "a1", "type-id": "3", "x y": "a=b"}


def test_fields_that_are_not_there() -> None:
    with pytest.raises(ClientError, match=r"--fields: expected some of time, host, .*got 'hots'"):
        Table(["hots"], None, PLAIN, has_head=True)


def test_colors_are_for_terminals_and_can_be_forbidden() -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return True

    for choice, stream, environ, expected in (
        ("auto", Stream(), {}, True),
        ("auto", Stream(), {"NO_COLOR": "1"}, False),
        ("auto", Stream(), {"NO_COLOR": ""}, True),
        ("auto", Stream(), {"TERM": "dumb"}, False),
        ("auto", io.StringIO(), {}, False),
        ("always", io.StringIO(), {"NO_COLOR": "1"}, True),
        ("never", Stream(), {}, False),
    ):
        assert has_color(choice, stream, environ) is expected


# -- bars


def bars(found: dict[str, Any], *words: str, width: int = 60, has_blocks: bool = True) -> list[str]:
    options = HistogramOptions()
    options.parseOptions(["--utc", *words])
    span = (0, 7200 * SECOND)
    return Bars(PLAIN, width, has_blocks=has_blocks).show(found, options, span).splitlines()


def series(by: dict[str, str] | None, *points: tuple[int, int], **more: Any) -> dict[str, Any]:
    return {"by": by, "total": sum(count for _, count in points), "points": [*map(list, points)], **more}


def test_bars_fit_and_are_as_long_as_they_should_be() -> None:
    found = {"step": "600s", "total": 30, "series": [series({}, (0, 20), (600, 10), (1200, 0), (6600, 1))]}
    lines = bars(found)
    assert lines[0] == "1970-01-01 00:00Z  20  " + "█" * 37
    assert lines[1].count("█") in (18, 19)
    assert lines[3] == "...                8 steps without a message"
    assert lines[4] == "1970-01-01 01:50Z   1  ██"
    assert lines[-1] == "30 messages, 10m a step"
    assert max(map(len, lines)) <= 60
    assert "█" not in "".join(bars(found, has_blocks=False))


def test_a_step_with_very_few_is_seen() -> None:
    found = {"step": "3600s", "total": 1, "series": [series({}, (0, 1_000_000), (3600, 1))]}
    assert bars(found)[1].endswith(" 1  █")


def test_parts_of_a_bar_have_their_own_marks() -> None:
    found = {
        "step": "3600s",
        "total": 40,
        "series": [
            series({"host": "a\x1b1"}, (0, 20)),
            series({"host": ""}, (0, 10), (3600, 5)),
            series(None, (0, 5), other=7),
        ],
    }
    lines = bars(found)
    assert lines[:3] == ["██ a\\x1b1: 20", "== (none): 15", "++ 7 others: 5"]
    bar = lines[3].rpartition("  ")[2]
    assert [bar.count(mark) / len(bar) for mark in "█=+"] == pytest.approx(
        [20 / 35, 10 / 35, 5 / 35], abs=0.03
    )


def test_nothing_is_no_bars() -> None:
    assert bars({"step": "1s", "total": 0, "series": []}) == []
