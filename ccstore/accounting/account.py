"""Books on every line that comes in, so that nothing disappears uncounted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from attrs import define, field, frozen

from ccstore.accounting.figures import Figures, counter, counters, gauge, text
from ccstore.accounting.samples import Samples
from ccstore.message import Message


@define(eq=False)
class Account:
    """What became of the lines of one receiver.

    At every moment ``received == stored + rejected + dropped + waiting``: a *rejected* line was wrong and
    its sender could know, a *dropped* one was right but not kept, a *waiting* one is not yet committed.
    """

    name: str
    kind: str
    received: int = 0
    stored: int = 0
    waiting: int = 0
    rejected: Counter[str] = field(factory=Counter)
    dropped: Counter[str] = field(factory=Counter)
    #: Fields of stored lines that were not stored with them.
    fields_not_stored: int = 0
    #: The unit of timestamps that the receiver is told of.
    precision: str = "auto"
    samples: Samples = field(factory=Samples)

    @property
    def is_balanced(self) -> bool:
        """Whether what was received is all accounted for."""
        return self.received == self.stored + self.rejected.total() + self.dropped.total() + self.waiting

    def reject(self, reason: str, lines: int = 1) -> None:
        """Count lines that came in and were refused at once."""
        self.received += lines
        self.rejected[reason] += lines

    def drop(self, reason: str, lines: int = 1) -> None:
        """Count lines that came in and were let go at once."""
        self.received += lines
        self.dropped[reason] += lines

    def accept(self, lines: int) -> None:
        """Count lines that came in and wait to be stored."""
        self.received += lines
        self.waiting += lines

    def store(self, lines: int) -> None:
        """Count waiting lines that are committed."""
        self.waiting -= lines
        self.stored += lines

    def refuse(self, reason: str, lines: int = 1) -> None:
        """Count waiting lines that the store refused for themselves."""
        self.waiting -= lines
        self.rejected[reason] += lines

    def lose(self, reason: str, lines: int) -> None:
        """Count waiting lines that could not be stored for a reason outside of them."""
        self.waiting -= lines
        self.dropped[reason] += lines

    def figures(self) -> Figures:
        """The books as they are shown."""
        return Figures(
            type=text(self.kind),
            received=counter(self.received, "Lines that came in.", metric="lines_received_total"),
            stored=counter(self.stored, "Lines that are committed.", metric="lines_stored_total"),
            waiting=gauge(self.waiting, "Lines that are not yet committed.", metric="lines_waiting"),
            rejected=counters(
                dict(self.rejected), "Lines that were wrong.", by="reason", metric="lines_rejected_total"
            ),
            dropped=counters(
                dict(self.dropped),
                "Lines that were right but not kept.",
                by="reason",
                metric="lines_dropped_total",
            ),
            fields_not_stored=counter(
                self.fields_not_stored,
                "Fields of stored lines that were not stored with them.",
                metric="fields_not_stored_total",
            ),
        )

    def samples_as_json(self) -> dict[str, object]:
        """A few of the lines that were not stored."""
        return {"type": self.kind, "precision": self.precision, **self.samples.as_json()}

    def summary(self) -> str:
        """One line for the log."""
        return (
            f"{self.name}: {self.received} received, {self.stored} stored, {self.rejected.total()} rejected, "
            f"{self.dropped.total()} dropped, {self.waiting} waiting"
        )


@define(eq=False)
class Dropped:
    """How many lines of one origin were right but not kept, for whoever has to tell the sender."""

    lines: int = 0


@frozen
class Origin:
    """Where lines come from: the books they go to, and what is known besides what they say.

    :ivar cluster: the cluster of lines that do not name one.
    :ivar sender: an address, for people.
    :ivar senders: the address of each message, without a port, where they differ.
    :ivar dropped: counted by each sink that drops messages, besides in the books.
    """

    account: Account
    sender: str
    cluster: str | None = None
    senders: Sequence[str] = ()
    dropped: Dropped = field(factory=Dropped, eq=False)

    def sender_of(self, index: int) -> str:
        """The address from which a message came."""
        return self.senders[index] if self.senders else self.sender

    def host_of(self, index: int) -> str:
        """The same without the port, which is another one for each connection."""
        return self.senders[index] if self.senders else self.sender.rpartition(":")[0] or self.sender

    def sample(
        self, outcome: str, reason: str, message: Message, index: int, now: int, detail: str = ""
    ) -> bool:
        """Remember a message that is not stored, for whoever asks why; false if that is enough for now.

        :param outcome: see :class:`ccstore.accounting.samples.Sample`, and for the others, too.
        :param now: in nanoseconds since the epoch.
        """
        samples = self.account.samples
        if not samples.wants(reason, now):
            return False
        tags = message.tags
        # Without the fields: they may hold anything.
        head = ",".join([message.name, *(f"{key}={value}" for key, value in tags.items())])
        samples.add(
            outcome,
            reason,
            self.host_of(index),
            now,
            host=tags.get("hostname", ""),
            name=message.name,
            stamp=message.time,
            detail=detail,
            text=head,
        )
        return True
