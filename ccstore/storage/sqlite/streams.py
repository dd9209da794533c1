"""The streams, as the writer knows them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Final

from ccstore.message import STORED_KINDS, Series, StreamKey
from ccstore.storage.columns import KEY_COLUMNS
from ccstore.storage.sqlite.rows import insert_rows, placeholders
from ccstore.storage.sqlite.sizes import SegmentSizes

#: The columns that tell one stream from another.
#: Those of them that differ most: streams that are made together mostly have the rest in common.
_OWN_COLUMNS: Final = ("id", "hostname", "typeid")
_COMMON_COLUMNS: Final = tuple(column for column in KEY_COLUMNS if column not in _OWN_COLUMNS)


#: Is told of streams that are made, by their numbers.
Placing = Callable[[sqlite3.Connection, Sequence[tuple[int, StreamKey]]], None]


class Streams:
    """Finds and makes streams. What it knows belongs to the transactions that are committed or not.

    :param placing: notes more of those that are made.
    :ivar clusters: pairs of a cluster and a kind that have streams, up to so many.
    :ivar new_clusters: those that have their first in this transaction.
    """

    def __init__(self, sizes: SegmentSizes, placing: Placing) -> None:
        self._sizes = sizes
        self._placing = placing
        self.clusters: set[tuple[str, str]] = set()
        self.new_clusters: set[tuple[str, str]] = set()
        self._by_series: dict[Series, int] = {}
        self._by_key: dict[StreamKey, int] = {}
        self._next = 1
        # In this transaction: the streams that were made, and the series of which one was found or made.
        self._made: list[StreamKey] = []
        self._learned: list[Series] = []
        self._knows_all = False  # so that what is not in _by_key is new
        # By kind: the streams of which a segment was noted that is not far from the present one.
        self._noted: dict[str, set[int]] = {kind: set() for kind in STORED_KINDS}
        self._noted_since = dict.fromkeys(STORED_KINDS, 0)

    def load(self, connection: sqlite3.Connection) -> None:
        """Read what has to be known from the beginning."""
        (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM stream").fetchone()
        self._next = last + 1
        self._knows_all = not last
        self.clusters = set(connection.execute("SELECT DISTINCT cluster, kind FROM stream"))

    def of(
        self, connection: sqlite3.Connection, kind: str, series: Sequence[Series], segment: int
    ) -> list[int]:
        """The stream of each series; those that are new are made.

        :param kind: of all of them.
        :param segment: the open one, which will have them.
        """
        try:
            found = [*map(self._by_series.__getitem__, series)]
        except KeyError:
            self._learn(connection, kind, [*dict.fromkeys(series)], segment)
            found = [*map(self._by_series.__getitem__, series)]
        return found

    def note(self, connection: sqlite3.Connection, kind: str, segment: int, streams: set[int]) -> None:
        """Note that the segment that is being sealed has these, if what is noted of them is long ago."""
        noted = self._noted[kind]
        # Half of them here, so that there are no more of them when it is looked at the next time.
        passed = self._sizes.segments_passed // 2
        if segment - self._noted_since[kind] >= passed or len(noted) > self._sizes.streams_held:
            noted.clear()
            self._noted_since[kind] = segment
        note_in_segment(connection, segment, streams - noted, passed)
        noted |= streams

    def drop(self, connection: sqlite3.Connection, table: str) -> None:
        """Forget streams of events that are gone, such as those of a host or a job that is no more.

        :param table: of the open segment of events.
        """
        chosen = (
            "kind = 'event' AND segment < (SELECT min(id) FROM segment WHERE kind = 'event') - ? "
            f"AND id NOT IN (SELECT stream FROM {table})"
        )
        (found,) = connection.execute(
            f"SELECT json_group_array(id) FROM stream WHERE {chosen}", (self._sizes.segments_passed,)
        ).fetchone()
        gone = {*json.loads(found)}
        if gone:
            connection.execute("DELETE FROM stream WHERE id IN (SELECT value FROM json_each(?))", (found,))
            for table in ("held", "lapsed"):
                connection.execute(
                    f"DELETE FROM {table} WHERE stream_id IN (SELECT value FROM json_each(?))", (found,)
                )
            self._by_series = {each: stream for each, stream in self._by_series.items() if stream not in gone}
            self._by_key = {key: stream for key, stream in self._by_key.items() if stream not in gone}

    def committed(self) -> None:
        """The transaction is committed."""
        if len(self.clusters) < self._sizes.clusters_held:
            self.clusters |= self.new_clusters
        self._settle()

    def undo(self) -> None:
        """Messages were inserted, and that is rolled back: the streams that were made for them are gone."""
        for key in self._made:
            self._by_key.pop(key, None)
        for each in self._learned:
            self._by_series.pop(each, None)
        self._settle()

    def forget(self) -> None:
        """A transaction was rolled back: what was learned in it is not there."""
        self._by_series.clear()
        self._by_key.clear()
        self._knows_all = False
        for noted in self._noted.values():
            noted.clear()
        self._settle()

    def _settle(self) -> None:
        """The transaction is over."""
        self.new_clusters.clear()
        self._made.clear()
        self._learned.clear()

    def _learn(
        self, connection: sqlite3.Connection, kind: str, series: Sequence[Series], segment: int
    ) -> None:
        by_series, by_key, most = self._by_series, self._by_key, self._sizes.streams_held
        unknown = [each for each in series if each not in by_series]
        if len(by_series) + len(unknown) > most:
            by_series.clear()
            unknown = [*series]  # all of them, now
        if len(by_key) + len(unknown) > most:
            by_key.clear()
            self._knows_all = False
        keys = [each.stream for each in unknown]
        missing = [key for key in dict.fromkeys(keys) if key not in by_key]
        if missing and not self._knows_all:
            by_key.update(self._select(connection, missing))
            missing = [key for key in missing if key not in by_key]
        if missing:
            self._noted[kind].update(range(self._next, self._next + len(missing)))
            self._make(connection, missing, segment)
        self._learned += unknown
        by_series.update(zip(unknown, map(by_key.__getitem__, keys), strict=True))

    def _select(self, connection: sqlite3.Connection, keys: Sequence[StreamKey]) -> dict[StreamKey, int]:
        """The ids of those streams that are there."""
        found: dict[StreamKey, int] = {}
        same = " AND ".join(f"stream.{column} IS given.{column}" for column in KEY_COLUMNS)
        sought = self._sizes.streams_sought
        for start in range(0, len(keys), sought):
            # Filled up with nothing, which is found nowhere, so that there is one statement to prepare.
            part = keys[start : start + sought]
            given = [*enumerate(part), *[(None, (None,) * len(KEY_COLUMNS))] * (sought - len(part))]
            (ids,) = connection.execute(
                f"WITH given (place, {', '.join(KEY_COLUMNS)}) AS "
                f"(VALUES {placeholders(sought, 1 + len(KEY_COLUMNS))}) "
                f"SELECT json_group_array(json_array(place, id)) FROM given CROSS JOIN stream ON {same}",
                [value for place, key in given for value in (place, *key)],
            ).fetchone()
            found |= {part[place]: stream for place, stream in json.loads(ids)}
        return found

    def _make(self, connection: sqlite3.Connection, keys: Sequence[StreamKey], segment: int) -> None:
        self._made += keys
        made = [*enumerate(keys, self._next)]
        groups: dict[StreamKey, list[tuple[object, ...]]] = {}
        for stream, key in made:
            cluster, kind, name, hostname, typ, typeid, *subtype = key
            common = (cluster, kind, name, typ, *subtype)
            groups.setdefault(common, []).append((stream, hostname, typeid))
        for (cluster, kind, *more), rows in groups.items():
            same = [("segment", segment), *zip(_COMMON_COLUMNS, (cluster, kind, *more), strict=True)]
            insert_rows(connection, "stream", _OWN_COLUMNS, [*chain.from_iterable(rows)], same)
            self.new_clusters.add((str(cluster), str(kind)))
        self._placing(connection, made)
        self.new_clusters -= self.clusters
        self._next += len(keys)
        self._by_key.update([(key, stream) for stream, key in made])


def note_in_segment(connection: sqlite3.Connection, segment: int, streams: set[int], passed: int) -> None:
    """Note that a segment has these streams, where what is noted of them is long ago.

    :param passed: see :attr:`SegmentSizes.segments_passed`.
    """
    connection.execute(
        "UPDATE stream SET segment = ? WHERE segment < ? AND id IN (SELECT value FROM json_each(?))",
        (segment, segment - passed, json.dumps([*streams])),
    )
