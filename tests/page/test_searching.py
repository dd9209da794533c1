"""Searching: the line, the time range, and what of it stands in the URL."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.page.conftest import COUNT
from tests.support.browsing import place
from tests.support.running_daemon import Daemon

OOM = COUNT // 20 - COUNT // 60  # each twentieth, but for those that are events


def search(page: Page, text: str) -> None:
    """Type into the search line, and press Enter."""
    line = page.get_by_role("textbox", name="Search")
    line.fill(text)
    line.press("Enter")


def count_is(page: Page, count: int) -> None:
    """So many messages are found."""
    expect(page.locator(".how-many")).to_have_text(f"{count:,} messages")


def test_the_newest_messages_are_there_at_once(page: Page, store: Daemon) -> None:
    page.goto(place(store))
    count_is(page, COUNT)
    rows = page.get_by_role("listitem").filter(has=page.locator("time"))
    expect(rows.first).to_contain_text(f"message {COUNT - 1} of a0110")
    expect(rows.nth(1)).to_contain_text(f"message {COUNT - 2} of a0109")


def test_a_search_is_in_the_url_and_the_back_button_undoes_it(page: Page, store: Daemon) -> None:
    page.goto(place(store))
    count_is(page, COUNT)
    search(page, '"out of memory" host=a[0109-0110]')
    count_is(page, OOM)
    expect(page.locator("mark").first).to_have_text("Out of memory")
    expect(page.get_by_role("list", name="Filters")).to_contain_text("a[0109-0110]")
    expect(page).to_have_url(re.compile(r"q=%22out\+of\+memory%22&host=a\[0109-0110\]$"))
    page.go_back()
    count_is(page, COUNT)
    expect(page.get_by_role("textbox", name="Search")).to_have_value("")
    page.go_forward()
    count_is(page, OOM)
    page.reload()
    count_is(page, OOM)


def test_a_time_range_is_chosen_typed_and_undone(page: Page, store: Daemon) -> None:
    page.goto(place(store))
    count_is(page, COUNT)
    page.get_by_role("button", name=re.compile("^Time range")).click()
    page.get_by_role("button", name="last hour").click()
    expect(page.locator(".how-many")).to_have_text(re.compile(f"^{COUNT // 3 - 1}|{COUNT // 3} messages$"))
    page.get_by_role("button", name=re.compile("^Time range")).click()
    page.get_by_role("textbox", name="from").fill("-90m")
    page.get_by_role("textbox", name="to").fill("nonsense")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("alert")).to_contain_text("is no time")
    page.get_by_role("textbox", name="to").fill("-30m")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile(r"from=-90m&to=-30m"))
    page.get_by_role("button", name="Undo:").click()
    expect(page).to_have_url(re.compile(r"from=-1h$"))
