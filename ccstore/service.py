"""The daemon as a service: what starts before what, and what ends before what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NoReturn

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized

from ccstore import __version__
from ccstore.accounting import Account
from ccstore.api.service import ApiService
from ccstore.figures import Figures, gauge, text
from ccstore.interfaces import IReceiver, StoreError
from ccstore.listening import ListenError
from ccstore.openfiles import OpenFiles
from ccstore.process import Process
from ccstore.storage.service import StorageService


class StartError(SystemExit):
    """The daemon cannot start. Not an error to twistd, which would print a traceback, but an exit status."""


class EventStoreService(MultiService):
    """Receivers, storage and REST interface.

    Ports are opened before privileges are given up, the database after. At the end, nothing that was received
    is lost: first nobody new is let in, then what has arrived is read and committed, then the database is
    closed, and only then does the returned Deferred fire.

    :param files: that may be open.
    :param connections: how many the receivers may have.
    :param instance: tells this daemon from others that share its database.
    :param database_key: where the configuration has the database.
    :param missing: tells what the database lacks to be opened, if that can be seen from outside.
    :param warnings: of the configuration, for the log.
    :param process: the process, if the daemon has it to itself.
    :param introduction: the first lines of the log.
    :param settings: the lines that follow on where messages are stored.
    :param log_observer: for the whole process; twistd asks the application for it.
    """

    log = Logger()

    def __init__(
        self,
        storage: StorageService,
        reactor: Any,
        *,
        files: OpenFiles,
        connections: int = 0,
        instance: str = "",
        database_key: str = "storage.backend",
        missing: Callable[[], str | None] = lambda: None,
        warnings: Sequence[str] = (),
        process: Process | None = None,
        log_observer: ILogObserver | None = None,
        introduction: Sequence[str] = (),
        settings: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self._storage = storage
        self._reactor = reactor
        self._files = files
        self._connections = connections
        self._receivers: list[IReceiver] = []
        self._accounts: list[Account] = []
        self._api: ApiService | None = None
        self._listeners: list[tuple[str, Any]] = []  # and where the configuration has them
        self._instance = instance
        self._database_key = database_key
        self._missing = missing
        self._warnings = warnings
        self._process = process
        self._log_observer = log_observer
        self._introduction = introduction
        self._settings = settings
        self._started_at = 0.0
        storage.setName("storage")
        storage.setServiceParent(self)

    def add_receiver(self, receiver: IReceiver) -> None:
        self._receivers.append(receiver)
        self._listeners.append((f"receivers.{receiver.account.name}", receiver))
        self._accounts.append(receiver.account)
        receiver.setServiceParent(self)  # type: ignore[attr-defined]

    def set_api(self, api: ApiService, account: Account) -> None:
        self._api = api
        self._listeners.append(("api", api))
        self._accounts.append(account)
        self._api = api
        api.setServiceParent(self)

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
        self._say(self._introduction)
        places: list[str] = []
        problems: list[str] = []
        for part, listener in self._listeners:
            try:
                place = listener.listen()
                places.append(place if listener.name == "api" else f"receiver {listener.name}: {place}")
            except ListenError as error:
                text = str(error).removeprefix(f"receiver {listener.name!r}: ").removeprefix("api: ")
                problems.append(f"{part}.{error.key}: {text}")
        # The database is opened later, but what is plain to see can be said now, with the rest.
        missing = self._missing()
        if missing is not None:
            problems.append(f"{self._database_key}: {missing}")
        too_few = self._files.too_few()
        if too_few is not None:
            problems.append(too_few)
        if problems:
            self._give_up(problems)
        self._say(places)

    def startService(self) -> None:
        """Open the database. Ends the process, with one clear line in the log, if that fails."""
        for warning in self._warnings:
            self.log.warn("{warning}", warning=warning)
        self._started_at = self._reactor.seconds()
        try:
            super().startService()
        except StoreError as error:
            self._give_up([f"{error.key or self._database_key}: {error}"])
        self._say([*self._settings, f"at most {self._files.limit:,} files may be open"])
        too_few = self._files.too_few_for(self._connections)
        if too_few is not None:
            self.log.warn("{warning}", warning=too_few)
        self._reactor.callWhenRunning(self._runs)

    def _runs(self) -> None:
        """From now on, a signal leads to an orderly stop; whoever reads this in the log may rely on it."""
        self.log.info("ccstore {version} runs", version=__version__)
        if self._process is not None:
            self._process.is_running()

    def stopService(self) -> Deferred[None]:
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        signal = None if self._process is None else self._process.stopped_by
        self.log.info("stopping{why}", why="" if signal is None else f": {signal}")
        await _all([listener.stop_listening() for _, listener in self._listeners])
        # What has arrived may wait for earlier lines to be committed, which goes on meanwhile.
        await _all([listener.drain() for _, listener in self._listeners])
        await self._storage.stop()
        for account in self._accounts:
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

    # -- statistics

    def samples(self) -> Mapping[str, object]:
        """What ``/api/samples`` shows."""
        return {
            "time": self._reactor.seconds(),
            "receivers": {account.name: account.samples_as_json() for account in self._accounts},
        }

    def figures(self) -> Mapping[str, object]:
        """What ``/api/stats`` shows besides the storage's own."""
        receivers: dict[str, Figures] = {
            receiver.account.name: receiver.account.figures() | receiver.figures()
            for receiver in self._receivers
        }
        if self._api is not None:
            account = self._accounts[-1]
            receivers[account.name] = account.figures() | self._api.figures()
        return {
            "receivers": receivers,
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


async def _all(steps: Sequence[Awaitable[None]]) -> None:
    """Take several steps at a time; the others go on if one fails."""

    async def take(step: Awaitable[None]) -> None:
        try:
            await step
        except Exception:
            EventStoreService.log.failure("a step of the stop failed")

    await gatherResults([Deferred.fromCoroutine(take(step)) for step in steps])
