"""Standard output and error of a command: their reader may have gone, and the disk behind ``>`` be full."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from types import TracebackType
from typing import Any, TextIO


class Careful:
    """A stream whose errors do not end a command in the middle of its work.

    :ivar error: the first one, if there was any but that nobody reads it any more.
    :ivar is_gone: nobody reads it any more, so that there is no use in writing on.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None
        self.is_gone = False

    def write(self, text: str) -> int:
        """As the stream does; gives the number of characters, also if they could not be written."""
        with self._noting():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """As the stream does."""
        with self._noting():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno == errno.EPIPE:
                self.is_gone = True
            elif self.error is None:
                self.error = error

    def end(self) -> None:
        """Write what is left, or let go of it."""
        self.flush()
        try:
            self._stream.flush()
        except OSError:
            # Python flushes once more at its exit, and would print a traceback: so let it write to nowhere.
            with suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self._stream.fileno())
                os.close(null)


class CarefulStreams:
    """For the time of a command, its standard streams are such.

    At the end, or where the command ends the process, output that could not be written is said, and makes a
    success a failure. Output that nobody wants, as of ``ccstore query | head``, is none.

    :param command: its name, for people.
    :param failed: the exit status if output could not be written.
    """

    def __init__(self, command: str, failed: int) -> None:
        self._command = command
        self._failed = failed

    def __enter__(self) -> CarefulStreams:
        _open_missing()
        self._before = sys.stdout, sys.stderr
        # What a terminal's encoding does not have is shown as an escape.
        for stream in self._before:
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        self._out, self._err = map(Careful, self._before)
        sys.stdout, sys.stderr = self._out, self._err
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._out.end()
        if self._out.error is not None:
            reason = (self._out.error.strerror or str(self._out.error)).lower()
            self._err.write(f"{self._command}: cannot write to standard output: {reason}\n")
        self._err.end()
        sys.stdout, sys.stderr = self._before
        if self._out.error is not None and (error is None or _is_success(error)):
            raise SystemExit(self._failed) from None


def _is_success(error: BaseException) -> bool:
    return isinstance(error, SystemExit) and not error.code


def _open_missing() -> None:
    """Have all three standard streams: else the first files that are opened would be taken for them."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(null, "r" if name == "stdin" else "w"))
