"""Moments as people and programs write them, and as they are shown: nanoseconds since the epoch."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone, tzinfo
from fractions import Fraction
from typing import Final

from ccstore.durations import parse_duration
from ccstore.message import INT64_MAX, INT64_MIN
from ccstore.timing import SECOND, nanoseconds

EXPECTED: Final = (
    "a time: -2h (ago), -3d, now, today, yesterday, 09:00, 2026-01-31, 2026-01-31T12:00:00Z,"
    " or seconds, ms, µs or ns since the epoch"
)
_NUMBER: Final = re.compile(r"(-?[0-9]{1,20})(\.[0-9]{1,9})?")
_AGO: Final = re.compile(r"(?:now)?-(?=[0-9.])(.+)")
_CLOCK: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")
_STAMP: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9})[0-9]*)?)?)?"
    r" ?([Zz]|[+-][0-9]{2}:?[0-9]{2})?"
)
#: Numbers below these are seconds, milliseconds and microseconds; of times since 1973 none is two of these.
_UNITS: Final = ((10**11, SECOND), (10**14, 10**6), (10**17, 10**3))
_NOT_AGO: Final = 10**8
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def parse_moment(text: str, now: int, zone: tzinfo | None = None) -> int:
    """A moment in nanoseconds; raises :class:`ValueError` that says what would be right.

    :param now: nanoseconds.
    :param zone: of dates and times without an offset; None is the one of this machine.
    """
    word = text.strip()
    found = _relative(word, now)
    if found is None:
        try:
            found = _number(word) or _on_the_calendar(word, now, zone) or _stamp(word, zone)
        except (ValueError, OverflowError, OSError):
            found = None
    if found is None or not INT64_MIN <= found[0] <= INT64_MAX:
        raise ValueError(f"expected {EXPECTED}, got {text[:60]!r}")
    return found[0]


# Each of these gives a tuple, since the moment 0 is one, too.


def _relative(word: str, now: int) -> tuple[int] | None:
    if word.lower() == "now":
        return (now,)
    ago = _AGO.fullmatch(word)
    if ago is None:
        return None
    try:
        return (now - nanoseconds(parse_duration(ago[1])),)
    except ValueError:
        return None


def _number(word: str) -> tuple[int] | None:
    found = _NUMBER.fullmatch(word)
    if found is None:
        return None
    value = int(found[1])
    if found[1].startswith("-") and abs(value) < _NOT_AGO:
        return None  # rather a span of time that lacks its unit
    unit = next((unit for most, unit in _UNITS if abs(value) < most), 1)
    fraction = Fraction(found[2] or "0") * unit
    return (value * unit + int(-fraction if word.startswith("-") else fraction),)


def _on_the_calendar(word: str, now: int, zone: tzinfo | None) -> tuple[int] | None:
    today = datetime.fromtimestamp(now // SECOND, zone).date()
    days = {"today": 0, "yesterday": 1, "tomorrow": -1}
    if word.lower() in days:
        return (_at(today - timedelta(days[word.lower()]), 0, 0, 0, zone),)
    clock = _CLOCK.fullmatch(word)
    if clock is None:
        return None
    hour, minute, second = (int(part or 0) for part in clock.groups())
    return (_at(today, hour, minute, second, zone),)


def _stamp(word: str, zone: tzinfo | None) -> tuple[int] | None:
    found = _STAMP.fullmatch(word)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    if found[8] is not None:
        sign, digits = found[8][0], found[8][1:].replace(":", "")
        offset = timedelta() if sign in "Zz" else timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        zone = timezone(-offset if sign == "-" else offset)
    return (_at(date(year, month, day), hour, minute, second, zone) + int((found[7] or "").ljust(9, "0")),)


def _at(day: date, hour: int, minute: int, second: int, zone: tzinfo | None) -> int:
    # A leap second is the first of the next minute.
    leap = second == 60
    moment = datetime(day.year, day.month, day.day, hour, minute, second - leap, tzinfo=zone)
    # Without a zone it is the local time, whose offset is another one in summer.
    moment = moment.astimezone(timezone.utc)
    return ((moment - _EPOCH) // timedelta(seconds=1) + leap) * SECOND


def show_moment(moment: int) -> str:
    """RFC 3339 in UTC with all nanoseconds; what lies outside of the years 1 to 9999 as seconds."""
    second, rest = divmod(moment, SECOND)
    return f"{show_second(second)}.{rest:09}Z"


def show_second(second: int) -> str:
    """A second since the epoch, as the beginning of RFC 3339 in UTC."""
    return (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")
