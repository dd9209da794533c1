"""Configurations as a test writes them, and what is said of those that are wrong."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ccstore.config import (
    Config,
    ConfigError,
    Problem,
    load_config,
)
from tests.support.running_daemon import ROOT

CONF = ROOT / "conf"
STORAGE = {"backend": {"type": "sqlite", "database_path": "events.db"}}
KEY = base64.b64encode(bytes(range(32))).decode()
SECRET = "hunter2-do-not-show"


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    """A working directory of its own, beside which `etc` has the central file."""
    (tmp_path / "etc").mkdir()
    directory = tmp_path / "work"
    directory.mkdir()
    return directory


Load = Callable[..., Config]


@pytest.fixture
def load(cwd: Path) -> Load:
    """Load a central file given as text or as an object."""

    def load_it(content: object, name: str = "central.json", environ: dict[str, str] | None = None) -> Config:
        path = cwd.parent / "etc" / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return load_config(path, cwd=cwd, environ=environ or {})

    return load_it


def complete(**parts: Any) -> dict[str, Any]:
    return {"receivers": {}, "storage": STORAGE, **parts}


def receiver(**keys: Any) -> dict[str, Any]:
    return complete(receivers={"r": keys})


def storage(**keys: Any) -> dict[str, Any]:
    return complete(storage={**STORAGE, **keys})


def sqlite(**keys: Any) -> dict[str, Any]:
    return complete(storage={"backend": {**STORAGE["backend"], **keys}})


def problems(load: Load, content: object, *more: Any) -> tuple[Problem, ...]:
    """Load what must be refused; each problem must be one line."""
    with pytest.raises(ConfigError) as caught:
        load(content, *more)
    found = caught.value.problems
    assert str(caught.value).split("\n") == [str(problem) for problem in found]
    return found


def problem(load: Load, content: object, *more: Any) -> str:
    """Load what must be refused for one reason, and give that without the name of the central file."""
    (found,) = problems(load, content, *more)
    return re.sub(r"^\S*/central\.\w+: ", "", str(found))


def warning(load: Load, content: object, *more: Any) -> str:
    (line,) = load(content, *more).warnings
    return re.sub(r"^\S*/central\.\w+: ", "", line)
