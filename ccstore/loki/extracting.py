"""Labels out of lines: JSON, logfmt, patterns and regular expressions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from ccstore.loki.label_names import clean_name
from ccstore.loki.syntax import Extraction
from ccstore.regex import compile_regex, quote

_STEP: Final = re.compile(r'\.?([^.\[\]"\s]+)|\[([0-9]+)\]|\["((?:[^"\\]|\\.)*)"\]')
_CAPTURE: Final = re.compile(r"<(_|[a-zA-Z_]\w*)>")
_PAIR: Final = re.compile(r'([^\s="]+)(?:(=)(?:"((?:[^"\\]|\\.)*)"|([^\s"]*)))?')
_NO_SPACE: Final = re.compile(r"\s*")
_NO_WORD: Final = re.compile(r"\S*")
_NAMED: Final = re.compile(r"\(\?P?<([a-zA-Z_]\w*)>")
#: Objects within each other that are looked at.
_DEEPEST: Final = 30


class Extracted(NamedTuple):
    """What a parser has found.

    :ivar line: what the line is from now on; None if it stays.
    :ivar error: what kind of error there was.
    """

    labels: Mapping[str, str]
    line: str | None = None
    error: str | None = None
    details: str = ""


Extractor = Callable[[str], Extracted]


# -- what can be seen in advance


def check_fields(fields: Sequence[Extraction]) -> None:
    """Raises :class:`ValueError` for an expression that is no path."""
    for each in fields:
        _path(each.expression)


def check_pattern(pattern: str) -> None:
    """Raises :class:`ValueError` for a pattern without captures, or with two side by side."""
    pattern_extractor(pattern)


def check_regexp(pattern: str) -> None:
    """Raises :class:`ValueError` for an expression without names."""
    regexp_extractor(pattern)


# -- JSON


def json_extractor(fields: Sequence[Extraction] = ()) -> Extractor:
    """All members of an object, those of inner ones with both names; or these fields."""
    paths = [(each.label, _path(each.expression)) for each in fields]

    def extract(line: str) -> Extracted:
        try:
            value = json.loads(line, parse_int=str, parse_float=str, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            return Extracted({}, error="JSONParserErr", details=str(error)[:100])
        if paths:
            return Extracted({label: _as_text(_at(value, path)) for label, path in paths})
        if not isinstance(value, dict):
            return Extracted({}, error="JSONParserErr", details="the line is no JSON object")
        found: dict[str, str] = {}
        for name, text in _members(value, "", 0):
            found.setdefault(name, text)
        return Extracted(found)

    return extract


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _members(value: Mapping[str, object], prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    for key, member in value.items():
        name = f"{prefix}{key}"
        if isinstance(member, dict):
            if depth < _DEEPEST:
                yield from _members(member, f"{name}_", depth + 1)
        elif not isinstance(member, list) and member is not None:
            yield clean_name(name), _as_text(member)


def _path(expression: str) -> Sequence[str | int]:
    found: list[str | int] = []
    position = 0
    for step in _STEP.finditer(expression):
        if step.start() != position:
            break
        position = step.end()
        if step[2] is not None:
            found.append(int(step[2]))
        else:
            found.append(step[1] if step[1] is not None else step[3].replace('\\"', '"'))
    if position != len(expression) or not found:
        raise ValueError(f'expected a path such as a.b[0]["c d"], got {expression[:60]!r}')
    return found


def _at(value: object, path: Sequence[str | int]) -> object:
    for step in path:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def _as_text(value: object) -> str:
    if isinstance(value, str):  # as numbers are, too
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def unpack_extractor() -> Extractor:
    """The texts of an object; ``_entry`` becomes the line."""

    def extract(line: str) -> Extracted:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            return Extracted({}, error="JSONParserErr", details=str(error)[:100])
        if not isinstance(value, dict):
            return Extracted({}, error="JSONParserErr", details="the line is no JSON object")
        entry = value.pop("_entry", None)
        found = {clean_name(key): text for key, text in value.items() if isinstance(text, str)}
        return Extracted(found, entry if isinstance(entry, str) else None)

    return extract


# -- logfmt


def logfmt_extractor(
    fields: Sequence[Extraction] = (), *, is_strict: bool = False, keeps_empty: bool = False
) -> Extractor:
    """Pairs of keys and values, or these of them."""
    wanted = {each.expression: each.label for each in fields}

    def extract(line: str) -> Extracted:
        found: dict[str, str] = {}
        position, end = 0, len(line)
        while (position := _NO_SPACE.match(line, position).end()) < end:  # type: ignore[union-attr]
            pair = _PAIR.match(line, position)
            if pair is None:
                if is_strict:
                    return Extracted(found, error="LogfmtParserErr", details=f"at character {position + 1}")
                # On to the next word.
                position = _NO_WORD.match(line, position).end()  # type: ignore[union-attr]
                continue
            position = pair.end()
            value = pair[4] or "" if pair[3] is None else _unescaped(pair[3])
            if is_strict and pair[2] is None:
                return Extracted(found, error="LogfmtParserErr", details=f"{pair[1][:40]!r} has no value")
            if wanted:
                if pair[1] in wanted:
                    found.setdefault(wanted[pair[1]], value)
            elif value or keeps_empty:
                found.setdefault(clean_name(pair[1]), value)
        return Extracted(found)

    return extract


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text.replace('\\"', '"')


# -- expressions


def regexp_extractor(pattern: str) -> Extractor:
    """The named groups of a regular expression."""
    if not _NAMED.search(pattern):
        raise ValueError("at least one group of the expression needs a name: (?P<name>…)")
    return _by_expression(pattern)


def pattern_extractor(pattern: str) -> Extractor:
    """The captures of a pattern: ``<method> <path> <_>``."""
    captures = [*_CAPTURE.finditer(pattern)]
    names = [each[1] for each in captures if each[1] != "_"]
    if not names:
        raise ValueError("at least one part of the pattern needs a name: <name>")
    if len({*names}) < len(names):
        raise ValueError("a name stands twice in the pattern")
    parts, position = ["(?s)^"], 0
    for index, capture in enumerate(captures):
        between = pattern[position : capture.start()]
        if index and not between:
            raise ValueError(f"nothing stands between {captures[index - 1][0]} and {capture[0]}")
        position = capture.end()
        is_last = position == len(pattern)
        group = ".*" if is_last else ".*?"
        named = f"(?P<{capture[1]}>{group})" if capture[1] != "_" else group
        parts += [quote(between), named]
    return _by_expression("".join([*parts, quote(pattern[position:])]))


def _by_expression(pattern: str) -> Extractor:
    search = compile_regex(pattern).search

    def extract(line: str) -> Extracted:
        found = search(line.encode(errors="replace"))
        if found is None:
            return Extracted({})
        groups: Mapping[bytes, bytes | None] = found.groupdict()
        values = {name.decode(): (value or b"").decode(errors="replace") for name, value in groups.items()}
        return Extracted(values)

    return extract
