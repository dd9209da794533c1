"""A durable consumer of a JetStream stream: messages are asked for, and acknowledged when they are stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

from ccstore.accounting.figures import Figures, counter, gauge
from ccstore.receivers.nats.client import Connection
from ccstore.receivers.nats.framing import Delivery
from ccstore.receivers.nats.holding import Holding, pending
from ccstore.receivers.nats.jetstream import JetStreamApi
from ccstore.receivers.nats.pulling import Pulling
from ccstore.receivers.nats.reasons import NatsError
from ccstore.receivers.nats.subscription import MESSAGES
from ccstore.timing import nanoseconds

#: The name of the subscription to answers, beside that to messages.
_ANSWERS: Final = "2"
#: Messages that the server lets us hold without an acknowledgement, in a consumer that we make.
_MAX_ACK_PENDING: Final = 20_000
#: Seconds after which what was not acknowledged comes again.
_ACK_WAIT: Final = 30.0
#: Seconds after which the server shall send again what could not be stored.
_AGAIN: Final = 5.0

_ACK: Final = b"+ACK"
_NO_CONSUMER: Final = 10014


class Consumer:
    """See the module, and :class:`ccstore.receivers.nats.subscription.Subscription`.

    :param token: makes names that nobody else has.
    :param complain: says something to people.
    """

    acknowledges = True

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
        self._token = token
        self._complain = complain
        self._connection: Connection | None = None
        self._api = JetStreamApi(clock, token)
        self._pulling = Pulling(f"{stream}.{durable}", durable, clock, complain)
        self._holding = Holding()
        self._max_ack_pending = _MAX_ACK_PENDING
        self._acknowledged = 0
        self._pending: int | None = None  # messages of the stream that were to come with the last one

    # -- the life of a connection

    async def attach(self, connection: Connection) -> None:
        """Take messages from a new connection; raises :class:`NatsError`."""
        self._connection = connection
        inbox = f"_INBOX.{self._token()}"
        connection.subscribe(f"{inbox}.m", MESSAGES)
        self._api.attach(connection, f"{inbox}.a", _ANSWERS)
        await connection.ping()
        config = await self._found_or_made()
        self._check(config)
        limit = config.get("max_ack_pending")
        self._max_ack_pending = limit if isinstance(limit, int) and limit > 0 else _MAX_ACK_PENDING
        self._pulling.start(connection, f"{inbox}.m", self._max_ack_pending)

    def detach(self) -> None:
        """The connection is lost, or no more messages are wanted from it."""
        self._connection = None
        self._pulling.stop()

    async def _found_or_made(self) -> Mapping[str, Any]:
        """The configuration of the consumer, which is made if it is not there."""
        place = f"{self._stream}.{self._durable}"
        answer = await self._api.ask(f"$JS.API.CONSUMER.INFO.{place}", {})
        if answer.get("error", {}).get("err_code") == _NO_CONSUMER:
            wanted = {
                "durable_name": self._durable,
                "deliver_policy": "all",
                "ack_policy": "explicit",
                "ack_wait": nanoseconds(_ACK_WAIT),
                "max_ack_pending": _MAX_ACK_PENDING,
                "filter_subject": self._subject,
                "replay_policy": "instant",
            }
            answer = await self._api.ask(
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

    def _check(self, config: Mapping[str, Any]) -> None:
        """See whether a consumer, which somebody else may have made, will do for us."""
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

    # -- messages

    def sort(self, deliveries: list[Delivery]) -> list[Delivery]:
        """Those that are messages, and are not here already."""
        came: list[Delivery] = []
        said: list[Delivery] = []
        messages_sid = MESSAGES.encode()
        for delivery in deliveries:
            if delivery.sid != messages_sid:
                self._api.answered(delivery)
            elif delivery.reply.startswith(b"$JS.ACK."):
                came.append(delivery)
            else:
                said.append(delivery)
        messages, again = self._holding.sort(came)
        self._say(again, _ACK)
        self._pulling.came(len(came), said)
        return messages

    def settle(self, replies: Sequence[bytes], *, are_stored: bool) -> None:
        """These are stored, or refused for themselves; or they could not be stored, and are to come again."""
        self._holding.release(replies, are_stored=are_stored)
        if are_stored and replies:
            self._acknowledged += len(replies)
            self._pending = pending(replies[-1])
        self._say(replies, _ACK if are_stored else b'-NAK {"delay": %d}' % nanoseconds(_AGAIN))

    @property
    def is_urgent(self) -> bool:
        """The server will soon send no more, before something is acknowledged."""
        return len(self._holding) * 2 >= self._max_ack_pending

    def set_paused(self, is_paused: bool) -> None:
        """Ask for no more for the time being, or go on."""
        self._pulling.set_paused(is_paused)

    def _say(self, replies: Sequence[bytes], what: bytes) -> None:
        if self._connection is not None and replies:
            self._connection.publish(*[(reply, what, b"") for reply in replies])

    def figures(self) -> Figures:
        """Figures for the statistics."""
        return Figures(
            acknowledged=counter(self._acknowledged, "Messages of the stream that were acknowledged."),
            redelivered=counter(
                self._holding.redelivered,
                "Messages that came again although they were here, and were left alone.",
            ),
            pending=gauge(self._pending, "Messages that the stream still has for this consumer."),
        )
