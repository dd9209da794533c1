"""What a run of packing is about, as whoever writes tells it whoever packs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import astuple, frozen

from ccstore.message import Kind


@frozen
class SourceTable:
    """A sealed segment that is to be packed.

    :ivar number: that of the segment.
    :ivar first: the time of its oldest message, in nanoseconds; ``last`` is that of its newest.
    :ivar is_merged: it has its rows in the order of streams.
    """

    kind: Kind
    number: int
    rows: int
    first: int
    last: int
    is_merged: bool = False

    @property
    def table(self) -> str:
        """Its name."""
        return f"{self.kind}_{self.number}"


@frozen
class Remnant:
    """What is kept of a packed segment that is packed again without the rest.

    :ivar number: that of the segment, which has so many ``rows`` and ``blocks``.
    :ivar streams: all of whose messages are kept.
    :ivar held: streams of which what is held is kept.
    """

    kind: Kind
    number: int
    rows: int
    blocks: int
    streams: Sequence[int]
    held: Sequence[int]


@frozen
class PackingPlan:
    """Segments that become a packed one.

    :ivar target: the number of that.
    :ivar remnant: what it is to have, if that is not all of some tables.
    """

    target: int
    kind: Kind
    sources: Sequence[SourceTable]
    remnant: Remnant | None = None

    @property
    def segments(self) -> Sequence[int]:
        """The numbers of those that go."""
        if self.remnant is not None:
            return [self.remnant.number]
        return [source.number for source in self.sources]

    @property
    def rows(self) -> int:
        """Those of all that go."""
        if self.remnant is not None:
            return self.remnant.rows
        return sum([source.rows for source in self.sources])

    @property
    def first(self) -> int:
        """The time of the oldest message of the sources, in nanoseconds."""
        return min([source.first for source in self.sources])

    @property
    def last(self) -> int:
        """The time of the newest message of the sources, in nanoseconds."""
        return max([source.last for source in self.sources])

    def pack(self) -> tuple[Any, ...]:
        """As it is sent."""
        remnant = None if self.remnant is None else astuple(self.remnant, recurse=False)
        return (self.target, self.kind, [astuple(source) for source in self.sources], remnant)

    @classmethod
    def unpack(cls, sent: tuple[Any, ...]) -> PackingPlan:
        """As it was before it was sent."""
        target, kind, sources, remnant = sent
        tables = tuple([SourceTable(*source) for source in sources])
        return cls(target, kind, tables, None if remnant is None else Remnant(*remnant))
