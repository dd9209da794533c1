"""A router between a receiver and a store that can be told what to answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from ccstore.accounting.account import Account, Origin
from ccstore.batch import Batch
from ccstore.interfaces import IMessageStore, Refusal
from ccstore.message import FieldValue, Message
from ccstore.pipeline.router import Router
from ccstore.query import Page, Selection
from tests.support.strategies import message_of

NOW = 1_700_000_000
SECOND = 10**9
RETENTION = 3600


@implementer(IMessageStore)
class FakeStore:
    """Holds what it is given until a test commits it, or lets it fail. It answers nothing."""

    answers = None
    holding = None

    def __init__(self) -> None:
        self.offered: list[Message] = []
        self.urgent: list[bool] = []
        self.waiting: list[Deferred[Sequence[Refusal]]] = []
        self.flushes = 0
        self.announced: list[list[Batch]] = []

    def accept(self, messages: Batch, *, urgent: bool) -> Deferred[Sequence[Refusal]]:
        self.offered += messages
        self.urgent.append(urgent)
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def commit(self, *refusals: Refusal) -> None:
        self.waiting.pop(0).callback(refusals)

    def fail(self, error: Exception) -> None:
        self.waiting.pop(0).errback(error)

    def announce(self, parts: Sequence[Batch]) -> None:
        self.announced.append([*parts])

    def flush(self) -> None:
        self.flushes += 1

    def pages(
        self, selections: Sequence[Selection], *, max_rows: int, timeout: float, with_tags: bool = True
    ) -> Deferred[Sequence[Page]]:
        return succeed([])

    def unreadiness(self) -> str | None:
        return None

    def stats(self) -> Mapping[str, object]:
        return {}


class Site:
    """A router between a receiver and a store, at a time of its own."""

    def __init__(
        self, *, store_logs: bool = True, store_heartbeats: bool = False, cluster: str | None = None
    ) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = FakeStore()
        self.account = Account("tcp0", "tcp")
        self.origin = Origin(self.account, "192.0.2.1", cluster)
        self.router = Router(
            self.store,
            self.clock,
            retention=RETENTION,
            store_logs=store_logs,
            store_heartbeats=store_heartbeats,
        )

    def offer(self, *messages: Message, urgent: bool = False) -> Deferred[Sequence[Refusal]]:
        return self.router.accept(Batch.of(messages), self.origin, urgent=urgent)

    def clusters(self, *messages: Message) -> list[str | None]:
        """The clusters that these messages have when they come to the store."""
        self.offer(*messages)
        return [message.series.cluster for message in self.store.offered]


def line(
    fields: dict[str, FieldValue] | None = None, *, time: int = NOW * SECOND, name: str = "m", **tags: str
) -> Message:
    return message_of(name, tags, {"event": "x"} if fields is None else fields, time)


def event(text: str = "x", **tags: str) -> Message:
    return line({"event": text}, **tags)


def outcome(deferred: Deferred[Sequence[Refusal]]) -> list[Any]:
    """What a Deferred has fired with, in a list; empty if it has not."""
    fired: list[Any] = []
    deferred.addBoth(fired.append)
    return fired


def payload(**keys: Any) -> str:
    return json.dumps(keys)
