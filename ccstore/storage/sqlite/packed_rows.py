"""Reading packed segments as a whole: in the order of their ids, and counted; what is damaged is told."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ccstore.message import Kind
from ccstore.storage.blocks.block_format import PackedBlock, is_whole, runs_of
from ccstore.storage.blocks.damaged_block import DamagedBlock, Tell
from ccstore.storage.blocks.packed_numbers import Damaged
from ccstore.storage.blocks.plain_rows import in_order_of_ids, plain_rows
from ccstore.storage.export import StoredRow
from ccstore.storage.sqlite.expiry import NEVER, has_expired

_FIELDS: Final = ", ".join(PackedBlock._fields)


def blocks(connection: sqlite3.Connection, segment: int, after: int = -1) -> Iterator[tuple[int, int]]:
    """The numbers and least ids of the blocks that have ids above one, in the order of these."""
    yield from connection.execute(
        "SELECT number, min_id FROM block WHERE segment = ? AND max_id > ? ORDER BY min_id",
        (segment, after),
    ).fetchall()


def read_block(connection: sqlite3.Connection, segment: int, number: int) -> PackedBlock:
    """A block as it is stored; raises :class:`Damaged` if that is not what was packed."""
    found = connection.execute(
        f"SELECT {_FIELDS} FROM block b JOIN block_columns c USING (segment, number) "
        "WHERE segment = ? AND number = ?",
        (segment, number),
    ).fetchone()
    if found is None:
        raise Damaged("it has no columns")
    packed = PackedBlock(*found)
    if not is_whole(packed):
        raise Damaged("its checksum is wrong")
    return packed


def rows_by_id(
    connection: sqlite3.Connection, kind: Kind, segment: int, after: int, tell: Tell
) -> Iterator[Sequence[StoredRow]]:
    """The rows of a packed segment with ids above one in the order of these, in parts."""
    expired = has_expired(connection, kind)

    def read(number: int) -> Sequence[StoredRow]:
        try:
            rows = plain_rows(read_block(connection, segment, number))
        except Damaged as error:
            tell(damaged_block(connection, kind, segment, number, str(error)))
            return ()
        return _seen(connection, expired, [row for row in rows if row[0] > after])

    yield from in_order_of_ids([*blocks(connection, segment, after)], read)


def _seen(connection: sqlite3.Connection, expired: str, rows: Sequence[StoredRow]) -> Sequence[StoredRow]:
    """Rows that have not expired.

    :param expired: see :func:`ccstore.storage.sqlite.expiry.has_expired`.
    """
    if expired == NEVER or not rows:
        return rows
    gone = {
        number
        for (number,) in connection.execute(
            "SELECT id FROM (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') "
            f"AS stream, json_extract(value, '$[2]') AS time FROM json_each(?)) WHERE {expired}",
            (json.dumps([row[:3] for row in rows]),),
        )
    }
    return [row for row in rows if row[0] not in gone]


def damaged_block(
    connection: sqlite3.Connection, kind: str, segment: int, number: int, why: str
) -> DamagedBlock:
    """What is said of a block."""
    rows, first, last = connection.execute(
        "SELECT rows, first_time, last_time FROM block WHERE segment = ? AND number = ?", (segment, number)
    ).fetchone()
    return DamagedBlock(segment, number, kind, rows, first, last, why)


def count_packed(connection: sqlite3.Connection, kind: Kind, after: int = -1) -> Mapping[str, int]:
    """The messages of each cluster in the packed segments of a kind with ids above one."""
    by_stream: Counter[int] = Counter()
    expired = has_expired(connection, kind)
    for segment, number, rows, least, streams in connection.execute(
        "SELECT segment, number, rows, min_id, streams FROM block "
        "WHERE segment IN (SELECT id FROM segment WHERE kind = ? AND packed > 0) AND max_id > ?",
        (kind, after),
    ):
        if least > after and expired == NEVER:
            by_stream.update(dict(_runs(streams, rows)))
        else:
            by_stream.update(_streams_after(connection, segment, number, after, expired))
    by_cluster: Counter[str] = Counter()
    for stream, cluster in connection.execute(
        "SELECT id, cluster FROM stream WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps([*by_stream]),),
    ):
        by_cluster[cluster] += by_stream[stream]
    return by_cluster


def _runs(streams: bytes, rows: int) -> Sequence[tuple[int, int]]:
    try:
        return runs_of(streams, rows)
    except Damaged:
        return ()


def _streams_after(
    connection: sqlite3.Connection, segment: int, number: int, after: int, expired: str
) -> Sequence[int]:
    """The stream of each row of a block that is seen and has an id above one."""
    try:
        rows = plain_rows(read_block(connection, segment, number))
    except Damaged:
        return ()
    return [row[1] for row in _seen(connection, expired, [row for row in rows if row[0] > after])]
