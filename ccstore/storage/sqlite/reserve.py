"""Space that is kept for getting out of a full disk."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import Final

from ccstore.permissions import PRIVATE, set_mode

#: Bytes: what the write-ahead log has at most, and what dropping segments writes.
_SIZE: Final = 32 * 1024 * 1024
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class Reserve:
    """A file beside the database that has its space and nothing in it.

    To drop a segment takes space, too: without a reserve, events could not even expire on a full disk. While
    it is not there nothing else is written, so that what is freed is not used up at once.
    """

    def __init__(self, database: Path, mode: int = PRIVATE) -> None:
        self._mode = mode
        self._path = database.with_name(database.name + ".reserve")
        self.is_kept = False

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return _SIZE if self.is_kept else 0

    def keep(self) -> None:
        """Take the space, if that is not done yet; raises as SQLite does if there is not enough."""
        if self.is_kept:
            return
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, self._mode)
            try:
                set_mode(self._path, self._mode)
                os.posix_fallocate(handle, 0, _SIZE)
            finally:
                os.close(handle)
        except OSError as error:
            self.release()
            what = "database or disk is full: no room for" if error.errno in _FULL else "cannot make"
            raise sqlite3.OperationalError(f"{what} {self._path}: {error.strerror}") from None
        self.is_kept = True

    def release(self) -> bool:
        """Give the space free; False if there was none."""
        self.is_kept = False
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
