"""A query for lines, divided: what the store finds, and what is left to do with each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from ccstore.loki.label_conditions import labels_in, value_test
from ccstore.loki.label_names import DETECTED, level_matcher, selected_label, stored_label
from ccstore.loki.line_conditions import text_conditions
from ccstore.loki.pipeline import DETAILS, ERROR
from ccstore.loki.syntax import (
    AndCondition,
    DecolorizeStage,
    DropStage,
    KeepStage,
    LabelCondition,
    LabelFilter,
    LabelMatcher,
    LineFilter,
    LineFormatStage,
    LogQLError,
    LogQuery,
    Stage,
    UnpackStage,
)
from ccstore.message import INT64_MAX, INT64_MIN, STORED_KINDS, Kind
from ccstore.query import Matcher, Selection, TextCondition

_CHANGES_LINE: Final = (LineFormatStage, UnpackStage, DecolorizeStage)
#: They look at labels alone, and so do as well with many lines at once.
_OF_LABELS: Final = (LabelFilter, DropStage, KeepStage)


@frozen
class Plan:
    """How a query for lines is answered.

    :ivar selection: what the store finds, from all of its time.
    :ivar stages: what is left to be done with each line.
    """

    selection: Selection
    stages: tuple[Stage, ...]

    @property
    def is_of_labels(self) -> bool:
        """What is left looks at labels alone."""
        return all(isinstance(stage, _OF_LABELS) for stage in self.stages)

    def labels(self) -> set[str] | None:
        """The labels that the rest looks at; None for all."""
        found: set[str] = set()
        for stage in self.stages:
            if isinstance(stage, LabelFilter):
                found |= labels_in(stage.condition)
            elif isinstance(stage, DropStage):
                found |= {each if isinstance(each, str) else each.label for each in stage.labels}
            elif not isinstance(stage, KeepStage):
                return None
        return found


def plan_of(query: LogQuery, *, may_be_empty: bool = False) -> Plan:
    """Divide a query; raises :class:`LogQLError`.

    :param may_be_empty: the selector may have no condition at all.
    """
    if not may_be_empty:
        _check_matchers(query.matchers)
    matchers: list[Matcher] = []
    texts: list[TextCondition] = []
    left: list[Stage] = []
    for matcher in query.matchers:
        if not _push(matcher, selected_label(matcher.label), matchers):
            left.append(LabelFilter(matcher))
    are_labels_as_stored = is_line_as_stored = True
    for stage in query.stages:
        if isinstance(stage, LineFilter) and is_line_as_stored:
            conditions = text_conditions(stage)
            if conditions is not None:
                texts += conditions
                continue
        if isinstance(stage, LabelFilter) and are_labels_as_stored:
            rest = [each for each in _conjuncts(stage.condition) if not _push_condition(each, matchers)]
            left += map(LabelFilter, rest)
            continue
        if is_for_errors_only(stage) and not left:
            continue
        left.append(stage)
        are_labels_as_stored &= isinstance(stage, (LabelFilter, LineFilter))
        is_line_as_stored &= not isinstance(stage, _CHANGES_LINE)
    return Plan(_selection(matchers, texts), tuple(left))


def _check_matchers(matchers: Sequence[LabelMatcher]) -> None:
    if any(not value_test(matcher)("") for matcher in matchers):
        return
    raise LogQLError(
        'the selector needs a condition that a label without a value does not meet, such as cluster="…" or'
        ' cluster=~".+"'
    )


def is_for_errors_only(stage: Stage) -> bool:
    """It only takes away the notes of errors, of which there are none before the first stage."""
    return isinstance(stage, DropStage) and all(each in (ERROR, DETAILS) for each in stage.labels)


def _conjuncts(condition: LabelCondition) -> Sequence[LabelCondition]:
    if isinstance(condition, AndCondition):
        return [*_conjuncts(condition.left), *_conjuncts(condition.right)]
    return [condition]


def _push_condition(condition: LabelCondition, matchers: list[Matcher]) -> bool:
    if not isinstance(condition, LabelMatcher):
        return False
    if condition.label in (ERROR, DETAILS):
        return value_test(condition)("")
    if condition.label == DETECTED and condition.op == "=":
        # What the store finds by it is looked at again.
        matchers.append(level_matcher(condition.value))
        return False
    return _push(condition, stored_label(condition.label), matchers)


def _push(matcher: LabelMatcher, stored: str | None, matchers: list[Matcher]) -> bool:
    """Let the store see to a condition, if it can."""
    if stored is None:
        return False
    matchers.append(Matcher(stored, matcher.op, matcher.value))
    return True


def _selection(matchers: Sequence[Matcher], texts: Sequence[TextCondition]) -> Selection:
    # Clusters and kinds stand apart from the other labels.
    clusters: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = STORED_KINDS
    others: list[Matcher] = []
    for matcher in matchers:
        if matcher.label == "cluster" and matcher.op == "=" and not clusters and all(matcher.values):
            clusters = matcher.values
        elif matcher.label == "kind":
            test = value_test(LabelMatcher("kind", matcher.op, matcher.values[0]))
            kinds = tuple(kind for kind in kinds if test(kind))
        else:
            others.append(matcher)
    return Selection(clusters, kinds, INT64_MIN, INT64_MAX + 1, tuple(others), tuple(texts))
