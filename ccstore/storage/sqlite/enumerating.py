"""The censuses of segments: kept with them, and taken of those that have none."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from attrs import define

from ccstore.storage.census import CensusTaker, PackedCensus, stream_numbers
from ccstore.storage.dbfile.sql import transaction
from ccstore.storage.levels import Levels
from ccstore.storage.sqlite.segments import is_merged, is_there, next_rows
from ccstore.storage.sqlite.sizes import SegmentSizes

_COLUMNS: Final = ", ".join(PackedCensus._fields)
#: Segments with a census that lacks nothing, as those of earlier versions do.
COUNTED: Final = "(SELECT segment FROM census WHERE levels IS NOT NULL)"


def keep(connection: sqlite3.Connection, segment: int, census: PackedCensus) -> None:
    """Keep the census of a sealed segment; inside of the transaction that seals it."""
    values = ", ".join("?" * len(census))
    connection.execute(
        f"INSERT OR REPLACE INTO census (segment, {_COLUMNS}) VALUES (?, {values})", (segment, *census)
    )


def kept(connection: sqlite3.Connection, segment: int) -> PackedCensus:
    """The census of a segment that has one."""
    found = connection.execute(f"SELECT {_COLUMNS} FROM census WHERE segment = ?", (segment,))
    return PackedCensus(*found.fetchone())


def forget(connection: sqlite3.Connection, segments: Iterable[int]) -> None:
    """Segments are gone, or have other messages; inside of the transaction in which they do."""
    connection.executemany("DELETE FROM census WHERE segment = ?", [(number,) for number in segments])


class Names:
    """Which streams have the same cluster, kind and name.

    :param most: streams that are kept in mind.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[int, int] = {}
        self._first: dict[str, int] = {}

    def forget(self, connection: sqlite3.Connection) -> None:
        """Streams may be others than before."""
        self._known.clear()
        self._first.clear()

    def of(self, connection: sqlite3.Connection, streams: Collection[int]) -> Mapping[int, int]:
        """For each of these streams one that has the same cluster, kind and name."""
        unknown = [stream for stream in streams if stream not in self._known]
        if len(self._known) + len(unknown) > self._most:
            self.forget(connection)
            unknown = [*streams]
        if unknown:
            (found,) = connection.execute(
                "SELECT json_group_array(json_array(id, json_array(cluster, kind, name))) FROM stream "
                "WHERE id IN (SELECT value FROM json_each(?))",
                (json.dumps(unknown),),
            ).fetchone()
            for stream, name in json.loads(found):
                self._known[stream] = self._first.setdefault(json.dumps(name), stream)
        return self._known


@define
class _Run:
    """A segment of which the census is being taken.

    :ivar behind: stream, time and id of the row that was counted last.
    :ivar census: as soon as all are counted.
    """

    table: str
    segment: int
    rows: int
    is_merged: bool
    taker: CensusTaker
    behind: tuple[int, int, int] = (-1, 0, 0)
    census: PackedCensus | None = None


class Enumerator:
    """Takes the censuses of sealed segments that have none, in steps; runs in the writer's thread.

    They are those in which each message has to be looked at, those from which events were moved that came
    late, and those of a file from before there were any. A restart forgets how far it got with one.

    :ivar unchecked: segments whose census may be wrong, since an earlier version may have taken it.
    """

    def __init__(self, sizes: SegmentSizes, names: Names, levels: Levels) -> None:
        self._most = sizes.counted_rows
        self._names = names
        self._levels = levels
        self._run: _Run | None = None
        self.unchecked: list[int] = []

    def load(self, connection: sqlite3.Connection) -> None:
        """Note which censuses are to be checked, one by one; inside of a transaction."""
        self._run = None
        self.unchecked = [
            number
            for (number,) in connection.execute(
                "SELECT segment FROM census JOIN segment ON id = segment WHERE kind = 'event' AND packed = 0"
            )
        ]

    def _check(self, connection: sqlite3.Connection) -> None:
        """Forget a census of an earlier version by whose names nothing may be found.

        Of a name it has the number of a stream that may have been dropped since.
        """
        number = self.unchecked.pop()
        found = connection.execute(
            "SELECT streams, names FROM census WHERE segment = ?", (number,)
        ).fetchone()
        if found is not None and not {*stream_numbers(found[1])} <= {*stream_numbers(found[0])}:
            with transaction(connection):
                forget(connection, [number])

    def forget(self, connection: sqlite3.Connection) -> None:
        """Segments may have other messages than before."""
        self._run = None

    def step(self, connection: sqlite3.Connection) -> bool:
        """Do a little; False if there is nothing to do."""
        if self.unchecked:
            self._check(connection)
            return True
        run = self._run
        if run is None or not is_there(connection, run.segment, run.rows):
            self._run = self._begin(connection)
            return self._run is not None
        if run.census is not None:
            self._run = None
            with transaction(connection):
                keep(connection, run.segment, run.census)
            return True
        streams, times, othertags = self._rows(connection, run)
        if streams:
            names = self._names.of(connection, {*streams})
            run.taker.add(streams, times, names, self._levels.of(othertags))
        else:
            run.census = run.taker.packed()
        return True

    def _begin(self, connection: sqlite3.Connection) -> _Run | None:
        """The newest of them: those are asked for most."""
        found = connection.execute(
            "SELECT id, kind, min_time, max_time, row_count FROM segment WHERE sealed_at IS NOT NULL AND "
            "kind IN ('event', 'log') AND packed = 0 AND row_count > 0 "
            f"AND id NOT IN {COUNTED} "
            "ORDER BY max_time DESC LIMIT 1"
        ).fetchone()
        if found is None:
            return None
        number, kind, first, last, rows = found
        table = f"{kind}_{number}"
        return _Run(table, number, rows, is_merged(connection, table), CensusTaker(first, last, rows))

    def _rows(
        self, connection: sqlite3.Connection, run: _Run
    ) -> tuple[list[int], list[int], list[str | None]]:
        """The streams, times and other tags of the next rows."""
        found = next_rows(
            [run.table], "stream, time, id, othertags", is_merged=run.is_merged, most=self._most
        )
        streams, times, ids, othertags = map(
            json.loads,
            connection.execute(
                "SELECT json_group_array(stream), json_group_array(time), json_group_array(id), "
                f"json_group_array(othertags) FROM ({found})",
                run.behind,
            ).fetchone(),
        )
        if streams:
            run.behind = (streams[-1], times[-1], ids[-1])
        return streams, times, othertags
