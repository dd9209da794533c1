"""The view of the store itself: what it says of good and bad lines, of trouble, and to whom."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.browsing import messages, opened, place, serving, write
from tests.support.postgres_server import PASSWORD, USER, server
from tests.support.running_daemon import Daemon

VIEW = "?view=store"
RECEIVERS = {kind: {"type": kind, "address": "127.0.0.1", "port": 0} for kind in ("tcp", "udp")}
#: Milliseconds in which the page, which asks every five seconds, has asked again.
SOON = 20_000
#: Addresses of this machine from which lines can come.
JSON_SENDER, METRIC_SENDER = "127.0.0.9", "127.0.0.12"


def send(daemon: Daemon, sender: str, *lines: str) -> None:
    """Send lines over TCP from an address, and wait until they are accounted for."""
    before = received(daemon)
    with socket.create_connection(
        ("127.0.0.1", daemon.ports["TCP"]), timeout=10, source_address=(sender, 0)
    ) as connection:
        connection.sendall("".join(f"{line}\n" for line in lines).encode())
    while received(daemon) < before + len(lines):
        pass  # the daemon reads in its own time


def received(daemon: Daemon) -> int:
    """Lines that came in over TCP."""
    return int(daemon.stats()["receivers"]["tcp"]["received"])


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that got 60 good lines, and bad ones of two senders."""
    with serving(tmp_path_factory.mktemp("troubled"), *messages(60), receivers=RECEIVERS) as daemon:
        send(daemon, JSON_SENDER, *['{"jobId": 5}'] * 3)
        send(daemon, METRIC_SENDER, *["cpu_load,cluster=alex,hostname=a0113 value=1.5"] * 7)
        yield daemon


def serious(page: Page) -> list[tuple[str, list[str]]]:
    """What keeps people out, and where."""
    return [
        (each["id"], [node["html"] for node in each["nodes"]])
        for each in Axe().run(page).response["violations"]
        if each["impact"] in ("serious", "critical")
    ]


def tile(page: Page, name: str) -> Any:
    """One of the four answers."""
    return page.get_by_role("region", name=name, exact=True)


def test_a_store_without_trouble_says_so(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path, *messages(60), receivers=RECEIVERS) as daemon:
        page.goto(place(daemon, VIEW))
        expect(page.get_by_role("heading", level=1)).to_have_text("All is well")
        expect(page.get_by_role("status").first).to_contain_text("All that was received is stored.")
        expect(tile(page, "Stored of received")).to_contain_text("100 %")
        expect(tile(page, "Stored of received")).to_contain_text("60 received = 60 stored + 0 rejected")
        expect(tile(page, "Not stored")).to_contain_text("none")
        expect(page).to_have_title(re.compile("^Store "))


def test_it_says_who_sends_what_is_not_stored_and_why(page: Page, troubled: Daemon) -> None:
    page.goto(place(troubled, VIEW))
    expect(page.get_by_role("heading", level=1)).to_have_text("2 things need attention")
    expect(tile(page, "Not stored")).to_contain_text("10 lines")
    expect(tile(page, "Not stored")).to_contain_text(f"most of it from {METRIC_SENDER} (host a0113): metric")
    findings = tile(page, "What the doctor says").get_by_role("listitem")
    expect(findings).to_have_count(2)
    expect(findings.filter(has_text="JSON")).to_contain_text(JSON_SENDER)
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="tcp"))
    for column, count in (("received", 10), ("stored", 0), ("rejected", 3), ("dropped", 7), ("waiting", 0)):
        expect(row.locator(f'td[data-label="{column}"]')).to_have_text(str(count))
    mistakes = tile(page, "The last lines that were not stored").get_by_role("row")
    expect(mistakes.nth(1)).to_contain_text(f"{METRIC_SENDER}host a0113")
    expect(mistakes.nth(1)).to_contain_text("dropped metric")
    expect(mistakes.nth(2)).to_contain_text("rejected malformed")


