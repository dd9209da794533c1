"""Reads selectors and the stages behind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from ccstore.loki.extracting import check_fields, check_pattern, check_regexp
from ccstore.loki.label_parser import COMPARE_OPS, MATCH_OPS, LabelParser
from ccstore.loki.line_conditions import check_line_filter
from ccstore.loki.reading_words import Words
from ccstore.loki.syntax import (
    DecolorizeStage,
    DropStage,
    Extraction,
    JsonStage,
    KeepStage,
    LabelAssignment,
    LabelFilter,
    LabelFormatStage,
    LabelMatcher,
    LineFilter,
    LineFormatStage,
    LineMatch,
    LineOp,
    LogfmtStage,
    LogQuery,
    MatchOp,
    PatternStage,
    RegexpStage,
    Stage,
    UnpackStage,
)
from ccstore.loki.templates import compile_template

LINE_OPS: Final = ("|=", "!=", "|~", "!~", "|>", "!>")
_FLAGS: Final = ("--strict", "--keep-empty")
_NOT_HERE: Final = {"xml": "json, logfmt, pattern or regexp"}


class LogParser:
    """Reads what a query says of lines.

    :ivar labels: reads what it says of labels.
    """

    def __init__(self, words: Words) -> None:
        self._words = words
        self.labels = LabelParser(words)
        self._stages: dict[str, Callable[[], Stage]] = {
            "json": lambda: JsonStage(self._fields()),
            "logfmt": self._logfmt,
            "pattern": lambda: PatternStage(self._words.checked(check_pattern)),
            "regexp": lambda: RegexpStage(self._words.checked(check_regexp)),
            "unpack": UnpackStage,
            "decolorize": DecolorizeStage,
            "line_format": lambda: LineFormatStage(self._words.checked(compile_template)),
            "label_format": self._label_format,
            "drop": lambda: DropStage(self._labels()),
            "keep": lambda: KeepStage(self._labels()),
        }

    def query(self) -> LogQuery:
        """A selector with its stages, perhaps in parentheses."""
        if self._words.take_op("("):
            self._words.nest(4)
            query = self.query()
            self._words.expect_op(")")
            return query
        return LogQuery(self.labels.selector(), self.stages())

    def stages(self) -> tuple[Stage, ...]:
        """All stages up to what is none, or to ``| unwrap``."""
        found: list[Stage] = []
        while self._words.is_op("|", *LINE_OPS) and not self.is_at_unwrap():
            self._words.nest(2)
            found.append(self._line_filter() if not self._words.take_op("|") else self._stage())
        return tuple(found)

    def is_at_unwrap(self) -> bool:
        """``| unwrap`` comes."""
        ahead = self._words.behind()
        return self._words.is_op("|") and ahead.kind == "name" and ahead.value.lower() == "unwrap"

    # -- lines

    def _line_filter(self) -> LineFilter:
        token = self._words.take()
        values = [self._line_match()]
        while self._words.is_name("or") and self._words.behind().kind in ("string", "name"):
            self._words.take()
            values.append(self._line_match())
        made = LineFilter(cast(LineOp, token.value), tuple(values))
        try:
            check_line_filter(made)
        except ValueError as error:
            self._words.wrong(str(error), token)
        return made

    def _line_match(self) -> LineMatch:
        if self._words.is_name("ip"):
            return LineMatch(self.labels.ip(), is_ip=True)
        return LineMatch(self._words.expect("string").value)

    # -- stages

    def _stage(self) -> Stage:
        words = self._words
        ahead = words.behind()
        is_filter = ahead.kind == "op" and ahead.value in (*COMPARE_OPS, "=~", "!~")
        # After a parser, "!=" and "!~" begin a filter of lines.
        if words.is_name(*self._stages) and not (is_filter and ahead.value not in ("!=", "!~")):
            return self._stages[words.take().value.lower()]()
        if words.is_name(*_NOT_HERE) and not is_filter:
            name = words.next.value.lower()
            words.wrong(f"the parser {name} is not there, {_NOT_HERE[name]} is")
        return LabelFilter(self.labels.condition())

    def _fields(self) -> tuple[Extraction, ...]:
        words = self._words
        fields: list[Extraction] = []
        while words.is_name() and not words.is_name("offset"):
            token = words.take()
            expression = words.expect("string").value if words.take_op("=") else token.value
            fields.append(Extraction(token.value, expression))
            try:
                check_fields(fields[-1:])
            except ValueError as error:
                words.wrong(str(error), token)
            if not words.take_op(","):
                break
        return tuple(fields)

    def _logfmt(self) -> LogfmtStage:
        flags = set()
        while self._words.next.kind == "flag":
            if self._words.next.value not in _FLAGS:
                self._words.fail(*_FLAGS)
            flags.add(self._words.take().value)
        return LogfmtStage(self._fields(), "--strict" in flags, "--keep-empty" in flags)

    def _label_format(self) -> LabelFormatStage:
        made: list[LabelAssignment] = []
        while not made or self._words.take_op(","):
            token = self._words.expect("name")
            self._words.expect_op("=")
            if any(each.label == token.value for each in made):
                self._words.wrong(f"the label {token.value!r} is made twice in one label_format", token)
            is_template = not self._words.is_name()
            source = self._words.checked(compile_template) if is_template else self._words.label()
            made.append(LabelAssignment(token.value, source, is_template))
        return LabelFormatStage(tuple(made))

    def _labels(self) -> tuple[str | LabelMatcher, ...]:
        found: list[str | LabelMatcher] = []
        while not found or self._words.take_op(","):
            label = self._words.label()
            # As in Loki, "!=" and "!~" behind a label belong to it, and begin no filter of lines.
            if self._words.is_op(*MATCH_OPS):
                found.append(self.labels.matcher_of(label, cast(MatchOp, self._words.take().value)))
            else:
                found.append(label)
        return tuple(found)
