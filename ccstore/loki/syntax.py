"""What a query in LogQL consists of."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

MatchOp = Literal["=", "!=", "=~", "!~"]
LineOp = Literal["|=", "!=", "|~", "!~", "|>", "!>"]
CompareOp = Literal["==", "!=", ">", ">=", "<", "<="]
#: What the number of a comparison or of a label is: itself, a duration (ns), or bytes.
Unit = Literal["number", "duration", "bytes"]


class LogQLError(ValueError):
    """A query that is wrong, or that cannot be answered here, in words for people.

    :param place: line and column where it is wrong, both from 1.
    """

    def __init__(self, text: str, place: tuple[int, int] | None = None) -> None:
        where = "" if place is None else f"parse error at line {place[0]}, col {place[1]}: "
        super().__init__(where + text)
        self.place = place


# -- the lines


@frozen
class LabelMatcher:
    """A condition on a label: ``app="x"``."""

    label: str
    op: MatchOp
    value: str


@frozen
class LineMatch:
    """One thing to look for in a line.

    :ivar is_ip: the value is an address, a range of them or a network.
    """

    value: str
    is_ip: bool = False


@frozen
class LineFilter:
    """A condition on a line: any of some values is found, or none of them."""

    op: LineOp
    values: tuple[LineMatch, ...]


@frozen
class Extraction:
    """A label that a parser makes, and the expression it is found by."""

    label: str
    expression: str


@frozen
class JsonStage:
    """``| json``; without fields, all that there are."""

    fields: tuple[Extraction, ...] = ()


@frozen
class LogfmtStage:
    """``| logfmt``.

    :ivar is_strict: a line that is no logfmt is an error.
    :ivar keeps_empty: keys without a value become labels, too.
    """

    fields: tuple[Extraction, ...] = ()
    is_strict: bool = False
    keeps_empty: bool = False


@frozen
class PatternStage:
    """``| pattern "<ip> <_>"``."""

    pattern: str


@frozen
class RegexpStage:
    """``| regexp "(?P<x>…)"``."""

    pattern: str


@frozen
class UnpackStage:
    """``| unpack``."""


@frozen
class DecolorizeStage:
    """``| decolorize``."""


@frozen
class LineFormatStage:
    """``| line_format "{{.x}}"``."""

    template: str


@frozen
class LabelAssignment:
    """A label that is made anew.

    :ivar source: the label that is renamed, or a template.
    """

    label: str
    source: str
    is_template: bool


@frozen
class LabelFormatStage:
    """``| label_format a=b, c="{{.d}}"``."""

    assignments: tuple[LabelAssignment, ...]


@frozen
class DropStage:
    """``| drop a, b="c"``: labels that are left out, some only with a value that matches."""

    labels: tuple[str | LabelMatcher, ...]


@frozen
class KeepStage:
    """``| keep a, b="c"``: the only labels that are kept."""

    labels: tuple[str | LabelMatcher, ...]


@frozen
class NumberCondition:
    """A label compared with a number, a duration (ns) or a size (bytes)."""

    label: str
    op: CompareOp
    value: float
    unit: Unit
    text: str


@frozen
class IpCondition:
    """A label that is, or is not, one of some addresses."""

    label: str
    op: Literal["=", "!="]
    value: str


@frozen
class AndCondition:
    """Both hold."""

    left: LabelCondition
    right: LabelCondition


@frozen
class OrCondition:
    """One of them holds."""

    left: LabelCondition
    right: LabelCondition


LabelCondition = LabelMatcher | NumberCondition | IpCondition | AndCondition | OrCondition


@frozen
class LabelFilter:
    """``| status >= 500``."""

    condition: LabelCondition


Stage = (
    LineFilter
    | JsonStage
    | LogfmtStage
    | PatternStage
    | RegexpStage
    | UnpackStage
    | DecolorizeStage
    | LineFormatStage
    | LabelFormatStage
    | DropStage
    | KeepStage
    | LabelFilter
)


@frozen
class LogQuery:
    """Which lines, and what is made of them."""

    matchers: tuple[LabelMatcher, ...]
    stages: tuple[Stage, ...] = ()


# -- numbers


@frozen
class Unwrap:
    """``| unwrap bytes(size)``: the label whose value is counted.

    :ivar conversion: None if the value is a number as it stands.
    :ivar conditions: that hold for those that are counted.
    """

    label: str
    conversion: Literal["bytes", "duration", "duration_seconds"] | None = None
    conditions: tuple[LabelCondition, ...] = ()


@frozen
class LogRange:
    """The lines of a time before a moment.

    :ivar duration: nanoseconds, as is ``offset``, by which the moment is earlier.
    """

    query: LogQuery
    duration: int
    offset: int = 0
    unwrap: Unwrap | None = None


@frozen
class Grouping:
    """``by (a, b)``, or without these."""

    labels: tuple[str, ...]
    is_without: bool = False


@frozen
class RangeAggregation:
    """A number for the lines of a range: ``rate({…}[5m])``."""

    op: str
    range: LogRange
    parameter: float | None = None
    grouping: Grouping | None = None


@frozen
class VectorAggregation:
    """Fewer series out of many: ``sum by (a) (…)``."""

    op: str
    inner: MetricExpression
    parameter: float | None = None
    grouping: Grouping | None = None


@frozen
class Matching:
    """Which labels two series must have in common: ``on (a)``, or all but these.

    :ivar many: on which side, ``left`` or ``right``, many series may belong to one of the other; None if
        there is one on each.
    :ivar taken: labels that these get from that one.
    """

    labels: tuple[str, ...]
    is_on: bool
    many: str | None = None
    taken: tuple[str, ...] = ()


@frozen
class BinaryOperation:
    """Two expressions put together.

    :ivar is_bool: a comparison gives 0 or 1 instead of leaving out.
    """

    op: str
    left: MetricExpression
    right: MetricExpression
    is_bool: bool = False
    matching: Matching | None = None


@frozen
class NumberLiteral:
    """A number, which is a scalar."""

    value: float


@frozen
class VectorLiteral:
    """``vector(1)``: a series without labels."""

    value: float


@frozen
class LabelReplace:
    """``label_replace(…)``: a label made of another one by a regular expression."""

    inner: MetricExpression
    target: str
    replacement: str
    source: str
    pattern: str


MetricExpression = (
    RangeAggregation | VectorAggregation | BinaryOperation | NumberLiteral | VectorLiteral | LabelReplace
)
Expression = LogQuery | MetricExpression
