"""When events have expired."""

from __future__ import annotations

from ccstore.message import INT64_MIN
from ccstore.timing import nanoseconds


def cutoff_at(now: float, retention: float) -> int:
    """The time in nanoseconds at or before which events have expired, which is one that a database takes.

    :param now: in seconds, as is the retention time.
    """
    return max(nanoseconds(now - retention), INT64_MIN)
