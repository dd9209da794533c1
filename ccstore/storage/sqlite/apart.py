"""The process that writes, as the daemon sees it.

To decode and to write at the same time takes two processes: two threads of one would wait for each other's
interpreter lock. Queries stay in the daemon; SQLite lets several processes use a file.
"""

from __future__ import annotations

import builtins
import os
import signal
import sqlite3
import subprocess
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from operator import is_
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from ccstore.interfaces import CommitUnknown, StoreError
from ccstore.message import Batch, Series, Source
from ccstore.storage.dbfile.sql import Say
from ccstore.storage.dbfile.watch import FileChanged
from ccstore.storage.sqlite import channel
from ccstore.storage.sqlite.writer import State

_ROOT: Final = Path(__file__).resolve().parents[3]
#: Seconds that the process may take to end when there is nothing left to do.
_PATIENCE: Final = 10.0
_SERIES_HELD: Final = 1 << 17
#: Messages that are worth to be announced. Bytes that may be, packed, and new series with them: so much can
#: be sent without waiting for the process to take it.
_WORTH_ANNOUNCING: Final = 100
_ANNOUNCED_SIZE: Final = 1 << 17
_ANNOUNCED_SERIES: Final = 300
#: How often nothing is announced after something else was written instead.
_UNLUCKY: Final = 100


class ProcessEnded(sqlite3.OperationalError):
    """There is no process that writes, and nobody told it to end. The next request starts another one."""


