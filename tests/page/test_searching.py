"""Searching: the line, the time range, and what of it stands in the URL."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from tests.page.conftest import COUNT
from tests.support.browsing import count_is, place, search, serving
from tests.support.running_daemon import Daemon

OOM = COUNT // 20 - COUNT // 60  # each twentieth, but for those that are events


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
    expect(page.locator(".how-many")).to_have_text(re.compile("^4[0-9][0-9] messages$"))
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


def test_words_phrases_and_expressions(page: Page, store: Daemon) -> None:
    page.goto(place(store))
    for line, count in (
        ("killed memory", OOM),
        ("Memory killed -process", 0),
        ("/process \\d+9$/ KILLED", OOM),
        ("/PROCESS/i memory", OOM),
        ("/PROCESS/", 0),
        ('-"out of memory" -message', COUNT // 3),
        ("name=job", COUNT // 3),
        ("kind!=event", COUNT - COUNT // 3),
    ):
        search(page, line)
        count_is(page, count) if count else expect(page.get_by_text("No messages match")).to_be_visible()
        if "=" in line:
            page.get_by_role("button", name="Remove:").click()
    page.get_by_role("button", name="Regular expression").click()
    search(page, "message [0-9]0 of")
    expect(page.get_by_text(re.compile("^[0-9]+ messages$"))).to_be_visible()
    expect(page.locator("mark").first).to_have_text(re.compile("^message [0-9]0 of$"))
    page.get_by_role("button", name="Regular expression").click()
    page.get_by_role("button", name="Upper and lower case differ").click()
    search(page, "Message")
    expect(page.get_by_text("No messages match")).to_be_visible()


def test_pills_are_turned_switched_edited_and_removed(page: Page, store: Daemon) -> None:
    page.goto(place(store, "?host=a0101&host=a0102"))
    count_is(page, COUNT // 5)
    pills = page.get_by_role("list", name="Filters")
    expect(pills).to_contain_text("a[0101-0102]")
    page.get_by_role("button", name="Turn round:").click()
    count_is(page, COUNT - COUNT // 5)
    page.get_by_role("button", name="In use:").click()
    count_is(page, COUNT)
    expect(page).to_have_url(re.compile(r"\?off=host!%3Da0101&off=host!%3Da0102$"))
    page.reload()
    count_is(page, COUNT)
    page.get_by_role("button", name="In use:").click()
    page.get_by_role("button", name="Edit:").click()
    page.get_by_role("textbox", name="Edit the filter").fill("host=a[0103-0105]")
    page.keyboard.press("Enter")
    count_is(page, 3 * COUNT // 10)
    page.get_by_role("button", name="Remove:").click()
    count_is(page, COUNT)
    expect(pills).to_be_hidden()


def test_values_beside_the_messages_choose_and_exclude(page: Page, store: Daemon) -> None:
    page.goto(place(store))
    count_is(page, COUNT)
    values = page.get_by_role("complementary", name="Values")
    expect(values.locator(".value", has_text="a0103").locator(".count")).to_have_text(str(COUNT // 10))
    page.get_by_role("button", name="Only host a0103", exact=True).click()
    count_is(page, COUNT // 10)
    # The others of the same label can still be chosen.
    page.get_by_role("button", name="Only host a0104", exact=True).click()
    count_is(page, COUNT // 5)
    expect(page.get_by_role("list", name="Filters")).to_contain_text("a[0103-0104]")
    # Counts of other labels follow.
    expect(values.locator(".value", has_text="event").locator(".count")).to_have_text(str(COUNT // 15))
    page.get_by_role("button", name="Without kind event", exact=True).click()
    count_is(page, COUNT // 5 - COUNT // 15)
    expect(page).to_have_url(re.compile("kind!=event"))
    page.get_by_role("button", name="Without kind event", exact=True).click()
    count_is(page, COUNT // 5)
    page.get_by_role("button", name="more labels").click()
    page.get_by_role("button", name="function", exact=True).click()
    expect(values.locator(".value", has_text="stop_job").locator(".count")).to_have_text(str(COUNT // 15))


def test_what_is_chosen_stands_first_among_the_values(page: Page, store: Daemon) -> None:
    page.goto(place(store, "?host=a[0107-0108]"))
    count_is(page, COUNT // 5)
    hosts = page.locator(".facet", has=page.get_by_role("button", name="host", exact=True)).locator(".value")
    expect(hosts).to_have_count(10)
    expect(hosts.locator(".name").nth(0)).to_have_text(re.compile("^a010[78]$"))
    expect(hosts.locator(".name").nth(1)).to_have_text(re.compile("^a010[78]$"))
    expect(hosts.nth(1)).to_have_class(re.compile("chosen"))
    expect(hosts.nth(2)).not_to_have_class(re.compile("chosen"))


def test_a_facet_is_asked_for_once_where_all_of_it_is_there(page: Page, store: Daemon) -> None:
    asked: list[str] = []
    page.on("request", lambda request: "/v1/values/" in request.url and asked.append(request.url))
    page.goto(place(store, "?cluster=alex&host=a0101&host=a0102&facets=host,cluster"))
    count_is(page, COUNT // 5)
    expect(page.locator(".facet .value.chosen")).to_have_count(3)
    expect(page.locator(".facet.old")).to_have_count(0)
    assert len(asked) == 2, asked


def test_a_rare_value_that_is_chosen_is_found_among_many(page: Page, tmp_path: Path) -> None:
    lines = [f'kernel,cluster=a,hostname=n{each:02} log="x"' for each in [*range(20), *range(19)]]
    with serving(tmp_path, *lines) as daemon:
        page.goto(place(daemon, "?host=n19&facets=host"))
        expect(page.locator(".facet .value")).to_have_count(11)
        expect(page.locator(".facet .value").first).to_contain_text("n19")


def test_open_values_and_messages_are_in_the_url(page: Page, store: Daemon) -> None:
    page.goto(place(store))
    count_is(page, COUNT)
    page.get_by_role("button", name="cluster", exact=True).click()
    expect(page).to_have_url(re.compile(r"\?facets=level,host,name,kind$"))
    page.get_by_role("button", name="jobid", exact=True).click()
    expect(page.get_by_role("button", name="Only jobid 4702", exact=True)).to_be_visible()
    page.locator(".fold").nth(1).click()
    expect(page.locator(".row.open")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"facets=level,host,name,kind,tag.jobid&open=[\w-]+$"))
    text = page.locator(".row.open .line .text").inner_text()
    page.reload()
    expect(page.locator(".row.open .line .text")).to_have_text(text)
    expect(page.get_by_role("button", name="Only jobid 4702", exact=True)).to_be_visible()
    expect(page.locator(".facet").get_by_role("button", name="Only cluster alex")).to_be_hidden()
    # Another search has other rows, and the same facets.
    page.get_by_role("button", name="Only host a0103", exact=True).click()
    expect(page).not_to_have_url(re.compile("open="))
    expect(page.locator(".row.open")).to_have_count(0)
    page.go_back()
    expect(page.locator(".row.open .line .text")).to_have_text(text)


def test_ranges_can_be_undone_after_a_reload(page: Page, store: Daemon) -> None:
    page.goto(place(store, "?from=-2h"))
    page.get_by_role("button", name=re.compile("^Time range")).click()
    page.get_by_role("button", name="last hour").click()
    expect(page).to_have_url(re.compile(r"from=-1h$"))
    page.reload()
    page.get_by_role("button", name="Undo:").click()
    expect(page).to_have_url(re.compile(r"from=-2h$"))
    expect(page.get_by_role("button", name="Undo:")).to_be_disabled()


def test_columns_are_there_where_messages_differ(page: Page, tmp_path: Path) -> None:
    def line(cluster: str, level: str) -> str:
        return f'kernel,cluster={cluster},hostname=n1,level={level} log="x"'

    cells = page.locator(".row").first.locator("span.cell")
    with serving(tmp_path, line("alex", "info"), line("fritz", "err")) as daemon:
        page.goto(place(daemon))
        expect(cells).to_have_count(4)
        assert {cells.nth(0).inner_text(), cells.nth(3).inner_text()} in ({"alex", "info"}, {"fritz", "err"})
        page.goto(place(daemon, "?cluster=alex"))
        expect(cells).to_have_text(["n1", "kernel"])
        page.goto(place(daemon, "?cluster=alex&cols=level,cluster"))
        expect(cells).to_have_text(["info", "alex"])


def test_everything_is_counted_from_the_oldest_message(page: Page, store: Daemon) -> None:
    page.goto(place(store, "?from="))
    count_is(page, COUNT)
    expect(page.locator(".plot canvas")).to_be_visible()
    # Three hours are in many steps, though the range begins with the epoch.
    page.locator(".plot .u-over").hover()
    expect(page.locator(".legend .when")).to_have_text(re.compile(r"^20\d\d-.*:\d\d . \d\d:\d\d"))


def test_the_histogram_is_brushed_and_clicked(page: Page, store: Daemon) -> None:
    page.goto(place(store, "?from=-3h"))
    over = page.locator(".plot .u-over")
    expect(over).to_be_visible()
    box = over.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.5, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, middle, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"from=20[^&]+:\d\d\.000Z&to=20[^&]+:\d\d\.000Z$"))
    expect(page.locator(".how-many")).not_to_have_text(f"{COUNT:,} messages")
    expect(page.locator(".how-many")).to_have_text(re.compile("messages$"))
    found = int(page.locator(".how-many").inner_text().split()[0].replace(",", ""))
    assert abs(found - COUNT / 4) < COUNT / 20
    page.get_by_role("button", name="Undo:").click()
    expect(page).to_have_url(re.compile(r"from=-3h$"))
    expect(page.locator(".how-many")).to_have_text(re.compile(r"^1,[45]\d\d messages"))
    expect(over).to_be_visible()
    box = over.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.5, middle)
    expect(page).to_have_url(re.compile(r"from=20[^&]+Z&to=20[^&]+Z$"))
    page.go_back()
    expect(page).to_have_url(re.compile(r"from=-3h$"))
    page.get_by_role("combobox", name="by").select_option("host")
    expect(
        page.get_by_role("button", name=re.compile("^Only host a010[1-5], 1[45][0-9] messages")).first
    ).to_be_visible()
    expect(page).to_have_url(re.compile("by=host"))


def test_a_late_answer_does_not_replace_that_of_a_later_question(page: Page, store: Daemon) -> None:
    held: list[Route] = []
    page.route(re.compile(r"v1/histogram\?.*by=level"), lambda route: held.append(route))
    with page.expect_request(re.compile(r"v1/histogram\?.*by=level")):
        page.goto(place(store, "?from=-3h"))
    page.get_by_role("combobox", name="by").select_option("host")
    of_hosts = page.get_by_role("button", name=re.compile("^Only host a010[1-5], 1[45][0-9] messages")).first
    expect(of_hosts).to_be_visible()
    for each in held:
        each.continue_()
        each.request.response()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert held
    assert of_hosts.is_visible()
