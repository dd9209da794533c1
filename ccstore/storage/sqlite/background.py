"""Packing while the daemon runs: bit by bit, at a rate that others can bear."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import disk_usage
from typing import Any, Final

from twisted.internet.defer import Deferred

from ccstore.interfaces import StoreError, StoreUnavailable
from ccstore.message import INT64_MIN
from ccstore.storage.dbfile.sql import Say
from ccstore.storage.pack_settings import Packing
from ccstore.storage.sqlite.packing_run import Ask, Do, Packed, Steps, pack_once, tidy
from ccstore.storage.sqlite.readers import Readers
from ccstore.storage.sqlite.sizes import Sizes
from ccstore.storage.sqlite.writer_thread import WriterThread
from ccstore.timing import nanoseconds

#: Seconds that one question may take: nobody waits for it but us.
_PATIENCE: Final = 3600.0
#: What is too little for a packed segment waits this many times as long as the rest.
_PATIENCE_WITH_SMALL: Final = 7


class BackgroundPacking:
    """Packs what is old enough: a tile at a time, and after each a rest while messages come in.

    The blocks are made by a process that reads, and inserted by the writer one by one.

    :param clock: a time in seconds that never goes back.
    :ivar rows: that were packed.
    """

    def __init__(
        self,
        thread: WriterThread,
        readers: Readers,
        path: Path,
        packing: Packing,
        clock: Callable[[], float],
        say: Say,
        sizes: Sizes,
    ) -> None:
        self._thread = thread
        self._readers = readers
        self._path = path
        self._packing = packing
        self._clock = clock
        self._say = say
        self._sizes = sizes
        self._steps: Steps | None = None
        self._running: Deferred[None] | None = None
        self._next_at = 0.0
        self._said = ""
        self.rows = 0

    @property
    def is_wanted(self) -> bool:
        """Sealed segments are packed, and not merged; if not, only what is kept of packed ones is."""
        return self._packing.after > 0

    def tend(self, now: int, *, is_idle: bool) -> None:
        """Begin with the next tile if the last one is done, and rested of; it is not waited for."""
        if self._running is not None or self._clock() < self._next_at:
            return
        running = self._running = Deferred.fromCoroutine(self._go_on(now, is_idle))
        running.addErrback(self._failed)
        running.addBoth(self._ended)

    async def ended(self) -> None:
        """Wait for what was begun; what is left of it is forgotten by the next start."""
        while self._running is not None:
            await self._running
        if self._steps is not None:
            self._steps.close()
            self._steps = None

    def _ended(self, result: Any) -> None:
        self._running = None

    def _failed(self, failure: Any) -> None:
        self._steps = None
        self._next_at = self._clock() + self._sizes.packing_retry
        text = failure.getErrorMessage()
        if failure.check(StoreError) is None:
            text = f"{failure.type.__name__}: {text}"
        if text != self._said:
            self._said = text
            self._say(f"cannot pack older messages, will try again: {text}")

    async def _go_on(self, now: int, is_idle: bool) -> None:
        begun_at = self._clock()
        packer = self._thread.writer.housekeeping.packer
        if self._steps is None:
            await self._take(tidy(packer))
        if not await self._has_room():
            return
        if self._steps is None:
            age = nanoseconds(self._packing.after)
            before, small_before = now - age, now - _PATIENCE_WITH_SMALL * age
            if not self.is_wanted:
                before = INT64_MIN
            self._steps = pack_once(
                packer, before, small_before, self._sizes.tiles, has_words=self._packing.has_words
            )
        if not await self._take(self._steps):
            self._steps = None
        self._said = ""
        if not is_idle:
            # A part of a core is for whatever comes in.
            spent = self._clock() - begun_at
            self._next_at = self._clock() + self._sizes.packing_rest * spent

    async def _take(self, steps: Steps, failed: Exception | None = None) -> bool:
        """Take steps up to where one may well rest; False if they are at their end.

        :param failed: why the last one is of no use.
        """
        result: Any = None
        while True:
            try:
                step = steps.send(result) if failed is None else steps.throw(failed)
            except StopIteration:
                return False
            result = failed = None
            try:
                if isinstance(step, Do):
                    result = await self._thread.do(step.work, *step.arguments)
                elif isinstance(step, Ask):
                    result = await self._readers.read(step.question, _PATIENCE)
                elif isinstance(step, Packed):
                    self.rows += step.rows
                    return True
            except Exception as error:
                failed = error

    async def _has_room(self) -> bool:
        """There is enough of it; if not, whoever wants anything packed is told: :class:`StoreUnavailable`."""
        free = margin = self._sizes.packing_margin
        with suppress(OSError):
            free = disk_usage(self._path.parent).free
        if free >= margin:
            return True
        error = StoreUnavailable(
            f"{self._path.parent} has {free >> 20} MB free, and it takes {margin >> 20} MB: make room"
        )
        if self._steps is not None:
            # Else what is being packed could not be deleted, which would make room.
            await self._take(self._steps, error)
        if self.is_wanted:
            raise error
        return False
