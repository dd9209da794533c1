"""Modules of the page that know nothing of a page: what goes in, and what comes out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from ccstore import hostlist
from ccstore.masking import template_of
from ccstore.regex import compile_regex
from tests.support.browsing import opened, place
from tests.support.running_daemon import Daemon

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def call(chromium: Browser, store: Daemon) -> Iterator[Call]:
    """Calls a function of a module: ``call("host_lists", "fold", ["a1"])``."""
    with opened(chromium, timezone_id="Europe/Berlin") as page:
        page.goto(place(store))

        def made(module: str, name: str, *arguments: Any) -> Any:
            return page.evaluate(
                """async ([module, name, given]) => {
                  const files = document.querySelector('meta[name="ccstore-files"]').content;
                  return (await import(`${location.origin}/${files}/js/${module}.js`))[name](...given);
                }""",
                [module, name, arguments],
            )

        yield made


@pytest.mark.parametrize(
    ("line", "texts", "filters", "rest"),
    [
        ("", [], [], ""),
        ("out memory", ["text out", "text memory"], [], "out memory"),
        ('"out of memory" -x !y', ["text out of memory", "text! x", "text! y"], [], '"out of memory" -x !y'),
        ('"a \\"b\\" c"', ['text a "b" c'], [], '"a \\"b\\" c"'),
        ("/a b\\/c/ -/d/i", ["regex a b/c", "regex! (?i)d"], [], "/a b\\/c/ -/d/i"),
        ("/var/log", ["text /var/log"], [], "/var/log"),
        ("host=a[01-02],b x", ["text x"], ["host = a[01-02],b"], "x"),
        ('name!="a b" jobid=1', [], ["name != a b", "tag.jobid = 1"], ""),
        ("hostname=a level=err", [], ["host = a", "level = err"], ""),
        ("tag.host=x host=", [], ["tag.host = x", "host = "], ""),
        ("- 50% =", ["text -", "text 50%", "text ="], [], "- 50% ="),
    ],
)
def test_the_search_line(call: Call, line: str, texts: list[str], filters: list[str], rest: str) -> None:
    found = call("search_language", "readLine", line)
    assert [f"{each['op']} {each['value']}" for each in found["texts"]] == texts
    shown = [
        f"{each['label']} {'!=' if each['negated'] else '='} {each['value']}" for each in found["filters"]
    ]
    assert shown == filters
    assert found["rest"] == rest


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a OR b", "/a|b/"),
        ("a || b", "/a|b/"),
        ("NOT x", "-word"),
        ("a && b", "leave these out"),
        ("a AND b", "leave these out"),
        ('"a OR b" -c', ""),
        ("or not and NOTE ORB", ""),
    ],
)
def test_habits_of_other_search_engines(call: Call, line: str, said: str) -> None:
    found = call("search_language", "habitOf", line)
    assert said in found
    assert bool(said) == bool(found)
    assert call("search_language", "habitOf", line, {"isRegex": True}) == ""


def test_the_zone_says_how_far_it_is(call: Call) -> None:
    assert call("moments", "zoneAt", 1769860800000, False) == "Europe/Berlin (UTC+1)"
    assert call("moments", "zoneAt", 1785499200000, False) == "Europe/Berlin (UTC+2)"
    assert call("moments", "zoneAt", 1785499200000, True) == "UTC"


def test_host_lists_are_those_of_the_daemon(call: Call) -> None:
    chance = random.Random(7)
    for _ in range(20):
        names = {
            f"{chance.choice(['a', 'gpu-', ''])}{chance.randrange(30):0{chance.choice([1, 2, 4])}}"
            f"{chance.choice(['', '.site', '-ib'])}"
            for _ in range(chance.randrange(1, 25))
        } | {"login"}
        folded = call("host_lists", "fold", sorted(names, key=lambda _: chance.random()))
        assert {each for part in folded for each in hostlist.expand(part)} == names
        for name in names:
            assert call("host_lists", "holds", ",".join(folded), name), (folded, name)
        assert not call("host_lists", "holds", ",".join(folded), "a9999x")
    assert call("host_lists", "fold", ["a0101", "a0103", "a0102"]) == ["a[0101-0103]"]
    assert call("host_lists", "holds", "a01*", "a0199")


@pytest.mark.parametrize(
    ("text", "local", "utc"),
    [
        ("-2h", "2026-03-29T22:00:00.000Z", None),
        ("now-1h30m", "2026-03-29T22:30:00.000Z", None),
        ("today", "2026-03-29T22:00:00.000Z", "2026-03-30T00:00:00.000Z"),
        # The clocks were put forward that night.
        ("yesterday", "2026-03-28T23:00:00.000Z", "2026-03-29T00:00:00.000Z"),
        ("2026-01-31", "2026-01-30T23:00:00.000Z", "2026-01-31T00:00:00.000Z"),
        ("2026-01-31 12:00", "2026-01-31T11:00:00.000Z", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31T12:00:00.5+02:00", "2026-01-31T10:00:00.500Z", None),
        ("1700000000", "2023-11-14T22:13:20.000Z", None),
        ("1700000000123456789", "2023-11-14T22:13:20.123Z", None),
    ],
)
def test_moments(call: Call, text: str, local: str, utc: str | None) -> None:
    now = 1774828800000  # 2026-03-30T00:00:00Z
    for is_utc, wanted in ((False, local), (True, utc or local)):
        milliseconds = call("moments", "readMoment", text, now, is_utc)["ms"]
        assert call("moments", "toState", int(milliseconds)) == wanted


def test_the_clock_of_today(call: Call) -> None:
    now = 1774828800000
    assert call("moments", "readMoment", "09:00", now, True)["ms"] == now + 9 * 3600 * 1000
    assert call("moments", "readMoment", "09:00", now, False)["ms"] == now + 7 * 3600 * 1000
    exact = call("moments", "readMoment", "2026-01-31T12:00:00.123456789Z", now, False)
    assert exact["param"] == "2026-01-31T12:00:00.123456789Z"


def test_a_state_comes_back_from_its_url(call: Call) -> None:
    query = "?from=-1h&q=%22a+b%22+%2Fc%2F&host=a[01-02]&host!=b&tag.x=1&tag.x=2"
    query += "&off=name!=%3D&wrap=1&cols=host,tag.x"
    state = call("url_state", "readState", query)
    again = call("url_state", "readState", call("url_state", "writeState", state))
    assert again == state
    assert {each["label"]: each["values"] for each in state["filters"]}["tag.x"] == ["1", "2"]
    assert call("url_state", "writeState", call("url_state", "readState", "")) == ""


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("step 12 of n0101 took -1.5e-05", "step x of n0101 took -1.5e-05"),
        ("OST0005: restored 10.1.2.3:514 or fe80::1", "OST000e: restored 10.1.2.3:514 or fe80::1"),
        ("fault at 0x7fff12ab in /var/log/x.y", "fault at 0x7fff12ab in var/log/x.y"),
        ("64KiB left after 1h30m (x86_64)", "some left after 1h30m (x86_64)"),
        ("Jan  3 12:01:02 n0101 sshd[1234]: n0102,n0103 a[01-10]", "Jan  3 12:01:02 n0101 sshd[x]: n0102 b"),
        ("Xid (PCI:0000:3b:00): 79, pid=1", "Xid (PCI:0000:3b:00): 48, pid=1"),
        ('{"jobId": 1, "a": {"b": [1, 2]}}', '{"jobId": 1, "a": {"c": [1, 2]}}'),
    ],
)
def test_the_expression_of_a_template_finds_its_texts(call: Call, text: str, other: str) -> None:
    expression = call("templates", "expressionOf", template_of(text, "n0101"))
    assert compile_regex(expression).search(text.encode()), expression
    assert not compile_regex(expression).search(other.encode()), expression


def test_chance_in_words(call: Call) -> None:
    said = [call("insight/chance", "chanceOf", each) for each in (1.0, 0.051, 0.05, 0.00031, 1e-6, 1e-30, 0)]
    assert said[:3] == ["quite possible", "quite possible", "1 in 20"]
    assert said[3:5] == ["1 in 3,000", "1 in 1,000,000"]
    assert said[5:] == ["less than 1 in a million"] * 2
    times = [call("insight/chance", "timesOf", each) for each in (2.04, 10, 481.951)]
    assert [each[:-1] for each in times] == ["2.0", "10", "480"]


def test_heights_are_sums(chromium: Browser, store: Daemon) -> None:
    with opened(chromium) as page:
        page.goto(place(store))
        wrong = page.evaluate(
            """async () => {
              const files = document.querySelector('meta[name="ccstore-files"]').content;
              const { Heights } = await import(`${location.origin}/${files}/js/heights.js`);
              let seed = 1;
              const chance = (most) => (seed = (seed * 48271) % 2147483647) % most;
              const heights = new Heights(20);
              let plain = [];
              for (let round = 0; round < 400; round += 1) {
                const act = chance(4);
                if (act === 0) {
                  const more = chance(80);
                  plain = plain.concat(new Array(more).fill(20));
                  heights.grow(plain.length);
                } else if (act === 1 && plain.length) {
                  const gone = chance(Math.min(plain.length, 30));
                  plain = plain.slice(gone);
                  heights.dropFront(gone);
                } else if (plain.length) {
                  const at = chance(plain.length);
                  plain[at] = 1 + chance(60);
                  heights.set(at, plain[at]);
                }
                const index = chance(plain.length + 1);
                const sum = plain.slice(0, index).reduce((one, other) => one + other, 0);
                if (heights.offset(index) !== sum) return [round, 'offset', heights.offset(index), sum];
                const found = heights.find(sum);
                if (index < plain.length && found !== index) return [round, 'find', found, index];
              }
              return null;
            }"""
        )
        assert wrong is None


def histogram(*series: tuple[str, list[tuple[float, int]]], by: str = "host") -> dict[str, Any]:
    """An answer of the API, in steps of a minute."""
    made = [
        {"by": {by: name}, "total": sum(count for _, count in points), "points": points}
        for name, points in series
    ]
    return {"step": "60s", "series": made}


def test_what_is_later_than_now_is_counted_and_not_drawn(call: Call) -> None:
    answer = histogram(("a", [(600, 5), (660, 2), (1_999_999_980, 1)]), ("b", [(1_999_999_980, 2)]))
    found = call("stacks", "stacksOf", answer, "host", 300, 660, 660)
    assert (found["times"][0], found["times"][-1], found["later"]) == (300, 660, 3)
    assert [each["counts"][-1] for each in found["series"]] == [2, 0]
    drawn = sum(sum(each["counts"]) for each in found["series"])
    assert drawn + found["later"] == sum(each["total"] for each in found["series"])


def test_a_long_axis_has_longer_steps_and_lacks_nothing(call: Call) -> None:
    answer = histogram(("a", [(600, 5), (1_999_999_980, 1)]))
    found = call("stacks", "stacksOf", answer, "host", 300, 660)
    assert found["later"] == 0
    assert len(found["times"]) <= 2000
    assert sum(found["series"][0]["counts"]) == 6
    assert found["series"][0]["counts"][-1] == 1
    assert found["times"][-1] <= 1_999_999_980 < found["times"][-1] + found["step"]


def test_a_colour_stays_with_its_name(call: Call) -> None:
    def colours(*names: str, by: str) -> dict[str, str]:
        answer = histogram(*((name, [(600, 1)]) for name in names), by=by)
        found = call("stacks", "stacksOf", answer, by, 600, 660)["series"]
        return {each["name"]: each["colour"] for each in found}

    both = colours("info", "notice", by="level")
    assert both == colours("notice", "info", by="level")
    assert both["info"] != both["notice"]
    assert colours("notice", by="level") == {"notice": both["notice"]}
    names = [f"h{number}" for number in range(8)]
    first = colours(*names, by="host")
    assert len({*first.values()}) == len(names)
    assert colours(*reversed(names), by="host") == first
    for name in names:
        assert colours("other", name, by="host")[name] == first[name]
