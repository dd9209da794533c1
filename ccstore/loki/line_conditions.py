"""Filters of lines: as conditions of the store where it has such, else as tests of a line."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from ccstore.loki.ip_addresses import line_test
from ccstore.loki.syntax import LineFilter
from ccstore.query import TextCondition
from ccstore.regex import compile_regex, quote

_CAPTURE: Final = re.compile(r"<(?:_|[a-zA-Z_]\w*)>")

LineTest = Callable[[str], bool]


def check_line_filter(given: LineFilter) -> None:
    """Raises :class:`ValueError` for a filter that cannot be."""
    for match in given.values:
        if match.is_ip:
            if given.op not in ("|=", "!="):
                raise ValueError("ip() goes with |= and !=")
            line_test(match.value)
    text_conditions(given)


def text_conditions(given: LineFilter) -> Sequence[TextCondition] | None:
    """The same as conditions of the store, all of which must hold; None if it has no such."""
    if any(match.is_ip for match in given.values):
        return None
    values = [match.value for match in given.values]
    if given.op in ("|>", "!>"):
        values = [pattern_expression(value) for value in values]
    is_wanted = given.op in ("|=", "|~", "|>")
    if given.op in ("|=", "!="):
        if "" in values:
            # It is in every line.
            return () if is_wanted else (TextCondition("fails", ""),)
        if not is_wanted:
            return [TextCondition("lacks", value) for value in values]
        if len(values) == 1:
            return (TextCondition("contains", values[0]),)
        values = [quote(value) for value in values]
    for value in values:
        compile_regex(value)
    if not is_wanted:
        return [TextCondition("fails", value) for value in values]
    if "" in values:
        return ()
    pattern = values[0] if len(values) == 1 else "|".join(f"(?:{value})" for value in values)
    compile_regex(pattern)
    return (TextCondition("matches", pattern),)


def line_filter_test(given: LineFilter) -> LineTest:
    """Whether a line passes."""
    tests = [_test_of(given.op, match.value, is_ip=match.is_ip) for match in given.values]
    is_wanted = given.op in ("|=", "|~", "|>")
    return lambda line: any(test(line) for test in tests) is is_wanted


def _test_of(op: str, value: str, *, is_ip: bool) -> LineTest:
    if is_ip:
        return line_test(value)
    if op in ("|=", "!="):
        return lambda line: value in line
    search = compile_regex(pattern_expression(value) if op in ("|>", "!>") else value).search
    return lambda line: search(line.encode(errors="replace")) is not None


def pattern_expression(pattern: str) -> str:
    """The regular expression of a pattern in which ``<_>`` stands for anything but nothing."""
    if not pattern:
        return "^$"
    parts, position = [], 0
    for capture in _CAPTURE.finditer(pattern):
        parts += [quote(pattern[position : capture.start()]), ".+"]
        position = capture.end()
    return "(?s)^" + "".join([*parts, quote(pattern[position:])]) + "$"
