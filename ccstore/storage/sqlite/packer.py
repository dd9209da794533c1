"""Putting packed segments in the place of sealed ones: what whoever writes has to do for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final, Protocol

from ccstore.message import INT64_MIN
from ccstore.storage.blocks.block_format import COLUMNS, PackedBlock, runs_of
from ccstore.storage.census import PackedCensus
from ccstore.storage.dbfile.sql import Say, transaction
from ccstore.storage.sqlite import enumerating, segment_counts
from ccstore.storage.sqlite.packing_choice import PackingChoice
from ccstore.storage.sqlite.packing_leftovers import Leftovers
from ccstore.storage.sqlite.packing_plan import PackingPlan, Remnant
from ccstore.storage.sqlite.streams import note_in_segment
from ccstore.storage.sqlite.views import refresh_rows_views

#: In the table of blocks, and not beside the columns.
_KNOWN: Final = (*PackedBlock._fields[:5], "checksum", "streams")
_COLUMNS: Final = tuple(name for name in COLUMNS if name != "streams")


class StorePacker(Protocol):
    """See :class:`Packer`; called in the writer's thread."""

    def begin(self, before: int, small_before: int) -> tuple[Any, ...] | None: ...

    def insert(self, target: int, number: int, block: tuple[Any, ...]) -> bool: ...

    def index(self, target: int, part: int, chunks: Sequence[tuple[Any, ...]]) -> bool: ...

    def publish(self, target: int, census: tuple[Any, ...]) -> bool: ...

    def abandon(self, target: int, is_for_good: bool) -> None: ...

    def tidy(self) -> bool: ...


