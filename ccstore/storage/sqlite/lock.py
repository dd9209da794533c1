"""One program a file: what a writer knows of it would be wrong with two."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from ccstore.interfaces import StoreError


class InUse(StoreError):
    """Another program writes to the file."""


class FileLock:
    """A lock beside the database, held as long as the process has it or lives."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._handle: int | None = None

    def take(self) -> None:
        """Raises :class:`StoreError`, and :class:`InUse` if another process has it."""
        path = self._database.with_name(self._database.name + ".lock")
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES) and error.filename is None:
                raise InUse(f"the database {self._database} is in use by another ccstore") from None
            raise StoreError(f"cannot write beside the database {self._database}: {error.strerror}") from None

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
