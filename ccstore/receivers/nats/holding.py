"""Which messages of a stream are here already, so that none is stored twice when it comes again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from ccstore.receivers.nats.framing import Delivery

#: Messages that were stored and are known again, should the server not have heard of it.
_REMEMBERED: Final = 65536


class Holding:
    """See the module.

    :ivar redelivered: messages that came again although they were here already.
    """

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._remembered = remembered
        self._held: set[bytes] = set()  # messages that wait to be stored
        self._stored: set[bytes] = set()
        self._stored_order: deque[bytes] = deque()
        self.redelivered = 0

    def __len__(self) -> int:
        """Messages that wait to be stored."""
        return len(self._held)

    def sort(self, deliveries: Iterable[Delivery]) -> tuple[list[Delivery], list[bytes]]:
        """The messages that are new; and the subjects that acknowledge those that are stored already."""
        messages: list[Delivery] = []
        again: list[bytes] = []
        held, stored = self._held, self._stored
        for delivery in deliveries:
            key = _key(delivery.reply)
            if key in held:
                self.redelivered += 1
            elif key in stored:
                self.redelivered += 1
                again.append(delivery.reply)
            else:
                held.add(key)
                messages.append(delivery)
        return messages, again

    def release(self, replies: Sequence[bytes], *, are_stored: bool) -> None:
        """These wait no longer: they are stored, or else are to come again."""
        keys = [_key(reply) for reply in replies]
        self._held.difference_update(keys)
        if are_stored:
            for key in keys:
                if key not in self._stored:
                    self._stored.add(key)
                    self._stored_order.append(key)
            while len(self._stored_order) > self._remembered:
                self._stored.discard(self._stored_order.popleft())


def _key(reply: bytes) -> bytes:
    """What tells a message of a stream from others: its number, and the time it was stored.

    The subject for acknowledgements is ``$JS.ACK.<stream>.<consumer>.<deliveries>.<number>.<number for the
    consumer>.<time>.<pending>``, newer servers may have domain and account before the stream.
    """
    words = reply.split(b".")
    first = 2 if len(words) == 9 else 4
    return b".".join((words[first + 3], words[first + 5])) if len(words) > first + 5 else reply


def pending(reply: bytes) -> int | None:
    """Messages of the stream that were still to come with the one of this subject, if it says so."""
    words = reply.split(b".")
    place = 8 if len(words) == 9 else 10
    return int(words[place]) if len(words) > place and words[place].isdigit() else None
