"""How fast the page is, in a real Chromium before a month of messages."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page

from benchmarks.daemon import Daemon
from benchmarks.events import sending
from benchmarks.faulty_month import FaultyMonth
from benchmarks.month import DAY, Month
from benchmarks.report import figure, percentile, progress
from tests.support.browsing import browser, opened

#: Long enough that nothing of the month expires.
_STORAGE: Final = {"retention_time": "10000h"}
_CLICKS: Final = 60
_LOADS: Final = 10
#: Lines a second that are followed, and for how many seconds; the held rows are full after 25.
_RATE: Final = 1000
_TAIL_TIME: Final = 60
#: Notes when messages were asked for and answered, and when the first of them were on the screen.
_WATCH: Final = """
window.seen = { asked: 0, answered: 0, painted: 0 };
const fetchAsBefore = window.fetch;
window.fetch = async (...given) => {
  if (!String(given[0]).includes('v1/messages?')) return fetchAsBefore(...given);
  window.seen = { asked: performance.now(), answered: 0, painted: 0 };
  const answer = await fetchAsBefore(...given);
  const read = answer.json.bind(answer);
  answer.json = async () => {
    const found = await read();
    window.seen.answered = performance.now();
    return found;
  };
  return answer;
};
new MutationObserver(() => {
  const { answered, painted } = window.seen;
  if (!answered || painted || !document.querySelector('.row time')) return;
  window.seen.painted = -1;
  requestAnimationFrame(() => setTimeout(() => (window.seen.painted = performance.now())));
}).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
"""
#: Presses the button, and waits for the messages: milliseconds altogether, and those of the answer.
_CLICK: Final = """
async (number) => {
  const buttons = document.querySelectorAll('.facet .value .sign[aria-label^="Only"]');
  const begun = performance.now();
  window.seen = { asked: 0, answered: 0, painted: 0 };
  buttons[number % buttons.length].click();
  while (window.seen.painted <= 0) await new Promise((done) => setTimeout(done, 1));
  const { asked, answered, painted } = window.seen;
  return [painted - begun, answered - asked];
}
"""


def run(rows: int, use: Path | None = None) -> tuple[list[dict[str, object]], list[str]]:
    """Figures, and what is wrong.

    :param use: a directory with a database that ``read --keep`` left.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ccstore-page-")))
        month = Month(rows, (int(time.time()) // DAY - 30) * DAY)
        if use is not None:
            progress(f"copying {use}")
            month = Month(rows, int((use / "begin").read_text()))
            shutil.copyfile(use / "ccstore.db", directory / "ccstore.db")
        daemon = stack.enter_context(Daemon(_STORAGE, directory))
        if use is None:
            fill(daemon, month)
        chromium = stack.enter_context(browser())
        page = stack.enter_context(opened(chromium, may_fail=True, viewport={"width": 1440, "height": 900}))
        page.add_init_script(_WATCH)
        place = f"http://127.0.0.1:{daemon.ports['api']}/?from={month.begin}"
        return [*_loads(page, place), *_clicks(page, place), *_tail(page, place, daemon)], []


def fill(daemon: Daemon, month: Month | FaultyMonth) -> None:
    """Have a month stored."""
    with sending(daemon.ports["tcp"], month):
        stored = 0
        while stored < month.rows:
            time.sleep(0.5)
            stored, _ = daemon.settled()
            progress(f"filling: {stored:,} of {month.rows:,}")


def _loads(page: Page, place: str) -> list[dict[str, object]]:
    whole, after = [], []
    for number in range(_LOADS):
        progress(f"loading the page: {number} of {_LOADS}")
        page.goto(place)
        page.locator(".row time").first.wait_for()
        seen = _painted(page)
        whole.append(seen["painted"])
        after.append(seen["painted"] - seen["answered"])
    return [
        figure("page opened to first messages, p50", statistics.median(whole), "ms"),
        figure("answer to first messages, p95", percentile(after, 0.95), "ms", at_most=300),
    ]


def _painted(page: Page) -> Any:
    while (seen := page.evaluate("window.seen"))["painted"] <= 0:
        time.sleep(0.01)
    return seen


def _clicks(page: Page, place: str) -> list[dict[str, object]]:
    whole, own = [], []
    for number in range(_CLICKS):
        progress(f"clicks: {number} of {_CLICKS}")
        page.goto(place)
        page.locator(".facet .value .sign").first.wait_for(timeout=120_000)
        milliseconds, asked = page.evaluate(_CLICK, number)
        whole.append(milliseconds)
        own.append(milliseconds - asked)
    return [
        figure("click on a value to its messages, p50", statistics.median(whole), "ms"),
        figure("click on a value to its messages, p95", percentile(whole, 0.95), "ms", at_most=200),
        figure("of it in the browser, p95", percentile(own, 0.95), "ms"),
    ]


def _tail(page: Page, place: str, daemon: Daemon) -> list[dict[str, object]]:
    page.goto(f"{place}&tail=1")
    page.locator(".tail .row").first.wait_for()
    ended = threading.Event()
    sender = threading.Thread(target=send_lines, args=(daemon.ports["api"], ended, _RATE))
    sender.start()
    try:
        for second in range(_TAIL_TIME):
            progress(f"following: {second} of {_TAIL_TIME} s")
            page.wait_for_timeout(1000)
    finally:
        ended.set()
        sender.join()
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    heap = session.send("Runtime.getHeapUsage")["usedSize"] / 1e6
    what = f"heap after {_TAIL_TIME * _RATE:,} messages followed"
    return [figure(what, heap, "MB", at_most=60)]


def send_lines(port: int, ended: threading.Event, rate: int) -> None:
    """Send so many lines of the month a second, until it is ended."""
    lines = b"".join(Month(5000, 0).lines()).splitlines()
    number = 0
    begun = time.monotonic()
    while not ended.wait(0.05):
        due = int((time.monotonic() - begun) * rate)
        # Without their times: they come now.
        body = b"\n".join(lines[each % len(lines)].rpartition(b" ")[0] for each in range(number, due))
        number = due
        request = urllib.request.Request(f"http://127.0.0.1:{port}/api/write", body, method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
