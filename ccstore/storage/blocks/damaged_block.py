"""What is said of a block that cannot be read."""

from __future__ import annotations

from attrs import frozen

from ccstore.instants import show_moment


@frozen
class DamagedBlock:
    """A block of which the rows cannot be read, and why.

    :ivar first: the time of its oldest message, in nanoseconds; ``last`` is that of its newest.
    """

    segment: int
    number: int
    kind: str
    rows: int
    first: int
    last: int
    why: str

    def __str__(self) -> str:
        span = f"from {show_moment(self.first)} to {show_moment(self.last)}"
        return (
            f"block {self.number} of segment {self.segment} is damaged ({self.why}): "
            f"{self.rows} {self.kind}s {span} cannot be read"
        )
