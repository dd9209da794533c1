"""The log of the daemon: where it goes, and what a line looks like."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Final, Protocol

from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    PredicateResult,
    eventAsText,
    formatTime,
)
from zope.interface import implementer

from ccstore.daemon.log_file import LogFile, OpenFile
from ccstore.logs import LEVELS
from ccstore.permissions import PRIVATE

#: What a level is called in a line, and its priority in systemd's journal, see sd-daemon(3).
_SHOWN: Final = {
    LogLevel.debug: ("debug", 7),
    LogLevel.info: ("info", 6),
    LogLevel.warn: ("warning", 4),
    LogLevel.error: ("error", 3),
    LogLevel.critical: ("critical", 2),
}


class Target(Protocol):
    """Where the log goes."""

    def write(self, text: str) -> None:
        """Write whole lines; raises :class:`OSError`."""


@implementer(ILogObserver)
class Log:
    """Writes the log. Its level may be set at any time; what cannot be written is counted, and told of later.

    Each line has date, time and level. In systemd's journal, which has the time itself, it has its priority
    instead. Of Twisted and other libraries there are only problems, but for ``debug``: what else happens is
    told of by whoever uses them.

    :param level: one of :data:`LEVELS`.
    :param target: where the lines go.
    :param is_journal: that is systemd's journal.
    :param with_date: date and time in the journal, too.
    """

    def __init__(
        self, level: str, target: Target, *, is_journal: bool = False, with_date: bool = False
    ) -> None:
        self._target = target
        self._is_journal = is_journal
        self._with_time = with_date or not is_journal
        self._missing = 0
        self._reason = ""
        self.set_level(level)

    def set_level(self, level: str) -> None:
        """From now on, write what is at least as bad as this."""
        least = LEVELS[level]
        of_others = least if least is LogLevel.debug else max(least, LogLevel.warn)
        predicate = LogLevelFilterPredicate(defaultLogLevel=of_others)
        predicate.setLogLevelForNamespace("ccstore", least)
        self._predicate = predicate

    def __call__(self, event: LogEvent) -> None:
        """Write one event."""
        if self._predicate(event) is PredicateResult.no:
            return
        text = eventAsText(event, includeTimestamp=False, includeSystem=False).rstrip("\n")
        if not text:
            return
        lines = self._lines(event.get("log_level", LogLevel.info), event.get("log_time"), text)
        if self._missing:
            said = f"{self._missing} lines are missing here, since they could not be written: {self._reason}"
            lines = self._lines(LogLevel.warn, event.get("log_time"), said) + lines
        try:
            self._target.write(lines)
        except OSError as error:
            self._missing += 1
            self._reason = (error.strerror or str(error)).lower()
        else:
            self._missing = 0

    def _lines(self, level: Any, when: float | None, text: str) -> str:
        word, priority = _SHOWN[level]
        time = f"{formatTime(when)} " if self._with_time else ""
        prefix = f"<{priority}>" if self._is_journal else ""
        # What follows the first line is indented, so that no text can pass for another event.
        indented = text.replace("\n", f"\n{prefix}\t")
        return f"{prefix}{time}{word}: {indented}\n"


def make_log(level: str, path: str, reactor: Any, *, with_date: bool = False, mode: int = PRIVATE) -> Log:
    """The log of the daemon; see :class:`Log`.

    :param path: a file, begun anew at SIGUSR1 and when it is large, or ``-`` for standard output. Raises
        :class:`OSError` if it cannot be opened.
    :param mode: of the file.
    """
    if path != "-":
        file = LogFile(path, mode=mode)
        file.reopen_at_signal(reactor)
        return Log(level, file)
    # Python has none if it was closed; its number may be that of any file by now.
    output = os.open(os.devnull, os.O_WRONLY) if sys.stdout is None else sys.stdout.fileno()
    is_journal = leads_to_journal(output, os.environ)
    return Log(level, OpenFile(output), is_journal=is_journal, with_date=with_date)


def leads_to_journal(number: int, environ: Mapping[str, str]) -> bool:
    """Whether an open file is systemd's journal.

    See ``JOURNAL_STREAM`` in systemd.exec(5): device and inode, since the variable is inherited by processes
    whose output goes elsewhere.
    """
    status = os.fstat(number)
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
