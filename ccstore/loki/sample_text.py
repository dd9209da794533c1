"""Numbers and moments as Prometheus writes them."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final

_MILLISECOND: Final = 10**6
#: Below this, floating point numbers that are whole are written with all of their digits.
_WHOLE: Final = 1e21


def number_text(value: float) -> str:
    """A number without an exponent."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == int(value) and abs(value) < _WHOLE:
        return str(int(value))
    return format(Decimal(repr(float(value))), "f")


def seconds_of(time: int) -> float:
    """A time (ns) in seconds, to the millisecond."""
    milliseconds = time // _MILLISECOND
    return milliseconds // 1000 if milliseconds % 1000 == 0 else milliseconds / 1000
