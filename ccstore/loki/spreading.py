"""Times for lines of one nanosecond, by which those who page can tell them apart.

Clients of Loki page by time alone: the next page begins at the time of the last line, and with more lines of
one nanosecond than a page has they would never come to its end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from ccstore.loki.pipeline import Line

MICROSECOND: Final = 1000


def spread(lines: Sequence[Line], tied: int) -> None:
    """Give all the lines of one microsecond, the oldest first, distinct times in it, if that is needed.

    It is if one nanosecond has more than ``tied`` lines, or two with the same text. More than a thousand
    lines share the nanoseconds there are.
    """
    if len(lines) < 2 or not _is_needed(lines, tied):
        return
    count = len(lines)
    begin = lines[0].time - lines[0].time % MICROSECOND
    before = begin - 1
    for index, line in enumerate(lines):
        if count > MICROSECOND:
            line.time = begin + index * MICROSECOND // count
        else:
            # As late as it was, or behind the one before, if there is still room for those that follow.
            before = line.time = min(max(line.time, before + 1), begin + MICROSECOND - (count - index))


def _is_needed(lines: Sequence[Line], tied: int) -> bool:
    times = Counter(line.time for line in lines)
    if len(times) == len(lines):
        return False
    return max(times.values()) > tied or len({(line.time, line.text) for line in lines}) < len(lines)
