"""Reading what was found: details, context, links, columns, copies, files."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.conftest import COUNT
from tests.support.browsing import count_is, opened, place, search, serving, texts
from tests.support.running_daemon import Daemon, environment

CLIPBOARD = {"permissions": ["clipboard-read", "clipboard-write"]}


def copied(page: Page) -> str:
    """What is on the clipboard, once something was said to be."""
    expect(page.locator(".announcement")).to_contain_text("Copied")
    return str(page.evaluate("navigator.clipboard.readText()"))


def choose(page: Page, menu: str, entry: str) -> None:
    page.get_by_role("button", name=menu, exact=True).click()
    page.get_by_role("button", name=entry).click()


def test_an_event_is_laid_out_and_its_labels_become_filters(page: Page, store: Daemon) -> None:
    page.goto(place(store, "?kind=event"))
    page.get_by_role("button", name="Details").first.click()
    detail = page.locator(".detail")
    expect(detail.locator(".payload dt").first).to_have_text("jobId")
    expect(detail.locator(".payload dd").first).to_have_text(str(4700 + COUNT - 3))
    expect(detail.locator(".labels")).to_contain_text("stop_job")
    detail.get_by_role("button", name=re.compile("^Only host")).click()
    count_is(page, COUNT // 30)


def test_large_numbers_keep_their_digits(page: Page, store: Daemon) -> None:
    page.goto(place(store))
    shown = page.evaluate(
        """async () => {
          const files = document.querySelector('meta[name="ccstore-files"]').content;
          const { readPayload } = await import(`${location.origin}/${files}/js/payload.js`);
          return readPayload('{"a": 12345678901234567890, "b": 1.5}');
        }"""
    )
    assert shown == {"a": {"digits": "12345678901234567890"}, "b": 1.5}


def test_context_goes_on_both_ways_and_keeps_the_filters_in_sight(page: Page, store: Daemon) -> None:
    page.goto(place(store, '?q="out+of+memory"&order=oldest'))
    count_is(page, COUNT // 20 - COUNT // 60)
    page.locator(".fold").nth(10).click()
    hit = page.locator(".row.open .text").inner_text()
    page.get_by_role("button", name="Around it").click()
    around = page.get_by_role("region", name=re.compile("^Around"))
    rows = around.locator(".row .text")
    expect(rows).to_have_count(41)
    expect(around.locator(".asked .text")).to_have_text(hit)
    expect(around.locator(".asked mark").first).to_have_text("Out of memory")
    expect(page.get_by_role("textbox", name="Search")).to_have_value('"out of memory"')
    # All are of its host, and their order is that of time.
    assert {each.inner_text() for each in around.locator("span.cell:nth-of-type(1)").all()} <= {"a0110"}
    times = around.locator("time").all_inner_texts()
    assert times == sorted(times)
    top = around.locator(".asked").bounding_box()
    assert top is not None
    # (A click would scroll to the button first.)
    around.get_by_role("button", name="earlier").dispatch_event("click")
    expect(around.get_by_text("Nothing before.")).to_be_visible()
    # What was read has not moved.
    assert around.locator(".asked").bounding_box() == top
    count = rows.count()
    around.get_by_role("button", name="later").click()
    expect(rows).to_have_count(count + 50)
    times = around.locator("time").all_inner_texts()
    assert times == sorted(times)
    assert len({*times}) == len(times)
    # Others, and only those that the search finds.
    around.get_by_role("combobox").select_option("")
    expect(rows).to_have_count(41)
    around.get_by_role("checkbox").check()
    expect(around.locator(".row:has(mark)")).to_have_count(31)
    page.reload()
    expect(around.locator(".row:has(mark)")).to_have_count(31)
    around.get_by_role("button", name="Close").click()
    expect(around).to_be_hidden()


def test_next_hit(page: Page, store: Daemon) -> None:
    page.goto(place(store, "?q=memory"))
    count_is(page, COUNT // 20 - COUNT // 60)
    page.locator("body").press("n")
    page.locator("body").press("n")
    expect(page.locator(".row.current .fold")).to_be_focused()
    expect(page.locator(".row.current")).to_have_attribute("data-row", "1")
    page.keyboard.press("N")
    expect(page.locator(".row.current")).to_have_attribute("data-row", "0")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Around it").click()
    around = page.get_by_role("region", name=re.compile("^Around"))
    expect(around.locator(".asked mark").first).to_be_visible()
    around.get_by_role("button", name="earlier").click()
    expect(around.locator(".row:has(mark)")).not_to_have_count(1)
    page.keyboard.press("n")
    expect(around.locator(".row:focus-within mark").first).to_be_visible()


def test_a_link_to_a_message(chromium: Browser, store: Daemon) -> None:
    with opened(chromium, **CLIPBOARD) as page:
        page.goto(place(store, "?q=memory"))
        page.locator(".fold").nth(3).click()
        text = page.locator(".row.open .text").inner_text()
        page.get_by_role("button", name="Copy link").click()
        link = copied(page)
    assert "-24h" not in link
    assert "from=20" in link
    with opened(chromium) as page:
        page.goto(link)
        expect(page.locator(".context .asked .text")).to_have_text(text)
        expect(page.get_by_role("textbox", name="Search")).to_have_value("memory")
        count_is(page, COUNT // 20 - COUNT // 60)
    with opened(chromium, may_fail=True) as page:
        page.goto(re.sub("&m=[^&]+", "&m=1-e-1", link))
        expect(page.get_by_role("alert")).to_contain_text("no")


def test_commands_that_ask_the_same(chromium: Browser, store: Daemon) -> None:
    with opened(chromium, **CLIPBOARD) as page:
        page.goto(
            place(
                store,
                "?q=memory+-nothing+/kill.d/&host=a[0109-0110]&host!=b*&tag.loglevel!=info&order=oldest",
            )
        )
        count_is(page, COUNT // 20 - COUNT // 60)
        first = texts(page)[0]
        choose(page, "Copy", "curl")
        curl = copied(page)
        page.goto(
            place(
                store,
                "?q=memory+-nothing+/kill.d/&host=a[0109-0110]&host!=b*&tag.loglevel!=info&order=oldest&utc=1",
            )
        )
        count_is(page, COUNT // 20 - COUNT // 60)
        choose(page, "Copy", "ccstore query")
        query = copied(page)
    answer = subprocess.check_output(["bash", "-c", curl]).splitlines()
    assert len(answer) == COUNT // 20 - COUNT // 60
    assert json.loads(answer[0])["text"] == first
    command = query.replace("ccstore query", f"{sys.executable} -m ccstore query --output ndjson", 1)
    found = subprocess.check_output(["bash", "-c", command], env=environment()).splitlines()
    assert json.loads(found[0])["text"] == first
    assert len(found) == COUNT // 20 - COUNT // 60


def test_the_curl_command_has_all_there_is_and_goes_with_the_time(chromium: Browser, store: Daemon) -> None:
    with opened(chromium, **CLIPBOARD) as page:
        page.goto(place(store, "?from=-24h&to=now-1ms"))
        count_is(page, COUNT)
        choose(page, "Copy", "curl")
        curl = copied(page)
    assert "from=-24h" in curl
    assert "to=-1ms" in curl
    assert len(subprocess.check_output(["bash", "-c", curl]).splitlines()) == COUNT


def test_text_is_selected_and_copied_as_on_any_page(chromium: Browser, store: Daemon) -> None:
    with opened(chromium, **CLIPBOARD) as page:
        page.goto(place(store, "?kind=log"))
        first, second = page.locator(".row .text").nth(0), page.locator(".row .text").nth(1)
        wanted = [first.inner_text(), second.inner_text()]
        start, end = first.bounding_box(), second.bounding_box()
        assert start is not None
        assert end is not None
        page.mouse.move(start["x"] + 1, start["y"] + 8)
        page.mouse.down()
        page.mouse.move(end["x"] + end["width"] - 5, end["y"] + 8, steps=5)
        page.mouse.up()
        page.keyboard.press("Control+c")
        time = page.locator(".row time").nth(1).inner_text()
        cells = " ".join(page.locator(".row").nth(1).locator("span.cell").all_inner_texts())
        copy = str(page.evaluate("navigator.clipboard.readText()"))
        assert copy.splitlines() == [wanted[0], f"{time} {cells} {wanted[1]}"]
        expect(page.locator(".detail")).to_have_count(0)


@pytest.fixture
def tokyo(chromium: Browser) -> Iterator[Page]:
    """A page that is somewhere else than its daemon."""
    with opened(chromium, timezone_id="Asia/Tokyo") as page:
        yield page


def test_times_say_their_zone(tokyo: Page, store: Daemon) -> None:
    tokyo.goto(place(store))
    tokyo.locator(".fold").first.click()
    expect(tokyo.locator(".detail .labels td").first).to_have_text(re.compile(r"\d Asia/Tokyo \(UTC\+9\)$"))
    tokyo.get_by_role("button", name="Around it").click()
    expect(tokyo.locator("#context-title")).to_have_text(re.compile(r"^Around 20.*\d UTC\+9$"))


def test_columns_wrapping_zone_and_order_are_in_the_url(tokyo: Page, store: Daemon) -> None:
    page = tokyo
    page.goto(place(store))
    count_is(page, COUNT)
    page.get_by_role("button", name="Columns", exact=True).click()
    page.get_by_role("checkbox", name="cluster").check()
    page.get_by_role("checkbox", name="host").uncheck()
    page.get_by_role("checkbox", name="level", exact=True).uncheck()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Columns")).to_be_hidden()
    expect(page.locator(".row").first.locator(".cell")).to_have_text(
        [re.compile("^20"), re.compile("."), "alex"]
    )
    page.get_by_role("button", name="wrap").click()
    page.get_by_role("button", name="local: Asia/Tokyo (UTC+9)").click()
    expect(page.get_by_role("button", name="UTC", exact=True)).to_be_visible()
    page.get_by_role("button", name="newest first").click()
    expect(page).to_have_url(re.compile(r"order=oldest&wrap=1&utc=1&cols=name,cluster"))
    expect(page.locator(".row .text").first).to_contain_text("jobId")
    time = page.locator(".row time").first
    shown = time.get_attribute("datetime")
    assert shown is not None
    expect(time).to_have_text(shown.replace("T", " ")[:23])


def test_all_that_is_found_is_exported(page: Page, store: Daemon) -> None:
    page.goto(place(store, "?host=a0101&host=a0102"))
    count_is(page, COUNT // 5)
    for name, ending in (("NDJSON", "ndjson"), ("CSV", "csv")):
        page.get_by_role("button", name="Export", exact=True).click()
        with page.expect_download() as waited:
            page.get_by_role("link", name=name, exact=True).click()
        assert re.fullmatch(rf"ccstore-[\dT-]+\.{ending}", waited.value.suggested_filename)
        with open(waited.value.path(), newline="") as file:
            rows = [*csv.DictReader(file)] if ending == "csv" else [json.loads(line) for line in file]
        assert len(rows) == COUNT // 5
        assert {row["hostname"] for row in rows} == {"a0101", "a0102"}


def test_a_list_of_any_length_is_scrolled_and_few_rows_are_in_the_document(page: Page, store: Daemon) -> None:
    page.goto(place(store))
    count_is(page, COUNT)
    seen: set[str] = set()
    scroller = page.locator(".message-list .scroller")
    end = page.get_by_text("No more messages in this time.")
    for _ in range(2_000):
        is_whole = end.is_visible()
        is_at_end = scroller.evaluate("each => each.scrollTop + each.clientHeight >= each.scrollHeight - 1")
        seen |= {*page.locator(".row[data-row]").evaluate_all("rows => rows.map(row => row.dataset.row)")}
        assert page.locator(".row").count() < 150
        if is_whole and is_at_end:
            break
        # At the end of what is here, the next page is on its way.
        scroller.evaluate("element => element.scrollBy(0, element.clientHeight)")
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert len(seen) == COUNT
    search(page, '"message 1 of"')
    expect(page.locator(".row .text").last).to_have_text("message 1 of a0102")


def test_pages_far_away_are_let_go_and_had_again(page: Page, store: Daemon) -> None:
    page.goto(place(store))
    count_is(page, COUNT)
    told = page.evaluate(
        """async () => {
          const files = document.querySelector('meta[name="ccstore-files"]').content;
          const { Results } = await import(`${location.origin}/${files}/js/results.js`);
          const waiting = [];
          const told = () => waiting.splice(0).forEach((each) => each());
          const results = new Results([], 'newest', new AbortController().signal, told, told,
            { first: 10, more: 50, held: 3 });
          await results.begin();
          await results.more();
          const first = results.message(20).id;
          while (!results.isComplete) await results.more();
          const held = results.held.length;
          const gone = results.message(20);
          await new Promise((resolve) => waiting.push(resolve));
          return { count: results.count, held, gone, isSame: results.message(20).id === first };
        }"""
    )
    assert told == {"count": COUNT, "held": 150, "gone": None, "isSame": True}


def test_the_level_is_what_the_messages_have_as_such(page: Page, tmp_path: Path) -> None:
    lines = (
        f'syslog,cluster=alex,hostname=a0101,severity={level} log="line"'
        for level in ("crit", "info", "info")
    )
    with serving(tmp_path, *lines) as daemon:
        page.goto(place(daemon))
        count_is(page, 3)
        expect(page.locator(".row.level-error")).to_have_count(1)
        expect(page.get_by_role("button", name="Only level crit, 1 message")).to_be_visible()
        page.get_by_role("button", name="Only level info", exact=True).click()
        count_is(page, 2)
        expect(page).to_have_url(re.compile(r"\?level=info$"))


def test_what_stands_in_a_message_is_text(page: Page, tmp_path: Path) -> None:
    text = "<img src=x onerror=alert(1)> <b>bold</b> &amp; javascript:alert(1)"
    line = f'syslog,cluster=alex,hostname=<i>a</i>,loglevel=<b>err</b> log="{text}"'
    with serving(tmp_path, line) as daemon:
        page.goto(place(daemon, "?q=bold"))
        count_is(page, 1)
        expect(page.locator(".row .text")).to_have_text(text)
        page.locator(".fold").click()
        expect(page.locator(".detail .whole")).to_have_text(text)
        expect(page.locator(".detail")).to_contain_text("<i>a</i>")
        expect(page.get_by_role("complementary", name="Values")).to_contain_text("<b>err</b>")
        assert page.locator("main img, main .row b, .facets b").count() == 0