def test_a_fault_of_many_receivers_is_said_once(page: Page, tmp_path: Path) -> None:
    def finding(receiver: str, minutes: int, lines: int | None, sender: str) -> dict[str, Any]:
        head = "lines" if lines is None else f"{lines:,} lines"
        says = f"{head} are about {minutes} minutes ahead of the store's clock"
        return {
            **{"problem": True, "receiver": receiver, "senders": [sender], "lines": lines},
            **{"reason": "ahead", "says": says, "do": "set the clock"},
        }

    def answer(route: Route) -> None:
        found = [finding("tcp", 12, 1500, "a"), finding("udp", 5, 20, "b"), finding("tcp", 7, 2, "a")]
        route.fulfill(json={**route.fetch().json(), "findings": found})

    with serving(tmp_path) as daemon:
        page.route("**/api/v1/store", answer)
        page.goto(place(daemon, VIEW))
        expect(page.get_by_role("heading", level=1)).to_have_text("Something needs attention")
        findings = tile(page, "What the doctor says").get_by_role("listitem")
        expect(findings).to_have_text(
            "problem tcp, udp 1,522 lines are about 5 to 12 minutes ahead of the store's clock"
            "set the clockfrom a, b"
        )


def test_it_tells_of_the_disk_and_what_runs_here(page: Page, troubled: Daemon) -> None:
    page.goto(place(troubled, VIEW))
    expect(tile(page, "Disk")).to_contain_text(re.compile(r"[\d.]+ [GT]B free"))
    expect(tile(page, "Deleted next")).to_contain_text("events are kept for")
    expect(tile(page, "What it holds")).to_contain_text("events")
    expect(tile(page, "What runs here")).to_contain_text("SQLite 3.")


def test_it_goes_on_by_itself(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path, receivers=RECEIVERS) as daemon:
        page.goto(place(daemon, VIEW))
        expect(page.get_by_role("heading", level=1)).to_have_text("Ready")
        write(daemon, *messages(5))
        expect(tile(page, "Stored of received")).to_contain_text("5 received = 5 stored", timeout=SOON)


def test_what_is_deleted_next_is_said(page: Page, tmp_path: Path) -> None:
    storage = {"retention_time": "64s"}
    with serving(tmp_path, *messages(30, since=20.0), storage=storage) as daemon:
        page.goto(place(daemon, VIEW))
        # The segment is closed after a sixteenth of that time.
        said = re.compile(r"in a moment\d+ events? of ")
        expect(tile(page, "Deleted next")).to_contain_text(said, timeout=2 * SOON)
        expect(tile(page, "What it holds").get_by_role("listitem").first).to_contain_text("of 20")


TROUBLE: list[tuple[str, str, dict[str, Any]]] = [
    ("Nothing can be stored", "The disk is full.", {"ready": False, "unready": "the disk is full"}),
    ("Lines wait to be stored", "the oldest for 5 minutes", {"queue": {"waiting": 9, "oldest": 300.0}}),
    ("Something needs attention", "what the doctor says", {"problems": ["a file is missing"]}),
]


@pytest.mark.parametrize(("head", "said", "change"), TROUBLE, ids=[head for head, *_ in TROUBLE])
def test_trouble_comes_first(
    page: Page, tmp_path: Path, head: str, said: str, change: dict[str, Any]
) -> None:
    def answer(route: Route) -> None:
        store = route.fetch().json()
        queue = {**store["queue"], **change.get("queue", {})}
        route.fulfill(json={**store, **change, "queue": queue})

    page.route("**/api/v1/store", answer)
    with serving(tmp_path, *messages(5)) as daemon:
        page.goto(place(daemon, VIEW))
        expect(page.get_by_role("heading", level=1)).to_have_text(head)
        expect(page.locator(".verdict")).to_contain_text(said)


def test_a_daemon_that_is_gone_is_said_to_be_and_comes_back(chromium: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, *messages(5)) as daemon, opened(chromium, may_fail=True) as page:
        page.goto(place(daemon, VIEW))
        expect(page.get_by_role("heading", level=1)).to_have_text("All is well")
        page.route("**/api/v1/store**", lambda route: route.abort())
        gone = page.get_by_role("heading", level=1, name="The daemon does not answer")
        expect(gone).to_be_visible(timeout=SOON)
        expect(tile(page, "Stored of received")).to_contain_text("5 received")  # what was known stays
        assert serious(page) == []
        page.unroute("**/api/v1/store**")
        page.get_by_role("button", name="Ask again now").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("All is well")


def test_nothing_is_asked_while_nobody_can_see_it(page: Page, troubled: Daemon) -> None:
    asked: list[str] = []

    def count(route: Route) -> None:
        asked.append(route.request.url)
        route.continue_()

    page.clock.install()
    page.route("**/api/v1/store", count)
    page.goto(place(troubled, VIEW))
    expect(page.get_by_role("heading", level=1)).to_have_text("2 things need attention")
    page.evaluate(
        """() => {
            Object.defineProperty(document, 'hidden', {value: true, configurable: true});
            document.dispatchEvent(new Event('visibilitychange'));
        }"""
    )
    seen = len(asked)
    page.clock.run_for(60_000)
    assert len(asked) == seen
    page.evaluate(
        """() => {
            Object.defineProperty(document, 'hidden', {value: false, configurable: true});
            document.dispatchEvent(new Event('visibilitychange'));
        }"""
    )
    with page.expect_response("**/api/v1/store"):
        page.clock.run_for(5_000)
    assert len(asked) > seen


