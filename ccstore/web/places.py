"""How many may do something that takes long at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ccstore.config import ApiConfig

from .answers import later
from .streaming import Outgoing


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


class AnswerBounds:
    """What the answers of a port may take together, whichever interface they belong to.

    :ivar outgoing: memory for large ones.
    :ivar exports: places for answers of any length.
    :ivar tails: places for those who follow what is stored.
    """

    def __init__(self, config: ApiConfig) -> None:
        self.outgoing = Outgoing()
        self.exports = Places(config.max_exports, "exports")
        self.tails = Places(config.max_tails, "tails")

    def reconfigure(self, config: ApiConfig) -> None:
        """Go on with another configuration."""
        self.exports.most = config.max_exports
        self.tails.most = config.max_tails
