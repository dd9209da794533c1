"""What the daemon shows of itself: ``/api/stats``, ``/api/samples`` and the last hour."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

from ccstore import __version__
from ccstore.accounting.figures import Figures, gauge, text
from ccstore.accounting.history import History, Moment
from ccstore.daemon.roster import Roster
from ccstore.network.open_files import OpenFiles
from ccstore.senders.sender_watch import SenderWatch

#: Where Linux has the memory of this process: its second number is that of the pages that are in memory.
_MEMORY: Final = "/proc/self/statm"


class Statistics:
    """See the module.

    :param files: that may be open.
    :param instance: tells this daemon from others that share its database.
    :param stored: gives the storage's own figures, see :meth:`ccstore.interfaces.IMessageStore.stats`.
    :param senders: watches who sends.
    :ivar history: the last hour.
    """

    def __init__(
        self,
        roster: Roster,
        files: OpenFiles,
        reactor: IReactorTime,
        instance: str,
        stored: Callable[[], Mapping[str, Any]],
        senders: SenderWatch,
    ) -> None:
        self._roster = roster
        self._files = files
        self._reactor = reactor
        self._instance = instance
        self._stored = stored
        self._senders = senders
        self._started_at = 0.0
        self.history = History(reactor, self._moment)

    def start(self) -> None:
        """The daemon runs from now on."""
        self._started_at = self._reactor.seconds()

    def begin(self) -> None:
        """The store is open, and messages come from now on."""
        self.history.start()
        self._senders.start()

    def end(self) -> None:
        """Look no more."""
        self.history.stop()
        self._senders.stop()

    def samples(self) -> Mapping[str, object]:
        """What ``/api/samples`` shows."""
        return {
            "time": self._reactor.seconds(),
            "receivers": {account.name: account.samples_as_json() for account in self._roster.accounts},
            "silence": self._senders.silence(),
        }

    def figures(self) -> Mapping[str, object]:
        """What ``/api/stats`` shows besides the storage's own."""
        listeners = [listener for _, listener in self._roster.listeners]
        return {
            "receivers": {
                account.name: account.figures() | listener.figures()
                for account, listener in zip(self._roster.accounts, listeners, strict=True)
            },
            "senders": self._senders.figures(),
            "ccstore": Figures(
                version=text(__version__),
                instance=text(self._instance),
                uptime=gauge(
                    round(self._reactor.seconds() - self._started_at, 3),
                    "Time since the start.",
                    metric="uptime_seconds",
                ),
                memory_bytes=gauge(
                    _memory(),
                    "Memory of the daemon, without the processes that write and read a file for it.",
                    metric="memory_bytes",
                ),
                open_files_limit=gauge(self._files.limit, "Open files that the process may have."),
            ),
        }

    def _moment(self) -> Moment:
        stored = self._stored()
        manager, database = stored["manager"]["status"], stored["backend"]["status"]
        size = database.get("bytes")
        return Moment(
            self._reactor.seconds(),
            {
                each.name: (each.received, each.stored, each.rejected.total(), each.dropped.total())
                for each in self._roster.accounts
            },
            manager["waiting"],
            manager["write_batch"],
            stored["storage"]["write_seconds"],
            size,
            None if size is None else size - database.get("free_bytes", 0),
            _memory(),
        )


def _memory() -> int | None:
    """Bytes of this process that are in memory, if the system tells."""
    try:
        with open(_MEMORY, "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
