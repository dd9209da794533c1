"""Fixtures of the tests of the daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.configuration import RECEIVERS, write_config


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """What the daemon does without any file, but for the ports."""
    return write_config(tmp_path, receivers=RECEIVERS)
