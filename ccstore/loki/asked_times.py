"""Times, steps and limits as clients of Loki give them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from attrs import frozen

from ccstore.instants import parse_moment
from ccstore.loki.lexer import LONGEST_DURATION, duration_of
from ccstore.loki.metric_series import Grid
from ccstore.message import INT64_MAX, INT64_MIN
from ccstore.timing import SECOND
from ccstore.web import WebError

_WHOLE: Final = re.compile(r"-?[0-9]{1,19}")
_FLOAT: Final = re.compile(r"-?[0-9]{1,12}\.[0-9]*(?:[eE][+-]?[0-9]{1,2})?")
#: Up to so many digits, a number is in seconds.
_DIGITS: Final = 10
_HOUR: Final = 3600 * SECOND
_STEPS: Final = 250


@frozen
class Span:
    """A time, in ns; its end does not belong to it."""

    begin: int
    end: int


class Given:
    """The parameters of a request.

    :param now: nanoseconds.
    """

    def __init__(self, given: Mapping[str, Sequence[str]], now: int) -> None:
        self._given = given
        self.now = now

    def text(self, name: str) -> str | None:
        """The first value of a parameter; None if there is none."""
        return next((value for value in self._given.get(name, ()) if value), None)

    def texts(self, *names: str) -> Sequence[str]:
        """All values of these parameters."""
        return [value for name in names for value in self._given.get(name, ()) if value]

    def needed(self, name: str) -> str:
        """The first value of a parameter that has to be there; raises :class:`WebError`."""
        found = self.text(name)
        if found is None:
            raise WebError(400, f"{name}: it is needed, and not there")
        return found

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number from 1; raises :class:`WebError`."""
        given = self.text(name)
        if given is None:
            return min(default, most)
        if not re.fullmatch(r"[0-9]{1,9}", given) or not 1 <= int(given) <= most:
            raise WebError(400, f"{name}: expected a whole number from 1 to {most}, got {given[:40]!r}")
        return int(given)

    def moment(self, name: str, default: int) -> int:
        """A time in ns; raises :class:`WebError`."""
        given = self.text(name)
        if given is None:
            return default
        try:
            return _moment(given, self.now)
        except ValueError:
            raise WebError(
                400,
                f"{name}: expected a time: seconds with up to {_DIGITS} digits or with a point, nanoseconds,"
                f" or RFC 3339, got {given[:40]!r}",
            ) from None

    def duration(self, name: str, default: int, *, least: int = 1) -> int:
        """A duration, or seconds, in ns; raises :class:`WebError`."""
        given = self.text(name)
        if given is None:
            return default
        try:
            found = int(float(given) * SECOND) if _is_number(given) else duration_of(given)
        except (ValueError, OverflowError):
            found = -1
        if not least <= found <= LONGEST_DURATION:
            raise WebError(400, f"{name}: expected seconds or a duration such as 1m, got {given[:40]!r}")
        return found

    def span(self, since: int = _HOUR) -> Span:
        """``start`` and ``end``; raises :class:`WebError`.

        :param since: how long it is if nobody says, in ns.
        """
        end = self.moment("end", self.now)
        begin = self.moment("start", max(end - self.duration("since", since), INT64_MIN))
        if begin > end:
            raise WebError(400, "end: expected a time behind that of start")
        return Span(begin, end)

    def step(self, span: Span) -> int:
        """``step`` in ns; raises :class:`WebError`."""
        seconds = max((span.end - span.begin) // SECOND // _STEPS, 1)
        return self.duration("step", seconds * SECOND)

    def grid(self, span: Span, most: int) -> Grid:
        """The points of a time by ``step``; raises :class:`WebError`.

        :param most: points that there may be.
        """
        step = self.step(span)
        count = (span.end - span.begin) // step + 1
        if count > most:
            raise WebError(400, f"step: expected at most {most} points, got {count}: take a longer one")
        return Grid(span.begin, step, count)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3})?", text) is not None


def _moment(text: str, now: int) -> int:
    if _WHOLE.fullmatch(text):
        number = int(text)
        return number * SECOND if len(text.lstrip("-")) <= _DIGITS else _bounded(number)
    if _FLOAT.fullmatch(text):
        return _bounded(round(float(text) * 1000) * 10**6)
    if "T" not in text.upper():
        raise ValueError(text)
    return parse_moment(text, now)


def _bounded(time: int) -> int:
    return max(INT64_MIN, min(time, INT64_MAX))
