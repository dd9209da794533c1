"""Who may read what is written: files are for their owner only, whatever the umask of whoever starts us."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from stat import S_IMODE, S_ISREG
from typing import Final

#: For the owner only.
PRIVATE: Final = 0o600
#: For everybody to read.
PUBLIC: Final = 0o644


def make_empty(path: Path, mode: int) -> None:
    """Make the file if it is not there. If that cannot be, whoever opens it will say so."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)


def set_mode(path: Path | str, mode: int) -> None:
    """Give this mode to a file, if it is there and ours to change.

    By its path: to open and close a file would take the locks from whoever has it open in this process.
    """
    with suppress(OSError):
        there = os.stat(path)
        if S_ISREG(there.st_mode) and S_IMODE(there.st_mode) != mode:
            os.chmod(path, mode)
