"""The functions that templates may call, see :mod:`ccstore.loki.templates`."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote_plus, unquote_plus

from ccstore.loki.go_dates import in_layout, since_epoch
from ccstore.loki.lexer import bytes_of, duration_of
from ccstore.loki.sample_text import number_text
from ccstore.regex import compile_regex
from ccstore.timing import SECOND

Value = str | float | bool
#: Characters that a template may make of a line.
_LONGEST_TEXT: Final = 1 << 20
#: Characters that an alignment, an indentation or a repetition may make of a text.
_WIDEST: Final = 10_000

#: So often, in so many characters, an expression is taken to match where it is replaced.
_OFTEN: Final = 8


class TextTooLong(Exception):
    """A template makes too much of a line."""


def check_length(size: int) -> None:
    """Raise :class:`TextTooLong` for so many characters, if they are too many."""
    if size > _LONGEST_TEXT:
        raise TextTooLong(f"the template makes more than {_LONGEST_TEXT} characters of the line")


def text_of(value: Value) -> str:
    """A value as it is put into a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else number_text(value)


def _number(value: Value) -> float:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return 0.0
    return float(value)


def _whole(value: Value) -> int:
    """A whole number, toward zero; there is none for what has no end."""
    number = _number(value)
    return int(number) if math.isfinite(number) else 0


def _lower(number: float) -> float:
    return float(math.floor(number)) if math.isfinite(number) else number


def _replaced_plainly(text: Value, part: Value, by: Value, number: int = -1) -> str:
    whole, old, new = text_of(text), text_of(part), text_of(by)
    check_length(len(whole) + whole.count(old) * len(new))
    return whole.replace(old, new, number)


