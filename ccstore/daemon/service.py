"""The daemon as a service: what starts before what, and what ends before what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from attrs import frozen
from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized

from ccstore import __version__
from ccstore.daemon.introduction import StartLines
from ccstore.daemon.new_templates import NewTemplates
from ccstore.daemon.process import Process
from ccstore.daemon.reload import Reloader
from ccstore.daemon.roster import Roster
from ccstore.daemon.statistics import Statistics
from ccstore.interfaces import StoreError
from ccstore.network.listening import ListenError
from ccstore.network.open_files import OpenFiles
from ccstore.senders.sender_watch import SenderWatch
from ccstore.storage.storage_service import StorageService


@frozen
class DatabasePlace:
    """Where the database is to be.

    :ivar key: where the configuration has it.
    :ivar missing: tells what it lacks to be opened, if that can be seen from outside.
    """

    key: str = "storage.backend"
    missing: Callable[[], str | None] = lambda: None


class StartError(SystemExit):
    """The daemon cannot start. Not an error to twistd, which would print a traceback, but an exit status."""


class EventStoreService(MultiService):
    """Receivers, storage and REST interface.

    Ports are opened before privileges are given up, the database after. At the end, nothing that was received
    is lost: first nobody new is let in, then what has arrived is read and committed, then the database is
    closed, and only then does the returned Deferred fire.

    :param files: that may be open.
    :param senders: watches who sends.
    :param new_templates: tells of them, if that is wanted.
    :param connections: how many the receivers are configured to have, but for defaults.
    :param instance: tells this daemon from others that share its database.
    :param database: where the storage has it.
    :param lines: what the log has of the start.
    :param process: the process, if the daemon has it to itself.
    :param log_observer: for the whole process; twistd asks the application for it.
    :ivar roster: the receivers and the REST interface.
    :ivar statistics: what is shown of all that.
    """

    log = Logger()

    def __init__(
        self,
        storage: StorageService,
        reactor: Any,
        *,
        files: OpenFiles,
        senders: SenderWatch,
        new_templates: NewTemplates | None = None,
        connections: int = 0,
        instance: str = "",
        database: DatabasePlace | None = None,
        lines: StartLines | None = None,
        process: Process | None = None,
        log_observer: ILogObserver | None = None,
    ) -> None:
        super().__init__()
        self._storage = storage
        self._reactor = reactor
        self._files = files
        self._connections = connections
        self._database = database or DatabasePlace()
        self._lines = lines or StartLines()
        self._process = process
        self._log_observer = log_observer
        self._new_templates = new_templates
        self._reloader: Reloader | None = None
        self.roster = Roster(self, reactor)
        self.statistics = Statistics(self.roster, files, reactor, instance, storage.stats, senders)
        storage.setName("storage")
        storage.setServiceParent(self)

    def set_reloader(self, reloader: Reloader) -> None:
        """What to do at a signal to read the configuration again."""
        self._reloader = reloader

    # -- IService

    def setServiceParent(self, parent: Any) -> None:
        if self._log_observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._log_observer)
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:
        """Open the ports. Ends the process, with one line in the log for each problem, if that fails."""
        # twistd's log is in place by now, the reactor does not run yet.
        if self._process is not None:
            self._process.prepare()
        self._say(self._lines.introduction)
        places: list[str] = []
        problems: list[str] = []
        for part, listener in self.roster.listeners:
            try:
                place = listener.listen()
                places.append(place if listener.name == "api" else f"receiver {listener.name}: {place}")
            except ListenError as error:
                problems.append(error.at(part))
        # The database is opened later, but what is plain to see can be said now, with the rest.
        missing = self._database.missing()
        if missing is not None:
            problems.append(f"{self._database.key}: {missing}")
        too_few = self._files.too_few()
        if too_few is not None:
            problems.append(too_few)
        if problems:
            self._give_up(problems)
        self._say(places)

    def startService(self) -> None:
        """Open the database. Ends the process, with one clear line in the log, if that fails."""
        for warning in self._lines.warnings:
            self.log.warn("{warning}", warning=warning)
        self.statistics.start()
        try:
            super().startService()
        except StoreError as error:
            self._give_up([f"{error.key or self._database.key}: {error}"])
        self.statistics.begin()
        if self._new_templates is not None:
            self._new_templates.start()
        self._say([*self._lines.settings, f"at most {self._files.limit:,} files may be open"])
        too_few = self._files.too_few_for(self._connections)
        if too_few is not None:
            self.log.warn("{warning}", warning=too_few)
        self._reactor.callWhenRunning(self._runs)

    def _runs(self) -> None:
        """From now on, a signal leads to an orderly stop; whoever reads this in the log may rely on it."""
        self.log.info("ccstore {version} runs", version=__version__)
        if self._process is not None:
            self._process.is_running(lambda: self._reactor.callFromThread(self.reload))

    def reload(self) -> None:
        """Read the configuration again."""
        if self._reloader is not None:
            self._reloader.reload()

    def stopService(self) -> Deferred[None]:
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        signal = None if self._process is None else self._process.stopped_by
        self.log.info("stopping{why}", why="" if signal is None else f": {signal}")
        if self._reloader is not None:
            await self._reloader.stop()
        if self._new_templates is not None:
            self._new_templates.stop()
        await self.roster.stop()
        self.statistics.end()
        await self._storage.stop()
        for account in [*self.roster.accounts, *self.roster.former_accounts]:
            if account.received:
                self.log.info("{summary}", summary=account.summary())
            if not account.is_balanced:
                self.log.error("{name}: the counters do not add up", name=account.name)
        self.log.info("stopped")

    def _say(self, lines: Sequence[str]) -> None:
        for line in lines:
            self.log.info("{line}", line=line)

    def _give_up(self, problems: Sequence[str]) -> NoReturn:
        for problem in problems:
            self.log.critical("cannot start: {problem}", problem=problem)
        if self._process is not None:
            self._process.fail(problems)
        raise StartError(1)
