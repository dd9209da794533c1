"""The daemon as a service: what starts before what, and what ends before what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NoReturn

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized

from ccstore import __version__
from ccstore.accounting.account import Account
from ccstore.accounting.figures import Figures, gauge, text
from ccstore.api.rest_service import ApiService
from ccstore.daemon.process import Process
from ccstore.daemon.reload import Reloader
from ccstore.interfaces import IReceiver, StoreError
from ccstore.network.listening import ListenError
from ccstore.network.open_files import OpenFiles
from ccstore.storage.service import StorageService

#: Seconds that what a receiver has taken in may wait to be stored before it is told of as gone, and between
#: two looks at that.
_COMMITTED, _LOOK = 5.0, 0.05


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
        self._api: tuple[ApiService, Account] | None = None
        self._former: dict[str, Account] = {}  # of receivers that are gone
        self._reloader: Reloader | None = None
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
        """Let a receiver be one of us, and start it if the daemon runs: then it listens already."""
        self._former.pop(receiver.account.name, None)
        receiver.intake.take_up_books()
        self._receivers.append(receiver)
        receiver.setServiceParent(self)  # type: ignore[attr-defined]

    def set_api(self, api: ApiService, account: Account) -> None:
        self._api = (api, account)
        api.setServiceParent(self)

    def set_reloader(self, reloader: Reloader) -> None:
        """What to do at a signal to read the configuration again."""
        self._reloader = reloader

    @property
    def _listeners(self) -> list[tuple[str, Any]]:
        """Those with a port, and where the configuration has them."""
        found: list[tuple[str, Any]] = [
            (f"receivers.{receiver.account.name}", receiver) for receiver in self._receivers
        ]
        return found if self._api is None else [*found, ("api", self._api[0])]

    @property
    def _accounts(self) -> list[Account]:
        """The books of all who take lines in."""
        found = [receiver.account for receiver in self._receivers]
        return found if self._api is None else [*found, self._api[1]]

    # -- for reloading, see :class:`ccstore.daemon.reload.Daemon`

    @property
    def api(self) -> ApiService:
        assert self._api is not None
        return self._api[0]

    def receiver(self, name: str) -> IReceiver:
        return next(receiver for receiver in self._receivers if receiver.account.name == name)

    def account(self, name: str) -> Account | None:
        return {**self._former, **{each.account.name: each.account for each in self._receivers}}.get(name)

    def take_out(self, receiver: IReceiver) -> None:
        self._receivers.remove(receiver)
        self._former[receiver.account.name] = receiver.account
        receiver.disownServiceParent()  # type: ignore[attr-defined]

    async def see_off(self, receiver: IReceiver) -> None:
        await _all([receiver.drain()])
        receiver.intake.flush()
        for _ in range(round(_COMMITTED / _LOOK)):
            if not receiver.account.waiting:
                break
            await deferLater(self._reactor, _LOOK)
        if receiver.account.name in self._former:
            self.log.info("{summary}; this receiver is gone", summary=receiver.account.summary())

    def arrange(self, names: Sequence[str]) -> None:
        self._receivers.sort(key=lambda receiver: names.index(receiver.account.name))

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
                problems.append(error.at(part))
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
        await _all([listener.stop_listening() for _, listener in self._listeners])
        # What has arrived may wait for earlier lines to be committed, which goes on meanwhile.
        await _all([listener.drain() for _, listener in self._listeners])
        await self._storage.stop()
        for account in [*self._accounts, *self._former.values()]:
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
            api, account = self._api
            receivers[account.name] = account.figures() | api.figures()
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
