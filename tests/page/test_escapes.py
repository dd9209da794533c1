"""What cannot be seen, or moves what can, is shown as an escape, and copied as it is."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.support.browsing import count_is, opened, place, serving

TEXT = "user \u202etoor\u202c said \x1b[2J and \u2067more"


def test_nothing_in_a_message_directs_the_eye(chromium: Browser, tmp_path: Path) -> None:
    line = f'syslog,cluster=alex,hostname=a\u202e1,user=x\u200by log="{TEXT}"'
    settings = {"permissions": ["clipboard-read", "clipboard-write"]}
    with serving(tmp_path, line) as daemon, opened(chromium, **settings) as page:
        page.goto(place(daemon, "?by=host&cols=host,tag.user&q=said"))
        count_is(page, 1)
        shown = "elements => elements.map(each => each.dataset.shown)"
        text = page.locator(".row .line .text")
        escapes = ["\\u202e", "\\u202c", "\\x1b", "\\u2067"]
        assert text.locator(".escape").evaluate_all(shown) == escapes
        assert text.locator(".escape").first.evaluate("each => getComputedStyle(each, '::before').content")
        # What was directed to the left stands where it was written.
        places = page.evaluate(
            """() => [...'toor'].map((_, at) => {
              const range = document.createRange();
              const node = document.querySelector('.row .line .text .escape').nextSibling;
              range.setStart(node, at);
              range.setEnd(node, at + 1);
              return range.getBoundingClientRect().left;
            })"""
        )
        assert places == sorted(places)
        cells = page.locator(".row .line span.cell .escape")
        assert cells.evaluate_all(shown) == ["\\u202e", "\\u200b"]
        expect(page.locator(".facets .value .escape").first).to_have_attribute("data-shown", "\\u202e")
        expect(page.locator(".legend .escape")).to_have_attribute("data-shown", "\\u202e")
        expect(page.get_by_role("button", name="Only host a\\u202e1", exact=True)).to_be_visible()
        page.locator(".fold").click()
        assert page.locator(".detail .whole .escape").evaluate_all(shown) == escapes
        for select in (".row .line .text", ".detail .whole"):
            page.evaluate(
                "which => getSelection().selectAllChildren(document.querySelector(which))", arg=select
            )
            page.keyboard.press("Control+c")
            assert page.evaluate("navigator.clipboard.readText()") == TEXT
        page.get_by_role("button", name="Copy text").click()
        expect(page.locator(".announcement")).to_contain_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == TEXT
        # What is not seen makes no row higher.
        heights = page.locator(".row .line").evaluate_all("rows => rows.map(row => row.offsetHeight)")
        assert {*heights} == {22}


def test_nor_in_a_line_that_was_not_stored(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        daemon.ask("POST", "/api/write", 'a‮b,cluster=c log="x'.encode())
        page.goto(place(daemon, "?view=store"))
        line = page.locator(".mistakes .why")
        expect(line).to_contain_text("cluster=c")
        assert "‮" not in line.inner_text() or line.locator(".escape").count() > 0
