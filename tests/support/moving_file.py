"""A database that is moved away in the moment in which something is committed to it.

Run as a program, it is the process that writes, with such connections.
"""

from __future__ import annotations

import runpy
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ccstore.storage.sqlite.means import Means


class Moving(sqlite3.Connection):
    """Moves the file of its database to where the next commit is to find it, if that was said."""

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        cursor = super().execute(statement, *parameters)
        if statement == "COMMIT":
            path = Path(super().execute("PRAGMA database_list").fetchone()[2])
            asked = _asked(path)
            if asked.exists():
                path.rename(asked.read_text())
                asked.unlink()
        return cursor


def _asked(path: Path) -> Path:
    return path.with_name(f"{path.name}.move")


def move_at_commit(path: Path, away: Path) -> None:
    """Have the file at a path moved away behind the next commit."""
    _asked(path).write_text(str(away))


def _spawn(command: Sequence[str], **more: Any) -> subprocess.Popen[bytes]:
    python, *_ = command
    return subprocess.Popen([python, __file__], **more)


#: With which a backend has such connections, in itself and in the process that writes.
MEANS = Means(connect=partial(sqlite3.connect, factory=Moving), spawn=_spawn)

if __name__ == "__main__":
    sqlite3.connect = partial(sqlite3.connect, factory=Moving)  # type: ignore[assignment]
    runpy.run_module("ccstore.storage.sqlite.writer_process", run_name="__main__")
    sys.exit()