class WriterProcess:
    """The process, and what there is to ask it for; a connection in the eyes of adbapi.

    :param retention: nanoseconds after which events expire.
    :param say: gets what it tells people.
    :param lock: gives the descriptor of the file's lock, which the process holds as well: if the daemon is
        killed it may still be writing.
    """

    def __init__(
        self,
        path: Path,
        pragmas: Mapping[str, str],
        retention: int,
        now: Callable[[], int],
        lock: Callable[[], int],
        say: Say,
    ) -> None:
        self._path = path
        self._pragmas = dict(pragmas)
        self.retention = retention
        self._now = now
        self._lock = lock
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: channel.Channel | None = None
        self.state = State()
        self.starts = 0

    @property
    def is_running(self) -> bool:
        """It was started, and has not ended as far as is known."""
        return self._channel is not None

    def start(self) -> None:
        """Start it if it does not run, and open the file.

        Raises sqlite3.Error or :class:`StoreError` if the file cannot be opened, and :class:`ProcessEnded` if
        there can be no such process.
        """
        if self._channel is not None:
            return
        ours, theirs = channel.pair()
        descriptor = self._lock()
        with theirs:
            path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
            # It inherits what this thread holds back, until it is ready to ignore it.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, channel.SIGNALS)
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "ccstore.storage.sqlite.process"],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    cwd="/",
                    env={**os.environ, "PYTHONPATH": path},
                    pass_fds=[descriptor],
                )
            except OSError as error:
                ours.close()
                raise ProcessEnded(f"cannot start a process that writes: {error}") from None
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._channel = channel.Channel(ours)
        self.starts += 1
        try:
            self._ask(str(self._path), self._pragmas, self.retention, self._now())
        except BaseException:
            self.close()
            raise

    def request(self, name: str, *arguments: object, attached: Sequence[bytes] = ()) -> Any:
        """Have something done; raises what was raised there, or :class:`ProcessEnded`."""
        self.start()
        return self._ask(name, self._now(), *arguments, attached=attached)

    def tell(self, name: str, *arguments: object, attached: Sequence[bytes] = ()) -> bool:
        """Have something done to which there is no answer; False if there is nobody to do it."""
        if self._channel is None:
            return False
        try:
            self._channel.send((name, self._now(), *arguments), attached)
        except OSError:
            return False  # whoever waits for an answer will be told
        return True

    def _ask(self, *request: object, attached: Sequence[bytes] = ()) -> Any:
        assert self._channel is not None
        try:
            self._channel.send(request, attached)
            (error, result, state, said), _ = self._channel.receive()
        except OSError:
            raise ProcessEnded(f"the process that writes has ended, with status {self.close()}") from None
        self.state = State._make(state)
        for text in said:
            self._say(text)
        if error is not None:
            raise _exception(*error)
        return result

    def commit(self) -> None:
        """For adbapi: whatever is asked for commits by itself."""

    def rollback(self) -> None:
        """For adbapi, as above."""

    def kill(self) -> None:
        """End it at once, so that it does not close the file."""
        if self._process is not None:
            self._process.kill()
        self.close()

    def close(self) -> int | None:
        """Let it end, after what it is doing now; returns its exit status."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is None:
            return None
        process, self._process = self._process, None
        try:
            return process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def connect(process: WriterProcess) -> WriterProcess:
    """For adbapi, to which this module is a database."""
    return process


def _exception(name: str, text: str, *flags: bool) -> Exception:
    """An exception like one in the other process."""
    if name == "FileChanged":
        return FileChanged(text, *flags)
    kind = StoreError if name == "StoreError" else getattr(sqlite3, name, getattr(builtins, name, None))
    with suppress(TypeError):
        if isinstance(kind, type) and issubclass(kind, Exception):
            return kind(text)
    return ValueError(text) if name.startswith("Unicode") else RuntimeError(f"{name}: {text}")


class _Book:
    """Numbers for series, in the order in which they are met first."""

    def __init__(self) -> None:
        self.series: list[Series] = []
        self._numbers: dict[Series, int] = {}

    def pack(self, messages: Batch) -> bytes:
        """Messages as they are sent, with the numbers of their series."""
        try:
            found = [*map(self._numbers.__getitem__, messages.series)]
        except KeyError:
            for each in dict.fromkeys(messages.series):
                if each not in self._numbers:
                    self._numbers[each] = len(self.series)
                    self.series.append(each)
            found = [*map(self._numbers.__getitem__, messages.series)]
        return channel.pack((array(channel.NUMBERS, found).tobytes(), messages.texts, messages.times))


@frozen
class _Announced:
    """Parts of a batch that the process has, of a start, and their bytes."""

    parts: Sequence[Batch] = ()
    start: int = 0
    size: int = 0


class WriterApart:
    """What :class:`ccstore.storage.sqlite.writer.Writer` does, done by the process."""

    def __init__(self, process: WriterProcess) -> None:
        self._process = process
        self._book = _Book()
        # The book that the process has, as far as a number, and the start at which it got it.
        self._known: tuple[_Book, int, int] | None = None
        # A batch that may be committed or not, and the ids that were the last before it.
        self._doubtful: tuple[Batch, Mapping[str, int]] | None = None
        self._announced = _Announced()
        self._unlucky = 0  # times that nothing is announced, since something else was written the last time

    @property
    def is_running(self) -> bool:
        """See :attr:`WriterProcess.is_running`."""
        return self._process.is_running

    def kill(self) -> None:
        """See :meth:`WriterProcess.kill`."""
        self._process.kill()

    def prepare(self, messages: Batch) -> None:
        """Pack messages; called in the reactor's thread, as is :meth:`announce`; all else in the writer's."""
        if len(self._book.series) > _SERIES_HELD:
            self._book = _Book()
        for part in messages.parts or (messages,):
            if part.packed is None:
                part.packed = (self._book, self._book.pack(part))

    def announce(self, parts: Sequence[Batch]) -> None:
        """Send messages that will most probably be written next, so that the process can begin with them.

        Nothing must be done in the writer's thread meanwhile.
        """
        sent = self._announced.parts
        new = parts[len(sent) :]
        if self._unlucky:
            self._unlucky -= 1
        elif _begins_with(parts, sent) and sum(map(len, new)) >= _WORTH_ANNOUNCING:
            for part in new:
                self.prepare(part)
            book, pieces = _pieces(new)
            size = self._announced.size + sum(map(len, pieces))
            if size > _ANNOUNCED_SIZE or len(book.series) - self._known_of(book) > _ANNOUNCED_SERIES:
                return
            if self._process.tell("announce", *self._introduce(book), attached=pieces):
                self._announced = _Announced([*parts], self._process.starts, size)
            else:
                self._known = None

    def _known_of(self, book: _Book) -> int:
        """How many series of this book the process has."""
        if self._known is not None and self._known[0] is book and self._known[2] == self._process.starts:
            return self._known[1]
        return 0

    def _introduce(self, book: _Book) -> tuple[int, list[Source]]:
        """How many series of this book the process has, and those that it has not; it will have them."""
        known = self._known_of(book)
        self._known = (book, len(book.series), self._process.starts)
        return known, [each.source for each in book.series[known:]]

    def write(self, process: WriterProcess, messages: Batch) -> None:
        """Commit all of these messages; raises :class:`CommitUnknown` if it is not known whether they are."""
        process.start()
        if self._doubtful is not None and self._doubtful[0] is messages:
            lasts, self._doubtful = self._doubtful[1], None
            if process.state.lasts != lasts:
                return
        lasts = process.state.lasts
        parts = messages.parts or (messages,)
        announced, self._announced = self._announced, _Announced()
        goes_on = False
        if announced.parts:
            goes_on = announced.start == process.starts and _begins_with(parts, announced.parts)
            if not goes_on:
                self._unlucky = _UNLUCKY
        book, pieces = _pieces(parts[len(announced.parts) :] if goes_on else parts)
        try:
            process.request("write", goes_on, *self._introduce(book), attached=pieces)
        except ProcessEnded as ended:
            self._doubtful = (messages, lasts)
            raise CommitUnknown(str(ended)) from None
        except BaseException:
            self._known = None  # who knows how far it got
            raise

    def retain(self, process: WriterProcess, retention: int) -> None:
        self._process.retention = retention  # the next one that is started has it in any case
        self._request(process, "retain", retention)

    def tend(self, process: WriterProcess, now: int) -> None:
        self._request(process, "tend", now)

    def expire(self, process: WriterProcess, cutoff: int) -> int:
        return int(self._request(process, "expire", cutoff))

    def divide(self, process: WriterProcess) -> bool:
        return bool(self._request(process, "divide"))

    def merge(self, process: WriterProcess) -> bool:
        return bool(self._request(process, "merge"))

    def give_back(self, process: WriterProcess) -> bool:
        return bool(self._request(process, "give_back"))

    def checkpoint(self, process: WriterProcess) -> None:
        self._request(process, "checkpoint")

    def figures(self, process: WriterProcess) -> dict[str, int]:
        return dict(self._request(process, "figures"))

    def _request(self, process: WriterProcess, name: str, *arguments: object) -> Any:
        self._announced = _Announced()  # the process takes back what it has begun
        return process.request(name, *arguments)

    @property
    def state(self) -> State:
        return self._process.state


def _begins_with(parts: Sequence[Batch], first: Sequence[Batch]) -> bool:
    return len(first) <= len(parts) and all(map(is_, first, parts))


def _pieces(parts: Sequence[Batch]) -> tuple[_Book, list[bytes]]:
    """What was packed in advance, or else all of it now."""
    packed = [part.packed for part in parts]
    if packed and packed[0] is not None:
        book = packed[0][0]
        if all(each is not None and each[0] is book for each in packed):
            return book, [piece for _, piece in packed]
    book = _Book()
    return book, [*map(book.pack, parts)]
