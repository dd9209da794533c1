"""
``python3 -m tests`` runs all checks of the project, on a machine that has no more than Python and pip.

It makes an environment of its own in ``.venv-tests``, installs there what the tests need, and runs ruff, mypy
and pytest, in a few processes that share the files of tests. Arguments go to pytest, which then runs alone
and in one process: ``python3 -m tests -k decoder``.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv-tests"
PYTHON = ENVIRONMENT / "bin" / "python"
STAMP = ENVIRONMENT / "made-from"
#: More than there are cores take as long, and wait for each other.
PROCESSES = min(os.cpu_count() or 1, 8)
BASE = getattr(sys, "_base_executable", None) or sys.executable


def call(*command: str | Path) -> int:
    """Print a command, run it at the root of the project, and give its exit status."""
    words = [str(word) for word in command]
    print("$", shlex.join([re.sub(f"^{re.escape(str(ROOT))}/", "", word) for word in words]), flush=True)
    # Either of these would bring the modules of some other environment along.
    foreign = ("PYTHONHOME", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if name not in foreign}
    environment["PATH"] = os.pathsep.join([str(PYTHON.parent), environment.get("PATH", os.defpath)])
    environment["VIRTUAL_ENV"] = str(ENVIRONMENT)
    return subprocess.run(words, cwd=ROOT, env=environment, check=False).returncode


def fingerprint() -> str:
    """What the environment depends on: the requirements, the interpreter, and where the checkout is."""
    digest = hashlib.sha256()
    for part in (
        (ROOT / "setup.py").read_bytes(),
        (ROOT / "pyproject.toml").read_bytes(),
        sys.version.encode(),
        os.fsencode(BASE),
        os.fsencode(ROOT),
    ):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def find_pip() -> list[str | Path]:
    """
    The start of a pip command that installs into the environment.

    Debian leaves out the pip that `python3 -m venv` would copy, unless python3-venv is installed, but any pip
    from 22.3 on can install into an environment that has none.
    """
    for python in dict.fromkeys((sys.executable, BASE)):
        if ENVIRONMENT in Path(python).parents:
            continue
        ask = [python, "-m", "pip", "--version"]
        answer = subprocess.run(ask, capture_output=True, text=True, check=False).stdout
        found = re.match(r"pip (\d+)\.(\d+)", answer)
        if found is not None and (int(found[1]), int(found[2])) >= (22, 3):
            return [python, "-m", "pip", "--python", PYTHON]
    if call(PYTHON, "-m", "ensurepip") != 0:
        raise SystemExit("tests: there is neither a pip from 22.3 on nor ensurepip: install python3-pip")
    return [PYTHON, "-m", "pip"]


def prepare() -> None:
    """Make the environment, if the one that is there will not do."""
    wanted = fingerprint()
    if PYTHON.exists() and STAMP.exists() and STAMP.read_text() == wanted:
        return
    print("Making an environment for the tests in .venv-tests; this takes a minute or two.", flush=True)
    if call(BASE, "-m", "venv", "--clear", "--without-pip", ENVIRONMENT) != 0:
        raise SystemExit("tests: could not make .venv-tests")
    if call(*find_pip(), "install", "--quiet", "--disable-pip-version-check", "--editable", ".[test]") != 0:
        raise SystemExit("tests: could not install into .venv-tests what the tests need")
    STAMP.write_text(wanted)


def main(arguments: list[str]) -> int:
    prepare()
    statuses = []
    if not arguments:
        for tool, *words in (["ruff", "check"], ["mypy"]):
            status = call(PYTHON, "-m", tool, *words)
            if status != 0:
                print(f"tests: {tool} failed (exit status {status}); pytest follows all the same", flush=True)
            statuses.append(status)
        arguments = ["-n", str(PROCESSES), "--dist", "loadfile"]
    # pytest comes last, so that its count of tests is the last line.
    statuses.append(call(PYTHON, "-m", "pytest", *arguments))
    return next((status for status in statuses if status != 0), 0)


if __name__ == "__main__":
    if sys.version_info < (3, 10):  # noqa: UP036 - whoever comes with an older one shall be told
        raise SystemExit("tests: ccstore needs Python 3.10 or later, this is " + sys.version.split()[0])
    try:
        raise SystemExit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
