"""One process a file."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from ccstore.interfaces import StoreError
from ccstore.permissions import PRIVATE, set_mode

#: Seconds between two looks at a lock that is to become free.
_STEP: Final = 0.02


class InUse(StoreError):
    """Another process has the file."""


class FileLock:
    """A lock beside a file, which goes with the process that holds it, and those that it has given it to.

    :param what: the file is, for people.
    :param mode: that the lock's own file gets.
    :param patience: seconds that what a killed daemon has begun may take to end.
    """

    def __init__(self, path: Path, what: str, mode: int = PRIVATE, *, patience: float = 10.0) -> None:
        self._path = path
        self._mode = mode
        self._what = what
        self._patience = patience
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        """Of the lock that is held. A process that inherits it holds the lock as well."""
        assert self._descriptor is not None, "not held"
        return self._descriptor

    def take(self) -> None:
        """Take it; raises :class:`StoreError`, which is :class:`InUse` if another process has it."""
        path = self._path.with_name(self._path.name + ".lock")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, self._mode)
            self._wait_for(self._descriptor)
        except OSError as error:
            self.release()
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES) and error.filename is None:
                raise InUse(f"the {self._what} {self._path} is in use by another ccstore") from None
            raise StoreError(f"cannot write beside the {self._what} {self._path}: {error.strerror}") from None
        set_mode(path, self._mode)
        with suppress(OSError):  # on a full disk, nobody who comes later will wait
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)

    def keep(self) -> None:
        """Take it again if its file was removed; raises :class:`InUse` if another process was faster."""
        with suppress(OSError):
            there = os.stat(self._path.with_name(self._path.name + ".lock"))
            if os.path.samestat(there, os.fstat(self.descriptor)):
                return
        before, self._descriptor = self._descriptor, None
        try:
            self.take()
        except StoreError:
            self._descriptor, before = before, None
            raise
        finally:
            if before is not None:
                os.close(before)

    def _wait_for(self, descriptor: int) -> None:
        """Take the lock; raises OSError if somebody has it who will not give it up."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                # If who took it is no more, then what it has begun is coming to its end.
                if _is_alive(os.pread(descriptor, 20, 0)) or time.monotonic() > deadline:
                    raise
                time.sleep(_STEP)
            else:
                return

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
        """Let go of the lock, if it is held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _is_alive(pid: bytes) -> bool:
    """Whether there is a process of this number, as it stands in the file."""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError):
        pass
    return True
