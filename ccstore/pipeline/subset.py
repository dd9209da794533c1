"""Passing on some of the messages of a batch, for sinks that stand before another."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve
from twisted.internet.defer import Deferred, succeed

from ccstore.accounting.account import Origin
from ccstore.batch import Batch
from ccstore.interfaces import IMessageSink, Refusal


def pass_on(
    sink: IMessageSink, kept: Batch, places: Sequence[int], origin: Origin, *, urgent: bool
) -> Deferred[Sequence[Refusal]]:
    """Give a sink what is kept of a batch, and answer with the places that its messages had before.

    :param places: where each of the kept messages was; the others are accounted for already.
    """
    if not kept:
        return succeed(())
    if origin.senders:
        origin = evolve(origin, senders=[origin.senders[place] for place in places])

    def back(refusals: Sequence[Refusal]) -> Sequence[Refusal]:
        return [Refusal(places[refusal.index], refusal.reason) for refusal in refusals]

    return sink.accept(kept, origin, urgent=urgent).addCallback(back)
