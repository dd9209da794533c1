"""A durable consumer of a JetStream stream: messages are asked for, and acknowledged when they are stored.

Its source is https://docs.nats.io/reference/reference-protocols/nats_api_reference. Messages come only when
they are asked for (a pull consumer), so that the server never sends more than there is room for.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ccstore.receivers.nats.connection import PATIENCE, Connection, NatsError
from ccstore.receivers.nats.framing import Delivery

#: Subscriptions of a connection: messages, and answers to what is asked.
MESSAGES: Final = "1"
_ANSWERS: Final = "2"
#: Messages that are asked for at a time.
_BATCH: Final = 4096
#: Messages that the server lets us hold without an acknowledgement, in a consumer that we make.
_MAX_ACK_PENDING: Final = 20_000
#: Seconds after which what was not acknowledged comes again.
_ACK_WAIT: Final = 30.0
#: Seconds after which a request for messages ends, and between two signs of life meanwhile.
_EXPIRES: Final = 120.0
_HEARTBEAT: Final = 10.0
#: Seconds without either, after which messages are asked for anew.
_SILENCE: Final = 3 * _HEARTBEAT
#: Seconds after which the server shall send again what could not be stored.
_AGAIN: Final = 5.0
#: Messages that were stored and are known again, should the server not have heard of it.
_REMEMBERED: Final = 65536

_NO_CONSUMER = 10014
_NS = 10**9


class Consumer:
    """See the module.

    :param token: makes names that nobody else has.
    :param complain: says something to people.
    :ivar acknowledged: messages that were.
    :ivar redelivered: messages that came again although they were here already, and were left alone.
    :ivar pending: messages of the stream that were still to come with the last one, or None.
    """

    def __init__(
        self,
        *,
        stream: str,
        durable: str,
        subject: str,
        clock: IReactorTime,
        token: Callable[[], str],
        complain: Callable[[str], None],
    ) -> None:
        self._stream = stream
        self._durable = durable
        self._subject = subject
        self._clock = clock
        self._token = token
        self._complain = complain
        self._connection: Connection | None = None
        self._inbox = ""
        self._answers: dict[bytes, Deferred[Delivery]] = {}
        self._asked = 0  # messages that were asked for and have not come
        self._batch = _BATCH
        self._max_ack_pending = _MAX_ACK_PENDING
        self._watch: IDelayedCall | None = None
        self._heard_at = 0.0
        self._is_paused = False
        self._held: set[bytes] = set()  # messages that wait to be stored
        self._stored: set[bytes] = set()
        self._stored_order: deque[bytes] = deque()
        self.acknowledged = 0
        self.redelivered = 0
        self.pending: int | None = None

    # -- the life of a connection

    async def attach(self, connection: Connection) -> None:
        """Take messages from a new connection; raises :class:`NatsError`."""
        self._connection = connection
        self._inbox = f"_INBOX.{self._token()}"
        self._answers = {}
        self._asked = 0
        connection.subscribe(f"{self._inbox}.m", MESSAGES)
        connection.subscribe(f"{self._inbox}.a.*", _ANSWERS)
        await connection.ping()
        config = await self._consumer()
        if config.get("deliver_subject"):
            raise NatsError(f"the consumer {self._durable!r} is a push consumer, and not one to be asked")
        if config.get("ack_policy") != "explicit":
            raise NatsError(
                f"the consumer {self._durable!r} has the ack_policy {config.get('ack_policy')!r}, "
                "and 'explicit' is needed"
            )
        filtered = config.get("filter_subject")
        if filtered and filtered != self._subject:
            self._complain(
                f"the consumer {self._durable!r} is there already, and delivers {filtered!r} "
                f"instead of {self._subject!r}"
            )
        limit = config.get("max_ack_pending")
        self._max_ack_pending = limit if isinstance(limit, int) and limit > 0 else _MAX_ACK_PENDING
        self._batch = min(_BATCH, self._max_ack_pending)
        self._heard_at = self._clock.seconds()
        self._watch = self._clock.callLater(_HEARTBEAT, self._look)
        self._ask_for_more()

    def detach(self) -> None:
        """The connection is lost, or no more messages are wanted from it."""
        self._connection = None
        if self._watch is not None and self._watch.active():
            self._watch.cancel()
        self._watch = None

    async def _consumer(self) -> Mapping[str, Any]:
        """The configuration of the consumer, which is made if it is not there."""
        place = f"{self._stream}.{self._durable}"
        answer = await self._api(f"$JS.API.CONSUMER.INFO.{place}", {})
        if answer.get("error", {}).get("err_code") == _NO_CONSUMER:
            wanted = {
                "durable_name": self._durable,
                "deliver_policy": "all",
                "ack_policy": "explicit",
                "ack_wait": int(_ACK_WAIT * _NS),
                "max_ack_pending": _MAX_ACK_PENDING,
                "filter_subject": self._subject,
                "replay_policy": "instant",
            }
            answer = await self._api(
                f"$JS.API.CONSUMER.DURABLE.CREATE.{place}", {"stream_name": self._stream, "config": wanted}
            )
        error = answer.get("error")
        if error:
            said = error.get("description") if isinstance(error, dict) else error
            raise NatsError(f"JetStream, stream {self._stream!r}, consumer {self._durable!r}: {said}")
        config = answer.get("config")
        if not isinstance(config, dict):
            raise NatsError("JetStream does not say what the consumer is")
        return config

    async def _api(self, subject: str, question: Mapping[str, object]) -> dict[str, Any]:
        """Ask JetStream something."""
        assert self._connection is not None
        name = self._token().encode()
        answered: Deferred[Delivery] = Deferred()
        self._answers[name] = answered
        answered.addTimeout(PATIENCE, self._clock)
        body = json.dumps(question).encode() if question else b""
        self._connection.publish((subject.encode(), body, f"{self._inbox}.a.".encode() + name))
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

    # -- messages

    def sort(self, deliveries: Iterable[Delivery]) -> list[Delivery]:
        """Those that are messages, and are not here already."""
        messages = []
        again: list[bytes] = []
        self._heard_at = self._clock.seconds()
        for delivery in deliveries:
            if delivery.sid != MESSAGES.encode():
                answered = self._answers.pop(delivery.subject.rpartition(b".")[2], None)
                if answered is not None:
                    answered.callback(delivery)
            elif not delivery.reply.startswith(b"$JS.ACK."):
                self._told(delivery)
            else:
                self._asked -= 1
                key = _key(delivery.reply)
                if key in self._held:
                    self.redelivered += 1
                elif key in self._stored:
                    self.redelivered += 1
                    again.append(delivery.reply)
                else:
                    self._held.add(key)
                    messages.append(delivery)
        if again:
            self._say(again, b"+ACK")
        self._ask_for_more()
        return messages

    def settle(self, replies: Sequence[bytes], *, are_stored: bool) -> None:
        """These are stored, or refused for themselves; or they could not be stored, and are to come again."""
        keys = [_key(reply) for reply in replies]
        self._held.difference_update(keys)
        if are_stored:
            for key in keys:
                if key not in self._stored:
                    self._stored.add(key)
                    self._stored_order.append(key)
            while len(self._stored_order) > _REMEMBERED:
                self._stored.discard(self._stored_order.popleft())
            self.acknowledged += len(replies)
            if replies:
                self.pending = _pending(replies[-1])
        self._say(replies, b"+ACK" if are_stored else b'-NAK {"delay": %d}' % int(_AGAIN * _NS))

    @property
    def is_urgent(self) -> bool:
        """The server will soon send no more, before something is acknowledged."""
        return len(self._held) * 2 >= self._max_ack_pending

    def set_paused(self, is_paused: bool) -> None:
        """Ask for no more for the time being, or go on."""
        self._is_paused = is_paused
        self._heard_at = self._clock.seconds()
        self._ask_for_more()

    def _say(self, replies: Sequence[bytes], what: bytes) -> None:
        if self._connection is not None and replies:
            self._connection.publish(*[(reply, what, b"") for reply in replies])

    def _ask_for_more(self) -> None:
        if self._connection is None or self._watch is None or self._is_paused:
            return
        wanted = self._batch - max(0, self._asked)
        if wanted * 2 < self._batch:
            return
        request = {
            "batch": wanted,
            "expires": int(_EXPIRES * _NS),
            "idle_heartbeat": int(_HEARTBEAT * _NS),
        }
        self._asked = max(0, self._asked) + wanted
        self._connection.publish(
            (
                f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._durable}".encode(),
                json.dumps(request).encode(),
                f"{self._inbox}.m".encode(),
            )
        )

    def _told(self, delivery: Delivery) -> None:
        """The server says something about what was asked for."""
        status = delivery.status
        if not status or status.startswith("100"):
            return
        left = delivery.header("Nats-Pending-Messages")
        self._asked = max(0, self._asked - int(left)) if left is not None and left.isdigit() else 0
        if status.startswith(("404", "408")):
            return
        if "consumer deleted" in status.lower() or status.startswith("503"):
            assert self._connection is not None
            self._connection.fail(f"JetStream, consumer {self._durable!r}: {status}")
        elif "batch completed" not in status.lower():
            self._complain(f"JetStream, consumer {self._durable!r}: {status}")
            # Asked at once, it might say the same at once.
            self._asked = self._batch
            self._heard_at = self._clock.seconds() - _SILENCE

    def _look(self) -> None:
        """See whether what was asked for is still on its way."""
        self._watch = self._clock.callLater(_HEARTBEAT, self._look)
        if not self._is_paused and self._clock.seconds() - self._heard_at >= _SILENCE:
            self._asked = 0
        self._ask_for_more()


def _key(reply: bytes) -> bytes:
    """What tells a message of a stream from others: its number, and the time it was stored.

    The subject for acknowledgements is ``$JS.ACK.<stream>.<consumer>.<deliveries>.<number>.<number for the
    consumer>.<time>.<pending>``, newer servers may have domain and account before the stream.
    """
    words = reply.split(b".")
    first = 2 if len(words) == 9 else 4
    return b".".join((words[first + 3], words[first + 5])) if len(words) > first + 5 else reply


def _pending(reply: bytes) -> int | None:
    words = reply.split(b".")
    place = 8 if len(words) == 9 else 10
    return int(words[place]) if len(words) > place and words[place].isdigit() else None
