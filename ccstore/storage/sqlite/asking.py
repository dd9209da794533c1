"""A query that can be given up while a connection is busy with it, in another thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final, Protocol

from twisted.internet.defer import CancelledError

from ccstore.interfaces import QueryTimeout

# How often SQLite asks whether to go on. Each time it has to wait for the interpreter lock.
_PROGRESS_STEPS: Final = 500_000
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
    :param is_unwanted: tells as well, whenever it is asked, whether nobody waits for it any more.
    :param steps: of SQLite, after which it is asked whether to go on.
    """

    def __init__(
        self,
        timeout: float,
        is_unwanted: Callable[[], bool] = lambda: False,
        *,
        steps: int | None = None,
    ) -> None:
        self._deadline = time.monotonic() + timeout
        self._is_unwanted = is_unwanted
        self._steps = _PROGRESS_STEPS if steps is None else steps
        self._lock = Lock()
        self._connection: Busy | None = None
        self._is_given_up = False

    @contextmanager
    def on(self, connection: Busy) -> Iterator[None]:
        """``with`` the connection busy with it."""
        with self._lock:
            self._connection = connection
        connection.set_progress_handler(lambda: self._is_over, self._steps)
        try:
            yield
        finally:
            # From here on, an interruption would hit what somebody else asks.
            with self._lock:
                self._connection = None
            connection.set_progress_handler(None, 0)

    @property
    def _is_over(self) -> bool:
        return self._has_been_left() or time.monotonic() > self._deadline

    def _has_been_left(self) -> bool:
        if not self._is_given_up and self._is_unwanted():
            self._is_given_up = True
        return self._is_given_up

    @property
    def seconds(self) -> float:
        """That are left."""
        return self._deadline - time.monotonic()

    def check(self) -> None:
        """Whether to go on.

        Raises :class:`CancelledError` if nobody waits for it any more, :class:`QueryTimeout` if it is late.
        """
        if self._has_been_left():
            raise CancelledError
        if time.monotonic() > self._deadline:
            raise QueryTimeout(_TOO_LONG)

    def give_up(self) -> None:
        """Nobody waits for it any more: end it, whatever it is doing. For any thread."""
        with self._lock:
            self._is_given_up = True
            if self._connection is not None:
                self._connection.interrupt()
