"""A real Chromium before the page of a real daemon."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.configuration import write_config
from tests.support.running_daemon import Daemon

#: With this in the environment a machine without a browser fails, and does not skip.
REQUIRED = "CCSTORE_TESTS_NEED_CHROMIUM"
_PROGRAMS = ("chromium", "chromium-browser")
#: Milliseconds that nothing here takes, unless it hangs.
_PATIENCE = 20_000
expect.set_options(timeout=_PATIENCE)


def program() -> str:
    """The browser of this machine; skips the test if there is none."""
    for name in _PROGRAMS:
        if (found := shutil.which(name)) is not None:
            return found
    said = "there is no Chromium on the PATH: apt-get install chromium"
    if os.environ.get(REQUIRED):
        pytest.fail(said)
    pytest.skip(said)


@contextmanager
def browser() -> Iterator[Browser]:
    """The browser, for ``with``."""
    # Chromium's sandbox refuses to be root.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    path = program()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=options)
        try:
            yield started
        finally:
            started.close()


@contextmanager
def opened(browser: Browser, *, may_fail: bool = False, **settings: Any) -> Iterator[Page]:
    """A new page, which must complain of nothing.

    :param may_fail: requests are refused on purpose, of which the browser complains.
    :param settings: of the context, such as ``viewport``.
    """
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **settings})
    context.set_default_timeout(_PATIENCE)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"{error}\n{error.stack}"))
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    try:
        yield page
        shown = [each for each in complaints if not (may_fail and "Failed to load resource" in each)]
        assert shown == [], shown
    finally:
        context.close()


@contextmanager
def serving(directory: Path, *lines: str, **parts: Any) -> Iterator[Daemon]:
    """A daemon that has these lines."""
    directory.mkdir(parents=True, exist_ok=True)
    with Daemon(directory, "--config", write_config(directory, **parts)) as daemon:
        if lines:
            write(daemon, *lines)
        yield daemon


def write(daemon: Daemon, *lines: str) -> None:
    """Have lines stored."""
    status, body = daemon.ask("POST", "/api/write", "\n".join(lines).encode())
    assert status == 200, body


def place(daemon: Daemon, query: str = "") -> str:
    """The address of the page."""
    return f"http://127.0.0.1:{daemon.ports['REST']}/{query}"


def messages(count: int, *, since: float = 3 * 3600.0) -> list[str]:
    """Logs of ten hosts, evenly over the time until now; each third is an event of a job with a payload.

    Of ten hosts, the last is the only one that says ``Out of memory``, once in twenty of its logs.
    """
    now = time.time()
    lines = []
    for number in range(count):
        moment = int((now - since + since * (number + 0.5) / count) * 1e9)
        host = f"a01{number % 10 + 1:02}"
        if number % 3 == 0:
            payload = (
                f'{{\\"jobId\\": {4700 + number}, \\"user\\": \\"u{number % 7}\\", \\"nodes\\": [1, 2]}}'
            )
            tags, text = "function=stop_job", f'event="{payload}"'
            name = "job"
        else:
            level = ("info", "warning", "err", "debug")[number % 4]
            said = f"message {number} of {host}"
            if number % 10 == 9 and number % 20 == 19:
                said += f": Out of memory: killed process {number}"
            tags, text = f"loglevel={level},jobid={4700 + number % 5}", f'log="{said}"'
            name = ("slurmd", "kernel", "sshd")[number % 5 % 3]
        lines.append(f"{name},cluster=alex,hostname={host},{tags} {text} {moment}")
    return lines


def search(page: Page, text: str) -> None:
    """Type into the search line, and press Enter."""
    line = page.get_by_role("textbox", name="Search")
    line.fill(text)
    line.press("Enter")


def count_is(page: Page, count: int) -> None:
    """So many messages are found."""
    expect(page.locator(".how-many")).to_have_text(f"{count:,} message{'s' * (count != 1)}")


def texts(page: Page) -> list[str]:
    """The texts of the messages that are in the document, in their order."""
    return page.locator(".message-list .row .text").all_inner_texts()
