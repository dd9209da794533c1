"""The grammar, piece by piece: tokens, strings, numbers and what is said of them when they are wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final, Literal

from ccstore.message import INT64_MAX, INT64_MIN, FieldValue

Precision = Literal["auto", "h", "m", "s", "ms", "us", "ns"]

#: Nanoseconds in a unit of each precision; ``auto`` is decided stamp by stamp.
NANOSECONDS: Final[Mapping[str, int]] = {
    "auto": 0,
    "h": 3600 * 10**9,
    "m": 60 * 10**9,
    "s": 10**9,
    "ms": 10**6,
    "us": 10**3,
    "ns": 1,
}
#: Characters that are hard to see.
_NAMES: Final = {" ": "a space", "\t": "a tab", "\0": "a NUL byte"}
#: What some editors write at the beginning of a file in UTF-8.
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
#: How much of a rejected line is kept, in characters.
TEXT_LIMIT: Final = 200

UINT64_MAX: Final = 2**64 - 1
_SECONDS_BELOW: Final = 10**11
_MILLISECONDS_BELOW: Final = 10**14
_MICROSECONDS_BELOW: Final = 10**17

# A backslash takes along what it escapes in only one way: tried otherwise, `a\=1` would be a key and a value.
_HEAD: Final = rb"[^ \\]*(?:\\(?: |(?! ))[^ \\]*)*"
_MEASUREMENT: Final = rb"[^\x00-\x20\x7f,\\]*(?:\\(?:[ ,]|(?![ ,]))[^\x00-\x20\x7f,\\]*)*"
_KEY: Final = rb"[^\x00-\x20\x7f,=\\]*(?:\\(?:[,= ]|(?![,= ]))[^\x00-\x20\x7f,=\\]*)*"
_STRING: Final = rb'[^"\\]*(?:\\.[^"\\]*)*'
#: A key or a tag's value, not empty.
_TOKEN: Final = rb"(?=[^\x00-\x20\x7f,=])%b" % _KEY

#: What a line begins with, in one pass as each part of it: the head, and the spaces behind it.
BEGINNING: Final = re.compile(rb" *(%b)( *)" % _HEAD)
_BEHIND: Final = rb"(,)|(?: +(?:(-?[0-9]{1,19}) *)?)?\Z"
#: What follows a field: a comma, or the end of the line, perhaps with a timestamp before it.
FOLLOWING: Final = re.compile(_BEHIND)
#: A field: its key, a string or another value, and what follows it. If anything else follows, the field alone
#: is found: as something always matches, no string is read again.
FIELD: Final = re.compile(
    rb'(%b)=(?:"(%b)"|([^", \r\n][^, \r\n]*))(?:%b)?' % (_TOKEN, _STRING, _BEHIND), re.DOTALL
)
#: A head as far as it is right: the measurement, the key of its last tag.
RIGHT_HEAD: Final = re.compile(
    rb"((?=[^\x00-\x20\x7f,])%(m)b)(?:,(%(t)b)=%(t)b)*" % {b"m": _MEASUREMENT, b"t": _TOKEN}
)
#: A tag with the comma before it.
TAG: Final = re.compile(rb",(%b)=(%b)" % (_TOKEN, _TOKEN))

KEY: Final = re.compile(_KEY)
STRING: Final = re.compile(_STRING, re.DOTALL)
STAMP: Final = re.compile(rb"[-0-9]*")
SPACES: Final = re.compile(rb" *")
COMMENT: Final = re.compile(rb"[^\x00-\x1f\x7f]*")

MEASUREMENT_ESCAPE: Final = re.compile(rb"\\([ ,])")
KEY_ESCAPE: Final = re.compile(rb"\\([,= ])")
_STRING_ESCAPE: Final = re.compile(r'\\([\\"nrt])')
_STRING_ESCAPES: Final = {"\\": "\\", '"': '"', "n": "\n", "r": "\r", "t": "\t"}

INTEGER: Final = re.compile(rb"-?[0-9]+")
# Here and below, only one way to match: else a long number that is wrong would take the square of its length.
_DIGITS: Final = rb"[0-9]+(?:_[0-9]+)*"
_FLOAT: Final = re.compile(
    rb"-?(?:%(d)b(?:\.(?:%(d)b)?)?|\.%(d)b)(?:[eE][+-]?%(d)b)?" % {b"d": _DIGITS},
)
_HEX_DIGITS: Final = rb"[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*"
_HEX_FLOAT: Final = re.compile(
    rb"-?0[xX](?:_?%(h)b(?:\.(?:%(h)b)?)?|\.%(h)b)[pP][+-]?%(d)b" % {b"h": _HEX_DIGITS, b"d": _DIGITS},
)
_BOOLEANS: Final = {
    **dict.fromkeys((b"t", b"T", b"true", b"True", b"TRUE"), True),
    **dict.fromkeys((b"f", b"F", b"false", b"False", b"FALSE"), False),
}

_NOT_FINITE: Final = (b"inf", b"infinity", b"nan")

Buffer = bytes | bytearray


class Wrong(Exception):
    """A mistake at an offset into whatever is being read."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(reason)
        self.offset = offset
        self.reason = reason


