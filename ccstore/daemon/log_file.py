"""A file for the log, which logrotate may rename or cut."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from ccstore.permissions import PRIVATE

#: Bytes of a file, above which it is renamed to ``PATH.1`` and the next one begun, and how many of those are
#: kept. Where logrotate looks after it, it does not get so large.
_MOST: Final = 100_000_000
_KEPT: Final = 10
#: Seconds between two looks at whether the file still has its name.
_LOOK_EVERY: Final = 1.0


class LogFile:
    """A file that is only appended to.

    When it was renamed or removed, the next line goes into a new one; if that cannot be made, the old one
    stays in use. What is cut by logrotate's ``copytruncate`` goes on from its new end.

    :param path: raises :class:`OSError` if it cannot be opened.
    :param mode: of a file that is not there yet.
    :param clock: gives seconds.
    """

    def __init__(
        self,
        path: str,
        *,
        mode: int = PRIVATE,
        most: int = _MOST,
        kept: int = _KEPT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = os.path.abspath(path)  # the daemon may go to another directory
        self._most = most
        self._kept = kept
        self._clock = clock
        # Threads of the database write as well.
        self._lock = threading.Lock()
        self._looked_at = clock()
        self._is_torn = False  # the last line has no end
        self._file = self._opened(mode)

    def write(self, text: str) -> None:
        """See :class:`ccstore.daemon.log.Target`."""
        with self._lock:
            now = self._clock()
            if not 0 <= now - self._looked_at < _LOOK_EVERY:
                self._looked_at = now
                if not self._has_its_name():
                    self._open_again()
                elif os.fstat(self._file).st_size > self._most:
                    self._rotate()
            data = text.encode(errors="replace")
            if self._is_torn:
                data = b"\n" + data
            while data:
                written = os.write(self._file, data)
                self._is_torn = data[written - 1 : written] != b"\n"
                data = data[written:]

    def reopen(self) -> None:
        """Somebody has renamed the file, so begin a new one; or rename it now."""
        with self._lock:
            if self._has_its_name():
                self._rotate()
            else:
                self._open_again()

    def reopen_at_signal(self, reactor: Any) -> None:
        """Do so at SIGUSR1, unless something else happens at it already."""
        if signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL:
            # By way of the reactor: the signal may come in the middle of a line.
            signal.signal(signal.SIGUSR1, lambda number, frame: reactor.callFromThread(self.reopen))

    def _has_its_name(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except OSError:
            return False

    def _opened(self, mode: int) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        try:
            made = os.open(self._path, flags | os.O_EXCL, mode)
        except FileExistsError:
            return os.open(self._path, flags)
        os.fchmod(made, mode)
        return made

    def _open_again(self) -> None:
        with contextlib.suppress(OSError):
            new = self._opened(stat.S_IMODE(os.fstat(self._file).st_mode))
            os.close(self._file)
            self._file = new
            self._is_torn = False

    def _rotate(self) -> None:
        """Give the file a number, and those that have one the next, where that is allowed."""
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            return  # such as /dev/null
        with contextlib.suppress(OSError):
            for number in range(self._kept - 1, 0, -1):
                if os.path.exists(f"{self._path}.{number}"):
                    os.replace(f"{self._path}.{number}", f"{self._path}.{number + 1}")
            os.replace(self._path, f"{self._path}.1")
            self._open_again()


class OpenFile:
    """What is open already, such as standard output."""

    def __init__(self, number: int) -> None:
        self._number = number

    def write(self, text: str) -> None:
        """See :class:`ccstore.daemon.log.Target`."""
        data = text.encode(errors="replace")
        while data:
            data = data[os.write(self._number, data) :]
