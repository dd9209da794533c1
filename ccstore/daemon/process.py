"""What the daemon does to the process that twistd gave it, and not to that of the tests."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

#: Seconds a thread may hold the interpreter while another wants it. The database's thread needs it often and
#: briefly: half a dozen times for a body of a thousand lines. It would otherwise wait for the busy reactor
#: 5 ms each time.
_SWITCH_INTERVAL = 0.0001
_STOPPING = (signal.SIGTERM, signal.SIGINT)
#: The configuration is to be read again.
_RELOADING = signal.SIGHUP


def hold_reloads() -> None:
    """From now on the signal to reload waits until the daemon runs, instead of ending the process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [_RELOADING])


class Process:
    """The process of the daemon.

    :param pidfile: what twistd wrote, and leaves behind if the start fails.
    :param status_pipe: gives the pipe at whose other end, in the background, the process waits that was
        started; twistd itself writes to it when all is well, or at an exception.
    :ivar stopped_by: the name of the signal that ends the daemon.
    """

    def __init__(
        self, *, pidfile: Path | None = None, status_pipe: Callable[[], int | None] = lambda: None
    ) -> None:
        self._pidfile = pidfile
        self._status_pipe = status_pipe
        self.stopped_by: str | None = None

    def prepare(self) -> None:
        """Get ready to listen, with everything loaded; called in the process that will go on."""
        raise_limit()
        sys.setswitchinterval(_SWITCH_INTERVAL)
        # The messages in hand are many, live shortly, and form no cycles, but the collector looks through
        # them and all that is loaded again and again: with 10,000 connections that was a quarter of the
        # time. What is loaded is put out of its sight, and it looks at few at a time: with 20,000, it kept
        # everybody waiting for 20 ms, and now and then for 100.
        gc.collect()
        gc.freeze()
        gc.set_threshold(4000, 5, 1000)
        # The reactor installs its handlers when it runs. A signal that comes between the first open port and
        # that moment waits, since it would end the process without an orderly stop.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
        hold_reloads()

    def is_running(self, reload: Callable[[], None]) -> None:
        """The reactor runs, and stops at a signal: let those in that came meanwhile.

        :param reload: called at a signal to reload, in the middle of whatever the reactor is doing.
        """
        handlers = {int(number): signal.getsignal(number) for number in _STOPPING}
        is_stopping = False

        def stop(number: int, frame: FrameType | None) -> None:
            # The reactor takes a second one, of somebody who cannot wait, for a mistake in the program.
            nonlocal is_stopping
            handler = handlers[number]
            if callable(handler) and not is_stopping:
                is_stopping = True
                self.stopped_by = signal.Signals(number).name
                handler(number, frame)

        for number, handler in handlers.items():
            if callable(
                handler
            ):  # otherwise it is ignored, as it is for what a shell has put to the background
                signal.signal(number, stop)
        # Also where it was ignored, as nohup has it: to reload is harmless, and to be ended is not.
        signal.signal(_RELOADING, lambda number, frame: reload())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_STOPPING, _RELOADING))

    def fail(self, reasons: Sequence[str]) -> None:
        """Leave nothing behind, and tell whoever waits in the foreground."""
        if self._pidfile is not None:
            with contextlib.suppress(OSError, ValueError):
                if int(self._pidfile.read_text()) == os.getpid():
                    self._pidfile.unlink()
        pipe = self._status_pipe()
        if pipe is not None:
            with contextlib.suppress(OSError):
                # Of more than this, only a part is read.
                os.write(pipe, b"1 " + "; ".join(reasons).encode()[:98])


def raise_limit() -> None:
    """Raise the limit of open files as far as the process may; 1,024 is the usual one, for old programs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # If it cannot be raised it stays, and the log says what it is too low for.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
