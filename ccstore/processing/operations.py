"""
What the operators of conditions mean.

The values are those of a message: None for what is absent, truth values, integers, floats, strings, lists
(or ranges) and mappings; and times and durations. The meaning is that of the language `expr` (`expr-lang`),
which is strict: a number is never equal to its digits, and what cannot be compared is an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from ccstore.processing import moments
from ccstore.processing.moments import Moment, Span
from ccstore.regex import compile_regex

#: Characters of a regular expression that comes from a message.
_MAX_PATTERN: Final = 1000
#: The most items of a list that a condition makes, and the most characters by which a text may be longer than
#: the longest text that it is made of.
MAX_ITEMS: Final = 100_000
MAX_GROWTH: Final = 1 << 20

#: A range is a list of whole numbers that takes no memory.
LISTS: Final = (list, range)


class _NoText(str):
    """See :data:`NO_TEXT`."""


#: What ``msg.GetTag(key)`` gives where there is no such tag: an empty string as in Go, but equal to nil, too.
NO_TEXT: Final = _NoText()


class Failed(Exception):
    """An operation that its operands do not have; the text says why."""


def kind_of(value: object) -> str:
    """What a value is, for people."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, (Moment, Span)):
        return "a time" if isinstance(value, Moment) else "a duration"
    return "a map" if isinstance(value, Mapping) else "a list"


def is_number(value: object) -> bool:
    """Whether it is an integer or a float; a truth value is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_nil(value: Any) -> bool:
    """Whether it stands for what is absent."""
    return value is None or value is NO_TEXT


def truth(value: Any) -> bool:
    """Whether a condition holds; what is absent is false, and anything but a truth value an error."""
    if value is True or value is False:
        return bool(value)
    if is_nil(value):
        return False
    raise Failed(f"expected true or false, got {kind_of(value)}")


def equal(one: Any, other: Any) -> bool:
    """``==``: nothing is converted, so ``1 == "1"`` is false."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if one is None or isinstance(one, (str, int, float)):
        return bool(one == other) or (is_nil(one) and is_nil(other))
    if isinstance(one, LISTS) and isinstance(other, LISTS):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    return bool(one == other)


def unequal(one: Any, other: Any) -> bool:
    """``!=``."""
    return not equal(one, other)


def _ordered(one: Any, other: Any, operator: str) -> None:
    if is_number(one) and is_number(other):
        return
    if type(one) is not type(other) or not isinstance(one, (str, Moment, Span)):
        raise Failed(f"{kind_of(one)} {operator} {kind_of(other)} has no meaning")


def less(one: Any, other: Any) -> bool:
    """``<``, of two numbers, strings, times or durations."""
    _ordered(one, other, "<")
    return bool(one < other)


def less_or_equal(one: Any, other: Any) -> bool:
    """``<=``, likewise."""
    _ordered(one, other, "<=")
    return bool(one <= other)


def greater(one: Any, other: Any) -> bool:
    """``>``, likewise."""
    _ordered(one, other, ">")
    return bool(one > other)


def greater_or_equal(one: Any, other: Any) -> bool:
    """``>=``, likewise."""
    _ordered(one, other, ">=")
    return bool(one >= other)


def _numbers(one: Any, other: Any, operator: str) -> None:
    if not (is_number(one) and is_number(other)):
        raise Failed(f"{kind_of(one)} {operator} {kind_of(other)} has no meaning")


def add(one: Any, other: Any) -> Any:
    """``+``, of numbers, strings, or a time and a duration."""
    if isinstance(one, str) and isinstance(other, str):
        check_growth(len(one) + len(other), one, other)
        return one + other
    if isinstance(one, (Moment, Span)) and isinstance(other, (Moment, Span)):
        return _of_times(moments.add(one, other), one, "+", other)
    _numbers(one, other, "+")
    return wrapped(one + other)


def subtract(one: Any, other: Any) -> Any:
    """``-``, of numbers, times or durations."""
    if isinstance(one, (Moment, Span)) and isinstance(other, (Moment, Span)):
        return _of_times(moments.subtract(one, other), one, "-", other)
    _numbers(one, other, "-")
    return wrapped(one - other)


