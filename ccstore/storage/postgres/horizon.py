"""How far messages have come in, whoever writes them.

Each batch draws a block of ids. It does so in the transaction that inserts it, once that has the table of
batches locked for writing: so whoever has drawn a block and may still commit it is seen in ``pg_locks``.
PostgreSQL gives a lock back only when what was committed can be seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Final, NamedTuple

from attrs import frozen

from ccstore.query import Arrival
from ccstore.storage.postgres.partition_names import BLOCK_BITS
from ccstore.storage.reading.dialect import Dialect, Question
from ccstore.storage.reading.statement import Reading, Statement

_LAST: Final = Statement(
    "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END AS last FROM ccstore_block",
    (),
    ("last",),
)
_WRITING: Final = Statement(
    "SELECT virtualtransaction, pid FROM pg_locks WHERE locktype = 'relation' AND granted"
    " AND relation = 'ccstore_batch'::regclass AND mode = 'RowExclusiveLock'"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    (),
    ("virtualtransaction", "pid"),
)
#: To wait for those who write, of whom none may be slow, but not for one that is stuck.
_PAUSE: Final = Statement("SELECT pg_sleep(0.02)::text AS nothing", (), ("nothing",))
_MOST_PAUSES: Final = 25


def writing() -> Reading[Set[Writing]]:
    """The transactions that may still commit a block which they have drawn."""
    found = yield _WRITING
    return {Writing(*row) for row in found}


class Writing(NamedTuple):
    """A transaction that writes, and the process of the server that has it."""

    transaction: str
    process: int


class Look(NamedTuple):
    """What has been drawn at a moment.

    :ivar last: the last block.
    :ivar writing: transactions; when all of them have ended, no block up to the last will be committed.
    """

    last: int
    writing: Set[Writing]


def look() -> Reading[Look]:
    """Look at what has been drawn."""
    # In this order: whoever begins in between draws a later block.
    ((last,),) = yield _LAST
    return Look(last, (yield from writing()))


@frozen
class LookQuestion(Question[Look]):
    """A question: what has been drawn."""

    def reading(self, dialect: Dialect) -> Reading[Look]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        return look()


@frozen
class WritingQuestion(Question[Set[Writing]]):
    """A question: who is writing."""

    def reading(self, dialect: Dialect) -> Reading[Set[Writing]]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        return writing()


def end_of(block: int) -> Arrival:
    """How far the store has been followed with a block, and all before it."""
    last = ((block + 1) << BLOCK_BITS) - 1
    return Arrival(last, last)


class Horizon:
    """How far followers have been told of what came in.

    :param own: the blocks of this daemon that are being written, and the process of the server for each.
    :ivar block: all up to this one has been told, or is of no interest to anybody; None while nobody
        follows.
    :ivar told: the same as ids; in the midst of a block it is farther.
    """

    def __init__(self, own: Mapping[int, int]) -> None:
        self._own = own
        self.block: int | None = None
        self.told = Arrival(0, 0)

    def advance(self, block: int) -> None:
        """All up to this block has been told."""
        self.block = block
        self.told = self.told.upto(end_of(block))

    def last_arrival(self) -> Reading[Arrival]:
        """How far messages have come in: what is there up to that can be seen, and the rest will be told."""
        seen = yield from look()
        last, left = self._others(seen.last, seen.writing)
        pauses = 0
        while left and (pauses < _MOST_PAUSES or self.block is None):
            yield _PAUSE
            last, left = self._others(last, left & (yield from writing()))
            pauses += 1
        if self.block is None:
            self.advance(last)
        # Somebody is stuck: what others write meanwhile will be told when that has ended.
        return self.told if left else self.told.upto(end_of(last))

    def _others(self, last: int, left: Set[Writing]) -> tuple[int, Set[Writing]]:
        """The last block before those that this daemon is writing, and whoever else is: it is waited for.

        This daemon's own may wait for a lock as long as they like, since it is known which ones they are.
        """
        processes = {*self._own.values()}
        return min([last, *[block - 1 for block in self._own]]), {
            each for each in left if each.process not in processes
        }
