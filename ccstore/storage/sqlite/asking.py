"""A query that can be given up while a connection is busy with it, in another thread."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final

from twisted.internet.defer import CancelledError

from ccstore.interfaces import QueryTimeout

# How often SQLite asks whether to go on. Each time it has to wait for the interpreter lock.
_PROGRESS_STEPS: Final = 500_000
_TOO_LONG: Final = "the query took too long"


class Asking:
    """A query, from when it is asked until it is answered.

    :param timeout: seconds that it may take from now.
    """

    def __init__(self, timeout: float) -> None:
        self._deadline = time.monotonic() + timeout
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._is_given_up = False

    @contextmanager
    def on(self, connection: sqlite3.Connection) -> Iterator[None]:
        """``with`` the connection busy with it."""
        with self._lock:
            self._connection = connection
        connection.set_progress_handler(lambda: self._is_over, _PROGRESS_STEPS)
        try:
            yield
        finally:
            # From here on, an interruption would hit what somebody else asks.
            with self._lock:
                self._connection = None
            connection.set_progress_handler(None, 0)

    @property
    def _is_over(self) -> bool:
        return self._is_given_up or time.monotonic() > self._deadline

    def check(self) -> None:
        """Whether to go on.

        Raises :class:`CancelledError` if nobody waits for it any more, :class:`QueryTimeout` if it is late.
        """
        if self._is_given_up:
            raise CancelledError
        if time.monotonic() > self._deadline:
            raise QueryTimeout(_TOO_LONG)

    def give_up(self) -> None:
        """Nobody waits for it any more: end it, whatever it is doing. For any thread."""
        with self._lock:
            self._is_given_up = True
            if self._connection is not None:
                self._connection.interrupt()
