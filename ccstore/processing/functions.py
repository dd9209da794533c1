"""What the functions of conditions do, in the meaning of `expr` (`expr-lang`), bounded in what they make."""

from __future__ import annotations

import binascii
import json
import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import Any, Final

from ccstore.durations import parse_duration
from ccstore.processing.moments import Moment, Span
from ccstore.processing.operations import (
    LISTS,
    MAX_ITEMS,
    Failed,
    check_growth,
    fetch,
    is_number,
    kind_of,
    text_of,
    whole,
    wrapped,
)
from ccstore.timing import SECOND

#: Characters of a number in a string.
_MAX_DIGITS: Final = 400
_ANY_NUMBER: Final = 100


def length(value: Any) -> int:
    if isinstance(value, (str, Mapping, *LISTS)):
        return len(value)
    raise Failed(f"{kind_of(value)} has no length")


def _string(function: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    raise Failed(f"{function} expects a string, got {kind_of(value)}")


def lower(value: Any) -> str:
    return _string("lower", value).lower()


def upper(value: Any) -> str:
    return _string("upper", value).upper()


def trim(value: Any, characters: Any = None) -> str:
    return _string("trim", value).strip(None if characters is None else _string("trim", characters))


def has_prefix(value: Any, prefix: Any) -> bool:
    return _string("hasPrefix", value).startswith(_string("hasPrefix", prefix))


def has_suffix(value: Any, suffix: Any) -> bool:
    return _string("hasSuffix", value).endswith(_string("hasSuffix", suffix))


def integer(value: Any) -> int:
    if isinstance(value, str):
        digits = value.removeprefix("+").removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) <= 20 and -(2**63) <= int(value) < 2**63:
            return int(value)
        raise Failed(f"int: {value[:40]!r} is no whole number")
    if is_number(value) and math.isfinite(value) and -(2**63) <= value < 2**63:
        return int(value)
    raise Failed(f"int expects a number or a string, got {kind_of(value)}")


def floating(value: Any) -> float:
    if is_number(value):
        return float(value)
    if isinstance(value, str):
        try:
            if len(value) <= _MAX_DIGITS and value == value.strip():
                return float(value)
        except ValueError:
            pass
        raise Failed(f"float: {value[:40]!r} is no number")
    raise Failed(f"float expects a number or a string, got {kind_of(value)}")


# -- texts


def trim_prefix(value: Any, prefix: Any = " ") -> str:
    return _string("trimPrefix", value).removeprefix(_string("trimPrefix", prefix))


def trim_suffix(value: Any, suffix: Any = " ") -> str:
    return _string("trimSuffix", value).removesuffix(_string("trimSuffix", suffix))


def split(value: Any, separator: Any, most: Any = -1) -> list[str]:
    """At a separator, or between all characters; into at most so many parts, if that is not negative."""
    text, between, most = _string("split", value), _string("split", separator), whole(most, "split")
    count = text.count(between) + 1 if between else len(text)
    if 0 <= most < count:
        count = most
    if count > MAX_ITEMS:
        raise Failed(f"split makes at most {MAX_ITEMS} parts")
    if most == 0:
        return []
    if between:
        return text.split(between, most - 1 if most > 0 else -1)
    return [*text[: count - 1], text[count - 1 :]] if text else []


def split_after(value: Any, separator: Any, most: Any = -1) -> list[str]:
    *parts, last = split(value, separator, most) or [""]
    return [*(part + separator for part in parts), last]


def join(value: Any, between: Any = "") -> str:
    parts = [_string("join", part) for part in _list("join", value)]
    glue = _string("join", between)
    check_growth(len(glue) * max(0, len(parts) - 1), "")
    return glue.join(parts)


def replace(value: Any, old: Any, new: Any, most: Any = -1) -> str:
    text, before, after = (_string("replace", each) for each in (value, old, new))
    count = text.count(before)
    limit = whole(most, "replace")
    count = min(count, limit) if limit >= 0 else count
    check_growth(len(text) + count * (len(after) - len(before)), text)
    return text.replace(before, after, count)


def repeat(value: Any, times: Any) -> str:
    text, count = _string("repeat", value), whole(times, "repeat")
    if count < 0:
        raise Failed("repeat expects a number that is not negative")
    check_growth(len(text) * count, text)
    return text * count


def index_of(value: Any, part: Any) -> int:
    """In characters, -1 if it is not there."""
    return _string("indexOf", value).find(_string("indexOf", part))


def last_index_of(value: Any, part: Any) -> int:
    return _string("lastIndexOf", value).rfind(_string("lastIndexOf", part))


