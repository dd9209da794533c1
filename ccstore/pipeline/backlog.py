"""What a receiver has handed over and is not committed yet: when it is too much, no more is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from ccstore.pipeline.intake import Intake


class Backlog:
    """Counts what waits.

    :param max_waiting: messages that may wait to be stored.
    :param max_waiting_size: the same in bytes.
    :param changed: called when ``is_paused`` has changed.
    :ivar is_paused: too much waits, nothing more is to be read.
    :ivar pauses: how often that came to be.
    """

    def __init__(
        self, intake: Intake, *, max_waiting: int, max_waiting_size: int, changed: Callable[[], None]
    ) -> None:
        self._intake = intake
        self._max_waiting = max_waiting
        self._max_waiting_size = max_waiting_size
        self._changed = changed
        self._size = 0
        self._batches = 0
        self._empty: list[Deferred[None]] = []
        self.is_paused = False
        self.pauses = 0

    def limit(self, max_waiting: int, max_waiting_size: int) -> None:
        """Other limits from now on; whoever is paused stays so until something is committed."""
        self._max_waiting = max_waiting
        self._max_waiting_size = max_waiting_size

    def wait_for(self, committed: Deferred[Sequence[Any]], size: int) -> None:
        """Count what has been handed over, ``size`` bytes, until it is committed or lost."""
        self._size += size
        self._batches += 1
        committed.addErrback(self._not_stored)
        committed.addCallback(self._relieve, size)
        committed.addErrback(lambda failure: self._intake.log.failure("counting what waits", failure))
        if not self.is_paused and self._has_too_much(1):
            self.is_paused = True
            self.pauses += 1
            self._changed()
            self._intake.flush()

    def when_empty(self) -> Deferred[None]:
        """Fires when nothing waits any more."""
        if not self._batches:
            return succeed(None)
        empty: Deferred[None] = Deferred(lambda cancelled: self._empty.remove(cancelled))
        self._empty.append(empty)
        return empty

    def _relieve(self, result: object, size: int) -> None:
        self._size -= size
        self._batches -= 1
        if self.is_paused and not self._has_too_much(2):
            self.is_paused = False
            self._changed()
        if not self._batches:
            empty, self._empty = self._empty, []
            for waiter in empty:
                waiter.callback(None)

    def _has_too_much(self, divisor: int) -> bool:
        return (
            self._intake.account.waiting > self._max_waiting // divisor
            or self._size > self._max_waiting_size // divisor
        )

    def _not_stored(self, failure: Failure) -> None:
        self._intake.warn(
            "lost", self._intake.account.name, f"messages could not be stored: {failure.getErrorMessage()}"
        )
