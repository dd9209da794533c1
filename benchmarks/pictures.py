"""The pictures of ``docs/page.md``, taken of a page with realistic messages."""

from __future__ import annotations

import tempfile
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page

from benchmarks.daemon import Daemon
from benchmarks.faulty_month import CLUSTER, FaultyMonth
from benchmarks.month import DAY, DAYS, Month
from benchmarks.page_speed import fill, send_lines
from benchmarks.report import progress
from tests.support.browsing import browser, opened

FOLDER: Final = Path(__file__).resolve().parent.parent / "docs" / "pictures"
_ROWS: Final = 300_000
_WIDE: Final = {"width": 1280, "height": 720}
_PHONE: Final = {"width": 390, "height": 720}


def take(folder: Path = FOLDER) -> list[Path]:
    """Take all of them: the search, what is around a message, the tail on a dark phone, folds, and a job."""
    folder.mkdir(parents=True, exist_ok=True)
    # The month ends now, so that the last day is full.
    month = Month(_ROWS, int(time.time()) - DAYS * DAY)
    with tempfile.TemporaryDirectory(prefix="ccstore-pictures-") as directory:
        daemon = Daemon({"retention_time": "10000h"}, Path(directory))
        with daemon, browser() as chromium:
            fill(daemon, month)
            place = f"http://127.0.0.1:{daemon.ports['api']}/"
            taken = [
                _search(chromium, place, folder / "page-search.png"),
                _around(chromium, place, folder / "page-context.png"),
                _phone(chromium, place, folder / "page-phone.png", daemon),
            ]
        return [*taken, *_of_faults(folder)]


def _of_faults(folder: Path) -> list[Path]:
    """Those of a month in which something goes wrong."""
    month = FaultyMonth(_ROWS, int(time.time()) - DAYS * DAY)
    fault = next(each for each in month.faults if "stepd_connect" in each.name)
    job = fault.path.rpartition("/")[2]
    day = datetime.fromtimestamp(fault.lines[0][0] // 10**9 // DAY * DAY, timezone.utc)
    times = f"from={day:%Y-%m-%dT00:00:00Z}&to={day + timedelta(1):%Y-%m-%dT00:00:00Z}"
    with tempfile.TemporaryDirectory(prefix="ccstore-pictures-") as directory:
        daemon = Daemon({"retention_time": "10000h"}, Path(directory))
        with daemon, browser() as chromium, opened(chromium, viewport=_WIDE) as page:
            fill(daemon, month)
            place = f"http://127.0.0.1:{daemon.ports['api']}/"
            page.goto(f"{place}?{times}&fold=1&sort=rare&by=name")
            page.locator(".fold-row").nth(5).wait_for()
            page.locator(".plot canvas").wait_for()
            page.locator(".facet .value").nth(12).wait_for(state="attached")
            fold = _taken(page, folder / "page-fold.png")
            page.goto(f"{place}?view=job&job={job}&of={CLUSTER}")
            page.locator(".lane .mark").first.wait_for()
            page.locator(".lane .said").first.wait_for()
            return [fold, _taken(page, folder / "page-job.png")]


def _open(page: Page, place: str) -> None:
    page.goto(place)
    page.locator(".row time").first.wait_for()
    page.locator(".plot canvas").wait_for()
    page.locator(".facet .value").nth(12).wait_for(state="attached")


def _taken(page: Page, path: Path) -> Path:
    progress(f"taking {path.name}")
    page.screenshot(path=path)
    return path


def _search(chromium: Browser, place: str, path: Path) -> Path:
    with opened(chromium, viewport=_WIDE) as page:
        _open(page, f"{place}?q=%22not+responding%22&host!=n0105&level=error&level=warning")
        return _taken(page, path)


def _around(chromium: Browser, place: str, path: Path) -> Path:
    with opened(chromium, viewport=_WIDE) as page:
        _open(page, f"{place}?kind=event&cols=host")
        page.locator(".fold").nth(2).click()
        page.get_by_role("button", name="Around it").click()
        page.locator(".asked").wait_for()
        page.locator(".message-list .row.open .fold").click()
        return _taken(page, path)


def _phone(chromium: Browser, place: str, path: Path, daemon: Daemon) -> Path:
    settings: dict[str, Any] = {"viewport": _PHONE, "color_scheme": "dark"}
    with opened(chromium, **settings) as page:
        _open(page, f"{place}?tail=1")
        ended = threading.Event()
        sender = threading.Thread(target=send_lines, args=(daemon.ports["api"], ended, 20))
        sender.start()
        page.wait_for_timeout(3000)
        taken = _taken(page, path)
        ended.set()
        sender.join()
        return taken
