"""How batches are written: over several connections, and committed in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Final

import psycopg2
from attrs import define, field
from twisted.internet.defer import Deferred

from ccstore.batch import Batch, by_kind
from ccstore.interfaces import CommitUnknown, StoreError, StoreUnavailable
from ccstore.storage.postgres.arrays import numbers, optional_texts, quoted, texts
from ccstore.storage.postgres.connections import Connections, Link
from ccstore.storage.postgres.driver_errors import translate
from ccstore.storage.postgres.partition_names import BLOCK_BITS
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


class Writer:
    """Writes batches.

    :param instance: tells this daemon's batches from those of others.
    :param now: the time in nanoseconds since the epoch.
    :ivar open: the blocks of ids of the batches that are being written, each with the process of the server
        that has it.
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
        #: Batches whose commit was sent and not heard of, with what marks them.
        self._unsettled: list[tuple[Batch, int]] = []
        self.open: dict[int, int] = {}
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
            known = next((number for batch, number in self._unsettled if batch is messages), None)
        parts = [*by_kind(messages)]
        _check_clusters(parts)
        async with self._connections.connection() as link:
            insertions = [
                _insertion(kind, part, await self._find_streams(link, kind, part)) for kind, part in parts
            ]
            if before is not None:
                await before.has_ids
            number = None
            try:
                number = await self._begin(link, known if batch_id is None else batch_id)
                turn.has_ids.callback(None)
                if number is not None:
                    self.open[number] = link.process
                    self._highest = max(self._highest, number)
                    await _insert(link, insertions, number << BLOCK_BITS, position)
                    if before is not None and not await before.ended:
                        raise StoreUnavailable("the batch before it could not be written")
                if number is None or not parts:
                    await link.execute("ROLLBACK")
                else:
                    marker = known if batch_id is None else batch_id
                    await self._commit(link, messages, number if marker is None else marker)
            except BaseException:
                await _roll_back(link)
                raise
            finally:
                if number is not None:
                    self.open.pop(number, None)
            self.settled += number is None
            self._is_settled(messages, batch_id)
        return {} if number is None else _lasts(parts, number << BLOCK_BITS)

    async def _find_streams(self, link: Link, kind: str, messages: Batch) -> list[int]:
        now = self._now()
        streams = self._streams.known(messages.series, now)
        if streams is None:
            streams = await self._streams.learn(link, messages.series, now)
            clusters = {(str(series.cluster), kind) for series in {*messages.series}}
            if not self._views.are_there(clusters):
                await self._views.make(link, clusters)
        return streams

    async def _begin(self, link: Link, marker: int | None) -> int | None:
        """Begin the transaction of a batch; the block of its ids, or None if that batch is there already.

        The block is drawn once this has the table of batches locked, see :mod:`.horizon`, and is another one
        for each attempt, so that none is committed late. If an earlier attempt is still on its way to be
        committed, the server lets this wait for how it ends.

        :param marker: what tells the batch from others; if None, that is its block.
        """
        try:
            if marker is None:
                ((block,),) = await link.execute(
                    "BEGIN; INSERT INTO ccstore_batch (id, instance) "
                    "VALUES (nextval('ccstore_block'), %s) RETURNING id",
                    self._instance,
                )
            else:
                ((block,),) = await link.execute(
                    "BEGIN; INSERT INTO ccstore_batch (id, instance) VALUES (%s, %s) "
                    "RETURNING nextval('ccstore_block')",
                    marker,
                    self._instance,
                )
        except psycopg2.Error as error:
            if error.pgcode == _UNIQUE_VIOLATION:
                return None
            raise
        return int(block)

    async def _commit(self, link: Link, messages: Batch, number: int) -> None:
        try:
            await link.execute("COMMIT")
        except Exception as error:
            # It may have been carried out or not. The same batch, offered again, will tell.
            if not any(batch is messages for batch, _ in self._unsettled):
                self._unsettled.append((messages, number))
            raise CommitUnknown(str(translate(error, self._connections.where)), number) from error

    def _is_settled(self, messages: Batch, batch_id: int | None) -> None:
        self._unsettled = [
            entry for entry in self._unsettled if entry[0] is not messages and entry[1] != batch_id
        ]

    async def tidy(self, link: Link) -> None:
        """Delete what tells of this daemon's batches that nobody will ask for, and of daemons long gone.

        Ids below zero are not this daemon's own: they are asked for again after a crash of it.
        """
        await link.execute(
            "DELETE FROM ccstore_batch WHERE (instance = %s AND id BETWEEN 0 AND %s - 1) "
            "OR written_at < now() - interval '7 days'",
            self._instance,
            min(
                [*self.open, *[number for _, number in self._unsettled if number >= 0]], default=self._highest
            ),
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
