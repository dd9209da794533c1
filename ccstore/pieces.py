"""Texts in pieces, of which each is soon put together."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Final

#: Characters of a piece, which take less than a millisecond.
PIECE: Final = 1 << 15


def text_pieces(parts: Iterable[str]) -> Generator[bytes, None, None]:
    """Short texts, put together into pieces."""
    held: list[str] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= PIECE:
            yield "".join(held).encode(errors="replace")
            held.clear()
            size = 0
    if held:
        yield "".join(held).encode(errors="replace")
