"""Rules of retention and holds in PostgreSQL."""

from __future__ import annotations

import time

from twisted.trial.unittest import TestCase

from tests.support.keeping_contract import KeepingContract
from tests.support.postgres_case import Databases


class DatabaseKeepingTests(Databases, KeepingContract, TestCase):
    def setUp(self) -> None:
        self.backend = self.open()

    async def stored_in_all(self) -> int:
        return int(self.value("SELECT count(*) FROM ccstore_event"))

    async def viewed(self) -> list[str]:
        later = int(time.time() * 1e9) - self.now
        return [
            text
            for (text,) in self.seen(
                f"UPDATE ccstore_stream SET keeps = keeps + {later}; "
                f"UPDATE ccstore_retention_rule SET nanoseconds = nanoseconds + {later}; "
                "SELECT field FROM alex_events"
            )
        ]
