"""Messages in a PostgreSQL database, which several daemons may share.

Events and logs are two tables with native range partitions by time. Those of events are made ahead, and
dropped when all in them has expired; what fits in none, since a clock is off, is in a default partition.

A batch is written by few large statements over one of two connections; its commit waits for that of the batch
before it, so that batches are committed in their order. It has an id, written in the same transaction: when a
connection breaks at the commit, the same id is written again, and the database tells whether it was there.

Needs the packages of the extra ``postgres``.
"""

from ccstore.storage.postgres.backend import PostgresBackend
from ccstore.storage.postgres.database import Address
from ccstore.storage.postgres.text_index import search_in

__all__ = ["Address", "PostgresBackend", "search_in"]
