"""When housekeeping is done: in small steps, with room for writes between them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import inf
from shutil import disk_usage
from typing import Final

from ccstore.interfaces import StoreUnavailable
from ccstore.storage.dbfile.database_file import DatabaseFile
from ccstore.storage.dbfile.lock import InUse
from ccstore.storage.dbfile.sql import PAGE_SIZE, Say
from ccstore.storage.dbfile.watch import FileChanged
from ccstore.storage.sqlite.background import BackgroundPacking
from ccstore.storage.sqlite.reserve import Reserve
from ccstore.storage.sqlite.sizes import Sizes
from ccstore.storage.sqlite.writer_thread import WriterThread

#: Part of the bytes that a file may have, from which on it is said that there is little room left.
NEAR: Final = 0.8


class Tending:
    """Has the writer do its housekeeping.

    :param now: the time in nanoseconds since the epoch.
    :param clock: a time in seconds that never goes back.
    :param say: tells people that there is little room left.
    :ivar figures: of the file, when it was last tended.
    :ivar max_size: bytes that the file may have, or None.
    """

    def __init__(
        self,
        thread: WriterThread,
        file: DatabaseFile,
        reserve: Reserve,
        now: Callable[[], int],
        clock: Callable[[], float],
        sizes: Sizes,
        packing: BackgroundPacking,
        say: Say,
    ) -> None:
        self._say = say
        self._is_near = False
        self.max_size: int | None = None
        self._thread = thread
        self._file = file
        self._reserve = reserve
        self._now = now
        self._clock = clock
        self._sizes = sizes
        self._packing = packing
        self.figures: dict[str, int] = {}
        self._looked = (clock(), 0)  # when, and how many messages had been written

    async def expire(self, cutoff: int) -> int:
        """See :meth:`ccstore.interfaces.IBackend.expire`."""
        do, housekeeping = self._thread.do, self._thread.writer.housekeeping
        try:
            expired = await do(housekeeping.expire, cutoff)
        except FileChanged:
            raise
        except StoreUnavailable:
            if not self._reserve.release():
                raise
            expired = await do(housekeeping.expire, cutoff)
        expired += await self._make_room()
        while await do(housekeeping.give_back):
            pass  # each a transaction of its own, with room for writes between them
        if not self._reserve.is_kept:
            await do(housekeeping.checkpoint)
        return expired

    async def _make_room(self) -> int:
        """Delete what goes first, as long as there is more than there may be; how many messages."""
        if self.max_size is None:
            return 0
        do, housekeeping = self._thread.do, self._thread.writer.housekeeping
        deleted = 0
        while True:
            # What packing left behind still takes up room; so do the blocks of a segment that went.
            while await do(housekeeping.packer.tidy):
                pass
            figures = await do(housekeeping.figures)
            used = figures["bytes"] - figures["free_bytes"]
            self._tell(used, self.max_size)
            # Some pages stay free for what comes.
            if used + min(self._sizes.segments.free_pages * PAGE_SIZE, self.max_size // 8) <= self.max_size:
                return deleted
            rows = await do(housekeeping.make_room)
            if not rows:
                return deleted
            deleted += rows

    def _tell(self, used: int, most: int) -> None:
        """Say it when there is little room left, once."""
        is_near = used >= NEAR * most
        if is_near and not self._is_near:
            self._say(
                f"the database has {used >> 20} MB of the {most >> 20} MB of storage.max_size: when it has "
                "all of them, the oldest events are deleted that are not held, whatever their period"
            )
        self._is_near = is_near

    async def tend(self, now: int) -> None:
        """See :meth:`ccstore.interfaces.IBackend.tend`."""
        do, housekeeping, sizes = self._thread.do, self._thread.writer.housekeeping, self._sizes
        await do(housekeeping.tend, now)
        await self._thread.run(self._keep_lock)
        works = [
            (housekeeping.divide, sizes.dividing_seconds),
            (housekeeping.count, sizes.counting_seconds),
            (housekeeping.packer.tidy, sizes.merging_seconds),
        ]
        is_calm = self._rate() <= sizes.masking_rate
        if is_calm or self._is_idle:
            works.append((housekeeping.mask, sizes.masking_seconds))
        if not self._packing.is_wanted:
            # Else it would be for nothing: what is packed was put in another order anyway.
            works.append((housekeeping.merge, sizes.merging_seconds))
        for step, seconds in works:
            end = self._clock() + seconds[self._is_idle]
            while await do(step) and self._clock() < end:
                pass  # as above
        self._packing.tend(now, is_idle=self._is_idle)
        if self._is_idle and self._log_size():
            # Only now the file gets smaller by what was given back. If somebody reads it, next time will do.
            with suppress(StoreUnavailable):
                await do(housekeeping.checkpoint)
        self.figures = {**await do(housekeeping.figures), **await self._thread.run(self.disk)}

    def _rate(self) -> float:
        """Messages a second that were written since the last time."""
        before, self._looked = self._looked, (self._clock(), self._thread.state.writes)
        seconds = self._looked[0] - before[0]
        return (self._looked[1] - before[1]) / seconds if seconds > 0 else inf

    @property
    def _is_idle(self) -> bool:
        return self._thread.state.is_idle(self._now())

    def _keep_lock(self) -> None:
        watch = self._file.watch
        try:
            self._file.lock.keep()
        except InUse as error:
            watch.condemn(f"{error}, which was started while the lock was removed: stop one of them")
            watch.check_content()

    def disk(self) -> dict[str, int]:
        """What else is on the disk, and how much is free there; asks the file system."""
        space = disk_usage(self._file.path.parent)
        return {
            "journal_bytes": self._log_size(),
            "reserve_bytes": self._reserve.size,
            "disk_bytes": space.total,
            "disk_free_bytes": space.free,
        }

    def _log_size(self) -> int:
        """Bytes of the write-ahead log."""
        try:
            return self._file.path.with_name(self._file.path.name + "-wal").stat().st_size
        except OSError:
            return 0
