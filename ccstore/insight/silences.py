"""When a host said nothing although it usually does, and when it was started again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from attrs import frozen

from ccstore.timing import SECOND

#: A silence is longer than this (ns), so many times longer than half of the gaps between messages, and than
#: nineteen of twenty of them.
LEAST: Final = 600 * SECOND
_TIMES_MEDIAN: Final = 10
_TIMES_USUAL: Final = 3
#: What a kernel or systemd says first.
BOOT: Final = (
    r"Linux version \d|Command line: .*(BOOT_IMAGE|root=)|[Rr]eboot(ed|ing)\b|systemd\[1\]: Startup finished"
    r"|System (is )?rebooting|slurmd version \S+ started|Booting (Linux|paravirtualized)"
)
_BOOT: Final = re.compile(BOOT)


@frozen
class Silence:
    """A time in which nothing came.

    :ivar begin: of the last message before it (ns), and ``end`` of the first one after it; None if it lasts.
    """

    begin: int
    end: int | None


@frozen
class Habit:
    """How often a host says anything; nanoseconds."""

    median: int
    usual: int
    threshold: int


def habit_of(times: Sequence[int]) -> Habit | None:
    """What is usual, by the gaps between messages in the order of time; None if these are too few to tell."""
    gaps = sorted(later - earlier for earlier, later in pairwise(times))
    if len(gaps) < 10:
        return None
    median, usual = gaps[len(gaps) // 2], gaps[len(gaps) * 19 // 20]
    return Habit(median, usual, max(LEAST, _TIMES_MEDIAN * median, _TIMES_USUAL * usual))


def silences_of(times: Sequence[int], habit: Habit, now: int) -> list[Silence]:
    """The silences, the newest first; the last one may last until ``now`` (ns)."""
    found = [
        Silence(earlier, later) for earlier, later in pairwise(times) if later - earlier > habit.threshold
    ]
    if times and now - times[-1] > habit.threshold:
        found.append(Silence(times[-1], None))
    return found[::-1]


def is_boot(text: str) -> bool:
    """Whether it is what a node says as it starts."""
    return _BOOT.search(text) is not None
