"""Sending messages to the process that writes, before it is asked to write them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from operator import is_
from typing import NamedTuple

from attrs import frozen

from ccstore.message import Batch, Series, Source
from ccstore.storage.sqlite.sizes import AnnouncingLimits
from ccstore.storage.sqlite.writer_calls import Call
from ccstore.storage.sqlite.writer_channel import NUMBERS, pack
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
        # The book that the process has, as far as a number, and the start at which it got it.
        self._known: tuple[_Book, int, int] | None = None
        self._announced = _Announced()
        self._rests = 0  # times that nothing is announced, since something else was written the last time

    def prepare(self, messages: Batch) -> None:
        """Pack messages; called in the reactor's thread, as is :meth:`announce`; all else in the writer's."""
        if len(self._book.series) > self._limits.series_held:
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
        limits = self._limits
        if self._rests:
            self._rests -= 1
        elif _begins_with(parts, sent) and sum(map(len, new)) >= limits.worth:
            for part in new:
                self.prepare(part)
            book, pieces = _pieces(new)
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
        book, pieces = _pieces(parts[len(announced.parts) :] if goes_on else parts)
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


def _pieces(parts: Sequence[Batch]) -> tuple[_Book, list[bytes]]:
    """What was packed in advance, or else all of it now."""
    packed = [part.packed for part in parts]
    if packed and packed[0] is not None:
        book = packed[0][0]
        if all(each is not None and each[0] is book for each in packed):
            return book, [piece for _, piece in packed]
    book = _Book()
    return book, [*map(book.pack, parts)]