def _of_times(found: Any, one: Any, operator: str, other: Any) -> Any:
    if found is None:
        raise Failed(f"{kind_of(one)} {operator} {kind_of(other)} has no meaning")
    return found


def multiply(one: Any, other: Any) -> Any:
    """``*``, of numbers."""
    _numbers(one, other, "*")
    return wrapped(one * other)


def divide(one: Any, other: Any) -> float:
    """Always a float, also infinite, as in Go."""
    _numbers(one, other, "/")
    if other == 0:
        return math.nan if one == 0 or one != one else math.copysign(math.inf, one)
    return float(one) / float(other)


def remainder(one: Any, other: Any) -> int:
    """With the sign of the first operand, as in Go."""
    if not (is_number(one) and is_number(other)) or isinstance(one, float) or isinstance(other, float):
        raise Failed(f"{_number_kind(one)} % {_number_kind(other)} has no meaning")
    if other == 0:
        raise Failed("division by zero")
    return int(abs(one) % abs(other)) * (1 if one >= 0 else -1)


def _number_kind(value: object) -> str:
    return "a fraction" if isinstance(value, float) else kind_of(value)


def power(one: Any, other: Any) -> float:
    """Always a float, as in Go."""
    _numbers(one, other, "**")
    try:
        return math.pow(one, other)
    except OverflowError:
        return -math.inf if one < 0 and other % 2 == 1 else math.inf
    except ValueError:
        return math.inf if one == 0 else math.nan


def numbers_from(first: Any, last: Any) -> range:
    """The whole numbers from one to another, both included."""
    found = range(whole(first, ".."), whole(last, "..") + 1)
    if found.stop - found.start > MAX_ITEMS:
        raise Failed(f"a range has at most {MAX_ITEMS} numbers")
    return found


def whole(value: Any, what: str) -> int:
    """A number without its fraction."""
    if is_number(value) and -(2**63) <= value < 2**63:
        return int(value)
    raise Failed(f"{what} expects a whole number, got {kind_of(value)}")


def check_growth(length: int, *parts: str) -> None:
    """Bound the text that is made of others, so that a condition cannot double it again and again."""
    if length > max(map(len, parts)) + MAX_GROWTH:
        raise Failed(f"the text would be more than {MAX_GROWTH} characters longer than what it is made of")


def negative(value: Any) -> Any:
    """``-`` before a number."""
    if not is_number(value):
        raise Failed(f"- {kind_of(value)} has no meaning")
    return wrapped(-value)


