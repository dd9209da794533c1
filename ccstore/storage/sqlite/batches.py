"""Batches of messages, each in a transaction, one after the other."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence

from twisted.logger import Logger

from ccstore.batch import Batch
from ccstore.storage.dbfile.watch import FileChanged
from ccstore.storage.sqlite.reserve import Reserve
from ccstore.storage.sqlite.store_writer import StoreWriter
from ccstore.storage.sqlite.writer_thread import WriterThread


class Batches:
    """Writes batches in their order: when one fails, those that were begun after it fail as well.

    :param now: the time in nanoseconds since the epoch.
    """

    log = Logger()

    def __init__(self, thread: WriterThread, reserve: Reserve, now: Callable[[], int]) -> None:
        self._thread = thread
        self._reserve = reserve
        self._now = now
        self._begun = 0  # and not ended
        self._has_failed = False  # one of them, and so all that were begun after it
        # What was committed, but to a file that is not at the path: if that is put back, it is there.
        self._misplaced: list[Batch] = []

    async def write(self, messages: Batch) -> Mapping[str, int]:
        """See :meth:`ccstore.interfaces.IBackend.write`."""
        if not self._begun:
            self._has_failed = False
        writer = self._thread.writer
        self._begun += 1
        try:
            lasts = await self._thread.run(self._write, writer, messages)
        finally:
            self._begun -= 1
        if writer.state.is_full:
            # Behind this write and before the next: nobody who waits for this one waits for it.
            sealing = self._thread.do(writer.housekeeping.tend, self._now())
            sealing.addErrback(lambda failure: self.log.warn("cannot seal now: {why}", why=failure.value))
        return lasts

    def _write(self, writer: StoreWriter, messages: Batch) -> Mapping[str, int]:
        if self._has_failed:
            raise sqlite3.OperationalError("a batch that was to be written before this one was not")
        try:
            if self._misplaced:
                messages = self._without_misplaced(messages)
            self._reserve.keep()
            writer.guard(writer.write, messages)
            if messages:
                self._misplaced.clear()
        except BaseException as error:
            if isinstance(error, FileChanged) and error.is_done:
                self._misplaced += _parts(messages)
            self._has_failed = True
            raise
        return writer.state.lasts

    def _without_misplaced(self, messages: Batch) -> Batch:
        """What is not in the file already."""
        parts = [part for part in _parts(messages) if not any(part is each for each in self._misplaced)]
        return Batch.together(parts) if parts else Batch()


def _parts(messages: Batch) -> Sequence[Batch]:
    return messages.parts or (messages,)
