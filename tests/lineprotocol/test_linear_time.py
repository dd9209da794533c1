"""No byte is looked at again and again."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from ccstore.lineprotocol import (
    StreamDecoder,
)
from ccstore.lineprotocol import decoder as decoder_module
from ccstore.lineprotocol import entry as entry_module
from ccstore.lineprotocol import plain as plain_module
from ccstore.lineprotocol import series as series_module
from tests.support import strategies
from tests.support.decoded_lines import NOW, whole


class Scanned:
    """Counts the bytes that are looked at."""

    total = 0


class CountingPattern:
    """An expression for a part of a line, counting what it is used on."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self.pattern = pattern

    def match(self, data: bytes, position: int = 0, end: int | None = None) -> re.Match[bytes] | None:
        end = len(data) if end is None else end
        match = self.pattern.match(data, position, end)
        Scanned.total += (end if match is None else match.end()) - position
        return match

    def fullmatch(self, data: bytes) -> re.Match[bytes] | None:
        Scanned.total += len(data)
        return self.pattern.fullmatch(data)

    def finditer(self, data: bytes, position: int, end: int) -> Iterator[re.Match[bytes]]:
        Scanned.total += end - position
        return self.pattern.finditer(data, position, end)


class CountingBuffer(bytearray):
    """A buffer that counts how far it is searched."""

    def find(self, what: Any, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        found = super().find(what, start, end)
        stop = found if found >= 0 else len(self) if end is None else min(end, len(self))
        Scanned.total += max(0, stop - start)
        return found

    def count(self, what: Any, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        Scanned.total += (len(self) if end is None else end) - start
        return super().count(what, start, end)

    def __bytes__(self) -> bytes:
        Scanned.total += len(self)
        return super().__bytes__()


class CountingChunk:
    """The fast way's expression, counting what it is used on."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern = pattern

    def findall(self, text: str) -> list[Any]:
        # Where nothing matches, a search begins anew at each byte.
        unmatched = len(text) - (text.rfind("\n") + 1)
        Scanned.total += len(text) + unmatched**2
        return self.pattern.findall(text)


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> type[Scanned]:
    monkeypatch.setattr(Scanned, "total", 0)
    for module in (entry_module, series_module):
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern) and not name.endswith("_ESCAPE"):
                monkeypatch.setattr(module, name, CountingPattern(value))
    monkeypatch.setattr(plain_module, "_CHUNK", CountingChunk(plain_module._CHUNK))
    monkeypatch.setattr(decoder_module, "bytearray", CountingBuffer, raising=False)
    return Scanned


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("sizes", [[1], [1, 700], [10**6]])
@pytest.mark.parametrize("limit", [None, 1000])
@pytest.mark.parametrize(
    "data",
    [
        b'm event="' + b"line\n" * 3_000,
        b'm event="' + b'line \\"\n' * 2_000,
        b"m event=" + b"x" * 16_000,
        b'm event="x\n' * 1_500,
        b'm a="\n' * 2_500,
        b'm a="\n",' * 2_000,
        b'm a="' + b'\n",b="' * 2_200,
        b'm event="' + b"m f=1\n" * 2_500 + b'"x\n',
        b'm event="' + b"\n" * 16_000 + b'"x\n',
        b"\n" * 16_000,
        b"\n" + b"x" * 16_000,
        b'm event="a"\n' * 9 + b'm event="' + b"x" * 16_000,
        b"\\" * 16_000,
        b"m," + b"a=b," * 4_000,
        b"m " + b"a=1," * 4_000,
    ],
    ids=lambda data: repr(data[:16])[2:-1],
)
def test_no_byte_is_looked_at_again_and_again(
    scanned: type[Scanned], data: bytes, sizes: Sequence[int], limit: int | None, fast: bool
) -> None:
    decoder = StreamDecoder(max_line_length=limit, fast=fast)
    for piece in strategies.pieces(data, sizes):
        decoder.feed(piece, NOW)
    decoder.finish(NOW)
    assert scanned.total < 10 * len(data)


def test_a_long_string_in_single_bytes_is_looked_at_twice_at_most(scanned: type[Scanned]) -> None:
    data = b'm event="' + b"a line\n" * 9_000
    decoder = StreamDecoder()
    for piece in strategies.pieces(data, [1]):
        decoder.feed(piece, NOW)
    assert decoder.pending == len(data)
    assert scanned.total < 2 * len(data)


@pytest.fixture
def patience() -> Iterator[None]:
    """Ends a test that would take hours; one that takes milliseconds never notices."""

    def give_up(number: int, frame: object) -> None:
        raise AssertionError("the time grows with the square of the length")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(
    ("beginning", "unit", "end"),
    [
        (b"\n", b"x", b""),
        (b"m f=", b"1", b"x\n"),
        (b"m f=0x", b"1", b"x\n"),
        (b"m f=0x1p", b"1", b"x\n"),
        (b"m f=", b"1_", b"x\n"),
        (b"m f=1.", b"1", b"x\n"),
        (b"m f=1e", b"1", b"x\n"),
        (b"m f=", b"1", b"ix\n"),
        (b"m f=1 ", b"1", b"-\n"),
        (b'm event="', b"\\\\", b"\n"),
        (b'm event="', b'\\"', b"\n"),
        (b'm event="x" ', b" ", b"x\n"),
        (b"m,t=", b"\\ ", b"\n"),
        (b"m,t=v f", b"\\=", b"\n"),
    ],
)
def test_a_megabyte_of_nonsense_is_rejected_at_once(
    beginning: bytes, unit: bytes, end: bytes, fast: bool
) -> None:
    data = beginning + unit * (1_000_000 // len(unit)) + end
    decoded = whole(data, fast=fast)
    assert not decoded.messages
    assert len(decoded.errors) == 1
