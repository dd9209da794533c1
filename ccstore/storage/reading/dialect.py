"""What the databases do not have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from attrs import frozen

from ccstore.holdings import Segment, Shares
from ccstore.message import Kind
from ccstore.query import Selection
from ccstore.storage.blocks.block_cache import BlockCache, BlockEntry, HeldBlock
from ccstore.storage.blocks.vocabulary import Chunk, ChunkHead
from ccstore.storage.reading.moment import Moment
from ccstore.storage.reading.statement import Reading, Values

T_co = TypeVar("T_co", covariant=True)


class Part(NamedTuple):
    """Tables that are read together, all of one kind.

    :ivar oldest: no row in them is older, in nanoseconds; None if that is not known. ``newest`` likewise.
    :ivar order: that of the rows in the one table: by ``id``, which is nearly that of time, or by ``stream``
        and then time; None if it is not known, or there are several. ``blocks`` is no order: there is no such
        table, and the rows are packed, see :meth:`Dialect.blocks`.
    :ivar is_window: only what is from ``oldest`` to ``newest``, both included, is to be read; what else the
        table has belongs to other parts.
    :ivar block: the one that is to be read of those that rows are packed in.
    :ivar may_have_nul: texts may have a NUL in them, behind which not every database looks.
    """

    kind: Kind
    tables: Sequence[str]
    oldest: int | None
    newest: int | None
    order: Literal["id", "stream", "blocks"] | None = None
    is_window: bool = False
    block: BlockEntry | None = None
    may_have_nul: bool = True


class StreamSpan(NamedTuple):
    """A stream, and the first and the last time (ns) of it that are meant."""

    stream: int
    first: int
    last: int


class Terms(NamedTuple):
    """What a database says of what has expired, and what is held.

    :ivar marks: what had expired when events were not kept as long as now: of the events with ids below the
        second number, those at or before the first (ns), if no rule is about them.
    :ivar periods: by kind, the shortest and the longest period (ns) of a rule, if there are rules for it.
    :ivar held_since: the first time (ns) that is held, if anything is.
    :ivar lapsed: the last time (ns) at which a message of a stream had expired by an earlier rule.
    """

    marks: Sequence[tuple[int, int]] = ()
    periods: Mapping[Kind, tuple[int, int]] = {}
    held_since: int | None = None
    lapsed: int | None = None

    @classmethod
    def of(cls, rows: Iterable[Sequence[Any]]) -> Terms:
        """From rows of what it is, and two numbers: a mark, a kind with its periods, held, or lapsed."""
        marks, periods = [], {}
        held_since = lapsed = None
        for what, one, other in rows:
            if one is None:
                continue
            if what == "mark":
                marks.append((one, other))
            elif what == "held":
                held_since = one
            elif what == "lapsed":
                lapsed = one
            else:
                periods[what] = (one, other)
        return cls(marks, periods, held_since, lapsed)

    def are_by_stream(self, kind: Kind) -> bool:
        """Whether it takes a look at the stream of a message of a kind to know whether it has expired."""
        is_held = kind == "event" and self.held_since is not None
        return is_held or kind in self.periods or self.lapsed is not None


@frozen
class Fetching:
    """How rows are fetched.

    :ivar rows: that one statement fetches at first; after that as many as have about ``size`` characters.
    :ivar most: that one statement fetches at most.
    :ivar streams: up to which an index is probed for each; of more it is said which they are.
    :ivar undivided: rows up to which they are looked at by one reader.
    """

    rows: int = 500
    most: int = 20_000
    size: int = 4 << 20
    streams: int = 200
    undivided: int = 300_000

    def after(self, rows: int, size: int) -> int:
        """Rows to fetch after so many, which had so many characters."""
        return max(1, min(self.most, 20 * rows, rows * self.size // (size + 1)))


class Dialect(Protocol):
    """The SQL of one database, in fragments: one for each thing that the databases say in another way.

    :ivar streams: the table of streams, with ``id`` and :data:`ccstore.storage.columns.LABEL_COLUMNS`.
    :ivar tables: the names of ``streams``, ``hold``, ``held`` and ``lapsed`` in the database.
    :ivar has_censuses: some parts have a census.
    :ivar block_cache: blocks that were read lately.
    """

    streams: str
    tables: Mapping[str, str]
    fetching: Fetching
    has_censuses: bool = False
    block_cache: BlockCache = BlockCache(0)

    def placeholder(self, number: int) -> str:
        """Where the parameter with this number, from 1, stands in a statement."""

    def parts(
        self,
        kind: Kind,
        begin: int,
        end: int,
        *,
        is_newest_first: bool,
        is_scan: bool,
        is_whole: bool,
        most: int | None,
    ) -> Reading[Sequence[Part]]:
        """What has to be read for times from ``begin`` to ``end``, both included, in the order of reading.

        :param is_scan: there are many streams, so that it is no use to look for the rows of each: parts are
            small.
        :param is_whole: all of it will be read, in any order: there are no windows.
        :param most: so many rows are taken as they come in the order of time; None if they have to be looked
            at first.
        """

    def census(self, part: Part, columns: Sequence[str]) -> Reading[Sequence[Any] | None]:
        """The census of a part of one table, if it has one.

        :param columns: those that are wanted of :class:`ccstore.storage.census.PackedCensus`.
        """
        yield from ()
        return None

    def templates(
        self, part: Part, begin: int, end: int, columns: Sequence[str]
    ) -> Reading[Sequence[Sequence[Any]] | None]:
        """What was counted of the templates of a part of one table, by hours; None if nothing was.

        :param begin: since the epoch, as is ``end``, the hour behind the last.
        :param columns: those that are wanted of :class:`ccstore.storage.template_counts.PackedTemplates`.
        """
        yield from ()
        return None

    def without(self, tables: frozenset[str]) -> Dialect:
        """The same, which does not see some of the tables; only where there are templates."""
        return self

    def blocks(self, part: Part, begin: int, end: int) -> Reading[Sequence[BlockEntry]]:
        """The blocks of a packed part with rows from one time (ns) to another, both included."""
        yield from ()
        return ()

    def fetch_block(self, block: HeldBlock, columns: Sequence[str]) -> Reading[None]:
        """Put some columns into a block; raises :class:`Damaged` if they are not there."""
        yield from ()

    def chunk_heads(self, part: Part, number: int, last: int) -> Reading[Sequence[ChunkHead]]:
        """Which chunks a vocabulary of a packed part has, in their order.

        :param number: of the vocabulary, of which each has some blocks.
        :param last: only those of sorts up to this one.
        """
        yield from ()
        return ()

    def chunks(self, part: Part, number: int, heads: Sequence[ChunkHead]) -> Reading[Sequence[Chunk]]:
        """Some of these chunks, which are of one sort and follow one on the other."""
        yield from ()
        return ()

    def terms(self, begin: int) -> Reading[Terms]:
        """What the database says of what has expired.

        :param begin: what is before that (ns) by the retention time does not matter.
        """

    def last_ids(self) -> Reading[Mapping[str, int]]:
        """By kind, an id that no message exceeds, and that all later ones will."""

    def parts_after(self, kind: Kind, number: int) -> Reading[Sequence[tuple[Sequence[Part], int]]]:
        """Where to look for messages of a kind with ids above a number, in the order of the ids.

        Each is some parts, and the id up to which they are to be read before the next.
        """

    def versions(self) -> Reading[tuple[str, int]]:
        """That of the database's program, for people, and that of our tables."""

    def segments(self) -> Reading[Sequence[Segment]]:
        """All segments or partitions, as far as they are known without a look at their rows."""

    def shares(self, segment: Segment) -> Reading[Shares | None]:
        """For how long the messages of a segment are kept, about; None if that is not known yet."""

    def streams_are(self, column: str, numbers: Sequence[int], values: Values) -> str:
        """A condition that is true for a few streams, which an index is probed for."""

    def streams_are_among(self, column: str, numbers: Sequence[int], values: Values) -> str:
        """The same for many."""

    def contains(self, column: str, what: str, values: Values, *, may_have_nul: bool) -> str:
        """A condition: ``othertags`` or ``text`` contains something, to the letter.

        :param may_have_nul: there may be a NUL in what the column has.
        """

    def contains_any_case(self, column: str, what: str, values: Values, *, may_have_nul: bool) -> str:
        """The same for what is ASCII, whose letters are found in upper and lower case."""

    @property
    def has_tests(self) -> bool:
        """A statement can ask Python about a row, without having it fetched for that."""

    def test(self, number: int, column: str) -> str:
        """A condition: the test of the statement with this number is true for a column.

        :param column: ``othertags`` or ``text``.
        """

    def equals(self, column: str, what: str) -> str:
        """A condition: a column of streams has this value, which an index may help to find."""

    def is_among(self, column: str, wanted: Sequence[str], values: Values) -> str:
        """A condition: a column of streams has one of these values, of which there may be many."""

    def modulo(self, dividend: str, divisor: int) -> str:
        """What is left of a division of whole numbers, with the sign of the dividend."""

    def greater(self, one: str, other: str) -> str:
        """The greater of two numbers."""

    def rows(self, columns: str, part: Part, within: str, outside: str | None, *, backwards: bool) -> str:
        """The rows of a part, as what stands behind FROM.

        :param backwards: the last ones first, if there is such an order.
        :param within: a condition for each of them.
        :param outside: a further one, which need not be prepared for each of them.
        """

    def window(self, columns: str, part: Part, within: str, streams: str | None, *, backwards: bool) -> str:
        """The same for a part that is a window.

        :param streams: a condition on the streams.
        """

    def spans(
        self, columns: str, part: Part, spans: Sequence[StreamSpan], within: str, values: Values
    ) -> str:
        """The rows of a part of one table in some spans, likewise; an index is probed for each of them.

        :param within: a condition for each of them besides.
        """


