"""The live tail: nobody who reads is moved, and nothing is missing without a word."""

from __future__ import annotations

import re
import signal
import threading
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.support.browsing import opened, place, serving, texts, write
from tests.support.running_daemon import Daemon, eventually


def log(number: int, host: str = "a0101") -> str:
    return f'syslog,cluster=alex,hostname={host},loglevel=info log="line {number}" {time.time_ns()}'


def test_what_comes_appears_at_the_end_in_the_order_in_which_it_came(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path, *map(log, range(3))) as daemon:
        page.goto(place(daemon, "?tail=1"))
        expect(page.locator(".tail .row .text")).to_have_text(["line 0", "line 1", "line 2"])
        write(daemon, log(3), log(4))
        # A moment of the past is behind them all the same, as it came later.
        write(daemon, 'syslog,cluster=alex,hostname=a0101 log="late" 1700000000000000000')
        expect(page.locator(".tail .row .text")).to_have_text(
            [*(f"line {each}" for each in range(5)), "late"]
        )
        page.keyboard.press("t")
        expect(page).not_to_have_url(re.compile("tail"))


def test_who_reads_is_not_moved(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path, *map(log, range(100))) as daemon:
        page.goto(place(daemon, "?tail=1"))
        expect(page.get_by_text("line 99", exact=True)).to_be_in_viewport()
        page.locator(".tail .scroller").hover()
        page.mouse.wheel(0, -700)
        expect(page.get_by_text("Paused while you read")).to_be_visible()
        eventually(lambda: page.locator(".tail .scroller").evaluate("each => each.scrollTop < 1200"))
        row = page.locator(".tail .row").nth(20)
        number, box = row.get_attribute("data-row"), row.bounding_box()
        write(daemon, *map(log, range(100, 400)))
        expect(page.get_by_role("button", name="300 new")).to_be_visible()
        assert page.locator(f'.row[data-row="{number}"]').bounding_box() == box
        page.get_by_role("button", name="300 new").click()
        expect(page.get_by_text("line 399", exact=True)).to_be_in_viewport()
        expect(page.get_by_text(re.compile("^Following"))).to_be_visible()
        write(daemon, log(400))
        expect(page.get_by_text("line 400", exact=True)).to_be_in_viewport()


def test_a_filter_holds_and_marks(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path, log(0)) as daemon:
        page.goto(place(daemon, "?tail=1&q=line&host=a0102"))
        expect(page.get_by_text(re.compile("^Following"))).to_be_visible()
        write(daemon, log(1), log(2, "a0102"), log(3))
        expect(page.locator(".tail .row .text")).to_have_text(["line 2"])
        expect(page.locator(".tail mark")).to_have_text(["line"])


def test_it_goes_on_when_the_daemon_was_away(chromium: Browser, tmp_path: Path) -> None:
    with opened(chromium, may_fail=True) as page:
        with serving(tmp_path, log(0)) as daemon:
            page.goto(place(daemon, "?tail=1"))
            expect(page.locator(".tail .row .text")).to_have_text(["line 0"])
            port = daemon.ports["REST"]
            daemon.stop(signal.SIGTERM)
        expect(page.get_by_text("Not connected")).to_be_visible()
        with serving(tmp_path, log(1), log(2), api={"port": port}):
            expect(page.get_by_text(re.compile("^Following"))).to_be_visible()
            expect(page.locator(".tail .row .text")).to_have_text(["line 0", "line 1", "line 2"])


def test_counts_beside_a_tail_say_of_when_they_are(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path, log(0)) as daemon:
        page.goto(place(daemon))
        expect(page.locator(".plot canvas")).to_be_visible()
        expect(page.locator(".as-of")).to_have_count(0)
        page.get_by_role("button", name="tail", exact=True).click()
        for where in (".histogram", ".facets"):
            expect(page.locator(f"{where} .as-of")).to_have_text(re.compile(r"^as of \d\d:\d\d:\d\d$"))


def test_a_gap_is_shown_and_fetched(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path, log(0)) as daemon:
        page.goto(place(daemon, "?tail=1"))
        expect(page.get_by_text("line 0")).to_be_visible()
        page.locator(".tail .fold").click()  # so somebody reads, and no more than 10,000 are held
        expect(page.get_by_text("Paused while you read")).to_be_visible()
        for start in range(1, 12_001, 2000):
            write(daemon, *map(log, range(start, start + 2000)))
        expect(page.get_by_role("button", name="12,000 new")).to_be_visible()
        # Said at once, and not only where the list ends.
        missed = "10,000 are held here, 2,001 newer ones are not: fetch them at the end"
        expect(page.get_by_text(missed)).to_be_visible()
        page.get_by_role("button", name="12,000 new").click()
        gap = page.locator(".row.gap")
        expect(gap).to_contain_text("2,001 messages are not shown here")
        expect(gap.locator("p")).to_have_text(re.compile(r"were read\. Fetch them$"))
        gap.get_by_role("button", name="Fetch them").click()
        expect(gap.locator(".text").first).to_have_text("line 10000")
        write(daemon, log(0, "a0109"))
        expect(page.locator(".tail .row .text").last).to_have_text("line 0")


def test_hundreds_a_second_are_each_drawn_once(page: Page, tmp_path: Path) -> None:
    rate, seconds = 300, 4
    with serving(tmp_path, log(0)) as daemon:
        page.goto(place(daemon, "?tail=1"))
        expect(page.get_by_text("line 0")).to_be_visible()
        # How fast it is on a machine, ``benchmarks page`` says.
        page.locator(".tail .rows").evaluate(
            """rows => {
              window.made = 0;
              const count = (changes) => changes.map((each) => (window.made += each.addedNodes.length));
              new MutationObserver(count).observe(rows, { childList: true });
            }"""
        )
        sender = threading.Thread(target=send, args=(daemon, rate, seconds))
        sender.start()
        sender.join()
        expect(page.get_by_text(f"line {rate * seconds}", exact=True)).to_be_in_viewport()
        assert texts(page) == sorted(texts(page), key=lambda text: int(text.split()[1]))
        assert page.locator(".row").count() < 150
        # None is made twice, but for those that the browser was not quick enough to keep in sight.
        made = page.evaluate("window.made")
        assert made <= rate * seconds + 150, made


def send(daemon: Daemon, rate: int, seconds: int) -> None:
    """So many lines a second."""
    begun = time.monotonic()
    number = 0
    while number < rate * seconds:
        due = min(rate * seconds, int((time.monotonic() - begun) * rate))
        if due > number:
            write(daemon, *map(log, range(number + 1, due + 1)))
            number = due
