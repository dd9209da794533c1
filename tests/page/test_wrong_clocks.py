"""Messages whose clock was wrong: they are not hidden, and they do not spoil the rest."""

from __future__ import annotations

import re
import time
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.support.browsing import count_is, place, serving

FUTURE = 'syslog,cluster=alex,hostname=a0109,loglevel=err log="from the future" 1999999999999999999'


def log(seconds_ago: float, text: str = "of now") -> str:
    moment = int((time.time() - seconds_ago) * 1e9)
    return f'syslog,cluster=alex,hostname=a0101,loglevel=info log="{text}" {moment}'


def test_the_plot_ends_now_and_says_what_is_later(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path, FUTURE, *(log(60.0 * each + 30) for each in range(90))) as daemon:
        page.goto(place(daemon))
        count_is(page, 91)
        over = page.locator(".plot .u-over")
        expect(over).to_be_visible()
        box = over.bounding_box()
        assert box is not None
        # The newest messages are at the right end.
        page.mouse.move(box["x"] + box["width"] - 12, box["y"] + 20)
        expect(page.locator(".legend .when")).to_have_text(re.compile(time.strftime("^%Y-", time.gmtime())))
        later = page.get_by_role("button", name="1 message has a time in the future")
        later.click()
        count_is(page, 1)
        expect(page.locator(".row .text")).to_have_text("from the future")
        # Here it is what is looked at, and drawn at the end.
        expect(later).to_have_count(0)
        page.locator(".plot .u-over").hover()
        expect(page.locator(".legend .when")).to_have_text(re.compile(r"^20\d\d-"))
        page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 20)
        expect(page.locator(".legend .when")).to_have_text(re.compile("^2033-"))
        expect(page.locator(".legend b")).to_have_text("1")
        page.go_back()
        expect(later).to_be_visible()
        page.goto(place(daemon, "?from="))
        count_is(page, 91)
        expect(later).to_be_visible()


def test_the_newest_is_not_the_one_from_the_future(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path, FUTURE, log(7200)) as daemon:
        page.goto(place(daemon, "?from=-1m&to=now"))
        said = page.locator(".sentence")
        expect(said).to_contain_text("2 hours ago")
        expect(said).to_contain_text(
            re.compile(r"wrong clock, up to 2033-05-1.*, which is \d+ days in the future")
        )
        page.get_by_role("button", name="Show the hour before the newest").click()
        count_is(page, 1)
        expect(page.locator(".row .text")).to_have_text("of now")


def test_only_messages_from_the_future(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path, FUTURE) as daemon:
        page.goto(place(daemon, "?to=now"))
        expect(page.get_by_text("There are messages of a wrong clock")).to_be_visible()
        expect(page.get_by_role("button", name="Look at all times")).to_be_visible()
        expect(page.get_by_role("button", name="Show the hour before the newest")).to_be_hidden()
