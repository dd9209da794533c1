"""Asking a consumer of JetStream for messages, a batch ahead, as long as there is room for them.

Messages come only when they are asked for (a pull consumer), so that the server never sends more than that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ccstore.receivers.nats.client import Connection
from ccstore.receivers.nats.framing import Delivery
from ccstore.timing import nanoseconds

#: Messages that are asked for at a time.
_BATCH: Final = 4096
#: Seconds after which a request for messages ends, and between two signs of life meanwhile.
_EXPIRES: Final = 120.0
_HEARTBEAT: Final = 10.0
#: Seconds without either, after which messages are asked for anew.
_SILENCE: Final = 3 * _HEARTBEAT


class Pulling:
    """See the module.

    :param place: of the consumer, as ``<stream>.<consumer>``.
    :param consumer: the same for people.
    :param complain: says something to people.
    """

    def __init__(
        self, place: str, consumer: str, clock: IReactorTime, complain: Callable[[str], None]
    ) -> None:
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{place}".encode()
        self._consumer = consumer
        self._clock = clock
        self._complain = complain
        self._connection: Connection | None = None
        self._inbox = b""
        self._asked = 0  # messages that were asked for and have not come
        self._batch = _BATCH
        self._watch: IDelayedCall | None = None
        self._heard_at = 0.0
        self._is_paused = False

    def start(self, connection: Connection, inbox: str, most: int) -> None:
        """Ask by a new connection.

        :param inbox: the subject under which the messages are to come.
        :param most: messages that the server lets us hold.
        """
        self._connection = connection
        self._inbox = inbox.encode()
        self._asked = 0
        self._batch = min(_BATCH, most)
        self._heard_at = self._clock.seconds()
        self._watch = self._clock.callLater(_HEARTBEAT, self._look)
        self._ask_for_more()

    def stop(self) -> None:
        """The connection is lost, or no more messages are wanted from it."""
        self._connection = None
        if self._watch is not None and self._watch.active():
            self._watch.cancel()
        self._watch = None

    def set_paused(self, is_paused: bool) -> None:
        """Ask for no more for the time being, or go on."""
        self._is_paused = is_paused
        self.came(0)

    def came(self, count: int, said: Sequence[Delivery] = ()) -> None:
        """So many messages have come, and this was said about what was asked for."""
        self._asked -= count
        self._heard_at = self._clock.seconds()
        for delivery in said:
            self._told(delivery)
        self._ask_for_more()

    def _told(self, delivery: Delivery) -> None:
        status = delivery.status
        if not status or status.startswith("100"):
            return
        left = delivery.header("Nats-Pending-Messages")
        self._asked = max(0, self._asked - int(left)) if left is not None and left.isdigit() else 0
        if status.startswith(("404", "408")):
            return
        if "consumer deleted" in status.lower() or status.startswith("503"):
            if self._connection is not None:
                self._connection.fail(f"JetStream, consumer {self._consumer!r}: {status}")
        elif "batch completed" not in status.lower():
            self._complain(f"JetStream, consumer {self._consumer!r}: {status}")
            # Asked at once, it might say the same at once.
            self._asked = self._batch
            self._heard_at = self._clock.seconds() - _SILENCE

    def _ask_for_more(self) -> None:
        if self._connection is None or self._is_paused:
            return
        wanted = self._batch - max(0, self._asked)
        if wanted * 2 < self._batch:
            return
        request = {
            "batch": wanted,
            "expires": nanoseconds(_EXPIRES),
            "idle_heartbeat": nanoseconds(_HEARTBEAT),
        }
        self._asked = max(0, self._asked) + wanted
        self._connection.publish((self._subject, json.dumps(request).encode(), self._inbox))

    def _look(self) -> None:
        """See whether what was asked for is still on its way."""
        self._watch = self._clock.callLater(_HEARTBEAT, self._look)
        if not self._is_paused and self._clock.seconds() - self._heard_at >= _SILENCE:
            self._asked = 0
        self._ask_for_more()
