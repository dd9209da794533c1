"""The words of LogQL, each with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

from ccstore.loki.syntax import LogQLError
from ccstore.web import is_unicode

TokenKind = Literal["name", "string", "number", "duration", "bytes", "range", "flag", "op", "end"]

_DURATION: Final = r"(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|μs|ms|s|m|h|d|w|y))+"
_BYTES: Final = r"[0-9]+(?:\.[0-9]+)?(?:[kKMGTP]i?B?|B)"
_TOKEN: Final = re.compile(
    r"(?P<space>\s+|\#[^\n]*)"
    r'|(?P<string>"(?:\\.|[^"\\\n])*"|`[^`]*`)'
    rf"|(?P<duration>{_DURATION}(?![\w.]))"
    rf"|(?P<bytes>{_BYTES}(?![\w.]))"
    r"|(?P<number>(?:0[xX][0-9a-fA-F]+|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![\w.]))"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<flag>--[a-z][a-z-]*)"
    r"|(?P<range>\[[^\]]*\])"
    r"|(?P<op>\|=|\|~|\|>|!=|!~|!>|=~|==|>=|<=|[={}(),|<>+\-*/%^])",
    re.DOTALL,
)
_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL
)
_SIMPLE: Final = {
    **{"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"},
    **{"\\": "\\", '"': '"', "'": "'"},
}
_SECOND: Final = 10**9
_UNITS: Final[Mapping[str, int]] = {
    "ns": 1,
    **dict.fromkeys(("us", "µs", "μs"), 10**3),
    "ms": 10**6,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
    "d": 86400 * _SECOND,
    "w": 7 * 86400 * _SECOND,
    "y": 365 * 86400 * _SECOND,
}
_UNIT: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d|w|y)")
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([kmgtp]?)(i?)b?", re.IGNORECASE)
_POWERS: Final = " kmgtp"
#: Of a number in a duration or a size.
_DIGITS: Final = 30
#: So long (ns) that a step and a range can still be counted by, whatever is added to them.
LONGEST_DURATION: Final = 10_000 * 86400 * _SECOND
#: Characters of a query.
LONGEST: Final = 32 * 1024


class Token(NamedTuple):
    """A word of a query.

    :ivar value: of a string what it says, of anything else how it is written.
    :ivar position: where it begins.
    """

    kind: TokenKind
    value: str
    position: int


def tokens_of(query: str) -> Iterator[Token]:
    """The words of a query, and ``end`` behind the last one; raises :class:`LogQLError`."""
    if len(query) > LONGEST:
        raise LogQLError(f"the query has {len(query)} characters, and {LONGEST} are the most there may be")
    position = 0
    while position < len(query):
        found = _TOKEN.match(query, position)
        if found is None:
            raise LogQLError(_complaint(query, position), place_of(query, position))
        kind: TokenKind | Literal["space"] = found.lastgroup  # type: ignore[assignment]
        if kind == "string":
            text = _unquoted(query, found)
            if "\0" in text or (not text.isprintable() and not is_unicode(text)):
                raise LogQLError("a string has NUL or half a character in it", place_of(query, position))
            yield Token("string", text, position)
        elif kind == "range":
            yield Token("range", found[0][1:-1], position)
        elif kind != "space":
            yield Token(kind, found[0], position)
        position = found.end()
    yield Token("end", "", position)


def place_of(query: str, position: int) -> tuple[int, int]:
    """Line and column of a character, both from 1."""
    line = query.count("\n", 0, position) + 1
    return line, position - (query.rfind("\n", 0, position) + 1) + 1


def _complaint(query: str, position: int) -> str:
    char = query[position]
    if char in '"`':
        return "a string begins here and does not end"
    if char == "[":
        return "a range begins here, and its ] is missing"
    word = re.match(r"[\w.]+", query[position:])
    if word is not None:
        return f"{word[0][:40]!r} is neither a number, nor a duration such as 5m, nor a size such as 10KB"
    return f"{char!r} means nothing here"


def _unquoted(query: str, found: re.Match[str]) -> str:
    text = found[0][1:-1]
    if found[0][0] == "`" or "\\" not in text:
        return text

    def put_in(escape: re.Match[str]) -> str:
        for digits in escape.groups()[:3]:
            if digits:
                return chr(int(digits, 16))
        if escape[4]:
            return chr(int(escape[4], 8))
        if escape[5] not in _SIMPLE:
            place = place_of(query, found.start() + 1 + escape.start())
            raise LogQLError(
                f"\\{escape[5]} means nothing in a string: write \\\\{escape[5]}, or use backquotes", place
            )
        return _SIMPLE[escape[5]]

    try:
        return _ESCAPE.sub(put_in, text)
    except (ValueError, OverflowError) as error:
        if isinstance(error, LogQLError):
            raise
        raise LogQLError(
            "a character in this string does not exist", place_of(query, found.start())
        ) from None


def duration_of(text: str) -> int:
    """A duration such as ``1h30m`` or ``-5s`` in nanoseconds; raises :class:`ValueError`."""
    bare = text.strip()
    sign = -1 if bare.startswith("-") else 1
    bare = bare[1:] if bare[:1] in ("+", "-") else bare
    total, position = 0.0, 0
    for part in _UNIT.finditer(bare):
        if part.start() != position or len(part[0]) > _DIGITS:
            break
        # Whole numbers stay whole, which is exact for years of nanoseconds, too.
        number: float = int(part[1]) if part[1].isdigit() else float(part[1])
        total = total + number * _UNITS[part[2]] if total else number * _UNITS[part[2]]
        position = part.end()
    if not bare or (position != len(bare) and bare != "0"):
        raise ValueError(f"expected a duration such as 5m, got {text[:40]!r}")
    if total > LONGEST_DURATION:
        raise ValueError(f"expected a duration of at most 10,000 days, got {text[:40]!r}")
    return sign * int(total)


def bytes_of(text: str) -> float:
    """A size such as ``10KB`` or ``1.5 MiB`` in bytes; raises :class:`ValueError`."""
    found = _SIZE.fullmatch(text.strip())
    if found is None or len(found[1]) > _DIGITS:
        raise ValueError(f"expected a size such as 10KB, got {text[:40]!r}")
    base = 1024 if found[3] else 1000
    return int(float(found[1]) * base ** _POWERS.index((found[2] or " ").lower()))
