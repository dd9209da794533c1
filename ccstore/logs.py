"""Logging: levels, where the log goes, and not saying the same thing too often."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Hashable, Mapping
from typing import Final, TextIO

from twisted.internet.interfaces import IReactorTime
from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    textFileLogObserver,
)
from twisted.python.logfile import LogFile

#: Names of levels, as the Go daemon has them, and what they mean here.
LEVELS: Final = {
    "debug": LogLevel.debug,
    "info": LogLevel.info,
    "warn": LogLevel.warn,
    "err": LogLevel.error,
    "fatal": LogLevel.error,
    "crit": LogLevel.critical,
}

_PRIORITIES: Final = {
    LogLevel.debug: 7,
    LogLevel.info: 6,
    LogLevel.warn: 4,
    LogLevel.error: 3,
    LogLevel.critical: 2,
}


class RateLimit:
    """Lets a thing be said once in a while, and counts how often it was not.

    :param interval: seconds between two times the same thing is said.
    """

    def __init__(self, clock: IReactorTime, interval: float, size: int = 1024) -> None:
        self._clock = clock
        self._interval = interval
        self._size = size
        self._said: dict[Hashable, tuple[float, int]] = {}
        self._pruned_at: float | None = None

    def check(self, thing: Hashable) -> int | None:
        """None if the thing was said lately, else how often it was suppressed since."""
        now = self._clock.seconds()
        last, suppressed = self._said.get(thing, (None, 0))
        if last is not None and 0 <= now - last < self._interval:
            self._said[thing] = (last, suppressed + 1)
            return None
        if len(self._said) >= self._size:
            # Whoever makes up ever new things to be said hears of them only so often, and costs little.
            if self._pruned_at is not None and 0 <= now - self._pruned_at < self._interval / 10:
                return None
            self._pruned_at = now
            self._said = {
                key: value for key, value in self._said.items() if 0 <= now - value[0] < self._interval
            }
            if len(self._said) >= self._size:
                return None
        self._said[thing] = (now, 0)
        return suppressed


class Threshold:
    """From which level on the log has something.

    :param level: a name, see :data:`LEVELS`.
    """

    def __init__(self, level: str) -> None:
        self.predicate = LogLevelFilterPredicate()
        self.set(level)

    def set(self, level: str) -> None:
        """Another level from now on."""
        self.predicate.clearLogLevels()
        self.predicate.setLogLevelForNamespace("", LEVELS[level])
        if level == "info":
            # That idle clients are let go is no problem, and there may be thousands of them every other
            # minute.
            self.predicate.setLogLevelForNamespace("twisted.web.http.HTTPChannel", LogLevel.warn)


def make_observer(threshold: Threshold, path: str, *, with_date: bool = False) -> ILogObserver:
    """The observer that writes the log.

    Each line has date and time. In systemd's journal, which has them itself, it has its priority instead.

    :param path: a file, rotated at SIGUSR1 and when it is large, or ``-`` for standard output.
    :param with_date: date and time in the journal, too.
    """
    stream: TextIO
    if path == "-":
        stream = sys.stdout
    else:
        log_file = LogFile.fromFullPath(path, rotateLength=100_000_000, maxRotatedFiles=10)
        if not signal.getsignal(signal.SIGUSR1):
            signal.signal(signal.SIGUSR1, lambda number, frame: log_file.rotate())
        stream = log_file
    observer: ILogObserver = textFileLogObserver(stream)
    if path == "-" and is_journal(stream, os.environ):
        observer = FileLogObserver(stream, lambda event: journal_lines(event, with_date))
    return FilteringLogObserver(observer, [threshold.predicate])


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a stream leads to systemd's journal.

    See ``JOURNAL_STREAM`` in systemd.exec(5): device and inode, since the variable is inherited by processes
    whose output goes elsewhere.
    """
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def journal_lines(event: LogEvent, with_date: bool) -> str | None:
    """An event for the journal, which takes the number at the beginning of a line for its priority.

    See sd-daemon(3).
    """
    text = eventAsText(event, includeTimestamp=with_date)
    if not text:
        return None
    prefix = f"<{_PRIORITIES.get(event.get('log_level', LogLevel.info), 6)}>"
    return prefix + text.replace("\n", f"\n{prefix}\t") + "\n"
