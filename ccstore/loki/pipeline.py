"""Lines with their labels, and the stages that make something of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ccstore.loki.extracting import (
    Extractor,
    json_extractor,
    logfmt_extractor,
    pattern_extractor,
    regexp_extractor,
    unpack_extractor,
)
from ccstore.loki.label_conditions import Unreadable, condition_test, value_test
from ccstore.loki.label_names import INDEXED, Labels
from ccstore.loki.line_conditions import line_filter_test
from ccstore.loki.syntax import (
    DecolorizeStage,
    DropStage,
    JsonStage,
    KeepStage,
    LabelFilter,
    LabelFormatStage,
    LabelMatcher,
    LineFilter,
    LineFormatStage,
    LogfmtStage,
    PatternStage,
    RegexpStage,
    Stage,
    UnpackStage,
)
from ccstore.loki.template_functions import TextTooLong
from ccstore.loki.templates import compile_template

ERROR: Final = "__error__"
DETAILS: Final = "__error_details__"
_COLORS: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


class Line:
    """A line on its way through the stages.

    :ivar time: nanoseconds.
    :ivar stream: the labels of its stream, as ``metadata`` are those of its other tags, and ``parsed`` those
        that were made of it. A label is in one of them.
    """

    __slots__ = ("metadata", "parsed", "stream", "text", "time")

    def __init__(self, time: int, text: str, stream: Labels, metadata: Labels) -> None:
        self.time = time
        self.text = text
        self.stream = stream
        self.metadata = metadata
        self.parsed: dict[str, str] = {}

    def get(self, label: str) -> str:
        """The value of a label, empty if there is none."""
        if label in self.parsed:
            return self.parsed[label]
        for labels in (self.stream, self.metadata):
            for name, value in labels:
                if name == label:
                    return value
        return ""

    def labels(self) -> dict[str, str]:
        """All of them."""
        return {**dict(self.stream), **dict(self.metadata), **self.parsed}

    def set(self, label: str, value: str) -> None:
        """Give a label a value; the empty one takes it away."""
        self.drop(label)
        if value:
            self.parsed[label] = value

    def drop(self, label: str) -> None:
        """Take a label away."""
        self.parsed.pop(label, None)
        if any(name == label for name, _ in self.stream):
            self.stream = tuple(each for each in self.stream if each[0] != label)
        elif any(name == label for name, _ in self.metadata):
            self.metadata = tuple(each for each in self.metadata if each[0] != label)

    def fail(self, error: str, details: str) -> None:
        """Note what went wrong with it; the first error stays."""
        if ERROR not in self.parsed:
            self.parsed[ERROR] = error
            self.parsed[DETAILS] = details


#: Does something to a line; False if it is let go.
Step = Callable[[Line], bool]


def steps_of(stages: Sequence[Stage]) -> Sequence[Step]:
    """What stages do, one after the other."""
    return [_step(stage) for stage in stages]


def passes(line: Line, steps: Sequence[Step]) -> bool:
    """Whether a line comes through; it is what the steps have made of it."""
    return all(step(line) for step in steps)


def _step(stage: Stage) -> Step:
    if isinstance(stage, LineFilter):
        test = line_filter_test(stage)
        return lambda line: test(line.text)
    if isinstance(stage, LabelFilter):
        return _filter(stage)
    if isinstance(stage, (DropStage, KeepStage)):
        return _select(stage)
    if isinstance(stage, LineFormatStage):
        return _line_format(stage)
    if isinstance(stage, LabelFormatStage):
        return _label_format(stage)
    if isinstance(stage, DecolorizeStage):
        return _decolorize
    return _extract(_extractor(stage))


def _extractor(stage: JsonStage | LogfmtStage | PatternStage | RegexpStage | UnpackStage) -> Extractor:
    if isinstance(stage, JsonStage):
        return json_extractor(stage.fields)
    if isinstance(stage, LogfmtStage):
        return logfmt_extractor(stage.fields, is_strict=stage.is_strict, keeps_empty=stage.keeps_empty)
    if isinstance(stage, PatternStage):
        return pattern_extractor(stage.pattern)
    if isinstance(stage, RegexpStage):
        return regexp_extractor(stage.pattern)
    return unpack_extractor()


def _extract(extractor: Extractor) -> Step:
    def step(line: Line) -> bool:
        found = extractor(line.text)
        own: Mapping[str, str] = dict((*line.stream, *line.metadata))
        for label, value in found.labels.items():
            # What the line was sent with stays beside what it says.
            name = f"{label}_extracted" if label in own or label in INDEXED else label
            if value:
                line.parsed[name] = value
        if found.line is not None:
            line.text = found.line
        if found.error is not None:
            line.fail(found.error, found.details)
        return True

    return step


def _filter(stage: LabelFilter) -> Step:
    test = condition_test(stage.condition)

    def step(line: Line) -> bool:
        try:
            return test(line.get)
        except Unreadable as error:
            line.fail("LabelFilterErr", str(error))
            return True

    return step


def _selected(given: Sequence[str | LabelMatcher]) -> Callable[[str, str], bool]:
    names = {each for each in given if isinstance(each, str)}
    tests = [(each.label, value_test(each)) for each in given if isinstance(each, LabelMatcher)]
    return lambda label, value: label in names or any(label == name and test(value) for name, test in tests)


def _select(stage: DropStage | KeepStage) -> Step:
    is_selected, is_kept = _selected(stage.labels), isinstance(stage, KeepStage)

    def step(line: Line) -> bool:
        for label, value in line.labels().items():
            # What went wrong with a line stays, unless it is named.
            if is_selected(label, value) is not is_kept and not (is_kept and label in (ERROR, DETAILS)):
                line.drop(label)
        return True

    return step


def _line_format(stage: LineFormatStage) -> Step:
    template = compile_template(stage.template)

    def step(line: Line) -> bool:
        try:
            line.text = template((line.labels(), line.text, line.time))
        except TextTooLong as error:
            line.fail("TemplateFormatErr", str(error))
        return True

    return step


def _label_format(stage: LabelFormatStage) -> Step:
    made = [
        (each.label, compile_template(each.source) if each.is_template else None, each.source)
        for each in stage.assignments
    ]

    def step(line: Line) -> bool:
        for label, template, source in made:
            if template is not None:
                try:
                    line.set(label, template((line.labels(), line.text, line.time)))
                except TextTooLong as error:
                    line.fail("TemplateFormatErr", str(error))
            elif value := line.get(source):
                line.set(label, value)
                line.drop(source)
        return True

    return step


def _decolorize(line: Line) -> bool:
    line.text = _COLORS.sub("", line.text)
    return True