class Missing(Wrong):
    """Something else stands at an offset than what is expected there; what does, :func:`what` tells."""

    def __init__(self, offset: int, expected: str) -> None:
        super().__init__(offset, f"expected {expected}")


def match_end(pattern: re.Pattern[bytes], data: Buffer, position: int, end: int) -> int:
    """Where a match of a pattern that matches at least nothing ends."""
    match = pattern.match(data, position, end)
    assert match is not None
    return match.end()


def token(raw: bytes, start: int, escape: re.Pattern[bytes]) -> str:
    """The value of a name, a key or a tag's value that stands at ``start``."""
    try:
        return (escape.sub(rb"\1", raw) if b"\\" in raw else raw).decode()
    except UnicodeDecodeError:
        raise _no_text(raw, start, short(shown(raw, 0))) from None


def unescape(raw: str) -> str:
    """The value of a string field between its quotes."""
    if "\\\\" in raw:
        return _STRING_ESCAPE.sub(lambda match: _STRING_ESCAPES[match[1]], raw)
    # Without an escaped backslash, no replacement can make or break another.
    raw = raw.replace('\\"', '"')
    if "\\" in raw:
        raw = raw.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t")
    return raw


def _no_text(raw: bytes, start: int, where: str) -> Wrong:
    """What is said of bytes that are no UTF-8."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        found = f"the byte 0x{raw[error.start]:02x} ({error.reason})"
        return Wrong(start + error.start, f"expected UTF-8 in {where}, found {found}")
    raise AssertionError("it is UTF-8")


def string(raw: bytes, start: int) -> str:
    """The value of a string field whose text, still escaped, stands at ``start``."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise _no_text(raw, start, "a string") from None
    return unescape(text) if "\\" in text else text


def value_of(raw: bytes, position: int, key: str) -> FieldValue:
    """A field value that is not a string, and not empty."""
    value: FieldValue | None = None
    if raw[0] in b"-.0123456789":
        last = raw[-1]
        if last == 0x69:
            value = integer(raw[:-1], INT64_MIN, INT64_MAX)
        elif last == 0x75:
            value = None if raw[0] == 0x2D else integer(raw[:-1], 0, UINT64_MAX)
        else:
            value = _float(raw)
    else:
        value = _BOOLEANS.get(raw)
    if value is None:
        raise _no_value(raw, position, key)
    return value


def _no_value(raw: bytes, position: int, key: str) -> Wrong:
    """What is said of a value that is none."""
    expected = "a number, a boolean or a string in double quotes"
    if raw[:1] in b"-.0123456789":
        if raw.endswith((b"i", b"u")) and _FLOAT.fullmatch(raw[:-1]):
            expected = f"{'a' if raw.endswith(b'i') else 'an unsigned'} 64-bit integer"
        elif _FLOAT.fullmatch(raw) or _HEX_FLOAT.fullmatch(raw) or raw[1:].lower() in _NOT_FINITE:
            expected = "a finite number"
    return Wrong(position, f"the value {short(shown(raw, 0))} of field {short(key)} is not {expected}")


def integer(raw: bytes, low: int, high: int) -> int | None:
    """The integer that stands there, or None if it is none, or not between these, both included."""
    if INTEGER.fullmatch(raw) is None or len(raw.lstrip(b"-0")) > 20:
        return None
    # int() refuses thousands of digits, and leading zeros are allowed.
    value = int(raw.lstrip(b"-0") or b"0")
    if raw.startswith(b"-"):
        value = -value
    return value if low <= value <= high else None


def _float(raw: bytes) -> float | None:
    if _FLOAT.fullmatch(raw):
        value = float(raw)
    elif _HEX_FLOAT.fullmatch(raw):
        try:
            value = float.fromhex(raw.replace(b"_", b"").decode())
        except OverflowError:
            return None
    else:
        return None
    return value if math.isfinite(value) else None


def unit_by_magnitude(stamp: int) -> int:
    """Nanoseconds in the unit that a timestamp most probably has."""
    if stamp < _SECONDS_BELOW:
        return 1_000_000_000
    if stamp < _MILLISECONDS_BELOW:
        return 1_000_000
    return 1_000 if stamp < _MICROSECONDS_BELOW else 1


def what(data: Buffer, position: int, end: int) -> str:
    """What stands at a position, for an error message."""
    if position >= end:
        return "the end of the line"
    character = chr(data[position])
    if character >= "\x80":
        # A character has four bytes at most.
        character = bytes(data[position : min(position + 4, end)]).decode(errors="replace")[0]
        if character == "\ufffd":
            return f"the byte 0x{data[position]:02x}"
    return _NAMES.get(character) or repr(character)


def short(text: str) -> str:
    """A text in quotes, and no more of it than people want to read."""
    return repr(text if len(text) <= 40 else text[:40] + "…")


def shown(data: Buffer, start: int, end: int | None = None, limit: int | None = None) -> str:
    """The physical line at a position as text, cut short."""
    most = 4 * TEXT_LIMIT
    most = start + (most if limit is None or limit > most else limit)
    if end is None:
        end = data.find(b"\n", start, most)
    if not 0 <= end < most:
        end = most
    text = bytes(data[start:end]).decode("utf-8", "replace").rstrip("\r")
    return text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT]
