"""Telling followers of what comes in, whichever daemon writes it, in the order of the ids."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Final, TypeVar

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from ccstore.batch import Batch
from ccstore.interfaces import Followers, Published, StoreError
from ccstore.message import CLUSTER_TAG, COLUMN_TAGS, INT64_MIN, Series, StreamKey
from ccstore.query import Page, Selection
from ccstore.storage.postgres.horizon import Horizon, LookQuestion, WritingQuestion, end_of
from ccstore.storage.postgres.partition_names import BLOCK_BITS
from ccstore.storage.postgres.reader import Reader
from ccstore.storage.reading.arrived import Arrivals
from ccstore.storage.reading.dialect import Question
from ccstore.storage.reading.moment import Moment

_T = TypeVar("_T")
_EVERYTHING: Final = Selection()


@frozen
class Pace:
    """How often it is looked what came in, in seconds; and how much is held meanwhile.

    :ivar followed: between two looks while somebody follows, and ``idle`` while nobody does.
    :ivar writing: between two looks at whether those who write have ended.
    :ivar patience: that an answer may take.
    :ivar held: messages of this daemon that wait for those of others; more are read again.
    :ivar rows: that are read at a time.
    """

    followed: float = 0.2
    idle: float = 0.5
    writing: float = 0.05
    patience: float = 30.0
    held: int = 200_000
    rows: int = 5000


#: That of a daemon.
PACE: Final = Pace()


class Telling:
    """Tells followers of all that comes in.

    What this daemon writes is told from memory, as soon as all before it has been told. That of others is
    read, and so is what of its own it never heard of.

    :param reader: answers over a connection that nobody else has.
    :param open_blocks: those of which this daemon will hear whether they were committed.
    """

    log = Logger()

    def __init__(
        self, horizon: Horizon, reader: Reader, reactor: Any, open_blocks: Collection[int], pace: Pace = PACE
    ) -> None:
        self._horizon = horizon
        self._reader = reader
        self._reactor = reactor
        self._open_blocks = open_blocks
        self._pace = pace
        self._own = _Own(self._pace.held)
        self._series = _SeriesOfRows()
        self._followers: Followers | None = None
        self._is_reading = False
        #: Blocks up to here have been begun to be read: they are not told from memory.
        self._read_upto = 0
        self._running: Deferred[None] | None = None
        self._is_ended = False

    def begin(self, followers: Followers) -> Published:
        """Tell these from now on; gives what wants to know of what this daemon has committed."""
        self._followers = followers
        self._running = Deferred.fromCoroutine(self._run())
        return self._committed

    @property
    def is_followed(self) -> bool:
        """Whether there is anybody to be told."""
        return self._followers is not None and self._followers.followers > 0

    def end(self) -> None:
        """Tell no more; what is still asked ends with the connection."""
        running, self._running = self._running, None
        if running is not None:
            self._is_ended = True
            running.cancel()

    def _committed(self, messages: Batch, lasts: Mapping[str, int]) -> None:
        if lasts and self.is_followed:
            block = max(lasts.values()) >> BLOCK_BITS
            if block > max(self._read_upto, self._horizon.block or 0):
                self._own.add(block, messages, lasts)
                if not self._is_reading:
                    self._tell_own()

    def _tell_own(self) -> None:
        """Tell what has nothing before it that is not told."""
        horizon, followers = self._horizon, self._followers
        if horizon.block is None or followers is None:
            return
        while (found := self._own.take(horizon.block + 1)) is not None:
            # First, so that it is not told again, whatever becomes of it.
            horizon.advance(horizon.block + 1)
            followers.publish(*found)

    async def _run(self) -> None:
        is_well = True
        while not self._is_ended:
            try:
                await self._sleep(self._pace.followed if self.is_followed else self._pace.idle)
                if self.is_followed:
                    await self._look()
                else:
                    # The next one who follows begins with what there is then.
                    self._horizon.block = None
                    self._own.clear()
                is_well = True
            except CancelledError:
                pass  # it has ended
            except StoreError as error:
                if is_well and not self._is_ended:
                    self.log.info("cannot look what others have written: {error}", error=error)
                is_well = False
            except Exception:
                self.log.failure("cannot look what others have written")

    async def _look(self) -> None:
        last, left = await self._ask(LookQuestion())
        if self._horizon.block is not None and last <= self._horizon.block:
            return
        while left:
            await self._sleep(self._pace.writing)
            left &= await self._ask(WritingQuestion())
        # What this daemon is about to hear of need not be read.
        await self._tell_upto(min([last, *[block - 1 for block in self._open_blocks]]))

    async def _tell_upto(self, last: int) -> None:
        """Tell what is there up to a block, behind which nothing will come to be seen any more."""
        horizon, followers = self._horizon, self._followers
        assert followers is not None
        self._own.forget(horizon.block or 0)
        self._is_reading = True
        try:
            while horizon.block is not None and horizon.block < last and followers.followers:
                self._tell_own()
                if horizon.block < last:
                    await self._read(horizon.block, min(last, self._own.first(last + 1) - 1), followers)
        finally:
            self._is_reading = False
        if horizon.block is None or horizon.block < last:
            horizon.advance(last)  # nobody follows
        self._own.forget(horizon.block or 0)
        self._tell_own()

    async def _read(self, after: int, last: int, followers: Followers) -> None:
        self._read_upto = max(self._read_upto, last)
        horizon = self._horizon
        is_cut = True
        while is_cut:
            question = Arrivals(_EVERYTHING, horizon.told, end_of(last), Moment(INT64_MIN), self._pace.rows)
            page = await self._ask(question)
            for kind, messages, numbers in self._series.batches(page):
                horizon.told = horizon.told.after(kind, numbers[-1])
                followers.publish_read(kind, messages, numbers)
            is_cut = page.is_cut
        horizon.advance(last)

    def _ask(self, question: Question[_T]) -> Deferred[_T]:
        return self._reader.read(question, self._pace.patience)

    async def _sleep(self, seconds: float) -> None:
        slept: Deferred[None] = Deferred()
        timer = self._reactor.callLater(seconds, slept.callback, None)
        try:
            await slept
        finally:
            if timer.active():
                timer.cancel()


class _Own:
    """What this daemon has committed, by its blocks, until it may be told.

    :param most: messages.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._batches: dict[int, tuple[Batch, Mapping[str, int]]] = {}
        self._messages = 0

    def add(self, block: int, messages: Batch, lasts: Mapping[str, int]) -> None:
        """Hold a batch, if there is room for it."""
        if not self._batches or self._messages + len(messages) <= self._most:
            self._batches[block] = (messages, lasts)
            self._messages += len(messages)

    def take(self, block: int) -> tuple[Batch, Mapping[str, int]] | None:
        """The batch with this block, if it is held; no longer then."""
        found = self._batches.pop(block, None)
        if found is not None:
            self._messages -= len(found[0])
        return found

    def first(self, default: int) -> int:
        """The first block that is held."""
        return min(self._batches, default=default)

    def clear(self) -> None:
        """Hold none."""
        self._batches.clear()
        self._messages = 0

    def forget(self, last: int) -> None:
        """Hold none up to this block."""
        for block in [each for each in self._batches if each <= last]:
            self.take(block)


