"""How a package that is missing comes to where this program runs."""

from __future__ import annotations

import shlex
import sys
from importlib.util import find_spec

#: What the PostgreSQL backend needs, by the names of its modules and of the packages that bring them.
POSTGRES_PACKAGES = {"txpostgres": "txpostgres", "psycopg2": "psycopg2-binary"}


def missing_for_postgres() -> str | None:
    """What the PostgreSQL backend lacks and how it is installed, None if all of it is there."""
    missing = [module for module in POSTGRES_PACKAGES if find_spec(module) is None]
    if not missing:
        return None
    return (
        f"there is no {' and no '.join(missing)}, "
        f"install with: {install_command(*(POSTGRES_PACKAGES[module] for module in missing))}"
    )


def install_command(*packages: str) -> str:
    """The command that installs packages for the interpreter that runs, however this program was installed.

    An extra of ours would not do: on the public index, somebody else has the name of this program.
    """
    if find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip", "install"]
    else:
        # The pip of any other Python can do it.
        command = ["python3", "-m", "pip", "--python", sys.executable, "install"]
    return shlex.join([*command, *packages])
