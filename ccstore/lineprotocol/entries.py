"""Complete lines as entries, each read in the quickest way that fits."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, NamedTuple

from ccstore.lineprotocol.entry import Entry, LineError, Terms
from ccstore.lineprotocol.grammar import Buffer, Wrong
from ccstore.lineprotocol.plain import Chunk, Row
from ccstore.message import Batch

#: Lines of the fast way's shape in a row that are fewer take less time one by one.
_FEW: Final = 3


class Decoded(NamedTuple):
    """What came out of a piece of input, in its order."""

    messages: Batch
    errors: list[LineError]


_NOTHING: Final = Decoded(Batch(), [])


class Entries:
    """Decodes the entries of a stream that are complete.

    :param fast: take the fast way where it fits.
    :param begun: with the general way alone, collects the number of the physical line each message begins on.
    :ivar line: number of the physical line that comes next.
    :ivar is_skipping: that is the rest of a line that is too long.
    """

    def __init__(self, terms: Terms, *, fast: bool, begun: list[int] | None) -> None:
        self._terms = terms
        self._fast = fast
        self._begun = begun
        self.line = 1
        self.is_skipping = False
        self._out = _NOTHING

    def begin(self) -> None:
        """Collect what comes out, until :meth:`end`."""
        self._out = Decoded(Batch(), [])

    def end(self) -> Decoded:
        """What came out, which is not held any longer: there are as many decoders as connections."""
        out, self._out = self._out, _NOTHING
        return out

    def skip(self, data: bytes) -> bytes:
        """What is left behind the rest of a line that is too long."""
        newline = data.find(b"\n")
        if newline < 0:
            return b""
        self.is_skipping = False
        self.line += 1
        return data[newline + 1 :]

    def decode(self, data: bytes) -> int:
        """Decode all complete entries; returns where one that is not begins.

        There is a newline behind that place only if the entry waits for something else.
        """
        position = 0
        end = data.rfind(b"\n") + 1
        if end:
            position = self._rows(data, end) if self._fast else self._one_by_one(data, 0, end)
        if end <= position < len(data):
            limit = self._terms.limit
            if self._terms.is_complete or (limit is not None and len(data) - position > limit):
                return self._one_by_one(data, position, len(data))
        return position

    def read(self, data: Buffer, position: int) -> Generator[bytes, None, int]:
        """The general way: read one entry, and yield the wanted byte wherever there are too few.

        ``data`` grows between one step and the next if it is a bytearray. Returns where to go on.
        """
        entry = Entry(self._terms, data, position, self.line)
        try:
            yield from entry.read()
        except Wrong as wrong:
            self._out.errors.append(entry.error(wrong))
        return self._finish(entry, data, position)

    def _finish(self, entry: Entry, data: Buffer, position: int) -> int:
        """Take over what an entry says; returns where to go on."""
        if entry.message is not None:
            self._out.messages.append(entry.message)
            if self._begun is not None:
                self._begun.append(entry.line)
        after = entry.resume
        if after > len(data):
            after = len(data)
        elif after < 0:
            after = data.find(b"\n", position) + 1
            if not after:
                self.is_skipping = not self._terms.is_complete
                return len(data)
        self.line += data.count(b"\n", position, after)
        return after

    def _one_by_one(self, data: bytes, position: int, end: int) -> int:
        """Decode entries by the general way alone; returns what :meth:`decode` does."""
        while position < end:
            after = self._one(data, position)
            if after == position:
                break
            position = after
        return position

    def _one(self, data: bytes, position: int) -> int:
        """Decode the entry at a position; returns where to go on, which is there if it is not complete."""
        entry = Entry(self._terms, data, position, self.line)
        try:
            if not entry.read_line():
                for _ in entry.read():
                    return position
        except Wrong as wrong:
            self._out.errors.append(entry.error(wrong))
        return self._finish(entry, data, position)

    def _rows(self, data: bytes, end: int) -> int:
        """Decode complete physical lines; returns what :meth:`decode` does.

        :param end: behind the last newline. Nothing matches in what follows, and to find that out would
            take the square of its length.
        """
        chunk = Chunk(data if end == len(data) else data[:end])
        limit = self._terms.limit
        if limit is None or end <= limit:
            batch = chunk.batch(self._terms.cache, self._terms.stamps)
            if batch is not None:
                self._out.messages.extend(batch)
                self.line += len(batch)
                return end
            limit = None  # none of them is longer
        return self._rows_in_runs(chunk, data, limit)

    def _rows_in_runs(self, chunk: Chunk, data: bytes, limit: int | None) -> int:
        """As :meth:`_rows`, for lines of which some need the general way, and those between them do not.

        Each row is exactly one physical line.
        """
        rows = chunk.rows
        position = number = 0  # of the row that comes next
        for odd in (*chunk.odd(limit), len(rows)):
            if odd < number:
                continue  # it belongs to an entry that has been read
            if odd > number:
                position = self._run(chunk, data, position, rows[number:odd])
            if odd == len(rows):
                break
            number = odd + 1
            if not any(rows[odd]):
                position = data.index(b"\n", position) + 1
                self.line += 1
                continue
            line = self.line
            after = self._one(data, position)
            if after == position:
                break
            number = odd + self.line - line
            position = after
        return position

    def _run(self, chunk: Chunk, data: bytes, position: int, rows: list[Row]) -> int:
        """Decode rows of the fast way's shape; returns where they end."""
        if len(rows) >= _FEW:
            end = position
            for _ in rows:
                end = data.index(b"\n", end) + 1
            batch = chunk.batch_of(rows, end - position, self._terms.cache, self._terms.stamps)
            if batch is not None:
                self._out.messages.extend(batch)
                self.line += len(rows)
                return end
        for _ in rows:
            position = self._one(data, position)
        return position
