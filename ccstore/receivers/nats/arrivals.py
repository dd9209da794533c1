"""Messages that have come: decoded as far as there is time for it, and handed over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from ccstore.interfaces import Refusal
from ccstore.lineprotocol import StreamDecoder
from ccstore.message import Batch
from ccstore.pipeline.backlog import Backlog
from ccstore.pipeline.intake import Intake
from ccstore.pipeline.joint import plain_together
from ccstore.receivers.nats.framing import Delivery
from ccstore.receivers.nats.reasons import printable
from ccstore.receivers.nats.subscription import Subscription

#: Bytes of messages that are decoded at once, if nothing in them is out of the ordinary.
_TOGETHER: Final = 1 << 20
#: Bytes of a message that are decoded in one go, as for a connection over TCP.
_LEAST_PIECE, _FIRST_PIECE, _LARGEST_PIECE = 1 << 11, 1 << 13, 1 << 16
#: Subjects that are known with what the log calls them.
_SUBJECTS: Final = 4096


class _Source(NamedTuple):
    """Where a message comes from, and by which subject it is acknowledged, if at all."""

    host: str
    reply: bytes

    def pass_over(self, lines: bytes) -> None:
        """See :class:`ccstore.pipeline.joint.Sender`; messages do not go on in one another."""


_Unread = Sequence[tuple[bytes, _Source]]


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
        self._decoder = intake.decoder()
        self._pieces = _Pieces(intake, self._decoder)
        self._sources: dict[bytes, _Source] = {}
        self._unread: list[tuple[bytes, _Source]] = []  # messages that are to be decoded
        self._next_turn: IDelayedCall | None = None

    def reconfigure(self) -> None:
        """The intake has other settings."""
        self._intake.set_decoder(self._decoder)

    @property
    def is_full(self) -> bool:
        """No more is to be read for the time being."""
        return self._backlog.is_paused or bool(self._unread)

    def take(self, deliveries: list[Delivery]) -> None:
        """Take what a connection has read in one go."""
        acknowledges = self._subscription.acknowledges
        unread = self._unread
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
        unread, self._unread = self._unread, []
        decoded = None
        size = sum([len(payload) for payload, _ in unread])
        if not self._pieces.has_begun and size <= _TOGETHER:
            decoded = plain_together(self._decoder, unread, self._intake.now())
        if decoded is None:
            share = self._intake.scheduler.share(self) if seconds is None else seconds
            decoded, done = self._pieces.decode(unread, share)
            unread, self._unread = unread[:done], unread[done:]
            size = sum([len(payload) for payload, _ in unread])
        replies = [source.reply for _, source in unread] if self._subscription.acknowledges else []
        self._accept(*decoded, replies, size)
        if self._unread:
            self._next_turn = self._intake.clock.callLater(0, self.hand_over)
        self._changed()

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


class _Pieces:
    """Decodes messages piece by piece, for those that are large or have a mistake."""

    def __init__(self, intake: Intake, decoder: StreamDecoder) -> None:
        self._intake = intake
        self._decoder = decoder
        self._offset = 0  # so many bytes of the first message are decoded already
        self._size = _FIRST_PIECE
        self._begun = Batch()  # what has come out of them

    @property
    def has_begun(self) -> bool:
        """The first message is decoded in part."""
        return self._offset > 0

    def decode(self, unread: _Unread, seconds: float) -> tuple[tuple[Batch, list[str]], int]:
        """What came out of whole messages, with the host of each; and how many messages these are."""
        clock = self._intake.clock
        end = clock.seconds() + seconds
        messages = Batch()
        hosts: list[str] = []
        done = 0
        while done < len(unread) and clock.seconds() <= end:
            payload, source = unread[done]
            piece = payload[self._offset : self._offset + self._size]
            self._offset += len(piece)
            is_complete = self._offset >= len(payload)
            now = self._intake.now()
            decoded = self._decoder.feed(piece, now)
            errors = decoded.errors
            self._begun.extend(decoded.messages)
            if is_complete:
                decoded = self._decoder.finish(now)
                errors = [*errors, *decoded.errors]
                self._begun.extend(decoded.messages)
                messages.extend(self._begun)
                hosts += [source.host] * len(self._begun)
                self._begun = Batch()
                self._offset = 0
                done += 1
            self._intake.reject(errors, source.host)
            self._size = _LEAST_PIECE if errors else min(2 * self._size, _LARGEST_PIECE)
        return (messages, hosts), done
