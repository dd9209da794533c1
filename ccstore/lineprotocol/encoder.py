"""Messages as line protocol."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from ccstore.lineprotocol.grammar import NANOSECONDS, UINT64_MAX
from ccstore.message import INT64_MAX, INT64_MIN, FieldValue, Message


def encode(messages: Iterable[Message], *, precision: Literal["s", "ms", "us", "ns"] = "ns") -> bytes:
    """Line protocol that decodes to these messages again, one line each.

    Timestamps are cut to the precision. Raises ValueError for what the format cannot carry: an empty or
    unprintable name, key or tag value, one that ends in a backslash, a name that begins with ``#``, a
    message without fields, a number that is not finite, a number or a time that does not fit into 64 bits.
    """
    return b"".join(_encode_line(message, NANOSECONDS[precision]) for message in messages)


def _encode_line(message: Message, unit: int) -> bytes:
    if message.name.startswith("#"):
        raise ValueError(f"the name {message.name!r} would read as a comment")
    if not message.fields:
        raise ValueError(f"a message needs a field: {message.name!r}")
    parts = [_encode_token(message.name, " ,")]
    parts += [
        f",{_encode_token(key, ',= ')}={_encode_token(value, ',= ')}" for key, value in message.tags.items()
    ]
    fields = [f"{_encode_token(key, ',= ')}={_encode_value(value)}" for key, value in message.fields.items()]
    stamp = message.time // unit
    if not INT64_MIN <= stamp * unit <= INT64_MAX:
        raise ValueError(f"line protocol cannot carry the time {message.time}")
    return f"{''.join(parts)} {','.join(fields)} {stamp}\n".encode()


def _encode_token(token: str, special: str) -> str:
    if not token or token.endswith("\\") or any(c < " " or c == "\x7f" for c in token):
        raise ValueError(f"line protocol cannot carry the name, key or tag value {token!r}")
    for character in special:
        token = token.replace(character, "\\" + character)
    return token


def _encode_value(value: FieldValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
            value = value.replace(plain, escaped)
        return f'"{value}"'
    if isinstance(value, int):
        if not INT64_MIN <= value <= UINT64_MAX:
            raise ValueError(f"line protocol cannot carry the integer {value}")
        return f"{value}i" if value <= INT64_MAX else f"{value}u"
    if not math.isfinite(value):
        raise ValueError(f"line protocol cannot carry {value}")
    return repr(value)