def _replaced(pattern: Value, text: Value, by: Value) -> str:
    check_length(len(text_of(text)) + (text_of(by) != "") * len(text_of(text)) * len(text_of(by)) // _OFTEN)
    try:
        compiled = compile_regex(text_of(pattern))
    except ValueError:
        return text_of(text)
    # Go has ${1} where RE2 has \1.
    rewritten = re.sub(r"\$\{?(\w+)\}?", r"\\\1", text_of(by).replace("\\", "\\\\"))
    found: bytes = compiled.sub(rewritten.encode(), text_of(text).encode())
    check_length(len(found))
    return found.decode(errors="replace")


def _decoded(text: Value) -> str:
    try:
        return base64.b64decode(text_of(text)).decode(errors="replace")
    except (binascii.Error, ValueError):
        return ""


def _printf(form: Value, *values: Value) -> str:
    left = [*values]

    def put_in(verb: re.Match[str]) -> str:
        if verb[0] == "%%":
            return "%"
        if not left:
            return "%!(MISSING)"
        value = left.pop(0)
        if verb[2] in "dxXo":
            return f"%{verb[1]}{verb[2]}" % _whole(value)
        if verb[2] in "feg":
            return f"%{verb[1]}{verb[2]}" % _number(value)
        if verb[2] == "q":
            return f'"{text_of(value)}"'
        return f"%{verb[1]}s" % text_of(value)

    return re.sub(r"%([-+ 0]?[0-9]{0,3}(?:\.[0-9]{1,3})?)([svdfegqxXo%])", put_in, text_of(form))


def _quietly(read: Callable[[str], float], scale: float = 1) -> Callable[[Value], Value]:
    def value_of(given: Value) -> Value:
        try:
            return read(text_of(given)) / scale
        except ValueError:
            return 0.0

    return value_of


def _divided(one: Value, other: Value) -> Value:
    return _whole(_number(one) / _number(other)) if _number(other) else 0


def _floored(one: Value, other: Value) -> Value:
    return int(math.fmod(_whole(one), _whole(other))) if _whole(other) else 0


def _rounded(value: Value, places: Value = 0) -> Value:
    scale = 10.0 ** max(-300, min(300, _whole(places)))
    number = _number(value) * scale
    # Halves go away from zero, as in Go.
    return math.copysign(math.floor(abs(number) + 0.5), number) / scale if math.isfinite(number) else number


def _counted(pattern: Value, text: Value) -> Value:
    try:
        return sum(1 for _ in compile_regex(text_of(pattern)).finditer(text_of(text).encode()))
    except ValueError:
        return 0


def _width(value: Value) -> int:
    return int(max(0, min(_number(value), _WIDEST)))


def _indented(width: Value, text: Value) -> str:
    spaces = " " * _width(width)
    whole = text_of(text)
    check_length(len(whole) + (whole.count("\n") + 1) * len(spaces))
    return spaces + whole.replace("\n", "\n" + spaces)


def _repeated(times: Value, text: Value) -> str:
    check_length(_width(times) * len(text_of(text)))
    return text_of(text) * _width(times)


def _dated(layout: Value, moment: Value, zone: Value = "UTC") -> str:
    try:
        return in_layout(text_of(layout), text_of(moment), text_of(zone))
    except (KeyError, ValueError, OSError, OverflowError):
        return text_of(moment)


def _epoch(unit: int) -> Callable[[Value], Value]:
    def passed(moment: Value) -> Value:
        try:
            return str(since_epoch(text_of(moment), unit))
        except ValueError:
            return ""

    return passed


def is_true(value: Value) -> bool:
    """What a condition says of a value."""
    return bool(value)


def _cut(length: Value, text: Value) -> str:
    most = _whole(length)
    return text_of(text)[:most] if most >= 0 else text_of(text)[most:]


FUNCTIONS: Final[Mapping[str, tuple[int, Callable[..., Value]]]] = {
    # Each with the least number of arguments; what is piped in is the last one.
    **{name: (1, lambda text: text_of(text).lower()) for name in ("ToLower", "lower")},
    **{name: (1, lambda text: text_of(text).upper()) for name in ("ToUpper", "upper")},
    "title": (1, lambda text: text_of(text).title()),
    "TrimSpace": (1, lambda text: text_of(text).strip()),
    "trim": (1, lambda text: text_of(text).strip()),
    "Trim": (2, lambda text, chars: text_of(text).strip(text_of(chars))),
    "TrimLeft": (2, lambda text, chars: text_of(text).lstrip(text_of(chars))),
    "TrimRight": (2, lambda text, chars: text_of(text).rstrip(text_of(chars))),
    "TrimPrefix": (2, lambda text, part: text_of(text).removeprefix(text_of(part))),
    "TrimSuffix": (2, lambda text, part: text_of(text).removesuffix(text_of(part))),
    "trimPrefix": (2, lambda part, text: text_of(text).removeprefix(text_of(part))),
    "trimSuffix": (2, lambda part, text: text_of(text).removesuffix(text_of(part))),
    "trimAll": (2, lambda chars, text: text_of(text).strip(text_of(chars))),
    "Replace": (4, lambda text, a, b, n: _replaced_plainly(text, a, b, _whole(n))),
    "replace": (3, lambda a, b, text: _replaced_plainly(text, a, b)),
    "trunc": (2, _cut),
    "substr": (
        3,
        lambda a, b, text: text_of(text)[_whole(a) : _whole(b) if _number(b) >= 0 else None],
    ),
    "default": (2, lambda default, value: value if text_of(value) else default),
    "printf": (1, _printf),
    "contains": (2, lambda part, text: text_of(part) in text_of(text)),
    "hasPrefix": (2, lambda part, text: text_of(text).startswith(text_of(part))),
    "hasSuffix": (2, lambda part, text: text_of(text).endswith(text_of(part))),
    "eq": (2, lambda one, *others: any(text_of(one) == text_of(each) for each in others)),
    "ne": (2, lambda one, other: text_of(one) != text_of(other)),
    "lt": (2, lambda one, other: _number(one) < _number(other)),
    "le": (2, lambda one, other: _number(one) <= _number(other)),
    "gt": (2, lambda one, other: _number(one) > _number(other)),
    "ge": (2, lambda one, other: _number(one) >= _number(other)),
    "and": (1, lambda *all: next((each for each in all if not is_true(each)), all[-1])),
    "or": (1, lambda *all: next((each for each in all if is_true(each)), all[-1])),
    "not": (1, lambda value: not is_true(value)),
    "len": (1, lambda text: len(text_of(text).encode())),
    "int": (1, lambda value: _whole(value)),
    "float64": (1, _number),
    "add": (2, lambda *all: _whole(sum(map(_number, all)))),
    "sub": (2, lambda one, other: _whole(_number(one) - _number(other))),
    "mul": (2, lambda one, other: _whole(_number(one) * _number(other))),
    "div": (2, _divided),
    "addf": (2, lambda *all: sum(map(_number, all))),
    "subf": (2, lambda one, other: _number(one) - _number(other)),
    "mulf": (2, lambda one, other: _number(one) * _number(other)),
    "divf": (2, lambda one, other: _number(one) / _number(other) if _number(other) else 0.0),
    "mod": (2, _floored),
    "max": (1, lambda *all: _whole(max(map(_number, all)))),
    "min": (1, lambda *all: _whole(min(map(_number, all)))),
    "maxf": (1, lambda *all: max(map(_number, all))),
    "minf": (1, lambda *all: min(map(_number, all))),
    "ceil": (1, lambda value: -_lower(-_number(value))),
    "floor": (1, lambda value: _lower(_number(value))),
    "round": (1, _rounded),
    "count": (2, _counted),
    "repeat": (2, _repeated),
    "indent": (2, _indented),
    "nindent": (2, lambda width, text: "\n" + _indented(width, text)),
    "date": (2, _dated),
    "dateInZone": (3, lambda layout, moment, zone: _dated(layout, moment, zone)),
    "unixEpoch": (1, _epoch(SECOND)),
    "unixEpochMillis": (1, _epoch(10**6)),
    "unixEpochNanos": (1, _epoch(1)),
    "bytes": (1, _quietly(bytes_of)),
    "duration": (1, _quietly(duration_of, 1e9)),
    "duration_seconds": (1, _quietly(duration_of, 1e9)),
    "regexReplaceAll": (3, _replaced),
    "regexReplaceAllLiteral": (3, lambda a, text, by: _replaced(a, text, text_of(by).replace("$", "$$"))),
    "alignLeft": (2, lambda n, text: text_of(text)[: _width(n)].ljust(_width(n))),
    "alignRight": (2, lambda n, text: text_of(text)[-_width(n) :][: _width(n)].rjust(_width(n))),
    "urlencode": (1, lambda text: quote_plus(text_of(text))),
    "urldecode": (1, lambda text: unquote_plus(text_of(text))),
    "b64enc": (1, lambda text: base64.b64encode(text_of(text).encode()).decode()),
    "b64dec": (1, _decoded),
}
#: Those that take more arguments than the least.
VARIADIC: Final = frozenset(
    ("printf", "eq", "and", "or", "add", "addf", "max", "min", "maxf", "minf", "round")
)
