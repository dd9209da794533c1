"""What has expired, said as simply as can be."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ccstore.message import StreamKey
from ccstore.storage.periods import Periods
from ccstore.storage.reading.moment import Moment


def has_expired(
    stream: StreamKey,
    time: int,
    moment: Moment,
    periods: Periods,
    holds: Iterable[tuple[Callable[[StreamKey], bool], tuple[int, int]]],
) -> bool:
    """Whether a message has, by the retention time, by rules, and by what is held."""
    if moment.now is None:
        return stream[1] == "event" and time <= moment.cutoff
    if any(test(stream) and begin <= time <= end for test, (begin, end) in holds):
        return False
    period = periods.of(stream)
    if period is None:
        return stream[1] == "event" and time <= moment.cutoff
    return time <= moment.now - period
