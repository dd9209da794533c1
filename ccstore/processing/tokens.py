"""Conditions as a sequence of tokens: names, numbers, strings, operators."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

#: Characters of a condition.
MAX_LENGTH: Final = 20_000

#: Words that are operators, not names.
WORDS: Final = frozenset(("not", "and", "or", "in", "matches", "contains", "startsWith", "endsWith", "let"))

_BLANK: Final = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_NAME: Final = re.compile(r"[^\W\d][\w$]*|[$][\w$]*")
_NUMBER: Final = re.compile(
    r"0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|(?:[0-9][0-9_]*(?:\.(?!\.)[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?"
)
_SYMBOL: Final = re.compile(r"\?\?|\?\.|\.\.|\*\*|==|!=|<=|>=|&&|\|\||[-+*/%^|!<>=?:;.,#()\[\]{}]")
_QUOTED: Final = {
    "'": re.compile(r"'((?:[^'\\\n]|\\.)*)'"),
    '"': re.compile(r'"((?:[^"\\\n]|\\.)*)"'),
    "`": re.compile(r"`([^`]*)`"),
}
_ESCAPE: Final = re.compile(
    r"\\(?:([abfnrtv\\'\"`?])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|)"
)
_ESCAPED: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

TokenKind = Literal["name", "number", "string", "operator", "end"]


class ExpressionError(Exception):
    """A condition that cannot be read.

    :ivar position: the character of the condition at which it goes wrong, from 0.
    :ivar reason: what was expected there and what was found.
    """

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(position, reason)
        self.position = position
        self.reason = reason


class Token(NamedTuple):
    """One token; ``value`` is that of a string or a number, else the text."""

    kind: TokenKind
    value: str | int | float
    position: int

    def __str__(self) -> str:
        if self.kind == "end":
            return "the end"
        return f"{'the string ' if self.kind == 'string' else ''}{short(str(self.value))}"


def short(text: str) -> str:
    """A text in quotes, cut where it is long."""
    return repr(text if len(text) <= 30 else text[:27] + "...")


def tokens_of(source: str) -> list[Token]:
    """The tokens of a condition, the last of kind ``end``; raises :class:`ExpressionError`."""
    if len(source) > MAX_LENGTH:
        raise ExpressionError(MAX_LENGTH, f"it is longer than {MAX_LENGTH} characters")
    tokens = []
    position = 0
    while True:
        blank = _BLANK.match(source, position)
        position = blank.end() if blank else position
        if position == len(source):
            tokens.append(Token("end", "", position))
            return tokens
        token, position = _token(source, position)
        tokens.append(token)


def _token(source: str, start: int) -> tuple[Token, int]:
    first = source[start]
    if first in _QUOTED:
        quoted = _QUOTED[first].match(source, start)
        if quoted is None:
            raise ExpressionError(start, "the string opened here is not closed")
        text = quoted[1] if first == "`" else _unescape(quoted[1], start + 1)
        return Token("string", text, start), quoted.end()
    number = _NUMBER.match(source, start)
    if number is not None:
        return Token("number", _number(number[0], start, source[number.end() :]), start), number.end()
    if _NAME.match(source, start):
        name, end = _name(source, start)
        return Token("operator" if name in WORDS else "name", name, start), end
    if source.startswith("/*", start):
        raise ExpressionError(start, "the comment opened here is not closed")
    symbol = _SYMBOL.match(source, start)
    if symbol is not None:
        return Token("operator", symbol[0], start), symbol.end()
    hint = " (&& is and)" if first == "&" else ""
    raise ExpressionError(start, f"{short(first)} is not known here{hint}")


def _name(source: str, start: int) -> tuple[str, int]:
    """A name, in which ``type-id`` is the same as ``typeid`` and no subtraction."""
    name = ""
    end = start
    while (part := _NAME.match(source, end)) or (part := re.compile(r"[\w$]+").match(source, end)):
        name += part[0]
        end = part.end()
        if name.endswith("type") and source.startswith("-id", end):
            name += "id"
            end += 3
        else:
            break
    return name, end


def _number(text: str, position: int, rest: str) -> int | float:
    digits = text.replace("_", "")
    if re.match(r"\w|\.(?!\.)", rest):
        raise ExpressionError(position, f"expected a number, found {short(text + rest[:1])}")
    try:
        value: int | float
        if digits[:2].lower() in ("0x", "0o", "0b"):
            value = int(digits, 0)
        elif re.search("[.eE]", digits):
            value = float(digits)
        else:
            value = int(digits.lstrip("0")[:30] or "0")
    except ValueError:
        raise ExpressionError(position, f"expected a number, found {short(text)}") from None
    if isinstance(value, int) and value >= 2**63:
        raise ExpressionError(position, f"the number {short(text)} is too large")
    if value == float("inf"):
        raise ExpressionError(position, f"the number {short(text)} is too large")
    return value


def _unescape(text: str, start: int) -> str:
    def one(found: re.Match[str]) -> str:
        if not found[0][1:]:
            raise ExpressionError(
                start + found.start(), f"{short(text[found.start() :][:2])} is no escape: \\\\ is a backslash"
            )
        simple, *codes = found.groups()
        if simple is not None:
            return _ESCAPED.get(simple, simple)
        code = int(next(code for code in codes[:3] if code), 16) if any(codes[:3]) else int(codes[3], 8)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise ExpressionError(start + found.start(), f"{short(found[0])} is no character")
        return chr(code)

    return _ESCAPE.sub(one, text)
