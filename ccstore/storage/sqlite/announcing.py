"""Sending messages to the process that writes, before it is asked to write them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from operator import is_
from typing import NamedTuple

from attrs import frozen

from ccstore.batch import Batch
from ccstore.message import Series, Source
from ccstore.storage.process_channel import NUMBERS, pack
from ccstore.storage.sqlite.sizes import AnnouncingLimits
from ccstore.storage.sqlite.writer_calls import Call
from ccstore.storage.sqlite.writer_client import WriterProcess


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
        return pack((array(NUMBERS, found).tobytes(), messages.texts, messages.times))


class _Prepared:
    """What has been packed of batches that are still to be written, with the book it was packed by.

    One thread may put something in while another one takes something out.

    :param most: batches that are held.
    """

    def __init__(self, most: int = 1 << 16) -> None:
        self._most = most
        self._pieces: dict[int, tuple[Batch, _Book, bytes]] = {}  # by identity: the batch is held meanwhile

    def pack(self, part: Batch, book: _Book) -> None:
        """Pack a batch, if that has not been done."""
        if id(part) in self._pieces:
            return
        if len(self._pieces) >= self._most:
            self._pieces = {}  # most of them will never be written; what will is packed then
        self._pieces[id(part)] = (part, book, book.pack(part))

    def get(self, parts: Sequence[Batch]) -> tuple[_Book, list[bytes]]:
        """A book, and the parts packed by it: in advance, or else all of them now."""
        found = [*map(self._pieces.get, map(id, parts))]
        if found and found[0] is not None:
            book = found[0][1]
            pieces = [each[2] for each in found if each is not None and each[1] is book]
            if len(pieces) == len(parts):
                return book, pieces
        book = _Book()
        return book, [*map(book.pack, parts)]

    def forget(self, parts: Sequence[Batch]) -> None:
        """These will not be asked for any more."""
        for part in parts:
            self._pieces.pop(id(part), None)


@frozen
class _Announced:
    """Parts of a batch that the process has, of a start, and their bytes."""

    parts: Sequence[Batch] = ()
    start: int = 0
    size: int = 0


class Rest(NamedTuple):
    """What the process still has to be sent of a batch.

    :ivar goes_on: it comes behind what was announced.
    :ivar known: series that the process has numbers for; those of the new ones follow.
    :ivar pieces: the messages, packed.
    """

    goes_on: bool
    known: int
    new: list[Source]
    pieces: list[bytes]


class Announcer:
    """Knows what the process has of the messages and the series."""

    def __init__(self, process: WriterProcess, limits: AnnouncingLimits) -> None:
        self._process = process
        self._limits = limits
        self._book = _Book()
        self._prepared = _Prepared()
        self._offered: Sequence[Batch] = ()  # what was announced the last time, sent or not
        # The book that the process has, as far as a number, and the start at which it got it.
        self._known: tuple[_Book, int, int] | None = None
        self._announced = _Announced()
        self._rests = 0  # times that nothing is announced, since something else was written the last time

    def prepare(self, messages: Batch) -> None:
        """Pack messages; called in the reactor's thread, as is :meth:`announce`; all else in the writer's."""
        if len(self._book.series) > self._limits.series_held:
            self._book = _Book()
        for part in messages.parts or (messages,):
            self._prepared.pack(part, self._book)

    def announce(self, parts: Sequence[Batch]) -> None:
        """Send messages that will most probably be written next, so that the process can begin with them.

        Nothing must be done in the writer's thread meanwhile.
        """
        sent = self._announced.parts
        new = parts[len(sent) :]
        limits = self._limits
        if not _begins_with(parts, self._offered):
            self._prepared.forget(self._offered)  # they have been written, or will never be
        self._offered = [*parts]
        if self._rests:
            self._rests -= 1
        elif _begins_with(parts, sent) and sum(map(len, new)) >= limits.worth:
            for part in new:
                self.prepare(part)
            book, pieces = self._prepared.get(new)
            size = self._announced.size + sum(map(len, pieces))
            if size > limits.size or len(book.series) - self._known_of(book) > limits.series:
                return
            if self._process.tell(Call.ANNOUNCE, *self._introduce(book), attached=pieces):
                self._announced = _Announced([*parts], self._process.starts, size)
            else:
                self._known = None

    def rest(self, parts: Sequence[Batch]) -> Rest:
        """What has to be sent to write these parts of a batch, after which nothing is announced any more."""
        announced, self._announced = self._announced, _Announced()
        goes_on = False
        if announced.parts:
            goes_on = announced.start == self._process.starts and _begins_with(parts, announced.parts)
            if not goes_on:
                self._rests = self._limits.rests
        book, pieces = self._prepared.get(parts[len(announced.parts) :] if goes_on else parts)
        if _begins_with(parts, self._offered):
            self._offered = ()
        self._prepared.forget(parts)  # to write them again is rare enough to pack them again
        return Rest(goes_on, *self._introduce(book), pieces)

    def withdraw(self) -> None:
        """Something else is asked for: the process takes back what was announced."""
        self._announced = _Announced()

    def forget(self) -> None:
        """It is not known any more which series the process has."""
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


def _begins_with(parts: Sequence[Batch], first: Sequence[Batch]) -> bool:
    return len(first) <= len(parts) and all(map(is_, first, parts))
