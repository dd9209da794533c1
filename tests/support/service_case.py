"""A storage service that runs on a clock and a backend of the test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ccstore.interfaces import (
    Refusal,
    StoreUnavailable,
)
from ccstore.query import Page
from tests.support.stores import ScriptedBackend, asking, messages, storage_service

START = 1_000_000.0
RETENTION = 3200.0
LOCKED = "database is locked"


class ServiceCase(SynchronousTestCase):
    """A service that runs on a clock and a backend of the test."""

    def setUp(self) -> None:
        self.backend: Any = ScriptedBackend()
        self.clock = Clock()
        self.clock.advance(START)
        self.start()

    def start(self, **changes: Any) -> None:
        """A new service on the backend."""
        self.service = storage_service(self.backend, self.clock, **{"retention": RETENTION, **changes})
        self.service.startService()

    def accept(self, texts: Sequence[str], *, urgent: bool = True) -> Deferred[Sequence[Refusal]]:
        return self.service.accept(messages(texts), urgent=urgent)

    def query(self) -> Deferred[Sequence[Page]]:
        return self.service.answers.pages([asking("alex")], max_rows=10, timeout=5.0)

    def commit(self) -> None:
        """The write that goes on succeeds."""
        self.backend.writes[-1].succeed()

    def lock(self) -> None:
        """The write that goes on fails, but may succeed later."""
        self.backend.writes[-1].fail(StoreUnavailable(LOCKED))

    def status(self) -> Any:
        return self.service.stats()["manager"]["status"]
