"""A file of line protocol, plain or packed by gzip."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import IO, cast

from ccstore.batch import Batch
from ccstore.importing.source import USUAL, Bad, Mark, Piece, Sizes, SourceError
from ccstore.lineprotocol import Precision, SeriesCache, StreamDecoder


class Lines:
    """A source of lines, see :class:`ccstore.importing.source.Source`.

    :param path: of the file; None if there is but a stream, in which there is no way back.
    :param now: the time of lines that carry none.
    """

    unit = "line"

    def __init__(
        self,
        path: Path | None,
        precision: Precision,
        *,
        now: Callable[[], int],
        stream: IO[bytes] | None = None,
        sizes: Sizes = USUAL,
    ) -> None:
        self.name = "stdin" if path is None else str(path)
        self.key = None if path is None else ""
        self._path = path
        self._stream = stream
        self._precision = precision
        self._now = now
        self._sizes = sizes
        self._cache = SeriesCache()

    def find(self, marks: Sequence[Mark]) -> Mark | None:
        """See :meth:`Source.find`."""
        found = None
        if marks:
            passed = _Passed()
            with self._open() as file:
                for mark in sorted(marks, key=lambda each: each.position):
                    if not self._pass_to(mark, file, passed):
                        break
                    found = mark if passed.mark() == mark else found
        return found

    def pieces(self, after: Mark | None) -> Iterator[Piece]:
        """See :meth:`Source.pieces`."""
        decoder = self._decoder()
        passed = _Passed()
        unpassed = bytearray()  # the beginning of a line whose end has not been read
        text = bytearray()  # what is behind the last piece
        messages = Batch()
        bad: list[Bad] = []
        with self._open() as file:
            if after is not None and not self._pass_to(after, file, passed, decoder):
                raise SourceError(f"{self.name}: has become shorter while it was read")
            first_line = passed.newlines + 1
            block = b"more"
            while block:
                was_skipping = _is_skipping(decoder)
                block = file.read(self._sizes.block)
                decoded = decoder.feed(block, self._now()) if block else decoder.finish(self._now())
                messages.extend(decoded.messages)
                bad += [Bad(error.line, error.reason, error.text) for error in decoded.errors]
                unpassed += block
                data = bytes(unpassed[: len(unpassed) - decoder.pending])
                del unpassed[: len(data)]
                passed.add(data)
                if not was_skipping or b"\n" in data:  # else all of it is inside of a line that is too long
                    text += data
                if text and not _is_skipping(decoder):
                    numbers = self._numbers(bytes(text), first_line)
                    yield Piece(messages, bad, passed.mark(), file.fraction(), numbers)
                    first_line = passed.newlines + 1
                    messages, bad = Batch(), []
                    text.clear()

    def _decoder(self, lines: list[int] | None = None) -> StreamDecoder:
        return StreamDecoder(
            self._cache,
            precision=self._precision,
            max_line_length=self._sizes.longest,
            fast=lines is None,
            lines=lines,
        )

    def _numbers(self, text: bytes, first_line: int) -> Callable[[Sequence[int]], Sequence[int]]:
        def numbers(places: Sequence[int]) -> Sequence[int]:
            # Decodes the piece once more and more slowly, which is done only if something in it is refused.
            lines: list[int] = []
            decoder = self._decoder(lines)
            decoder.feed(text, 0)
            decoder.finish(0)
            return [first_line - 1 + lines[place] for place in places]

        return numbers

    def _pass_to(
        self, mark: Mark, file: _File, passed: _Passed, decoder: StreamDecoder | None = None
    ) -> bool:
        """Read up to a place without taking anything; False if the file ends before."""
        while passed.position < mark.position:
            data = file.read(min(self._sizes.block, mark.position - passed.position))
            if not data:
                return False
            passed.add(data)
            if decoder is not None:
                decoder.pass_over(data)
        return True

    @contextmanager
    def _open(self) -> Iterator[_File]:
        try:
            if self._path is None:
                yield _File(cast("IO[bytes]", self._stream), None, 0)
                return
            with self._path.open("rb") as raw:
                size = os.fstat(raw.fileno()).st_size
                is_packed = raw.read(2) == b"\x1f\x8b"
                raw.seek(0)
                if is_packed:
                    with gzip.GzipFile(fileobj=raw) as unpacked:
                        yield _File(cast("IO[bytes]", unpacked), raw, size)
                else:
                    yield _File(raw, raw, size)
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise SourceError(f"{self.name}: cannot be read: {reason[:1].lower()}{reason[1:]}") from None


class _File:
    """The bytes of lines, unpacked, and how much of the file has been read for them."""

    def __init__(self, content: IO[bytes], raw: IO[bytes] | None, size: int) -> None:
        self.read = content.read
        self._raw = raw
        self._size = size

    def fraction(self) -> float | None:
        if self._raw is None or not self._size:
            return None
        return min(1.0, self._raw.tell() / self._size)


class _Passed:
    """What has been read of a source up to a place: how much it is, and its digest."""

    def __init__(self) -> None:
        self.newlines = 0
        self.position = 0
        self._hash = blake2b(digest_size=16)

    def add(self, data: bytes) -> None:
        self.newlines += data.count(b"\n")
        self.position += len(data)
        self._hash.update(data)

    def mark(self) -> Mark:
        return Mark(self.position, self._hash.hexdigest())


def _is_skipping(decoder: StreamDecoder) -> bool:
    """Whether the decoder is inside of a line that is too long."""
    return not decoder.is_between_lines and not decoder.pending
