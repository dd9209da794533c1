"""A number for the values of a window of time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final


def variance(values: Sequence[float]) -> float:
    """The mean of the squares of how far values are from their mean."""
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / len(values)


def quantile(share: float, values: Sequence[float]) -> float:
    """The value below which a share of them lies, between two of them if need be."""
    if share < 0:
        return -math.inf
    if share > 1:
        return math.inf
    ranked = sorted(values)
    rank = share * (len(ranked) - 1)
    lower = math.floor(rank)
    upper = min(lower + 1, len(ranked) - 1)
    weight = rank - lower
    return ranked[lower] * (1 - weight) + ranked[upper] * weight


#: By the name of the function; the values are in the order of time.
FUNCTIONS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "count_over_time": len,
    "absent_over_time": len,
    "rate": math.fsum,
    "bytes_over_time": math.fsum,
    "bytes_rate": math.fsum,
    "sum_over_time": math.fsum,
    "avg_over_time": lambda values: math.fsum(values) / len(values),
    "min_over_time": min,
    "max_over_time": max,
    "first_over_time": lambda values: values[0],
    "last_over_time": lambda values: values[-1],
    "stddev_over_time": lambda values: math.sqrt(variance(values)),
    "stdvar_over_time": variance,
}
#: Those of them that are per second.
PER_SECOND: Final = ("rate", "bytes_rate")
#: Those that may be added up over series, and mean the same for all of them together.
ADDITIVE: Final = ("count_over_time", "rate", "bytes_over_time", "bytes_rate", "sum_over_time")
