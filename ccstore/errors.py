"""What a store cannot do, and why."""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot do what was asked; the text says why, in a line."""

    #: What to look at in the configuration, if it is not the database.
    key: str | None = None


class StoreUnavailable(StoreError):
    """It cannot do so now, but may later: it is locked, full, gone, or too much is waiting already."""


class CommitUnknown(StoreUnavailable):
    """Whether a batch was committed is not known: the connection broke just then.

    The same batch object, offered again, is settled: found to be there, or written. So is what is offered
    with the batch's id, by another process if need be.
    """

    def __init__(self, reason: str, batch_id: int | None = None) -> None:
        super().__init__(reason)
        self.batch_id = batch_id


class QueryTimeout(StoreError):
    """A query took longer than it may."""
