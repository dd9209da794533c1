"""Reading all packed logs, to say what of them is damaged; for the rest the server has a check of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ccstore.errors import StoreError
from ccstore.storage.blocks.damaged_block import words_are_damaged
from ccstore.storage.blocks.packed_numbers import Damaged, unpack
from ccstore.storage.blocks.plain_rows import plain_rows
from ccstore.storage.postgres import packed_logs
from ccstore.storage.postgres.blocking_sql import BlockingSql
from ccstore.storage.postgres.database import at_once, connected, parsed


class BlockCheck:
    """Reads all blocks, also while daemons write; what goes meanwhile is left out.

    :param dsn: a connection string of libpq, or empty.
    :param parameters: what libpq is told besides.
    :param progress: is told how many messages there are, and how many were read.
    :param timeout: seconds that an attempt to connect may take.
    :ivar rows: that were read.
    """

    def __init__(
        self,
        dsn: str,
        parameters: Mapping[str, str],
        progress: Callable[[int, int], None],
        *,
        timeout: float,
    ) -> None:
        self._given = (dsn, parameters)
        self._progress = progress
        self._timeout = timeout
        self.rows = 0

    def problems(self) -> Iterator[str]:
        """What is wrong. Raises :class:`StoreError` if the database cannot be read at all."""
        address = parsed(*self._given)
        try:
            with connected(address, self._timeout) as connection:
                sql = BlockingSql(connection)
                with sql.snapshot():
                    yield from self._in_blocks(sql)
                    yield from _in_words(sql)
        except StoreError as error:
            raise StoreError(f"cannot read {address}: {error}") from None

    def _in_blocks(self, sql: BlockingSql) -> Iterator[str]:
        session = sql.session
        ((total,),) = sql.all("SELECT coalesce(sum(rows), 0) FROM ccstore_packed")
        for segment, number, rows in sql.all(
            "SELECT segment, number, rows FROM ccstore_packed_block ORDER BY segment, number"
        ):
            place = segment, number
            try:
                packed = at_once(packed_logs.read_block(session, place))
                times = [row[2] for row in plain_rows(packed)]
                if (len(times), min(times), max(times)) != (rows, packed.first_time, packed.last_time):
                    raise Damaged("it has other messages than is said")
            except Damaged as error:
                yield str(at_once(packed_logs.damaged_at(session, place, str(error))))
            self.rows += rows
            self._progress(int(total), self.rows)
        for segment, said, found in sql.all(
            "SELECT segment, p.rows, coalesce((SELECT sum(b.rows) FROM ccstore_packed_block b "
            "WHERE b.segment = p.segment), 0) FROM ccstore_packed p ORDER BY segment"
        ):
            if said != found:
                yield f"segment {segment} of packed logs has {found} messages and not {said}"


def _in_words(sql: BlockingSql) -> Iterator[str]:
    for (segment,) in sql.all("SELECT segment FROM ccstore_packed ORDER BY segment"):
        for part, *packed in sql.all(
            "SELECT part, words, codes, masks FROM ccstore_packed_words WHERE segment = %s "
            "ORDER BY part, place",
            segment,
        ):
            try:
                for each in packed:
                    unpack(bytes(each))
            except Damaged as error:
                yield words_are_damaged(f"segment {segment}", part, error)
