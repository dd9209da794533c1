"""How long the steps are in which messages are counted."""

from __future__ import annotations

from typing import Final

from ccstore.api.parameters import Parameters
from ccstore.durations import parse_duration, show_duration
from ccstore.query import Selection
from ccstore.timing import SECOND, nanoseconds

_MOST_BUCKETS: Final = 10_000
#: So that a step before the first moment there can be is a number of the databases, too.
_LONGEST_STEP: Final = 10_000 * 86400 * SECOND
#: Lengths of steps that people can read off an axis, in seconds.
_STEPS: Final = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10800, 21600, 43200, 86400, 2 * 86400, 7 * 86400, 28 * 86400, 364 * 86400),
)


def step_of(parameters: Parameters, selection: Selection, now: int, usual: int) -> int:
    """The length of a step in nanoseconds, which is a good one to read if only their number is given.

    :param now: nanoseconds; nothing is expected behind it.
    :param usual: how many there are if nobody says.
    """
    end = min(selection.end, max(now, selection.begin + 1))
    span = max(end - selection.begin, 1)
    if parameters.is_given("step") and parameters.is_given("buckets"):
        parameters.problems.append("step: expected either step or buckets, got both")
    buckets = parameters.number("buckets", usual, least=1, most=_MOST_BUCKETS)
    longest = nanoseconds(_STEPS[-1])
    nice = next((nanoseconds(step) for step in _STEPS if nanoseconds(step) * buckets >= span), longest)
    step = parameters.one("step", _read_step, nice)
    if parameters.is_given("step") and step * _MOST_BUCKETS < span:
        least = show_duration(-(-span // _MOST_BUCKETS // SECOND) or 1)
        parameters.problems.append(
            f"step: expected at least {least} for so long a time, got more steps than {_MOST_BUCKETS}"
        )
    return step


def _read_step(text: str) -> int:
    step = nanoseconds(parse_duration(f"{text}s" if text.isdigit() else text))
    if not 10**6 <= step <= _LONGEST_STEP:
        raise ValueError(
            f"expected a duration of at least 1ms and at most 10000d, such as 1h, got {text[:40]!r}"
        )
    return step
