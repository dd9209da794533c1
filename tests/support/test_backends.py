"""The backend that stands in for a database does as one does."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from tests.support.store_contract import StoreContract
from tests.support.stores import MemoryBackend


class MemoryBackendTests(StoreContract, TestCase):
    def make_backend(self) -> MemoryBackend:
        return MemoryBackend()
