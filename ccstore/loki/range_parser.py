"""Reads the ranges of functions: lines, a time, and what is counted of them."""

from __future__ import annotations

from typing import Final, Literal

from attrs import evolve, frozen

from ccstore.loki.log_parser import LogParser
from ccstore.loki.reading_words import Words, names_in
from ccstore.loki.syntax import LogQuery, LogRange, Unwrap

_CONVERSIONS: Final[tuple[Literal["bytes", "duration", "duration_seconds"], ...]] = (
    *("bytes", "duration", "duration_seconds"),
)


@frozen
class _Range:
    """What is known so far of a range."""

    query: LogQuery
    duration: int | None = None
    offset: int = 0
    unwrap: Unwrap | None = None


class RangeParser:
    """Reads ranges.

    :param lines: reads what they say of lines.
    """

    def __init__(self, words: Words, lines: LogParser) -> None:
        self._words = words
        self._lines = lines

    def range(self) -> LogRange:
        """A range with its parts, whatever their order is."""
        found = self._log_range()
        if found.duration is None:
            self._words.fail("a range such as [5m]")
        return LogRange(found.query, found.duration, found.offset, found.unwrap)

    def _log_range(self) -> _Range:
        words = self._words
        if words.take_op("("):
            words.nest(4)
            found = self._log_range()
            words.expect_op(")")
        else:
            if not words.is_op("{"):
                words.fail('a selector such as {cluster="…"}')
            found = _Range(LogQuery(self._lines.labels.selector()))
        while (more := self._more_of_range(found)) is not None:
            found = more
        return found

    def _more_of_range(self, found: _Range) -> _Range | None:
        words = self._words
        if words.next.kind == "range":
            if found.duration is not None:
                words.wrong("there are two ranges")
            token = words.next
            duration = words.duration()
            if duration <= 0:
                words.wrong("the range has to be longer than nothing", token)
            return evolve(found, duration=duration)
        if words.is_name("offset"):
            words.take()
            sign = -1 if words.take_op("-") else 1
            return evolve(found, offset=sign * words.duration())
        if self._lines.is_at_unwrap():
            if found.unwrap is not None:
                words.wrong("there are two unwrap, and one is the most there may be")
            return evolve(found, unwrap=self._unwrap())
        if words.is_op("|") and found.unwrap is not None:
            words.take()
            conditions = (*found.unwrap.conditions, self._lines.labels.condition())
            return evolve(found, unwrap=evolve(found.unwrap, conditions=conditions))
        stages = self._lines.stages()
        if not stages:
            return None
        return evolve(found, query=evolve(found.query, stages=(*found.query.stages, *stages)))

    def _unwrap(self) -> Unwrap:
        words = self._words
        words.take()
        words.take()
        token = words.expect("name")
        if not words.take_op("("):
            return Unwrap(token.value)
        conversion = next((each for each in _CONVERSIONS if each == token.value.lower()), None)
        if conversion is None:
            words.wrong(f"unwrap takes {names_in(_CONVERSIONS)}, not {token.value[:40]!r}", token)
        label = words.label()
        words.expect_op(")")
        return Unwrap(label, conversion)
