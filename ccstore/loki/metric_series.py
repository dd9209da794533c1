"""Series of numbers, all with the same points in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from ccstore.loki.label_names import Labels
from ccstore.loki.syntax import Grouping

#: The values of a series at all points; None where there is none.
Values = list[float | None]
#: Series by their labels, which are in order.
Vector = dict[Labels, Values]


@frozen
class Grid:
    """Points in time.

    :ivar start: the first of them, in ns, as is ``step``.
    """

    start: int
    step: int = 1
    count: int = 1

    def time(self, index: int) -> int:
        """When a point is."""
        return self.start + index * self.step

    @property
    def last(self) -> int:
        """When the last one is."""
        return self.time(self.count - 1)


def ordered(labels: Mapping[str, str]) -> Labels:
    """Labels in order, without those that are empty."""
    return tuple(sorted((label, value) for label, value in labels.items() if value))


def grouped(labels: Labels, grouping: Grouping | None) -> Labels:
    """The labels of the group that a series belongs to; without a grouping there is one."""
    if grouping is None:
        return ()
    return tuple(each for each in labels if (each[0] in grouping.labels) is not grouping.is_without)


def names_of(grouping: Grouping | None) -> Sequence[str] | None:
    """The labels that tell groups apart; None if it takes all there are."""
    if grouping is None:
        return ()
    return None if grouping.is_without else grouping.labels


def not_empty(vector: Vector) -> Vector:
    """The series that have a value at any point."""
    return {labels: values for labels, values in vector.items() if any(each is not None for each in values)}
