"""Work that ends when nobody waits for it any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

_T = TypeVar("_T")


def cancellable(work: Deferred[_T], give_up: Callable[[], None]) -> Deferred[_T]:
    """The result of some work. Whoever cancels it is done with it at once, and ``give_up`` ends the work."""
    result: Deferred[_T] = Deferred(lambda _: give_up())

    def done(outcome: _T | Failure) -> None:
        if not result.called:
            result.callback(outcome)

    work.addBoth(done)
    return result
