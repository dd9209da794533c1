"""What a database holds, as far as that is known without a look at its messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen

from ccstore.message import STORED_KINDS, Kind


@frozen
class Segment:
    """A segment, or a partition.

    :ivar name: of its table.
    :ivar is_sealed: nothing is appended to it any more.
    :ivar rows: about how many; None if that is not known, as all that follows.
    :ivar oldest: about the time of its first message, in nanoseconds; ``newest`` of its last.
    :ivar size: bytes.
    :ivar goes_by: it is deleted when nothing is kept that is as old as this (ns). In :class:`Holdings` only
        those have it that are deleted some time, together with events of this time that no rule is about.
    """

    name: str
    kind: Kind
    is_sealed: bool
    rows: int | None = None
    oldest: int | None = None
    newest: int | None = None
    size: int | None = None
    goes_by: int | None = None


@frozen
class Share:
    """Messages of a segment whose streams are kept for the same time.

    :ivar period: nanoseconds; None if no rule is about them.
    :ivar held: of the rows, those that are held.
    """

    period: int | None
    rows: int
    held: int


@frozen
class Shares:
    """For how long the messages of a segment are kept, about.

    :ivar moved: so many that are kept are moved elsewhere, at most, so that the segment goes.
    """

    each: Sequence[Share]
    moved: int

    @classmethod
    def by_stream(
        cls, counts: Mapping[int, int], told: Iterable[tuple[int, int | None, bool]], moved: int
    ) -> Shares:
        """From the messages of each stream.

        :param told: for each stream its period, and whether anything of it is held: then all is taken to be.
        """
        rows: Counter[int | None] = Counter()
        held: Counter[int | None] = Counter()
        for stream, period, is_held in told:
            rows[period] += counts[stream]
            held[period] += counts[stream] * is_held
        return cls([Share(period, count, held[period]) for period, count in rows.items()], moved)

    def goes_after(self, retention: int | None) -> int | None:
        """So many nanoseconds after its time the segment goes; None if it never does.

        :param retention: nanoseconds after which messages expire that no rule is about; None is never.
        """
        periods = [retention if each.period is None else each.period for each in self.each]
        for period in sorted({each for each in periods if each is not None}):
            kept = sum(
                each.held if own is not None and own <= period else each.rows
                for own, each in zip(periods, self.each, strict=True)
            )
            if not kept or kept <= self.moved:
                return period
        return None


@frozen
class Holding:
    """All segments of a kind; see :class:`Segment` for what they have in common."""

    kind: Kind
    segments: int
    sealed: int
    rows: int | None
    oldest: int | None
    newest: int | None
    size: int | None


@frozen
class Holdings:
    """What there is.

    :ivar version: of the database's program, for people.
    :ivar schema: the version of our tables.
    :ivar kinds: one for each kind of messages.
    :ivar leaving: the segments that are deleted next, the first one first.
    """

    version: str
    schema: int
    kinds: Sequence[Holding]
    leaving: Sequence[Segment]


def holdings_of(version: str, schema: int, segments: Iterable[Segment], *, leaving: int) -> Holdings:
    """What there is, of all segments.

    :param leaving: so many of those that are deleted next are named; none that is known to be empty.
    """
    segments = [*segments]
    kinds = [_holding(kind, [each for each in segments if each.kind == kind]) for kind in STORED_KINDS]
    going = [each for each in segments if each.goes_by is not None and each.rows != 0]
    going.sort(key=lambda each: (each.goes_by, each.name))
    return Holdings(version, schema, kinds, going[:leaving])


def _holding(kind: Kind, segments: Sequence[Segment]) -> Holding:
    full = [each for each in segments if each.rows != 0]
    rows = [each.rows for each in segments if each.rows is not None]
    sizes = [each.size for each in segments if each.size is not None]
    oldest = [each.oldest for each in full if each.oldest is not None]
    newest = [each.newest for each in full if each.newest is not None]
    return Holding(
        kind,
        len(segments),
        sum(each.is_sealed for each in segments),
        sum(rows) if len(rows) == len(segments) else None,
        min(oldest, default=None),
        max(newest, default=None),
        sum(sizes) if sizes and len(sizes) == len(segments) else None,
    )
