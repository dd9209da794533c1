"""One process a file."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from ccstore.interfaces import StoreError


class InUse(StoreError):
    """Another process has the file."""


class FileLock:
    """A lock beside a file, which goes with the process that holds it.

    :param what: the file is, for people.
    """

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        self._what = what
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take it; raises :class:`StoreError`, which is :class:`InUse` if another process has it."""
        path = self._path.with_name(self._path.name + ".lock")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES) and error.filename is None:
                raise InUse(f"the {self._what} {self._path} is in use by another ccstore") from None
            raise StoreError(f"cannot write beside the {self._what} {self._path}: {error.strerror}") from None

    def share(self) -> None:
        """Keep others from taking it, as long as nobody has it; raises :class:`StoreError` if somebody does.

        Nothing is made for it: where there is no lock, and none can be made, nobody writes either.
        """
        try:
            self._descriptor = os.open(self._path.with_name(self._path.name + ".lock"), os.O_RDONLY)
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return
        except OSError as error:
            self.release()
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES) and error.filename is None:
                raise StoreError(
                    f"the {self._what} {self._path} is in use by another ccstore: stop it, or copy a backup"
                ) from None
            raise StoreError(f"cannot read the lock of the {self._what} {self._path}: {error}") from None

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
