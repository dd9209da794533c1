"""Answers about fields: what lines have besides the labels of their streams."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from attrs import define, field
from twisted.web.iweb import IRequest

from ccstore.loki.answering_loki import LokiDesk
from ccstore.loki.asked_times import Given
from ccstore.loki.extracting import json_extractor, logfmt_extractor
from ccstore.loki.label_answers import EVERYTHING
from ccstore.loki.lexer import bytes_of, duration_of
from ccstore.loki.line_reading import newest_lines
from ccstore.loki.metric_parser import parse_selector
from ccstore.loki.pipeline import DETAILS, ERROR, Line
from ccstore.loki.planning import plan_of

_LINES: Final = 1000
_LIMIT: Final = 1000
_MOST: Final = 10_000
#: A line of logfmt has so many pairs.
_PAIRS: Final = 2


@define
class _Field:
    """What is known of a field."""

    values: dict[str, None] = field(factory=dict)
    parsers: dict[str, None] = field(factory=dict)


class FieldAnswers:
    """Fields as a sample of lines has them."""

    def __init__(self, desk: LokiDesk) -> None:
        self._desk = desk

    async def fields(self, request: IRequest) -> bytes:
        """Which fields there are, of which types, and with how many values."""
        given = self._desk.given(request)
        limit = given.number("limit", _LIMIT, _MOST)
        found = await self._found(given)
        described = [
            {
                "label": name,
                "type": type_of(found[name].values),
                "cardinality": len(found[name].values),
                "parsers": [*found[name].parsers] or None,
            }
            for name in sorted(found)[:limit]
        ]
        return await self._desk.answer(request, {"fields": described, "limit": limit})

    async def values(self, request: IRequest, name: str) -> bytes:
        """The values of one of them."""
        given = self._desk.given(request)
        limit = given.number("limit", _LIMIT, _MOST)
        found = (await self._found(given)).get(name, _Field())
        return await self._desk.answer(request, {"values": [*found.values][:limit], "limit": limit})

    async def _found(self, given: Given) -> Mapping[str, _Field]:
        query = given.text("query")
        plan = plan_of(EVERYTHING if query is None else parse_selector(query), may_be_empty=True)
        span = given.span()
        number = given.number("line_limit", _LINES, _MOST)
        budget = self._desk.budget()
        lines = await newest_lines(
            self._desk.page, plan, span.begin, span.end, number, budget, is_newest_first=True
        )
        found: dict[str, _Field] = {}
        for line in lines:
            parser, parsed = _parsed(line)
            for label, value in parsed.items():
                known = found.setdefault(label, _Field())
                known.values[value] = None
                if parser:
                    known.parsers[parser] = None
            for label, value in line.metadata:
                found.setdefault(label, _Field()).values[value] = None
            await budget.work(50)
        return found


def _parsed(line: Line) -> tuple[str, Mapping[str, str]]:
    """What a line says by itself, and the parser that finds it."""
    if line.parsed:
        return "", {name: value for name, value in line.parsed.items() if name not in (ERROR, DETAILS)}
    for name, extract, least in (("json", _JSON, 1), ("logfmt", _LOGFMT, _PAIRS)):
        found = extract(line.text)
        if found.error is None and len(found.labels) >= least:
            own = dict((*line.stream, *line.metadata))
            return name, {
                f"{key}_extracted" if key in own else key: each for key, each in found.labels.items()
            }
    return "", {}


_JSON: Final = json_extractor()
_LOGFMT: Final = logfmt_extractor()


def type_of(values: Mapping[str, None]) -> str:
    """What all of these values are: ``int float boolean duration bytes`` or ``string``."""
    tests = (
        ("boolean", lambda value: value in ("true", "false")),
        ("int", lambda value: re.fullmatch(r"[+-]?[0-9]+", value) is not None),
        ("float", lambda value: re.fullmatch(r"[+-]?[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?", value) is not None),
        ("duration", lambda value: _reads(duration_of, value)),
        ("bytes", lambda value: _reads(bytes_of, value)),
    )
    return next((name for name, test in tests if values and all(map(test, values))), "string")


def _reads(read: object, value: str) -> bool:
    assert callable(read)
    try:
        read(value)
    except ValueError:
        return False
    return True
