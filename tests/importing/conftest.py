"""Fixtures of the tests of imports."""

from __future__ import annotations

from tests.support.importing import run as run
