"""What is said of what cannot be read."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from ccstore.instants import show_moment
from ccstore.storage.blocks.vocabulary import MOST_BLOCKS


@frozen
class DamagedBlock:
    """A block of which the rows cannot be read, and why.

    :ivar first: the time of its oldest message, in nanoseconds; ``last`` is that of its newest.
    """

    segment: int
    number: int
    kind: str
    rows: int
    first: int
    last: int
    why: str

    def __str__(self) -> str:
        span = f"from {show_moment(self.first)} to {show_moment(self.last)}"
        return (
            f"block {self.number} of segment {self.segment} is damaged ({self.why}): "
            f"{self.rows} {self.kind}s {span} cannot be read"
        )


def words_are_damaged(segment: str, part: int, error: Exception) -> str:
    """What is said of an index of words.

    :param segment: in words.
    :param part: of its blocks, of which each has so many as share a vocabulary.
    """
    blocks = f"{part * MOST_BLOCKS} to {(part + 1) * MOST_BLOCKS - 1}"
    return (
        f"the index of words of {segment} is damaged for blocks {blocks} ({error}): "
        "their messages are whole, but a search for a text may fail"
    )


#: Is told of what is damaged; the rest is read.
Tell = Callable[[DamagedBlock], None]
