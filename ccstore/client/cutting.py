"""Line protocol from a file or a pipe, cut into bodies of whole lines."""

from __future__ import annotations

import os
import select
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, NamedTuple

from twisted.internet.threads import deferToThread

from ccstore.client.session import ClientError
from ccstore.lineprotocol import Precision, StreamDecoder

#: Bytes of a body, at which it is sent; a single line may be larger.
BODY: Final = 1 << 20
#: Entries of a body, at which it is sent.
ENTRIES: Final = 10_000
#: Bytes of a line, above which it is left out.
LONGEST: Final = 8 << 20
_PIECE: Final = 1 << 16
#: Seconds after which what has come is sent, though there is room for more.
_IDLE: Final = 0.25


class Body(NamedTuple):
    """What is sent in one request.

    :ivar first: number of its first physical line in the input, from 1.
    :ivar lines: physical lines.
    :ivar entries: lines of the protocol, of which one may span several physical ones.
    """

    first: int
    lines: int
    entries: int
    data: bytes

    @property
    def last(self) -> int:
        """Number of its last physical line."""
        return self.first + self.lines - 1


class _Stretch:
    """Bytes of some lines, and how many lines of the protocol they are."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.entries = 0

    def take(self, other: _Stretch) -> None:
        """Take over all that another one has."""
        self.data += other.data
        self.entries += other.entries
        other.clear()

    def clear(self) -> None:
        """Forget all of it."""
        self.data.clear()
        self.entries = 0


class Cutter:
    """Cuts a stream of line protocol into bodies of whole lines; what it holds is bounded.

    A newline in a quoted string ends no line.

    :param precision: the unit of the timestamps, which decides whether a line is a good one.
    :param size: bytes of a body, at which it is given out.
    :param entries: lines of the protocol in a body, at which it is given out.
    :param longest: bytes, about, of a line, above which it is left out; and of a string with newlines, above
        which it is cut.
    :ivar too_long: numbers of lines that were left out.
    """

    def __init__(
        self,
        precision: Precision = "auto",
        *,
        size: int = BODY,
        entries: int = ENTRIES,
        longest: int = LONGEST,
    ) -> None:
        self._precision = precision
        self._size = size
        self._most_entries = entries
        self._longest = longest
        self._decoder = StreamDecoder(precision=precision)
        self._body = _Stretch()  # whole lines
        self._open = _Stretch()  # decoded, but its last line has no end yet
        self._tail = bytearray()  # not decoded: a line without its newline
        self._first = 1
        self._is_skipping = False
        self.too_long: list[int] = []

    def feed(self, data: bytes) -> Iterator[Body]:
        """Take in the next bytes; gives the bodies that are full."""
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            if self._is_skipping:
                _, newline, piece = piece.partition(b"\n")
                if not newline:
                    continue
                self._is_skipping = False
                self._first += 1
            end = piece.rfind(b"\n") + 1
            if end:
                self._decode(bytes(self._tail) + piece[:end])
                self._tail.clear()
            self._tail += piece[end:]
            if len(self._open.data) > self._longest:
                self._close()
            if len(self._tail) > self._longest:
                self._close()
                if self._body.data:
                    yield self._take()
                self.too_long.append(self._first)
                self._tail.clear()
                self._is_skipping = True
            if len(self._body.data) >= self._size or self._body.entries >= self._most_entries:
                yield self._take()

    def _decode(self, lines: bytes) -> None:
        decoded = self._decoder.feed(lines, 0)
        self._open.data += lines
        self._open.entries += len(decoded.messages) + len(decoded.errors)
        if self._decoder.is_between_lines:
            self._body.take(self._open)

    def _close(self) -> None:
        """Let what has no end yet go as it is: it is for the server to say what is wrong with it."""
        rest = self._decoder.finish(0)
        self._open.entries += len(rest.messages) + len(rest.errors)
        self._body.take(self._open)
        self._decoder = StreamDecoder(precision=self._precision)

    def cut(self) -> Body | None:
        """The whole lines there are."""
        return self._take() if self._body.data else None

    def finish(self) -> Body | None:
        """All that is left, with a last line that has no end."""
        if self._open.data or self._tail:
            self._decode(bytes(self._tail))
            self._tail.clear()
            self._close()
        return self.cut()

    def _take(self) -> Body:
        data = bytes(self._body.data)
        lines = data.count(b"\n") + (not data.endswith(b"\n"))
        body = Body(self._first, lines, self._body.entries, data)
        self._first += lines
        self._body.clear()
        return body


async def read(descriptor: int, size: int = 1 << 18) -> AsyncIterator[bytes | None]:
    """What can be read, until the end; None if nothing comes for a moment. Raises :class:`ClientError`.

    In a thread, since a file cannot be waited for by the reactor; never for long, since the reactor waits
    for the thread at the end.
    """

    def some() -> bytes | None:
        ready, _, _ = select.select([descriptor], [], [], _IDLE)
        return os.read(descriptor, size) if ready else None

    while True:
        reading: Any = deferToThread(some)
        try:
            data: bytes | None = await reading
        except OSError as error:
            raise ClientError(f"cannot read standard input: {(error.strerror or '').lower()}") from None
        if data == b"":
            return
        yield data