class Division(Protocol[T_co]):
    """How a question can be answered for parts of its time, and these answers be joined.

    It may be asked in another process, and has to be pickled for that.

    :ivar selection: whose time is divided.
    :ivar moment: when it is asked.
    """

    @property
    def selection(self) -> Selection: ...

    @property
    def moment(self) -> Moment: ...

    @property
    def may_be_enough(self) -> bool:
        """Whether the answer for a first part may need no other."""

    def about(self, selection: Selection) -> Question[Any]:
        """The question about a part of the time.

        :param selection: the same but for its times.
        """

    def is_enough(self, first: Any) -> bool:
        """Whether the answer for the first part, in the order of the selection, needs no other."""

    def joined(self, answers: Sequence[Any]) -> T_co:
        """The answer, from those for one part or more, which follow one on the other in that order."""


class Question(Protocol[T_co]):
    """What a backend can be asked; it has no need to know which questions there are."""

    @property
    def count(self) -> int:
        """How many queries it is, for the statistics."""
        return 1

    @property
    def is_long(self) -> bool:
        """It may have to look at many rows, for seconds."""
        return False

    @property
    def is_heavy(self) -> bool:
        """It works on what statements give for longer than the reactor could wait."""
        return False

    def division(self) -> Division[T_co] | None:
        """How it can be divided, if whoever answers it is to look at many rows."""
        return None

    def reading(self, dialect: Dialect) -> Reading[T_co]:
        """The statements to run, from one and the same state of the database, and what they come to."""
