"""Who sends, as the view of the store tells it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.page.test_for_everybody import PHONE, serious
from tests.support.browsing import messages, opened, place, serving
from tests.support.running_daemon import Daemon

VIEW = "?view=store"


def test_all_senders_are_listed_and_the_choice_is_in_the_url(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path, *messages(60)) as daemon:
        page.goto(place(daemon, VIEW))
        section = page.get_by_role("region", name="Who sends")
        expect(section).to_contain_text("Nobody whose habit is known is silent.")
        expect(section.get_by_role("listitem")).to_contain_text("alex 10 hosts, none silent")
        section.get_by_role("combobox").select_option("host")
        expect(section.locator("tbody tr")).to_have_count(10)
        expect(section.locator("tbody tr").first).to_contain_text("a0101")
        expect(page).to_have_url(re.compile("senders=host"))
        section.get_by_role("link", name="a0103").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("a0103 of alex")


def sender(daemon: Daemon, host: str, **more: Any) -> dict[str, Any]:
    """A sender as the API tells of it."""
    status, body = daemon.ask("GET", f"/api/v1/senders?host={host}")
    assert status == 200
    found: dict[str, Any] = json.loads(body)["senders"][0]
    return {**found, **more}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_hosts_that_are_silent_at_once_are_said_as_one(
    chromium: Browser, tmp_path: Path, scheme: str
) -> None:
    with serving(tmp_path, *messages(60)) as daemon:
        says = "usually every 30 s, longest gap 4 min, silent for 22 min"
        alone = sender(daemon, "a0101", silent=True, silent_for=1320.0, says=says)
        together = sender(daemon, "a0102", silent=True, outage=True)
        skewed = sender(daemon, "a0103", silent=True, skew=-3600.0, skewed=True, says=says)

        def answer(route: Route) -> None:
            found = route.fetch().json()
            outage = {"cluster": "alex", "silent": 120, "of": 128, "since": found["time"]}
            clusters = [{**found["clusters"][0], "silent": 122, "skewed": 1, "worst_skew": -3600.0}]
            senders = [alone, together, skewed]
            route.fulfill(json={**found, "senders": senders, "outages": [outage], "clusters": clusters})

        for size in ({"width": 1600, "height": 900}, PHONE):
            with opened(chromium, viewport=size, color_scheme=scheme) as page:
                page.route("**/api/v1/senders?*", answer)
                page.goto(place(daemon, VIEW))
                section = page.get_by_role("region", name="Who sends")
                expect(section.locator(".outage")).to_contain_text(
                    "120 of 128 hosts of alex are silent since 20"
                )
                expect(section.locator("tbody tr")).to_have_count(2)
                expect(section.locator("tbody tr").first).to_contain_text(says)
                expect(section.locator("tbody tr").last).to_contain_text("60 minutes behind")
                expect(section.get_by_role("listitem")).to_contain_text("122 silent, 1 with a wrong clock")
                assert serious(page) == []
                assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
