"""Who of the daemon has a port: its receivers and the REST interface, who is gone, and the books of all."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ccstore.accounting.account import Account
from ccstore.api.rest_service import ApiService
from ccstore.interfaces import IReceiver

#: Seconds that what a receiver has taken in may wait to be stored before it is told of as gone, and between
#: two looks at that.
_COMMITTED, _LOOK = 5.0, 0.05


class Roster:
    """See the module, and :class:`ccstore.daemon.reload.Daemon`.

    :param parent: the service that all of them are part of, so that they start with it.
    :ivar receivers: in the order in which they are shown.
    """

    log = Logger()

    def __init__(self, parent: MultiService, reactor: IReactorTime) -> None:
        self._parent = parent
        self._reactor = reactor
        self._api: tuple[ApiService, Account] | None = None
        self._former: dict[str, Account] = {}  # of receivers that are gone
        self.receivers: list[IReceiver] = []

    # -- who there is

    def add_receiver(self, receiver: IReceiver) -> None:
        """Let a receiver be one of us, and start it if the daemon runs: then it listens already."""
        self._former.pop(receiver.account.name, None)
        receiver.intake.take_up_books()
        self.receivers.append(receiver)
        receiver.setServiceParent(self._parent)  # type: ignore[attr-defined]

    def set_api(self, api: ApiService, account: Account) -> None:
        """Let the REST interface be one of us, with the books of what is written to it."""
        self._api = (api, account)
        api.setServiceParent(self._parent)

    @property
    def api(self) -> ApiService:
        """The REST interface."""
        assert self._api is not None
        return self._api[0]

    def receiver(self, name: str) -> IReceiver:
        """The one of that name."""
        return next(receiver for receiver in self.receivers if receiver.account.name == name)

    @property
    def listeners(self) -> list[tuple[str, Any]]:
        """All, and where the configuration has them."""
        found: list[tuple[str, Any]] = [
            (f"receivers.{receiver.account.name}", receiver) for receiver in self.receivers
        ]
        return found if self._api is None else [*found, ("api", self._api[0])]

    # -- who comes and goes while the daemon runs

    def take_out(self, receiver: IReceiver) -> None:
        """It is one of us no longer."""
        self.receivers.remove(receiver)
        self._former[receiver.account.name] = receiver.account
        receiver.disownServiceParent()  # type: ignore[attr-defined]

    async def see_off(self, receiver: IReceiver) -> None:
        """Take in what has arrived at one that was taken out, and let its connections go."""
        await self._all([receiver.drain()])
        receiver.intake.flush()
        for _ in range(round(_COMMITTED / _LOOK)):
            if not receiver.account.waiting:
                break
            await deferLater(self._reactor, _LOOK)
        if receiver.account.name in self._former:
            self.log.info("{summary}; this receiver is gone", summary=receiver.account.summary())

    def arrange(self, names: Sequence[str]) -> None:
        """The order in which they are shown."""
        self.receivers.sort(key=lambda receiver: names.index(receiver.account.name))

    async def stop(self) -> None:
        """Let nobody new in, and take in what has arrived."""
        listeners = [listener for _, listener in self.listeners]
        await self._all([listener.stop_listening() for listener in listeners])
        # What has arrived may wait for earlier lines to be committed, which goes on meanwhile.
        await self._all([listener.drain() for listener in listeners])

    async def _all(self, steps: Sequence[Awaitable[None]]) -> None:
        """Take several steps at a time; the others go on if one fails."""

        async def take(step: Awaitable[None]) -> None:
            try:
                await step
            except Exception:
                self.log.failure("a step of the stop failed")

        await gatherResults([Deferred.fromCoroutine(take(step)) for step in steps])

    # -- their books

    def account(self, name: str) -> Account | None:
        """The books of whoever has or had that name."""
        return {**self._former, **{each.account.name: each.account for each in self.receivers}}.get(name)

    @property
    def accounts(self) -> list[Account]:
        """The books of all who take lines in."""
        found = [receiver.account for receiver in self.receivers]
        return found if self._api is None else [*found, self._api[1]]

    @property
    def former_accounts(self) -> list[Account]:
        """The books of those who are gone."""
        return [*self._former.values()]
