"""The daemon as a service: what starts before what, and what ends before what."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized

from ccstore import __version__
from ccstore.accounting import Account
from ccstore.api.service import ApiService
from ccstore.interfaces import IReceiver, StoreError
from ccstore.listening import ListenError
from ccstore.storage.service import StorageService


class StartError(SystemExit):
    """The daemon cannot start. Not an error to twistd, which would print a traceback, but an exit status."""


class EventStoreService(MultiService):
    """Receivers, storage and REST interface.

    Ports are opened before privileges are given up, the database after. At the end, nothing that was received
    is lost: first nobody new is let in, then what has arrived is read and committed, then the database is
    closed, and only then does the returned Deferred fire.

    :param warnings: of the configuration, for the log.
    :param pidfile: what twistd wrote, and leaves behind if the start fails.
    :param status_pipe: gives the pipe at whose other end, in the background, the process waits that was
        started; twistd itself writes to it when all is well, or at an exception.
    :param log_observer: for the whole process; twistd asks the application for it.
    """

    log = Logger()

    def __init__(
        self,
        storage: StorageService,
        clock: IReactorTime,
        *,
        warnings: Sequence[str] = (),
        pidfile: Path | None = None,
        status_pipe: Callable[[], int | None] = lambda: None,
        log_observer: ILogObserver | None = None,
    ) -> None:
        super().__init__()
        self._storage = storage
        self._clock = clock
        self._receivers: list[IReceiver] = []
        self._accounts: list[Account] = []
        self._listeners: list[Any] = []
        self._warnings = warnings
        self._pidfile = pidfile
        self._status_pipe = status_pipe
        self._log_observer = log_observer
        self._started_at = 0.0
        storage.setName("storage")
        storage.setServiceParent(self)

    def add_receiver(self, receiver: IReceiver) -> None:
        self._receivers.append(receiver)
        self._listeners.append(receiver)
        self._accounts.append(receiver.account)
        receiver.setServiceParent(self)  # type: ignore[attr-defined]

    def set_api(self, api: ApiService, account: Account) -> None:
        self._listeners.append(api)
        self._accounts.append(account)
        api.setServiceParent(self)

    # -- IService

    def setServiceParent(self, parent: Any) -> None:
        if self._log_observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._log_observer)
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:
        """Open the ports. Ends the process, with one clear line in the log, if that fails."""
        # twistd's signal handlers and log are in place by now, the reactor does not run yet.
        try:
            places = [listener.listen() for listener in self._listeners]
        except ListenError as error:
            self._give_up(str(error))
        for place in places:
            self.log.info("{place}", place=place)

    def startService(self) -> None:
        """Open the database. Ends the process, with one clear line in the log, if that fails."""
        for warning in self._warnings:
            self.log.warn("{warning}", warning=warning)
        self._started_at = self._clock.seconds()
        try:
            super().startService()
        except StoreError as error:
            self._give_up(str(error))
        self.log.info("ccstore {version} runs", version=__version__)

    def stopService(self) -> Deferred[None]:
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self.log.info("stopping")
        await _all([listener.stop_listening() for listener in self._listeners])
        # What has arrived may wait for earlier lines to be committed, which goes on meanwhile.
        await _all([listener.drain() for listener in self._listeners])
        await self._storage.stop()
        for account in self._accounts:
            if account.received:
                self.log.info("{summary}", summary=account.summary())
            if not account.is_balanced:
                self.log.error("{name}: the books do not balance", name=account.name)
        self.log.info("stopped")

    def _give_up(self, reason: str) -> None:
        self.log.critical("cannot start: {reason}", reason=reason)
        if self._pidfile is not None:
            with contextlib.suppress(OSError, ValueError):
                if int(self._pidfile.read_text()) == os.getpid():
                    self._pidfile.unlink()
        pipe = self._status_pipe()
        if pipe is not None:
            with contextlib.suppress(OSError):
                # Of more than this, only a part is read.
                os.write(pipe, b"1 " + reason.encode()[:98])
        raise StartError(1)

    # -- statistics

    def figures(self) -> Mapping[str, object]:
        """What ``/api/stats`` shows besides the storage's own."""
        receivers: dict[str, object] = {
            receiver.account.name: {**receiver.account.as_json(), **receiver.figures()}
            for receiver in self._receivers
        }
        for account in self._accounts[len(self._receivers) :]:
            receivers[account.name] = account.as_json()
        return {
            "receivers": receivers,
            "ccstore": {"version": __version__, "uptime": round(self._clock.seconds() - self._started_at, 3)},
        }


async def _all(steps: Sequence[Awaitable[None]]) -> None:
    """Take several steps at a time; the others go on if one fails."""

    async def take(step: Awaitable[None]) -> None:
        try:
            await step
        except Exception:
            EventStoreService.log.failure("a step of the stop failed")

    await gatherResults([Deferred.fromCoroutine(take(step)) for step in steps])
