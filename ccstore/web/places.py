"""How many may do something that takes long at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .answers import later


class Places:
    """So many places, for whoever takes long.

    :ivar most: how many.
    :param what: what they are for, as people are told.
    """

    def __init__(self, most: int, what: str) -> None:
        self.most = most
        self._what = what
        self.taken = 0

    @contextmanager
    def take(self) -> Iterator[None]:
        """``with`` a place; raises :class:`WebError` 503 if there is none."""
        if self.taken >= self.most:
            raise later(f"there are {self.most} {self._what} already, come again later")
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
