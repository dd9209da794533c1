"""Durations as people and Go write them: ``1h30m``, ``250ms``; here in days and weeks, too."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

_UNITS: Final = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "\u00b5s": Fraction(1, 10**6),  # the micro sign
    "\u03bcs": Fraction(1, 10**6),  # the Greek letter
    "ms": Fraction(1, 10**3),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
    "w": Fraction(7 * 86400),
}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h|d|w)")
#: Go keeps a duration in 63 bits of nanoseconds: about 292 years.
LONGEST: Final = Fraction(2**63 - 1, 10**9)
#: Units in which a duration is shown.
_SHOWN: Final = tuple((unit, int(_UNITS[unit] * 10**9)) for unit in ("d", "h", "m", "s", "ms", "us", "ns"))
#: What people write for them besides.
_WORDS: Final = {
    **dict.fromkeys(("week", "weeks"), "w"),
    **dict.fromkeys(("day", "days"), "d"),
    **dict.fromkeys(("hour", "hours", "hr", "hrs"), "h"),
    **dict.fromkeys(("minute", "minutes", "min", "mins"), "m"),
    **dict.fromkeys(("second", "seconds", "sec", "secs"), "s"),
}


class Duration(float):
    """Seconds that are shown as they were written."""

    text: str

    @classmethod
    def of(cls, text: str) -> Duration:
        """Raises ValueError, see :func:`parse_duration`."""
        made = cls(parse_duration(text))
        made.text = text
        return made


def parse_duration(text: str) -> float:
    """
    Read a duration, and give seconds.

    Units are ``w d h m s ms us ns``, several may follow one another, ``0`` needs none.

    :raises ValueError: if it is none, is negative, or longer than 292 years.
    """
    body = text.removeprefix("+")
    if body == "0":
        return 0.0
    total, position = Fraction(0), 0
    # Nothing sensible is longer, and the time for the arithmetic grows with it.
    while position < len(body) <= 100:
        part = _PART.match(body, position)
        if part is None:
            break
        total += Fraction(part[1]) * _UNITS[part[2]]
        position = part.end()
    if not body or position < len(body) or total > LONGEST:
        raise ValueError(f"not a duration: {text[:100]!r}")
    return float(total)


def show_duration(seconds: float) -> str:
    """A duration as it was written, if that is known; else in days and smaller units, to the nanosecond."""
    if isinstance(seconds, Duration):
        return seconds.text
    left = round(Fraction(seconds) * 10**9)
    parts = []
    for unit, size in _SHOWN:
        count, left = divmod(left, size)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


def in_seconds(nanoseconds: int) -> str:
    """A duration in seconds only, such as ``3600s`` or ``0.25s``, all of its digits."""
    whole, rest = divmod(nanoseconds, 10**9)
    return f"{whole}.{rest:09}".rstrip("0").rstrip(".") + "s"


def better_duration(text: str) -> str:
    """What somebody who wrote this, which is no duration, may have meant; empty if nobody knows."""
    found = re.fullmatch(r"([0-9]{1,9}) *([A-Za-z]*)", text.strip())
    if found is None:
        return ""
    word = found[2].lower()
    unit = _WORDS.get(word, word if word in _UNITS else "" if word else "s")
    return found[1] + unit if unit else ""
