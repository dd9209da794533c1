"""What JetStream is asked, and what it answers.

Its source is https://docs.nats.io/reference/reference-protocols/nats_api_reference.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ccstore.receivers.nats.client import Connection
from ccstore.receivers.nats.framing import Delivery
from ccstore.receivers.nats.reasons import PATIENCE, NatsError


class JetStreamApi:
    """Questions to JetStream, each with its answer.

    :param token: makes names that nobody else has.
    """

    def __init__(self, clock: IReactorTime, token: Callable[[], str]) -> None:
        self._clock = clock
        self._token = token
        self._connection: Connection | None = None
        self._inbox = ""
        self._answers: dict[bytes, Deferred[Delivery]] = {}

    def attach(self, connection: Connection, inbox: str, sid: str) -> None:
        """Ask by a new connection from now on.

        :param inbox: what the subjects for answers begin with.
        :param sid: the name of the subscription to them.
        """
        self._connection = connection
        self._inbox = inbox
        self._answers = {}
        connection.subscribe(f"{inbox}.*", sid)

    async def ask(self, subject: str, question: Mapping[str, object]) -> dict[str, Any]:
        """The answer to a question; raises :class:`NatsError` if it is none."""
        assert self._connection is not None
        name = self._token().encode()
        answered: Deferred[Delivery] = Deferred()
        self._answers[name] = answered
        answered.addTimeout(PATIENCE, self._clock)
        body = json.dumps(question).encode() if question else b""
        self._connection.publish((subject.encode(), body, f"{self._inbox}.".encode() + name))
        try:
            answer = await answered
        finally:
            self._answers.pop(name, None)
        if answer.status:
            # 503 is what the server says for somebody who is not there.
            what = "is not enabled here" if answer.status.startswith("503") else f"says {answer.status}"
            raise NatsError(f"JetStream {what}")
        try:
            found = json.loads(answer.payload or b"")
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise NatsError("JetStream answers something that is no JSON object")
        return found

    def answered(self, delivery: Delivery) -> None:
        """An answer has come, if somebody still waits for it."""
        waiter = self._answers.pop(delivery.subject.rpartition(b".")[2], None)
        if waiter is not None:
            waiter.callback(delivery)
