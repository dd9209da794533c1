"""When something is asked."""

from __future__ import annotations

from typing import NamedTuple


class Moment(NamedTuple):
    """When something is asked.

    :ivar cutoff: events at or before this time (ns) are not seen where no rule is about them.
    :ivar now: the present time (ns), by which rules go; None leaves rules and holds out.
    :ivar only_held: nothing is seen but what is held, whatever the rules are.
    """

    cutoff: int
    now: int | None = None
    only_held: bool = False


def moment_of(given: Moment | int) -> Moment:
    """A moment; a number is the cutoff of one without rules and holds."""
    return given if isinstance(given, Moment) else Moment(given)
