"""Putting packed segments in the place of sealed ones: what whoever writes has to do for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final, Protocol

from ccstore.storage.blocks.block_format import COLUMNS, PackedBlock, runs_of
from ccstore.storage.census import PackedCensus
from ccstore.storage.dbfile.sql import Say, transaction
from ccstore.storage.sqlite import enumerating, segment_counts
from ccstore.storage.sqlite.packing_choice import PackingChoice
from ccstore.storage.sqlite.packing_plan import PackingPlan, Remnant
from ccstore.storage.sqlite.segments import is_merged
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

    def abandon(self, target: int) -> None: ...

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
        busy: Callable[[], Collection[int]],
        remnants: dict[int, Remnant],
    ) -> None:
        self._connection = connection
        self._say = say
        self._choice = choice
        self._sizes = choice.sizes
        self._busy = busy
        self._remnants = remnants
        self.deleted = 0
        self._run: PackingPlan | None = None
        self._obsolete: list[str] = []
        self._abandoned: list[int] = []
        self._failed: set[int] = set()

    def load(self, connection: sqlite3.Connection) -> None:
        """Forget what was not brought to an end, also by an earlier process; inside of a transaction."""
        self._run = None
        self._remnants.clear()
        self._obsolete, self._abandoned, self._failed = [], [], set()
        connection.execute("DELETE FROM segment WHERE kind = 'packing'")
        for table in ("vocabulary", "block_columns", "block"):
            connection.execute(f"DELETE FROM {table} WHERE segment NOT IN (SELECT id FROM segment)")

    def begin(self, before: int, small_before: int) -> tuple[Any, ...] | None:
        """Take what is to be packed next; None if there is nothing. See :meth:`PackingChoice.choose`."""
        if self._run is not None:
            self._leave(self._run.target)
        if self._abandoned:
            return None  # until it is tidied up
        run = self._begin_remnant() or self._begin_rows(before, small_before)
        self._run = run
        return None if run is None else run.pack()

    def _begin_remnant(self) -> PackingPlan | None:
        for number, remnant in [*self._remnants.items()]:
            there = self._connection.execute(
                "SELECT kind, row_count, packed FROM segment WHERE id = ?", (number,)
            ).fetchone()
            if there == (remnant.kind, remnant.rows, remnant.blocks) and number not in self._failed:
                return PackingPlan(self._make_target([number]), remnant.kind, (), remnant)
            del self._remnants[number]
        return None

    def _begin_rows(self, before: int, small_before: int) -> PackingPlan | None:
        others = {*self._failed, *self._busy()}
        sources = self._choice.choose(self._connection, before, small_before, others)
        if not sources:
            return None
        return PackingPlan(self._make_target([each.number for each in sources]), sources[0].kind, sources)

    def _make_target(self, sources: Sequence[int]) -> int:
        """The number of a new segment for what these have."""
        numbers = _list(sources)
        with transaction(self._connection):
            (target,) = self._connection.execute(
                "INSERT INTO segment (kind, first_id, opened_at, sealed_at, min_time, max_time, row_count) "
                "SELECT 'packing', min(first_id), min(opened_at), max(sealed_at), min(min_time), "
                f"max(max_time), sum(row_count) FROM segment WHERE id IN {numbers} "
                "RETURNING id"
            ).fetchone()
            # Nothing more is put into those that are for messages that were moved.
            self._connection.execute(
                f"UPDATE segment SET ends_at = begins_at WHERE begins_at IS NOT NULL AND id IN {numbers}"
            )
        return int(target)

    def to_do(self, before: int) -> int:
        """See :meth:`PackingChoice.to_do`."""
        return self._choice.to_do(self._connection, before)

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
            for table, names in (("block", _KNOWN), ("block_columns", _COLUMNS)):
                self._connection.execute(
                    f"INSERT INTO {table} (segment, number, {', '.join(names)}) "
                    f"VALUES (?, ?{', ?' * len(names)})",
                    (target, number, *[getattr(packed, name) for name in names]),
                )
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
        self._obsolete += [f"{run.kind}_{number}" for number in run.segments]
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
            self.remove(remnant.number)
            if blocks:
                connection.execute(
                    "UPDATE segment SET kind = ?, packed = ?, row_count = ?, min_time = ?, max_time = ? "
                    "WHERE id = ?",
                    (remnant.kind, blocks, *found, target),
                )
                enumerating.keep(connection, target, PackedCensus(*census))
        self._run = None
        if not blocks:
            self._abandoned.append(target)
        self._remnants.pop(remnant.number, None)
        self.deleted += remnant.rows - found[0]

    @property
    def sources(self) -> Sequence[int]:
        """The segments that are being packed."""
        return () if self._run is None else self._run.segments

    def remove(self, number: int) -> None:
        """Drop a packed segment; inside of a transaction. Its blocks go in steps, after that."""
        # Its number must not be given to another segment before its blocks are gone.
        self._connection.execute("UPDATE segment SET kind = 'packing', packed = 0 WHERE id = ?", (number,))
        segment_counts.forget(self._connection, [number])
        self._abandoned.append(number)

    def abandon(self, target: int) -> None:
        """Give a run up that fails; what there is of it is tidied up."""
        run = self._run_of(target)
        if run is not None and run.remnant is not None:
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
            self._abandoned.append(target)

    def tidy(self) -> bool:
        """Take some more of the space of what is not needed any more; False if there is nothing to do."""
        connection = self._connection
        if self._obsolete:
            table = self._obsolete[-1]
            with transaction(connection):
                if not self._delete_some(table):
                    connection.execute(f"DROP TABLE {table}")
                    self._obsolete.pop()
        elif self._abandoned:
            target = self._abandoned[-1]
            with transaction(connection):
                # What removed it may have been rolled back.
                is_gone = connection.execute(
                    "SELECT 1 FROM segment WHERE id = ? AND kind = 'packing'", (target,)
                ).fetchone()
                if not is_gone:
                    self._abandoned.pop()
                elif not delete_blocks(connection, target, self._sizes.deleted_blocks):
                    connection.execute("DELETE FROM segment WHERE id = ?", (target,))
                    self._abandoned.pop()
        else:
            return False
        return True

    def _delete_some(self, table: str) -> bool:
        """Delete some rows of a table that is too large to be dropped in one; False if it is not."""
        connection, most = self._connection, self._sizes.merged_rows
        if not is_merged(connection, table):
            return False
        last = connection.execute(
            f"SELECT stream, time, id FROM {table} ORDER BY stream, time, id LIMIT 1 OFFSET {most}"
        ).fetchone()
        if last is None:
            return False
        connection.execute(f"DELETE FROM {table} WHERE (stream, time, id) < (?, ?, ?)", last)
        return True


def delete_blocks(connection: sqlite3.Connection, segment: int, most: int) -> bool:
    """Delete some blocks of a segment; inside of a transaction. False if it has none.

    :param most: how many.
    """
    numbers = connection.execute(
        "SELECT number FROM block WHERE segment = ? ORDER BY number LIMIT ?", (segment, most)
    ).fetchall()
    for table in ("block_columns", "block"):
        connection.executemany(f"DELETE FROM {table} WHERE segment = {segment} AND number = ?", numbers)
    if not numbers:
        connection.execute("DELETE FROM vocabulary WHERE segment = ?", (segment,))
    return bool(numbers)


def _list(numbers: Iterable[int]) -> str:
    return f"({', '.join(map(str, numbers))})"
