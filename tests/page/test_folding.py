"""Equal messages as one row each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.conftest import COUNT
from tests.page.test_for_everybody import PHONE, serious
from tests.page.test_searching import OOM
from tests.support.browsing import count_is, opened, place, search, serving
from tests.support.running_daemon import Daemon

#: Templates of the store: payloads of jobs, messages, and those of the processes that were killed.
TEMPLATES = 3


def test_messages_are_folded_and_a_template_is_looked_at(page: Page, store: Daemon) -> None:
    page.goto(place(store))
    count_is(page, COUNT)
    page.keyboard.press("f")
    rows = page.locator(".fold-row")
    expect(rows).to_have_count(TEMPLATES)
    expect(page.get_by_text(f"{COUNT:,} messages are {TEMPLATES} templates")).to_be_visible()
    expect(page).to_have_url(re.compile(r"\?fold=1$"))
    counts = [int(text.replace(",", "")) for text in rows.locator(".count").all_inner_texts()]
    assert sum(counts) == COUNT
    assert counts == sorted(counts, reverse=True)
    page.get_by_role("combobox", name="sorted").select_option("rare")
    expect(rows.first.locator(".count")).to_have_text(str(OOM))
    expect(rows.first).to_contain_text("message <num> of <host>: Out of memory: killed process <num>")
    expect(rows.first.get_by_role("img")).to_be_visible()
    page.reload()
    expect(rows.first.locator(".count")).to_have_text(str(OOM))
    rows.first.locator(".template-button").click()
    count_is(page, OOM)
    expect(page.locator(".row").first).to_be_visible()
    expect(page.locator("mark").first).to_contain_text("Out of memory")


def test_templates_are_taken_away_until_what_is_rare_is_left(page: Page, store: Daemon) -> None:
    page.goto(place(store, "?fold=1"))
    rows = page.locator(".fold-row")
    for left in range(TEMPLATES - 1, 0, -1):
        expect(rows).to_have_count(left + 1)
        rows.first.get_by_role("button", name=re.compile("^Without")).click()
    expect(rows).to_have_count(1)
    expect(rows.locator(".count")).to_have_text(str(OOM))
    count_is(page, OOM)
    # Its hosts are a filter.
    rows.locator(".who button").click()
    expect(page.get_by_role("list", name="Filters")).to_contain_text("a0110")
    expect(rows.locator(".count")).to_have_text(str(OOM))


def test_it_follows_the_search_and_goes_with_keys(page: Page, store: Daemon) -> None:
    page.goto(place(store, "?fold=1"))
    rows = page.locator(".fold-row")
    expect(rows).to_have_count(TEMPLATES)
    search(page, "name=job")
    expect(rows).to_have_count(1)
    expect(rows.locator(".count")).to_have_text(str(COUNT // 3))
    page.get_by_role("button", name="Remove:").click()
    expect(rows).to_have_count(TEMPLATES)
    rows.locator(".template-button").first.focus()
    page.keyboard.press("ArrowDown")
    expect(rows.nth(1).locator(".template-button")).to_be_focused()
    for _ in range(4):  # its hosts, and two links to its causes
        page.keyboard.press("ArrowRight")
    expect(rows.nth(1).get_by_role("button", name=re.compile("^Without"))).to_be_focused()
    page.get_by_role("button", name="tail", exact=True).click()
    expect(rows).to_have_count(0)
    expect(page.get_by_text("Live tail", exact=True)).to_be_visible()


def test_texts_with_slashes_brackets_and_signs_are_found(page: Page, tmp_path: Path) -> None:
    texts = [
        "a/b (c) [d] {e} $f ^g *h +i ?j",
        "mount /scratch/x failed: 5 | 6",
        "Jan  1 12:00:00 ports 1, 2, 3",
    ]
    lines = [f'kernel,cluster=a,hostname=n1 log="{text}"' for text in texts]
    lines.append('job,cluster=a,hostname=n1 event="{\\"a\\": [1, 2], \\"b/c\\": {\\"d\\": \\"x y\\"}}"')
    with serving(tmp_path, *lines) as daemon:
        for number in range(len(lines)):
            page.goto(place(daemon, "?fold=1&sort=first"))
            expect(page.locator(".fold-row")).to_have_count(len(lines))
            page.locator(".template-button").nth(number).click()
            count_is(page, 1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_for_everybody(chromium: Browser, store: Daemon, scheme: str) -> None:
    for size in ({"width": 1600, "height": 900}, {"width": 900, "height": 800}, PHONE):
        with opened(chromium, viewport=size, color_scheme=scheme) as page:
            page.goto(place(store, "?fold=1"))
            expect(page.locator(".fold-row")).to_have_count(TEMPLATES)
            assert serious(page) == []
            assert (
                page.locator(".folds .scroller").evaluate("each => each.scrollWidth - each.clientWidth") <= 0
            )
