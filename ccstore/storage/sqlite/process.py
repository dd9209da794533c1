"""The process that writes, on its own side: ``python -m ccstore.storage.sqlite.process``.

It has the other end of its standard input's socket for a master. It ends when that does, after what it is
doing then, and not before: signals that are meant for the daemon reach it as well, see
:data:`ccstore.storage.sqlite.channel.SIGNALS`.
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

from ccstore.message import Batch, Series, Source
from ccstore.storage.dbfile.sql import set_pragmas
from ccstore.storage.dbfile.watch import FileChanged, Watch
from ccstore.storage.sqlite.channel import NUMBERS, SIGNALS, Channel, unpack
from ccstore.storage.sqlite.pragmas import STATEMENTS_HELD
from ccstore.storage.sqlite.writer import Writer


class _Server:
    """Does what it is asked to, one thing after the other."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._watch: Watch
        self._now = 0
        self._series: list[Series] = []
        self._said: list[str] = []  # for the log, since the last answer
        self._failed: Exception | None = None  # what was announced could not be inserted

    def run(self) -> None:
        (path, pragmas, retention, self._now), _ = self._channel.receive()
        writer = Writer(retention, lambda: self._now, self._said.append)
        self._watch = Watch(Path(path), "database", self._said.append)
        with closing(
            # Started again, it must not make a file where there is none any more.
            sqlite3.connect(
                f"{Path(path).as_uri()}?mode=rw",
                uri=True,
                isolation_level=None,
                cached_statements=STATEMENTS_HELD,
            )
        ) as there:

            def load() -> None:
                self._watch.begin()
                set_pragmas(there, pragmas)
                self._watch.guard(lambda: None, writer.load, there)

            if not self._answer(writer, load):
                return
            # What is loaded is put out of the collector's sight, and there is little else for it to find.
            gc.collect()
            gc.freeze()
            gc.set_threshold(20000, 10, 100)
            while True:
                (name, self._now, *arguments), pieces = self._channel.receive()
                if name == "announce":
                    self._announce(writer, there, pieces, *arguments)
                elif name == "write":
                    self._guard(writer, there, self._write, writer, there, pieces, *arguments)
                else:
                    self._take_back(writer, there)
                    self._guard(writer, there, getattr(writer, name), there, *arguments)

    def _batch(self, pieces: Sequence[memoryview], known: int, new: Sequence[Source]) -> Batch:
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

    def _announce(
        self,
        writer: Writer,
        there: sqlite3.Connection,
        pieces: Sequence[memoryview],
        known: int,
        new: Sequence[Source],
    ) -> None:
        """Begin to write. Nobody waits for an answer: if it fails, the write that follows does."""
        batch = self._batch(pieces, known, new)
        if self._failed is None:
            try:
                writer.begin(there, batch)
            except Exception as error:
                self._failed = error

    def _take_back(self, writer: Writer, there: sqlite3.Connection) -> None:
        """Something else is done than what was announced."""
        self._failed = None
        writer.undo(there)

    def _write(
        self,
        writer: Writer,
        there: sqlite3.Connection,
        pieces: Sequence[memoryview],
        goes_on: bool,
        known: int,
        new: Sequence[Source],
    ) -> None:
        """Write messages.

        :param goes_on: behind those that were announced, in the same transaction.
        """
        batch = self._batch(pieces, known, new)
        if not goes_on:
            self._take_back(writer, there)
        elif self._failed is not None:
            failed, self._failed = self._failed, None
            raise failed
        writer.write(there, batch)

    def _guard(
        self, writer: Writer, there: sqlite3.Connection, work: Callable[..., object], *arguments: Any
    ) -> None:
        """Answer, after something was done to the file, if it is the one at the path."""

        def complete() -> None:
            self._take_back(writer, there)
            writer.checkpoint(there)

        self._answer(writer, self._watch.guard, complete, work, *arguments)

    def _answer(self, writer: Writer, work: Callable[..., object], *arguments: Any) -> bool:
        error: tuple[Any, ...] | None = None
        result = None
        try:
            result = work(*arguments)
        except Exception as failed:
            error = (type(failed).__name__, str(failed))
            if isinstance(failed, FileChanged):
                error += (failed.is_content, failed.is_done)
        said, self._said[:] = [*self._said], []
        self._channel.send((error, result, tuple(writer.state), said))
        return error is None


def main() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=0) as end, suppress(ConnectionError):  # when the daemon is gone, so are we
        _Server(Channel(end)).run()


if __name__ == "__main__":
    main()
