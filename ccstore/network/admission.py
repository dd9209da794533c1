"""The door to a port: where there is more to do than there is time for, newcomers are let in one by one."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IListeningPort, IReactorTime

#: Seconds between two who are let in although there are too many already. Those may stay for ever.
_INTERVAL: Final = 0.02


class Door:
    """A port. When it is closed, the system keeps a thousand newcomers waiting."""

    def __init__(self, clock: IReactorTime, port: IListeningPort) -> None:
        self._clock = clock
        self._port: Any = port
        self._next: IDelayedCall | None = None

    def close(self) -> None:
        """Let nobody in for now, but one now and then."""
        if not hasattr(self._port, "pauseProducing"):
            return  # a plugin of Twisted may open ports of any kind
        if self._next is None:
            self._next = self._clock.callLater(_INTERVAL, self._let_one_in)
            self._port.pauseProducing()

    def somebody_came(self) -> None:
        """That was one; if the door is closed, the next one waits again."""
        if self._next is not None:
            self._port.pauseProducing()

    def open(self) -> None:
        """Let everybody in."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
            self._port.resumeProducing()

    def _let_one_in(self) -> None:
        self._next = self._clock.callLater(_INTERVAL, self._let_one_in)
        # Twisted takes as many in one go as came lately.
        self._port.numberAccepts = 1
        self._port.resumeProducing()

    def remove(self) -> None:
        """The port is about to be closed for good."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
