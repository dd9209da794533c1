"""Fixtures of the tests of the configuration."""

from __future__ import annotations

from tests.support.config_case import cwd as cwd
from tests.support.config_case import load as load
