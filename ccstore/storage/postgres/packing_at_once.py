"""Packing all that is old enough, for ``ccstore pack``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from math import inf
from typing import Final

import psycopg2
from attrs import evolve, frozen

from ccstore.errors import StoreError
from ccstore.storage.blocks.packed_numbers import Damaged
from ccstore.storage.postgres.block_counting import BlockCounter
from ccstore.storage.postgres.blocking_sql import BlockingSql
from ccstore.storage.postgres.database import at_once, check_schema, check_server, connected, parsed
from ccstore.storage.postgres.driver_errors import one_line
from ccstore.storage.postgres.log_packer import LogPacker
from ccstore.storage.postgres.partition_names import PACKED_SIZE
from ccstore.storage.postgres.sizes import SIZES, PackingSizes

#: Each table is gone through once.
_ONCE: Final = evolve(SIZES.packing, rest=inf, stray_pages=1)
_SIZE: Final = (
    "SELECT (coalesce(sum(pg_total_relation_size(inhrelid)), 0) + "
    f"{PACKED_SIZE})::bigint FROM pg_inherits WHERE inhparent = 'ccstore_log'::regclass"
)


@frozen
class Packed:
    """How far it has come.

    :ivar rows: that were packed since the last time.
    """

    rows: int


class PackingAtOnce:
    """All methods block, and raise :class:`StoreError`; daemons may write meanwhile.

    :param dsn: a connection string of libpq, or empty.
    :param parameters: what libpq is told besides.
    :param timeout: seconds that an attempt to connect may take.
    :param has_words: what is packed gets an index of words.
    """

    def __init__(
        self,
        dsn: str,
        parameters: Mapping[str, str],
        *,
        timeout: float,
        has_words: bool,
        sizes: PackingSizes = _ONCE,
    ) -> None:
        self._address = parsed(dsn, parameters)
        self._timeout = timeout
        self._has_words = has_words
        self._sizes = sizes
        self._opened = ExitStack()
        self._packer: LogPacker | None = None

    def open(self) -> None:
        """Connect, and see to it that nobody else packs."""
        with self._errors():
            connection = self._opened.enter_context(connected(self._address, self._timeout))
            check_server(connection)
            sql = BlockingSql(connection)
            at_once(check_schema(sql.session, "packs"))
            self._packer = LogPacker(sql, self._sizes, has_words=self._has_words)
            self._counter = BlockCounter(sql, self._sizes.blocks)
            if not self._packer.is_alone():
                raise StoreError("a daemon packs it, or another such command")

    def close(self) -> None:
        """Let go of it; what was begun is undone."""
        self._opened.close()

    @property
    def size(self) -> int:
        """Bytes of the tables of logs and of what is packed, with their indexes."""
        with self._errors(), connected(self._address, self._timeout) as connection:
            ((size,),) = BlockingSql(connection).all(_SIZE)
        return int(size)

    def begin(self, before: int) -> int:
        """See :meth:`ccstore.storage.sqlite.packing_offline.OfflinePacking.begin`; here nothing is open."""
        return self.to_do(before)

    def to_do(self, before: int) -> int:
        """How many logs there are in what is packed of the time before this one (ns)."""
        assert self._packer is not None
        with self._errors():
            return self._packer.to_do(before)

    def run(self, before: int) -> Iterator[Packed]:
        """Pack; yields how far it is."""
        assert self._packer is not None
        with self._errors():
            while (rows := self._packer.step(before)) is not None:
                yield Packed(rows)
            while self._counter.step():
                yield Packed(0)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (psycopg2.Error, Damaged, StoreError) as error:
            raise StoreError(f"cannot pack {self._address}: {one_line(error)}") from None
