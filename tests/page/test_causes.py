"""What came before messages, what their hosts have in common, and what is new: a small story."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.test_for_everybody import PHONE, serious
from tests.support.browsing import count_is, opened, place, search, serving
from tests.support.job_lines import HOUR, MINUTE, SECOND, log, start_job
from tests.support.running_daemon import Daemon

BEGIN = (int(time.time()) // 3600 - 30) * HOUR
#: Two racks of sixteen.
RACKS = [[f"a{rack}{number:02}" for number in range(1, 17)] for rack in ("01", "02")]
DOWN = BEGIN + 20 * HOUR
BEFORE = "?view=before&template=kernel+panic"
CAUSE = "?view=cause&template=ib%3Cnum%3E:+link+is+down"


def story() -> list[str]:
    """Memory errors before eight panics, and a rack of which all links go down; a job has a part of it."""
    lines = [
        log(host, f"health check {number} ok", BEGIN + number * 30 * MINUTE + place * SECOND)
        for number in range(60)
        for place, host in enumerate([*RACKS[0], *RACKS[1]])
    ]
    for number, host in enumerate(RACKS[0][:8]):
        at = BEGIN + (10 + number) * HOUR + 17 * MINUTE
        lines.append(log(host, f"EDAC MC{number}: memory error", at - 4 * MINUTE, name="kernel"))
        lines.append(log(host, "kernel panic", at, name="kernel"))
    lines.append(start_job(4711, RACKS[1][:7], DOWN - HOUR))
    lines += [log(host, "solver died of signal 11", DOWN - MINUTE, name="kernel") for host in RACKS[1][:4]]
    lines += [log(host, f"ib{number}: link is down", DOWN + number) for number, host in enumerate(RACKS[1])]
    lines.append(log("login-a", "login-a: halted", DOWN + HOUR))
    return [line.decode() for line in lines]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Daemon]:
    """A daemon that knows the story."""
    with serving(tmp_path_factory.mktemp("causes"), *story()) as daemon:
        yield daemon


def test_what_came_before_is_asked_from_a_template(page: Page, told: Daemon) -> None:
    page.goto(place(told, "?fold=1"))
    page.get_by_role("link", name="What came before kernel panic").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What came before")
    expect(page).to_have_url(re.compile(r"\?view=before&template=kernel\+panic$"))
    expect(page.locator(".asked-about")).to_have_text("kernel panic")
    expect(page.locator(".answer")).to_have_text(
        re.compile("error stands out: in 8 of 8 cases, mostly 4 minutes before; without it in none of 4.\\.$")
    )
    rows = page.get_by_role("table", name="What came before").locator("tbody tr")
    expect(rows).to_have_count(1)
    expect(rows.get_by_role("cell").nth(1)).to_have_text("8 of 8 100 %")
    expect(rows.get_by_role("cell").nth(2)).to_have_text(re.compile(r"^0 of 4\d $"))
    expect(rows).to_contain_text("less than 1 in a million")
    rows.get_by_role("link").first.click()
    count_is(page, 8)
    page.go_back()
    # One of them, with what came around it.
    rows.get_by_role("link", name="EDAC MC0: memory error").click()
    expect(page.locator(".asked")).to_contain_text("EDAC MC0: memory error")
    expect(page.locator(".context")).to_contain_text("kernel panic")
    page.go_back()
    page.get_by_role("combobox", name="looking back").select_option("1 minute")
    expect(page.locator(".answer")).to_contain_text("Nothing stands out")
    expect(page).to_have_url(re.compile("window=1m"))
    page.reload()
    expect(page.locator(".answer")).to_contain_text("Nothing stands out")


def test_what_hosts_have_in_common_is_asked_from_a_message(page: Page, told: Daemon) -> None:
    page.goto(place(told))
    search(page, "link")
    count_is(page, 16)
    page.locator(".fold").first.click()
    page.get_by_role("link", name=re.compile("^Common cause of this message")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What the hosts have in common")
    expect(page).to_have_url(re.compile(r"\?view=cause&about=[\w-]+$"))
    expect(page.locator(".asked-about")).to_have_text("ib<num>: link is down")
    expect(page.locator(".answer")).to_have_text(
        "Most likely rack a02: all of its 16 hosts have it, and no other host."
    )
    facts = page.locator(".facts-line")
    expect(facts).to_contain_text("a[0201-0216] 16 hosts")
    # The job is not the cause: it has but a part of them.
    page.get_by_text("3 groups of a smaller part of them").click()
    part = page.get_by_role("table", name="What a part of them has in common")
    expect(part.locator("tbody tr")).to_have_count(3)
    part.get_by_role("link", name="4711").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Job 4711 on alex")
    page.go_back()
    facts.get_by_role("link", name="16 messages").click()
    count_is(page, 16)
    page.go_back()
    # And on to the other question about the same.
    page.get_by_role("link", name="What came before").click()
    expect(page.locator(".answer")).to_contain_text("Nothing stands out")
    expect(page.get_by_role("link", name="All templates")).to_be_visible()


def test_the_host_of_a_message_is_masked_and_one_host_has_nothing_in_common(page: Page, told: Daemon) -> None:
    page.goto(place(told, "?q=halted"))
    count_is(page, 1)
    page.locator(".fold").click()
    page.get_by_role("link", name=re.compile("^Common cause of this message")).click()
    expect(page.locator(".asked-about")).to_have_text("<host>: halted")
    expect(page.locator(".answer")).to_contain_text("Only one host has it: login-a.")
    page.locator(".answer").get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("login-a of alex")


def test_the_burst_is_chosen_and_a_time_with_an_end_is_one(page: Page, told: Daemon) -> None:
    page.goto(place(told, f"{CAUSE}&cluster=alex"))
    burst = page.get_by_role("combobox", name="burst")
    expect(burst.locator("option:checked")).to_have_text("the busiest 5 minutes")
    page.goto(place(told, f"{CAUSE}&cluster=alex&to=now"))
    expect(burst.locator("option:checked")).to_have_text("all of this time")
    expect(page.locator(".answer")).to_contain_text("rack a02")
    burst.select_option("the busiest hour")
    expect(page).to_have_url(re.compile("window=1h"))
    expect(page.locator(".answer")).to_contain_text("rack a02")
    # Filters are pills, as above the messages.
    page.get_by_role("button", name="Remove: cluster = alex").click()
    expect(page).not_to_have_url(re.compile("cluster"))


def test_what_is_not_there_is_said(chromium: Browser, told: Daemon) -> None:
    with opened(chromium, may_fail=True) as page:
        for view in ("before", "cause"):
            page.goto(place(told, f"?view={view}&template=nothing+of+it"))
            expect(page.get_by_role("heading", name="No such message in this time")).to_be_visible()
            page.get_by_role("button", name="Look at the last 7 days").click()
            expect(page).to_have_url(re.compile("from=-7d"))
            page.goto(place(told, f"?view={view}&about=x"))
            expect(page.get_by_role("alert")).to_contain_text("'x' is no id of a message")
            page.goto(place(told, f"?view={view}&template=x&from=nonsense"))
            expect(page.get_by_role("alert")).to_contain_text("“nonsense” is no time")
            page.goto(place(told, f"?view={view}"))
            page.get_by_role("link", name="The folded messages").click()
            expect(page.locator(".fold-row").first).to_be_visible()
        page.goto(place(told, "?view=cause&template=health+check+%3Cnum%3E+ok"))
        expect(page.locator(".answer")).to_contain_text("Nearly everybody has it")


def test_what_is_new_is_marked_and_shown_alone(page: Page, told: Daemon) -> None:
    page.goto(place(told, "?fold=1"))
    rows = page.locator(".fold-row")
    expect(rows).to_have_count(7)
    expect(page.locator(".fold-bar p")).to_have_text(re.compile("7 templates; 6 of these are new$"))
    expect(rows.filter(has=page.locator(".new"))).to_have_count(6)
    expect(rows.filter(has_text="health check").locator(".new")).to_have_count(0)
    # It is asked once for a time, whatever is looked for in it.
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "new=store" in request.url else None)
    search(page, "panic")
    expect(rows).to_have_count(1)
    expect(rows.locator(".new")).to_be_visible()
    search(page, "")
    expect(rows).to_have_count(7)
    expect(page.locator(".fold-bar p")).to_have_text(re.compile("6 of these are new$"))
    assert asked == []
    page.get_by_role("button", name="new only").click()
    expect(rows).to_have_count(6)
    expect(page).to_have_url(re.compile(r"\?fold=1&new=1$"))
    page.reload()
    expect(page.get_by_text("6 new templates")).to_be_visible()
    page.goto(place(told, "?fold=1&new=1&from=-3h"))
    page.get_by_role("button", name="Show all templates").click()
    expect(rows).to_have_count(1)
    # Of all times nothing is before.
    page.goto(place(told, "?fold=1&new=1&from="))
    expect(rows).to_have_count(7)
    expect(page.get_by_role("button", name="new only")).to_have_count(0)


def test_in_a_store_without_a_before_nothing_is_marked(page: Page, store: Daemon) -> None:
    page.goto(place(store, "?fold=1"))
    expect(page.get_by_text("nothing is stored of before, to say what is new")).to_be_visible()
    expect(page.locator(".fold-row .new")).to_have_count(0)


def test_keys_lead_from_a_template_to_its_causes(page: Page, told: Daemon) -> None:
    page.goto(place(told, "?fold=1"))
    row = page.locator(".fold-row").filter(has_text="link is down")
    row.locator(".template-button").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(row.get_by_role("link", name="Common cause of ib<num>: link is down")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".answer")).to_contain_text("rack a02")


def test_what_was_unusual_in_a_job_leads_to_causes(page: Page, told: Daemon) -> None:
    page.goto(place(told, "?view=job&job=4711&of=alex"))
    unusual = page.locator(".unusual li").filter(has_text="solver died")
    unusual.get_by_role("link", name=re.compile("^Common cause")).click()
    expect(page.locator(".answer")).to_contain_text("job 4711")
    expect(page.get_by_role("list", name="Filters")).to_contain_text("alex")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", [BEFORE, CAUSE, f"{BEFORE}&window=1m", "?view=cause", "?fold=1"])
def test_it_is_for_everybody(chromium: Browser, told: Daemon, view: str, scheme: str) -> None:
    for size in ({"width": 1400, "height": 900}, {"width": 768, "height": 900}, PHONE):
        with opened(chromium, viewport=size, color_scheme=scheme) as page:
            page.goto(place(told, view))
            expect(page.locator(".answer, .sentence, .fold-row .new").first).to_be_visible()
            expect(page.locator("[aria-busy=true]")).to_have_count(0)
            for each in page.locator("details").all():
                each.evaluate("each => { each.open = true }")
            assert serious(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
            wide = page.locator(".insight, .folds .scroller")
            assert wide.evaluate("each => each.scrollWidth - each.clientWidth") <= 0
