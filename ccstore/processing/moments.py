"""Times and durations in conditions, as far as they have nothing to do with time zones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import frozen

from ccstore.timing import SECOND


@frozen(order=True)
class Span:
    """A duration, as ``duration('1h')`` or the difference of two times."""

    nanoseconds: int


@frozen(order=True)
class Moment:
    """A time, as ``msg.Time()`` or ``now()``, in nanoseconds since the epoch."""

    nanoseconds: int


def add(one: Any, other: Any) -> Any:
    """The sum of two of these; None if they have none."""
    if isinstance(one, Moment) and isinstance(other, Moment):
        return None
    kind = Moment if isinstance(one, Moment) or isinstance(other, Moment) else Span
    return kind(one.nanoseconds + other.nanoseconds)


def subtract(one: Any, other: Any) -> Any:
    """Their difference; None if they have none."""
    if isinstance(one, Span) and isinstance(other, Moment):
        return None
    kind = Span if type(one) is type(other) else Moment
    return kind(one.nanoseconds - other.nanoseconds)


def _divided(unit: int) -> Callable[[Any], float]:
    return lambda span: float(span.nanoseconds / unit)


def _whole(unit: int) -> Callable[[Any], int]:
    return lambda moment: int(moment.nanoseconds // unit)


#: What times and durations can be asked, by the names that Go has, and what it is asked with.
METHODS: Final[Mapping[str, tuple[type, Callable[..., Any], tuple[type, ...]]]] = {
    "Unix": (Moment, _whole(SECOND), ()),
    "UnixMilli": (Moment, _whole(10**6), ()),
    "UnixMicro": (Moment, _whole(10**3), ()),
    "UnixNano": (Moment, _whole(1), ()),
    "Before": (Moment, lambda one, other: one < other, (Moment,)),
    "After": (Moment, lambda one, other: one > other, (Moment,)),
    "Equal": (Moment, lambda one, other: one == other, (Moment,)),
    "Sub": (Moment, subtract, (Moment,)),
    "Add": (Moment, add, (Span,)),
    "Hours": (Span, _divided(3600 * SECOND), ()),
    "Minutes": (Span, _divided(60 * SECOND), ()),
    "Seconds": (Span, _divided(SECOND), ()),
    "Milliseconds": (Span, _whole(10**6), ()),
    "Microseconds": (Span, _whole(10**3), ()),
    "Nanoseconds": (Span, _whole(1), ()),
}
