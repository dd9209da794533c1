"""What the daemon shows of itself: ``/api/stats`` and ``/api/samples``, but for the storage's own."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.interfaces import IReactorTime

from ccstore import __version__
from ccstore.accounting.figures import Figures, gauge, text
from ccstore.daemon.roster import Roster
from ccstore.network.open_files import OpenFiles


class Statistics:
    """See the module.

    :param files: that may be open.
    :param instance: tells this daemon from others that share its database.
    """

    def __init__(self, roster: Roster, files: OpenFiles, reactor: IReactorTime, instance: str) -> None:
        self._roster = roster
        self._files = files
        self._reactor = reactor
        self._instance = instance
        self._started_at = 0.0

    def start(self) -> None:
        """The daemon runs from now on."""
        self._started_at = self._reactor.seconds()

    def samples(self) -> Mapping[str, object]:
        """What ``/api/samples`` shows."""
        return {
            "time": self._reactor.seconds(),
            "receivers": {account.name: account.samples_as_json() for account in self._roster.accounts},
        }

    def figures(self) -> Mapping[str, object]:
        """What ``/api/stats`` shows besides the storage's own."""
        listeners = [listener for _, listener in self._roster.listeners]
        return {
            "receivers": {
                account.name: account.figures() | listener.figures()
                for account, listener in zip(self._roster.accounts, listeners, strict=True)
            },
            "ccstore": Figures(
                version=text(__version__),
                instance=text(self._instance),
                uptime=gauge(
                    round(self._reactor.seconds() - self._started_at, 3),
                    "Time since the start.",
                    metric="uptime_seconds",
                ),
                open_files_limit=gauge(self._files.limit, "Open files that the process may have."),
            ),
        }
