"""How batches are written: over several connections, and committed in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Final

import psycopg2
from attrs import define, field, frozen
from twisted.internet.defer import Deferred

from ccstore.batch import Batch, by_kind
from ccstore.interfaces import CommitUnknown, StoreError, StoreUnavailable
from ccstore.storage.postgres.arrays import numbers, optional_texts, quoted, texts
from ccstore.storage.postgres.blocks import OpenBlocks
from ccstore.storage.postgres.connections import Connections, Link
from ccstore.storage.postgres.driver_errors import translate
from ccstore.storage.postgres.partitions import BLOCK_BITS
from ccstore.storage.postgres.streams import Streams
from ccstore.storage.postgres.views import Views

_KIND: Final = attrgetter("kind")
_OTHERTAGS: Final = attrgetter("othertags")
_READ_ONLY: Final = "25006"
_UNIQUE_VIOLATION: Final = "23505"


@define(eq=False)
class _Turn:
    """A batch's place in the order: others wait until it has its ids, and until it has ended."""

    has_ids: Deferred[None] = field(factory=Deferred)
    ended: Deferred[bool] = field(factory=Deferred)  # whether it is committed
    is_over: bool = False

    def end(self, is_committed: bool) -> None:
        self.is_over = True
        if not self.has_ids.called:
            self.has_ids.callback(None)
        self.ended.callback(is_committed)


@frozen
class _InDoubt:
    """A batch whose commit was sent and not heard of.

    :ivar marker: by which it is found out whether it is there.
    :ivar block: of its ids; ``lasts`` are the last of them, by kind.
    """

    messages: Batch
    marker: int
    block: int
    lasts: Mapping[str, int]


class Writer:
    """Writes batches.

    :param instance: tells this daemon's batches from those of others.
    :param now: the time in nanoseconds since the epoch.
    :ivar open: the blocks of ids of the batches that are being written.
    """

    def __init__(
        self, connections: Connections, streams: Streams, views: Views, instance: str, now: Callable[[], int]
    ) -> None:
        self._connections = connections
        self._streams = streams
        self._views = views
        self._instance = instance
        self._now = now
        self._last = _Turn()
        self._last.end(True)
        self._unsettled: list[_InDoubt] = []
        self.open = OpenBlocks()
        self._highest = 0
        self.writes = 0
        self.settled = 0

    async def write(
        self, messages: Batch, batch_id: int | None = None, position: tuple[str, str, int] | None = None
    ) -> Mapping[str, int]:
        """See :meth:`IBackend.write`.

        :param position: how far another store has been copied with this, see :meth:`ICopyTarget.copy_in`.
        """
        before, turn = self._last, _Turn()
        self._last = turn
        is_committed = False
        try:
            lasts = await self._write(messages, batch_id, position, None if before.is_over else before, turn)
            is_committed = True
            self.writes += len(messages)
        except Exception as error:
            translated = translate(error, self._connections.where)
            if isinstance(translated, StoreError) and not isinstance(translated, StoreUnavailable):
                self._is_settled(messages, batch_id)  # it could be begun, so it was not there
            if isinstance(error, psycopg2.Error) and error.pgcode == _READ_ONLY:
                # It became a standby: the next connections look for another one.
                self._connections.forget_idle()
            if translated is error:
                raise
            raise translated from error
        finally:
            turn.end(is_committed)
        return lasts

    async def _write(
        self,
        messages: Batch,
        batch_id: int | None,
        position: tuple[str, str, int] | None,
        before: _Turn | None,
        turn: _Turn,
    ) -> Mapping[str, int]:
        known = None
        if batch_id is None:
            known = next((doubt.block for doubt in self._unsettled if doubt.messages is messages), None)
        parts = [*by_kind(messages)]
        _check_clusters(parts)
        async with self._connections.connection() as link:
            insertions = [
                _insertion(kind, part, await self._find_streams(link, kind, part)) for kind, part in parts
            ]
            if before is not None:
                await before.has_ids
            number = known
            if number is None:
                with self.open.taking():
                    ((number,),) = await link.execute("SELECT nextval('ccstore_block')")
            self.open.numbers.add(number)
            turn.has_ids.callback(None)
            self._highest = max(self._highest, number)
            marker = number if batch_id is None else batch_id
            try:
                is_there = not await self._begin(link, marker)
                if not is_there:
                    await _insert(link, insertions, number << BLOCK_BITS, position)
                lasts = _lasts(parts, number << BLOCK_BITS)
                if not is_there and before is not None and not await before.ended:
                    raise StoreUnavailable("the batch before it could not be written")
                if is_there:
                    lasts = self._lasts_of(messages, marker)
                if is_there or not parts:
                    await link.execute("ROLLBACK")
                else:
                    await self._commit(link, _InDoubt(messages, marker, number, lasts))
            except BaseException:
                await _roll_back(link)
                raise
            finally:
                self.open.numbers.discard(number)
            self.settled += is_there
            self._is_settled(messages, batch_id)
        return lasts

    async def _find_streams(self, link: Link, kind: str, messages: Batch) -> list[int]:
        now = self._now()
        streams = self._streams.known(messages.series, now)
        if streams is None:
            streams = await self._streams.learn(link, messages.series, now)
            clusters = {(str(series.cluster), kind) for series in {*messages.series}}
            if not self._views.are_there(clusters):
                await self._views.make(link, clusters)
        return streams

    async def _begin(self, link: Link, number: int) -> bool:
        """Begin the transaction of a batch; False if that batch is there already.

        If an earlier attempt is still on its way to be committed, the server lets this wait for how it ends.
        """
        try:
            await link.execute(
                "BEGIN; INSERT INTO ccstore_batch (id, instance) VALUES (%s, %s)", number, self._instance
            )
        except psycopg2.Error as error:
            if error.pgcode == _UNIQUE_VIOLATION:
                return False
            raise
        return True

    async def _commit(self, link: Link, doubt: _InDoubt) -> None:
        try:
            await link.execute("COMMIT")
        except Exception as error:
            # It may have been carried out or not. The same batch, offered again, will tell.
            self._is_settled(doubt.messages, doubt.marker)  # the attempt before it is
            self._unsettled.append(doubt)
            self.open.unsettled = self._unsettled_blocks()
            raise CommitUnknown(str(translate(error, self._connections.where)), doubt.marker) from error

    def _lasts_of(self, messages: Batch, marker: int) -> Mapping[str, int]:
        """The ids of what is there already, unless it came there by another process."""
        for doubt in self._unsettled:
            if doubt.marker == marker and len(doubt.messages) == len(messages):
                return doubt.lasts
        return {}

    def _is_settled(self, messages: Batch, marker: int | None) -> None:
        self._unsettled = [
            doubt for doubt in self._unsettled if doubt.messages is not messages and doubt.marker != marker
        ]
        self.open.unsettled = self._unsettled_blocks()

    def _unsettled_blocks(self) -> set[int]:
        """Those of their ids, and those by which they are found; markers below zero are no blocks."""
        doubts = self._unsettled
        return {doubt.block for doubt in doubts} | {doubt.marker for doubt in doubts if doubt.marker >= 0}

    async def tidy(self, link: Link) -> None:
        """Delete what tells of this daemon's batches that nobody will ask for, and of daemons long gone.

        Ids below zero are not this daemon's own: they are asked for again after a crash of it.
        """
        await link.execute(
            "DELETE FROM ccstore_batch WHERE (instance = %s AND id BETWEEN 0 AND %s - 1) "
            "OR written_at < now() - interval '7 days'",
            self._instance,
            min(self.open.all, default=self._highest),
        )


