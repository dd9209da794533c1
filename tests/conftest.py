"""Fixtures that more than one file of tests uses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.postgres_server import Server, newest


@pytest.fixture
def own() -> Iterator[Server]:
    """A PostgreSQL server that a test may stop."""
    made = Server(newest())
    try:
        made.start()
        yield made
    finally:
        made.remove()
