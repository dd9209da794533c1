"""One browser for all tests of the page, and daemons with messages for those that only read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browsing import browser, messages, opened, serving
from tests.support.running_daemon import Daemon

#: Messages of the daemon.
COUNT = 1500


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser."""
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Daemon]:
    """A daemon with messages of the last three hours, that nobody writes to.

    One for each module: what is of the last hours would not be any more when all tests have run.
    """
    directory: Path = tmp_path_factory.mktemp("store")
    with serving(directory, *messages(COUNT)) as daemon:
        yield daemon


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A new page."""
    with opened(chromium) as made:
        yield made
