"""What was looked for in a text, so that people see it there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ccstore.regex import compile_regex, quote


class Marks:
    """Finds what was looked for.

    :param texts: that occur, in any case; ``patterns`` are regular expressions (RE2). What is no expression
        is passed over: the daemon says what is wrong with it.
    """

    def __init__(self, texts: Sequence[str], patterns: Sequence[str]) -> None:
        self._expressions: list[Any] = [
            compile_regex(quote(text), ignores_case=True) for text in filter(None, texts)
        ]
        for pattern in patterns:
            try:
                self._expressions.append(compile_regex(pattern))
            except ValueError:
                continue

    def parts(self, text: str) -> list[tuple[str, bool]]:
        """The text in parts, and for each of them whether it was looked for."""
        data = text.encode("utf-8", "surrogatepass")
        parts: list[tuple[str, bool]] = []
        place = 0
        for start, end in self._spans(data):
            for begin, until, is_found in ((place, start, False), (start, end, True)):
                if begin < until:
                    parts.append((data[begin:until].decode("utf-8", "surrogatepass"), is_found))
            place = end
        rest = data[place:].decode("utf-8", "surrogatepass")
        return [*parts, (rest, False)] if rest else parts

    def _spans(self, data: bytes) -> list[tuple[int, int]]:
        """Where something is found, in order; what overlaps is one."""
        found = sorted(
            match.span() for expression in self._expressions for match in expression.finditer(data)
        )
        spans: list[tuple[int, int]] = []
        for start, end in found:
            if spans and start <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            elif start < end:
                spans.append((start, end))
        return spans
