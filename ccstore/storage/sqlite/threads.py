"""Threads for work that blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

_Result = TypeVar("_Result")


class Threads(Protocol):
    """A few threads; what is to be done waits until one of them is free."""

    def run(self, work: Callable[..., _Result], *arguments: Any) -> Deferred[_Result]:
        """Do something in one of them."""

    def stop(self) -> None:
        """End them, after what was begun; blocks."""


class ReactorThreads(Threads):
    """See :class:`Threads`. They begin and end with the reactor, unless they are stopped before.

    :param most: of them.
    :param name: that they have in a debugger.
    """

    def __init__(self, reactor: Any, most: int, name: str) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(1, most, name)
        self._ending: Any = None
        self._is_stopped = False
        self._beginning = reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        self._beginning = None
        self._pool.start()
        self._ending = self._reactor.addSystemEventTrigger("during", "shutdown", self._end)

    def _end(self) -> None:
        self._ending = None
        self.stop()

    def run(self, work: Callable[..., _Result], *arguments: Any) -> Deferred[_Result]:
        running: Deferred[_Result] = deferToThreadPool(self._reactor, self._pool, work, *arguments)
        return running

    def stop(self) -> None:
        for trigger in (self._beginning, self._ending):
            if trigger is not None:
                self._reactor.removeSystemEventTrigger(trigger)
        self._beginning = self._ending = None
        if not self._is_stopped:
            self._is_stopped = True
            self._pool.stop()
