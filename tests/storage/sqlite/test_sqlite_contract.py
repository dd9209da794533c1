"""The SQLite backend keeps the contract of all backends."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.sizes import AnnouncingLimits, Sizes
from tests.support.sqlite_files import SPAN, SqliteFiles
from tests.support.store_contract import StoreContract
from tests.support.stores import NOW, SECOND


class SqliteContractTests(SqliteFiles, StoreContract, TestCase):
    now = NOW + SPAN

    def make_backend(self) -> SqliteBackend:
        return self.backend_at(self.path)


class SmallSegmentsContractTests(SqliteFiles, StoreContract, TestCase):
    """The same, where nearly everything is in a sealed segment."""

    now = NOW + SPAN

    def make_backend(self) -> SqliteBackend:
        self.limit(segment_rows=3)
        return self.backend_at(self.path)


class ProcessContractTests(SqliteFiles, StoreContract, TestCase):
    """The same, where a process writes, which is told of everything in advance."""

    is_apart = True
    now = NOW + 100 * SECOND
    sizes = Sizes(announcing=AnnouncingLimits(worth=1, rests=0))

    def make_backend(self) -> SqliteBackend:
        return self.backend_at(self.path)
