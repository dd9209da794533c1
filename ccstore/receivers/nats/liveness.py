"""Whether a NATS server is still there, and what it has done so far: both are asked by PING."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ccstore.receivers.nats import framing
from ccstore.receivers.nats.reasons import PATIENCE, NatsError

#: Seconds between two looks whether the server is still there.
PING_EVERY: Final = 20.0
#: Looks without any sign of life, after which it is not.
_SILENT_LOOKS: Final = 2


class Liveness:
    """The signs of life of one server.

    :param write: sends to it.
    :param give_up: ends the connection, for a reason in words.
    """

    def __init__(
        self, clock: IReactorTime, write: Callable[[bytes], None], give_up: Callable[[str], None]
    ) -> None:
        self._clock = clock
        self._write = write
        self._give_up = give_up
        self._pongs: deque[Deferred[None] | None] = deque()  # who waits for an answer to a PING, in order
        self._look: IDelayedCall | None = None
        self._silent = 0  # looks since the server was last heard of
        self._is_paused = False

    def expect_welcome(self) -> None:
        """The server has to let us in before long."""
        self._look = self._clock.callLater(PATIENCE, self._too_late)

    def watch(self) -> None:
        """It has let us in: look after it from now on."""
        self._stop_looking()
        self._look = self._clock.callLater(PING_EVERY, self._look_after)

    def heard(self) -> None:
        """Something has come."""
        self._silent = 0

    def set_paused(self, is_paused: bool) -> None:
        """Nothing is read for the time being, so that nothing can be heard; or it is again."""
        self._is_paused = is_paused
        self._silent = 0

    def ping(self) -> Deferred[None]:
        """Fires when all that was said before has been done; fails with :class:`NatsError`."""
        answered: Deferred[None] = Deferred()
        self._pongs.append(answered)
        self._write(framing.PING)
        return answered

    def pong(self) -> None:
        """The oldest PING is answered."""
        if self._pongs:
            waiter = self._pongs.popleft()
            if waiter is not None:
                waiter.callback(None)

    def end(self, why: str) -> None:
        """The connection is over."""
        self._stop_looking()
        pongs, self._pongs = self._pongs, deque()
        for waiter in pongs:
            if waiter is not None:
                waiter.errback(NatsError(why))

    def _stop_looking(self) -> None:
        if self._look is not None and self._look.active():
            self._look.cancel()

    def _too_late(self) -> None:
        self._give_up(f"the server has not let us in within {PATIENCE:g} s")

    def _look_after(self) -> None:
        self._look = self._clock.callLater(PING_EVERY, self._look_after)
        if self._is_paused:
            return
        self._silent += 1
        if self._silent > _SILENT_LOOKS:
            self._give_up(f"nothing was heard of the server for {PING_EVERY * _SILENT_LOOKS:g} s")
        else:
            self._pongs.append(None)
            self._write(framing.PING)
