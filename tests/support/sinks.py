"""Lines to send, and a sink that only listens behind the intake of a receiver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from ccstore.accounting.account import Account, Origin
from ccstore.batch import Batch
from ccstore.interfaces import IMessageSink, Refusal, StoreUnavailable
from ccstore.message import Message
from ccstore.pipeline.intake import Intake
from ccstore.pipeline.scheduler import Scheduler, TurnLimits


def event(text: str, *, host: str = "a0101", cluster: str | None = "alex", time: int | str = "") -> bytes:
    """An event as a line, without its newline."""
    tags = f",cluster={cluster}" if cluster else ""
    return f'job{tags},hostname={host} event="{text}" {time}'.strip().encode()


def intake_for(config: Any, kind: str, sink: FakeSink, clock: Any, turns: TurnLimits | None = None) -> Intake:
    """The intake as the daemon makes it for a receiver."""
    return Intake(
        config.name,
        kind,
        sink,
        clock,
        cluster=config.cluster,
        precision=config.precision,
        max_line_length=getattr(config, "max_line_length", None),
        scheduler=Scheduler(clock, turns),
    )


@implementer(IMessageSink)
class FakeSink:
    """Remembers what it is given and keeps the books; commits at once, or when it is told to.

    :param holds: wait for :meth:`commit`.
    """

    def __init__(self, *, holds: bool = False) -> None:
        self.holds = holds
        self.failure: StoreUnavailable | None = None
        self.refuses: Callable[[Message], str | None] = lambda message: None
        self.messages: list[Message] = []
        self.origins: list[Origin] = []
        self.flushes = 0
        self.announced: list[list[Batch]] = []
        self._waiting: list[tuple[Deferred[Sequence[Refusal]], Account, Sequence[Message]]] = []

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.messages]

    def accept(self, messages: Batch, origin: Origin, *, urgent: bool) -> Deferred[Sequence[Refusal]]:
        """See :meth:`IMessageSink.accept`."""
        origin.account.accept(len(messages))
        self.messages += messages
        self.origins.append(origin)
        committed: Deferred[Sequence[Refusal]] = Deferred()
        self._waiting.append((committed, origin.account, messages))
        if not self.holds:
            self.commit()
        return committed

    def announce(self, parts: Sequence[Batch], origin: Origin) -> None:
        """See :meth:`IMessageSink.announce`."""
        self.announced.append([*parts])

    def flush(self) -> None:
        """See :meth:`IMessageSink.flush`."""
        self.flushes += 1

    def commit(self) -> None:
        """Commit everything that waits, or fail to."""
        waiting, self._waiting = self._waiting, []
        for committed, account, messages in waiting:
            if self.failure is not None:
                account.lose("store_unavailable", len(messages))
                committed.errback(self.failure)
                continue
            reasons = [(index, self.refuses(message)) for index, message in enumerate(messages)]
            refusals = [Refusal(index, reason) for index, reason in reasons if reason is not None]
            account.store(len(messages) - len(refusals))
            for _ in refusals:
                account.refuse("refused_by_store")
            committed.callback(refusals)