class Packer(StorePacker):
    """Has one run at a time, of segments that were sealed one after the other; in the writer's thread.

    The blocks are made by somebody else, who only reads. Until all of them are there and published nobody
    sees them; a restart forgets them, and begins again.

    :param busy: gives the segments that somebody else is about to change.
    :param remnants: by the numbers of packed segments: what stays of them, which is packed again.
    :ivar deleted: messages of these that were not kept, and not asked for yet.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        say: Say,
        choice: PackingChoice,
        leftovers: Leftovers,
        busy: Callable[[], Collection[int]],
        remnants: dict[int, Remnant],
    ) -> None:
        self._connection = connection
        self._say = say
        self._choice = choice
        self._leftovers = leftovers
        self._sizes = choice.sizes
        self._busy = busy
        self._remnants = remnants
        self.deleted = 0
        self._run: PackingPlan | None = None
        self._failed: set[int] = set()

    def load(self, connection: sqlite3.Connection) -> None:
        """Forget what was not brought to an end, also by an earlier process; inside of a transaction."""
        self._run = None
        self._remnants.clear()
        self._failed = set()
        self._leftovers.load(connection)

    def begin(self, before: int, small_before: int) -> tuple[Any, ...] | None:
        """Take what is to be packed next; None if there is nothing. See :meth:`PackingChoice.choose`.

        Whatever the times, what is kept of packed segments comes first.
        """
        if self._run is not None:
            self._leave(self._run.target)
        if self._leftovers.has_blocks:
            return None  # until it is tidied up
        connection, remnant = self._connection, self._next_remnant()
        if remnant is not None:
            target = _make_target(connection, [remnant.number])
            self._run = PackingPlan(target, remnant.kind, (), remnant)
            return self._run.pack()
        if before == INT64_MIN:
            return None
        others = {*self._failed, *self._busy()}
        sources = self._choice.choose(connection, before, small_before, others)
        if not sources:
            return None
        target = _make_target(connection, [source.number for source in sources])
        self._run = PackingPlan(target, sources[0].kind, sources)
        return self._run.pack()

    def to_do(self, before: int) -> int:
        """See :meth:`PackingChoice.to_do`."""
        return self._choice.to_do(self._connection, before)

    def _next_remnant(self) -> Remnant | None:
        for number, remnant in [*self._remnants.items()]:
            there = self._connection.execute(
                "SELECT kind, row_count, packed FROM segment WHERE id = ?", (number,)
            ).fetchone()
            if there == (remnant.kind, remnant.rows, remnant.blocks) and number not in self._failed:
                return remnant
            del self._remnants[number]
        return None

    def _run_of(self, target: int) -> PackingPlan | None:
        """The run that makes this segment; None if there is no such run any more."""
        return self._run if self._run is not None and self._run.target == target else None

    def insert(self, target: int, number: int, block: tuple[Any, ...]) -> bool:
        """Keep a block of a run; False if there is no such run any more."""
        run = self._run_of(target)
        if run is None:
            return False
        packed = PackedBlock(*block)
        with transaction(self._connection):
            insert_block(self._connection, target, number, packed)
            if run.kind == "event":
                # By that it is known which streams are gone.
                streams = {stream for stream, _ in runs_of(packed.streams, packed.rows)}
                note_in_segment(self._connection, target, streams, self._sizes.segments_passed)
        return True

    def index(self, target: int, part: int, chunks: Sequence[tuple[Any, ...]]) -> bool:
        """Keep the words of some blocks of a run; False if there is no such run any more."""
        if self._run_of(target) is None:
            return False
        with transaction(self._connection):
            self._connection.executemany(
                "INSERT INTO vocabulary (segment, part, sort, first, words, codes, masks) "
                f"VALUES ({target}, {part}, ?, ?, ?, ?, ?)",
                chunks,
            )
        return True

    def publish(self, target: int, census: tuple[Any, ...]) -> bool:
        """Put the blocks of a run in the place of its segments; False if that cannot be.

        :param census: of all of them.

        What those have goes bit by bit, after that.
        """
        run = self._run_of(target)
        if run is None:
            return False
        connection = self._connection
        blocks, rows, *span = connection.execute(
            "SELECT count(*), total(rows), min(first_time), max(last_time) FROM block WHERE segment = ?",
            (target,),
        ).fetchone()
        there = connection.execute(
            f"SELECT count(*), total(row_count) FROM segment WHERE id IN {_list(run.segments)}"
        ).fetchone()
        if there != (len(run.segments), run.rows):
            self._leave(target)  # messages were deleted meanwhile: it is begun again without them
            return False
        if run.remnant is not None:
            self._publish_remnant(run.remnant, target, blocks, (int(rows), *span), census)
            return True
        if rows != run.rows:
            self._say(
                f"{run.kind} segments {run.segments[0]} to {run.segments[-1]} have {rows:.0f} rows and not "
                f"{run.rows}, and are left as they are"
            )
            self._failed |= {*run.segments}
            self._leave(target)
            return False
        with transaction(connection):
            connection.execute(f"DELETE FROM segment WHERE id IN {_list(run.segments)}")
            segment_counts.unite(connection, run.segments, target, PackedCensus(*census))
            connection.execute(
                "UPDATE segment SET kind = ?, packed = ? WHERE id = ?", (run.kind, blocks, target)
            )
            refresh_rows_views(connection)
        self._leftovers.add_tables([f"{run.kind}_{number}" for number in run.segments])
        self._run = None
        return True

    def _publish_remnant(
        self, remnant: Remnant, target: int, blocks: int, found: Sequence[int], census: tuple[Any, ...]
    ) -> None:
        """Put what is kept in the place of a segment.

        :param found: its rows, and the times of the first and the last.
        """
        connection = self._connection
        with transaction(connection):
            self._leftovers.remove(remnant.number)
            if blocks:
                connection.execute(
                    "UPDATE segment SET kind = ?, packed = ?, row_count = ?, min_time = ?, max_time = ? "
                    "WHERE id = ?",
                    (remnant.kind, blocks, *found, target),
                )
                enumerating.keep(connection, target, PackedCensus(*census))
        self._run = None
        if not blocks:
            self._leftovers.add_segment(target)
        self._remnants.pop(remnant.number, None)
        self.deleted += remnant.rows - found[0]

    @property
    def sources(self) -> Sequence[int]:
        """The segments that are being packed."""
        return () if self._run is None else self._run.segments

    def abandon(self, target: int, is_for_good: bool) -> None:
        """Give a run up that fails; what there is of it is tidied up.

        :param is_for_good: it would fail again.
        """
        run = self._run_of(target)
        if is_for_good and run is not None and run.remnant is not None:
            # Else nothing else would be packed, such as where a block is damaged.
            self._failed |= {*run.segments}
        self._leave(target)

    def forget_remnants(self) -> None:
        """What is kept may be more than before, as by a hold."""
        self._remnants.clear()
        if self._run is not None and self._run.remnant is not None:
            self._leave(self._run.target)

    def _leave(self, target: int) -> None:
        if self._run_of(target) is not None:
            self._run = None
            self._leftovers.add_segment(target)

    def tidy(self) -> bool:
        """See :meth:`Leftovers.step`."""
        return self._leftovers.step()


def insert_block(connection: sqlite3.Connection, segment: int, number: int, packed: PackedBlock) -> None:
    """Store a block of a segment; inside of a transaction."""
    for table, names in (("block", _KNOWN), ("block_columns", _COLUMNS)):
        connection.execute(
            f"INSERT INTO {table} (segment, number, {', '.join(names)}) VALUES (?, ?{', ?' * len(names)})",
            (segment, number, *[getattr(packed, name) for name in names]),
        )


def _make_target(connection: sqlite3.Connection, sources: Sequence[int]) -> int:
    """The number of a new segment for what these have."""
    numbers = _list(sources)
    with transaction(connection):
        (target,) = connection.execute(
            "INSERT INTO segment (kind, first_id, opened_at, sealed_at, min_time, max_time, row_count, "
            "begins_at, ends_at) SELECT 'packing', min(first_id), min(opened_at), max(sealed_at), "
            "min(min_time), max(max_time), sum(row_count), min(begins_at), min(begins_at) "
            f"FROM segment WHERE id IN {numbers} RETURNING id"
        ).fetchone()
        # Nothing more is put into those that are for messages that were moved.
        connection.execute(
            f"UPDATE segment SET ends_at = begins_at WHERE begins_at IS NOT NULL AND id IN {numbers}"
        )
        # It has ids from among those of others, as what came late has, if one between was packed before.
        connection.execute(
            f"WITH mine AS (SELECT kind, first_id FROM segment WHERE id IN {numbers}) "
            "UPDATE segment SET begins_at = min_time, ends_at = min_time WHERE id = ? AND begins_at IS NULL "
            "AND EXISTS (SELECT 1 FROM segment s WHERE s.kind = (SELECT kind FROM mine) "
            "AND s.begins_at IS NULL AND s.first_id < (SELECT max(first_id) FROM mine) "
            f"AND s.first_id > (SELECT min(first_id) FROM mine) AND s.id NOT IN {numbers})",
            (target,),
        )
    return int(target)


def _list(numbers: Iterable[int]) -> str:
    return f"({', '.join(map(str, numbers))})"
