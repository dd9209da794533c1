"""Streams: what many messages have in common, stored once, and shared by all daemons."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from ccstore.message import Series
from ccstore.storage.columns import KEY_COLUMNS
from ccstore.storage.postgres.arrays import numbers, optional_texts
from ccstore.storage.postgres.connections import Session
from ccstore.storage.postgres.stream_rules import PostgresKeeper

_STREAMS_HELD: Final = 1 << 17
#: Streams of events that were not used for so many retention times are forgotten. Each daemon notes the use
#: of a stream once in half a retention time, before it writes.
_FORGOTTEN_AFTER: Final = 3

_Columns = tuple[str | None, ...]


class Streams:
    """The streams that this daemon knows.

    :param retention: nanoseconds after which events expire.
    :param keeper: notes more of those that are made.
    """

    def __init__(self, retention: int, keeper: PostgresKeeper) -> None:
        self._retention = retention
        self._keeper = keeper
        self._by_series: dict[Series, int] = {}
        self._by_key: dict[str, int] = {}
        self._noted_at = 0

    def retain(self, retention: int) -> None:
        """Other nanoseconds after which events expire."""
        self._retention = retention

    def known(self, series: Sequence[Series], now: int) -> list[int] | None:
        """The stream of each, or None if one of them has to be learned first."""
        if now - self._noted_at >= self._retention // 2 or now < self._noted_at:
            # So that the use of all of them is noted again.
            self._by_series.clear()
            self._by_key.clear()
            self._noted_at = now
        try:
            return [*map(self._by_series.__getitem__, series)]
        except KeyError:
            return None

    async def learn(self, session: Session, series: Sequence[Series], now: int) -> list[int]:
        """The stream of each; those that are new are made, and are there for everybody at once."""
        streams = {each: self._by_series.get(each) for each in dict.fromkeys(series)}
        keys = {each: key_of(each) for each, stream in streams.items() if stream is None}
        ids = {key: self._by_key[key] for key in keys.values() if key in self._by_key}
        missing = {key: each for each, key in keys.items() if key not in ids}
        if missing:
            wanted = sorted(missing)
            rows = await session.execute(
                "SELECT key::text, id FROM ccstore_stream WHERE key = ANY(%s::uuid[]) AND used >= %s",
                optional_texts(wanted),
                self._noted_at - self._retention // 4,
            )
            found = dict(rows)
            absent = [key for key in wanted if key not in found]
            if absent:
                found.update(await self._make(session, {key: missing[key] for key in absent}, now))
            ids.update(found)
        learned = {each: ids[key] for each, key in keys.items()}
        if len(self._by_series) + len(learned) > _STREAMS_HELD:
            self._by_series.clear()
        if len(self._by_key) + len(ids) > _STREAMS_HELD:
            self._by_key.clear()
        self._by_series.update(learned)
        self._by_key.update(ids)
        return [learned.get(each) or streams[each] or 0 for each in series]

    async def _make(self, session: Session, missing: dict[str, Series], now: int) -> dict[str, int]:
        """Make streams, or find that another daemon did, and note their use."""
        rows: list[_Columns] = [each.stream for each in missing.values()]
        columns = [optional_texts(column) for column in zip(*rows, strict=True)]
        # In the order of the keys, so that two daemons never wait for one another.
        made = await session.execute(
            f"INSERT INTO ccstore_stream (key, {', '.join(KEY_COLUMNS)}, used) "
            f"SELECT key, {', '.join(KEY_COLUMNS)}, used "
            f"FROM unnest(%s::uuid[], {', '.join(['%s::text[]'] * len(KEY_COLUMNS))}, %s::bigint[]) "
            f"AS given (key, {', '.join(KEY_COLUMNS)}, used) ORDER BY key "
            "ON CONFLICT (key) DO UPDATE SET used = greatest(ccstore_stream.used, excluded.used) "
            "RETURNING key::text, id",
            optional_texts([*missing]),
            *columns,
            numbers([now] * len(missing)),
        )
        ids: dict[str, int] = dict(made)
        await self._keeper.place(session, [(ids[key], each.stream) for key, each in missing.items()])
        return ids

    async def forget(self, session: Session, now: int) -> int:
        """Delete streams whose events are gone, such as those of a host or a job that is no more."""
        ((gone,),) = await session.execute(
            "WITH gone AS (DELETE FROM ccstore_stream s WHERE kind = 'event' AND used < %s "
            "AND (keeps IS NULL OR used < %s - keeps) AND NOT EXISTS "
            "(SELECT 1 FROM ccstore_held WHERE stream_id = s.id) RETURNING 1) SELECT count(*) FROM gone",
            now - _FORGOTTEN_AFTER * self._retention,
            now - _FORGOTTEN_AFTER * self._retention,
        )
        return int(gone)


def key_of(series: Series) -> str:
    """What tells a stream from others, whichever of its tags are absent, as a UUID."""
    columns = json.dumps(series.stream)
    digest = blake2b(columns.encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:]}"
