"""The streams, as the writer knows them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Final

from ccstore.message import Series, StreamKey
from ccstore.storage.query import STREAM_COLUMNS
from ccstore.storage.sqlite.rows import insert_rows, placeholders

_HELD: Final = 1 << 17
_CLUSTERS_HELD: Final = 100_000
#: The columns that tell one stream from another.
_KEY_COLUMNS: Final = ("cluster", "kind", *STREAM_COLUMNS)
#: Those of them that differ most: streams that are made together mostly have the rest in common.
_HOSTNAME, _TYPEID = _KEY_COLUMNS.index("hostname"), _KEY_COLUMNS.index("typeid")
_OWN_COLUMNS: Final = ("id", "hostname", "typeid")
#: Keys that one statement looks for.
_KEYS_SOUGHT: Final = 128


class Streams:
    """Finds and makes streams. What it knows belongs to the transactions that are committed or not.

    :ivar clusters: pairs of a cluster and a kind that have streams, up to so many.
    :ivar new_clusters: those that have their first in this transaction.
    """

    def __init__(self) -> None:
        self.clusters: set[tuple[str, str]] = set()
        self.new_clusters: set[tuple[str, str]] = set()
        self._by_series: dict[Series, int] = {}
        self._by_key: dict[StreamKey, int] = {}
        self._next = 1
        self._knows_all = False  # so that what is not in _by_key is new

    def load(self, connection: sqlite3.Connection) -> None:
        """Read what has to be known from the beginning."""
        (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM stream").fetchone()
        self._next = last + 1
        self._knows_all = not last
        self.clusters = set(connection.execute("SELECT DISTINCT cluster, kind FROM stream"))

    def of(self, connection: sqlite3.Connection, series: Sequence[Series], segment: int) -> list[int]:
        """The stream of each series; those that are new are made.

        :param segment: that has them.
        """
        try:
            return [*map(self._by_series.__getitem__, series)]
        except KeyError:
            self._learn(connection, [*dict.fromkeys(series)], segment)
            return [*map(self._by_series.__getitem__, series)]

    def committed(self) -> None:
        """The transaction is committed."""
        if len(self.clusters) < _CLUSTERS_HELD:
            self.clusters |= self.new_clusters
        self.new_clusters.clear()

    def forget(self) -> None:
        """What was learned may not be there: a transaction was rolled back, or streams were deleted."""
        self._by_series.clear()
        self._by_key.clear()
        self._knows_all = False
        self.new_clusters.clear()

    def _learn(self, connection: sqlite3.Connection, series: Sequence[Series], segment: int) -> None:
        by_series, by_key = self._by_series, self._by_key
        unknown = [each for each in series if each not in by_series]
        if len(by_series) + len(unknown) > _HELD:
            by_series.clear()
            unknown = [*series]  # all of them, now
        if len(by_key) + len(unknown) > _HELD:
            by_key.clear()
            self._knows_all = False
        keys = [each.stream for each in unknown]
        missing = [key for key in dict.fromkeys(keys) if key not in by_key]
        if missing and not self._knows_all:
            by_key.update(self._select(connection, missing))
            missing = [key for key in missing if key not in by_key]
        if missing:
            self._make(connection, missing, segment)
        by_series.update(zip(unknown, map(by_key.__getitem__, keys), strict=True))

    def _select(self, connection: sqlite3.Connection, keys: Sequence[StreamKey]) -> dict[StreamKey, int]:
        """The ids of those streams that are there."""
        found: dict[StreamKey, int] = {}
        same = " AND ".join(f"stream.{column} IS given.{column}" for column in _KEY_COLUMNS)
        for start in range(0, len(keys), _KEYS_SOUGHT):
            # Filled up with nothing, which is found nowhere, so that there is one statement to prepare.
            part = keys[start : start + _KEYS_SOUGHT]
            given = [*enumerate(part), *[(None, (None,) * len(_KEY_COLUMNS))] * (_KEYS_SOUGHT - len(part))]
            (ids,) = connection.execute(
                f"WITH given (place, {', '.join(_KEY_COLUMNS)}) AS "
                f"(VALUES {placeholders(_KEYS_SOUGHT, 1 + len(_KEY_COLUMNS))}) "
                f"SELECT json_group_array(json_array(place, id)) FROM given CROSS JOIN stream ON {same}",
                [value for place, key in given for value in (place, *key)],
            ).fetchone()
            found |= {part[place]: stream for place, stream in json.loads(ids)}
        return found

    def _make(self, connection: sqlite3.Connection, keys: Sequence[StreamKey], segment: int) -> None:
        made = [*enumerate(keys, self._next)]
        groups: dict[StreamKey, list[tuple[object, ...]]] = {}
        for stream, key in made:
            cluster, kind, name, hostname, typ, typeid, *subtype = key
            common = (cluster, kind, name, typ, *subtype)
            groups.setdefault(common, []).append((stream, hostname, typeid))
        for (cluster, kind, *more), rows in groups.items():
            common_columns = [name for name in _KEY_COLUMNS if name not in _OWN_COLUMNS]
            same = [("segment", segment), *zip(common_columns, (cluster, kind, *more), strict=True)]
            insert_rows(connection, "stream", _OWN_COLUMNS, [*chain.from_iterable(rows)], same)
            self.new_clusters.add((str(cluster), str(kind)))
        self.new_clusters -= self.clusters
        self._next += len(keys)
        self._by_key.update([(key, stream) for stream, key in made])
