"""The way of a source into the store."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import cast

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from ccstore.accounting.account import Origin
from ccstore.batch import Batch
from ccstore.config import StorageConfig
from ccstore.importing.position import Books, Position, Positions
from ccstore.importing.source import Bad, Piece, Source
from ccstore.interfaces import IMessageStore, Refusal
from ccstore.pipeline.router import Router
from ccstore.storage.sqlite.bulk import BulkWriter


@frozen
class Outcome:
    """What became of a source.

    :ivar books: over all times it was given.
    :ivar earlier: how many of its rows or lines were read before this time.
    :ivar finished_at: when an earlier time came to its end, if that is so and nothing was new.
    """

    books: Books
    earlier: int
    finished_at: str | None


class _Clock:
    """The time, which is all that the router asks of a reactor."""

    @staticmethod
    def seconds() -> float:
        return time.time()


class _Basket:
    """Takes what the router would have stored, until it is asked for."""

    def __init__(self) -> None:
        self._messages = Batch()

    def accept(self, messages: Batch, *, urgent: bool) -> Deferred[Sequence[Refusal]]:
        self._messages.extend(messages)
        return succeed(())

    def take(self) -> Batch:
        taken, self._messages = self._messages, Batch()
        return taken


class Importer:
    """Takes in sources, one after the other.

    The router decides what is kept, as it does for receivers: events that have expired are not.

    :param cluster: of lines that do not name one.
    :param progress: called with the fraction of the source, if known, and the rows or lines read this time.
    :param complain: called with what was not taken.
    """

    def __init__(
        self,
        target: BulkWriter,
        *,
        config: StorageConfig,
        cluster: str | None,
        progress: Callable[[float | None, int], None],
        complain: Callable[[Source, Bad], None],
    ) -> None:
        self._target = target
        with target.errors():
            self._positions = Positions(target.connection)
        self._basket = _Basket()
        self._router = Router(
            cast(IMessageStore, self._basket),
            cast(IReactorTime, _Clock()),
            retention=config.retention_time,
            store_logs=config.store_logs,
            store_heartbeats=config.store_heartbeats,
        )
        self._cluster = cluster
        self._progress = progress
        self._complain = complain

    def run(self, source: Source) -> Outcome:
        """Take in all of a source that is not in the store yet."""
        begun = self._find(source)
        books = Books("import", "import") if begun is None else begun.books
        number = None if begun is None else begun.id
        earlier = books.received
        for piece in source.pieces(None if begun is None else begun.mark):
            number = self._take(source, piece, books, number)
            self._progress(piece.fraction, books.received - earlier)
        finished_at = None
        if begun is not None and begun.is_complete and books.received == earlier:
            finished_at = begun.updated_at
        elif number is not None:
            with self._target.errors():
                self._positions.complete(number)
        return Outcome(books, earlier, finished_at)

    def _find(self, source: Source) -> Position | None:
        """How far it was taken already, if at all."""
        if source.key is None:
            return None
        with self._target.errors():
            known = {position.mark: position for position in self._positions.known(source.key)}
        mark = source.find([*known])
        return None if mark is None else known[mark]

    def _take(self, source: Source, piece: Piece, books: Books, number: int | None) -> int | None:
        """Store a piece and the place behind it; returns the number of that position."""
        books.undated += piece.undated
        complaints = [*piece.bad]
        if piece.bad:
            books.reject("malformed", len(piece.bad))
        refusals: list[Refusal] = []
        routed = self._router.accept(piece.messages, Origin(books, source.name, self._cluster), urgent=True)
        routed.addCallback(refusals.extend)
        if refusals:
            numbers = piece.numbers([refusal.index for refusal in refusals])
            complaints += [
                Bad(place, refusal.reason, piece.messages[refusal.index].name[:200])
                for place, refusal in zip(numbers, refusals, strict=True)
            ]

        def note(connection: sqlite3.Connection) -> None:
            nonlocal number
            if source.key is not None:
                number = Positions.note(connection, number, source.name, source.key, piece.mark, books)

        self._target.write(self._basket.take(), note)
        for bad in sorted(complaints, key=lambda each: each.number):
            self._complain(source, bad)
        return number