def test_a_token_is_asked_for_once(chromium: Browser, tmp_path: Path) -> None:
    key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    with serving(tmp_path, api={"jwt_public_key": key}) as daemon, opened(chromium, may_fail=True) as page:
        page.goto(place(daemon, VIEW))
        dialog = page.get_by_role("dialog", name="A token, please")
        expect(dialog).to_be_visible()
        dialog.get_by_role("button", name="Not now").click()
        with page.expect_response("**/api/v1/store"):
            pass  # it goes on asking by itself
        expect(dialog).to_be_hidden()
        expect(page.get_by_role("heading", level=1)).to_have_text("The daemon did not say how it is")


def test_the_last_hour_is_drawn(page: Page, troubled: Daemon) -> None:
    page.route("**/api/v1/store/history", lambda route: route.fulfill(json=an_hour()))
    page.goto(place(troubled, VIEW))
    plots = tile(page, "The last hour")
    expect(plots.get_by_role("img", name="Lines, at last: received 60/s, stored 59/s")).to_be_visible()
    expect(plots.locator("canvas")).to_have_count(6)
    plots.get_by_role("combobox").select_option("udp")
    expect(plots.get_by_role("img", name="Lines, at last: received 10/s, stored 10/s")).to_be_visible()
    plots.locator(".u-over").first.hover(position={"x": 1, "y": 30})
    expect(plots.get_by_text("received 1/s").first).to_be_visible()


def an_hour() -> dict[str, Any]:
    """An hour of two receivers."""
    count = 360
    times = [1_790_000_010.0 + 10 * place for place in range(count)]
    grows = [10 + 90 * place // (count - 1) for place in range(count)]
    nothing = [0] * count
    return {
        "step": 10.0,
        "begin": times[0] - 10,
        "times": times,
        "receivers": {
            "tcp": {
                "received": [500] * count,
                "stored": [490] * count,
                "rejected": [10] * count,
                "dropped": nothing,
            },
            "udp": {"received": grows, "stored": grows, "rejected": nothing, "dropped": nothing},
        },
        **{name: [5] * count for name in ("waiting", "commits", "bytes", "used_bytes", "memory_bytes")},
        "commit_seconds": [None if place % 7 == 0 else 0.002 for place in range(count)],
    }


def test_postgres_is_told_of(page: Page, tmp_path: Path) -> None:
    name = server().new_database()
    backend = {
        **{"type": "postgres", "server": "127.0.0.1", "port": server().port, "database_path": name},
        **{"username": USER, "password": PASSWORD},
    }
    try:
        with serving(tmp_path, *messages(30), storage={"backend": backend}) as daemon:
            page.goto(place(daemon, VIEW))
            expect(page.get_by_role("heading", level=1)).to_have_text("All is well")
            expect(tile(page, "What runs here")).to_contain_text("PostgreSQL 1")
            expect(tile(page, "Disk")).to_contain_text("the PostgreSQL server does not say")
            expect(tile(page, "What it holds")).to_contain_text("partitions")
    finally:
        server().drop_database(name)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 900, 390])
def test_it_keeps_nobody_out(chromium: Browser, troubled: Daemon, scheme: Any, width: int) -> None:
    viewport: Any = {"width": width, "height": 800}
    with opened(chromium, viewport=viewport, color_scheme=scheme) as page:
        page.route("**/api/v1/store/history", lambda route: route.fulfill(json=an_hour()))
        page.goto(place(troubled, VIEW))
        expect(tile(page, "The last hour").locator("canvas")).to_have_count(6)
        assert serious(page) == []
        # Nothing sticks out.
        assert page.evaluate("document.querySelector('.store-view').scrollWidth") <= width


def test_the_keyboard_is_enough(page: Page, troubled: Daemon) -> None:
    page.goto(place(troubled))
    link = page.get_by_role("link", name="Store", exact=True)
    link.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(link).to_have_attribute("aria-current", "page")
    view = page.get_by_role("region", name="The store", exact=True)
    view.focus()
    page.keyboard.press("End")
    expect(tile(page, "What runs here")).to_be_in_viewport()
