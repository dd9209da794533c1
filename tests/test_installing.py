"""What is said of packages that are missing works where it is read."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ccstore import installing
from ccstore.commands import copy as copying
from ccstore.interfaces import StoreError
from tests.support.running_daemon import ROOT, environment


def run(*command: str | Path) -> str:
    """What a command writes, which must succeed."""
    done = subprocess.run(
        [*map(str, command)],
        cwd=ROOT,
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done
    return done.stdout


def test_the_pip_of_the_interpreter_that_runs() -> None:
    assert installing.install_command("a", "b") == f"{sys.executable} -m pip install a b"


def test_an_environment_without_pip_such_as_that_of_the_readme(tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "my env")
    python = tmp_path / "my env" / "bin" / "python"
    told = run(python, "-c", "from ccstore.installing import *; print(install_command('txpostgres'))")
    assert told == f"python3 -m pip --python '{python}' install txpostgres\n"
    # It leads to that environment, in which there is nothing yet but the checkout on the path.
    command = shlex.split(told.replace("install txpostgres", "list --format=freeze"))
    assert "twisted" not in run(sys.executable, *command[1:]).lower()


def test_what_is_missing_is_named_with_the_packages_that_bring_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert installing.missing_for_postgres() is None
    find_spec = installing.find_spec
    monkeypatch.setattr(installing, "find_spec", lambda name: None if name == "psycopg2" else find_spec(name))
    told = f"there is no psycopg2, install with: {sys.executable} -m pip install psycopg2-binary"
    assert installing.missing_for_postgres() == told
    with pytest.raises(StoreError, match=re.escape(told)):
        copying.needs_postgres()


def test_they_are_those_of_the_extra() -> None:
    extra = re.search(r"POSTGRES = \[(.*?)\]", (ROOT / "setup.py").read_text(), re.DOTALL)
    assert extra is not None
    assert re.findall(r'"([a-z0-9-]+)>', extra[1]) == [*installing.POSTGRES_PACKAGES.values()]


def test_nobody_is_sent_to_a_package_of_the_same_name() -> None:
    files = [ROOT / "README.md", *ROOT.glob("docs/*"), *ROOT.glob("conf/*"), *ROOT.glob("ccstore/**/*")]
    for file in files:
        if file.suffix in (".py", ".md", ".yaml", ".json", ".service", ".html"):
            found = re.search(r"(pip|uv|pipx|uvx)\b[^\n]* '?ccstore\b(?![-/.])|ccstore\[", file.read_text())
            assert found is None, (file, found)
