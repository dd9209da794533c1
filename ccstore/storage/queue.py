"""What is accepted and not stored yet, in the order of its arrival, and every count of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from attrs import define, field, frozen
from twisted.internet.defer import Deferred

from ccstore.batch import Batch
from ccstore.interfaces import Refusal, StoreUnavailable


@frozen
class Bounds:
    """How much may wait, and how much is written together.

    :ivar waiting: messages that may wait, above which no more are accepted; ``size`` is the same in
        characters of text.
    :ivar batch: messages at which what nobody waits for is written without waiting for more.
    :ivar largest: messages that may always be written together; ``batch`` raises it.
    """

    waiting: int
    batch: int
    largest: int = 8192
    size: int = 64 << 20

    @property
    def together(self) -> int:
        """Messages that are written together at most, unless one offer has more."""
        return max(self.batch, self.largest)


@define(eq=False)
class Offer:
    """Messages that were accepted together, and who waits for them.

    :ivar size: characters of their texts.
    :ivar committed: fires when they are stored, with those that were refused for themselves.
    """

    messages: Batch
    size: int
    is_urgent: bool
    committed: Deferred[Sequence[Refusal]] = field(factory=Deferred)
    refusals: list[Refusal] = field(factory=list)

    @property
    def is_open(self) -> bool:
        """Nobody has been told yet what became of it."""
        return not self.committed.called


def together(offers: Sequence[Offer]) -> Batch:
    """The messages of all of them."""
    return Batch.together([offer.messages for offer in offers])


class Waiting:
    """Every count of what was accepted and is not stored yet, whether or not it is being written.

    :ivar messages: of all that waits.
    :ivar in_batches: those of them that are being written.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.messages = 0
        self.in_batches = 0
        self._size = 0
        self._urgent_messages = 0  # those that somebody waits for, and their size
        self._urgent_size = 0

    @property
    def behind(self) -> int:
        """Messages that are not being written yet."""
        return self.messages - self.in_batches

    def has_room(self, count: int, size: int, *, urgent: bool) -> bool:
        """Whether so many more messages may wait.

        Whoever waits for the answer can be told to come again. A stream cannot: it pauses by itself when it
        has too much waiting, and must not lose anything because others have.
        """
        waiting, held = self.messages, self._size
        if not urgent:
            waiting -= self._urgent_messages
            held -= self._urgent_size
        bounds = self.bounds
        return not waiting or (waiting + count <= bounds.waiting and held + size <= bounds.size)

    def add(self, count: int, size: int, *, urgent: bool) -> None:
        """So many more messages wait, whose texts have so many characters."""
        self.messages += count
        self._size += size
        if urgent:
            self._urgent_messages += count
            self._urgent_size += size

    def is_over(self, offers: Iterable[Offer]) -> None:
        """They are no longer being written."""
        self.in_batches -= sum(len(offer.messages) for offer in offers)

    def release(self, offers: Sequence[Offer], failure: StoreUnavailable | None = None) -> None:
        """Tell those who wait for these offers, which wait no longer."""
        for offer in offers:
            self.messages -= len(offer.messages)
            self._size -= offer.size
            if offer.is_urgent:
                self._urgent_messages -= len(offer.messages)
                self._urgent_size -= offer.size
        for offer in offers:
            if failure is None:
                offer.committed.callback(offer.refusals)
            else:
                offer.committed.errback(failure)


class Queue:
    """Offers that nobody writes yet, in their order.

    :param lingers: what nobody waits for may wait for more.
    :ivar waiting: the counts of these, and of those in batches that are being written.
    :ivar newest: the last offer that was accepted.
    """

    def __init__(self, bounds: Bounds, *, lingers: bool = True) -> None:
        self._lingers = lingers
        self.waiting = Waiting(bounds)
        self.newest: Offer | None = None
        self._offers: deque[Offer] = deque()
        self._urgent = 0  # offers in the queue that somebody waits for
        self._flushed: Offer | None = None  # up to this one all is to be written in any case

    def reconfigure(self, bounds: Bounds, *, lingers: bool) -> None:
        """Go on with other settings."""
        self.waiting.bounds = bounds
        self._lingers = lingers

    def __len__(self) -> int:
        """How many there are."""
        return len(self._offers)

    def put(self, messages: Batch, size: int, *, urgent: bool) -> Offer:
        """Let them wait, behind all others."""
        offer = self.newest = Offer(messages, size, urgent)
        self._offers.append(offer)
        self._urgent += urgent
        self.waiting.add(len(messages), size, urgent=urgent)
        return offer

    def flush(self) -> None:
        """All that waits now is to be written without waiting for more."""
        self._flushed = self.newest

    def is_due(self) -> bool:
        """What waits is to be written without waiting for more, flushed or not."""
        if self._urgent or not self._lingers:
            return True
        waiting = self.waiting
        return waiting.behind >= waiting.bounds.batch

    @property
    def has_urgent(self) -> bool:
        """Somebody waits for something that is not being written yet."""
        return bool(self._urgent)

    def has_due(self) -> bool:
        """There is something to be written now."""
        is_flushed = self._flushed is not None and self._flushed.is_open
        return bool(self._offers) and (is_flushed or self.is_due())

    def next_batch(self) -> list[Offer]:
        """Take what is written together next; there must be something."""
        return self._take(self._offers)

    def next_batch_of(self, *, urgent: bool) -> list[Offer]:
        """The same of what somebody waits for, or of what nobody waits for; empty if there is nothing."""
        chosen = deque(offer for offer in self._offers if offer.is_urgent is urgent)
        others = [offer for offer in self._offers if offer.is_urgent is not urgent]
        batch = self._take(chosen) if chosen else []
        self._offers = deque([*chosen, *others] if urgent else [*others, *chosen])
        return batch

    def _take(self, offers: deque[Offer]) -> list[Offer]:
        batch = [offers.popleft()]
        size = len(batch[0].messages)
        most = self.waiting.bounds.together
        while offers and size + len(offers[0].messages) <= most:
            offer = offers.popleft()
            batch.append(offer)
            size += len(offer.messages)
        self.waiting.in_batches += size
        self._urgent -= sum(offer.is_urgent for offer in batch)
        return batch

    def put_back(self, offers: Sequence[Offer]) -> None:
        """They are not being written after all: they wait again, before all others."""
        self._offers.extendleft(reversed(offers))
        self._urgent += sum(offer.is_urgent for offer in offers)
        self.waiting.is_over(offers)

    def take_urgent(self) -> list[Offer]:
        """Take all that somebody waits for out of the queue."""
        urgent = [offer for offer in self._offers if offer.is_urgent]
        self._offers = deque(offer for offer in self._offers if not offer.is_urgent)
        self._urgent = 0
        return urgent

    def take_all(self) -> list[Offer]:
        """Take everything out of the queue."""
        offers = [*self._offers]
        self._offers.clear()
        self._urgent = 0
        return offers
