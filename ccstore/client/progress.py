"""How far it is, on a terminal."""

from __future__ import annotations

import os
import stat
from typing import Any, TextIO

_EVERY = 0.2
_WIDTH = 30


class Progress:
    """One line that is written again and again; nothing if the stream is no terminal.

    :param total: bytes there will be, if that is known.
    """

    def __init__(self, stream: TextIO, clock: Any, total: int | None) -> None:
        self._stream = stream if stream.isatty() else None
        self._clock = clock
        self._total = total
        self._began = self._last = clock.seconds()

    def show(self, done: int, lines: int) -> None:
        """Say how far it is.

        :param done: bytes.
        """
        now = self._clock.seconds()
        if self._stream is None or now - self._last < _EVERY:
            return
        self._last = now
        rate = f"{lines:,} lines, {lines / max(now - self._began, 1e-3):,.0f} a second"
        if self._total:
            part = min(1.0, done / self._total)
            bar = "#" * round(part * _WIDTH)
            rate = f"[{bar:<{_WIDTH}}] {part:4.0%}  {rate}"
        self._stream.write(f"\r\x1b[K{rate}")
        self._stream.flush()

    def clear(self) -> None:
        """Make room for other lines."""
        if self._stream is not None:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def size_of(descriptor: int) -> int | None:
    """Bytes that can be read, if it is a file."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return None
    return max(0, status.st_size - os.lseek(descriptor, 0, os.SEEK_CUR))
