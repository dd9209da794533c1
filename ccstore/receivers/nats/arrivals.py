"""Messages that have come: decoded as far as there is time for it, and handed over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from ccstore.batch import Batch
from ccstore.interfaces import Refusal
from ccstore.pipeline.backlog import Backlog
from ccstore.pipeline.intake import Intake
from ccstore.pipeline.piecewise import MessageQueue, PieceSizes
from ccstore.receivers.nats.framing import Delivery
from ccstore.receivers.nats.reasons import printable
from ccstore.receivers.nats.subscription import Subscription

#: Bytes of messages that are decoded at once, if nothing in them is out of the ordinary.
_TOGETHER: Final = 1 << 20
#: Bytes of a message that are decoded in one go.
_PIECES: Final = PieceSizes(first=1 << 13)
#: Subjects that are known with what the log calls them.
_SUBJECTS: Final = 4096


class _Source(NamedTuple):
    """Where a message comes from, and by which subject it is acknowledged, if at all."""

    host: str
    reply: bytes

    def pass_over(self, lines: bytes) -> None:
        """See :class:`ccstore.pipeline.joint.Sender`; messages do not go on in one another."""


class Arrivals:
    """See the module.

    :param max_payload: bytes of the largest message, for the log.
    :param backlog: counts what was handed over and is not committed.
    :param changed: called when :attr:`is_full` may have changed.
    """

    def __init__(
        self,
        intake: Intake,
        subscription: Subscription,
        *,
        max_payload: int,
        backlog: Backlog,
        changed: Callable[[], None],
    ) -> None:
        self._intake = intake
        self._subscription = subscription
        self._max_payload = max_payload
        self._backlog = backlog
        self._changed = changed
        self._queue: MessageQueue[_Source] = MessageQueue(intake, _PIECES)
        self._begun = Batch()  # what has come out of a message that is decoded in part
        self._sources: dict[bytes, _Source] = {}
        self._next_turn: IDelayedCall | None = None

    def reconfigure(self) -> None:
        """The intake has other settings."""
        self._queue.reconfigure()

    @property
    def is_full(self) -> bool:
        """No more is to be read for the time being."""
        return self._backlog.is_paused or bool(self._queue.unread)

    def take(self, deliveries: list[Delivery]) -> None:
        """Take what a connection has read in one go."""
        acknowledges = self._subscription.acknowledges
        unread = self._queue.unread
        refused: list[bytes] = []
        for delivery in self._subscription.sort(deliveries):
            source = self._sources.get(delivery.subject) or self._source(delivery.subject)
            if acknowledges:
                source = _Source(source.host, delivery.reply)
            if delivery.payload is None:
                self._account_for_too_large(delivery, source)
                refused.append(source.reply)
            else:
                unread.append((delivery.payload, source))
        if refused:
            self._subscription.settle(refused, are_stored=True)
        if self._next_turn is None:
            self.hand_over()

    def _account_for_too_large(self, delivery: Delivery, source: _Source) -> None:
        self._intake.account.reject("too_large")
        self._intake.warn(
            "too large",
            source.host,
            f"rejected a message of {delivery.size} bytes, max_payload is {self._max_payload}",
        )

    def _source(self, subject: bytes) -> _Source:
        if len(self._sources) >= _SUBJECTS:
            self._sources.clear()
        shown = printable(subject.decode("utf-8", "replace"))
        source = self._sources[subject] = _Source(f"subject {shown}", b"")
        return source

    def hand_over(self, seconds: float | None = None) -> None:
        """Decode the messages that have come, as far as there is time, and pass them on."""
        if self._next_turn is not None:
            if self._next_turn.active():
                self._next_turn.cancel()
            self._next_turn = None
        queue = self._queue
        unread = queue.unread
        size = sum([len(payload) for payload, _ in unread])
        decoded = queue.together() if size <= _TOGETHER else None
        if decoded is None:
            share = self._intake.scheduler.share(self) if seconds is None else seconds
            decoded, done = self._in_pieces(share)
            unread = unread[:done]
            size = sum([len(payload) for payload, _ in unread])
        replies = [source.reply for _, source in unread] if self._subscription.acknowledges else []
        self._accept(*decoded, replies, size)
        if queue.unread:
            self._next_turn = self._intake.clock.callLater(0, self.hand_over)
        self._changed()

    def _in_pieces(self, seconds: float) -> tuple[tuple[Batch, list[str]], int]:
        """What came out of whole messages, with the host of each; and how many messages these are."""
        messages, hosts, done = Batch(), list[str](), 0
        for part in self._queue.in_pieces(seconds):
            host = part.sender.host
            self._intake.reject(part.decoded.errors, host)
            self._begun.extend(part.decoded.messages)
            if part.is_last:
                messages.extend(self._begun)
                hosts += [host] * len(self._begun)
                self._begun = Batch()
                done += 1
        return (messages, hosts), done

    def _accept(self, messages: Batch, hosts: list[str], replies: list[bytes], size: int) -> None:
        subscription = self._subscription
        if not messages:
            subscription.settle(replies, are_stored=True)
            return
        committed = self._intake.accept(messages, self._intake.origin("", senders=hosts), urgent=False)
        if replies:

            def settle(result: Sequence[Refusal]) -> Sequence[Refusal]:
                subscription.settle(replies, are_stored=True)
                return result

            def send_again(failure: Failure) -> Failure:
                subscription.settle(replies, are_stored=False)
                return failure

            committed.addCallbacks(settle, send_again)
        self._backlog.wait_for(committed, size)
        if subscription.is_urgent:
            self._intake.flush()
