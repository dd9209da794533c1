"""Unpacks Snappy's block format, in which clients of Loki send protocol buffers."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

_WRONG: Final = "the body is no Snappy block that can be unpacked"
#: Steps, of about a microsecond, after which others have their turn.
_STEPS: Final = 1000


def unpack_snappy(packed: bytes, limit: int) -> Generator[None, None, bytes]:
    """The unpacked bytes; it is done in steps of a millisecond. Raises :class:`ValueError`.

    :param limit: bytes that there may be.
    """
    try:
        length, position = read_varint(packed, 0)
        if length > limit:
            raise ValueError(f"the body is larger than {limit} bytes when it is unpacked")
        found = bytearray()
        steps = 0
        while position < len(packed):
            position = _element(packed, position, found)
            if len(found) > length:
                raise ValueError(_WRONG)
            steps += 1
            if steps % _STEPS == 0:
                yield
    except IndexError:
        raise ValueError(_WRONG) from None
    if len(found) != length:
        raise ValueError(_WRONG)
    return bytes(found)


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """A number of seven bits a byte, and what is behind it; raises :class:`IndexError` at the end."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise IndexError(position)


def _element(packed: bytes, position: int, found: bytearray) -> int:
    """Add what a literal or a copy stands for; where the next one begins."""
    tag = packed[position]
    position += 1
    kind = tag & 3
    if kind == 0:
        length = tag >> 2
        if length >= 60:
            size = length - 59
            length = int.from_bytes(_part(packed, position, size), "little")
            position += size
        length += 1
        found += _part(packed, position, length)
        return position + length
    if kind == 1:
        length = ((tag >> 2) & 7) + 4
        offset = ((tag >> 5) << 8) | packed[position]
        position += 1
    else:
        size = 2 if kind == 2 else 4
        length = (tag >> 2) + 1
        offset = int.from_bytes(_part(packed, position, size), "little")
        position += size
    start = len(found) - offset
    if not 0 <= start < len(found):
        raise IndexError(position)
    if offset >= length:
        found += found[start : start + length]
    else:
        # It repeats itself.
        piece = bytes(found[start:])
        found += (piece * (length // offset + 1))[:length]
    return position


def _part(packed: bytes, position: int, size: int) -> bytes:
    part = packed[position : position + size]
    if len(part) < size:
        raise IndexError(position)
    return part
