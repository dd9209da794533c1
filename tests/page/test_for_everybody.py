"""Without a mouse, without light, without a large screen, without sight."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.page.conftest import COUNT
from tests.support.browsing import count_is, opened, place, serving
from tests.support.running_daemon import Daemon

PHONE = {"width": 390, "height": 800}
SIZES: list[Any] = [{"width": 1440, "height": 900}, {"width": 900, "height": 800}, PHONE]


def serious(page: Page) -> list[str]:
    """What axe finds that keeps people out."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size["width"]))
def test_axe_finds_nothing_serious(chromium: Browser, store: Daemon, size: Any, scheme: str) -> None:
    with opened(chromium, viewport=size, color_scheme=scheme) as page:
        page.goto(place(store, "?q=memory&host!=a0101&off=name!%3Dx"))
        count_is(page, COUNT // 20 - COUNT // 60)
        expect(page.locator(".plot canvas")).to_be_visible()
        page.locator(".fold").first.click()
        assert serious(page) == []
        page.get_by_role("button", name="Around it").click()
        expect(page.locator(".asked")).to_be_visible()
        assert serious(page) == []
        page.keyboard.press("?")
        expect(page.get_by_role("heading", name="Keys")).to_be_visible()
        assert serious(page) == []
        page.keyboard.press("Escape")
        page.goto(place(store, "?tail=1"))
        expect(page.locator(".tail .row").first).to_be_visible()
        assert serious(page) == []
        for menu in ("Columns", "Copy", "Export"):
            page.get_by_role("button", name=menu, exact=True).click()
            assert serious(page) == []
            page.keyboard.press("Escape")
        page.goto(place(store, "?q=nowhere"))
        expect(page.get_by_text("No messages match")).to_be_visible()
        assert serious(page) == []


def test_a_phone_shows_all_of_it_without_scrolling_sideways(chromium: Browser, store: Daemon) -> None:
    with opened(chromium, viewport=PHONE, has_touch=True) as page:
        page.goto(place(store, "?kind=log"))
        count_is(page, COUNT - COUNT // 3)
        row = page.locator(".row").first.bounding_box()
        assert row is not None
        assert row["width"] <= PHONE["width"]
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        values = page.get_by_role("complementary", name="Values")
        expect(values).to_be_hidden()
        page.get_by_role("button", name="values", exact=True).tap()
        # What stands above is there, and moves it no more.
        expect(page.get_by_role("list", name="Values of level").get_by_role("listitem")).to_have_count(4)
        page.get_by_role("button", name="Only host a0103", exact=True).tap()
        # Its place does not depend on what is above it, which changes with the answer.
        page.get_by_role("button", name="Close values").tap()
        expect(values).to_be_hidden()
        expect(page.get_by_role("list", name="Filters")).to_contain_text("a0103")
        count_is(page, (COUNT - COUNT // 3) // 10)
        page.locator(".row .line").first.tap()
        page.get_by_role("button", name="Around it").tap()
        box = page.locator(".context").bounding_box()
        assert box is not None
        assert box["width"] == PHONE["width"]


def test_long_names_keep_their_place_on_a_phone(chromium: Browser, tmp_path: Path) -> None:
    lines = [f'service{each}-{"x" * 80},cluster=a,hostname=b log="y"' for each in range(8)]
    with serving(tmp_path, *lines) as daemon, opened(chromium, viewport=PHONE) as page:
        page.goto(place(daemon, "?by=name"))
        names = page.locator(".legend .name")
        expect(names).to_have_count(8)
        for name in names.all():
            box = name.bounding_box()
            assert box is not None
            assert 0 < box["x"] < box["x"] + box["width"] <= PHONE["width"]
        access = page.locator(".unguarded").bounding_box()
        assert access is not None
        assert access["height"] < 28  # one line
        assert access["x"] + access["width"] <= PHONE["width"]
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_finger_drags_over_the_histogram(chromium: Browser, store: Daemon) -> None:
    with opened(chromium, viewport=PHONE, has_touch=True) as page:
        page.goto(place(store, "?from=-3h"))
        over = page.locator(".plot .u-over")
        expect(over).to_be_visible()
        box = over.bounding_box()
        assert box is not None
        finger = page.context.new_cdp_session(page)

        def touch(kind: str, *places: float) -> None:
            points = [{"x": box["x"] + each * box["width"], "y": box["y"] + 20} for each in places]
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        touch("touchStart", 0.25)
        touch("touchMove", 0.4)
        touch("touchMove", 0.75)
        expect(page.locator(".legend .when")).to_have_text(re.compile(r"^20\d\d-.* . .*\d\d:\d\d"))
        touch("touchEnd")
        expect(page).to_have_url(re.compile(r"from=20[^&]+Z&to=20[^&]+Z$"))
        expect(page.locator(".how-many")).to_have_text(re.compile(r"^7\d\d messages$"))
        # A tap is for the step below it, once that is drawn.
        expect(page.get_by_role("img", name=re.compile(r"^Histogram of 7\d\d messages"))).to_be_visible()
        expect(over).to_be_visible()
        over.tap()
        expect(page.locator(".how-many")).to_have_text(re.compile(r"^\d\d? messages?$"))


def test_few_stops_of_tab_lead_past_everything(page: Page, store: Daemon) -> None:
    page.goto(place(store))
    count_is(page, COUNT)
    expect(page.get_by_role("button", name="Only host a0103", exact=True)).to_be_visible()
    address = page.url
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="to the messages")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".fold").first).to_be_focused()
    assert page.url == address
    # Among the values the arrows go, and each facet is one stop.
    hosts = page.locator(".facet", has=page.get_by_role("button", name="host", exact=True))
    page.get_by_role("button", name="host", exact=True).focus()
    page.keyboard.press("Tab")
    expect(hosts.locator(".name").first).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="name", exact=True)).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(hosts.locator(".name").nth(1)).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    excluded = hosts.locator(".name").nth(1).inner_text()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"host!={excluded}"))


def test_the_system_decides_between_dark_and_light(page: Page, store: Daemon) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(place(store))
    count_is(page, COUNT)
    body = page.locator("body")
    expect(body).to_have_css("background-color", "rgb(255, 255, 255)")
    page.emulate_media(color_scheme="dark")
    expect(body).to_have_css("background-color", "rgb(18, 22, 29)")


def test_all_can_be_done_with_keys(page: Page, store: Daemon) -> None:
    page.goto(place(store))
    count_is(page, COUNT)
    page.keyboard.press("/")
    expect(page.get_by_role("textbox", name="Search")).to_be_focused()
    page.keyboard.type("memory tw?n")  # what is typed is no command
    expect(page.get_by_role("textbox", name="Search")).to_have_value("memory tw?n")
    page.keyboard.press("Control+a")
    page.keyboard.type("memory")
    page.keyboard.press("Enter")
    count_is(page, COUNT // 20 - COUNT // 60)
    page.keyboard.press("Tab")
    page.keyboard.press("m")
    expect(page.locator(".fold").first).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator('.row.open[data-row="2"]')).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Around it")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".asked")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".context")).to_be_hidden()
    page.keyboard.press("w")
    expect(page.get_by_role("button", name="wrap")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("t")
    expect(page.get_by_text("Live tail", exact=True)).to_be_visible()
    page.keyboard.press("t")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="How to find something")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="How to find something")).to_be_hidden()
