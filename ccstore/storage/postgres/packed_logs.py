"""All packed logs, block by block: for a copy, for whoever counts, and for a check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ccstore.storage.blocks.block_format import PackedBlock, is_whole, runs_of
from ccstore.storage.blocks.damaged_block import DamagedBlock
from ccstore.storage.blocks.packed_numbers import Damaged
from ccstore.storage.blocks.plain_rows import plain_rows
from ccstore.storage.export import StoredRow
from ccstore.storage.postgres.arrays import numbers
from ccstore.storage.postgres.connections import Session
from ccstore.storage.postgres.expiry import IS_WITHOUT_RULES, has_expired

_FIELDS = ", ".join(PackedBlock._fields)
#: The segment of a block, and its number there.
Place = tuple[int, int]


async def places(session: Session, after: int = -1) -> list[tuple[Place, int]]:
    """The blocks that have ids above one, and the least id of each, in the order of these."""
    found = await session.execute(
        "SELECT segment, number, min_id FROM ccstore_packed_block WHERE max_id > %s ORDER BY min_id", after
    )
    return [((segment, number), least) for segment, number, least in found]


async def read_block(session: Session, place: Place) -> PackedBlock:
    """A block as it is stored; raises :class:`Damaged` if that is not what was packed."""
    found = await session.execute(
        f"SELECT {_FIELDS} FROM ccstore_packed_block JOIN ccstore_packed_columns USING (segment, number) "
        "WHERE segment = %s AND number = %s",
        *place,
    )
    if not found:
        raise Damaged("it has no columns")
    packed = PackedBlock._make(
        [bytes(value) if isinstance(value, memoryview) else value for value in found[0]]
    )
    if not is_whole(packed):
        raise Damaged("its checksum is wrong")
    return packed


async def rows_of(session: Session, place: Place, after: int = -1) -> Sequence[StoredRow]:
    """The rows of a block with ids above one that have not expired; raises :class:`Damaged`."""
    rows = [row for row in plain_rows(await read_block(session, place)) if row[0] > after]
    gone = await those(session, rows, has_expired("log"))
    return [row for row in rows if row[0] not in gone] if gone else rows


async def those(session: Session, rows: Sequence[StoredRow], condition: str) -> set[int]:
    """The ids of the rows that meet a condition on a message ``r``; of logs only rules and holds matter."""
    ((is_plain,),) = await session.execute(IS_WITHOUT_RULES)
    if is_plain or not rows:
        return set()
    found = await session.execute(
        "SELECT r.id FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS r (id, stream, time) "
        f"WHERE {condition}",
        numbers(row[0] for row in rows),
        numbers(row[1] for row in rows),
        numbers(row[2] for row in rows),
    )
    return {number for (number,) in found}


async def damaged_at(session: Session, place: Place, why: str) -> DamagedBlock:
    """What is said of a block."""
    ((rows, first, last),) = await session.execute(
        "SELECT rows, first_time, last_time FROM ccstore_packed_block WHERE segment = %s AND number = %s",
        *place,
    )
    return DamagedBlock(*place, "log", rows, first, last, why)


async def count(session: Session, after: int = -1) -> Mapping[str, int]:
    """The messages of each cluster with ids above one that can be read."""
    by_stream: Counter[int] = Counter()
    ((is_plain,),) = await session.execute(IS_WITHOUT_RULES)
    for segment, number, rows, least, streams in await session.execute(
        "SELECT segment, number, rows, min_id, streams FROM ccstore_packed_block WHERE max_id > %s", after
    ):
        try:
            if is_plain and least > after:
                by_stream.update(dict(runs_of(bytes(streams), rows)))
            else:
                by_stream.update(row[1] for row in await rows_of(session, (segment, number), after))
        except Damaged:
            continue
    return await _by_cluster(session, by_stream)


async def _by_cluster(session: Session, by_stream: Mapping[int, int]) -> Mapping[str, int]:
    by_cluster: Counter[str] = Counter()
    for stream, cluster in await session.execute(
        "SELECT id, cluster FROM ccstore_stream WHERE id = ANY(%s::bigint[])", numbers(by_stream)
    ):
        by_cluster[cluster] += by_stream[stream]
    return by_cluster


def added(counts: Iterable[tuple[str, int]], packed: Mapping[str, int]) -> Mapping[str, int]:
    """The messages of each cluster, of those that are rows and those that are packed."""
    total = Counter(dict(packed))
    for cluster, rows in counts:
        total[cluster] += int(rows)
    return total
