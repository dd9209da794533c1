"""What is said where there is nothing to show, and that it helps."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.page.conftest import COUNT
from tests.support.browsing import count_is, opened, place, search, serving, write
from tests.support.running_daemon import Daemon


def test_an_empty_store_tells_how_to_send_a_first_event(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        page.goto(place(daemon))
        expect(page.get_by_role("heading", name="The store is empty")).to_be_visible()
        command = page.locator(".command pre").inner_text()
        subprocess.run(["bash", "-ec", command], check=True, capture_output=True)
        page.get_by_role("button", name="Search", exact=True).click()
        count_is(page, 1)
        expect(page.locator(".row .text")).to_have_text("a first event")


def test_no_hits_and_ways_out(page: Page, store: Daemon) -> None:
    page.goto(place(store, "?from=2001-01-01&to=2001-01-02"))
    expect(page.get_by_role("heading", name="No messages in this time")).to_be_visible()
    expect(page.get_by_text("The newest message that is stored is of")).to_be_visible()
    page.get_by_role("button", name="Look at all times").click()
    count_is(page, COUNT)
    search(page, "4711")
    page.get_by_role("button", name="Also look for jobid=4711").click()
    expect(page.get_by_role("list", name="Filters")).to_contain_text("jobid")
    page.get_by_role("button", name="Remove:").click()
    search(page, "4703")  # of an event that says so, and of logs that have it as a tag
    count_is(page, 1)
    page.get_by_role("button", name="Also look for jobid=4703").click()
    count_is(page, 200)
    page.get_by_role("button", name="Remove:").click()
    search(page, "nowhere")
    page.get_by_role("button", name="Without search and filters").click()
    count_is(page, COUNT)
    search(page, "cluster=alxe")
    expect(page.get_by_text("There is no cluster 'alxe', the nearest is 'alex'")).to_be_visible()
    page.get_by_role("button", name="Look for cluster=alex").click()
    count_is(page, COUNT)
    page.get_by_role("button", name="Remove:").click()
    search(page, "exit=1")
    page.get_by_role("button", name="Look for “exit=1” in the text").click()
    expect(page.get_by_role("textbox", name="Search")).to_have_value('"exit=1"')


def test_what_is_wrong_with_a_question(chromium: Browser, store: Daemon) -> None:
    with opened(chromium, may_fail=True) as page:
        page.goto(place(store, "?q=/(/"))
        expect(page.get_by_role("alert")).to_contain_text("missing")
        page.goto(place(store, "?from=nonsense"))
        expect(page.get_by_role("alert")).to_contain_text("“nonsense” is no time")
        page.goto(place(store, "?from=-1h&to=-2h"))
        expect(page.get_by_role("alert")).to_contain_text("ends before it begins")


def test_nothing_of_before_stands_under_a_wrong_question(chromium: Browser, store: Daemon) -> None:
    with opened(chromium, may_fail=True) as page:
        page.goto(place(store))
        for wrong in ("/(/", "/[/"):
            count_is(page, COUNT)
            expect(page.locator(".plot canvas")).to_be_visible()
            expect(page.locator(".facets .value")).not_to_have_count(0)
            search(page, wrong)
            expect(page.get_by_role("heading", name="This cannot be searched for")).to_be_visible()
            expect(page.locator(".plot canvas")).to_have_count(0)
            expect(page.locator(".legend li")).to_have_count(0)
            expect(page.locator(".facets .value")).to_have_count(0)
            page.go_back()


def test_a_wrong_question_is_mended_and_not_asked_again(chromium: Browser, store: Daemon) -> None:
    with opened(chromium, may_fail=True) as page:
        page.goto(place(store, "?q=/(/"))
        said = page.locator(".sentence")
        expect(said.get_by_role("button", name="Try again")).to_have_count(0)
        said.get_by_role("button", name="Edit the search").click()
        expect(page.get_by_role("textbox", name="Search")).to_be_focused()
        said.get_by_role("button", name="Without the search").click()
        count_is(page, COUNT)
        page.goto(place(store, "?from=nonsense"))
        said.get_by_role("button", name="The last 24 hours").click()
        count_is(page, COUNT)
        page.goto(place(store, "?host=a[0110-0101]"))
        said.get_by_role("button", name="Without the filters").click()
        count_is(page, COUNT)


def test_words_of_other_search_engines_are_explained(page: Page, store: Daemon) -> None:
    page.goto(place(store, "?q=killed+OR+memory"))
    expect(page.locator(".habit")).to_contain_text("One of two is /a|b/")
    search(page, "/killed|nowhere/")
    expect(page.locator(".habit")).to_have_count(0)
    count_is(page, COUNT // 20 - COUNT // 60)


def test_a_question_that_takes_too_long(chromium: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, api={"query_timeout": "1ms"}) as daemon, opened(chromium, may_fail=True) as page:
        for start in range(0, 20_000, 5000):
            lines = (
                f'a,cluster=b,hostname=c log="{"x" * 300} {each}"' for each in range(start, start + 5000)
            )
            write(daemon, *lines)
        page.goto(place(daemon, "?q=/(x%2By)%2B[0-9]/"))
        said = page.get_by_role("alert")
        expect(said).to_contain_text("This took too long")
        said.get_by_role("button", name="Only the last hour").click()
        expect(page).to_have_url(re.compile("from=-1h"))


def test_the_daemon_goes_and_comes_back(chromium: Browser, tmp_path: Path) -> None:
    with opened(chromium, may_fail=True) as page:
        with serving(tmp_path, 'a,cluster=b,hostname=c log="line"') as daemon:
            page.goto(place(daemon))
            count_is(page, 1)
            port = daemon.ports["REST"]
            daemon.stop(signal.SIGTERM)
        search(page, "line")
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("The daemon does not answer")
        expect(alert).to_contain_text("What you see is of the search before, not of this one.")
        expect(page.locator(".message-list")).to_have_css("opacity", "0.5")
        expect(page.locator(".how-many")).to_have_text("Of the search before")
        expect(page.locator(".row .text")).to_have_text("line")  # what was there still is
        with serving(tmp_path, 'a,cluster=b,hostname=c log="line 2"', api={"port": port}):
            count_is(page, 2)
            expect(page.locator(".message-list")).to_have_css("opacity", "1")
            expect(page.get_by_role("alert")).to_be_hidden()