# -- numbers


def _number(function: str, value: Any) -> Any:
    if is_number(value):
        return value
    raise Failed(f"{function} expects a number, got {kind_of(value)}")


def absolute(value: Any) -> Any:
    return wrapped(abs(_number("abs", value)))


def rounded(function: str, to_whole: Callable[[float], int]) -> Callable[[Any], float]:
    """A function that gives a whole number, as a float as in Go."""

    def call(value: Any) -> float:
        number = float(_number(function, value))
        return float(to_whole(number)) if math.isfinite(number) else number

    return call


def _nearest(value: float) -> int:
    """Half of one goes away from zero."""
    whole_part = math.trunc(value)
    return whole_part if abs(value - whole_part) < 0.5 else whole_part + (1 if value > 0 else -1)


def _numbers(function: str, values: tuple[Any, ...]) -> Iterator[Any]:
    """The numbers among arguments, and in lists among them."""
    for value in values:
        if isinstance(value, LISTS):
            yield from _numbers(function, tuple(value))
        else:
            yield _number(function, value)


def largest(*values: Any) -> Any:
    return max(_numbers("max", values), default=None)


def smallest(*values: Any) -> Any:
    return min(_numbers("min", values), default=None)


def mean(*values: Any) -> float:
    numbers = [*_numbers("mean", values)]
    return float(sum(numbers) / len(numbers)) if numbers else 0.0


def middle(*values: Any) -> float:
    numbers = [*_numbers("median", values)]
    return float(median(numbers)) if numbers else 0.0


def bits(function: str, combine: Callable[..., int]) -> Callable[..., int]:
    """A function of whole numbers of 64 bits."""

    def call(*values: Any) -> int:
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            raise Failed(f"{function} expects whole numbers")
        return int(wrapped(combine(*values)))

    return call


def shift(function: str, shifted: Callable[[int, int], int]) -> Callable[..., int]:
    def combine(value: int, count: int) -> int:
        if count < 0:
            raise Failed(f"{function} expects a count that is not negative")
        return shifted(value, min(count, 64))

    return bits(function, combine)


# -- lists and maps


def _list(function: str, value: Any) -> Any:
    if isinstance(value, LISTS):
        return value
    raise Failed(f"{function} expects a list, got {kind_of(value)}")


def _map(function: str, value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    raise Failed(f"{function} expects a map, got {kind_of(value)}")


def keys(value: Any) -> list[str]:
    return [*_map("keys", value)]


def values(value: Any) -> list[Any]:
    return [*_map("values", value).values()]


def get(value: Any, key: Any) -> Any:
    """What is there, nil if there is nothing."""
    try:
        return fetch(value, key)
    except Failed:
        return None


def first(value: Any) -> Any:
    return get(value, 0)


def last(value: Any) -> Any:
    return get(value, -1)


def take(value: Any, count: Any) -> Any:
    return _list("take", value)[: max(0, whole(count, "take"))]


def reverse(value: Any) -> Any:
    return _list("reverse", value)[::-1]


def concat(*lists: Any) -> list[Any]:
    made: list[Any] = []
    for each in lists:
        if len(made) + len(_list("concat", each)) > MAX_ITEMS:
            raise Failed(f"concat makes at most {MAX_ITEMS} items")
        made += each
    return made


# -- kinds


def type_of(value: Any) -> str:
    if value is None:
        return "nil"
    for kind, name in _TYPES.items():
        if isinstance(value, kind):
            return name
    return "array"


_TYPES: Final[Mapping[type, str]] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "string",
    Mapping: "map",
    Moment: "time.Time",
    Span: "time.Duration",
}


def to_json(value: Any) -> str:
    """As Go writes it, over several lines."""
    try:
        text = json.dumps(_plain(value), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise Failed("toJSON: there is an infinite number") from None
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, LISTS):
        return [_plain(each) for each in value]
    if isinstance(value, (Moment, Span)):
        raise Failed(f"toJSON: {kind_of(value)} is not supported yet")
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e21
    return int(value) if is_whole else value


def from_json(value: Any) -> Any:
    text = _string("fromJSON", value)
    try:
        return json.loads(text, parse_int=_json_number, parse_float=_json_number, parse_constant=_json_number)
    except ValueError:
        raise Failed("fromJSON: this is no JSON") from None


def _json_number(digits: str) -> float:
    """Each number is a float, as in Go."""
    number = float(digits) if len(digits) <= _MAX_DIGITS else math.inf
    if not math.isfinite(number):
        raise ValueError(digits[:40])
    return number


