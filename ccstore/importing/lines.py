"""A file of line protocol, plain or packed by gzip."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import IO, Final, cast

from ccstore.batch import Batch
from ccstore.importing.source import Bad, Mark, Piece, SourceError
from ccstore.lineprotocol import Precision, SeriesCache, StreamDecoder

#: Bytes that are read, and decoded, in one go.
_BLOCK: Final = 1 << 20
#: Bytes a line may have: else one quote that is missing would bring the rest of the file into memory.
LONGEST: Final = 16 * 1024 * 1024


class Lines:
    """See the module, and :class:`ccstore.importing.source.Source`.

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
    ) -> None:
        self.name = "stdin" if path is None else str(path)
        self.key = None if path is None else ""
        self._path = path
        self._stream = stream
        self._precision = precision
        self._now = now
        self._cache = SeriesCache()

    def find(self, marks: Sequence[Mark]) -> Mark | None:
        """See :meth:`Source.find`."""
        found = None
        if marks:
            passed = _Passed()
            with self._open() as file:
                for mark in sorted(marks, key=lambda each: each.position):
                    if not _pass_to(mark, file, passed):
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
            if after is not None and not _pass_to(after, file, passed, decoder):
                raise SourceError(f"{self.name}: has become shorter while it was read")
            first_line = passed.newlines + 1
            block = b"more"
            while block:
                was_skipping = _is_skipping(decoder)
                block = file.read(_BLOCK)
                decoded = decoder.feed(block, self._now()) if block else decoder.finish(self._now())
                messages.extend(decoded.messages)
                bad += [Bad(error.line, error.reason, error.text) for error in decoded.errors]
                unpassed += block
                data = bytes(unpassed[: len(unpassed) - decoder.pending])
                del unpassed[: len(data)]
                passed.add(data)
                if not was_skipping or b"\n" in data:  # else it is from the middle of a line that is too long
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
            max_line_length=LONGEST,
            fast=lines is None,
            lines=lines,
        )

    def _numbers(self, text: bytes, first_line: int) -> Callable[[Sequence[int]], Sequence[int]]:
        def numbers(places: Sequence[int]) -> Sequence[int]:
            # Seldom wanted, and slow: so only then.
            lines: list[int] = []
            decoder = self._decoder(lines)
            decoder.feed(text, 0)
            decoder.finish(0)
            return [first_line - 1 + lines[place] for place in places]

        return numbers

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
    """What is read, and how far that is."""

    def __init__(self, content: IO[bytes], raw: IO[bytes] | None, size: int) -> None:
        self.read = content.read
        self._raw = raw
        self._size = size

    def fraction(self) -> float | None:
        if self._raw is None or not self._size:
            return None
        return min(1.0, self._raw.tell() / self._size)


class _Passed:
    """What lies before a place."""

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


def _pass_to(mark: Mark, file: _File, passed: _Passed, decoder: StreamDecoder | None = None) -> bool:
    """Read up to a place without taking anything; False if the file ends before."""
    while passed.position < mark.position:
        data = file.read(min(_BLOCK, mark.position - passed.position))
        if not data:
            return False
        passed.add(data)
        if decoder is not None:
            decoder.pass_over(data)
    return True


def _is_skipping(decoder: StreamDecoder) -> bool:
    """Whether the decoder is inside of a line that is too long."""
    return not decoder.is_between_lines and not decoder.pending
