"""What an import reads: pieces of messages, each with the position behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from attrs import frozen

from ccstore.batch import Batch


class SourceError(Exception):
    """A source cannot be read, or no further; the text says why, in a line."""


@frozen
class Sizes:
    """How much of a source is read in one go, and may be held.

    :ivar rows: of a table, at which a piece ends.
    :ivar text: characters of the rows' texts, at which a piece ends.
    :ivar fetched: rows that SQLite is asked for at a time.
    :ivar block: bytes of a file that are read, and decoded, in one go.
    :ivar longest: bytes a line may have: else one quote that is missing would bring the rest of the file into
        memory.
    """

    rows: int = 8192
    text: int = 16 * 1024 * 1024
    fetched: int = 256
    block: int = 1 << 20
    longest: int = 16 * 1024 * 1024


#: Those of the command.
USUAL: Final = Sizes()


@frozen
class Mark:
    """A place in a source.

    :ivar position: the id of a row, or a number of bytes.
    :ivar digest: of what is there, so that the place is found only in a source that is the same up to it.
    """

    position: int
    digest: str


@frozen
class Bad:
    """What was not taken: the number of a line or the id of a row, why, and how it begins."""

    number: int
    reason: str
    text: str = ""


@frozen
class Piece:
    """Some messages of a source.

    :ivar bad: what is none.
    :ivar mark: the place behind all of these.
    :ivar fraction: how much of the source that is, if it is known.
    :ivar numbers: gives for places in ``messages``, in their order, the numbers of their lines or rows.
    :ivar undated: how many messages had no time, and were given one.
    """

    messages: Batch
    bad: Sequence[Bad]
    mark: Mark
    fraction: float | None
    numbers: Callable[[Sequence[int]], Sequence[int]]
    undated: int = 0


class Source(Protocol):
    """A table or a file from which messages are taken."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def key(self) -> str | None:
        """Sources with different ones are never the same; None if there is no way back to a place in it."""
        ...

    @property
    def unit(self) -> str:
        """What is counted, in the singular."""
        ...

    def find(self, marks: Sequence[Mark]) -> Mark | None:
        """The last of the places that are in this source, or None."""
        ...

    def pieces(self, after: Mark | None) -> Iterator[Piece]:
        """All that follows a place; raises :class:`SourceError`."""
        ...
