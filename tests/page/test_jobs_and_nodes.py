"""The screens about a job and about a node, with a small story of which the answer is known."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.test_for_everybody import PHONE, serious
from tests.support.browsing import count_is, opened, place, serving
from tests.support.job_lines import HOUR, MINUTE, SECOND, event, log, start_job, stop_job
from tests.support.running_daemon import Daemon

GPU = "NVRM: Xid (PCI:0000:3b:00): 79, pid={}, GPU has fallen off the bus."
#: A full hour, so that all of it is of the last three days.
BEGIN = (int(time.time()) // 3600 - 20) * HOUR
HOSTS = [f"a{number:04}" for number in range(111, 115)]
START, END = BEGIN + 5 * HOUR, BEGIN + 9 * HOUR


def story() -> list[str]:
    """Sixty nodes say the same all the time; a GPU of a job is lost, its node drained and started again."""
    lines = [
        log(f"a{host:04}", f"health check {number} ok", BEGIN + number * 10 * MINUTE + host)
        for host in range(101, 161)
        for number in range(6 * 12)
        if host != 112 or number < 6 * 9 or number > 6 * 11
    ]
    payload = '{"hostname": "a0112", "state": "drained", "reason": "gpu lost", "user": "root"}'
    lines += [
        start_job(4711, HOSTS, START, user="ada", project="hpc", partition="gpu"),
        start_job(4712, ["a0121"], START, user="bob"),
        log("a0112", GPU.format(1), START + HOUR, name="kernel"),
        log("a0112", GPU.format(2), START + 2 * HOUR, name="kernel"),
        stop_job(4711, END, state="failed"),
        event("adm1", payload, END + MINUTE, name="nodestate"),
        log("a0112", "Linux version 5.14.0 (builder@x)", END + 2 * HOUR - 30 * SECOND, name="kernel"),
    ]
    return [line.decode() for line in lines]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Daemon]:
    """A daemon that knows the story."""
    with serving(tmp_path_factory.mktemp("jobs"), *story()) as daemon:
        yield daemon


def test_a_job_is_found_and_what_was_unusual_stands_first(page: Page, jobs: Daemon) -> None:
    page.goto(place(jobs))
    page.get_by_role("link", name="Jobs").click()
    expect(page.get_by_role("heading", name="Jobs that began or ended last")).to_be_visible()
    expect(page.locator(".jobs tbody tr")).to_have_count(3)
    page.get_by_role("textbox", name="Job").fill("4711")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Job 4711 on alex failed")
    expect(page).to_have_url(re.compile(r"\?view=job&job=4711$"))
    expect(page.locator(".facts-line")).to_contain_text("a[0111-0114] 4 hosts")
    unusual = page.locator(".unusual li")
    expect(unusual).to_have_count(1)
    expect(unusual).to_contain_text("nowhere else")
    expect(unusual).to_contain_text("2 times on a0112")
    # Its lanes: four hosts, and the marks are on one of them.
    expect(page.locator(".lanes tbody tr:not(.axis)")).to_have_count(4)
    lane = page.get_by_role("img", name=re.compile("^a0112: .*2 of NVRM"))
    expect(lane.locator(".mark")).to_have_count(2)
    expect(page.locator(".lane .mark")).to_have_count(2)
    # What everybody says is shown on request.
    timeline = page.get_by_role("table", name="Timeline").locator("tbody tr")
    expect(timeline).to_have_count(1)
    page.get_by_role("button", name="Show them too").click()
    expect(timeline).to_have_count(2)
    expect(page).to_have_url(re.compile("all=1"))
    page.go_back()


def test_a_template_leads_to_its_messages_and_a_mark_to_those_of_its_time(page: Page, jobs: Daemon) -> None:
    page.goto(place(jobs, "?view=job&job=4711&of=alex"))
    page.locator(".unusual a").first.click()
    count_is(page, 2)
    expect(page.locator("mark").first).to_have_text(GPU.format(2))
    page.go_back()
    page.locator(".lane .mark").first.click()
    count_is(page, 1)
    expect(page.locator(".row .text")).to_have_text(GPU.format(1))
    page.locator(".fold").click()
    page.get_by_role("link", name="Node a0112").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("a0112 of alex, rack a01")


def test_a_node_tells_of_its_jobs_states_and_what_it_alone_says(page: Page, jobs: Daemon) -> None:
    page.goto(place(jobs, "?view=node&node=a0112"))
    expect(page.get_by_role("heading", level=1)).to_have_text("a0112 of alex, rack a01 drained")
    expect(page.get_by_text("gpu lost, by root").first).to_be_visible()
    names = page.get_by_role("table", name="The node over time").get_by_role("rowheader")
    expect(names).to_have_text(["state", "jobs", "messages", "silent", "started", re.compile("^20")])
    expect(page.locator(".lane .said").first).to_be_visible()
    expect(page.locator(".jobs tbody tr")).to_have_count(1)
    silent = page.get_by_role("region", name="When it was silent")
    expect(silent.get_by_role("listitem").last).to_contain_text("health check 53 ok")
    alone = page.get_by_role("region", name="What it alone says in rack a01")
    expect(alone).to_contain_text("GPU has fallen off the bus")
    # Its last message before that, and what was around it.
    silent.get_by_role("link").last.click()
    expect(page.locator(".asked")).to_contain_text("health check 53 ok")
    page.go_back()
    page.locator(".jobs").get_by_role("link", name="4711").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Job 4711 on alex failed")


def test_what_is_not_there_is_said_with_what_is_nearest(chromium: Browser, jobs: Daemon) -> None:
    with opened(chromium, may_fail=True) as page:
        page.goto(place(jobs, "?view=job&job=4713&of=alex"))
        expect(page.get_by_role("alert")).to_contain_text("4713")
        page.goto(place(jobs, "?view=job&job=4711&of=alx"))
        page.get_by_role("button", name="Show alex").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Job 4711 on alex failed")
        page.goto(place(jobs, "?view=node&node=a0999"))
        page.get_by_role("button", name=re.compile("^Show a0")).click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("of alex, rack a0")
        page.goto(place(jobs, "?view=job&job=x"))
        expect(page.get_by_role("alert")).to_contain_text("is no id of a job")
        page.goto(place(jobs, "?view=node"))
        expect(page.get_by_role("heading", name="Which node?")).to_be_visible()


def test_keys_go_between_the_views(page: Page, jobs: Daemon) -> None:
    page.goto(place(jobs))
    expect(page.locator(".row").first).to_be_visible()
    for key, name in (("2", "Jobs"), ("3", "Nodes"), ("1", "Messages")):
        page.locator(".brand").press(key)  # not in a line in which one would type
        expect(page.locator("nav [aria-current=page]")).to_have_text(name)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["view=job", "view=job&job=4711", "view=node&node=a0112", "view=node"])
def test_it_is_for_everybody(chromium: Browser, jobs: Daemon, view: str, scheme: str) -> None:
    for size in ({"width": 1600, "height": 900}, PHONE):
        with opened(chromium, viewport=size, color_scheme=scheme) as page:
            page.goto(place(jobs, f"?{view}"))
            expect(page.locator(".insight :is(h1, h2)").first).to_be_visible()
            expect(page.locator("[aria-busy=true]")).to_have_count(0)
            assert serious(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
            assert page.locator(".insight").evaluate("each => each.scrollWidth - each.clientWidth") <= 0
