"""The process that writes, on its own side: ``python -m ccstore.storage.sqlite.writer_process``.

It has the other end of its standard input's socket for a master. It ends when that does, after what it is
doing then, and not before: signals that are meant for the daemon reach it as well, see
:data:`ccstore.storage.process_channel.SIGNALS`.
"""

from __future__ import annotations

import gc
import signal
import socket
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from ccstore.batch import Batch
from ccstore.keeping import KeepRule
from ccstore.message import Series, Source
from ccstore.storage.dbfile.sql import set_pragmas
from ccstore.storage.dbfile.watch import Watch
from ccstore.storage.process_channel import NUMBERS, SIGNALS, Channel, unpack
from ccstore.storage.sqlite.local_writer import LocalWriter
from ccstore.storage.sqlite.pragmas import STATEMENTS_HELD
from ccstore.storage.sqlite.process_errors import pack_error
from ccstore.storage.sqlite.writer_calls import Call, Opening


class _Book:
    """The series that have been sent, by their numbers."""

    def __init__(self) -> None:
        self._series: list[Series] = []

    def read(self, pieces: Sequence[memoryview], known: int, new: Sequence[Source]) -> Batch:
        """Messages as they are sent.

        :param known: series that are known by their numbers; the new ones follow.
        """
        self._series[known:] = map(Series.of_source, new)
        batch = Batch()
        for piece in pieces:
            numbers, texts, times = unpack(piece)
            batch.series += map(self._series.__getitem__, memoryview(numbers).cast(NUMBERS))
            batch.texts += texts
            batch.times += times
        return batch


class _Server:
    """Does what it is asked to, one thing after the other."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._now = 0
        self._book = _Book()
        self._said: list[str] = []  # for the log, since the last answer
        self._failed: Exception | None = None  # what was announced could not be inserted
        self._local: LocalWriter

    def run(self) -> None:
        """Serve until the other end is gone, which raises ConnectionError."""
        sent, _ = self._channel.receive()
        opening = Opening.unpack(sent)
        self._now = opening.now
        path = Path(opening.path)
        watch = Watch(path, "database", self._said.append)
        with closing(
            # Started again, it must not make a file where there is none any more.
            sqlite3.connect(
                f"{path.as_uri()}?mode=rw",
                uri=True,
                isolation_level=None,
                cached_statements=STATEMENTS_HELD,
            )
        ) as connection:
            local = self._local = LocalWriter(
                connection,
                watch,
                opening.retention,
                None if opening.rules is None else [*map(KeepRule.unpack, opening.rules)],
                lambda: self._now,
                self._said.append,
                opening.sizes,
            )

            def load() -> None:
                watch.begin()
                set_pragmas(connection, opening.pragmas)
                local.guard(local.load)

            if not self._answer(load):
                return
            # What is loaded is put out of the collector's sight, and there is little else for it to find.
            gc.collect()
            gc.freeze()
            gc.set_threshold(20000, 10, 100)
            self._serve(local)

    def _serve(self, local: LocalWriter) -> None:
        housekeeping = local.housekeeping
        packer = housekeeping.packer
        works: dict[int, Callable[..., object]] = {
            Call.RETAIN.value: housekeeping.retain,
            Call.HOLD.value: housekeeping.hold,
            Call.RELEASE.value: housekeeping.release,
            Call.MAKE_ROOM.value: housekeeping.make_room,
            Call.TEND.value: housekeeping.tend,
            Call.EXPIRE.value: housekeeping.expire,
            Call.DIVIDE.value: housekeeping.divide,
            Call.MERGE.value: housekeeping.merge,
            Call.COUNT.value: housekeeping.count,
            Call.MASK.value: housekeeping.mask,
            Call.GIVE_BACK.value: housekeeping.give_back,
            Call.CHECKPOINT.value: housekeeping.checkpoint,
            Call.FIGURES.value: housekeeping.figures,
            Call.PACK_BEGIN.value: packer.begin,
            Call.PACK_INSERT.value: packer.insert,
            Call.PACK_INDEX.value: packer.index,
            Call.PACK_PUBLISH.value: packer.publish,
            Call.PACK_ABANDON.value: packer.abandon,
            Call.PACK_TIDY.value: packer.tidy,
        }
        announce, write = Call.ANNOUNCE.value, Call.WRITE.value
        while True:
            (call, self._now, *arguments), pieces = self._channel.receive()
            if call == announce:
                self._announce(pieces, *arguments)
            elif call == write:
                self._answer(local.guard, self._write, pieces, *arguments)
                self._failed = None
            else:
                self._take_back()
                self._answer(local.guard, works[call], *arguments)

    def _announce(self, pieces: Sequence[memoryview], known: int, new: Sequence[Source]) -> None:
        """Begin to write. Nobody waits for an answer: if it fails, the write that follows does."""
        batch = self._book.read(pieces, known, new)
        if self._failed is None:
            try:
                self._local.writer.begin(batch)
            except Exception as error:
                self._failed = error

    def _take_back(self) -> None:
        """Something else is done than what was announced."""
        self._failed = None
        self._local.writer.undo()

    def _write(self, pieces: Sequence[memoryview], goes_on: bool, known: int, new: Sequence[Source]) -> None:
        """Write messages.

        :param goes_on: behind those that were announced, in the same transaction.
        """
        batch = self._book.read(pieces, known, new)
        if not goes_on:
            self._take_back()
        elif self._failed is not None:
            raise self._failed
        self._local.write(batch)

    def _answer(self, work: Callable[..., object], *arguments: Any) -> bool:
        error: tuple[Any, ...] | None = None
        result = None
        try:
            result = work(*arguments)
        except Exception as failed:
            error = pack_error(failed)
        said, self._said[:] = [*self._said], []
        self._channel.send((error, result, tuple(self._local.state), said))
        return error is None


def main() -> None:
    """Serve the daemon at the other end of standard input."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=0) as end, suppress(ConnectionError):  # when the daemon is gone, so are we
        _Server(Channel(end)).run()


if __name__ == "__main__":
    main()