def wrapped(value: int | float) -> int | float:
    """An integer in the 64 bits that it has in Go."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return (value + 2**63) % 2**64 - 2**63
    return value


def is_in(one: Any, other: Any) -> bool:
    """``in``: an item of a list, a number of a range, or a key of a map."""
    if other is None:
        return False
    if isinstance(other, Mapping):
        return isinstance(one, str) and look_up(other, one) is not None
    if isinstance(other, range):
        return is_number(one) and math.isfinite(one) and one == int(one) and int(one) in other
    if isinstance(other, list):
        return any(equal(one, each) for each in other)
    raise Failed(f"in {kind_of(other)} has no meaning: expected a list or a map")


def _strings(operator: str, one: Any, other: Any) -> bool:
    """Whether both are strings; what is absent is none, anything else is an error."""
    if isinstance(one, str) and isinstance(other, str):
        return True
    if one is None or other is None:
        return False
    raise Failed(f"{kind_of(one)} {operator} {kind_of(other)} has no meaning: expected strings")


def contains(one: Any, other: Any) -> bool:
    """Whether a string is in another; false if one is absent."""
    return _strings("contains", one, other) and other in one


def starts_with(one: Any, other: Any) -> bool:
    """``startsWith``, likewise."""
    return _strings("startsWith", one, other) and one.startswith(other)


def ends_with(one: Any, other: Any) -> bool:
    """``endsWith``, likewise."""
    return _strings("endsWith", one, other) and one.endswith(other)


def pattern(text: str) -> Any:
    """
    A compiled regular expression for UTF-8, of the syntax that Go has.

    RE2 takes time in proportion to the text, whatever the expression, and bounds its own memory.

    :raises Failed: if it is none.
    """
    try:
        return compile_regex(text)
    except ValueError as error:
        raise Failed(str(error)) from None


_kept_pattern = lru_cache(maxsize=128)(pattern)


def matches(one: Any, other: Any) -> bool:
    """Whether a regular expression matches anywhere in a string; false if one is absent."""
    if not _strings("matches", one, other):
        return False
    if len(other) > _MAX_PATTERN:
        raise Failed(f"a regular expression from a message has at most {_MAX_PATTERN} characters")
    return _kept_pattern(other).search(one.encode()) is not None


def matcher(text: str) -> Callable[[Any], bool]:
    """The same for an expression that is known before; raises :class:`Failed` if it is none."""
    search = pattern(text).search

    def check(value: Any) -> bool:
        # The library is twice as fast with bytes as it is with strings.
        return _strings("matches", value, text) and search(value.encode()) is not None

    return check


def look_up(mapping: Mapping[str, Any], key: str) -> Any:
    """The value of a key, None if there is none; ``type-id`` may be written ``typeid``."""
    if "type" not in key:
        return mapping.get(key)
    value = mapping.get(key.replace("typeid", "type-id"))
    return mapping.get(key.replace("type-id", "typeid")) if value is None else value


def fetch(value: Any, key: Any) -> Any:
    """What is at a key of a map, or at an index of a list."""
    if isinstance(value, Mapping):
        if not isinstance(key, str):
            raise Failed(f"expected a string as the key of a map, got {kind_of(key)}")
        return look_up(value, key)
    if isinstance(value, LISTS):
        if not isinstance(key, int) or isinstance(key, bool):
            raise Failed(f"expected a whole number as the index of a list, got {_number_kind(key)}")
        if not -len(value) <= key < len(value):
            raise Failed(f"the list has no index {key}, it has {len(value)} items")
        return value[key]
    raise Failed(f"there is nothing at {str(key)[:30]!r} of {kind_of(value)}")


def part_of(value: Any, first: Any, last: Any) -> Any:
    """``value[first:last]`` of a list or a string, counted in characters; either may be None."""
    if not isinstance(value, (str, *LISTS)):
        raise Failed(f"there are no parts of {kind_of(value)}")
    return value[slice(*(None if each is None else whole(each, "[:]") for each in (first, last)))]


def text_of(value: Any) -> str:
    """A value as Go prints it."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, LISTS):
        return f"[{' '.join(map(text_of, value))}]"
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{text_of(each)}' for key, each in sorted(value.items()))}]"
    if isinstance(value, (Moment, Span)):
        raise Failed(f"{kind_of(value)} as text is part of the language, but not of ccstore yet")
    return str(value)


def _float_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    if "e" not in text:
        return text.removesuffix(".0")
    # Python goes over to exponents at 1e16, Go at 1e21.
    return f"{value:.0f}" if 1 <= abs(value) < 1e21 else text


#: Operators between two values: what they do, how strongly they bind, and what comes out.
OPERATORS: Final[Mapping[str, tuple[Callable[[Any, Any], Any], int, str]]] = {
    "==": (equal, 20, "a truth value"),
    "!=": (unequal, 20, "a truth value"),
    "<": (less, 20, "a truth value"),
    "<=": (less_or_equal, 20, "a truth value"),
    ">": (greater, 20, "a truth value"),
    ">=": (greater_or_equal, 20, "a truth value"),
    "in": (is_in, 20, "a truth value"),
    "matches": (matches, 20, "a truth value"),
    "contains": (contains, 20, "a truth value"),
    "startsWith": (starts_with, 20, "a truth value"),
    "endsWith": (ends_with, 20, "a truth value"),
    "..": (numbers_from, 25, "a list"),
    "+": (add, 30, "anything"),
    "-": (subtract, 30, "anything"),
    "*": (multiply, 60, "a number"),
    "/": (divide, 60, "a number"),
    "%": (remainder, 60, "a number"),
    "**": (power, 100, "a number"),
    "^": (power, 100, "a number"),
}