class _SeriesOfRows:
    """The series of rows that were read; those who follow know them again."""

    def __init__(self) -> None:
        self._known: dict[tuple[StreamKey, str | None], Series] = {}

    def batches(self, page: Page) -> list[tuple[str, Batch, list[int]]]:
        """By kind, the messages of a page, and their ids."""
        if len(self._known) > 1 << 16:
            self._known.clear()
        found: dict[str, tuple[Batch, list[int]]] = {}
        for row in page.rows:
            batch, numbers = found.setdefault(row.kind, (Batch(), []))
            batch.series.append(self._series(page.streams[row.stream], row.othertags))
            batch.texts.append(row.text)
            batch.times.append(row.time)
            numbers.append(row.id)
        return [(kind, *each) for kind, each in found.items()]

    def _series(self, stream: StreamKey, othertags: str | None) -> Series:
        series = self._known.get((stream, othertags))
        if series is None:
            cluster, kind, name, *columns = stream
            tags = {} if othertags is None else json.loads(othertags)
            named = zip((CLUSTER_TAG, *COLUMN_TAGS), (cluster, *columns), strict=True)
            tags |= {tag: value for tag, value in named if value is not None}
            series = self._known[stream, othertags] = Series(str(name), tags, kind)  # type: ignore[arg-type]
        return series
