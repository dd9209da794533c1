"""Times in the layouts of Go, in which an example shows how a time is to be written.

The example is always Monday, January 2 of 2006, 15:04:05 in the zone MST, see https://pkg.go.dev/time#Layout.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Final
from zoneinfo import ZoneInfo

from ccstore.instants import parse_moment
from ccstore.timing import SECOND

_MONTHS: Final = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAYS: Final = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def _offset(time: datetime, colon: str) -> str:
    text = f"{time:%z}"
    return f"{text[:3]}{colon}{text[3:5]}"


#: What each part of the example stands for, the longer one of two first; a fraction goes by its length.
_PARTS: Final[Mapping[str, Callable[[datetime], str]]] = {
    "January": lambda time: _MONTHS[time.month - 1],
    "Jan": lambda time: _MONTHS[time.month - 1][:3],
    "Monday": lambda time: _DAYS[time.weekday()],
    "Mon": lambda time: _DAYS[time.weekday()][:3],
    "MST": lambda time: f"{time:%Z}",
    "2006": lambda time: f"{time.year:04}",
    "-07:00": lambda time: _offset(time, ":"),
    "-0700": lambda time: _offset(time, ""),
    "-07": lambda time: _offset(time, "")[:3],
    "Z07:00": lambda time: _offset(time, ":") if time.utcoffset() else "Z",
    "Z0700": lambda time: _offset(time, "") if time.utcoffset() else "Z",
    "002": lambda time: f"{time:%j}",
    "01": lambda time: f"{time.month:02}",
    "02": lambda time: f"{time.day:02}",
    "03": lambda time: f"{time.hour % 12 or 12:02}",
    "04": lambda time: f"{time.minute:02}",
    "05": lambda time: f"{time.second:02}",
    "06": lambda time: f"{time.year % 100:02}",
    "15": lambda time: f"{time.hour:02}",
    "_2": lambda time: f"{time.day:2}",
    "PM": lambda time: "AM" if time.hour < 12 else "PM",
    "pm": lambda time: "am" if time.hour < 12 else "pm",
    "1": lambda time: str(time.month),
    "2": lambda time: str(time.day),
    "3": lambda time: str(time.hour % 12 or 12),
    "4": lambda time: str(time.minute),
    "5": lambda time: str(time.second),
}
_PART: Final = re.compile(
    "|".join([r"(?P<fraction>[.,](?:0{1,9}|9{1,9})(?![0-9]))", *map(re.escape, _PARTS)])
)


def in_layout(layout: str, moment: str, zone: str = "UTC") -> str:
    """A time as a layout has it; raises :class:`ValueError` or :class:`KeyError`.

    :param moment: as :func:`ccstore.instants.show_moment` shows it, or in another form that is read there.
    :param zone: its name, such as ``Europe/Berlin``.
    """
    nanoseconds = parse_moment(moment, 0, timezone.utc)
    seconds, fraction = divmod(nanoseconds, SECOND)
    time = datetime.fromtimestamp(seconds, timezone.utc if zone in ("UTC", "") else ZoneInfo(zone))

    def put_in(part: re.Match[str]) -> str:
        if part["fraction"] is None:
            return _PARTS[part[0]](time)
        digits = f"{fraction:09}"[: len(part[0]) - 1]
        if part[0][1] == "9":
            digits = digits.rstrip("0")
        return part[0][0] + digits if digits else ""

    return _PART.sub(put_in, layout)


def since_epoch(moment: str, unit: int) -> int:
    """How many units of so many nanoseconds have passed since 1970; raises :class:`ValueError`."""
    return parse_moment(moment, 0, timezone.utc) // unit
