"""How long messages are kept, and what is held, as the view of the store tells it."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.page.test_for_everybody import PHONE, serious
from tests.support.browsing import messages, opened, place, serving

RULES = [
    {"match": {"name": "job*"}, "period": "30d"},
    {"match": {"kind": "log", "host": "a0101"}, "period": "4h"},
]


STORAGE = {"retention_time": "24h", "retention": RULES}


def test_something_is_held_and_released(chromium: Browser, tmp_path: Path) -> None:
    with (
        serving(tmp_path, *messages(60), storage=STORAGE) as daemon,
        opened(chromium, may_fail=True) as page,
    ):
        page.goto(place(daemon, "?view=store"))
        section = page.get_by_role("region", name="How long it is kept")
        expect(section.get_by_role("row").filter(has_text="name=job*")).to_contain_text("30 days")
        expect(section.get_by_role("row").filter(has_text="host=a0101")).to_contain_text("4 hours")
        expect(section).to_contain_text("all other events")
        section.get_by_text("Hold something").click()
        section.get_by_role("textbox", name="why").fill("ticket 4711")
        section.get_by_role("button", name="Hold it").click()
        expect(section.get_by_role("alert")).to_contain_text("everything would be held")
        section.get_by_role("textbox", name="hosts").fill("a[0101-0102]")
        section.get_by_role("textbox", name="who").fill("anna")
        section.get_by_role("button", name="Hold it").click()
        held = section.get_by_role("row").filter(has_text="ticket 4711")
        expect(held).to_contain_text("host=a[0101-0102]")
        expect(held).to_contain_text("anna")
        expect(section.get_by_role("alert")).to_have_count(0)
        assert serious(page) == []
        held.get_by_role("button", name="Release hold").click()
        held.get_by_role("button", name="so that it is deleted").click()
        expect(held).to_have_count(0)
        expect(section).to_contain_text("Nothing. What is held is not deleted")


def test_a_phone_shows_all_of_it(chromium: Browser, tmp_path: Path) -> None:
    with (
        serving(tmp_path, *messages(60), storage=STORAGE) as daemon,
        opened(chromium, viewport=PHONE, color_scheme="dark") as page,
    ):
        page.goto(place(daemon, "?view=store"))
        section = page.get_by_role("region", name="How long it is kept")
        section.get_by_text("Hold something").click()
        expect(section.get_by_role("button", name="Hold it")).to_be_visible()
        assert serious(page) == []
        assert page.locator(".store-view").evaluate("each => each.scrollWidth - each.clientWidth") <= 0
