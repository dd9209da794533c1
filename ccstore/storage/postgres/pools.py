"""The connections of a backend: those that write and read, and others for what must not wait behind these."""

from __future__ import annotations

from typing import Any, Final

from ccstore.storage.postgres.connections import Connections
from ccstore.storage.postgres.database import Address
from ccstore.storage.postgres.sizes import Sizes

#: What a connection that writes sets. A daemon that is cut off must not hold up what others do for longer.
WRITING: Final = (
    "SET idle_in_transaction_session_timeout = '60s'; SET tcp_keepalives_idle = 30; "
    "SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"
)
#: With the memory that a server has by default, counts are sorted on disk.
_READING: Final = f"{WRITING}; SET jit = off; SET work_mem = '64MB'"
#: What came in last is read by the summaries of the ids, of which the planner, as long as a new partition has
#: not been analysed, thinks little.
_FOLLOWING: Final = f"{_READING}; SET enable_seqscan = off; SET max_parallel_workers_per_gather = 0"


class Pools:
    """The connections of a backend.

    :param timeout: seconds that an attempt to connect may take.
    :ivar address: where they lead to.
    :ivar writing: for batches.
    :ivar reading: for queries.
    :ivar keeping: for what is done once in a while; there is one.
    :ivar following: for what is told to those who follow; there is one.
    :ivar thinning: for copying what is kept of a partition, beside all that; there is one.
    :ivar indexing: for an index that is made beside everything else; there is one.
    """

    def __init__(self, reactor: Any, address: Address, timeout: float, sizes: Sizes) -> None:
        def pool(size: int, setup: str, limit: float) -> Connections:
            return Connections(
                reactor, address.next_dsn, where=address, size=size, setup=setup, timeout=timeout, limit=limit
            )

        self._reactor = reactor
        self._patience = sizes.patience
        self.address = address
        self.writing = pool(sizes.writers, WRITING, sizes.batch_time)
        # The time of a query is its own.
        self.reading = pool(sizes.readers, _READING, sizes.longest_time)
        self.keeping = pool(1, WRITING, sizes.longest_time)
        self.following = pool(1, _FOLLOWING, sizes.batch_time)
        self.thinning = pool(1, WRITING, sizes.longest_time)
        self.indexing = pool(1, WRITING, sizes.indexing_time)

    async def close(self) -> None:
        """Close them: queries are ended at once, and what was begun otherwise has some seconds."""
        pools = (self.writing, self.reading, self.keeping, self.following, self.thinning, self.indexing)
        for ended in (self.reading, self.following, self.thinning, self.indexing):
            ended.abort()

        def abort() -> None:
            for pool in pools:
                pool.abort()

        timer = self._reactor.callLater(self._patience, abort)
        for pool in pools:
            await pool.close()
        if timer.active():
            timer.cancel()
