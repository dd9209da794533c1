"""Holding messages, and releasing them, with a word in the log."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ccstore.interfaces import IBackend
from ccstore.keeping import Hold


class Holding:
    """Has a backend hold messages."""

    log = Logger()

    def __init__(self, backend: IBackend) -> None:
        self._backend = backend

    def hold(self, hold: Hold) -> Deferred[int]:
        """Keep messages until they are released, of those that have not expired; the id of the hold."""
        return Deferred.fromCoroutine(self._hold(hold))

    async def _hold(self, hold: Hold) -> int:
        number = await self._backend.hold(hold)
        self.log.info(
            "hold {number} begins: {match}; for {who}: {reason}",
            number=number,
            match=hold.match,
            who=hold.who,
            reason=hold.reason,
        )
        return int(number)

    def release(self, number: int, who: str) -> Deferred[bool]:
        """End a hold, by its id; False if there is none with this one.

        :param who: wants that.
        """
        return Deferred.fromCoroutine(self._release(number, who))

    async def _release(self, number: int, who: str) -> bool:
        is_gone = await self._backend.release(number)
        if is_gone:
            self.log.info("hold {number} is released, for {who}", number=number, who=who)
        return bool(is_gone)
