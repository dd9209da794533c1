"""A query that can be given up while the server is busy with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from ccstore.storage.postgres.connections import Link


class Asking:
    """A query, from when it is asked until it is answered."""

    log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._link: Link | None = None
        self._ending: Deferred[None] = succeed(None)
        self.is_given_up = False

    @contextmanager
    def on(self, link: Link) -> Iterator[None]:
        """``with`` the connection busy with it."""
        self.check()
        self._link = link
        try:
            yield
        finally:
            self._link = None

    def check(self) -> None:
        """Raises :class:`CancelledError` if nobody waits for it any more."""
        if self.is_given_up:
            raise CancelledError

    def give_up(self) -> None:
        """Nobody waits for it any more: tell the server to end it."""
        self.is_given_up = True
        if self._link is not None:
            # libpq makes another connection for that, and waits.
            self._ending = deferToThreadPool(
                self._reactor, self._reactor.getThreadPool(), self._link.pollable().cancel
            ).addErrback(lambda failure: self.log.info("cannot cancel a query: {why}", why=failure.value))

    async def end(self, link: Link) -> None:
        """Be done with the connection of a query that was given up.

        Nobody else gets it: what the server was told may come to it late, and would end their query.
        """
        await self._ending
        link.close()