def to_base64(value: Any) -> str:
    return b64encode(_string("toBase64", value).encode()).decode()


def from_base64(value: Any) -> str:
    try:
        return b64decode(_string("fromBase64", value), validate=True).decode()
    except (binascii.Error, ValueError):
        raise Failed("fromBase64: this is no text in base64") from None


def duration(value: Any) -> Span:
    text = _string("duration", value)
    sign = -1 if text.startswith("-") else 1
    try:
        return Span(sign * round(parse_duration(text.removeprefix("-")) * SECOND))
    except ValueError:
        raise Failed(f"duration: {text[:40]!r} is none") from None


_TRUTH: Final = "a truth value"
_NUMBER: Final = "a number"
_STRING: Final = "a string"
_LIST: Final = "a list"
_ANYTHING: Final = "anything"

#: What they do, the fewest and the most arguments, and what comes out.
FUNCTIONS: Final[Mapping[str, tuple[Callable[..., Any], int, int, str]]] = {
    "len": (length, 1, 1, _NUMBER),
    "lower": (lower, 1, 1, _STRING),
    "upper": (upper, 1, 1, _STRING),
    "trim": (trim, 1, 2, _STRING),
    "int": (integer, 1, 1, _NUMBER),
    "float": (floating, 1, 1, _NUMBER),
    "string": (text_of, 1, 1, _STRING),
    "hasPrefix": (has_prefix, 2, 2, _TRUTH),
    "hasSuffix": (has_suffix, 2, 2, _TRUTH),
    "trimPrefix": (trim_prefix, 1, 2, _STRING),
    "trimSuffix": (trim_suffix, 1, 2, _STRING),
    "split": (split, 2, 3, _LIST),
    "splitAfter": (split_after, 2, 3, _LIST),
    "join": (join, 1, 2, _STRING),
    "replace": (replace, 3, 4, _STRING),
    "repeat": (repeat, 2, 2, _STRING),
    "indexOf": (index_of, 2, 2, _NUMBER),
    "lastIndexOf": (last_index_of, 2, 2, _NUMBER),
    "abs": (absolute, 1, 1, _NUMBER),
    "ceil": (rounded("ceil", math.ceil), 1, 1, _NUMBER),
    "floor": (rounded("floor", math.floor), 1, 1, _NUMBER),
    "round": (rounded("round", _nearest), 1, 1, _NUMBER),
    "max": (largest, 1, _ANY_NUMBER, _ANYTHING),
    "min": (smallest, 1, _ANY_NUMBER, _ANYTHING),
    "mean": (mean, 1, _ANY_NUMBER, _NUMBER),
    "median": (middle, 1, _ANY_NUMBER, _NUMBER),
    "bitand": (bits("bitand", lambda one, other: one & other), 2, 2, _NUMBER),
    "bitor": (bits("bitor", lambda one, other: one | other), 2, 2, _NUMBER),
    "bitxor": (bits("bitxor", lambda one, other: one ^ other), 2, 2, _NUMBER),
    "bitnand": (bits("bitnand", lambda one, other: one & ~other), 2, 2, _NUMBER),
    "bitnot": (bits("bitnot", lambda value: ~value), 1, 1, _NUMBER),
    "bitshl": (shift("bitshl", lambda value, count: value << count), 2, 2, _NUMBER),
    "bitshr": (shift("bitshr", lambda value, count: value >> count), 2, 2, _NUMBER),
    "bitushr": (shift("bitushr", lambda value, count: (value % 2**64) >> count), 2, 2, _NUMBER),
    "keys": (keys, 1, 1, _LIST),
    "values": (values, 1, 1, _LIST),
    "get": (get, 2, 2, _ANYTHING),
    "first": (first, 1, 1, _ANYTHING),
    "last": (last, 1, 1, _ANYTHING),
    "take": (take, 2, 2, _LIST),
    "reverse": (reverse, 1, 1, _LIST),
    "concat": (concat, 1, _ANY_NUMBER, _LIST),
    "type": (type_of, 1, 1, _STRING),
    "toJSON": (to_json, 1, 1, _STRING),
    "fromJSON": (from_json, 1, 1, _ANYTHING),
    "toBase64": (to_base64, 1, 1, _STRING),
    "fromBase64": (from_base64, 1, 1, _STRING),
    "duration": (duration, 1, 1, "a duration"),
}
#: What the language has besides.
NOT_YET: Final = (
    *("reduce", "groupBy", "sortBy", "sort", "uniq", "flatten", "toPairs", "fromPairs", "date", "timezone"),
    *("if", "$env"),
)
