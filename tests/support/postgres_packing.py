"""Packing logs of PostgreSQL in a test case, at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ccstore.message import INT64_MAX
from ccstore.query import Selection
from ccstore.storage.blocks.tiles import TileSizes
from ccstore.storage.postgres import PostgresBackend
from ccstore.storage.postgres.block_counting import BlockCounter
from ccstore.storage.postgres.blocking_sql import BlockingSql
from ccstore.storage.postgres.log_packer import LogPacker
from ccstore.storage.postgres.sizes import PackingSizes
from ccstore.storage.reading.pages import Limits, Pages
from tests.support.postgres_case import Databases

#: A few rows in a block, a page at a time, and all there is at once.
SMALL = PackingSizes(
    tiles=TileSizes(block_rows=4),
    blocks=40,
    step_pages=1,
    stray_pages=1,
    rest=0.0,
    share=0.0,
    retry=0.0,
    drop=0.0,
)
LOGS = Selection(kinds=("log",))


class Packers(Databases):
    """Packs at once, as the process does that a daemon has for that."""

    packing_sizes = SMALL

    @contextmanager
    def packer(self, *, has_words: bool = True) -> Iterator[LogPacker]:
        with self.server.connection(self.database) as connection:
            yield LogPacker(BlockingSql(connection), self.packing_sizes, has_words=has_words)

    def pack_all(self, before: int = INT64_MAX, *, has_words: bool = True) -> int:
        """How many logs were packed of what is from before a time."""
        packed = 0
        with self.packer(has_words=has_words) as packer:
            quiet = 0
            while quiet < 40 and (rows := packer.step(before)) is not None:
                packed += rows
                quiet = 0 if rows else quiet + 1
        self.count_all()
        return packed

    def count_all(self) -> None:
        """Take all censuses."""
        with self.server.connection(self.database) as connection:
            counter = BlockCounter(BlockingSql(connection), self.packing_sizes.blocks)
            while counter.step():
                pass

    async def logs(self, backend: PostgresBackend, selection: Selection = LOGS) -> list[str]:
        (page,) = await backend.read(Pages([selection], 0, Limits(10**6)), timeout=60)
        self.losses = [*page.losses]
        return [row.text for row in page.rows]
