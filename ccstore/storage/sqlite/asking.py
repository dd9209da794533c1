"""A query that can be given up while a connection is busy with it, in another thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final, Protocol

from twisted.internet.defer import CancelledError

from ccstore.interfaces import QueryTimeout
from ccstore.storage.sqlite.sizes import SIZES

_TOO_LONG: Final = "the query took too long"


class Busy(Protocol):
    """What is busy with a query: a connection, or somebody who has one."""

    def interrupt(self) -> None:
        """End it."""

    def set_progress_handler(self, handler: Callable[[], bool] | None, steps: int, /) -> None:
        """Ask now and then whether it is to be ended."""


class Asking:
    """A query, from when it is asked until it is answered.

    :param timeout: seconds that it may take from now.
    :param progress_steps: see :class:`ccstore.storage.sqlite.sizes.ReadingLimits`.
    :param clock: the present time in seconds; for any thread.
    """

    def __init__(
        self,
        timeout: float,
        *,
        progress_steps: int = SIZES.reading.progress_steps,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._progress_steps = progress_steps
        self._deadline = clock() + timeout
        self._lock = Lock()
        self._connection: Busy | None = None
        self._is_given_up = False

    @contextmanager
    def on(self, connection: Busy) -> Iterator[None]:
        """``with`` the connection busy with it."""
        with self._lock:
            self._connection = connection
        connection.set_progress_handler(lambda: self._is_over, self._progress_steps)
        try:
            yield
        finally:
            # From here on, an interruption would hit what somebody else asks.
            with self._lock:
                self._connection = None
            connection.set_progress_handler(None, 0)

    @property
    def _is_over(self) -> bool:
        return self._is_given_up or self._clock() > self._deadline

    def part(self) -> Asking:
        """A part of it, which has as much time and can be given up by itself."""
        return Asking(self.seconds, progress_steps=self._progress_steps, clock=self._clock)

    @property
    def seconds(self) -> float:
        """That are left."""
        return self._deadline - self._clock()

    def check(self) -> None:
        """Whether to go on.

        Raises :class:`CancelledError` if nobody waits for it any more, :class:`QueryTimeout` if it is late.
        """
        if self._is_given_up:
            raise CancelledError
        if self._clock() > self._deadline:
            raise QueryTimeout(_TOO_LONG)

    def give_up(self) -> None:
        """Nobody waits for it any more: end it, whatever it is doing. For any thread."""
        with self._lock:
            self._is_given_up = True
            if self._connection is not None:
                self._connection.interrupt()
