"""Blocks of ids that this daemon is writing into: whoever follows what comes in must not pass them by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class OpenBlocks:
    """The blocks of batches that are being written.

    :ivar numbers: of them.
    :ivar unsettled: of those of which it is not known whether they were committed.
    """

    def __init__(self) -> None:
        self.numbers: set[int] = set()
        self.unsettled: set[int] = set()
        self._taking = 0

    @contextmanager
    def taking(self) -> Iterator[None]:
        """``with`` the database asked for the number of another one."""
        self._taking += 1
        try:
            yield
        finally:
            self._taking -= 1

    @property
    def is_one_taken(self) -> bool:
        """Whether the database may have given away one whose number is not known here yet."""
        return self._taking > 0

    @property
    def all(self) -> set[int]:
        """All that may still come to be seen."""
        return self.numbers | self.unsettled
