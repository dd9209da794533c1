"""Commands in a terminal: what they show, and keys that are pressed."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
from codecs import getincrementaldecoder
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType

from tests.support.running_daemon import PATIENCE, as_in_a_terminal, environment

ROWS, COLUMNS = 24, 100


class Terminal:
    """A command whose input, output and errors are a terminal.

    :ivar shown: all that it wrote so far.
    """

    def __init__(self, directory: Path, *words: str, **environ: str) -> None:
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        kept = {name: value for name, value in environment(TERM="xterm", **environ).items() if value}
        for name in ("LESS", "PAGER", "NO_COLOR", "COLUMNS"):
            if name not in environ:
                kept.pop(name, None)

        def own_terminal() -> None:
            as_in_a_terminal()
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self._process = subprocess.Popen(
            [sys.executable, "-m", "ccstore", *words],
            cwd=directory,
            env=kept,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            preexec_fn=own_terminal,
        )
        os.close(theirs)
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self.shown = ""

    def wait_for(self, text: str) -> None:
        """Wait until it has written this since the last time."""
        seen = len(self.shown)
        while text not in self.shown[seen:]:
            if not self._read():
                raise AssertionError(f"it ended without {text!r}:\n{self.shown}")

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def end(self) -> int:
        """Wait for its end, and give its exit status, which is negative for a signal."""
        while self._read():
            pass
        return self._process.wait(PATIENCE)

    def _read(self) -> bool:
        deadline = time.monotonic() + PATIENCE
        ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"nothing came for {PATIENCE:.0f} s:\n{self.shown}"
        piece = b""
        with suppress(OSError):  # what Linux says at the end of a terminal
            piece = os.read(self._ours, 65536)
        self.shown += self._decoder.decode(piece)
        return bool(piece)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE)
        with closing(os.fdopen(self._ours, "rb", 0)):
            pass
