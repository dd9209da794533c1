"""Moments and spans as people read them; ``ccstore.instants`` has how they write them."""

from __future__ import annotations

from datetime import datetime, timezone


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


def show_short_span(seconds: float) -> str:
    """The same in few characters, for tables."""
    for size, unit in ((365 * 86400, "y"), (86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