def _check_clusters(parts: list[tuple[str, Batch]]) -> None:
    """Before the database is asked: it would refuse the same."""
    for _, part in parts:
        if None in [series.cluster for series in {*part.series}]:
            raise StoreError("a message has no cluster")


async def _insert(
    link: Link, insertions: list[tuple[str, str, int]], first: int, position: tuple[str, str, int] | None
) -> None:
    """Insert messages with ids from the first on, and how far another store has been copied with them."""
    for head, tail, count in insertions:
        await link.execute(f"{head}{first}{tail}")
        first += count
    if position is not None:
        await link.execute(
            "INSERT INTO ccstore_copied VALUES (%s, %s, %s) "
            "ON CONFLICT (source, kind) DO UPDATE SET last = excluded.last",
            *position,
        )


def _lasts(parts: Sequence[tuple[str, Batch]], first: int) -> Mapping[str, int]:
    """The last id of each part, if they have the ids from the first on."""
    lasts = {}
    for kind, part in parts:
        first += len(part)
        lasts[kind] = first - 1
    return lasts


async def _roll_back(link: Link) -> None:
    """Leave the transaction; a connection that cannot is given up by whoever lent it."""
    try:
        await link.execute("ROLLBACK")
    except Exception:
        link.close()


def _insertion(kind: str, messages: Batch, streams: list[int]) -> tuple[str, str, int]:
    """A statement that inserts these messages, as it is before and behind the first id, and their count."""
    columns = {
        "stream": ("bigint", numbers(streams)),
        "time": ("bigint", numbers(messages.times)),
        "text": ("text", texts(messages.texts)),
    }
    othertags = [*map(_OTHERTAGS, messages.series)]
    if any(othertags):
        columns["othertags"] = ("text", optional_texts(othertags))
    names = ", ".join(columns)
    arrays = ", ".join(f"{quoted(array)}::{type_}[]" for type_, array in columns.values())
    # In the order of the index, which is cheaper to write and brings what is asked for together.
    return (
        f"INSERT INTO ccstore_{kind} (id, {names}) SELECT ",
        f" + place - 1, {names} "
        f"FROM unnest({arrays}) WITH ORDINALITY AS given ({names}, place) ORDER BY stream, time, place",
        len(messages),
    )
