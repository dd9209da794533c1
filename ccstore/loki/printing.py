"""Queries as text, each always in the same way."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ccstore.loki.sample_text import number_text
from ccstore.loki.syntax import (
    AndCondition,
    BinaryOperation,
    DecolorizeStage,
    DropStage,
    Expression,
    Extraction,
    Grouping,
    IpCondition,
    JsonStage,
    KeepStage,
    LabelCondition,
    LabelFilter,
    LabelFormatStage,
    LabelMatcher,
    LabelReplace,
    LineFilter,
    LineFormatStage,
    LogfmtStage,
    LogQuery,
    LogRange,
    NumberCondition,
    NumberLiteral,
    OrCondition,
    PatternStage,
    RangeAggregation,
    RegexpStage,
    Stage,
    VectorAggregation,
    VectorLiteral,
)

_UNITS = (
    *(("w", 604_800 * 10**9), ("d", 86400 * 10**9), ("h", 3600 * 10**9), ("m", 60 * 10**9), ("s", 10**9)),
    *(("ms", 10**6), ("us", 10**3), ("ns", 1)),
)


def printed(expression: Expression) -> str:
    """The text of a query; read again, it is the same query."""
    if isinstance(expression, LogQuery):
        return " ".join([_selector(expression.matchers), *map(_stage, expression.stages)])
    if isinstance(expression, NumberLiteral):
        return number_text(expression.value)
    if isinstance(expression, VectorLiteral):
        return f"vector({number_text(expression.value)})"
    if isinstance(expression, LabelReplace):
        texts = (expression.target, expression.replacement, expression.source, expression.pattern)
        return f"label_replace({printed(expression.inner)}, {', '.join(map(_quoted, texts))})"
    if isinstance(expression, BinaryOperation):
        return _operation(expression)
    if isinstance(expression, VectorAggregation):
        grouping = _grouping(expression.grouping)
        inner = [] if expression.parameter is None else [number_text(expression.parameter)]
        return f"{expression.op}{grouping}({', '.join([*inner, printed(expression.inner)])})"
    return _range_aggregation(expression)


def _range_aggregation(expression: RangeAggregation) -> str:
    inner = [] if expression.parameter is None else [number_text(expression.parameter)]
    text = f"{expression.op}({', '.join([*inner, _range(expression.range)])})"
    return text + _grouping(expression.grouping)


def _operation(expression: BinaryOperation) -> str:
    modifiers = ["bool"] if expression.is_bool else []
    if expression.matching is not None:
        word = "on" if expression.matching.is_on else "ignoring"
        modifiers.append(f"{word} ({', '.join(expression.matching.labels)})")
        if expression.matching.many is not None:
            taken = f" ({', '.join(expression.matching.taken)})" if expression.matching.taken else ""
            modifiers.append(f"group_{expression.matching.many}{taken}")
    sides = [
        f"({printed(side)})" if isinstance(side, BinaryOperation) else printed(side)
        for side in (expression.left, expression.right)
    ]
    return " ".join([sides[0], expression.op, *modifiers, sides[1]])


def _grouping(grouping: Grouping | None) -> str:
    if grouping is None:
        return ""
    return f" {'without' if grouping.is_without else 'by'} ({', '.join(grouping.labels)}) "


def _range(given: LogRange) -> str:
    parts = [printed(given.query)]
    if given.unwrap is not None:
        label, conversion = given.unwrap.label, given.unwrap.conversion
        parts.append(f"| unwrap {label if conversion is None else f'{conversion}({label})'}")
        parts += [f"| {_condition(each)}" for each in given.unwrap.conditions]
    parts.append(f"[{_duration(given.duration)}]")
    if given.offset:
        parts.append(f"offset {_duration(given.offset)}")
    return " ".join(parts)


def _duration(nanoseconds: int) -> str:
    rest = abs(nanoseconds)
    found = []
    for unit, size in _UNITS:
        number, rest = divmod(rest, size)
        if number:
            found.append(f"{number}{unit}")
    return ("-" if nanoseconds < 0 else "") + ("".join(found) or "0s")


def _selector(matchers: Sequence[LabelMatcher]) -> str:
    return "{" + ", ".join(map(_matcher, matchers)) + "}"


def _matcher(matcher: LabelMatcher) -> str:
    return f"{matcher.label}{matcher.op}{_quoted(matcher.value)}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\x7f")


def _stage(stage: Stage) -> str:
    if isinstance(stage, LineFilter):
        values = [
            f"ip({_quoted(each.value)})" if each.is_ip else _quoted(each.value) for each in stage.values
        ]
        return f"{stage.op} {' or '.join(values)}"
    if isinstance(stage, LabelFilter):
        return f"| {_condition(stage.condition)}"
    if isinstance(stage, JsonStage):
        return f"| json{_fields(stage.fields)}"
    if isinstance(stage, LogfmtStage):
        flags = (" --strict" if stage.is_strict else "") + (" --keep-empty" if stage.keeps_empty else "")
        return f"| logfmt{flags}{_fields(stage.fields)}"
    if isinstance(stage, PatternStage):
        return f"| pattern {_quoted(stage.pattern)}"
    if isinstance(stage, RegexpStage):
        return f"| regexp {_quoted(stage.pattern)}"
    if isinstance(stage, LineFormatStage):
        return f"| line_format {_quoted(stage.template)}"
    if isinstance(stage, LabelFormatStage):
        made = [
            f"{each.label}={_quoted(each.source) if each.is_template else each.source}"
            for each in stage.assignments
        ]
        return f"| label_format {', '.join(made)}"
    if isinstance(stage, (DropStage, KeepStage)):
        labels = [each if isinstance(each, str) else _matcher(each) for each in stage.labels]
        return f"| {'drop' if isinstance(stage, DropStage) else 'keep'} {', '.join(labels)}"
    return "| decolorize" if isinstance(stage, DecolorizeStage) else "| unpack"


def _fields(fields: Sequence[Extraction]) -> str:
    made = [
        each.label if each.label == each.expression else f"{each.label}={_quoted(each.expression)}"
        for each in fields
    ]
    return f" {', '.join(made)}" if made else ""


def _condition(condition: LabelCondition) -> str:
    if isinstance(condition, (AndCondition, OrCondition)):
        word = "and" if isinstance(condition, AndCondition) else "or"
        return f"({_condition(condition.left)} {word} {_condition(condition.right)})"
    if isinstance(condition, LabelMatcher):
        return _matcher(condition)
    if isinstance(condition, NumberCondition):
        return f"{condition.label}{condition.op}{condition.text}"
    assert isinstance(condition, IpCondition)
    return f"{condition.label}{condition.op}ip({_quoted(condition.value)})"
