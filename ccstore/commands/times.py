"""Moments and spans as people write and read them."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Final

from ccstore.durations import parse_duration

#: Seconds since the epoch that a moment may have: up to the year 9999.
_MOST: Final = 253402300799
_EXPECTED: Final = "a time: -1h (ago), -2d, now, 2026-01-31T12:00:00Z, or Unix seconds"
_STAMP: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d)(:\d\d)?(?:\.\d+)?)?\s?([Zz]|[+-]\d\d:?\d\d)?"
)


def parse_moment(text: str, now: float) -> int:
    """Seconds since the epoch; without an offset, the date and time are those of the local time zone.

    Raises ValueError with what would be right.
    """
    word = text.strip()
    if word.lower() == "now":
        return int(now)
    if re.fullmatch(r"[0-9]{1,12}", word) and int(word) <= _MOST:
        return int(word)
    if word.startswith("-"):
        try:
            return int(now - parse_duration(word[1:]))
        except ValueError:
            raise ValueError(f"expected {_EXPECTED}, got {text!r}") from None
    found = _STAMP.fullmatch(word)
    if found is not None:
        date, minutes, seconds, offset = found.groups()
        offset = "+00:00" if offset in ("Z", "z") else offset or ""
        if len(offset) == 5:
            offset = f"{offset[:3]}:{offset[3:]}"
        try:
            moment = datetime.fromisoformat(f"{date}T{minutes or '00:00'}{seconds or ':00'}{offset}")
            return int(moment.timestamp())
        except (ValueError, OverflowError, OSError):
            pass
    raise ValueError(f"expected {_EXPECTED}, got {text!r}")


def show_moment(seconds: float) -> str:
    """A moment for people, in the local time zone."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f} s"


def show_span(seconds: float) -> str:
    """A span for people, in the largest unit that fits."""
    seconds = abs(seconds)
    for size, unit in ((365 * 86400, "years"), (86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
